"""Basic authentication (RFC 7617): a login and a password in an Authorization field."""

from __future__ import annotations

import binascii
import re

_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def parse_basic(field: str) -> tuple[str, str]:
    """The login and password of an Authorization field, read as UTF-8.

    Raises `ValueError` for another scheme and for what is not well formed; its text holds nothing of what was sent.
    """
    match = _BASIC.fullmatch(field.strip(" \t"))
    if match is None:
        raise ValueError("the credentials are not of the Basic scheme")
    try:
        text = binascii.a2b_base64(match[1]).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("the credentials are not UTF-8 in base64") from None
    login, colon, password = text.partition(":")
    if not colon or _CONTROLS.search(text):
        raise ValueError("the credentials are not a login and a password")
    return login, password
