"""Where acquired files go: the portal, by the push that any user makes, so nothing half is ever seen."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from io import FileIO
from pathlib import Path
from typing import Protocol

from zope.interface import implementer

from ecpds.errors import Unavailable
from ecpds.interfaces import IByteSource, IThreads
from ecpds.model import Entry, Identity, Origin
from ecpds.portal_interfaces import IPortal
from ecpds.sources.fetch.outcomes import Outcome
from ecpds.terms import Terms
from ecpds.waiting import undisturbed

PROTOCOL = "acquire"
"""What records call the way by which these files come in."""


class Shelf(Protocol):
    """Where files are put."""

    async def put(self, login: str, path: str, outcome: Outcome) -> Entry:
        """Publish a fetched file at `path`, as that user. Raises as `IFileSystem.open_write` and `IUpload.commit` do."""


@implementer(IByteSource)
class FileSource:
    """The bytes of an open file, read on a thread."""

    def __init__(self, threads: IThreads, fd: int) -> None:
        self._threads = threads
        self._fd = fd
        self._offset = 0

    async def read_into(self, view: memoryview) -> int:
        try:
            count: int = await undisturbed(self._threads.run(os.preadv, self._fd, [view], self._offset))
        except OSError as error:
            raise Unavailable(f"what was fetched can't be read: {error.strerror}") from error
        self._offset += count
        return count


class PortalShelf:
    """Pushes as a user; `user_id` gives the id of a login, and raises `NotFound`."""

    def __init__(self, portal: IPortal, user_id: Callable[[str], Awaitable[int]], threads: IThreads, node: str) -> None:
        self._portal = portal
        self._user_id = user_id
        self._threads = threads
        self._node = node

    async def put(self, login: str, path: str, outcome: Outcome) -> Entry:
        # The user has only a number here; what it may do is asked for each time.
        user = Identity(await self._user_id(login), login, frozenset(), ())
        files = await self._portal.resume(user, Origin(PROTOCOL, "", self._node))
        expected = {"sha256": outcome.sha256} if outcome.sha256 else {}
        upload = await files.open_write(path, outcome.size, Terms(expected=expected))
        try:
            await self._send(upload.receive, outcome.path)
            entry: Entry = await upload.commit()
        except BaseException as reason:
            await upload.abort(reason)
            raise
        return entry

    async def _send(self, receive: Callable[[IByteSource], Awaitable[int]], path: Path) -> None:
        with await self._threads.run(_opened, path) as file:
            await receive(FileSource(self._threads, file.fileno()))


def _opened(path: Path) -> FileIO:
    """An object, not a number: it closes itself where nobody waits for it any more."""
    return FileIO(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
