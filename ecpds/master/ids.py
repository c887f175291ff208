"""DataFileIDs, from blocks that are reserved ahead and durably: after a crash the rest of a block is skipped, never reused."""

from __future__ import annotations

from sqlalchemy import insert, select, update

from ecpds.master.schema import sequence
from ecpds.master.shared import Shared
from ecpds.master.sql import Session, Statement, value
from ecpds.master.writer import Writer

BLOCK = 1000
NAME = "data_file"

_NEXT = Statement(select(sequence.c.next).where(sequence.c.name == value("sequence")))
_BEGIN = Statement(insert(sequence).values(name=value("sequence"), next=value("first")))
_RESERVE = Statement(update(sequence).where(sequence.c.name == value("sequence")).values(next=value("first")))


def reserve(session: Session, floor: int) -> int:
    """Reserve a block of ids, all of them at least `floor`; returns the first."""
    row = session.row(_NEXT, sequence=NAME)
    first = max(row[0] if row else 1, floor)
    session.run(_RESERVE if row else _BEGIN, sequence=NAME, first=first + BLOCK)
    return first


class Ids:
    """Hands out ids. The next block is reserved when half of one is left, so that nobody waits for it."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._blocks: list[range] = []
        self._floor = 1
        self._more = Shared("reserving DataFileIDs", self._reserve)

    async def take(self) -> int:
        """An id that nobody had. Raises `Unavailable` when none can be reserved."""
        while not self._blocks:
            await self._more.run()
        block = self._blocks[0]
        if len(block) > 1:
            self._blocks[0] = block[1:]
        else:
            del self._blocks[0]
        if len(block) == BLOCK // 2 and len(self._blocks) == 1 and not self._more.running:
            self._more.begin()
        return block[0]

    def pass_over(self, id_: int) -> None:
        """Never hand out `id_`, or one below it."""
        self._floor = max(self._floor, id_ + 1)
        left = (range(max(block.start, self._floor), block.stop) for block in self._blocks)
        self._blocks = [block for block in left if block]

    async def _reserve(self) -> None:
        first = await self._writer.run(lambda session: reserve(session, self._floor))
        self._blocks.append(range(first, first + BLOCK))
        self.pass_over(self._floor - 1)
