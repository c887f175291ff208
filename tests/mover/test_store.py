"""The local store: the contract, and what only files, threads and disks can do wrong."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ecpds.errors import AlreadyExists, ConnectionLost, Corrupt, Incomplete, NoSpace, Unavailable
from ecpds.interfaces import IBasin, IFloodSource, IStore, IThreads
from ecpds.limits import Limits
from ecpds.model import Copy, Receipt
from ecpds.mover import staging, strands, volumes
from ecpds.mover.store import LocalStore
from ecpds.threads import InlineThreads
from ecpds.transports.buffers import BufferPool
from tests.contracts.store import FILE_SIZE, LARGE, StoreContract
from tests.doubles import MemoryChannel, MemorySink, MemorySource
from tests.doubles_store import HandThreads, MemoryStore


class MemoryStoreTests(StoreContract, SynchronousTestCase):
    def make(self) -> IStore:
        return MemoryStore("mover-1", 2, self.stored, FILE_SIZE)


class LocalCase(SynchronousTestCase):
    sync = True
    limits = Limits(file_size=FILE_SIZE)

    def make_local(self, stored: Any, threads: IThreads | None = None, digest_threads: IThreads | None = None) -> LocalStore:
        self.roots = [Path(self.mktemp()).absolute() / str(number) for number in range(2)]
        self.pool = BufferPool(16 << 20)
        self.clock = Clock()
        return LocalStore(
            "mover-1",
            self.roots,
            stored,
            threads or InlineThreads(),
            digest_threads or InlineThreads(),
            self.pool,
            self.limits,
            self.sync,
            self.clock,
        )

    def files(self) -> list[str]:
        """What stands on the volumes."""
        return sorted(str(path.relative_to(root)) for root in self.roots for path in root.rglob("*") if path.is_file())


class LocalStoreTests(StoreContract, LocalCase):
    def make(self) -> IStore:
        return self.make_local(self.stored)

    def tearDown(self) -> None:
        self.assertEqual(self.pool.lent, 0)

    def test_the_path_comes_from_the_id(self) -> None:
        self.put(0x12345678, b"x")
        self.assertEqual(self.files(), ["123/115/12345678"])
        self.assertEqual(self.roots[0].joinpath("123/115/12345678").stat().st_mode & 0o777, 0o600)

    def test_a_deleted_file_stays_readable(self) -> None:
        self.put(1, b"still here")
        handle = self.now(self.store.read(1, Copy("mover-1", 0), 10))
        self.roots[0].joinpath("0/000/1").unlink()
        sink = MemorySink()
        self.now(handle.send(sink, 0, 10))
        handle.close()
        self.assertEqual(sink.value, b"still here")

    def test_closed_while_it_sends_it_sends_to_the_end(self) -> None:
        self.put(1, LARGE)
        handle = self.now(self.store.read(1, Copy("mover-1", 0), len(LARGE)))
        channel = MemoryChannel(window=len(LARGE) // 2)
        sending = Deferred.fromCoroutine(handle.send(channel, 0, len(LARGE)))
        handle.close()
        os.fstat(handle._fd)
        self.assertEqual(channel.take(), LARGE[: len(LARGE) // 2])
        while not sending.called:
            channel.take()
        self.successResultOf(sending)
        self.assertEqual(channel.all_written, LARGE)
        with self.assertRaises(OSError):
            os.fstat(handle._fd)

    def test_what_is_small_is_read_once_and_no_file_stays_open(self) -> None:
        self.put(1, b"0123456789")
        handle = self.now(self.store.read(1, Copy("mover-1", 0), 10))
        (self.roots[0] / "0/000/1").write_bytes(b"another one")
        sink = MemorySink()
        self.now(handle.send(sink, 2, 5))
        self.assertEqual(sink.value, b"23456")
        handle.close()
        self.refused(Unavailable, handle.send(sink, 0, 1))

    def test_what_is_small_and_shorter_than_its_record_is_refused(self) -> None:
        self.put(1, b"0123456789")
        self.refused(Corrupt, self.store.read(1, Copy("mover-1", 0), 11))

    def test_another_processs_file_is_left(self) -> None:
        path = self.roots[0] / "0/000/1"
        path.parent.mkdir(parents=True)
        path.write_text("not yours")
        for size in (5, len(LARGE)):
            handle = self.now(self.store.write(1, 0, ()))
            Deferred.fromCoroutine(handle.receive(MemorySource(LARGE[:size]))).addErrback(lambda f: f.trap(AlreadyExists))
            self.refused(AlreadyExists, handle.finish())
            self.assertEqual(path.read_text(), "not yours")

    def test_synced_before_the_master_is_told(self) -> None:
        for size in (5, len(LARGE)):
            steps: list[str] = []
            self.patch(staging.os, "fdatasync", lambda fd, steps=steps: steps.append("file"))
            self.patch(self.store._means.folders, "_sync", lambda folder, steps=steps: steps.append("folder"))
            self.patch(staging, "sync_folder", lambda folder, steps=steps: steps.append("folder"))
            self.patch(self, "refusal", None)
            handle = self.now(self.store.write(size, 0, ()))
            handle._means = evolve(handle._means, stored=lambda receipt, steps=steps: self.note(steps))
            self.now(handle.receive(MemorySource(LARGE[:size])))
            self.assertEqual(steps, [])
            self.now(handle.finish())
            self.assertEqual(steps, ["file", "folder", "told"])

    def test_what_is_settled_is_synced(self) -> None:
        """A last look at who sent it comes after what takes long."""
        steps: list[str] = []
        self.patch(os, "fdatasync", lambda fd: steps.append("fdatasync"))
        self.patch(strands, "sync_folder", lambda folder: steps.append("folder"))
        store = self.make_local(lambda receipt: self.note(steps))
        handle = self.successResultOf(Deferred.fromCoroutine(store.write(1, 0, ())))
        self.successResultOf(Deferred.fromCoroutine(handle.receive(MemorySource(b"x"))))
        self.successResultOf(Deferred.fromCoroutine(handle.settle()))
        self.assertEqual("fdatasync" in steps, self.sync)
        self.assertNotIn("told", steps)
        before = len(steps)
        self.failureResultOf(Deferred.fromCoroutine(handle.receive(MemorySource(b"x"))), RuntimeError)
        self.successResultOf(Deferred.fromCoroutine(handle.finish()))
        self.assertEqual(steps[before:], ["told"])

    async def note(self, steps: list[str]) -> None:
        steps.append("told")

    def test_a_new_folder_is_durable_in_its_parents(self) -> None:
        synced: list[str] = []
        self.patch(volumes, "sync_folder", lambda folder: synced.append(os.path.relpath(folder, self.roots[0])))
        self.put(1, b"x")
        self.assertEqual(synced, ["0", "."])
        self.put(2, b"x")
        self.assertEqual(synced, ["0", "."])

    def test_a_folder_that_can_not_be_synced(self) -> None:
        def fail(folder: Path) -> None:
            if self.roots[0] in folder.parents:
                raise OSError(errno.EIO, "Input/output error")

        self.patch(self.store._means.folders, "_sync", fail)
        self.patch(staging, "sync_folder", fail)
        for others in (0, 1):
            self.store.volumes[0].failed = None
            for number in range(others):
                self.now(self.store.write(5 + number, 1, ()))
            self.refused(Unavailable, self.write_whole(1, b"x"))
            self.assertEqual(self.files(), [])
            self.assertEqual(self.receipts, [])
            self.refused(Unavailable, self.store.write(2, 0, ()))
        self.put(2, b"x", 1)

    def break_write(self, number: int, after: int = 0) -> None:
        real = os.pwrite
        written = 0

        def pwrite(fd: int, data: Any, offset: int) -> int:
            nonlocal written
            if written >= after:
                raise OSError(number, os.strerror(number))
            count = real(fd, data[: max(1, after // 3)], offset)
            written += count
            return count

        self.patch(staging.os, "pwrite", pwrite)

    def test_a_full_disk(self) -> None:
        for number in (errno.ENOSPC, errno.EDQUOT):
            for size in (5, len(LARGE)):
                self.break_write(number, size // 2)
                self.refused(NoSpace, self.write_and_clean_up(1, LARGE[:size]))
                self.assertEqual(self.files(), [])

    def test_a_broken_disk_takes_nothing_more(self) -> None:
        self.break_write(errno.EIO)
        self.refused(Unavailable, self.write_and_clean_up(1, b"x"))
        self.refused(Unavailable, self.store.write(2, 0, ()))
        self.assertEqual(self.store.volumes[0].use().failed, "Input/output error")

    def test_short_writes_are_gone_on_with(self) -> None:
        real = os.pwrite
        self.patch(staging.os, "pwrite", lambda fd, data, offset: real(fd, data[: len(data) // 2 + 1], offset))
        self.put(1, LARGE)
        self.assertEqual(self.get(1, len(LARGE)), LARGE)

    async def write_and_clean_up(self, segment: int, data: bytes) -> None:
        handle = await self.store.write(segment, 0, ("sha256",))
        try:
            await handle.receive(MemorySource(data))
            await handle.finish()
        finally:
            await handle.abort()

    def test_a_digest_that_dies_fails_the_upload(self) -> None:
        handle = self.now(self.store.write(1, 0, ("sha256",)))

        def fail(data: memoryview) -> None:
            raise TypeError("no such thing")

        handle._pipeline._steps = [handle._pipeline._steps[0], (handle._pipeline._steps[1][0], fail)]
        self.refused(Unavailable, handle.receive(MemorySource(LARGE)))
        self.refused(Unavailable, handle.finish())
        self.assertEqual(self.files(), [])
        self.assertTrue(self.flushLoggedErrors(TypeError))

    def test_more_than_there_is_room_for(self) -> None:
        self.limits = evolve(self.limits, file_size=0)
        self.store = self.make()
        self.refused(NoSpace, self.store.write(1, 0, (), 1 << 60))
        self.now(self.now(self.store.write(1, 0, (), 1000)).abort())

    def test_what_was_announced_is_set_aside(self) -> None:
        volume = self.store.volumes[0]
        volume.look = volume.use = lambda: None
        volume._looked = self.clock.seconds()
        volume._free = self.limits.free_space + 1000
        first = self.now(self.store.write(1, 0, (), 600))
        self.refused(NoSpace, self.store.write(2, 0, (), 600))
        self.now(first.abort())
        second = self.now(self.store.write(2, 0, (), 600))
        self.now(second.receive(MemorySource(bytes(500))))
        self.assertEqual(volume._reserved, 100, "what came is in the file")
        self.now(second.receive(MemorySource(bytes(200))))
        self.assertEqual(volume._reserved, 0, "more came than was announced")
        self.now(second.finish(700))
        self.assertEqual(volume._reserved, 0)

    def test_room_is_looked_at_as_bytes_arrive(self) -> None:
        self.patch(staging, "LOOK_EVERY", 1_000_000)
        volume = self.store.volumes[0]
        looks: list[int] = []

        def look() -> None:
            looks.append(1)
            volume._free = 0

        volume.look = look
        self.refused(NoSpace, self.write_and_clean_up(1, LARGE))
        self.assertTrue(looks)
        self.assertEqual(self.files(), [])

    def test_nothing_brings_back_what_was_discarded(self) -> None:
        staged = staging.StagedFile(self.store.volumes[0], 1, self.sync)
        staged.write(memoryview(b"x"))
        staged.discard()
        for late in (lambda: staged.write(memoryview(b"y")), staged.close):
            with self.assertRaises(Incomplete):
                late()
        staged.discard()
        self.assertEqual(self.files(), [])

    def test_a_volume_that_can_not_be_made(self) -> None:
        blocked = Path(self.mktemp()).absolute()
        blocked.write_text("")
        store = LocalStore(
            "m", [blocked / "0"], self.stored, InlineThreads(), InlineThreads(), self.pool, self.limits, True, Clock()
        )
        self.refused(Unavailable, store.write(1, 0, ()))

    def test_small_files_take_one_hop(self) -> None:
        hops: list[Any] = []

        class Counting(InlineThreads):
            async def run(self, function: Any, *args: Any) -> Any:
                hops.append(function)
                return function(*args)

        self.store = self.make_local(self.stored, Counting())
        self.put(1, b"small", digests=("sha256", "md5"))
        self.assertEqual(len(hops), 1, "the file and its name in the folder")
        self.now(self.store.write(2, 0, ()))
        self.put(3, b"small", digests=("sha256", "md5"))
        self.assertEqual(len(hops), 3, "the file; the folder, whose sync others may share")


class UnsyncedTests(LocalStoreTests):
    sync = False

    test_synced_before_the_master_is_told = None
    test_a_new_folder_is_durable_in_its_parents = None
    test_a_folder_that_can_not_be_synced = None
    test_small_files_take_one_hop = None

    def test_syncs_nothing(self) -> None:
        self.patch(staging.os, "fdatasync", None)
        self.patch(strands, "sync_folder", None)
        self.patch(volumes, "sync_folder", None)
        self.put(1, LARGE)


class InMemoryTests(UnsyncedTests):
    """Volumes on a memory file system, as far as the store can tell."""

    def make_local(self, stored: Any, threads: IThreads | None = None, digest_threads: IThreads | None = None) -> LocalStore:
        self.patch(volumes, "file_system_type", lambda device: "tmpfs")
        return super().make_local(stored, threads, digest_threads)

    def test_small_files_take_no_hop(self) -> None:
        threads = HandThreads()
        self.store = self.make_local(self.stored, threads, threads)
        self.put(1, b"small", digests=("sha256", "md5"))
        self.assertEqual(self.files(), ["0/000/1"])
        self.assertFalse(threads.waiting)

    def test_what_is_larger_is_written_on_threads(self) -> None:
        threads = HandThreads()
        self.store = self.make_local(self.stored, threads, threads)
        handle = self.now(self.store.write(1, 0, ()))
        receiving = Deferred.fromCoroutine(handle.receive(MemorySource(LARGE)))
        threads.steps()
        self.assertEqual(self.successResultOf(receiving), len(LARGE))
        finishing = Deferred.fromCoroutine(handle.finish())
        self.assertNoResult(finishing)
        threads.steps()
        self.assertEqual(self.successResultOf(finishing).size, len(LARGE))


class InMemoryAndSyncedTests(LocalStoreTests):
    """What is to be synced is written on threads, wherever it is."""

    def make_local(self, stored: Any, threads: IThreads | None = None, digest_threads: IThreads | None = None) -> LocalStore:
        self.patch(volumes, "file_system_type", lambda device: "tmpfs")
        return super().make_local(stored, threads, digest_threads)


class HandsOnCase(LocalCase):
    """An upload whose threads work when they are told to."""

    def setUp(self) -> None:
        self.threads = HandThreads()
        self.digest_threads = HandThreads()
        self.receipts: list[Receipt] = []
        self.store = self.make_local(self.stored, self.threads, self.digest_threads)
        self.channel = MemoryChannel()
        writing = Deferred.fromCoroutine(self.store.write(1, 0, ("sha256", "md5")))
        self.threads.steps()
        self.handle: Any = self.successResultOf(writing)

    async def stored(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)

    def all_steps(self) -> None:
        while self.threads.waiting or self.digest_threads.waiting:
            self.threads.steps()
            self.digest_threads.steps()


class ThreadsInFlightTests(HandsOnCase):
    """Ends at any moment, with work on the threads."""

    def test_the_window_holds_the_source(self) -> None:
        receiving = Deferred.fromCoroutine(self.handle.receive(self.channel))
        self.channel.feed(bytes(FILE_SIZE))
        taken = FILE_SIZE - len(self.channel._arrived)
        self.assertEqual(taken, 16384 + 65536 + 131072 + 262144, "four buffers, each as large as the last was filled fast")
        self.assertFalse(self.channel.reading)
        self.threads.steps()
        self.assertFalse(self.channel.reading, "the digests have them still")
        self.all_steps()
        self.assertTrue(self.channel.reading)
        self.channel.feed_end()
        self.assertEqual(self.successResultOf(receiving), FILE_SIZE)
        finishing = Deferred.fromCoroutine(self.handle.finish(FILE_SIZE))
        self.all_steps()
        receipt = self.successResultOf(finishing)
        self.assertEqual(receipt.digests["sha256"], hashlib.sha256(bytes(FILE_SIZE)).hexdigest())
        self.assertEqual(self.pool.lent, 0)

    def test_a_dribbling_source_gets_small_buffers(self) -> None:
        Deferred.fromCoroutine(self.handle.receive(self.channel)).addErrback(lambda _: None)
        self.channel.feed(bytes(1_000_000))
        self.all_steps()
        self.assertEqual(self.handle._pipeline._size, 1 << 20)
        for _ in range(1800):
            self.channel.feed(bytes(1460))
            self.all_steps()
        self.assertEqual(self.handle._pipeline._size, 16384)
        self.assertLessEqual(self.pool.lent, 16384)

    @given(st.integers(0, 12), st.sampled_from((10, 20_000, 300_000, 2_000_000)), st.booleans(), st.booleans())
    def test_abort_at_any_moment(self, steps: int, size: int, finishing: bool, cancel: bool) -> None:
        self.setUp()
        work = Deferred.fromCoroutine(self.upload(size, finishing))
        self.channel.feed(bytes(size))
        if finishing:
            self.channel.feed_end()
        for number in range(steps):
            threads = self.threads if number % 2 else self.digest_threads
            if threads.waiting:
                threads.step()
        told = bool(self.receipts)
        if cancel and not work.called:
            work.cancel()
        aborting = Deferred.fromCoroutine(self.handle.abort())
        self.all_steps()
        self.channel.feed_loss()
        self.all_steps()
        self.successResultOf(aborting)
        self.assertTrue(work.called, "whoever received is told")
        work.addErrback(lambda failure: failure.trap(Incomplete, CancelledError, ConnectionLost))
        self.assertEqual(bool(self.receipts), told)
        self.assertEqual(self.files(), ["0/000/1"] if told else [])
        self.assertEqual(self.pool.lent, 0)
        self.assertFalse(self.store.is_writing(1))
        self.assertEqual(self.store.volumes[0]._reserved, 0)
        self.assertEqual(open_files(self.roots[0]), [])

    async def upload(self, size: int, finishing: bool) -> None:
        await self.handle.receive(self.channel, None if finishing else size + 1)
        await self.handle.finish()

    def test_one_thing_at_a_time(self) -> None:
        Deferred.fromCoroutine(self.handle.receive(self.channel)).addErrback(lambda _: None)
        for work in (self.handle.receive(self.channel), self.handle.finish()):
            self.failureResultOf(Deferred.fromCoroutine(work), RuntimeError)


@implementer(IFloodSource)
class EndlessSource:
    """Fills whatever there is; whoever waits for the end of a flood waits for ever."""

    async def read_into(self, view: memoryview) -> int:
        return len(view)

    async def flood(self, basin: IBasin, length: int) -> int:
        if await basin.begin():
            room = basin.room()
            assert room is not None
            basin.filled(len(room))
            basin.end()
            await Deferred()
        return 0


class CancelledFloodTests(HandsOnCase):
    limits = Limits()

    def test_bytes_that_nobody_counted_are_in_no_receipt(self) -> None:
        receiving = Deferred.fromCoroutine(self.handle.receive(EndlessSource()))
        self.all_steps()
        receiving.cancel()
        self.failureResultOf(receiving, CancelledError)
        self.assertGreater(self.handle._file.written, self.handle._total)
        finishing = Deferred.fromCoroutine(self.handle.finish())
        self.all_steps()
        self.failureResultOf(finishing, Incomplete)
        self.assertEqual((self.receipts, self.files(), self.pool.lent), ([], [], 0))


def open_files(root: Path) -> list[str]:
    """What this process has open below `root`."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue
        if target.startswith(str(root)):
            found.append(target)
    return found


