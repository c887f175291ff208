"""Calls of more than one batch of the link holds, over Perspective Broker."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.model import Completion, Condition, Copy, DataFile, Entry, Segment, UploadPart
from tests.cluster.pb import linked

PARTS = 10_000


class LongCalls(SynchronousTestCase):
    def test_an_upload_of_ten_thousand_parts(self) -> None:
        """They are named to complete it, and who reads the file elsewhere has a ticket for each."""
        digests = {"md5": "0" * 32, "crc64nvme": "0" * 16, "sha256": "0" * 64}
        completion = Completion(tuple(UploadPart(n, n, 8 << 20, digests, 1.5) for n in range(1, PARTS + 1)), digests)
        segments = tuple(Segment(n, 8 << 20, (Copy("mover-2", 0, bytes(150)),)) for n in range(1, PARTS + 1))
        entry = Entry("f", 1.5, DataFile(7, PARTS * (8 << 20), 1.5, 1.5, segments=segments))
        said: list[Any] = []

        class Master:
            def __getattr__(self, name: str) -> Any:
                async def answer(*arguments: Any) -> Entry:
                    said.append(arguments)
                    return entry

                return answer

        master, _ = linked(Master())
        asked = master.complete_upload(1, "d", "f", 7, completion, Condition())
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(asked)), entry)
        self.assertEqual(said, [(1, "d", "f", 7, completion, Condition())])
