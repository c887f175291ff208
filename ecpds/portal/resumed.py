"""A push that goes on where an earlier one broke off.

What is kept and what comes now are segments of their own. When the last one is stored, the whole is digested where it lies
and the Master makes a file of the segments, in order: no byte moves, and the name appears in one commit as ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from attrs import evolve

from ecpds.errors import DigestMismatch
from ecpds.model import EMPTY, Completion, Entry, Partial, Segment, UploadPart
from ecpds.portal.journal import TransferRecord
from ecpds.portal.upload import Claim, Upload

Digests = Callable[[Sequence[Segment], Sequence[str], int, int], Awaitable[Mapping[str, str]]]


class ResumedUpload(Upload):
    """What `claim` is for, behind what is `kept`; `wanted` are the digests of the whole, and `digest` computes them."""

    def __init__(
        self,
        claim: Claim,
        record: TransferRecord,
        path: str,
        kept: Partial,
        wanted: Sequence[str],
        digest: Digests,
    ) -> None:
        super().__init__(claim, record, path)
        self._request = claim.request
        self._kept = kept
        self._wanted = wanted
        self._digest = digest
        self._piece = claim.request.expected

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
        stored = (await self._claim.publish(self._received, self._piece)).file
        assert stored is not None
        parts = (*self._kept.parts, UploadPart(len(self._kept.parts) + 1, stored.id, stored.size))
        segments = (*self._kept.segments, *stored.segments)
        digests = await self._digest(segments, self._wanted, 0, sum(part.size for part in parts))
        for name, value in expected.items():
            if digests.get(name) != value.lower():
                raise DigestMismatch(name)
        entry: Entry = await self._master.complete_upload(
            request.user_id, request.destination, request.path, self._kept.id, Completion(parts, digests), request.condition
        )
        return entry
