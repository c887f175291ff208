"""URLs as they may be shown: without the secrets in them. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit


def shown(url: str) -> str:
    """A URL as it may be shown and reported: without a password, and without the signature of a presigned one."""
    if "@" not in url and "?" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    netloc = parts.netloc
    if "@" in netloc:
        login, _, host = netloc.rpartition("@")
        netloc = f"{login.partition(':')[0]}@{host}"
    query = "&".join(part for part in parts.query.split("&") if not _is_secret(part))
    return parts._replace(netloc=netloc, query=query).geturl()


def _is_secret(parameter: str) -> bool:
    name = parameter.partition("=")[0].lower()
    return name in ("x-amz-signature", "x-amz-security-token", "signature", "sig", "token", "access_token")
