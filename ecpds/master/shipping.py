"""Operations of the catalogue as bytes, and what became of them: what a Master and its companion say to each other.

A batch is groups of operations of one kind, in their order; the answer is an outcome for each operation in that order, and
what the companion had to say for the log. Both are MessagePack, after their length (four bytes, the highest first). Both
ends are of one installation and one start, so nothing has a version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec
from attrs import frozen
from msgspec import Raw

from ecpds.errors import Refusal
from ecpds.master.history import Records
from ecpds.master.publishing import Publication
from ecpds.model import Entry
from ecpds.packing import REFUSALS, encoder

PREFIX = 4
"""Bytes of a message's length."""


class NotPortable(Exception):
    """An operation holds what can't be said in bytes, such as text that is no Unicode."""


class OperationFailed(Exception):
    """An operation failed in the companion, and not by a refusal; the text is its error's."""


class Done(msgspec.Struct, array_like=True, tag=0, frozen=True):
    """It is committed. `brief` is what its Master doesn't know of the outcome."""

    brief: bool | int


class Refused(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """The class of `ecpds.errors` by its name, and its two texts."""

    refusal: str
    detail: str
    reason: str


class Failed(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """An error that is no refusal."""

    error: str


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """The outcomes of a batch, and lines for the log. The first answer of a companion is to nothing: it is ready."""

    outcomes: list[Done | Refused | Failed]
    lines: list[str]


@frozen
class _Kind:
    """`brief` says of an outcome what `whole` makes it anew from, where the operation is known."""

    operation: type
    brief: Callable[[Any], bool | int]
    whole: Callable[[Any, Any], Any]
    decoder: msgspec.msgpack.Decoder[Any]


def _kind(operation: type, brief: Callable[[Any], bool | int], whole: Callable[[Any, Any], Any]) -> _Kind:
    return _Kind(operation, brief, whole, msgspec.msgpack.Decoder(list[operation]))  # type: ignore[valid-type]


def _was_replaced(entry: Entry) -> bool:
    return entry.replaced


def _same(_: Records, day: int) -> int:
    return day


_KINDS = (_kind(Publication, _was_replaced, Publication.entry), _kind(Records, int, _same))
_NUMBERS = {kind.operation: number for number, kind in enumerate(_KINDS)}


_batches = msgspec.msgpack.Decoder(list[tuple[int, Raw]])
_answers = msgspec.msgpack.Decoder(Answer)


def is_portable(operation: object) -> bool:
    """Whether a companion knows operations of this kind."""
    return type(operation) in _NUMBERS


def message(data: bytes) -> bytes:
    """`data` after its length."""
    return len(data).to_bytes(PREFIX) + data


def messages(received: bytearray) -> Iterator[bytes]:
    """Those that are whole, which are taken from what was received."""
    while len(received) >= PREFIX:
        end = PREFIX + int.from_bytes(received[:PREFIX])
        if len(received) < end:
            return
        data = bytes(received[PREFIX:end])
        del received[:end]
        yield data


def batch(operations: Sequence[object]) -> bytes:
    """Portable operations. Raises `NotPortable`."""
    groups = [(_NUMBERS[kind], list(group)) for kind, group in groupby(operations, type)]
    try:
        return message(encoder.encode(groups))
    except (UnicodeEncodeError, OverflowError, NotImplementedError) as error:
        raise NotPortable(str(error)) from error


def operations_of(data: bytes) -> list[Any]:
    """The operations of a batch. Raises `msgspec.DecodeError`."""
    return [operation for kind, group in _batches.decode(data) for operation in _KINDS[kind].decoder.decode(group)]


def answer(operations: Sequence[object], outcomes: Sequence[Any], lines: Sequence[str]) -> bytes:
    """What became of a batch: of each operation what it returned, or the exception that it raised."""
    told = [_told(operation, outcome) for operation, outcome in zip(operations, outcomes, strict=True)]
    return message(encoder.encode(Answer(told, list(lines))))


def answer_of(data: bytes) -> Answer:
    """Raises `msgspec.DecodeError`."""
    return _answers.decode(data)


def outcomes_of(operations: Sequence[object], told: Answer) -> list[Any]:
    """What each operation returned, or the exception that it raised. Raises `ValueError` where their numbers differ."""
    return [_heard(operation, each) for operation, each in zip(operations, told.outcomes, strict=True)]


def _told(operation: object, outcome: Any) -> Done | Refused | Failed:
    if isinstance(outcome, Refusal) and type(outcome).__name__ in REFUSALS:
        return Refused(type(outcome).__name__, outcome.detail, outcome.reason)
    if isinstance(outcome, Exception):
        return Failed(f"{type(outcome).__name__}: {outcome}")
    return Done(_KINDS[_NUMBERS[type(operation)]].brief(outcome))


def _heard(operation: object, told: Done | Refused | Failed) -> Any:
    if isinstance(told, Done):
        return _KINDS[_NUMBERS[type(operation)]].whole(operation, told.brief)
    if isinstance(told, Refused):
        return REFUSALS[told.refusal](told.detail, told.reason)
    return OperationFailed(told.error)
