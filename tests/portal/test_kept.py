"""What is kept of small segments: bounded, the least lately used leave first, believed with the copies it was read with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.model import Copy, Segment
from ecpds.portal.kept import OVERHEAD, KeptSegments

HERE = Copy("here", 0)


def segment(number: int, length: int = 3, *copies: Copy) -> Segment:
    return Segment(number, length, copies or (HERE,))


def data(length: int = 3) -> memoryview:
    return memoryview(bytes(length))


class KeptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kept = KeptSegments(2 * (OVERHEAD + 3), 100)

    def keep(self, *numbers: int) -> None:
        for number in numbers:
            self.kept.keep(segment(number), HERE, data())

    def there(self) -> list[int]:
        return [number for number in range(10) if self.kept.get(segment(number)) is not None]

    def test_the_bytes_and_where_they_are_from(self) -> None:
        whole = memoryview(bytearray(b"xabcx"))
        self.kept.keep(segment(1), HERE, whole[1:4])
        whole[:] = b"....."
        found = self.kept.get(segment(1))
        assert found is not None
        self.assertEqual((bytes(found.data), found.place), (b"abc", HERE))

    def test_the_least_lately_used_leave(self) -> None:
        self.keep(1, 2)
        self.assertEqual(self.there(), [1, 2])
        self.kept.get(segment(1))
        self.keep(3)
        self.assertEqual(self.there(), [1, 3])

    def test_other_copies_are_not_believed(self) -> None:
        self.keep(1)
        for copies in ((Copy("here", 1),), (HERE, Copy("there", 0)), (Copy("there", 0),)):
            self.assertIsNone(self.kept.get(segment(1, 3, *copies)))
        self.assertIsNotNone(self.kept.get(segment(1, 3, Copy("here", 0, b"another ticket"))))

    def test_what_was_read_anew_takes_its_place(self) -> None:
        self.keep(1)
        there = Copy("there", 0)
        self.kept.keep(segment(1, 3, there), there, data())
        self.assertIsNone(self.kept.get(segment(1)))
        self.assertIsNotNone(self.kept.get(segment(1, 3, there)))
        self.assertEqual(self.kept.size, OVERHEAD + 3)

    def test_what_is_too_large_or_not_whole_is_not_kept(self) -> None:
        self.kept.keep(segment(1, 101), HERE, data(101))
        self.kept.keep(segment(2, 4), HERE, data(3))
        self.assertEqual(self.kept.size, 0)

    def test_nothing_at_all(self) -> None:
        for none in (KeptSegments(0, 100), KeptSegments(OVERHEAD - 1, 100)):
            none.keep(segment(1, 0), HERE, data(0))
            self.assertIsNone(none.get(segment(1, 0)))
            self.assertEqual(none.size, 0)

    def test_hits_and_misses(self) -> None:
        self.keep(1)
        self.kept.get(segment(1))
        self.kept.get(segment(2))
        self.assertEqual((self.kept.hits, self.kept.misses), (1, 1))

    @given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 600))))
    def test_it_never_takes_more_than_it_may(self, reads: list[tuple[int, int]]) -> None:
        kept = KeptSegments(2000, 500)
        for number, length in reads:
            kept.keep(segment(number, length), HERE, data(length))
            self.assertLessEqual(kept.size, 2000)
            self.assertEqual(kept.get(segment(number, length)) is not None, length <= 500)
