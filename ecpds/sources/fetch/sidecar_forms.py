"""Digests that stand beside a file: `NAME.sha256` and its like, in the forms that the usual tools write and read.

A bare digest; `digest  name` (coreutils, `*` before a name means binary); `SHA256 (name) = digest` (BSD). A list of several
names tells the digest of ours alone. Whatever else stands there is no digest, and says nothing. Pure.
"""

from __future__ import annotations

import re

LONGEST = 1 << 16
"""Bytes of a side-car that are looked at."""

ENDINGS = {".sha256": "sha256", ".md5": "md5"}
"""Which names are asked for, in this order, and what they hold."""

DIGITS = {"sha256": 64, "sha512": 128, "sha1": 40, "md5": 32}

ENOUGH = 8
"""Files of a folder without a side-car after which no more are asked for."""

ASKED = 2
"""Sources that are asked for one side-car, where the first has none or can't be reached."""


class Folders:
    """In which folders files have side-cars: where the first few have none, no more are asked for."""

    def __init__(self) -> None:
        self._missing: dict[str, int] = {}
        self._found: set[str] = set()

    def worth_asking(self, url: str) -> bool:
        """Whether to ask for the side-car of a file."""
        folder = _folder(url)
        return folder in self._found or self._missing.get(folder, 0) < ENOUGH

    def learn(self, url: str, had_one: bool, files: int = 1) -> None:
        """A file has one, or so many of its folder have none."""
        folder = _folder(url)
        if had_one:
            self._found.add(folder)
        else:
            self._missing[folder] = self._missing.get(folder, 0) + files


def _folder(url: str) -> str:
    return url.rpartition("/")[0]


_BSD = re.compile(r"([A-Za-z0-9-]+) \((.+)\) = ([0-9A-Fa-f]+)")
_PLAIN = re.compile(r"\\?([0-9A-Fa-f]+)(?:[ \t]+\*?(.+))?")


def sidecar_url(url: str, ending: str) -> str:
    """The URL of a side-car: the ending goes behind the path, query and fragment stay."""
    found = re.fullmatch(r"([^?#]*)([?#].*)?", url, re.DOTALL)
    assert found is not None
    return f"{found[1]}{ending}{found[2] or ''}"


def digest_in(text: str, algorithm: str, name: str) -> str | None:
    """The digest of `name` that a side-car tells; None where it tells none."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        digest, of = _read(line, algorithm)
        if digest is None or len(digest) != DIGITS[algorithm]:
            continue
        if of is None:
            return digest.lower() if len(lines) == 1 else None
        if of.rpartition("/")[2] == name:
            return digest.lower()
    return None


def _read(line: str, algorithm: str) -> tuple[str | None, str | None]:
    """A digest, and the name that it is of (None: it doesn't say)."""
    if found := _BSD.fullmatch(line):
        return (found[3] if found[1].lower().replace("-", "") == algorithm else None), found[2]
    if found := _PLAIN.fullmatch(line):
        return found[1], found[2]
    return None, None
