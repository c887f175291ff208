"""What a Master tells of the room that destinations have left, and of what they hold."""

from __future__ import annotations

from collections.abc import Sequence

from ecpds.errors import NotFound
from ecpds.master import holdings
from ecpds.master.holdings import Cap, caps_of
from ecpds.master.movers import Movers
from ecpds.master.reader import Reader
from ecpds.master.sql import Session
from ecpds.master.usage import Usages
from ecpds.model import EMPTY, Destination, Room, Usage


def left_of(session: Session, caps: Sequence[Cap], room: Room) -> Room:
    """The room that destinations have together whose quotas are these."""
    total = left = 0
    for cap in caps:
        if cap.size is None:
            return room
        total += cap.size
        left += max(0, cap.size - holdings.held(session, cap).size)
    return Room(min(total, room.total), min(left, room.free))


class Figures:
    """A part of `IMaster`: the room that destinations have left, and what they hold. The attributes are the Master's."""

    movers: Movers
    reader: Reader
    usages: Usages
    _destinations: dict[str, Destination]

    def destination(self, name: str) -> Destination:
        raise NotImplementedError

    async def room(self, destinations: Sequence[str]) -> Room:
        there = [self._destinations[name] for name in destinations if name in self._destinations]
        if not there:
            raise NotFound
        room = await self.movers.room({each.group for each in there}, max(each.copies for each in there))
        caps = [cap for each in there for cap in caps_of(0, EMPTY, each)]
        if len(caps) < len(there):
            return room
        return await self.reader.ask_on_thread(lambda session: left_of(session, caps, room))

    async def usage(self, destination: str) -> Usage | None:
        return await self.usages.of(self.destination(destination))
