"""What operators ask at a node that is no Master: the request goes to the Master, and its answer comes back whole.

The node passes on the path and the JSON of the arguments; the Master answers as it would at its own socket. The manhole's
verbs go the same way (`operator_elsewhere`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from zope.interface import implementer

from ecpds.admin.api import JSON, JSON_LINES, PREFIX, line, read_all
from ecpds.admin.verb import ARGUMENTS, Verb
from ecpds.admin.verbs import VERBS
from ecpds.errors import Refusal, TooLarge
from ecpds.http.message import Handler, Headers, Request, Response
from ecpds.http.replies import STATUS
from ecpds.interfaces import IByteSink, IByteSource

ANSWER = 400 * 1024
"""Bytes of an answer that is passed on at most."""

AT_THE_MASTER = "what is asked, or the answer, is too long to be passed on: ask at the Master"

Operate = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]
"""Asks the Master: a path and the JSON of arguments, the status and the bytes of the answer."""


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
            raise TooLarge(AT_THE_MASTER)
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


def passing_on(operate: Operate, here: Handler) -> Handler:
    """A handler that asks the Master; what is the node's own to say is asked `here`."""
    local = {f"{PREFIX}{'/'.join(verb.words)}" for verb in VERBS if verb.local}

    async def handle(request: Request) -> Response:
        if request.path in local:
            return await here(request)
        try:
            status, data = await operate(request.path, await read_all(request.body, request.length))
        except Refusal as refusal:
            return Response(STATUS[type(refusal)], [JSON], line({"error": refusal.sentence}))
        # A list has a line for each object; one object is one line too, so either name is true of it.
        return Response(status, [JSON_LINES if status == 200 else JSON], data)

    return handle


def operator_elsewhere(operate: Operate, here: Any) -> Any:
    """The operator's façade at a node that is no Master: each method of a verb asks the Master, and raises its refusal.

    `here` has the methods of local verbs.
    """
    names: Any = _MethodNames()
    methods = {str(verb.method(names)): verb.method(here) if verb.local else _asking(operate, verb) for verb in VERBS}
    return SimpleNamespace(**methods)


class _MethodNames:
    """A façade whose methods are their names: a verb, asked for its method, tells what it is called."""

    def __getattr__(self, name: str) -> str:
        return name


def _asking(operate: Operate, verb: Verb) -> Callable[..., Any]:
    async def ask(arguments: dict[str, Any]) -> bytes:
        body = json.dumps(arguments).encode("ascii")
        if len(body) > ARGUMENTS:
            raise TooLarge(AT_THE_MASTER)
        status, data = await operate(f"{PREFIX}{'/'.join(verb.words)}", body)
        if status != 200:
            raise refusal_that_says(json.loads(data)["error"])
        return data

    async def ask_for_one(**arguments: Any) -> Any:
        return json.loads(await ask(arguments))

    async def ask_for_many(**arguments: Any) -> AsyncIterator[Any]:
        for each in (await ask(arguments)).splitlines():
            yield json.loads(each)

    return ask_for_many if verb.many else ask_for_one


def refusal_that_says(sentence: str) -> Refusal:
    """The refusal whose sentence this is."""
    for kind in STATUS:
        own = kind().sentence
        if sentence == own:
            return kind()
        for before in filter(None, (own[:-1], kind.of_no_path)):
            if sentence.startswith(f"{before}: "):
                return kind(sentence[len(before) + 2 :])
        if kind.in_brackets and sentence.startswith(f"{own[:-1]} (") and sentence.endswith(")"):
            return kind(sentence[len(own) + 1 : -1])
    return Refusal(sentence)
