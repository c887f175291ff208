"""The operators' HTTP API: `POST /api/v1/NOUN/VERB` with a JSON object of arguments.

The answer is a JSON object, or JSON Lines where the verb answers a list; a refusal is `{"error": sentence}` with its
status. Who may reach it is decided by where it is mounted: the node's own socket, which only its user can open.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from ecpds.admin.verb import ARGUMENTS, Verb
from ecpds.admin.verbs import BY_PATH
from ecpds.errors import InvalidRequest, NotFound, Refusal, TooLarge
from ecpds.http.message import IBody, Request, Response
from ecpds.http.replies import STATUS
from ecpds.interfaces import IByteSink, IByteSource
from ecpds.portal.operator import Operator

PREFIX = "/api/v1/"

BLOCK = 1 << 14
"""About how many bytes of a list are written at a time."""

JSON = ("Content-Type", "application/json")
JSON_LINES = ("Content-Type", "application/jsonl")


class Api:
    """A handler of HTTP requests over an operator's façade."""

    log = Logger()

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def handle(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return Response(STATUS[type(refusal)], [JSON], line({"error": refusal.sentence}))
        except Exception:
            self.log.failure("{method} {path} failed", method=request.method, path=request.path)
            return Response(500, [JSON], line({"error": "The portal failed; its log says how."}))

    async def _answer(self, request: Request) -> Response:
        verb = BY_PATH.get(request.path.removeprefix(PREFIX))
        if verb is None or not request.path.startswith(PREFIX):
            raise NotFound("no such verb")
        arguments = verb.arguments_of(await self._arguments(request, verb.most))
        self.log.info("operator: {verb}", verb=verb.name)
        return await self._call(verb, arguments)

    async def _arguments(self, request: Request, most: int) -> dict[str, Any]:
        kind = request.headers.get("Content-Type") or ""
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise InvalidRequest("the arguments are not application/json")
        data = await read_all(request.body, request.length, most)
        try:
            given = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest("the arguments are not JSON") from error
        if not isinstance(given, dict):
            raise InvalidRequest("the arguments are not a JSON object")
        return given

    async def _call(self, verb: Verb, arguments: dict[str, Any]) -> Response:
        method = verb.method(self._operator)
        if not verb.many:
            return Response(200, [JSON], line(await method(**arguments)))
        objects: AsyncIterator[Any] = method(**arguments)
        # The first object tells whether the verb is refused, while there is still a status to say so.
        first = await anext(objects, None)
        return Response(200, [JSON_LINES], b"" if first is None else Lines(first, objects, 0 if verb.live else BLOCK))


@implementer(IBody)
class Lines:
    """A list as JSON Lines, made as it is sent, about `block` bytes at a time."""

    length = None

    def __init__(self, first: Any, rest: AsyncIterator[Any], block: int = BLOCK) -> None:
        self._first = first
        self._rest = rest
        self._block = block

    async def send(self, sink: IByteSink) -> None:
        block = bytearray(line(self._first))
        while True:
            if len(block) >= self._block:
                await sink.write(bytes(block))
                block.clear()
            each = await anext(self._rest, None)
            if each is None:
                break
            block += line(each)
        if block:
            await sink.write(bytes(block))

    def close(self, failure: BaseException | None = None) -> None:
        """Nothing is held."""


def line(value: Any) -> bytes:
    """One line of JSON, in ASCII: names may hold what a terminal obeys."""
    return json.dumps(value).encode("ascii") + b"\n"


async def read_all(source: IByteSource, length: int | None, most: int = ARGUMENTS) -> bytes:
    """A whole body of at most so many bytes. Raises `TooLarge`, before any of it is read where the length is known."""
    if length is not None and length > most:
        raise TooLarge
    data = bytearray()
    view = memoryview(bytearray(BLOCK))
    while count := await source.read_into(view):
        data += view[:count]
        if len(data) > most:
            raise TooLarge
    return bytes(data)
