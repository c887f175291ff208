"""One file: from several sources, through deaths and lies, and never half under its name."""

from __future__ import annotations

import hashlib
from random import Random

from ecpds.errors import ConnectionLost, NotFound, Unavailable
from ecpds.sources.fetch.names import part_name, state_name
from ecpds.sources.fetch.notes import Kept, write_note
from ecpds.sources.fetch.outcomes import Task
from ecpds.sources.fetch.wanted import Pieces, Right
from tests.sources.fetch.support import MIB, FetchCase

SMALL = b"some bytes\n"
LARGE = Random(7).randbytes(12 * MIB)
WRONG = LARGE[: 2 * MIB] + LARGE[: 10 * MIB]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class OneSource(FetchCase):
    def test_small(self) -> None:
        self.servers.serve("http://a/f", SMALL)
        outcome = self.fetch(self.task("f", "a"))
        self.assertEqual((outcome.done, outcome.sha256, outcome.size), (True, sha256(SMALL), len(SMALL)))
        self.assertEqual((self.folder / "f").read_bytes(), SMALL)
        self.assertEqual(self.left_over(), ["f"])

    def test_empty(self) -> None:
        self.servers.serve("http://a/f", b"")
        outcome = self.fetch(self.task("f", "a"))
        self.assertTrue(outcome.done, outcome.reason)
        self.assertTrue(outcome.attempts[0].ok)
        self.assertEqual((self.folder / "f").read_bytes(), b"")

    def test_large_in_one_request(self) -> None:
        served = self.servers.serve("http://a/f", LARGE)
        self.assertTrue(self.fetch(self.task("f", "a")).done)
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)
        self.assertEqual(served.opened, [(0, None)])

    def test_size_that_nobody_tells(self) -> None:
        self.servers.serve("http://a/f", LARGE, size=None)
        outcome = self.fetch(self.task("f", "a"))
        self.assertEqual((outcome.done, outcome.size), (True, len(LARGE)))
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)

    def test_goes_on_where_it_died(self) -> None:
        served = self.servers.serve("http://a/f", LARGE, version='"1"', dies_at=7 * MIB + 5, deaths=1)
        self.assertTrue(self.fetch(self.task("f", "a")).done)
        self.assertEqual(served.opened, [(0, None), (7 * MIB + 5, None)])
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)

    def test_nothing_is_left_of_what_is_not_there(self) -> None:
        outcome = self.fetch(self.task("f", "a"))
        self.assertEqual((outcome.done, outcome.sha256), (False, None))
        self.assertIn("404", outcome.reason)
        self.assertEqual(self.left_over(), [])

    def test_is_asked_again_after_a_pause(self) -> None:
        self.servers.serve("http://a/f", SMALL, refusals=[Unavailable("503"), ConnectionLost()])
        outcome = self.fetch(self.task("f", "a"))
        self.assertTrue(outcome.done)
        self.assertGreater(outcome.seconds, 0.5)

    def test_gives_up_in_the_end(self) -> None:
        self.servers.serve("http://a/f", SMALL, refusals=[Unavailable("503")] * 99)
        outcome = self.fetch(self.task("f", "a"))
        self.assertFalse(outcome.done)
        self.assertEqual([each.ok for each in outcome.attempts], [False])
        self.assertEqual(outcome.reports[0].success, False)

    def test_a_server_that_begins_anew_only(self) -> None:
        self.servers.serve("http://a/f", LARGE, ranges=False, dies_at=3 * MIB, deaths=1)
        outcome = self.fetch(self.task("f", "a"))
        self.assertFalse(outcome.done)
        self.assertNotIn("f", self.left_over())

    def test_changed_in_the_middle(self) -> None:
        served = self.servers.serve("http://a/f", LARGE, version='"1"', dies_at=3 * MIB, deaths=1, rate=10 * MIB)
        running = self.begin(self.task("f", "a"))
        self.turn(0.2)
        served.version = '"2"'
        self.turn(60)
        outcome = self.successResultOf(running)
        self.assertFalse(outcome.done)
        self.assertNotIn("f", self.left_over())

    def test_the_old_file_stays_until_the_new_one_is_whole(self) -> None:
        (self.folder / "f").write_bytes(b"old")
        self.servers.serve("http://a/f", LARGE, rate=10 * MIB)
        running = self.begin(self.task("f", "a"))
        self.turn(0.5)
        self.assertEqual((self.folder / "f").read_bytes(), b"old")
        self.turn(20)
        self.assertTrue(self.successResultOf(running).done)
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)


