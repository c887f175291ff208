"""What the parts of one fetch share: its tools, its settings, and what is known of each source of one file."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Protocol

from attrs import Factory, define, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ecpds.datasources import Candidate
from ecpds.errors import (
    InvalidRequest,
    LoginFailed,
    NotFound,
    NotPermitted,
    NotSupported,
    PreconditionFailed,
    Refusal,
    TooLarge,
)
from ecpds.interfaces import IThreads
from ecpds.sources.fetch.pace import Paces
from ecpds.sources.fetch.settings import Settings
from ecpds.sources.mechanisms.base import About, IExternal, IMechanism

FINAL = (NotFound, NotPermitted, LoginFailed, InvalidRequest, NotSupported, TooLarge, PreconditionFailed)
"""Refusals that asking again does not change."""


class Buffers(Protocol):
    """Where bulk buffers come from: `transports.buffers.BufferPool`."""

    async def acquire(self, size: int) -> memoryview: ...

    def release(self, buffer: memoryview) -> None: ...


@frozen(eq=False)
class Tools:
    """What every file of a run is fetched with."""

    native: Mapping[str, IMechanism]
    external: Mapping[str, IExternal]
    paces: Paces
    threads: IThreads
    buffers: Buffers
    clock: IReactorTime
    random: Random
    settings: Settings

    async def pause(self, seconds: float) -> None:
        """Wait."""
        waiter: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self.clock.callLater(seconds, waiter.callback, None)
        await waiter

    @property
    def mechanisms(self) -> frozenset[str]:
        """What can be run here."""
        return frozenset((*self.native, *self.external))


class LocalTrouble(Exception):
    """What went wrong is ours, such as a full disk: no other source would do better."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class WrongFile(Refusal):
    """The source has another file than the one that is wanted."""


@define(eq=False)
class Source:
    """What is known of one candidate, in one file. `dead` says why it is not asked again; `doubted`: it disagrees with the
    others, and nobody knows yet who is right. `spans` are what came of it."""

    candidate: Candidate
    connections: int = 0
    tried: bool = False
    strikes: int = 0
    dead: str = ""
    wrong: bool = False
    doubted: bool = False
    proven: bool = False
    about: About | None = None
    bytes: int = 0
    seconds: float = 0.0
    since: float = 0.0
    reason: str = ""
    refusal: Refusal | None = None
    spans: list[tuple[int, int]] = Factory(list)

    def joined(self, now: float) -> None:
        """A connection more."""
        if not self.connections:
            self.since = now
        self.connections += 1
        self.tried = True

    def left(self, now: float) -> None:
        """A connection less."""
        self.connections -= 1
        if not self.connections:
            self.seconds += now - self.since

    def struck(self, refusal: Refusal, tries: int) -> None:
        """It failed once."""
        self.strikes += 1
        self.refusal, self.reason = refusal, refusal.sentence
        if isinstance(refusal, FINAL) or self.strikes >= tries:
            self.dead = self.reason
        if isinstance(refusal, WrongFile):
            self.dead, self.wrong = self.reason, True
