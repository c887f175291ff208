"""The movers that a Master knows, and how full their volumes were when it last looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ecpds.config import Limits
from ecpds.errors import NoSpace, Refusal
from ecpds.interfaces import IMoverControl
from ecpds.master.placement import place
from ecpds.master.shared import Shared
from ecpds.model import Placement, VolumeUse

LOOK = 5.0
"""Seconds between two looks at the volumes."""


class Movers:
    """Asks the movers how full they are, and places copies on them."""

    log = Logger()

    def __init__(self, clock: IReactorTime, random: Random, limits: Limits) -> None:
        self._clock = clock
        self._random = random
        self._limits = limits
        self._volumes: dict[str, Sequence[VolumeUse]] = {}
        self.controls: dict[str, IMoverControl] = {}
        self._look: Shared[None] = Shared("looking at the volumes", self._look_at_all)
        self._loop = LoopingCall(self._look.begin)
        self._loop.clock = clock

    @property
    def volumes(self) -> Mapping[str, Sequence[VolumeUse]]:
        return self._volumes

    def start(self) -> None:
        self._loop.start(LOOK, now=False)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def register(self, control: IMoverControl) -> None:
        self.controls[control.name] = control

    async def place(self, copies: int, size: int) -> tuple[Placement, ...]:
        """Raises `NoSpace`, but not before it has looked again."""
        try:
            return place(self._volumes, copies, size, self._limits.free_space, self._random)
        except NoSpace:
            await self._look.run()
        return place(self._volumes, copies, size, self._limits.free_space, self._random)

    async def _look_at_all(self) -> None:
        for name, control in list(self.controls.items()):
            try:
                self._volumes[name] = await control.volumes()
            except Refusal as refusal:
                self._volumes[name] = ()
                self.log.warn("mover {name} does not say how full it is: {refusal}", name=name, refusal=refusal)
            except Exception:
                self._volumes[name] = ()
                self.log.failure("mover {name} does not say how full it is", name=name)
