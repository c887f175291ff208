"""What operators ask at a node that is no Master: the request goes to the Master, and its answer comes back whole.

The node passes on the path and the JSON of the arguments; the Master answers as it would at its own socket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from zope.interface import implementer

from ecpds.admin.api import JSON, JSON_LINES, line, read_all
from ecpds.errors import Refusal, TooLarge
from ecpds.http.message import Handler, Headers, Request, Response
from ecpds.http.replies import STATUS
from ecpds.interfaces import IByteSink, IByteSource

ANSWER = 400 * 1024
"""Bytes of an answer that is passed on at most."""


@implementer(IByteSource)
class Whole:
    """A body that is in memory."""

    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    async def read_into(self, view: memoryview) -> int:
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


@implementer(IByteSink)
class Kept:
    """An answer, kept in memory as far as it may be."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, data: bytes | memoryview) -> None:
        if len(self.data) + len(data) > ANSWER:
            raise TooLarge("the answer is too long to be passed on: ask at the Master")
        self.data += data

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        raise TooLarge("files are not passed on")


async def answered(handle: Handler, path: str, body: bytes) -> tuple[int, bytes]:
    """The status and the bytes that `handle` answers a request that was passed on."""
    headers = Headers([("Content-Type", "application/json")])
    request = Request("POST", path.encode(), path, "", headers, "HTTP/1.1", "", False, len(body), Whole(body))
    response = await handle(request)
    if isinstance(response.body, bytes):
        return response.status, response.body
    kept = Kept()
    await response.body.send(kept)
    response.body.close()
    return response.status, bytes(kept.data)


def passing_on(operate: Callable[[str, bytes], Awaitable[tuple[int, bytes]]]) -> Handler:
    """A handler that asks the Master."""

    async def handle(request: Request) -> Response:
        try:
            status, data = await operate(request.path, await read_all(request.body, request.length))
        except Refusal as refusal:
            return Response(STATUS[type(refusal)], [JSON], line({"error": refusal.sentence}))
        # A list has a line for each object; one object is one line too, so either name is true of it.
        return Response(status, [JSON_LINES if status == 200 else JSON], data)

    return handle
