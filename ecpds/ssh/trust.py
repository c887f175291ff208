"""Whose certificates let users in, and which keys no longer do: two files of the operator's, read at each login.

One lists the public keys of authorities, in the form of authorized_keys. The other lists what is revoked, a line each, in
the words of ssh-keygen(1), "KEY REVOCATION LISTS": `serial: 7` or `serial: 7-9`, `id: ann@laptop`, `key: ssh-ed25519 ...`,
or a public key alone. Where that file is missing or has a line that can't be read, nobody gets in with a key or a certificate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import frozen
from twisted.logger import Logger

from ecpds.interfaces import IThreads
from ecpds.ssh.authorized import BadLine, Unsafe, parse_line, parse_lines, read_file
from ecpds.ssh.certificates import Certificate
from ecpds.ssh.userkeys import UserKey

SERIALS = re.compile(r"\s*([0-9]{1,20})(?:\s*-\s*([0-9]{1,20}))?\s*")

Offered = UserKey | Certificate
"""What a client may log in with, if it can sign with it."""


@frozen
class Revoked:
    """Serial numbers and identities of certificates, and keys by their wire forms: users' and authorities'."""

    serials: tuple[range, ...] = ()
    ids: frozenset[str] = frozenset()
    keys: frozenset[bytes] = frozenset()

    def has(self, offered: Offered) -> bool:
        if isinstance(offered, UserKey):
            return offered.blob in self.keys
        if offered.key.blob in self.keys or offered.authority.blob in self.keys or offered.id in self.ids:
            return True
        return any(offered.serial in serials for serials in self.serials)


def parse_revoked(text: str) -> Revoked:
    """What the lines of the file say. Raises `BadLine`, with the line's number."""
    serials: list[range] = []
    ids: set[str] = set()
    keys: set[bytes] = set()
    for number, line in _lines(text):
        word, _, rest = line.partition(":")
        try:
            if word == "serial":
                serials.append(_serials(rest))
            elif word == "id":
                ids.add(rest.strip())
            else:
                keys.add(_key(rest if word == "key" else line))
        except BadLine as error:
            raise BadLine(f"line {number}: {error}") from error
    return Revoked(tuple(serials), frozenset(ids), frozenset(keys))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Each line that says something, with its number."""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, line


def _serials(text: str) -> range:
    found = SERIALS.fullmatch(text)
    if found is None:
        raise BadLine(f"{text.strip()!a} is no serial number, and no range of them")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def _key(line: str) -> bytes:
    found = parse_line(line)
    if found is None:
        raise BadLine("it is not a key")
    return found.key.blob


class Trust:
    """What `authorities` and `revoked` say of what clients offer; either may be None. `now` is the time since the epoch."""

    log = Logger()

    def __init__(self, authorities: Path | None, revoked: Path | None, threads: IThreads, now: Callable[[], float]) -> None:
        self._authorities = authorities
        self._revoked = revoked
        self._threads = threads
        self._now = now

    async def refusal(self, offered: Offered, user: str, address: str) -> str | None:
        """Why `user`, who comes from `address`, may not log in with that; None for a key that is not revoked, and for a
        certificate that is good. Whether a key is the user's is another question."""
        if isinstance(offered, Certificate):
            if self._authorities is None:
                return "Certificates are not accepted"
        elif self._revoked is None:
            return None
        reason: str | None = await self._threads.run(self._refusal, offered, user, address, self._now())
        return reason

    def _refusal(self, offered: Offered, user: str, address: str, now: float) -> str | None:
        """As `refusal`; reads the files."""
        if self._is_revoked(offered):
            return f"Revoked: {offered.fingerprint}"
        if not isinstance(offered, Certificate):
            return None
        reason = offered.refusal(user, address, now) if self._trusts(offered.authority) else "its authority is not trusted"
        return None if reason is None else f"{offered.fingerprint}: {reason}"

    def _is_revoked(self, offered: Offered) -> bool:
        if self._revoked is None:
            return False
        try:
            return parse_revoked(read_file(self._revoked, missing=None)).has(offered)
        except (BadLine, Unsafe, OSError) as error:
            self.log.error("{path}: no key lets anybody in: {reason}", path=str(self._revoked), reason=str(error))
            return True

    def _trusts(self, authority: UserKey) -> bool:
        assert self._authorities is not None
        try:
            lines = list(parse_lines(read_file(self._authorities)))
        except (Unsafe, OSError) as error:
            self.log.error("{path} vouches for nobody: {reason}", path=str(self._authorities), reason=str(error))
            return False
        for number, line in lines:
            if isinstance(line, BadLine):
                self.log.warn(
                    "{path} line {number} vouches for nobody: {reason}",
                    path=str(self._authorities),
                    number=number,
                    reason=str(line),
                )
        return any(not isinstance(line, BadLine) and line.key == authority for _, line in lines)
