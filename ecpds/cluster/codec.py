"""What crosses the control link, as bytes: batches of requests and answers in MessagePack, by the schema of our records.

A batch holds items in the order in which they are to be begun. A request is a call's name and its arguments; an answer
is a result or a refusal by name, under the request's number. What a call takes and returns is said once, by the
annotations of its stub (`calls`); whatever does not fit them is `InvalidRequest`. An item that is too long for one batch
(the parts of a large upload, a file in thousands of segments with a ticket for each) crosses in pieces, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ecpds.errors import InvalidRequest, Refusal, Unavailable
from ecpds.packing import REFUSALS, encoder

VERSION = 9
"""The version of all that is said over the link and the stream. Both ends must have the same."""

BATCH = 512 * 1024
"""Bytes of one batch at most: Perspective Broker takes 640 KiB, and a longer answer would end the connection."""

ITEM = 448 * 1024
"""Bytes of a piece, and of arguments or a result that cross in one."""

LARGEST = 16 << 20
"""Bytes of one item's arguments or result at most: 10,000 parts of an upload, with all their digests, are a fifth of it."""

OVERHEAD = 64
"""Bytes that an item has at most beside its arguments, result or texts."""

TEXT = 4096
"""Characters of a refusal's texts that are handed on."""


class Ask(msgspec.Struct, array_like=True, tag="ask", frozen=True):
    """A request. `arguments` is the encoded tuple of them."""

    id: int
    call: str
    arguments: msgspec.Raw

    @property
    def size(self) -> int:
        return memoryview(self.arguments).nbytes + len(self.call) + OVERHEAD


class Answer(msgspec.Struct, array_like=True, tag="answer", frozen=True):
    """What a request came to."""

    id: int
    result: msgspec.Raw

    @property
    def size(self) -> int:
        return memoryview(self.result).nbytes + OVERHEAD


class Refused(msgspec.Struct, array_like=True, tag="refused", frozen=True):
    """Why a request was refused: the class of `ecpds.errors` by its name, and its two texts."""

    id: int
    refusal: str
    detail: str
    reason: str

    @property
    def size(self) -> int:
        return 4 * (len(self.detail) + len(self.reason)) + OVERHEAD


class Piece(msgspec.Struct, array_like=True, tag="piece", frozen=True):
    """Some of the bytes of an encoded item; with the `last` it is whole."""

    last: bool
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data) + OVERHEAD


Item = Ask | Answer | Refused
Crossing = Item | Piece


class Batch(msgspec.Struct, array_like=True, frozen=True):
    """Items in order. The sender needs no answer any more to its requests below `answered`, nor to those in `settled`."""

    answered: int
    settled: list[int]
    items: list[Crossing]


_batches = msgspec.msgpack.Decoder(Batch)


def encode(value: Any, most: int = LARGEST) -> bytes:
    """A result, or a tuple of arguments. Raises `InvalidRequest` for text that is no Unicode, `Unavailable` when too long."""
    try:
        data = encoder.encode(value)
    except (UnicodeEncodeError, OverflowError) as error:
        raise InvalidRequest("it holds what can't be sent") from error
    if len(data) > most:
        raise Unavailable(f"{len(data)} bytes are too many for one message")
    return data


def decode(data: bytes | msgspec.Raw, kind: Any) -> Any:
    """The value, which is of `kind`. Raises `InvalidRequest`."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        raise InvalidRequest(f"not what was expected: {error}") from error


def encode_batch(batch: Batch) -> bytes:
    return encoder.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """Raises `InvalidRequest`."""
    if len(data) > BATCH:
        raise InvalidRequest(f"{len(data)} bytes in one batch")
    try:
        return _batches.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"not a batch: {error}") from error


SETTLED = 4096
"""Numbers of settled requests that one batch names at most, nine bytes each."""

ROOM = BATCH - 9 * SETTLED - OVERHEAD


def in_pieces(item: Item) -> Iterable[Crossing]:
    """The item, or what crosses in its place."""
    if item.size <= ROOM:
        return (item,)
    data = encoder.encode(item)
    return (Piece(start + ITEM >= len(data), data[start : start + ITEM]) for start in range(0, len(data), ITEM))


class Joining:
    """Puts the pieces that come over one connection together."""

    def __init__(self) -> None:
        self._data = bytearray()

    def take(self, piece: Piece) -> Iterable[Item]:
        """The item, with its last piece. Raises `InvalidRequest`."""
        self._data += piece.data
        if len(self._data) > LARGEST + ITEM:
            raise InvalidRequest("an item that does not end")
        if not piece.last:
            return ()
        data, self._data = bytes(self._data), bytearray()
        return (decode(data, Item),)


def cut(items: Iterable[Crossing]) -> Iterator[list[Crossing]]:
    """Items in lists that each fit into a batch, in their order."""
    batch: list[Crossing] = []
    room = ROOM
    for item in items:
        if batch and item.size > room:
            yield batch
            batch, room = [], ROOM
        batch.append(item)
        room -= item.size
    if batch:
        yield batch


def refused(id_: int, refusal: Refusal) -> Refused:
    """A refusal as an item. A class that the other end can't know goes as the nearest one above it that it can."""
    known = next(kind.__name__ for kind in type(refusal).__mro__ if kind.__name__ in REFUSALS)
    return Refused(id_, known, _sendable(refusal.detail), _sendable(refusal.reason))


def refusal_of(item: Refused) -> Refusal:
    """The refusal of an item; one that is not known here is `Unavailable`."""
    return REFUSALS.get(item.refusal, Unavailable)(item.detail, item.reason)


def _sendable(text: str) -> str:
    return text[:TEXT].encode("utf-8", "backslashreplace").decode()[:TEXT]
