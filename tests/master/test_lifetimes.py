"""Files whose lifetime is over leave, and no others, whatever happens between the question and the change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred

from ecpds.errors import NotFound, Unavailable
from ecpds.events import Event
from ecpds.master import expiry
from ecpds.master.lifetimes import ANEW, LATE, PAGE, PATIENCE, REST, TOGETHER
from ecpds.model import ANYTHING, Destination, DestinationChange, RecordFilter
from tests.contracts.master import Uploading
from tests.master.support import NOW, MasterCase

LIFE = 3600.0


class LifetimesCase(Uploading, MasterCase):
    """`demo` keeps files an hour, `other` for ever."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.set_lifetime(LIFE)
        self.look = self.limits.lifetime_look
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))

    def set_lifetime(self, seconds: float, destination: str = "demo") -> None:
        self.now(self.operations.change_destination(destination, DestinationChange(lifetime=seconds)))

    def turn(self, seconds: float) -> None:
        """Time that passes, a tenth of a look at a time, so that no look is left out; and the rests between transactions."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(min(self.look / 10, end - self.clock.seconds()))
        self.rest()

    def rest(self, times: int = 3) -> None:
        for _ in range(times):
            self.clock.advance(REST)

    def records(self) -> list[Event]:
        found = self.now(self.operations.history(RecordFilter(type="INH"), 100, None))
        return [event for _, event in found]

    def published(self, path: str) -> int:
        id_: int = self.now(self.put(path)).file.id
        return id_


class LifetimesTests(LifetimesCase):
    def test_a_file_leaves_a_look_late_at_most_and_not_before(self) -> None:
        self.published("a")
        self.clock.advance(LIFE - 1)
        self.rest()
        self.assertEqual(self.names(), ["a"])
        self.turn(1 + self.look)
        self.assertEqual(self.names(), [])
        self.refused(NotFound, self.master.resolve("demo", "a"))

    def test_what_was_resolved_before_is_not_believed_any_more(self) -> None:
        self.published("a")
        self.now(self.master.resolve("demo", "a"))
        self.assertIsNotNone(self.master.known("demo", "a"))
        self.turn(LIFE + self.look)
        self.assertIsNone(self.master.known("demo", "a"))

    def test_the_mtime_counts_for_nothing(self) -> None:
        self.now(self.put("old", mtime=0.0))
        self.turn(LIFE / 2)
        self.now(self.put("new", mtime=NOW + 1e9))
        self.now(self.master.set_mtime(self.user, "demo", "old", 1.0))
        self.assertEqual(self.names(), ["new", "old"])
        self.turn(LIFE / 2 + self.look)
        self.assertEqual(self.names(), ["new"])
        self.turn(LIFE / 2)
        self.assertEqual(self.names(), [])

    def test_a_file_that_was_replaced_counts_anew(self) -> None:
        self.published("a")
        self.turn(LIFE - self.look)
        new = self.published("a")
        self.turn(LIFE - self.look)
        self.assertEqual(self.now(self.master.resolve("demo", "a")).file.id, new)
        self.turn(2 * self.look)
        self.assertEqual(self.names(), [])

    def test_a_file_that_was_renamed_does_not(self) -> None:
        self.published("a")
        self.turn(LIFE / 2)
        self.now(self.master.rename(self.user, "demo", "a", "b"))
        self.turn(LIFE / 2 + self.look)
        self.assertEqual(self.names(), [])

    def test_others_stay_for_ever(self) -> None:
        self.published("a")
        self.now(self.operations.change_destination("demo", DestinationChange(unset=("lifetime",))))
        self.clock.advance(1000 * LIFE)
        self.rest()
        self.assertEqual(self.names(), ["a"])

    def test_a_lifetime_that_is_set_later_counts_for_old_files_too(self) -> None:
        self.now(self.operations.change_destination("demo", DestinationChange(unset=("lifetime",))))
        self.published("a")
        self.turn(2 * LIFE)
        self.assertEqual(self.names(), ["a"])
        self.set_lifetime(LIFE)
        self.turn(self.look)
        self.assertEqual(self.names(), [])

    def test_a_shorter_one_counts_at_once_and_so_does_a_longer_one(self) -> None:
        self.published("a")
        self.turn(LIFE / 2)
        self.set_lifetime(10 * LIFE)
        self.turn(LIFE)
        self.assertEqual(self.names(), ["a"])
        self.set_lifetime(LIFE / 4)
        self.turn(self.look)
        self.assertEqual(self.names(), [])

    def test_a_destination_that_comes_to_share_a_lifetime_is_walked_from_the_beginning(self) -> None:
        self.set_lifetime(LIFE, "other")
        self.now(self.operations.change_destination("demo", DestinationChange(unset=("lifetime",))))
        self.published("a")
        self.turn(LIFE + 2 * LATE + 2 * self.look)
        self.assertEqual(self.names(), ["a"])
        self.set_lifetime(LIFE)
        self.turn(self.look)
        self.assertEqual(self.names(), [])

    def test_the_option_of_the_ancestor(self) -> None:
        self.published("a")
        options = {"incoming.lifetime": "2h"}
        self.now(self.operations.change_destination("demo", DestinationChange(unset=("lifetime",), options=options)))
        self.turn(LIFE + self.look)
        self.assertEqual(self.names(), ["a"])
        self.turn(LIFE)
        self.assertEqual(self.names(), [])

    def test_its_bytes_go_the_way_of_deleted_ones(self) -> None:
        id_ = self.published("a")
        self.turn(LIFE)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.mover.deleted, [], "somebody may hold a ticket to read it")
        self.turn(self.limits.ticket_life + 1)
        self.assertEqual(self.mover.deleted, [id_])

    def test_folders_that_came_with_a_file_go_with_it_and_others_stay(self) -> None:
        self.now(self.master.make_directory(self.user, "demo", "made"))
        self.published("made/a")
        self.published("came/with/b")
        self.turn(LIFE + self.look)
        self.assertEqual((self.names(), self.names("made")), (["made"], []))

    def test_the_bytes_of_a_folder_s_mark_go_and_the_folder_stays(self) -> None:
        self.now(self.master.make_directory(self.user, "demo", "made"))
        self.published("made/")
        self.turn(LIFE + self.look)
        self.assertEqual(self.names(), ["made"])
        self.assertEqual(self.sql("SELECT count(*) FROM data_file")[0][0], 0)

    def test_one_record_each(self) -> None:
        id_ = self.published("a/b")
        over = self.clock.seconds() + LIFE
        self.turn(LIFE + self.look)
        (record,) = self.records()
        said = {name: text for name, text in record.fields.items() if text != "-" and text is not False}
        self.assertGreaterEqual(record.time, over)
        self.assertLessEqual(record.time, over + self.look)
        for moment in ("TimeStamp", "StartTime", "ScheduledTime", "ExpiryTime"):
            said.pop(moment)
        expected = {"DataTransferId": id_, "DestinationName": "demo", "FileName": "a/b", "FileSize": 5, "Action": "expire"}
        self.assertEqual(said, {**expected, "Duration": 0, "BytesSent": 0, "TransferProtocol": "portal", "Status": "done"})

    def test_an_upload_counts_from_its_end(self) -> None:
        allocation = self.now(self.master.allocate(self.request("slow")))
        self.turn(LIFE)
        self.published("quick")
        self.now(self.master.stored(self.receipt(allocation)))
        self.turn(LIFE - self.look)
        self.assertEqual(self.names(), ["quick", "slow"])
        self.turn(2 * self.look)
        self.assertEqual(self.names(), [])

    # Many

    def test_many_leave_a_few_at_a_time(self) -> None:
        ids = [self.published(f"{n:04}") for n in range(2 * TOGETHER + 1)]
        commits = []
        change = self.master.change

        async def counted(operation: Any, then: Callable[[Any], None]) -> Any:
            commits.append(operation)
            return await change(operation, then)

        self.patch(self.master, "change", counted)
        self.clock.advance(LIFE + self.look)
        self.assertEqual((len(commits), len(self.names())), (1, TOGETHER + 1), "the others come after a rest")
        self.rest()
        self.assertEqual((len(commits), self.names()), (3, []))
        self.assertEqual(sorted(record.fields["DataTransferId"] for record in self.records())[-1], ids[-1])

    def test_a_look_reads_what_became_old_since_the_last_one(self) -> None:
        asked: list[int] = []
        page = expiry.page

        def counted(*args: Any, **named: Any) -> Any:
            found = page(*args, **named)
            asked.append(len(found))
            return found

        self.patch(expiry, "page", counted)
        self.fill("other", 2 * PAGE + 10, self.clock.seconds())
        self.turn(LIFE)
        self.assertEqual([each for each in asked if each], [PAGE, PAGE, 10])
        self.turn(LATE + self.look)
        asked.clear()
        self.turn(3 * self.look)
        self.assertEqual(asked, [0, 0, 0])

    def fill(self, destination: str, count: int, published: float) -> None:
        """Files without bytes, behind the Master's back."""
        place = self.now(self.operations.destination(destination)).id
        ((root,),) = self.sql(f"SELECT id FROM directory WHERE destination = {place}")
        session = self.engine.session()
        session.command("BEGIN")
        for number in range(count):
            id_ = 10**9 + number
            session.command(f"INSERT INTO data_file VALUES ({id_}, 1, 0, {published}, '{{}}', '{{}}')")
            session.command(f"INSERT INTO segment (id, data_file, number, length) VALUES ({id_}, {id_}, 0, 1)")
            session.command(f"INSERT INTO entry VALUES ({root}, 'f{number}', {id_})")
        session.command("COMMIT")
        session.close()

    # Races

    def between(self, meanwhile: Callable[[], Awaitable[Any]]) -> None:
        """Do something between the next question and the change that follows it."""
        ask, todo = self.master.reader.ask_on_thread, [meanwhile]

        async def asked(question: Any) -> Any:
            found = await ask(question)
            if todo and getattr(question, "func", None) is expiry.page and found:
                await todo.pop()()
            return found

        self.patch(self.master.reader, "ask_on_thread", asked)

    def test_race_with_a_file_that_replaces_it(self) -> None:
        self.published("a")
        self.between(lambda: self.put("a"))
        self.turn(LIFE + self.look)
        self.assertEqual(self.names(), ["a"])
        self.assertEqual(self.records(), [])
        self.turn(LIFE + self.look)
        self.assertEqual(self.names(), [])

    def test_race_with_another_of_its_name(self) -> None:
        """Deleted and put anew: the name is not what is asked for."""
        self.published("a")

        async def anew() -> None:
            await self.master.delete(self.user, "demo", "a", ANYTHING)
            await self.put("a")

        self.between(anew)
        self.turn(LIFE + self.look)
        self.assertEqual(self.names(), ["a"])

    def test_race_with_a_rename(self) -> None:
        self.published("a")
        self.published("b")
        self.turn(self.look)
        kept = self.published("kept")
        self.between(lambda: self.master.rename(self.user, "demo", "a", "c"))
        self.turn(LIFE - self.look / 2)
        self.assertEqual(self.names(), ["kept"])
        self.assertEqual(self.now(self.master.resolve("demo", "kept")).file.id, kept)

    def test_race_with_a_user_who_deletes_it(self) -> None:
        self.published("a")
        self.between(lambda: self.master.delete(self.user, "demo", "a", ANYTHING))
        self.turn(LIFE + self.look)
        self.assertEqual((self.names(), self.records()), ([], []))

    def test_race_with_an_operator_who_lets_it_stay(self) -> None:
        for change in (DestinationChange(lifetime=10 * LIFE), DestinationChange(unset=("lifetime",))):
            self.set_lifetime(LIFE)
            self.published("a")
            self.between(lambda change=change: self.operations.change_destination("demo", change))
            self.turn(LIFE + self.look)
            self.assertEqual(self.names(), ["a"])

    def test_race_with_the_end_of_its_destination(self) -> None:
        self.published("a")
        self.between(lambda: self.operations.remove_destination("demo", True))
        self.turn(LIFE + self.look)
        self.now(self.operations.add_destination(Destination(0, "demo")))
        self.assertEqual((self.names(), self.records()), ([], []))

    def test_a_put_that_was_on_its_way_stays(self) -> None:
        self.published("a")
        allocation = self.now(self.master.allocate(self.request("a")))
        self.turn(LIFE + self.look)
        self.assertEqual(self.names(), [])
        self.now(self.master.stored(self.receipt(allocation)))
        self.assertEqual(self.now(self.master.finish(allocation.id)).file.id, allocation.id)
        self.assertEqual(self.names(), ["a"])

    def test_a_commit_that_waited_long_is_found(self) -> None:
        """Its time was taken before those that the walk has passed."""
        self.set_lifetime(1.0)
        self.turn(self.look)
        self.published("last")
        self.turn(self.look)
        self.assertEqual(self.names(), [])
        self.fill("demo", 1, self.clock.seconds() - LATE)
        self.assertEqual(self.names(), ["f0"])
        self.turn(self.look)
        self.assertEqual(self.names(), [])

    # What goes wrong

    def test_while_the_catalogue_refuses_it_is_asked_less_and_less_often(self) -> None:
        self.published("a")
        asked: list[float] = []

        async def refuse(operation: Any, then: Any) -> Any:
            asked.append(self.clock.seconds())
            raise Unavailable("no disk")

        change = self.master.change
        self.master.change = refuse  # type: ignore[method-assign]
        self.turn(LIFE + 3 * PATIENCE)
        rests = [later - earlier for earlier, later in pairwise(asked)]
        self.assertEqual(rests, sorted(rests))
        self.assertLessEqual(max(rests), PATIENCE + self.look)
        self.assertLess(len(asked), 12)
        self.assertEqual(self.names(), ["a"])
        self.master.change = change  # type: ignore[method-assign]
        self.turn(PATIENCE + self.look)
        self.assertEqual(self.names(), [])
        self.published("b")
        self.turn(LIFE + self.look)
        self.assertEqual(self.names(), [], "and as often as before from then on")

    def test_another_master_goes_on(self) -> None:
        self.published("a")
        self.stop()
        self.clock.advance(LIFE + 1)
        self.start()
        self.assertEqual(self.names(), ["a"])
        self.turn(self.look)
        self.assertEqual(self.names(), [])

    def test_the_end_waits_for_a_transaction_and_for_no_rest(self) -> None:
        for number in range(3 * TOGETHER):
            self.published(f"{number}")
        self.clock.advance(LIFE + self.look)
        left = len(self.names())
        self.assertEqual(left, 2 * TOGETHER)
        self.restart()
        self.assertEqual(len(self.names()), left)
        self.turn(self.look)
        self.assertEqual(self.names(), [])

    def test_the_end_comes_while_the_catalogue_is_asked(self) -> None:
        self.published("a")
        answer: Deferred[Any] = Deferred()
        ask = self.master.reader.ask_on_thread

        async def slow(question: Any) -> Any:
            return await (answer if getattr(question, "func", None) is expiry.page else ask(question))

        self.patch(self.master.reader, "ask_on_thread", slow)
        self.turn(self.look)
        stopped = self.begun(self.master.lifetimes.stop())
        answer.callback([])
        self.successResultOf(stopped)

    def test_what_came_with_an_old_time_leaves_within_a_day(self) -> None:
        """The clock was set back meanwhile."""
        self.published("a")
        self.turn(LIFE + self.look)
        self.assertEqual(self.names(), [])
        self.fill("demo", 1, NOW - 3 * LIFE)
        self.turn(2 * self.look)
        self.assertEqual(self.names(), ["f0"])
        self.turn(ANEW)
        self.assertEqual(self.names(), [])
