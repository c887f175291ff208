"""A push that goes on where an earlier one broke off.

What is kept and what comes now are segments of their own. When the last one is stored, the whole is digested where it lies
and the Master makes a file of the segments, in order: no byte moves, and the name appears in one commit as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from attrs import evolve

from ecpds.errors import DigestMismatch, PreconditionFailed, TooLarge
from ecpds.interfaces import IByteSource
from ecpds.model import EMPTY, Completion, Entry, Partial, Segment
from ecpds.portal.journal import TransferRecord
from ecpds.portal.pace import Pace
from ecpds.portal.upload import Claim, Upload

Digests = Callable[[Sequence[Segment], Sequence[str], int, int], Awaitable[Mapping[str, str]]]


class ResumedUpload(Upload):
    """What `claim` is for, behind what is `kept`; `wanted` are the digests of the whole, and `digest` computes them.

    The whole is to have no more than `most` bytes; 0: any number.
    """

    def __init__(
        self,
        claim: Claim,
        record: TransferRecord,
        path: str,
        kept: Partial,
        wanted: Sequence[str],
        digest: Digests,
        most: int = 0,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(claim, record, path, pace)
        self._most = most
        self._request = claim.request
        self._kept = kept
        self._wanted = wanted
        self._digest = digest
        self._piece = claim.request.terms.expected

    async def receive(self, source: IByteSource, limit: int | None = None) -> int:
        room = self._most - self._kept.size - self._received if self._most else sys.maxsize
        wanted = sys.maxsize if limit is None else limit
        if wanted <= room:
            return await super().receive(source, limit)
        count = await super().receive(source, room)
        if count == room and await source.read_into(memoryview(bytearray(1))):
            raise TooLarge(f"more than {self._most} bytes")
        return count

    async def commit(self, expected: Mapping[str, str] = EMPTY) -> Entry:
        self._check_open()
        self._committing = True
        try:
            entry = await self._complete(expected)
        except BaseException as failure:
            await self._give_up(failure)
            raise
        self._record.size = entry.size
        self._record.end()
        return evolve(entry, path=self._path)

    async def _complete(self, expected: Mapping[str, str]) -> Entry:
        request = self._request
        await self._claim.publish(self._received, self._piece)
        # Asked for again: the bytes may be on several movers, and leave to read them is given with them.
        kept: Partial = await self._master.kept(request.user_id, request.destination, request.path, self._kept.id)
        if kept.size != self._kept.size + self._received:
            raise PreconditionFailed("the upload was gone on with elsewhere")
        digests = await self._digest(kept.segments, self._wanted, 0, kept.size)
        for name, value in expected.items():
            if digests.get(name) != value.lower():
                raise DigestMismatch(name)
        entry: Entry = await self._master.complete_upload(
            request.user_id,
            request.destination,
            request.path,
            self._kept.id,
            Completion(kept.parts, digests),
            request.terms.condition,
        )
        return entry
