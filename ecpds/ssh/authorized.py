"""Which keys may log in: a file in the form of OpenSSH's authorized_keys (sshd(8)), read at each login.

A line is a key, with options before and a comment after it. An option says what the key may not do; one that we can't
keep to makes the whole line count for nothing, for to leave it out would let in more than was meant. The options that
forbid what is forbidden here anyway are taken.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen
from twisted.logger import Logger

from ecpds.ssh.userkeys import SIGNATURES, BadKey, UserKey, text_key

LARGEST = 1 << 20
"""Bytes of the file; more is not read."""

HARMLESS = frozenset({"restrict", "pty", "no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-user-rc"})

_OPTIONS = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]|[\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class BadLine(ValueError):
    """A line that lets nobody in; the text says why."""


class Unsafe(ValueError):
    """The file can't be trusted; the text says why."""


@frozen
class AuthorizedKey:
    """One key that may log in, and what its line calls it."""

    key: UserKey
    comment: str

    @property
    def holder(self) -> str:
        """Whose key it is, for the log: the comment, which can't forge a line, and the fingerprint."""
        return f"{self.comment or '(no comment)'} {self.key.fingerprint}"


def shown(text: str) -> str:
    """`text` with what could forge or reorder a line of a log or a terminal shown as escapes."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def parse_line(line: str) -> AuthorizedKey | None:
    """The key of one line; None for an empty line or a comment. Raises `BadLine`."""
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    first = line.split(maxsplit=1)[0]
    if first not in SIGNATURES:
        line = _without_options(line)
    type, _, rest = line.partition(" ")
    text, _, comment = rest.strip().partition(" ")
    try:
        return AuthorizedKey(text_key(type, text), shown(comment.strip()))
    except BadKey as error:
        raise BadLine(str(error)) from error


def _without_options(line: str) -> str:
    """What follows the options of a line."""
    found = _OPTIONS.match(line)
    if found is None:
        raise BadLine("its options can't be read")
    rest = line[found.end() :].lstrip()
    if not rest:
        raise BadLine("it is not a key")
    if rest.split(maxsplit=1)[0] not in SIGNATURES:
        raise BadLine(f"keys of type {rest.split(maxsplit=1)[0]!a} are not taken; allowed: {', '.join(SIGNATURES)}")
    for option in found[0].split(","):
        if option.lower() not in HARMLESS:
            raise BadLine(f"the option {option!a} is not supported here")
    return rest


def parse_lines(text: str) -> Iterator[tuple[int, AuthorizedKey | BadLine]]:
    """Every line that is a key or should have been one, with its number."""
    for number, line in enumerate(text.split("\n"), 1):
        try:
            found = parse_line(line)
        except BadLine as error:
            yield number, error
        else:
            if found is not None:
                yield number, found


def read_file(path: Path, missing: str | None = "") -> str:
    """The text of the file, `missing` where there is none.

    Raises `Unsafe` when others than its owner may write it, and `OSError`: also where it is missing and `missing` is None.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if missing is None:
            raise
        return missing
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Unsafe("it is not a file")
        if status.st_mode & 0o022 or status.st_uid not in (0, os.geteuid()):
            raise Unsafe("others than the daemon's user may write it")
        if status.st_size > LARGEST:
            raise Unsafe(f"it is larger than {LARGEST} bytes")
        return file.read(LARGEST).decode("utf-8", "replace")


class AuthorizedKeys:
    """The file `path`. Nobody gets in while it is missing or unsafe."""

    log = Logger()

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, key: UserKey) -> AuthorizedKey | None:
        """The line of `key`, if there is one. Reads the file: to be called on a thread."""
        try:
            lines = list(parse_lines(read_file(self._path)))
        except (Unsafe, OSError) as error:
            self.log.error("{path} lets nobody in: {reason}", path=str(self._path), reason=str(error))
            return None
        found = None
        for number, line in lines:
            if isinstance(line, BadLine):
                self.log.warn(
                    "{path} line {number} lets nobody in: {reason}", path=str(self._path), number=number, reason=str(line)
                )
            elif line.key == key and found is None:
                found = line
        return found
