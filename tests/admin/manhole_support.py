"""What the manhole's tests share: an operator's façade that remembers, a terminal in memory, a reactor turned by hand."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from queue import Empty, SimpleQueue
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from zope.interface import implementer

from ecpds.errors import AlreadyExists, NotFound

PATIENCE = 20.0
"""Seconds that a thread may take to do what it is waited for."""


class RecordingOperator:
    """The operator's façade as far as the verbs here need it; `calls` are what was asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.users = [{"login": "ann", "mode": "standard", "enabled": True, "destinations": ["demo"], "permissions": ["get"]}]
        self.never: Deferred[Any] = Deferred()

    async def add_user(self, **given: Any) -> dict[str, Any]:
        self.calls.append(("add_user", given))
        if given["login"] == "ann":
            raise AlreadyExists("ann")
        return {"login": given["login"], "enabled": True}

    async def list_users(self) -> AsyncIterator[dict[str, Any]]:
        for user in self.users:
            yield user

    async def list_events(self, **given: Any) -> AsyncIterator[dict[str, Any]]:
        self.calls.append(("list_events", given))
        for number in range(5000):
            yield {"Type": given.get("type", "INH"), "FileName": f"file {number}"}

    async def show_file(self, path: str) -> dict[str, Any]:
        raise NotFound(path)

    async def status(self) -> dict[str, Any]:
        return {"node": "node-1", "hostile": "\x1b[2J"}

    async def list_movers(self) -> AsyncIterator[dict[str, Any]]:
        """A question without an answer."""
        yield await self.never


@implementer(IReactorFromThreads)
class InlineReactor:
    """Whatever a thread asks of the reactor is done at once: there is no other thread."""

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        callable(*args, **kwargs)


@implementer(IReactorFromThreads)
class HandReactor:
    """Does what threads asked for when the test turns it."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[Callable[[], Any]] = SimpleQueue()

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._asked.put(lambda: callable(*args, **kwargs))

    def turn_until(self, done: Callable[[], object]) -> None:
        while not done():
            try:
                self._asked.get(timeout=PATIENCE)()
            except Empty:
                raise AssertionError("a thread did not do what it was waited for") from None


class MemoryTerminal:
    """A terminal that keeps what is written; `status` is what the console left with."""

    def __init__(self, term: str = "xterm", width: int = 80) -> None:
        self.term = term
        self.width = width
        self.written = b""
        self.status: int | None = None

    def write(self, data: bytes) -> None:
        self.written += data

    def leave(self, status: int) -> None:
        self.status = status

    @property
    def text(self) -> str:
        """What was written, without colours and movements of the cursor."""
        return re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", self.written.decode("utf-8")).replace("\r", "")
