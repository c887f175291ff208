"""What operators ask, and what they are refused."""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ecpds.errors import AlreadyExists, DirectoryNotEmpty, InvalidName, InvalidRequest, IsADirectory, NotFound, Unavailable
from ecpds.events import Event
from ecpds.limits import Limits
from ecpds.master import multipart, operations
from ecpds.master.days import DAY, question
from ecpds.master.publishing import Publication
from ecpds.master.sql import Session
from ecpds.model import PERMISSIONS, Destination, Identity, RecordFilter
from ecpds.options import MAKES_BUCKETS
from ecpds.people import NewUser, UserChange
from tests.contracts.master import ORIGIN, Uploading
from tests.master.support import NOW, MasterCase


def key_line(private: Any) -> str:
    line: bytes = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return line.decode()


class DestinationTests(MasterCase):
    """Destinations."""

    def test_it_comes_back_as_it_was_added(self) -> None:
        wanted = Destination(
            0, "s3-like.name_1", 2, "group", 86400.0, ("sha256", "md5"), "after", {"incoming.rootdir": "/x"}, created=5.0
        )
        added = self.now(self.operations.add_destination(wanted))
        self.assertEqual((added.created, added.copies, added.group), (NOW, 2, "group"))
        self.restart()
        self.assertEqual(self.now(self.operations.destination("s3-like.name_1")), added)
        self.assertEqual(list(self.now(self.operations.destinations())), [added])

    def test_by_name(self) -> None:
        for name in ("b", "a", "C"):
            self.now(self.operations.add_destination(Destination(0, name)))
        self.assertEqual([each.name for each in self.now(self.operations.destinations())], ["C", "a", "b"])

    def test_refused(self) -> None:
        self.now(self.operations.add_destination(Destination(0, "demo")))
        self.refused(AlreadyExists, self.operations.add_destination(Destination(0, "demo")))
        for name in ("", ".", "..", "-x", "a/b", "é", "a" * 64, "a b", "a\n"):
            self.refused(InvalidName, self.operations.add_destination(Destination(0, name)))
        for bad in (
            {"copies": 0},
            {"lifetime": 0.0},
            {"digests": ("md4",)},
            {"digest_when": "never"},
            {"options": {"a b": ""}},
        ):
            self.refused(InvalidRequest, self.operations.add_destination(Destination(0, "new", **bad)))
        self.refused(NotFound, self.operations.destination("new"))


