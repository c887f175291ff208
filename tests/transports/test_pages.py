"""Reading files without holding the reactor: which way for which file system, and what is done when bytes are cold."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ecpds.errors import Corrupt, Unavailable
from ecpds.file_systems import file_system_type
from ecpds.interfaces import IThreads
from ecpds.transports import pages as pages_module
from ecpds.transports.pages import STRIDE, Pages

CONTENT = os.urandom(5 * STRIDE + 77)


@implementer(IThreads)
class CountedThreads:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        self.calls.append(args)
        return function(*args)


class PagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = tempfile.TemporaryFile()
        self.addCleanup(self.file.close)
        self.file.write(CONTENT)
        self.file.flush()
        self.fd = self.file.fileno()
        self.threads = CountedThreads()
        self.pages = Pages(self.threads)
        self.cold: set[int] = set()
        self.refused: int | None = None
        self.patch(pages_module.os, "preadv", self.preadv)
        self.preadv_itself = os.pread

    def preadv(self, fd: int, views: Sequence[Any], offset: int, flags: int = 0) -> int:
        """The kernel as the test wants it: `cold` are the strides that are on the disk only."""
        if flags and self.refused is not None:
            raise OSError(self.refused, os.strerror(self.refused))
        if flags and offset // STRIDE in self.cold:
            raise BlockingIOError(errno.EAGAIN, "cold")
        size = len(views[0])
        if flags:
            size = min(size, next((stride * STRIDE - offset for stride in sorted(self.cold) if stride * STRIDE > offset), size))
        data = os.pread(fd, size, offset)
        views[0][: len(data)] = data
        return len(data)

    def read(self, offset: int, length: int) -> bytes:
        view = memoryview(bytearray(length))
        self.successResultOf(Deferred.fromCoroutine(self.pages.read(self.fd, offset, view)))
        return bytes(view)

    def warm(self, offset: int, length: int) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.pages.warm(self.fd, offset, length)))

    def test_what_is_in_memory_needs_no_thread(self) -> None:
        self.assertEqual(self.read(3, 4 * STRIDE), CONTENT[3 : 3 + 4 * STRIDE])
        self.warm(0, len(CONTENT))
        self.assertEqual(self.threads.calls, [])

    def test_what_is_cold_is_read_on_a_thread(self) -> None:
        self.cold = {2}
        self.assertEqual(self.read(STRIDE, 2 * STRIDE), CONTENT[STRIDE : 3 * STRIDE])
        self.assertEqual(self.threads.calls, [(self.fd, STRIDE, 2 * STRIDE)])

    def test_cold_in_the_middle_of_a_span_is_noticed(self) -> None:
        self.cold = {3}
        self.warm(0, 2 * STRIDE)
        self.assertEqual(self.threads.calls, [])
        self.warm(STRIDE, 4 * STRIDE)
        self.assertEqual(self.threads.calls, [(self.fd, STRIDE, 4 * STRIDE)])

    def test_cold_at_the_very_end_is_noticed(self) -> None:
        self.cold = {1}
        self.warm(1, STRIDE)
        self.assertEqual(len(self.threads.calls), 1)

    def test_a_file_system_that_refuses_the_question(self) -> None:
        self.refused = errno.EOPNOTSUPP
        self.patch(pages_module, "file_system_type", lambda device: "nfs4")
        self.assertEqual(self.read(0, 10), CONTENT[:10])
        self.warm(0, 10)
        self.assertEqual(len(self.threads.calls), 2)

    def test_a_memory_file_system_is_read_at_once(self) -> None:
        self.refused = errno.EOPNOTSUPP
        self.patch(pages_module, "file_system_type", lambda device: "tmpfs")
        self.assertEqual(self.read(0, 10), CONTENT[:10])
        self.warm(0, 10)
        self.assertEqual(self.threads.calls, [])

    def test_a_short_file(self) -> None:
        for cold in (set(), {5, 6}):
            self.cold = cold
            view = memoryview(bytearray(100))
            self.failureResultOf(Deferred.fromCoroutine(self.pages.read(self.fd, len(CONTENT) - 50, view)), Corrupt)

    def test_a_broken_disk(self) -> None:
        self.refused = errno.EIO
        view = memoryview(bytearray(100))
        self.failureResultOf(Deferred.fromCoroutine(self.pages.read(self.fd, 0, view)), Unavailable)


class FileSystemTypeTests(SynchronousTestCase):
    def test_known(self) -> None:
        self.assertEqual(file_system_type(os.stat("/proc").st_dev), "proc")

    def test_unknown(self) -> None:
        self.assertEqual(file_system_type(os.makedev(4095, 99)), "")
