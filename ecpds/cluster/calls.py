"""A call over the link is written once: a stub, whose annotations are the schema of its arguments and its result.

    class RemoteThing(Remote):
        @call
        async def show(self, name: str) -> Entry: ...

At the other end `answer` decodes the arguments by the same stub, calls the method of that name on the real thing, and
encodes what it returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, get_type_hints, overload

from attrs import frozen
from msgspec import Raw

from ecpds.cluster.codec import ITEM, decode, encode
from ecpds.errors import InvalidRequest, Refusal, Unavailable

P = ParamSpec("P")
T = TypeVar("T")


class Asker(Protocol):
    """The near end of a link."""

    async def ask(self, call: str, arguments: bytes, repeatable: bool) -> Raw:
        """The encoded result. Raises the refusal that came instead, `Unavailable` where nobody answers."""


class Remote:
    """What is asked over a link. Its calls are known there by `prefix` and their names."""

    prefix = ""

    def __init__(self, link: Asker) -> None:
        self._link = link


Stub = Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]


@frozen
class Schema:
    """What a call takes and returns. `limit` is the place of the argument that says how much is wanted at most."""

    name: str
    arguments: Any
    result: Any
    limit: int | None


@overload
def call(stub: Stub[P, T]) -> Stub[P, T]: ...


@overload
def call(*, repeatable: bool = ..., unsendable: type[Refusal] = ...) -> Callable[[Stub[P, T]], Stub[P, T]]: ...


def call(
    stub: Stub[P, T] | None = None, *, repeatable: bool = False, unsendable: type[Refusal] = InvalidRequest
) -> Stub[P, T] | Callable[[Stub[P, T]], Stub[P, T]]:
    """Make a method of a `Remote` from its stub.

    `repeatable`: another Master may be asked when the first did not answer. `unsendable` is raised for arguments that
    can't be encoded.
    """

    def decorate(stub: Stub[P, T]) -> Stub[P, T]:
        signature = inspect.signature(stub)
        found: list[Schema] = []

        @wraps(stub)
        async def method(self: Any, *args: P.args, **named: P.kwargs) -> T:
            if not found:
                found.append(schema(method))
            bound = signature.bind(self, *args, **named)
            bound.apply_defaults()
            try:
                arguments = encode(tuple(bound.arguments.values())[1:])
            except InvalidRequest as error:
                raise unsendable(reason=error.detail) from error
            result: T = decode(await self._link.ask(self.prefix + found[0].name, arguments, repeatable), found[0].result)
            return result

        method.__dict__["repeatable"] = repeatable
        return cast(Stub[P, T], method)

    return decorate if stub is None else decorate(stub)


def schema(stub: Callable[..., Any]) -> Schema:
    """The schema that a stub's annotations say."""
    hints = get_type_hints(stub)
    result = hints.pop("return")
    names = [name for name in inspect.signature(stub).parameters if name != "self"]
    kinds = tuple(hints[name] for name in names)
    limit = names.index("limit") if "limit" in names else None
    return Schema(stub.__name__, tuple[kinds] if kinds else tuple[()], result, limit)  # type: ignore[valid-type]


def calls(remote: type[Remote]) -> dict[str, Schema]:
    """Every call of a remote, by the name it has on the link."""
    stubs = [value for value in vars(remote).values() if hasattr(value, "repeatable")]
    return {remote.prefix + stub.__name__: schema(stub) for stub in stubs}


async def _fitting(known: Schema, method: Callable[..., Awaitable[Any]], arguments: list[Any]) -> bytes:
    """What the method returns, encoded. Where that is too much for one batch and a `limit` was asked for, half of it."""
    while True:
        result = await method(*arguments)
        if known.limit is None or arguments[known.limit] <= 1:
            return encode(result)
        try:
            return encode(result, ITEM)
        except Unavailable:
            arguments[known.limit] //= 2


Handler = Callable[[bytes | Raw], Awaitable[bytes]]


def handlers(remote: type[Remote], real: Any) -> dict[str, Handler]:
    """What answers the calls of `remote` from `real`, by name."""

    def handler(known: Schema) -> Handler:
        method = getattr(real, known.name)

        async def handle(arguments: bytes | Raw) -> bytes:
            return await _fitting(known, method, list(decode(arguments, known.arguments)))

        return handle

    return {name: handler(known) for name, known in calls(remote).items()}
