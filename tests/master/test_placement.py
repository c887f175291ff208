"""Who gets a file: groups, clusters, volumes, movers; and how even it comes out."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import NoSpace, NotFound
from ecpds.master.placement import Candidate, Placer, Wanted
from ecpds.model import Placement, Room, VolumeUse

ROOM = 1 << 40


def volume(index: int, free: int = ROOM, failed: str | None = None) -> VolumeUse:
    return VolumeUse(index, f"/v{index}", 2 * ROOM, free, failed)


def mover(name: str, *volumes: VolumeUse, **more: Any) -> Candidate:
    return Candidate(name, volumes or (volume(0),), **more)


USES = st.builds(VolumeUse, st.integers(0, 3), st.just("/"), st.just(100), st.integers(0, 100), st.sampled_from([None, "io"]))
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.sampled_from(["a", "b", "c", "d", "e", "f"]),
        st.lists(
            st.builds(
                VolumeUse, st.integers(0, 3), st.just("/"), st.just(100), st.integers(0, 100), st.sampled_from([None, "io"])
            ),
            max_size=4,
            unique_by=lambda use: use.index,
        ),
        st.sampled_from(["default", "fast"]),
        st.sampled_from(["", "one"]),
        st.integers(0, 3),
        st.dictionaries(st.integers(0, 3), st.integers(0, 5)),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda each: each.name,
)


def knowing(placer: Placer, movers: Sequence[Candidate]) -> Placer:
    for each in movers:
        placer.know(each)
    return placer


class Placing(SynchronousTestCase):
    def setUp(self) -> None:
        self.placer = Placer(Random(1), 0)

    def placed(self, movers: list[Candidate], times: int = 1, **wanted: Any) -> Counter[str]:
        """How many of `times` files each mover gets."""
        knowing(self.placer, movers)
        return Counter(self.placer.place(Wanted(**wanted))[0].mover for _ in range(times))

    @given(
        CANDIDATES, st.integers(1, 3), st.integers(0, 110), st.integers(0, 50), st.sets(st.sampled_from("abc")), st.integers()
    )
    def test_never_where_it_must_not(
        self, movers: list[Candidate], copies: int, size: int, kept: int, avoid: set[str], seed: int
    ) -> None:
        by_name = {each.name: each for each in movers}
        try:
            chosen = knowing(Placer(Random(seed), kept), movers).place(Wanted(copies, size, avoid=frozenset(avoid)))
        except NoSpace:
            return
        self.assertEqual(len({place.mover for place in chosen}), copies)
        self.assertEqual(len({by_name[place.mover].group for place in chosen}), 1)
        for place in chosen:
            found = by_name[place.mover]
            (use,) = (use for use in found.volumes if use.index == place.volume)
            self.assertTrue(found.open and found.name not in avoid)
            self.assertTrue(use.failed is None and use.free - kept >= size and use.free > kept)

    def test_the_group_of_the_destination_or_the_default(self) -> None:
        movers = [mover("a"), mover("b", group="fast")]
        self.assertEqual(self.placed(movers, 5), {"a": 5})
        self.assertEqual(self.placed(movers, 5, group="fast"), {"b": 5})
        self.assertEqual(self.placed(movers, 5, group="fast", explicit="default"), {"a": 5})
        self.assertRaises(NotFound, self.placed, movers, explicit="none")
        refused = self.assertRaises(NoSpace, self.placed, movers, group="none")
        self.assertEqual(refused.detail, "no mover that is here is of the transfer group 'none'")

    def test_one_group_of_another_name_is_the_default(self) -> None:
        self.assertEqual(self.placed([mover("a", group="only")]), {"a": 1})

    def test_a_named_group_that_is_full_falls_back_to_the_destination_s(self) -> None:
        movers = [mover("a", group="mine"), mover("b", volume(0, 0), group="full")]
        self.assertEqual(self.placed(movers, explicit="full", group="mine"), {"a": 1})

    def test_the_room_that_groups_have(self) -> None:
        placer = knowing(
            Placer(Random(1), 100),
            [
                mover("a", volume(0, 1000), volume(1, 50), volume(2, 7000, "broken"), group="g1", cluster="c"),
                mover("b", volume(0, 2100), group="g2", cluster="c"),
                mover("x", volume(0, 9000), group="g3", cluster="c", weight=0),
                mover("d", volume(0, 400)),
                mover("e", volume(0, 5000), open=False),
            ],
        )
        self.assertEqual(placer.room({"g1"}), Room(6 * ROOM, 900 + 2000))
        self.assertEqual(placer.room({None}), Room(2 * ROOM, 300))
        self.assertEqual(placer.room({None, "default", "g1", "g2"}), Room(8 * ROOM, 900 + 2000 + 300))
        self.assertEqual(placer.room({"none"}), Room(0, 0))

    def test_a_cluster_in_turn_by_weight(self) -> None:
        movers = [
            mover("a", group="g1", cluster="c", weight=3),
            mover("b", group="g2", cluster="c", weight=1),
            mover("x", group="g3", cluster="c", weight=0),
            mover("y"),
        ]
        self.assertEqual(self.placed(movers, 400, group="g1"), {"a": 300, "b": 100})
        movers[0] = evolve(movers[0], open=False)
        self.assertEqual(self.placed(movers, 10, group="g1"), {"b": 10})

    def test_volumes_by_their_room(self) -> None:
        movers = [mover("a", volume(0, ROOM), volume(1, 3 * ROOM))]
        placer = knowing(self.placer, movers)
        counts = Counter(placer.place(Wanted())[0].volume for _ in range(4000))
        self.assertLess(abs(counts[1] / 4000 - 0.75), 0.04)

    def test_volumes_that_are_nearly_alike_are_drawn_alike(self) -> None:
        """Two percent apart, and as many files, whatever the weights would say."""
        movers = [mover("a", volume(0, 1000), volume(1, 1020))]
        random = Random(2)
        calls = []
        self.patch(random, "choices", lambda *args: calls.append(args))
        placer = knowing(Placer(random, 0), movers)
        for _ in range(10):
            placer.place(Wanted())
        self.assertEqual(calls, [])

    def test_a_large_file_shuns_a_volume_that_it_would_fill(self) -> None:
        movers = [mover("a", volume(0, 1100), volume(1, 10_000))]
        placer = knowing(self.placer, movers)
        counts = Counter(placer.place(Wanted(size=1000))[0].volume for _ in range(1000))
        self.assertLess(counts[0], 40)

    def test_the_least_active_first(self) -> None:
        movers = [mover("a", reads={0: 3}), mover("b", reads={0: 1}), mover("c", reads={0: 2})]
        self.assertEqual(self.placed(movers), {"b": 1})

    def test_an_upload_counts_until_it_has_ended(self) -> None:
        movers = [mover("a", reads={0: 2}), mover("b")]
        self.assertEqual(self.placed(movers, 6), {"b": 4, "a": 2})
        self.placer.ended([Placement("b", 0)] * 4)
        self.assertEqual(self.placed(movers, 5), {"b": 5})

    def test_ends_that_it_has_not_seen_begin_change_nothing(self) -> None:
        """Uploads that an earlier Master placed, of movers that may be gone."""
        movers = [mover("a"), mover("b")]
        self.placed(movers)
        self.placer.ended([Placement("a", 0), Placement("a", 0), Placement("b", 0), Placement("b", 7), Placement("x", 0)])
        self.assertEqual(self.placed(movers, 4), {"a": 2, "b": 2})

    def test_in_rotation(self) -> None:
        movers = [mover(name) for name in "abc"]
        self.assertEqual(set(self.placed(movers, 300).values()), {100})

    def test_the_preferred(self) -> None:
        movers = [mover("a"), mover("b", reads={0: 9})]
        self.assertEqual(self.placed(movers, 5, preferred="b"), {"b": 5})
        self.placer.forget("b")
        self.assertEqual(self.placed([movers[0]], 5, preferred="b"), {"a": 5})

    def test_the_preferred_that_is_much_fuller_than_the_others(self) -> None:
        for free, count in ((50, 6), (30, 6), (28, 2)):
            movers = [mover("a", volume(0, free=free)), mover("b", volume(0, free=100)), mover("c", volume(0, free=50))]
            placer = knowing(Placer(Random(1), 0), movers)
            found = [placer.place(Wanted(preferred="a"))[0].mover for _ in range(6)]
            self.assertEqual(found.count("a"), count, (free, found))

    @given(st.integers(2, 12), st.integers(1, 4), st.integers())
    @settings(max_examples=30)
    def test_equal_movers_get_equal_shares(self, count: int, volumes: int, seed: int) -> None:
        placer = knowing(Placer(Random(seed), 0), [mover(str(n), *map(volume, range(volumes))) for n in range(count)])
        counts = Counter(placer.place(Wanted())[0].mover for _ in range(count * 50))
        self.assertLessEqual(max(counts.values()) - min(counts.values()), 2 * volumes + 2)


class Simulation:
    """Files of one to nine units come in, to movers that say now and then how full they are. Some uploads are under way."""

    def __init__(self, movers: int, volumes: int, seed: int) -> None:
        self.random = Random(seed)
        self.placer = Placer(self.random, 0)
        self.volumes = range(volumes)
        self.size = 10**9
        self.used = {f"m{n:04d}": [0] * volumes for n in range(movers)}
        self.under_way: deque[Sequence[Placement]] = deque()
        for name in self.used:
            self.hear_of(name)

    def hear_of(self, name: str) -> None:
        uses = [VolumeUse(index, "/", self.size, self.size - self.used[name][index]) for index in self.volumes]
        self.placer.know(Candidate(name, uses))

    def run(self, files: int, per_beat: int) -> None:
        """Each mover says how full it is once in `per_beat` files, at a moment of its own."""
        names = itertools.cycle(self.used)
        every = per_beat / len(self.used)
        due = 0.0
        for number in range(files):
            while due <= number:
                due += every
                self.hear_of(next(names))
            self.put(1 + int(self.random.random() * 9))

    def put(self, size: int) -> None:
        places = self.placer.place(Wanted(size=size))
        self.used[places[0].mover][places[0].volume] += size
        self.under_way.append(places)
        if len(self.under_way) > len(self.used):
            self.placer.ended(self.under_way.popleft())

    def imbalance(self) -> float:
        """How far the mover that is farthest from the mean is from it, as a part of it."""
        totals = [sum(used) for used in self.used.values()]
        mean = sum(totals) / len(totals)
        return max(abs(total - mean) for total in totals) / mean


class Balance(SynchronousTestCase):
    def test_twenty_movers(self) -> None:
        simulation = Simulation(20, 2, 1)
        simulation.run(15_000, 500)
        self.assertLess(simulation.imbalance(), 0.05)

    @pytest.mark.long
    def test_a_thousand_movers_and_ten_million_files(self) -> None:
        simulation = Simulation(1000, 2, 1)
        simulation.run(10_000_000, 100_000)
        self.assertLess(simulation.imbalance(), 0.02)
