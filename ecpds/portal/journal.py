"""One user's records: what was refused, and what was transferred, each written once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ecpds.errors import Refusal
from ecpds.events import Transfer, denial_event, transfer_event
from ecpds.interfaces import IEventSink
from ecpds.model import Copy, Identity, Origin, Placement
from ecpds.portal.paths import PATH_BYTES, CanonicalPath

Soon = Callable[[Callable[[], None]], object]
"""Calls what it is given, when who is served now has its answer."""


def at_once(work: Callable[[], None]) -> None:
    work()


def printable(text: str) -> str:
    """Text of a client's as a record can hold it: valid Unicode, no longer than a path may be."""
    return text[:PATH_BYTES].encode("utf-8", "backslashreplace").decode("utf-8")


def spoken(failure: BaseException) -> str:
    """A failure in words: a refusal's sentence, otherwise its kind and text."""
    return str(failure) if isinstance(failure, Refusal) else f"{type(failure).__name__}: {failure}"


class Journal:
    """Writes the records of one login."""

    def __init__(
        self, sink: IEventSink, now: Callable[[], float], identity: Identity, origin: Origin, running: set[TransferRecord]
    ) -> None:
        """`running` is the set that transfers under way are in."""
        self._sink = sink
        self.now = now
        self.running = running
        self._identity = identity
        self._origin = origin

    @property
    def login(self) -> str:
        return self._identity.login

    @property
    def origin(self) -> Origin:
        return self._origin

    def denied(self, action: str, path: str, refusal: Refusal) -> None:
        """The DEA record of a refusal after login; it says what was asked for."""
        login, origin = self._identity.login, self._origin
        message = f"{action} {printable(path)}: {refusal.sentence}"
        self._sink.record(denial_event(self.now(), login, message, origin.context(login), origin.address, origin.protocol))

    def transferred(self, record: TransferRecord, ended: float, failure: BaseException | None) -> None:
        origin = self._origin
        transfer = Transfer(
            action=record.action,
            destination=record.path.destination,
            path=record.path.inside,
            login=self._identity.login,
            protocol=origin.protocol,
            address=origin.address,
            node=record.place.mover,
            started=record.started,
            ended=ended,
            sent=record.sent,
            file_id=record.file_id,
            size=record.size,
            volume=record.place.volume,
            description=self._identity.comment,
            failure=spoken(failure) if failure else "",
        )
        self._sink.record(transfer_event(transfer))


class TransferRecord:
    """The INH record of one push or pull, from its beginning on; `end` writes it, the first time.

    `sent` counts the bytes that crossed, `size` is the whole file's where it is known.
    """

    def __init__(
        self, journal: Journal, action: str, path: CanonicalPath, file_id: int, size: int | None, place: Copy | Placement
    ) -> None:
        self.journal = journal
        self.action = action
        self.path = path
        self.file_id = file_id
        self.size = size
        self.place = place
        self.started = journal.now()
        self.sent = 0
        self.ended = False
        journal.running.add(self)

    def end(self, failure: BaseException | None = None, soon: Soon = at_once) -> None:
        """`soon` says when it is written; its times are those of now."""
        if not self.ended:
            self.ended = True
            self.journal.running.discard(self)
            soon(partial(self.journal.transferred, self, self.journal.now(), failure))