class StrandTests(SynchronousTestCase):
    def test_in_order_and_in_few_hops(self) -> None:
        threads = HandThreads()
        strand = strands.Strand(threads)
        done: list[int] = []
        for number in range(5):
            strand.put(done.append, number)
        self.assertEqual(len(threads.waiting), 1)
        threads.step()
        self.assertEqual(done, [0])
        threads.steps()
        self.assertEqual(done, [0, 1, 2, 3, 4])

    def test_a_failure_is_its_callers_alone(self) -> None:
        strand = strands.Strand(InlineThreads())
        self.failureResultOf(strand.put(lambda: 1 / 0), ZeroDivisionError)
        self.assertEqual(self.successResultOf(strand.put(lambda: 2)), 2)

    def test_a_pool_that_refuses(self) -> None:
        class Refusing(InlineThreads):
            async def run(self, function: Any, *args: Any) -> Any:
                raise Unavailable("too much is waiting")

        self.failureResultOf(strands.Strand(Refusing()).put(lambda: 1), Unavailable)

    def test_giving_up_waiting_does_not_undo(self) -> None:
        threads = HandThreads()
        strand = strands.Strand(threads)
        done: list[int] = []
        waiting = strand.put(done.append, 1)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        threads.steps()
        self.assertEqual(done, [1])


class FolderSyncTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.threads = HandThreads()
        self.synced: list[Path] = []
        self.syncs = strands.FolderSyncs(self.threads, self.synced.append)

    def ask(self, folder: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self.syncs.sync(Path(folder)))

    def test_who_comes_during_a_sync_shares_the_next(self) -> None:
        first = self.ask("a")
        later = [self.ask("a") for _ in range(5)]
        other = self.ask("b")
        self.threads.step()
        self.successResultOf(first)
        for each in later:
            self.assertNoResult(each)
        self.threads.steps()
        for each in (*later, other):
            self.successResultOf(each)
        self.assertEqual(sorted(map(str, self.synced)), ["a", "a", "b"])

    def test_all_who_share_a_failure_hear_of_it(self) -> None:
        def fail(folder: Path) -> None:
            raise OSError(errno.EIO, "Input/output error")

        self.syncs = strands.FolderSyncs(self.threads, fail)
        asked = [self.ask("a") for _ in range(3)]
        self.threads.steps()
        for each in asked:
            self.failureResultOf(each, OSError)