class Verification(FetchCase):
    def test_side_car(self) -> None:
        self.servers.serve("http://a/f", SMALL)
        self.servers.serve("http://a/f.sha256", f"{sha256(SMALL)}  f\n".encode())
        self.assertTrue(self.fetch(self.task("f", "a")).done)

    def test_a_side_car_that_lies(self) -> None:
        for content in (SMALL, LARGE):
            self.servers.serve("http://a/f", content)
            self.servers.serve("http://a/f.sha256", f"{sha256(b'other')}  f\n".encode())
            outcome = self.fetch(self.task("f", "a"))
            self.assertFalse(outcome.done)
            self.assertIn("f.sha256", outcome.reason)
            self.assertEqual(self.left_over(), [])
            self.assertFalse(outcome.reports[0].wrong, "nobody knows that the server is wrong")

    def test_manifest(self) -> None:
        self.servers.serve("http://a/f", SMALL)
        task = self.task("f", "a")
        task.wanted.say(Right.MANIFEST, {"md5": hashlib.md5(SMALL).hexdigest()}, "the manifest")
        self.assertTrue(self.fetch(task).done)
        task = self.task("f", "a")
        task.wanted.say(Right.MANIFEST, {"md5": "0" * 32}, "the manifest")
        self.assertFalse(self.fetch(task).done)

    def test_size_of_the_manifest(self) -> None:
        self.servers.serve("http://a/f", SMALL)
        outcome = self.fetch(self.task("f", "a", size=5))
        self.assertFalse(outcome.done)
        self.assertTrue(outcome.reports[0].wrong)

    def test_a_page_instead_of_the_file(self) -> None:
        self.servers.serve("http://a/f.grib", b"<html>Not found</html>", media="text/html")
        self.assertFalse(self.fetch(self.task("f.grib", "a")).done)
        self.servers.serve("http://a/f.html", b"<html>It is</html>", media="text/html")
        self.assertTrue(self.fetch(self.task("f.html", "a")).done)

    def test_the_servers_own_digest(self) -> None:
        self.servers.serve("http://a/f", SMALL, digests={"sha256": sha256(b"other")})
        self.assertFalse(self.fetch(self.task("f", "a")).done)

    def test_more_than_it_said(self) -> None:
        self.servers.serve("http://a/f", SMALL, size=5)
        self.assertFalse(self.fetch(self.task("f", "a")).done)

    def test_less_than_it_said(self) -> None:
        self.servers.serve("http://a/f", SMALL, size=50)
        self.assertFalse(self.fetch(self.task("f", "a")).done)

    def test_pieces(self) -> None:
        pieces = Pieces("sha256", 5 * MIB, tuple(sha256(LARGE[at : at + 5 * MIB]) for at in range(0, len(LARGE), 5 * MIB)))
        self.servers.serve("http://a/f", WRONG)
        self.servers.serve("http://b/f", LARGE)
        outcome = self.fetch(self.task("f", "a", "b", size=len(LARGE), pieces=pieces))
        self.assertTrue(outcome.done, outcome.reason)
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)


class SeveralSources(FetchCase):
    def serve(self, *hosts: str, **how: object) -> None:
        for host in hosts:
            self.servers.serve(f"http://{host}/f", LARGE, **how)

    def test_four_are_at_least_three_times_as_fast_as_one(self) -> None:
        self.serve("a", "b", "c", "d", rate=MIB)
        one = self.fetch(self.task("f", "a")).seconds
        four = self.fetch(self.task("f", "a", "b", "c", "d"))
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)
        self.assertEqual([each.ok for each in four.attempts], [True] * 4)
        self.assertGreater(one / four.seconds, 3.0)

    def test_ranges_of_one_source_at_once(self) -> None:
        self.tools = self.make_tools(self.tools.settings.__class__(streams=4, per_source=4))
        self.serve("a", rate=MIB)
        outcome = self.fetch(self.task("f", "a"))
        self.assertLess(outcome.seconds, 5.0)
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)

    def test_the_next_goes_on_from_where_one_died(self) -> None:
        self.serve("a", dies_at=9 * MIB, deaths=99, version='"1"')
        self.serve("b", version='"1"')
        self.tools = self.make_tools(self.tools.settings.__class__(streams=1))
        self.servers.files["http://a/f"] = self.servers.serve("http://a/f", LARGE, dies_at=9 * MIB, deaths=99, version='"1"')
        outcome = self.fetch(self.task("f", "a", "b"))
        self.assertTrue(outcome.done)
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)
        self.assertEqual(self.servers.files["http://b/f"].opened[-1], (9 * MIB, None))

    def test_a_slow_one_is_not_waited_for(self) -> None:
        self.serve("a", rate=50_000)
        self.serve("b", "c", rate=4 * MIB)
        outcome = self.fetch(self.task("f", "a", "b", "c"))
        self.assertTrue(outcome.done)
        self.assertLess(outcome.seconds, 12.0)
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)

    def test_of_small_files_the_wait_for_the_answer_counts(self) -> None:
        self.servers.serve("http://a/f", bytes(100_000), thinks=2.0)
        self.servers.serve("http://b/f", bytes(100_000), rate=500_000)
        for host in "ab":
            self.assertTrue(self.fetch(self.task("f", host)).done)
        both = self.task("f", "a", "b").candidates
        self.assertEqual(self.tools.paces.order(both, False), [both[1], both[0]])

    def test_a_wrong_one_is_caught_and_blamed(self) -> None:
        self.serve("a", "b", "c", rate=MIB)
        self.servers.serve("http://d/f", WRONG, rate=MIB)
        self.servers.serve("http://c/f.sha256", f"{sha256(LARGE)}  f\n".encode())
        for order in (("d", "a", "b", "c"), ("a", "b", "d", "c"), ("a", "d", "c")):
            outcome = self.fetch(self.task("f", *order))
            self.assertTrue(outcome.done, outcome.reason)
            self.assertEqual((self.folder / "f").read_bytes(), LARGE)
            wrong = [each.url for each in outcome.reports if each.wrong]
            self.assertIn(wrong, ([], ["http://d/f"]), "an innocent was blamed")
        self.assertTrue(self.tools.paces.hosts["http:d:http"].wrong)

    def test_another_size_is_not_mixed_in(self) -> None:
        self.serve("a", "c", rate=MIB)
        self.servers.serve("http://b/f", LARGE + b"x", rate=MIB)
        outcome = self.fetch(self.task("f", "a", "b", "c"))
        self.assertTrue(outcome.done)
        self.assertEqual([each.ok for each in outcome.attempts], [True, False, True])
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)

    def test_other_bytes_are_not_mixed_in(self) -> None:
        self.serve("a", rate=MIB)
        self.servers.serve("http://b/f", LARGE[::-1], rate=MIB)
        outcome = self.fetch(self.task("f", "b", "a"))
        self.assertTrue(outcome.done)
        self.assertIn((self.folder / "f").read_bytes(), (LARGE, LARGE[::-1]))

    def test_one_that_has_nothing_is_passed_over(self) -> None:
        self.serve("b")
        self.servers.serve("http://a/f", LARGE, refusals=[NotFound("404")])
        outcome = self.fetch(self.task("f", "a", "b"))
        self.assertEqual([each.ok for each in outcome.attempts], [False, True])


