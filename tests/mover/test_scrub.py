"""Comparing what a mover stores: what is damage and what is not, and a round at its pace, over restarts."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from ecpds import hashing
from ecpds.config import Scrub as Settings
from ecpds.errors import InvalidRequest, Unavailable
from ecpds.mover import checking, scrub
from ecpds.mover.checking import MISSING, Checker
from ecpds.mover.scrub import AGAIN, SOON, Notes, Progress, Scrub
from ecpds.scrubbing import CopyPage, HeldCopy, Verdict, minutes_until, strongest
from ecpds.threads import InlineThreads
from tests.mover.test_sweep import MoverCase

DAY = 86400.0
DATA = b"what came in"


def held(segment: int, data: bytes = DATA, volume: int = 0, **more: Any) -> HeldCopy:
    """A copy whose record is right."""
    return HeldCopy(segment, volume, len(data), {"sha256": sha256(data).hexdigest()}, **more)


class CheckerTests(MoverCase):
    def setUp(self) -> None:
        super().setUp()
        self.checker = Checker(self.store, InlineThreads())

    def check(self, copy: HeldCopy) -> str | None:
        verdict: Verdict = self.now(self.checker.check(copy))
        self.assertEqual((verdict.segment, verdict.volume), (copy.segment, copy.volume))
        return verdict.damage

    def path(self, segment: int, volume: int = 0) -> Path:
        return Path(self.store.volume(volume).path(segment))

    def test_what_is_whole(self) -> None:
        self.put(7, DATA, 1)
        self.assertIsNone(self.check(held(7, volume=1)))
        self.put(8, b"")
        self.assertIsNone(self.check(held(8, b"")))

    def test_a_wrong_byte(self) -> None:
        self.put(7, DATA)
        self.path(7).write_bytes(b"what came on")
        digests = sha256(b"what came on").hexdigest(), sha256(DATA).hexdigest()
        self.assertEqual(self.check(held(7)), f"its sha256 is {digests[0]}, not {digests[1]}")

    @given(
        data=st.binary(min_size=1, max_size=70_000),
        piece=st.sampled_from((1, 3)),
        where=st.integers(0),
        flip=st.integers(1, 255),
    )
    def test_any_wrong_byte(self, data: bytes, piece: int, where: int, flip: int) -> None:
        self.setUp()
        self.patch(checking, "PIECE", piece * 8192)
        self.patch(hashing, "BLOCK", 4096)
        self.put(7, data)
        self.assertIsNone(self.check(held(7, data)))
        spoilt = bytearray(data)
        spoilt[where % len(data)] ^= flip
        self.path(7).write_bytes(spoilt)
        self.assertIn("its sha256 is", str(self.check(held(7, data))))

    def test_another_length(self) -> None:
        self.put(7, DATA)
        for content in (DATA[:-1], DATA + b"x", b""):
            self.path(7).write_bytes(content)
            self.assertEqual(self.check(held(7)), f"it has {len(content)} bytes, not {len(DATA)}")

    def test_one_that_is_missing(self) -> None:
        self.put(7, DATA)
        self.path(7).unlink()
        self.assertEqual(self.check(held(7)), MISSING)

    def test_a_disk_that_is_away_is_no_damage(self) -> None:
        self.refused(Unavailable, self.checker.check(held(7)))
        self.refused(Unavailable, self.checker.check(held(7, volume=5)))

    def test_a_volume_that_has_failed_condemns_no_copy(self) -> None:
        """Such as one whose disk is not mounted, where something of ours stands below."""
        self.put(6)
        self.store.volume(0).fail(OSError(errno.ENOENT, "its disk is not mounted"))
        self.refused(Unavailable, self.checker.check(held(7)))

    def test_a_disk_that_has_gone_while_it_was_used_condemns_no_copy(self) -> None:
        self.put(7, DATA)

        def bad(*_: Any, **__: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        self.patch(os, "open", bad)
        self.patch(os, "scandir", bad)
        self.refused(Unavailable, self.checker.check(held(7)))

    def test_what_may_not_be_opened_is_no_damage(self) -> None:
        self.put(6)
        self.path(7).symlink_to(self.path(7))
        self.refused(Unavailable, self.checker.check(held(7)))

    def test_a_disk_that_can_not_read_is_damage(self) -> None:
        self.put(7, DATA)

        def bad(*_: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        self.patch(checking, "follow_file", bad)
        self.assertEqual(self.check(held(7)), "it can't be read: Input/output error")

    def test_what_was_wrong_once_is_looked_at_again(self) -> None:
        self.put(7, DATA)
        self.path(7).write_bytes(b"what came on")
        looks: list[int] = []

        async def mend(count: int) -> None:
            looks.append(count)
            if len(looks) == 2:
                self.path(7).write_bytes(DATA)

        self.assertIsNone(self.now(self.checker.check(held(7), mend)).damage)
        self.assertEqual(len(looks), 2)

    def test_where_no_digest_is_known_the_length_is(self) -> None:
        self.put(7, DATA)
        self.assertIsNone(self.check(HeldCopy(7, 0, len(DATA))))
        self.assertIn("bytes", str(self.check(HeldCopy(7, 0, 3))))

    def test_the_digest_that_says_most(self) -> None:
        self.assertEqual(strongest({"crc64nvme": "", "md5": "", "sha256": ""}), "sha256")
        self.assertEqual(strongest({"crc64nvme": ""}), "crc64nvme")
        self.assertIsNone(strongest({}))

    def test_a_file_system_without_a_way_past_the_cache(self) -> None:
        real = os.open

        def refusing(path: str, flags: int, *more: Any) -> int:
            if flags & os.O_DIRECT:
                raise OSError(errno.EINVAL, "Invalid argument")
            return real(path, flags, *more)

        self.put(7, DATA)
        self.patch(os, "open", refusing)
        self.assertIsNone(self.check(held(7)))


class CopiesMaster:
    """Says which copies a mover should have, two to a page, and hears of those that are damaged."""

    def __init__(self) -> None:
        self.copies: list[HeldCopy] = []
        self.asked: list[int] = []
        self.verdicts: list[Verdict] = []
        self.gone: set[int] = set()
        self.failure: Exception | None = None
        self.when_asked: Deferred[None] | None = None

    async def copies_of(self, mover: str, after: int, limit: int) -> CopyPage:
        assert mover == "mover-1"
        self.asked.append(after)
        if self.failure is not None:
            raise self.failure
        left = [each for each in self.copies if each.segment > after]
        return CopyPage(tuple(left[:2]), left[1].segment if len(left) > 2 else None)

    async def judged(self, mover: str, verdicts: Sequence[Verdict]) -> Collection[int]:
        self.verdicts += verdicts
        return {each.segment for each in verdicts} - self.gone


class ScrubTests(MoverCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.advance(1000 * DAY)
        self.master = CopiesMaster()
        self.file = Path(self.mktemp())
        self.make()

    def make(self, **settings: Any) -> None:
        """A scrub, as after a start of the process."""
        checker, notes = Checker(self.store, InlineThreads()), Notes(self.file, InlineThreads())
        settings.setdefault("rate", scrub.LEAST)
        self.scrub = Scrub("mover-1", self.master, checker, notes, Settings(**settings), self.clock)
        self.scrub.start()
        self.addCleanup(lambda: self.successResultOf(ensureDeferred(self.scrub.stop())))

    def end(self) -> None:
        self.now(self.scrub.stop())

    def order(self, order: str) -> Any:
        return self.now(self.scrub.order(order))

    def fill(self, *segments: int) -> None:
        for segment in segments:
            self.put(segment, DATA)
            self.master.copies.append(held(segment))

    def seconds(self, count: float) -> None:
        """Let time pass, a tenth of a second at a time."""
        for _ in range(round(count * 10)):
            self.clock.advance(0.1)

    @property
    def progress(self) -> Progress:
        return Notes(self.file, InlineThreads()).read()

    def test_it_begins_a_while_after_the_node(self) -> None:
        self.fill(1)
        self.assertEqual(self.scrub.state().state, "waiting")
        self.clock.advance(SOON - 1)
        self.assertEqual(self.master.asked, [])
        self.clock.advance(1)
        self.assertEqual(self.master.asked, [0])
        self.assertEqual((self.progress.copies, self.progress.bytes), (1, len(DATA)))

    def test_a_round_and_the_next_one(self) -> None:
        self.fill(1, 2, 3)
        self.assertEqual(self.order("start").state, "running")
        self.seconds(10)
        self.assertEqual(self.master.asked, [0, 2])
        found = self.scrub.state()
        self.assertEqual((found.state, found.copies, found.damaged, found.unchecked), ("waiting", 3, 0, 0))
        self.assertEqual(found.next, found.started + 30 * DAY)
        for _ in range(30 * 24):
            self.clock.advance(3600)
        self.seconds(10)
        self.assertEqual(self.master.asked, [0, 2, 0, 2])

    def test_a_small_file_costs_as_much_as_a_block(self) -> None:
        """The rate is one such block a second."""
        self.fill(1, 2, 3, 4)
        self.order("start")
        self.seconds(2.5)
        self.assertEqual(self.scrub.state().copies, 3)

    def test_it_is_slower_where_clients_transfer(self) -> None:
        self.scrub.busy = lambda: True
        self.fill(1, 2, 3, 4)
        self.order("start")
        self.seconds(6)
        self.assertEqual(self.scrub.state().copies, 2)

    def test_the_master_hears_of_what_is_damaged(self) -> None:
        self.fill(1, 2, 3)
        os.unlink(self.store.volume(0).path(2))
        self.order("start")
        self.seconds(10)
        self.assertEqual(self.master.verdicts, [Verdict(2, 0, MISSING)])
        self.assertEqual(self.scrub.state().damaged, 1)

    def test_what_was_deleted_meanwhile_does_not_count(self) -> None:
        self.fill(1, 2)
        os.unlink(self.store.volume(0).path(2))
        self.master.gone = {2}
        self.order("start")
        self.seconds(10)
        self.assertEqual(self.scrub.state().damaged, 0)

    def test_a_mark_that_is_right_is_not_told_again_and_a_wrong_one_is(self) -> None:
        self.fill(1)
        self.master.copies = [held(1, damaged="gone"), held(2, damaged="gone")]
        self.order("start")
        self.seconds(10)
        self.assertEqual(self.master.verdicts, [Verdict(1, 0)])
        self.assertEqual(self.scrub.state().damaged, 1)

    def test_what_can_not_be_compared_is_counted(self) -> None:
        self.fill(1)
        self.master.copies += [held(2, volume=1), held(3, volume=9)]
        self.order("start")
        self.seconds(10)
        found = self.scrub.state()
        self.assertEqual((found.copies, found.unchecked, found.damaged), (1, 2, 0))
        self.assertEqual(self.master.verdicts, [])

    def test_it_goes_on_where_it_was_after_a_restart(self) -> None:
        self.fill(1, 2, 3, 4, 5)
        self.order("start")
        self.seconds(2.5)
        self.end()
        seen = self.progress.copies
        self.assertEqual((seen, self.progress.after), (3, 3))
        self.make()
        self.assertEqual(self.scrub.state().copies, 3)
        self.clock.advance(SOON)
        self.seconds(10)
        self.assertEqual(self.scrub.state().copies, 5)
        self.assertEqual(self.master.asked, [0, 2, 3])

    def test_what_is_noted_between_counts_no_copy_twice(self) -> None:
        """The notes are what a kill leaves; the segments are the first numbers."""
        self.patch(scrub, "SAVE", 0.0)
        self.fill(1, 2, 3, 4, 5)
        self.order("start")
        for _ in range(60):
            self.clock.advance(0.1)
            if self.progress.ended is None:
                self.assertEqual(self.progress.copies, self.progress.after)
        self.assertEqual(self.progress.copies, 5)

    def test_it_rests_until_it_is_told_to_start(self) -> None:
        self.fill(1, 2, 3, 4, 5)
        self.order("start")
        self.seconds(1.5)
        self.assertEqual(self.order("stop").state, "stopped")
        seen = self.scrub.state().copies
        self.seconds(5)
        self.end()
        self.make()
        for _ in range(3):
            self.clock.advance(3600)
        self.assertEqual((self.scrub.state().state, self.scrub.state().copies), ("stopped", seen))
        self.order("start")
        self.seconds(10)
        self.assertEqual(self.scrub.state().copies, 5)

    def test_only_within_its_hours(self) -> None:
        self.end()
        self.make(hours="02:00-06:00")
        self.fill(1)
        self.order("start")
        self.clock.advance(2 * 3600 - 60)
        self.assertEqual((self.master.asked, self.scrub.state().state), ([], "waiting"))
        for _ in range(70):
            self.clock.advance(60)
        self.assertEqual(self.scrub.state().copies, 1)

    def test_a_span_of_the_day(self) -> None:
        at = lambda hour, minute=0: 1000 * DAY + hour * 3600 + minute * 60  # noqa: E731
        self.assertEqual([minutes_until("22:00-06:00", at(hour)) for hour in (22, 23, 0, 5)], [0] * 4)
        self.assertEqual(minutes_until("22:00-06:00", at(6)), 16 * 60)
        self.assertEqual(minutes_until("09:30-10:00", at(9, 15)), 15)
        self.assertEqual(minutes_until("10:00-10:00", at(3)), 0)

    def test_a_master_that_is_away_is_asked_again(self) -> None:
        self.fill(1)
        self.master.failure = Unavailable("no Master")
        self.order("start")
        self.master.failure = None
        self.clock.advance(AGAIN)
        self.assertEqual(self.scrub.state().copies, 1)

    def test_off(self) -> None:
        self.end()
        self.make(rate=0)
        self.fill(1)
        self.assertEqual(self.scrub.state().state, "off")
        self.refused(InvalidRequest, self.scrub.order("start"))
        for _ in range(3):
            self.clock.advance(3600)
        self.assertEqual(self.master.asked, [])

    def test_an_order_that_there_is_not(self) -> None:
        self.refused(InvalidRequest, self.scrub.order("faster"))

    def test_notes_that_can_not_be_read_are_no_notes(self) -> None:
        for text in ("", "{", "[]", "{}", '{"started": 1}'):
            self.file.write_text(text)
            self.assertEqual(self.progress, Progress())
