"""The verbs that tell a file's digest: HASH (draft-bryan-ftpext-hash-02) with its OPTS and RANG, and the older X verbs.

What the catalogue keeps costs nothing. What it does not keep is computed from the stored bytes, once, and then kept; a
digest of a part of a file is computed each time.
"""

from __future__ import annotations

import re

from ecpds.protocols.ftp_interpreter import EarlyReply, Handler, Interpreter
from ecpds.protocols.ftp_replies import Reply, reply
from ecpds.protocols.ftp_session import DIGEST_VERBS

HASHES = {"SHA-256": "sha256", "SHA-512": "sha512", "SHA-1": "sha1", "MD5": "md5", "CRC32": "crc32"}
"""The names that HASH has for digests, and the catalogue's."""

QUOTED = re.compile(r'"((?:[^"]|"")*)"(?:\s+(\d{1,18})\s+(\d{1,18}))?\s*', re.ASCII)
SPANNED = re.compile(r"(.*[^ ]) +(\d{1,18}) +(\d{1,18})", re.ASCII)


def choose(pi: Interpreter, value: str) -> Reply:
    """OPTS HASH: which digest HASH tells; without a name, which one that is now."""
    wanted = value.strip().upper() or shown(pi)
    if wanted not in HASHES:
        return reply(501, f"The digests are {', '.join(HASHES)}.")
    pi.session.digest = HASHES[wanted]
    return reply(200, wanted)


def shown(pi: Interpreter) -> str:
    return next(name for name, digest in HASHES.items() if digest == pi.session.digest)


async def tell(pi: Interpreter, argument: str) -> Reply:
    """HASH: of the whole file, or of the bytes that RANG chose."""
    span = pi.session.take_span()
    path = pi.session.resolve_file(argument)
    size = (await pi.files.stat(path)).size
    first, length = span or (0, size)
    digest = await pi.files.digest(path, pi.session.digest, first, None if span is None else length)
    last = max(first, min(first + length, size) - 1)
    return reply(213, f"{shown(pi)} {first}-{last} {digest} {argument}")


async def choose_span(pi: Interpreter, argument: str) -> Reply:
    """RANG (draft-bryan-ftp-range-08): the first and the last byte; `1 0` is the whole file again."""
    words = argument.split()
    if len(words) != 2 or not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        return reply(501, "RANG takes the numbers of the first and the last byte.")
    first, last = map(int, words)
    if (first, last) == (1, 0):
        pi.session.span = None
        return reply(350, "The next command is about the whole file.")
    if last < first:
        return reply(501, "The last byte is before the first.")
    pi.session.restart, pi.session.span = 0, (first, last - first + 1)
    return reply(350, f"The next command is about bytes {first} to {last}.")


def _x(name: str) -> Handler:
    async def tell_x(pi: Interpreter, argument: str) -> Reply:
        """A path, which may stand in quotes, and perhaps the first byte and the one behind the last."""
        said, first, end = _path_and_span(argument)
        length = None if end is None else max(0, end - first)
        digest = await pi.files.digest(pi.session.resolve_file(said), name, first, length)
        return reply(250, digest.upper())

    return tell_x


def _path_and_span(argument: str) -> tuple[str, int, int | None]:
    if not argument.startswith('"'):
        spanned = SPANNED.fullmatch(argument)
        return (spanned[1], int(spanned[2]), int(spanned[3])) if spanned else (argument, 0, None)
    found = QUOTED.fullmatch(argument)
    if found is None:
        raise EarlyReply(reply(501, "A path, and perhaps two numbers."))
    path = found[1].replace('""', '"')
    return (path, 0, None) if found[2] is None else (path, int(found[2]), int(found[3]))


HANDLERS: dict[str, Handler] = {
    "HASH": tell,
    "RANG": choose_span,
    **{verb: _x(name) for verb, name in DIGEST_VERBS.items()},
}
