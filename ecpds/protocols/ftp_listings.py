"""What LIST, NLST and MLSD name: a directory, one file, or what a wildcard matches; read and sent a page at a time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence

from attrs import frozen

from ecpds.model import Entry, Page
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols.wildcards import WILDCARD, matching

OPTIONS = re.compile(r"(?:-\S*(?:\s+|$))*")
"""What clients put before the path, such as `-la`; the listing is always the same."""


def without_options(argument: str) -> str:
    """The path in the argument of LIST or NLST. A name that begins with `-` is written `./-name`."""
    found = OPTIONS.match(argument)
    return argument[found.end() :] if found else argument


def _everything(entry: Entry) -> bool:
    return True


@frozen
class Listing:
    """Entries to be listed: the first page is here, the others are read when their turn comes.

    `prefix` is what stands before each name, as the client said it, so that it can be used as a path (RFC 1123, 4.1.2.7).
    """

    files: IFileSystem
    path: str
    size: int
    first: Page
    prefix: str = ""
    wanted: Callable[[Entry], bool] = _everything

    async def pages(self) -> AsyncIterator[Sequence[Entry]]:
        page = self.first
        while True:
            yield [entry for entry in page.entries if self.wanted(entry)]
            if page.after is None:
                return
            page = await self.files.list(self.path, page.after, self.size)


async def directory_listing(files: IFileSystem, path: str, size: int, prefix: str = "") -> Listing:
    """The directory at `path`, `size` entries at a time. Raises what `IFileSystem.list` does."""
    return Listing(files, path, size, await files.list(path, None, size), prefix)


async def any_listing(files: IFileSystem, path: str, said: str, size: int) -> Listing:
    """What is at `path`, which the client said as `said`, or what it matches where its last segment has a wildcard.

    A name that looks like a wildcard matches itself. The cost is at most that of listing one directory.
    """
    folder, _, name = path.rpartition("/")
    if WILDCARD.search(name):
        return await _matching(files, folder or "/", name, _folder(said), size)
    entry = await files.find(path, "dir")
    if entry is not None and not entry.is_directory:
        return Listing(files, path, size, Page((entry,)), _folder(said))
    return await directory_listing(files, path, size, f"{said.rstrip('/')}/" if said.strip("/") else said)


async def _matching(files: IFileSystem, directory: str, pattern: str, prefix: str, size: int) -> Listing:
    named = matching(pattern)
    return Listing(files, directory, size, await files.list(directory, None, size), prefix, lambda entry: named(entry.name))


def _folder(said: str) -> str:
    """What stands before the last name in a path."""
    head, slash, _ = said.rpartition("/")
    return head + slash
