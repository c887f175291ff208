"""The schedule and its visits: the twin's servers, the fetch engine, and a whole portal in memory."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredSemaphore
from zope.interface.verify import verifyObject

from ecpds.acquisitions import IAcquirer, Plan
from ecpds.errors import InvalidRequest, NotFound, NotSupported, Unavailable
from ecpds.limits import Limits
from ecpds.portal.operator_acquisitions import AcquisitionsOperator
from ecpds.sources.acquire.acquirer import Acquirer
from ecpds.sources.acquire.fetcher import Fetcher
from ecpds.sources.acquire.shelf import PortalShelf
from ecpds.sources.acquire.visit import Around
from ecpds.threads import InlineThreads
from tests.doubles import RecordingSink
from tests.doubles.acquisitions import MemoryAcquisitionStore
from tests.portal.house import NODE, House
from tests.sources.fetch.support import FetchCase

PLAN = Plan("gfs", "http://A/in", "archive", "ann", every=100.0)
LIMITS = evolve(Limits(), acquire_tries=2, acquire_listing=5, acquired_files=6)


class AcquirerCase(FetchCase):
    def setUp(self) -> None:
        super().setUp()
        self.house = House(self)
        self.house.add_destination("archive")
        self.user = self.house.add_user("ann", ("archive",))
        self.sink = RecordingSink()
        self.store = MemoryAcquisitionStore()
        self.acquirer = self.make_acquirer()
        self.operator = AcquisitionsOperator(self.house.operations, self.acquirer)
        self.wait(self.acquirer.start())

    def make_acquirer(self) -> Acquirer:
        async def user_id(login: str) -> int:
            return int((await self.house.operations.user(login)).id)

        threads = InlineThreads()
        around = Around(
            self.store,
            Fetcher(self.tools, None, threads, self.folder, 86400.0, self.clock.seconds),
            PortalShelf(self.house.portal, user_id, threads, NODE),
            self.sink,
            LIMITS,
            DeferredSemaphore(2),
            self.clock.seconds,
            NODE,
        )
        return Acquirer(around, self.clock)

    def wait(self, work: Any) -> Any:
        """What `work` comes to, however long the clock must run."""
        running = Deferred.fromCoroutine(work)
        for _ in range(4000):
            if running.called:
                break
            self.clock.advance(0.05)
        return self.successResultOf(running)

    def fails(self, kind: type[Exception], work: Any) -> Exception:
        running = Deferred.fromCoroutine(work)
        for _ in range(4000):
            if running.called:
                break
            self.clock.advance(0.05)
        return self.failureResultOf(running, kind).value  # type: ignore[no-any-return]

    def content(self, path: str) -> int:
        return int(self.house.now(self.house.files_of(self.user).stat(path)).size)

    def records(self) -> list[tuple[str, str, str]]:
        return [(each.fields["Status"], each.fields["FileName"], each.fields["Message"]) for each in self.sink.events]


class Acquiring(AcquirerCase):
    def test_it_is_one(self) -> None:
        verifyObject(IAcquirer, self.acquirer)

    def test_what_is_new_comes_once_and_what_changed_again(self) -> None:
        self.servers.serve("http://A/in/a", b"one", version="1")
        self.servers.serve("http://A/in/b", b"", version="1")
        self.wait(self.acquirer.add(PLAN))
        self.turn(5)
        self.assertEqual((self.content("/archive/a"), self.content("/archive/b")), (3, 0))
        self.assertEqual(sorted(self.records()), [("done", "a", "-"), ("done", "b", "-")])
        self.assertEqual({each.type for each in self.sink.events}, {"RET"})
        self.assertEqual(self.wait(self.acquirer.run("gfs"))["wanted"], 0)
        self.servers.serve("http://A/in/a", b"other", version="2")
        self.assertEqual(self.wait(self.acquirer.run("gfs"))["done"], 1)
        self.assertEqual(self.content("/archive/a"), 5)
        self.assertEqual(self.left_over(), [])

    def test_it_comes_again_by_itself(self) -> None:
        self.wait(self.acquirer.add(PLAN))
        self.turn(5)
        self.servers.serve("http://A/in/late", b"x", version="1")
        self.turn(90)
        self.assertEqual(self.records(), [])
        self.turn(15)
        self.assertEqual(self.records(), [("done", "late", "-")])

    def test_only_names_that_fit_are_asked_for(self) -> None:
        unwanted = self.servers.serve("http://A/in/a", b"one", version="1")
        self.servers.serve("http://A/in/b", b"two", version="1")
        self.wait(self.acquirer.add(evolve(PLAN, every=10.0, names=("b",))))
        self.turn(30)
        self.assertEqual(self.records(), [("done", "b", "-")])
        self.assertEqual(unwanted.opened, [])

    def test_the_portal_refuses_and_nothing_is_seen(self) -> None:
        self.servers.serve("http://A/in/a", b"one", version="1")
        self.house.add_user("guest", ("archive",), permissions=("get",))
        self.wait(self.acquirer.add(evolve(PLAN, user="guest")))
        self.turn(2)
        self.assertEqual([each[0] for each in self.records()], ["failed"])
        self.assertIsNone(self.house.now(self.house.files_of(self.user).find("/archive/a")))
        self.turn(40)
        self.assertEqual(len(self.records()), 1)
        self.turn(120)
        self.assertEqual(len(self.records()), 2)
        self.turn(300)
        self.assertEqual(len(self.records()), 2, "it was tried more often than the limit says")
        (file,) = self.wait(self.acquirer.files("gfs"))
        self.assertEqual((file.tries, file.sha256), (2, ""))
        self.assertEqual(self.left_over(), [])

    def test_a_cut_connection_publishes_nothing_and_goes_on_later(self) -> None:
        self.servers.serve("http://A/in/a", b"x" * 3_000_000, version="1", dies_at=2_000_000, deaths=100, rate=5e6)
        self.wait(self.acquirer.add(PLAN))
        self.turn(60)
        self.assertEqual([each[0] for each in self.records()], ["failed"])
        self.assertIsNone(self.house.now(self.house.files_of(self.user).find("/archive/a")))
        self.servers.files["http://A/in/a"].deaths = 0
        self.turn(200)
        self.assertEqual([each[0] for each in self.records()], ["failed", "done"])
        self.assertEqual(self.content("/archive/a"), 3_000_000)

    def test_what_is_remembered_is_bounded(self) -> None:
        for day in range(3):
            self.servers.files.clear()
            for number in range(4):
                self.servers.serve(f"http://A/in/{day}{number}", b"x", version="1")
            if not day:
                self.wait(self.acquirer.add(PLAN))
            self.wait(self.acquirer.run("gfs"))
        names = [each.path[-2:] for each in self.wait(self.acquirer.files("gfs"))]
        self.assertEqual(len(names), 6)
        self.assertEqual(names[-4:], ["20", "21", "22", "23"])


class Schedule(AcquirerCase):
    def test_a_folder_that_fails_is_left_longer_alone(self) -> None:
        self.wait(self.acquirer.add(evolve(PLAN, url="ftp://A/in")))
        self.turn(2)
        _, standing = self.acquirer.plan("gfs")
        self.assertEqual(standing.failures, 1)
        self.assertGreater(standing.due, self.clock.seconds() + 190)
        self.turn(210, 0.5)
        self.assertEqual(self.acquirer.plan("gfs")[1].failures, 2)
        self.fails(InvalidRequest, self.acquirer.run("gfs"))
        self.assertEqual(self.acquirer.plan("gfs")[1].failures, 3)

    def test_off_is_off_and_a_restart_remembers(self) -> None:
        self.servers.serve("http://A/in/a", b"one", version="1")
        self.wait(self.acquirer.add(evolve(PLAN, enabled=False)))
        self.turn(150, 0.5)
        self.assertEqual(self.records(), [])
        self.wait(self.acquirer.switch("gfs", True))
        self.turn(2)
        self.assertEqual(len(self.records()), 1)
        self.wait(self.acquirer.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.fails(Unavailable, self.acquirer.run("gfs"))
        self.acquirer = self.make_acquirer()
        self.wait(self.acquirer.start())
        self.turn(50)
        self.assertEqual(len(self.records()), 1)

    def test_a_stop_in_the_middle_leaves_nothing_open(self) -> None:
        self.servers.serve("http://A/in/a", b"x" * 3_000_000, version="1", rate=1e5)
        self.wait(self.acquirer.add(PLAN))
        self.turn(3)
        self.assertEqual(self.servers.connections, 1)
        self.wait(self.acquirer.stop())
        self.assertEqual((self.servers.connections, self.pool.lent), (0, 0))
        self.assertEqual(self.records(), [])

    def test_removed_in_the_middle_it_is_forgotten(self) -> None:
        self.servers.serve("http://A/in/a", b"x" * 3_000_000, version="1", rate=1e5)
        self.wait(self.acquirer.add(PLAN))
        self.turn(3)
        self.wait(self.acquirer.remove("gfs"))
        self.assertEqual(self.servers.connections, 0)
        self.assertRaises(NotFound, self.acquirer.plan, "gfs")
        self.assertEqual(self.house.now(self.store.plans()), [])

    def test_two_who_wait_have_one_visit(self) -> None:
        self.servers.serve("http://A/in/a", b"x" * 300_000, version="1", rate=1e5)
        self.wait(self.acquirer.add(PLAN))
        first, second = (Deferred.fromCoroutine(self.acquirer.run("gfs")) for _ in range(2))
        self.turn(10)
        self.assertEqual(self.successResultOf(first), self.successResultOf(second))
        self.assertEqual(len(self.servers.files["http://A/in/a"].opened), 1)

    def test_a_catalogue_that_is_away_stops_no_schedule(self) -> None:
        self.wait(self.acquirer.add(PLAN))
        self.turn(2)
        self.store.failure = Unavailable()
        self.turn(250, 0.5)
        self.store.failure = None
        self.servers.serve("http://A/in/a", b"x", version="1")
        self.turn(120, 0.5)
        self.assertEqual(self.records(), [("done", "a", "-")])


class Operators(AcquirerCase):
    def test_the_verbs(self) -> None:
        self.servers.serve("http://A/in/a", b"one", version="1")
        shown = self.wait(self.operator.add_acquisition("gfs", "http://A/in", "archive", "ann", names=["*"], every=60))
        self.assertEqual((shown["names"], shown["enabled"], shown["visited"]), (["*"], True, None))
        self.assertEqual(self.wait(self.operator.run_acquisition("gfs"))["done"], 1)
        (file,) = self.wait(listed(self.operator.list_acquired("gfs")))
        self.assertEqual((file["path"], file["status"], file["size"]), ("/archive/a", "done", 3))
        self.assertFalse(self.wait(self.operator.disable_acquisition("gfs"))["enabled"])
        self.assertTrue(self.wait(self.operator.enable_acquisition("gfs"))["enabled"])
        self.assertEqual(len(self.wait(listed(self.operator.list_acquisitions()))), 1)
        self.wait(self.operator.remove_acquisition("gfs"))
        self.assertEqual(self.wait(listed(self.operator.list_acquisitions())), [])

    def test_what_is_missing_is_said(self) -> None:
        self.fails(InvalidRequest, self.operator.add_acquisition("x", "http://A/in"))
        self.fails(NotFound, self.operator.add_acquisition("x", "http://A/in", "none", "ann"))
        self.fails(NotFound, self.operator.add_acquisition("x", "http://A/in", "archive", "nobody"))
        self.fails(InvalidRequest, self.operator.add_acquisition("x", "file:///etc", "archive", "ann"))
        self.fails(NotFound, self.operator.show_acquisition("x"))
        self.fails(NotSupported, AcquisitionsOperator(self.house.operations, None).show_acquisition("x"))


async def listed(objects: Any) -> list[Any]:
    return [each async for each in objects]