class Resuming(FetchCase):
    def test_a_later_run_goes_on(self) -> None:
        served = self.servers.serve("http://a/f", LARGE, version='"1"', dies_at=6 * MIB, deaths=99)
        self.assertFalse(self.fetch(self.task("f", "a")).done)
        self.assertEqual(self.left_over(), [".f.ecpds-part", ".f.ecpds-state"])
        served.deaths, served.opened[:] = 0, []
        self.tools = self.make_tools(self.tools.settings)
        outcome = self.fetch(self.task("f", "a"))
        self.assertTrue(outcome.done, outcome.reason)
        self.assertEqual(served.opened[-1], (6 * MIB, None))
        self.assertEqual((self.folder / "f").read_bytes(), LARGE)
        self.assertEqual(self.left_over(), ["f"])

    def test_not_with_another_version(self) -> None:
        served = self.servers.serve("http://a/f", LARGE, version='"1"', dies_at=6 * MIB, deaths=99)
        self.assertFalse(self.fetch(self.task("f", "a")).done)
        other = LARGE[::-1]
        served = self.servers.serve("http://a/f", other, version='"2"')
        self.tools = self.make_tools(self.tools.settings)
        self.assertTrue(self.fetch(self.task("f", "a")).done)
        self.assertEqual((self.folder / "f").read_bytes(), other)
        self.assertEqual(served.opened[0], (0, None))


class GoingOn(FetchCase):
    """What another way of this very run has left: of other sources, perhaps, than those that still answer."""

    def left(self, content: bytes, size: int = len(LARGE)) -> Task:
        """A file of which the first bytes are here, of `a`, which has gone."""
        task = self.task("f", "a", "b")
        task.came = {"http://a/f": len(content)}
        (self.folder / part_name("f")).write_bytes(content)
        write_note(self.folder / state_name("f"), Kept(size, {"http://a/f": '"a"'}, {}, ((0, len(content)),)))
        return task

    def test_another_source_with_the_same_bytes_goes_on(self) -> None:
        served = self.servers.serve("http://b/f", LARGE, version='"b"')
        outcome = self.fetch(self.left(LARGE[: 5 * MIB]))
        self.assertEqual((outcome.done, outcome.sha256), (True, sha256(LARGE)))
        self.assertEqual([begin for begin, _ in served.opened if begin == 0], [0], "it was fetched again")
        self.assertEqual(self.left_over(), ["f"])
        self.assertEqual([each.url for each in outcome.attempts], ["http://a/f", "http://b/f"])

    def test_one_with_other_bytes_is_not_mixed_in(self) -> None:
        self.servers.serve("http://b/f", WRONG, version='"b"')
        outcome = self.fetch(self.left(LARGE[: 5 * MIB]))
        self.assertFalse(outcome.done)
        self.assertIn("other bytes", outcome.reason)
        self.assertFalse((self.folder / "f").exists())

    def test_of_another_size_it_begins_anew(self) -> None:
        self.servers.serve("http://b/f", LARGE, version='"b"')
        outcome = self.fetch(self.left(LARGE[: 5 * MIB], len(LARGE) + 1))
        self.assertEqual((outcome.done, outcome.sha256), (True, sha256(LARGE)))
