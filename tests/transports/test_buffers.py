"""The pool of bulk buffers: alignment, bounds, order."""

from __future__ import annotations

import ctypes
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.transports.buffers import KIB, LARGEST, OFFSET, SIZES, BufferPool, larger, make_buffer, size_class, smaller

MIB = 1024 * KIB


class SizeTests(SynchronousTestCase):
    def test_classes(self) -> None:
        self.assertEqual(
            [size_class(size) for size in (0, 1, 16384, 16385, MIB, 5 * MIB)], [16384, 16384, 16384, 65536, MIB, LARGEST]
        )
        self.assertEqual([larger(size) for size in SIZES], [*SIZES[1:], LARGEST])
        self.assertEqual([smaller(size) for size in SIZES], [SIZES[0], *SIZES[:-1]])

    def test_aligned_as_copies_want_it(self) -> None:
        for size in SIZES:
            buffer = make_buffer(size)
            self.assertEqual(len(buffer), size)
            self.assertEqual(ctypes.addressof(ctypes.c_char.from_buffer(buffer)) % 4096, OFFSET)


class PoolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pool = BufferPool(2 * MIB)

    def ask(self, size: int) -> Deferred[memoryview]:
        return Deferred.fromCoroutine(self.pool.acquire(size))

    def take(self, size: int) -> memoryview:
        return self.successResultOf(self.ask(size))

    def test_reuses(self) -> None:
        buffer = self.take(100)
        self.pool.release(buffer)
        self.assertIs(self.take(16384), buffer)

    def test_first_come_first_served(self) -> None:
        first, second = self.take(MIB), self.take(MIB)
        large, small = self.ask(MIB), self.ask(1)
        self.assertNoResult(small)
        self.pool.release(first)
        self.assertIs(self.successResultOf(large), first)
        self.assertNoResult(small)
        self.pool.release(second)
        self.assertEqual(len(self.successResultOf(small)), 16384)

    def test_who_no_longer_waits_holds_nobody_up(self) -> None:
        self.take(MIB)
        self.pool.release(self.take(MIB))
        for _ in range(60):
            self.take(16384)
        large, small = self.ask(MIB), self.ask(16384)
        self.assertNoResult(small)
        large.cancel()
        self.failureResultOf(large, CancelledError)
        self.successResultOf(small)

    def test_after_a_rush_little_is_kept(self) -> None:
        pool = BufferPool(16 * MIB)
        taken = [self.successResultOf(Deferred.fromCoroutine(pool.acquire(MIB))) for _ in range(16)]
        for buffer in taken:
            pool.release(buffer)
        self.assertEqual((pool.lent, pool._mapped), (0, 2 * MIB))

    def test_idle_buffers_make_room_for_another_size(self) -> None:
        self.pool.release(self.take(MIB))
        taken = [self.take(64 * KIB) for _ in range(32)]
        self.assertEqual(sum(map(len, taken)), 2 * MIB)
        self.assertNoResult(self.ask(16384))

    def test_a_few_can_not_take_it_from_everybody(self) -> None:
        self.assertEqual(self.pool.advise(MIB), MIB)
        self.take(MIB)
        self.assertEqual(self.pool.advise(MIB), SIZES[0])

    def test_the_largest_are_for_a_few(self) -> None:
        pool = BufferPool(32 * MIB)
        for _ in range(2):
            self.assertEqual(pool.advise(LARGEST), LARGEST)
            self.successResultOf(Deferred.fromCoroutine(pool.acquire(LARGEST)))
        self.assertEqual(pool.advise(LARGEST), MIB)

    @given(st.lists(st.tuples(st.booleans(), st.sampled_from((1, 20000, 100000, 200000, MIB))), max_size=60))
    def test_never_more_than_the_total(self, steps: list[tuple[bool, int]]) -> None:
        pool = BufferPool(2 * MIB)
        lent: list[memoryview] = []
        asked: list[Deferred[Any]] = []
        for release, size in steps:
            if release and lent:
                pool.release(lent.pop(0))
            else:
                asked.append(Deferred.fromCoroutine(pool.acquire(size)).addCallback(lent.append))
            self.assertEqual(pool.lent, sum(map(len, lent)))
            self.assertLessEqual(pool._mapped, 2 * MIB)
            self.assertEqual(pool._mapped, pool.lent + sum(size * len(idle) for size, idle in pool._idle.items()))
        while lent:
            pool.release(lent.pop())
        self.assertEqual((pool.lent, [each.called for each in asked]), (0, [True] * len(asked)))
