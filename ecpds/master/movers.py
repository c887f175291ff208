"""The movers that a Master knows, and how full their volumes were when it last looked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from random import Random

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ecpds.errors import NoSpace, NotFound, Refusal, Unavailable
from ecpds.interfaces import IMoverControl
from ecpds.limits import Limits
from ecpds.master.placement import DEFAULT_GROUP, NO_READS, Candidate, Placer, Wanted
from ecpds.master.shared import Rounds
from ecpds.model import Placement, Room, VolumeUse

NAMED = 5
"""Movers that a refusal names at most."""

LOOK = 5.0
"""Seconds between two looks at the volumes."""

FRESH = 0.1
"""Seconds that the facts of the movers are taken as they were, so that a placement does not ask a thousand of them."""


@frozen
class Facts:
    """What is known of a mover beside its volumes. `volumes` where it says by itself how full they are.

    `standing` is a word for operators; only one that is `present` is given anything new.
    """

    group: str = DEFAULT_GROUP
    present: bool = True
    standing: str = "alive"
    reads: Mapping[int, int] = NO_READS
    volumes: Sequence[VolumeUse] | None = None
    cluster: str = ""
    weight: int = 1


class Duty(Enum):
    """`DRAINING`: nothing new, and what it has is read. `RETIRING`: and is moved away. `RETIRED`: it had nothing left."""

    OPEN = "open"
    DRAINING = "draining"
    RETIRING = "retiring"
    RETIRED = "retired"


@frozen
class Known:
    """A mover that was registered."""

    control: IMoverControl
    facts: Callable[[], Facts] = field(repr=False)


class Movers:
    """Asks the movers how full they are, and places copies on them."""

    log = Logger()

    def __init__(self, clock: IReactorTime, random: Random, limits: Limits) -> None:
        self._placer = Placer(random, limits.free_space)
        self._near_file = limits.near_file
        self._volumes: dict[str, Sequence[VolumeUse]] = {}
        self._known: dict[str, Known] = {}
        self.duties: dict[str, Duty] = {}
        """What each mover is to do that was ever heard of (`roster`)."""
        self._clock = clock
        self._stale_at = 0.0
        self.controls: dict[str, IMoverControl] = {}
        self._look = Rounds("looking at the volumes", self._look_at_all, clock)

    @property
    def volumes(self) -> Mapping[str, Sequence[VolumeUse]]:
        return self._volumes

    def start(self) -> None:
        self._look.start(LOOK, now=False)

    def stop(self) -> None:
        self._look.end()

    def register(self, control: IMoverControl, facts: Callable[[], Facts] = Facts) -> None:
        """A mover is there, or there again; `facts` says how it is at any time, without waiting."""
        self.controls[control.name] = control
        self._known[control.name] = Known(control, facts)
        self._stale_at = 0.0

    def set_duty(self, name: str, duty: Duty) -> None:
        """Give a mover nothing new, or something again."""
        self._stale_at = 0.0
        self.duties[name] = duty

    @property
    def names(self) -> Sequence[str]:
        """Those that operators see: all but who was retired and has gone."""
        seen = {*self.duties, *self._known}
        return sorted(name for name in seen if self.duties.get(name) is not Duty.RETIRED or self._facts(name).present)

    def about(self, name: str) -> Mapping[str, object]:
        """What operators see of a mover beside its volumes. Raises `NotFound`."""
        if name not in self._known and name not in self.duties:
            raise NotFound(f"mover {name}")
        facts, duty = self._facts(name), self.duties.get(name, Duty.OPEN)
        return {
            "group": facts.group if name in self._known else None,
            "standing": facts.standing,
            "draining": duty is not Duty.OPEN,
            "retired": duty is Duty.RETIRED,
            "reads": sum(facts.reads.values()),
        }

    def is_present(self, name: str) -> bool:
        """Whether a mover can be asked for something."""
        return name in self.controls and self._facts(name).present

    def group(self, name: str) -> str:
        """The transfer group that a mover says it is of."""
        return self._facts(name).group

    def _facts(self, name: str) -> Facts:
        """One that only the catalogue knows was not heard of since the Master's start."""
        known = self._known.get(name)
        return Facts(present=False, standing="gone") if known is None else known.facts()

    async def place(
        self, copies: int, size: int, group: str | None = None, caller: str = "", avoid: Sequence[str] = ()
    ) -> tuple[Placement, ...]:
        """Raises `NoSpace`, but not before it has looked again; `Unavailable` where one that is away may have room."""
        near = self._near(caller, size)
        wanted = Wanted(copies, size, group=group, caller=caller, preferred=near, avoid=frozenset(avoid))
        if self._clock.seconds() >= self._stale_at:
            self._refresh()
        try:
            return self._placer.place(wanted)
        except NoSpace:
            await self._look.run()
        self._refresh()
        try:
            return self._placer.place(wanted)
        except NoSpace:
            away = [name for name, duty in self.duties.items() if duty is Duty.OPEN and not self._facts(name).present]
            if away:
                raise Unavailable(f"movers are away: {', '.join(away[:NAMED])}") from None
            raise

    def takes_now(self, group: str | None, caller: str) -> bool:
        """Whether `place_now` of a small file would say where it goes."""
        if len(self._known) == 1:
            return caller in self._known
        return self.place_now(1, group, caller) is not None

    def place_now(self, size: int, group: str | None, caller: str) -> Placement | None:
        """Where one copy goes, if there is but one mover, or the file is small and the mover of its client's node can take it:
        then it is nobody else's turn. None: this must be asked for. It does not count as under way: it is stored at once."""
        near = self._near(caller, size)
        if caller not in self._known or (near is None and len(self._known) != 1):
            return None
        if self._clock.seconds() >= self._stale_at:
            self._refresh()
        try:
            (place,) = self._placer.find(Wanted(1, size, group=group, caller=caller, preferred=near))
        except (NoSpace, NotFound):
            return None
        return place if place.mover == caller else None

    def _near(self, caller: str, size: int) -> str | None:
        """The mover that a file of a known size should go to."""
        return caller if 0 < size <= self._near_file else None

    async def room(self, groups: Collection[str | None], copies: int) -> Room:
        """What is left for new files of these transfer groups together, each kept in that many copies."""
        if self._clock.seconds() >= self._stale_at:
            self._refresh()
        found = self._placer.room(groups)
        if not found.total:
            await self._look.run()
            self._refresh()
            found = self._placer.room(groups)
        return Room(found.total // copies, found.free // copies)

    def began(self, places: Sequence[Placement]) -> None:
        """Something is being stored there that was not placed; `ended` follows."""
        self._placer.began(places)

    def ended(self, places: Sequence[Placement]) -> None:
        """What was to be stored there is, or came to nothing."""
        self._placer.ended(places)

    def _refresh(self) -> None:
        """Tell the placer how the movers are."""
        self._stale_at = self._clock.seconds() + FRESH
        for name, known in self._known.items():
            self._placer.know(self._candidate(name, known.facts()))

    def _candidate(self, name: str, facts: Facts) -> Candidate:
        volumes = self._volumes.get(name, ()) if facts.volumes is None else facts.volumes
        takes = facts.present and self.duties.get(name, Duty.OPEN) is Duty.OPEN
        return Candidate(name, volumes, facts.group, facts.cluster, facts.weight, facts.reads, takes)

    async def _look_at_all(self) -> None:
        for name, known in list(self._known.items()):
            if known.facts().volumes is None:
                await self._look_at(name, known.control)
        self._stale_at = 0.0

    async def _look_at(self, name: str, control: IMoverControl) -> None:
        try:
            self._volumes[name] = await control.volumes()
        except Refusal as refusal:
            self._volumes[name] = ()
            self.log.warn("mover {name} does not say how full it is: {refusal}", name=name, refusal=refusal)
        except Exception:
            self._volumes[name] = ()
            self.log.failure("mover {name} does not say how full it is", name=name)
