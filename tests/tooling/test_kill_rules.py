"""What the kill tests hold against a daemon: the rules by themselves, so that they are known to be able to fail."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.real.changes import Change, Changer, Door, State
from tests.real.kills import Name, Put, content, identify

NEVER = float("inf")


class Allowed(SynchronousTestCase):
    def allowed(self, *puts: tuple[float, float]) -> set[int | None]:
        """Versions 1, 2, … by when each began and was acknowledged."""
        return Name("x", puts=[Put(version, *times) for version, times in enumerate(puts, 1)]).allowed()

    def test_nothing_may_be_there_before_an_acknowledgement(self) -> None:
        self.assertEqual(self.allowed(), {None})
        self.assertEqual(self.allowed((0, NEVER)), {None, 1})

    def test_an_acknowledged_put_is_there_or_a_newer_one(self) -> None:
        self.assertEqual(self.allowed((0, 1)), {1})
        self.assertEqual(self.allowed((0, 1), (2, NEVER)), {1, 2})
        self.assertEqual(self.allowed((0, 1), (2, 3)), {2})

    def test_puts_at_the_same_time_may_end_in_either_order(self) -> None:
        self.assertEqual(self.allowed((0, 3), (1, 2)), {1, 2})
        self.assertEqual(self.allowed((0, 3), (1, 2), (4, 5)), {3})

    def test_a_round_starts_from_what_was_found(self) -> None:
        name = Name("x", last=4)
        name.settle(3)
        self.assertEqual(name.allowed(), {3})
        put = name.begin()
        self.assertEqual((put.version, name.allowed()), (5, {3, 5}))
        name.settle(None)
        self.assertEqual(name.allowed(), {None})


class Contents(SynchronousTestCase):
    def test_a_whole_content_says_what_it_is(self) -> None:
        for size in (0, 1, 100_000):
            self.assertEqual(identify(content("a", 7, size)), ("a", 7))

    def test_a_part_or_a_mixture_is_found_out(self) -> None:
        old, new = content("a", 1, 1000), content("a", 2, 1000)
        for broken in (old[:-1], old + b"x", b"", old[:500] + new[500:], new[:70] + old[70:]):
            self.assertRaises(ValueError, identify, broken)


class Changed(SynchronousTestCase):
    """What a changer allows, by what it was told and when."""

    def setUp(self) -> None:
        self.changer = Changer("x", "ftp", 1)
        self.one: State = {"x-a": ("x-a", 1)}
        self.two: State = {"x-b": ("x-a", 1)}
        self.changer.changes += [Change(self.one, 1.0, 2.0), Change(self.two, 3.0)]

    def test_at_each_moment(self) -> None:
        expected = {0.5: [{}], 1.5: [{}, self.one], 2.0: [self.one], 2.5: [self.one], 3.5: [self.one, self.two]}
        self.assertEqual({moment: self.changer.allowed(moment) for moment in expected}, expected)
        self.assertEqual(self.changer.allowed(), [self.one, self.two])

    def test_the_next_round(self) -> None:
        self.changer.settle(self.two)
        self.assertEqual(self.changer.allowed(), [self.two])

    def test_every_kind_of_change_comes_up(self) -> None:
        done: list[str] = []
        door = Door(lambda *_: done.append("put"), lambda _: done.append("delete"), lambda *_: done.append("rename"))
        state: State = {}
        for _ in range(200):
            before = state
            state, do = self.changer._next(door, dict(state))
            do()
            self.assertNotEqual(state, before)
        self.assertEqual(set(done), {"put", "delete", "rename"})