class RemovalTests(Uploading, MasterCase):
    """A destination that goes with all that is in it."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()

    def steps(self, folders: int) -> int:
        """What it costs to remove that many folders with a file in each, in hundreds of steps of SQLite's machine."""
        for number in range(folders):
            self.now(self.master.make_directory(self.user, "demo", f"f{number}"))
            self.now(self.put(f"f{number}/x"))
        counted, run = [0], self.writer.run

        def count() -> int:
            counted[0] += 1
            return 0

        async def watched(operation: Any) -> Any:
            def watching(session: Session) -> Any:
                session.connection.set_progress_handler(count, 100)
                try:
                    return operation(session)
                finally:
                    session.connection.set_progress_handler(None, 0)

            return await run(watching)

        self.writer.run = watched  # type: ignore[method-assign]
        self.now(self.operations.remove_destination("demo", True))
        self.writer.run = run  # type: ignore[method-assign]
        return counted[0]

    def test_what_was_emptied_is_not_walked_over_again(self) -> None:
        self.patch(operations, "TOGETHER", 2)
        few = self.steps(50)
        self.now(self.operations.add_destination(Destination(0, "demo")))
        self.now(self.operations.change_user("joe", UserChange(destinations=("demo",))))
        many = self.steps(400)
        self.assertLess(many, 10 * few)

    def test_uploads_that_are_kept_go_too(self) -> None:
        """Those that broke off and those in parts, however many; they are what is in it."""
        self.patch(operations, "TOGETHER", 2)
        self.patch(multipart, "GIVEN_UP_AT_A_TIME", 2)
        self.now(self.put("a"))
        for number in range(4):
            kept = self.now(self.master.begin_partial(self.request(f"f{number}")))
            self.now(self.put(f"f{number}", part=(kept, 1)))
        self.now(self.master.create_upload(self.request("g")))
        late = self.now(self.master.allocate(self.request("f3", part=(kept, 2))))
        self.now(self.operations.remove_destination("demo", True))
        self.now(self.master.stored(self.receipt(late)))
        self.refused(NotFound, self.master.finish(late.id))
        self.assertEqual((self.sql("SELECT * FROM segment"), self.orphans()), ([], []))
        self.clock.pump([1.0] * 3)
        self.assertIn(late.id, self.mover.deleted)

    def test_a_bucket_gives_up_uploads_some_at_a_time(self) -> None:
        """Each transaction makes others wait. One that is refused gives up none."""
        self.patch(multipart, "PARTS_AT_A_TIME", 4)
        identity = self.maker()
        for _ in range(5):
            made = self.now(self.master.create_upload(self.request("a")))
            for part in (1, 2, 3):
                self.now(self.put("a", part=(made, part)))
        kept = self.now(self.master.begin_partial(self.request("b")))
        before = self.sql("SELECT * FROM segment")
        changes = self.master.doubt.changes
        self.refused(Unavailable, self.master.remove_bucket(identity, "demo"))
        self.assertEqual(self.master.doubt.changes, changes)
        self.assertEqual((len(before), self.sql("SELECT * FROM segment")), (15, before))
        self.now(self.master.abort_upload(self.user, "demo", "b", kept))
        left, run = list[int](), self.writer.run

        async def watched(operation: Any) -> Any:
            outcome = await run(operation)
            left.append(len(self.sql("SELECT * FROM segment")))
            return outcome

        self.writer.run = watched  # type: ignore[method-assign]
        self.now(self.master.remove_bucket(identity, "demo"))
        self.assertEqual(left[:5], [15, 9, 3, 0, 0])
        self.refused(NotFound, self.operations.destination("demo"))

    def meanwhile(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Do that after the second transaction from now on."""
        count, run = [0], self.writer.run

        async def watched(operation: Any) -> Any:
            outcome = await run(operation)
            count[0] += 1
            if count[0] == 2:
                await work()
            return outcome

        self.writer.run = watched  # type: ignore[method-assign]

    def test_nothing_comes_into_a_bucket_that_is_being_removed(self) -> None:
        """Else it would stay, without the uploads that were given up so far."""
        self.patch(multipart, "GIVEN_UP_AT_A_TIME", 1)
        identity = self.maker()
        for _ in range(3):
            self.now(self.master.create_upload(self.request("a")))
        outcomes = list[str]()

        async def come() -> None:
            try:
                await self.master.make_directory(self.user, "demo", "folder")
                outcomes.append("made")
            except NotFound:
                outcomes.append("not found")

        self.meanwhile(come)
        self.now(self.master.remove_bucket(identity, "demo"))
        self.assertEqual(outcomes, ["not found"])
        self.refused(NotFound, self.operations.destination("demo"))

    def test_a_bucket_stays_where_a_file_was_on_its_way_into_it(self) -> None:
        self.patch(multipart, "GIVEN_UP_AT_A_TIME", 1)
        identity = self.maker()
        for _ in range(3):
            self.now(self.master.create_upload(self.request("a")))
        late = self.now(self.master.allocate(self.request("late")))
        self.meanwhile(lambda: self.master.stored(self.receipt(late)))
        self.refused(DirectoryNotEmpty, self.master.remove_bucket(identity, "demo"))
        self.now(self.operations.destination("demo"))
        self.assertEqual(self.names(), ["late"])

    def maker(self) -> Identity:
        """Somebody who may make destinations, and has one."""
        self.now(self.operations.change_user("joe", UserChange(options={MAKES_BUCKETS: "true"})))
        identity: Identity = self.now(self.master.login("joe", "secret", ORIGIN))
        return identity

    def test_what_came_meanwhile_goes_too(self) -> None:
        """An upload that was under way gets its name in a folder that was emptied already, and one before all others."""
        self.patch(operations, "TOGETHER", 2)
        for number in range(7):
            self.now(self.put(f"f{number}/x"))
        late = [self.now(self.master.allocate(self.request(path))) for path in ("f0/late", "early", "g/late")]
        run = self.writer.run

        async def meanwhile(operation: Any) -> Any:
            outcome = await run(operation)
            if late and not isinstance(operation, Publication):
                await self.master.stored(self.receipt(late.pop()))
            return outcome

        self.writer.run = meanwhile  # type: ignore[method-assign]
        self.now(self.operations.remove_destination("demo", True))
        self.assertEqual((late, self.sql("SELECT * FROM data_file"), self.orphans()), ([], [], []))


class UserTests(Uploading, MasterCase):
    """Users and their keys."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()

    def test_no_permissions_named_means_all(self) -> None:
        self.assertEqual(self.now(self.operations.user("joe")).permissions, PERMISSIONS)

    def test_it_comes_back_as_it_was_added(self) -> None:
        new = NewUser("ann@x.org", "pw", "open", ("demo", "other", "demo"), ("get", "dir"), {"portal.sort": "name"})
        record = self.now(self.operations.add_user(new))
        self.assertEqual(
            (record.destinations, record.permissions, record.has_password), (("demo", "other"), ("get", "dir"), True)
        )
        self.assertEqual(self.now(self.operations.user("ann@x.org")), record)
        self.assertEqual([each.login for each in self.now(self.operations.users())], ["ann@x.org", "joe"])

    def test_the_password_is_not_kept(self) -> None:
        ((stored,),) = self.sql("SELECT password FROM \"user\" WHERE login = 'joe'")
        self.assertTrue(stored.startswith("$argon2id$"))
        self.assertNotIn("secret", stored)

    def test_refused(self) -> None:
        add = self.operations.add_user
        self.refused(AlreadyExists, add(NewUser("joe")))
        self.refused(NotFound, add(NewUser("new", destinations=("nowhere",))))
        for login in ("", "-a", "a b", "a/b", "é", "a\0", "x" * 64):
            self.refused(InvalidName, add(NewUser(login)))
        for bad in ({"mode": "root"}, {"permissions": ("fly",)}, {"password": ""}, {"options": {"": ""}}):
            self.refused(InvalidRequest, add(NewUser("new", **bad)))
        self.refused(NotFound, self.operations.user("new"))

    def test_keys(self) -> None:
        keys = [
            key_line(ed25519.Ed25519PrivateKey.generate()),
            key_line(ec.generate_private_key(ec.SECP256R1())),
            key_line(rsa.generate_private_key(65537, 2048)),
        ]
        for key in keys:
            self.clock.advance(1)
            record = self.now(self.operations.add_key("joe", key + " joe's laptop\n"))
        self.assertEqual(record.keys, tuple(f"{key} joe's laptop" for key in keys))
        self.refused(AlreadyExists, self.operations.add_key("joe", keys[0] + " another comment"))
        self.refused(NotFound, self.operations.add_key("nobody", keys[0]))

    def test_bad_keys(self) -> None:
        good = key_line(ed25519.Ed25519PrivateKey.generate())
        kind, blob = good.split()
        cut = base64.b64encode(base64.b64decode(blob)[:-5]).decode()
        for bad in (
            "",
            "ssh-ed25519",
            blob,
            f"ssh-rsa {blob}",
            f"{kind} {cut}",
            f"{kind} {blob[:-2]}!!",
            f'command="rm" {good}',
            f"{good}\n{good}",
            f"{good} \x1b[2J",
            f"ssh-dss {blob}",
            f"{good} {'x' * 20_000}",
        ):
            self.refused(InvalidRequest, self.operations.add_key("joe", bad))


class FileTests(Uploading, MasterCase):
    """Files, and how much there is."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()

    def test_remove_file(self) -> None:
        entry = self.now(self.put("d/f"))
        self.refused(IsADirectory, self.operations.remove_file("demo", "d"))
        self.assertEqual(self.now(self.operations.remove_file("demo", "d/f")), entry)
        self.refused(NotFound, self.operations.remove_file("demo", "d/f"))

    def test_summary(self) -> None:
        self.now(self.put("a", 5))
        self.now(self.put("b", 7))
        self.now(self.put("b", 8))
        self.now(self.master.allocate(self.request("c")))
        summary = self.now(self.operations.summary())
        counted = {"users": 1, "destinations": 2, "files": 2, "bytes": 13, "uploads": 1, "reclaim": 1}
        self.assertEqual(summary, counted | {"digests_owed": 0, "damaged": 0})


class HistoryTests(MasterCase):
    """The history."""

    TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'history#_2%' ESCAPE '#' ORDER BY name"
    """The tables of days, as the engine says."""

    def record(self, *events: Event) -> None:
        for event in events:
            self.master.history.record(event)
        self.now(self.master.history.flush())

    def asked(self, limit: int = 100, before: int | None = None, **named: Any) -> list[Any]:
        """What `N` is in the records that fit, the newest first."""
        found = self.now(self.operations.history(RecordFilter(**named), limit, before))
        return [event.fields["N"] for _, event in found]

    def days(self) -> list[str]:
        return [name for (name,) in self.sql(self.TABLES)]

    def fill(self, count: int = 10) -> list[Event]:
        """Some records a day for a few days, `N` counted from 0."""
        events = []
        for number in range(count):
            fields = {"UserId": f"u{number % 3}", "DestinationName": f"d{number % 2}", "N": number}
            events.append(Event("DEA" if number % 5 == 0 else "INH", self.clock.seconds(), fields))
            self.record(events[-1])
            self.clock.advance(DAY / 3)
        return events

    def test_newest_first_and_in_pages_across_days(self) -> None:
        events = self.fill()
        self.assertEqual(len(self.days()), 4)
        everything = self.now(self.operations.history(RecordFilter(), 100, None))
        self.assertEqual([event for _, event in everything], events[::-1])
        paged: list[Any] = []
        place: int | None = None
        while found := self.now(self.operations.history(RecordFilter(), 3, place)):
            paged += [event.fields["N"] for _, event in found]
            place = found[-1][0]
        self.assertEqual(paged, list(range(10))[::-1])

    def test_what_is_asked_for(self) -> None:
        began = self.clock.seconds()
        self.fill()
        self.assertEqual(self.asked(type="DEA"), [5, 0])
        self.assertEqual(self.asked(user="u1"), [7, 4, 1])
        self.assertEqual(self.asked(user="u1", destination="d0"), [4])
        self.assertEqual(self.asked(user="U1"), [])
        self.assertEqual(self.asked(since=began + 2 * DAY), [9, 8, 7, 6])
        self.assertEqual(self.asked(until=began + DAY), [2, 1, 0])
        self.assertEqual(self.asked(since=began + DAY, until=began + DAY + 1), [3])
        self.assertEqual(self.asked(status="failed"), [])
        self.assertEqual(self.asked(user="' OR 1=1 --"), [])

    def test_what_follows(self) -> None:
        self.fill(4)
        (place, _), *_ = self.now(self.operations.history(RecordFilter(), 1, None))
        self.assertEqual(self.now(self.operations.history_after(RecordFilter(), 10, place)), [])
        self.fill(6)
        found = self.now(self.operations.history_after(RecordFilter(), 4, place))
        self.assertEqual([event.fields["N"] for _, event in found], [0, 1, 2, 3])
        found = self.now(self.operations.history_after(RecordFilter(type="INH"), 9, found[-1][0]))
        self.assertEqual([event.fields["N"] for _, event in found], [4])

    def test_numbers_grow_even_if_the_clock_does_not(self) -> None:
        self.fill(4)
        newest, _ = self.now(self.operations.history(RecordFilter(), 1, None))[0]
        self.clock.rightNow -= 3 * DAY
        self.restart()
        self.record(Event("INH", self.clock.seconds(), {"N": 99}))
        found = self.now(self.operations.history_after(RecordFilter(), 10, newest))
        self.assertEqual([event.fields["N"] for _, event in found], [99])

    def test_old_days_are_let_go_of_and_then_dropped(self) -> None:
        self.limits = Limits(history_days=2)
        self.restart()
        self.fill(12)
        self.assertEqual(len(self.days()), 4)
        self.assertEqual(self.sql("SELECT count(*) FROM history_day WHERE gone"), [(1,)])
        self.assertEqual(self.asked(), [11, 10, 9, 8, 7, 6, 5])
        self.restart()
        self.record(Event("INH", self.clock.seconds(), {"N": 12}))
        self.assertEqual(len(self.days()), 3)
        self.assertEqual(self.sql("SELECT count(*) FROM history_day WHERE gone"), [(0,)])
        self.assertEqual(self.asked(), [12, 11, 10, 9, 8, 7, 6, 5])

    def test_all_is_kept_if_that_is_wanted(self) -> None:
        self.limits = Limits(history_days=0)
        self.restart()
        self.fill(12)
        self.assertEqual(len(self.asked()), 12)

    def test_columns(self) -> None:
        self.record(Event("INH", NOW, {"UserId": "joe", "DestinationName": "d", "FileName": "/d/\udc80", "Status": "done"}))
        rows = self.sql(f'SELECT "user", destination, path, status FROM {self.days()[0]}')
        self.assertEqual(rows, [("joe", "d", "/d/\\udc80", "done")])

    def test_how_much_may_be_asked(self) -> None:
        for limit in (0, -1, self.limits.history_page + 1):
            self.refused(InvalidRequest, self.operations.history(RecordFilter(), limit, None))
            self.refused(InvalidRequest, self.operations.history_after(RecordFilter(), limit, 0))


class HistoryPlanTests(MasterCase):
    """How the history is asked, on SQLite."""

    def test_no_question_sorts_or_reads_what_it_does_not_want(self) -> None:
        self.master.history.record(Event("INH", NOW, {}))
        self.now(self.master.history.flush())
        day = int(NOW // DAY)
        for fields in ((), ("type",), ("user",), ("destination",)):
            for backwards in (True, False):
                text, constants = question(day, fields, backwards).prepared(self.engine.dialect)
                values = {**dict.fromkeys(("type", "user", "destination", "since", "until", "place", "limit"), 1), **constants}
                session = self.engine.session()
                steps = " | ".join(row[3] for row in session.connection.execute(f"EXPLAIN QUERY PLAN {text}", values))
                session.close()
                self.assertNotIn("TEMP B-TREE", steps)
                self.assertNotIn("SCAN", steps)
