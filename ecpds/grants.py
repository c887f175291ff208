"""Rights that S3's ACLs give to single users, as destinations (option `s3.grants`) and files keep them: `READ=ann,WRITE=bob`.

They are by login: a user that is removed takes none of them with it, and who is called the same later has them.
"""

from __future__ import annotations

from collections.abc import Iterable

FULL_CONTROL = "FULL_CONTROL"
SINGLE = ("READ", "WRITE", "READ_ACP", "WRITE_ACP")
RIGHTS = (*SINGLE, FULL_CONTROL)
"""What may be granted (S3, "Access control list overview", "What permissions can I grant?")."""

READ_ACL, WRITE_ACL = "read-acl", "write-acl"
"""What who visits a destination holds or lacks: to see and to change who else may do what in it."""

MOST = 100
"""Grants of one ACL."""

Grant = tuple[str, str]
"""A login and a right."""


def parsed(text: str) -> list[Grant]:
    """What `written` wrote."""
    return [(login, right) for right, _, login in (each.partition("=") for each in text.split(",") if each)]


def written(grants: Iterable[Grant]) -> str:
    """The text that keeps them, each once."""
    return ",".join(f"{right}={login}" for login, right in dict.fromkeys(grants))


def held(text: str, login: str) -> frozenset[str]:
    """Which of `SINGLE` a user has."""
    if not text:
        return frozenset()
    rights = {right for user, right in parsed(text) if user == login}
    return frozenset(SINGLE if FULL_CONTROL in rights else rights)
