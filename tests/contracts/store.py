"""What every `IStore` keeps to: the local one, its twin in memory, and those that come."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Coroutine
from typing import Any

from awscrt.checksums import crc32, crc32c, crc64nvme
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from ecpds.errors import (
    AlreadyExists,
    ConnectionLost,
    Corrupt,
    DigestMismatch,
    Incomplete,
    InvalidRequest,
    NoSpace,
    Refusal,
    TooLarge,
    Unavailable,
)
from ecpds.interfaces import IReadHandle, IStore, IWriteHandle
from ecpds.model import DIGESTS, IF_SMALL, Copy, Receipt
from tests.doubles import MemorySink, MemorySource

FILE_SIZE = 4 << 20
"""The limit of one file that a maker sets."""

LARGE = os.urandom(3_000_017)


class StoreContract:
    """A mixin of a `SynchronousTestCase`. A subclass defines `make`: two volumes, `FILE_SIZE`, receipts to `self.stored`."""

    def make(self) -> IStore:
        raise NotImplementedError

    def setUp(self: Any) -> None:
        self.receipts: list[Receipt] = []
        self.refusal: Refusal | None = None
        self.store = self.make()

    async def stored(self: Any, receipt: Receipt) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.receipts.append(receipt)

    def now(self: Any, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refused(self: Any, refusal: type[BaseException], work: Coroutine[Any, Any, Any]) -> Any:
        return self.failureResultOf(Deferred.fromCoroutine(work), refusal).value

    def put(
        self: Any, segment: int, data: bytes, volume: int = 0, piece: int | None = None, digests: Any = ("sha256",)
    ) -> Receipt:
        handle = self.now(self.store.write(segment, volume, digests, len(data)))
        self.assertEqual(self.now(handle.receive(MemorySource(data, piece))), len(data))
        return self.now(handle.finish(len(data)))

    def copy(self: Any, volume: int = 0) -> Copy:
        return Copy(self.store.name, volume)

    def get(self: Any, segment: int, length: int, volume: int = 0) -> bytes:
        sink = MemorySink()
        handle = self.now(self.store.read(segment, self.copy(volume), length))
        self.now(handle.send(sink, 0, length))
        handle.close()
        return sink.value

    def is_there(self: Any, segment: int, volume: int = 0) -> bool:
        done = Deferred.fromCoroutine(self.store.read(segment, self.copy(volume), 0))
        done.addCallbacks(lambda handle: handle.close() or True, lambda failure: failure.trap(Unavailable) and False)
        return self.successResultOf(done)

    def test_provides(self: Any) -> None:
        verifyObject(IStore, self.store)
        handle = self.now(self.store.write(1, 0, (), None))
        verifyObject(IWriteHandle, handle)
        self.now(handle.finish())
        verifyObject(IReadHandle, self.now(self.store.read(1, self.copy(), 0)))

    def test_round_trip(self: Any) -> None:
        for segment, size in enumerate((0, 1, 16383, 16384, 16385, 65536, 1 << 20, len(LARGE)), 1):
            data = LARGE[:size]
            receipt = self.put(segment, data, digests=DIGESTS)
            expected = {name: hashlib.new(name, data).hexdigest() for name in DIGESTS if not name.startswith("crc")}
            expected |= {"crc64nvme": f"{crc64nvme(data):016x}", "crc32": f"{crc32(data):08x}", "crc32c": f"{crc32c(data):08x}"}
            self.assertEqual(receipt, Receipt(segment, self.store.name, 0, size, expected))
            self.assertEqual(self.get(segment, size), data)
        self.assertEqual(len(self.receipts), 8)

    def test_the_sum_of_nothing_asked_for_is_kept_all_the_same(self: Any) -> None:
        self.assertEqual(self.put(1, b"123456789", digests=()).digests, {"crc64nvme": "ae8b14860a799888"})

    def test_digests_that_are_wanted_of_small_files(self: Any) -> None:
        digests = [f"{name}{IF_SMALL}" for name in ("crc64nvme", "sha256", "md5")]
        small = self.put(1, b"small", digests=("md5", *digests)).digests
        self.assertEqual(set(small), {"crc64nvme", "sha256", "md5"})
        self.assertEqual(small["sha256"], hashlib.sha256(b"small").hexdigest())
        self.assertEqual(set(self.put(2, LARGE, digests=digests).digests), {"crc64nvme"})
        self.assertEqual(set(self.put(3, LARGE, digests=("sha256", *digests)).digests), {"crc64nvme", "sha256"})

    def test_any_pieces(self: Any) -> None:
        for segment, piece in enumerate((1000, 16384, 20000, 1 << 20), 1):
            self.put(segment, LARGE, piece=piece)
            self.assertEqual(self.get(segment, len(LARGE)), LARGE)

    def test_received_in_parts(self: Any) -> None:
        handle = self.now(self.store.write(1, 0, ("sha256",)))
        source = MemorySource(LARGE)
        parts = [self.now(handle.receive(source, limit)) for limit in (0, 1, 100, 1_000_000, 20_000, None)]
        self.assertEqual(parts, [0, 1, 100, 1_000_000, 20_000, len(LARGE) - 1_020_101])
        receipt = self.now(handle.finish(len(LARGE)))
        self.assertEqual(receipt.digests["sha256"], hashlib.sha256(LARGE).hexdigest())
        self.assertEqual(self.get(1, len(LARGE)), LARGE)

    def test_a_limit_takes_no_more_than_that(self: Any) -> None:
        handle = self.now(self.store.write(1, 0, ()))
        source = MemorySource(LARGE)
        self.now(handle.receive(source, 70_000))
        self.assertEqual(source.read, 70_000)
        self.now(handle.abort())

    def test_spans(self: Any) -> None:
        self.put(1, LARGE)
        sink = MemorySink()
        handle = self.now(self.store.read(1, self.copy(), len(LARGE)))
        for offset, length in ((5, 10), (0, 0), (len(LARGE), 0), (len(LARGE) - 7, 7)):
            self.now(handle.send(sink, offset, length))
        self.assertEqual(sink.value, LARGE[5:15] + LARGE[-7:])
        self.assertIn(handle.held(5, 10), (None, LARGE[5:15]))
        for offset, length in ((-1, 1), (0, -1), (0, len(LARGE) + 1), (len(LARGE), 1)):
            self.refused(InvalidRequest, handle.send(sink, offset, length))
        handle.close()
        handle.close()
        self.refused(Unavailable, handle.send(sink, 0, 1))
        self.assertIsNone(handle.held(0, 1))

    def test_volumes_are_apart(self: Any) -> None:
        self.put(1, b"here", 1)
        self.assertTrue(self.is_there(1, 1))
        self.assertFalse(self.is_there(1, 0))
        for volume in (2, -1):
            self.refused(Unavailable, self.store.write(9, volume, ()))
            self.refused(Unavailable, self.store.read(1, self.copy(volume), 4))

    def test_another_movers_copy(self: Any) -> None:
        self.put(1, b"here")
        self.refused(Unavailable, self.store.read(1, Copy("another", 0), 4))

    def test_shorter_than_its_record(self: Any) -> None:
        self.put(1, b"here")
        self.refused(Corrupt, self.store.read(1, self.copy(), 5))

    def test_not_there(self: Any) -> None:
        self.refused(Unavailable, self.store.read(1, self.copy(), 0))

    def test_nothing_is_told_before_finish(self: Any) -> None:
        handle = self.now(self.store.write(1, 0, ()))
        self.now(handle.receive(MemorySource(LARGE)))
        self.assertEqual(self.receipts, [])
        self.now(handle.finish())
        self.assertEqual(len(self.receipts), 1)

    def test_what_is_settled_is_told_to_nobody(self: Any) -> None:
        for segment, data in enumerate((b"", b"little", LARGE), 1):
            handle = self.now(self.store.write(segment, 0, ("sha256",)))
            self.now(handle.receive(MemorySource(data)))
            self.now(handle.settle())
            self.now(handle.settle())
            self.assertEqual(len(self.receipts), segment - 1)
            receipt = self.now(handle.finish(len(data)))
            self.assertEqual(receipt.digests["sha256"], hashlib.sha256(data).hexdigest())
            self.assertEqual(self.get(segment, len(data)), data)

    def test_what_is_settled_may_be_given_up(self: Any) -> None:
        handle = self.now(self.store.write(1, 0, ()))
        self.now(handle.receive(MemorySource(LARGE)))
        self.now(handle.settle())
        self.now(handle.abort())
        self.refused(Incomplete, handle.settle())
        self.assertFalse(self.is_there(1))
        self.assertEqual(self.receipts, [])

    def test_abort(self: Any) -> None:
        for size in (0, 5, len(LARGE)):
            handle = self.now(self.store.write(1, 0, ("sha256",)))
            self.now(handle.receive(MemorySource(LARGE[:size])))
            self.now(handle.abort())
            self.now(handle.abort())
            self.refused(Incomplete, handle.receive(MemorySource(b"x")))
            self.refused(Incomplete, handle.finish())
            self.assertFalse(self.is_there(1))
        self.assertEqual(self.receipts, [])
        self.put(1, b"the id is free again")

    def test_abort_after_finish_does_nothing(self: Any) -> None:
        handle = self.now(self.store.write(1, 0, ()))
        self.now(handle.receive(MemorySource(b"kept")))
        self.now(handle.finish())
        self.now(handle.abort())
        self.assertEqual(self.get(1, 4), b"kept")

    def test_too_few_or_too_many_bytes(self: Any) -> None:
        for data, length in ((b"abc", 4), (b"abc", 2), (LARGE, len(LARGE) + 1), (b"", 1)):
            handle = self.now(self.store.write(1, 0, ()))
            self.now(handle.receive(MemorySource(data)))
            self.refused(Incomplete, handle.finish(length))
            self.assertFalse(self.is_there(1))
        self.assertEqual(self.receipts, [])

    def test_a_source_that_fails(self: Any) -> None:
        handle = self.now(self.store.write(1, 0, ()))
        self.refused(ConnectionLost, handle.receive(MemorySource(LARGE, failure=ConnectionLost())))
        self.now(handle.abort())
        self.assertFalse(self.is_there(1))

    def test_exclusive(self: Any) -> None:
        first = self.now(self.store.write(1, 0, ()))
        self.refused(AlreadyExists, self.store.write(1, 0, ()))
        self.now(first.receive(MemorySource(b"first")))
        self.now(first.finish())
        self.refused(AlreadyExists, self.write_whole(1, b"second"))
        self.assertEqual(self.get(1, 5), b"first")

    async def write_whole(self: Any, segment: int, data: bytes) -> None:
        handle = await self.store.write(segment, 0, ())
        await handle.receive(MemorySource(data))
        await handle.finish()

    def test_too_large(self: Any) -> None:
        self.refused(TooLarge, self.store.write(1, 0, (), FILE_SIZE + 1))
        handle = self.now(self.store.write(1, 0, ()))
        self.refused(TooLarge, handle.receive(MemorySource(bytes(FILE_SIZE + 1))))
        self.now(handle.abort())
        self.put(1, bytes(FILE_SIZE))

    def test_what_the_master_refuses_is_not_kept(self: Any) -> None:
        for size in (3, len(LARGE)):
            self.refusal = DigestMismatch()
            self.refused(DigestMismatch, self.write_whole(1, LARGE[:size]))
            self.assertFalse(self.is_there(1))
        self.refusal = None
        self.put(1, b"again")

    def test_what_the_master_may_have_heard_of_is_kept(self: Any) -> None:
        for segment, refusal in enumerate((ConnectionLost(), Unavailable()), 1):
            self.refusal = refusal
            self.refused(type(refusal), self.write_whole(segment, b"safe"))
            self.assertEqual(self.get(segment, 4), b"safe")

    def test_no_space_is_a_refusal_like_any_other(self: Any) -> None:
        self.refusal = NoSpace()
        self.refused(NoSpace, self.write_whole(1, b"x"))
        self.assertFalse(self.is_there(1))
