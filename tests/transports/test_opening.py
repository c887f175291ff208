"""What is opened and read without waiting is what is there; where that can't be said, nothing is."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ecpds.transports import opening
from ecpds.transports.opening import open_at_once, read_at_once


class OpeningTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.file.write_bytes(b"0123456789")
        self.path = os.fsencode(self.file)

    def test_what_was_just_written_is_in_memory(self) -> None:
        held = read_at_once(self.path, 10)
        # None where the kernel or the file system can't tell, which every caller must bear.
        self.assertIn(held, (None, b"0123456789"))

    def test_a_descriptor_to_read_and_not_to_inherit(self) -> None:
        fd = open_at_once(self.path)
        if fd is not None:
            self.addCleanup(os.close, fd)
            self.assertEqual(os.pread(fd, 4, 0), b"0123")
            self.assertFalse(os.get_inheritable(fd))

    def test_a_file_that_is_shorter(self) -> None:
        self.assertIsNone(read_at_once(self.path, 11))

    def test_a_file_that_is_not_there(self) -> None:
        self.assertIsNone(open_at_once(self.path + b".no"))
        self.assertIsNone(read_at_once(self.path + b".no", 1))

    def test_a_kernel_without_it(self) -> None:
        self.patch(opening, "OPENAT2", 0x7FFFFFF)
        self.assertIsNone(read_at_once(self.path, 10))

    def test_a_machine_whose_number_is_not_known(self) -> None:
        self.patch(opening, "OPENAT2", None)
        self.assertIsNone(read_at_once(self.path, 10))

    def test_no_descriptor_stays_behind(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for length in (0, 10, 11):
            read_at_once(self.path, length)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_a_memory_file_system_refuses_the_flag_and_never_waits(self) -> None:
        self._refuse_the_flag(errno.EOPNOTSUPP)
        self.patch(opening, "_is_memory", lambda device: device == os.stat(self.file).st_dev)
        self.assertEqual(read_at_once(self.path, 10), b"0123456789")
        self.assertIsNone(read_at_once(self.path, 11))

    def test_any_other_that_refuses_it_might_wait(self) -> None:
        self._refuse_the_flag(errno.EOPNOTSUPP)
        self.patch(opening, "_is_memory", lambda device: False)
        self.assertIsNone(read_at_once(self.path, 10))

    def test_what_is_not_in_memory(self) -> None:
        self._refuse_the_flag(errno.EAGAIN)
        self.patch(opening, "_is_memory", lambda device: True)
        self.assertIsNone(read_at_once(self.path, 10))

    def _refuse_the_flag(self, number: int) -> None:
        real: Callable[..., int] = os.preadv

        def preadv(fd: int, buffers: Any, offset: int, flags: int = 0) -> int:
            if flags:
                raise OSError(number, os.strerror(number))
            return real(fd, buffers, offset)

        fd = open_at_once(self.path)
        if fd is None:
            self.skipTest("this kernel has no openat2")
        os.close(fd)
        self.patch(os, "preadv", preadv)
