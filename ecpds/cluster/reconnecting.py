"""Staying connected: a machine that connects, waits after a failure or a loss, longer each time, and tries again."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from automat import TypeMachineBuilder
from twisted.internet.interfaces import IDelayedCall, IReactorTime

FIRST = 0.25
"""Seconds after the first failure; each further one doubles them."""

LONGEST = 8.0
"""Seconds at most."""


class Inputs(Protocol):
    """What can happen."""

    def start(self) -> None:
        """Begin to connect."""

    def made(self) -> None:
        """The connection stands, and who is there has greeted."""

    def failed(self) -> None:
        """It could not be made."""

    def lost(self) -> None:
        """It stood, and is gone."""

    def retry(self) -> None:
        """Waited long enough."""

    def stop(self) -> None:
        """Never again."""


class Waiting:
    """What the machine does: `connect` begins an attempt, whose end is told to the machine."""

    def __init__(self, clock: IReactorTime, random: Random, connect: Callable[[], None]) -> None:
        self._clock = clock
        self._random = random
        self._connect = connect
        self._failures = 0
        self._timer: IDelayedCall | None = None

    def try_now(self) -> None:
        self._connect()

    def rest(self, retry: Callable[[], None]) -> None:
        """Between half and the whole of the time, so that a fleet does not come back all at once."""
        longest = min(LONGEST, FIRST * 2.0 ** min(self._failures, 30))
        self._failures += 1
        self._timer = self._clock.callLater(longest * (0.5 + self._random.random() / 2), retry)

    def succeeded(self) -> None:
        self._failures = 0

    def end(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()


_builder = TypeMachineBuilder(Inputs, Waiting)
_idle = _builder.state("idle")
_connecting = _builder.state("connecting")
_connected = _builder.state("connected")
_waiting = _builder.state("waiting")
_stopped = _builder.state("stopped")


@_idle.upon(Inputs.start).to(_connecting)
def _begin(inputs: Inputs, core: Waiting) -> None:
    core.try_now()


@_connecting.upon(Inputs.made).to(_connected)
def _up(inputs: Inputs, core: Waiting) -> None:
    core.succeeded()


@_connecting.upon(Inputs.failed).to(_waiting)
def _could_not(inputs: Inputs, core: Waiting) -> None:
    core.rest(inputs.retry)


@_connected.upon(Inputs.lost).to(_waiting)
def _down(inputs: Inputs, core: Waiting) -> None:
    core.rest(inputs.retry)


@_waiting.upon(Inputs.retry).to(_connecting)
def _again(inputs: Inputs, core: Waiting) -> None:
    core.try_now()


for _state in (_idle, _connecting, _connected, _waiting):

    @_state.upon(Inputs.stop).to(_stopped)
    def _end(inputs: Inputs, core: Waiting) -> None:
        core.end()


for _input in (Inputs.made, Inputs.failed, Inputs.lost, Inputs.retry, Inputs.stop):
    _stopped.upon(_input).loop().returns(None)

Reconnecting = _builder.build()
"""`Reconnecting(Waiting(...))` has the inputs as its methods."""
