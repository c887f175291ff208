"""Digests that a destination wants after the commit, through the façade, from the bytes as they lie."""

from __future__ import annotations

from hashlib import md5, sha256
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import ConnectionLost
from tests.doubles import MemorySource
from tests.portal.house import House

DATA = b"what was put" * 10_000


class AfterwardsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.house.add_destination("d", digests=("sha256", "md5"), digest_when="after")
        self.files = self.house.files_of(self.house.add_user("ann", ("d",)))

    def now(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def put(self, path: str, data: bytes) -> Any:
        upload = self.now(self.files.open_write(path))
        self.now(upload.receive(MemorySource(data)))
        return self.now(upload.commit())

    def digests(self, path: str) -> dict[str, str]:
        return dict(self.now(self.files.stat(path)).file.digests)

    def test_the_reply_has_the_crc_and_the_catalogue_the_others(self) -> None:
        entry = self.put("/d/a", DATA)
        self.assertEqual(set(entry.file.digests), {"crc64nvme"})
        found = self.digests("/d/a")
        self.assertEqual((found["sha256"], found["md5"]), (sha256(DATA).hexdigest(), md5(DATA).hexdigest()))
        self.assertEqual(found["crc64nvme"], entry.file.digests["crc64nvme"])

    def test_of_an_empty_file_too(self) -> None:
        self.put("/d/empty", b"")
        self.assertEqual(self.digests("/d/empty")["sha256"], sha256(b"").hexdigest())

    def test_of_an_upload_that_was_gone_on_with(self) -> None:
        upload = self.now(self.files.open_write("/d/a"))
        self.now(upload.receive(MemorySource(DATA[:50_000])))
        self.now(upload.keep(ConnectionLost()))
        upload = self.now(self.files.resume_write("/d/a", 50_000))
        self.now(upload.receive(MemorySource(DATA[50_000:])))
        self.now(upload.commit())
        found = self.digests("/d/a")
        self.assertEqual((found["sha256"], found["md5"]), (sha256(DATA).hexdigest(), md5(DATA).hexdigest()))

    def test_bytes_that_were_changed_on_the_disk_get_none(self) -> None:
        self.patch(self.house.master.afterwards, "note", lambda file: None)
        self.put("/d/a", DATA)
        (path,) = self.house.stored()
        path.write_bytes(DATA[:-1] + b"?")
        self.house.clock.advance(60)
        self.assertEqual(set(self.digests("/d/a")), {"crc64nvme"})
        self.assertEqual(self.house.now(self.house.operations.summary())["digests_owed"], 1)
