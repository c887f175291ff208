"""The catalogue's companion: what it does, what its Master does with it, and without it."""

from __future__ import annotations

import errno
import io
import os
import socket
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorFDSet, IReactorProcess, IReadWriteDescriptor
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.errors import IsADirectory, Unavailable
from ecpds.events import Event
from ecpds.master import companion, destinations, shipping
from ecpds.master.companion_link import LONGEST, RETRY, Companion, Line, command, environment
from ecpds.master.companion_writer import MANY, TOLD, CompanionWriter, writer_of
from ecpds.master.engine import CatalogueError
from ecpds.master.history import Records
from ecpds.master.publishing import Publication
from ecpds.master.sql import Session
from ecpds.master.sqlite import SqliteEngine
from ecpds.master.writer import InlineWriter, ThreadWriter
from ecpds.model import EMPTY, Condition, Copy, DataFile, Destination, Entry, Segment
from tests.doubles.companion import InlineCompanion
from tests.master.test_parts import HeldWriter
from tests.transports.pump import HandReactor


def publication(number: int, path: str) -> Publication:
    segment = Segment(number, 3, (Copy("m", 0),))
    return Publication(1, path, DataFile(number, 3, 1.0, 2.0, EMPTY, EMPTY, (segment,)), Condition(), 9.0)


class CatalogueCase(SynchronousTestCase):
    """A catalogue with one destination."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "catalogue.sqlite"
        self.engine = SqliteEngine(self.path, sync=False)
        self.engine.open()
        self.addCleanup(self.engine.close)
        writer = InlineWriter(self.engine)
        self.successResultOf(ensureDeferred(writer.run(lambda session: destinations.add(session, Destination(0, "d")))))
        self.successResultOf(ensureDeferred(writer.stop()))

    def names(self) -> list[str]:
        connection = sqlite3.connect(self.path)
        try:
            return [name for (name,) in connection.execute("SELECT name FROM entry ORDER BY data_file")]
        finally:
            connection.close()


class ServingTests(CatalogueCase):
    """`companion.serve`, as its process runs it."""

    def serve(self, asked: bytes) -> list[shipping.Answer]:
        answered = io.BytesIO()
        self.lines: deque[str] = deque(["before"])
        try:
            companion.serve(SqliteEngine(self.path, sync=False), io.BytesIO(asked), answered, self.lines)
        finally:
            self.answers = [shipping.answer_of(each) for each in shipping.messages(bytearray(answered.getvalue()))]
        return self.answers

    def test_each_batch_is_answered(self) -> None:
        first, second = [publication(1, "a"), publication(2, "a/b"), publication(3, "c")], [publication(4, "c")]
        ready, one, two = self.serve(shipping.batch(first) + shipping.batch(second))
        self.assertEqual(ready.outcomes, [])
        outcomes = shipping.outcomes_of(first, one)
        self.assertEqual([type(each).__name__ for each in outcomes], ["Entry", "NotADirectory", "Entry"])
        (entry,) = shipping.outcomes_of(second, two)
        self.assertTrue(entry.replaced)
        self.assertEqual(self.names(), ["a", "c"])
        self.assertEqual((one.lines, two.lines), (["before"], []))

    def test_a_batch_that_was_cut_off_is_not_done(self) -> None:
        whole, cut = shipping.batch([publication(1, "a")]), shipping.batch([publication(2, "b")])
        for end in (2, len(cut) - 1):
            with self.assertRaises(EOFError):
                self.serve(whole[: len(whole) if end == 2 else 0] + cut[:end])
        self.assertEqual(self.names(), ["a"])

    def test_a_storage_that_fails_is_told(self) -> None:
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("ALTER TABLE owed RENAME TO away")
        operations = [Publication(1, "a", publication(1, "a").file, Condition(), 0.0, ("md5",))]
        _, told = self.serve(shipping.batch(operations))
        (failed,) = shipping.outcomes_of(operations, told)
        self.assertIn("owed", str(failed))
        self.assertEqual(self.names(), [])

    def test_only_one_at_a_time_and_none_where_only_one_process_may_write(self) -> None:
        first, second = SqliteEngine(self.path), SqliteEngine(self.path)
        first.accompany()
        self.addCleanup(first.close)
        with self.assertRaises(CatalogueError):
            second.accompany()

    def test_it_joins_the_catalogue_of_its_master(self) -> None:
        joined = companion.joined(*self.engine.companion)
        self.addCleanup(joined.close)
        self.assertEqual(joined.companion, self.engine.companion)

    def test_a_program_that_was_replaced_serves_nobody(self) -> None:
        url, synced, _ = self.engine.companion
        with self.assertRaisesRegex(CatalogueError, "that of its Master 0001"):
            companion.joined(url, synced, "0001")

    def test_the_next_master_waits_for_a_companion_that_was_left_behind(self) -> None:
        left = SqliteEngine(self.path)
        left.accompany()
        self.engine.close()
        looks: list[float] = []

        def sleep(seconds: float) -> None:
            looks.append(seconds)
            if len(looks) == 3:
                left.close()

        following = SqliteEngine(self.path, sleep=sleep)
        following.open()
        following.close()
        self.assertEqual(len(looks), 3)
        left.accompany()
        self.addCleanup(left.close)
        with self.assertRaisesRegex(CatalogueError, "companion of a Master that has ended"):
            SqliteEngine(self.path, sleep=looks.append).open()


class WriterTests(CatalogueCase):
    """`CompanionWriter`: two hands, one order."""

    def setUp(self) -> None:
        super().setUp()
        self.companion = InlineCompanion(self.engine)
        self.later: list[Callable[[], None]] = []
        here = InlineWriter(self.engine)
        self.writer = CompanionWriter(self.companion, here, lambda _, call: self.later.append(call), overlapping=0)
        self.writer.start()
        self.heard: list[str] = []
        self.addCleanup(lambda: self.successResultOf(ensureDeferred(self.writer.stop())))

    def ask(self, name: str, operation: Callable[[Session], Any]) -> Deferred[Any]:
        """Note when it is told."""
        waiting = ensureDeferred(self.writer.run(operation))
        return waiting.addBoth(self._note, name)

    def _note(self, outcome: Any, name: str) -> Any:
        self.heard.append(name)
        return outcome

    def put(self, *names: str) -> list[Deferred[Any]]:
        return [self.ask(name, publication(ord(name), name)) for name in names]

    def turn(self) -> None:
        calls, self.later[:] = list(self.later), []
        for call in calls:
            call()

    def test_what_it_can_do_it_does(self) -> None:
        (done,) = self.put("a")
        self.assertEqual(self.successResultOf(done), publication(97, "a").entry(False))
        self.assertEqual(self.successResultOf(self.ask("other", lambda session: 5)), 5)
        self.assertEqual([len(batch) for batch in self.companion.batches], [1])

    def test_what_comes_meanwhile_is_one_batch(self) -> None:
        self.companion.held = held = []
        self.put("a", "b", "c")
        held[0].callback(None)
        held[1].callback(None)
        self.assertEqual([len(batch) for batch in self.companion.batches], [1, 2])
        self.assertEqual((self.heard, self.names()), (["a", "b", "c"], ["a", "b", "c"]))

    def test_both_take_turns_in_the_order_of_asking(self) -> None:
        self.companion.held = held = []
        there: list[list[str]] = []
        self.put("a")
        self.ask("here", lambda session: there.append(self.names()))
        self.put("b")
        self.assertEqual((there, len(held)), ([], 1))
        held[0].callback(None)
        self.assertEqual((there, len(held)), ([["a"]], 2))
        held[1].callback(None)
        self.assertEqual(self.heard, ["a", "here", "b"])

    def test_many_are_told_in_several_turns_and_what_is_later_after_them(self) -> None:
        self.companion.held = held = []
        names = [chr(0x4E00 + number) for number in range(2 * TOLD + 2)]
        self.put(*names)
        held[0].callback(None)
        held[1].callback(None)
        self.assertEqual(self.heard, names[: 1 + TOLD])
        self.ask("here", lambda session: None)
        self.turn()
        self.turn()
        self.assertEqual(self.heard, [*names, "here"])

    def test_who_comes_alone_is_served_here_and_a_crowd_by_the_companion(self) -> None:
        here = HeldWriter()
        writer = CompanionWriter(self.companion, here, lambda _, call: self.later.append(call))
        writer.start()
        for number in range(100):
            ensureDeferred(writer.run(publication(number, "a")))
            here.answer(None)
        self.assertEqual(self.companion.batches, [])
        for number in range(8):
            ensureDeferred(writer.run(publication(number, chr(97 + number))))
        while here.waiting:
            here.answer(None)
        self.assertGreater(sum(map(len, self.companion.batches)), 1)
        self.successResultOf(ensureDeferred(writer.stop()))

    def test_many_records_are_the_companion_s_though_they_come_alone(self) -> None:
        here = HeldWriter()
        writer = CompanionWriter(self.companion, here, lambda _, call: self.later.append(call))
        writer.start()
        event = Event("DEA", 1.0, {"UserId": "ann"})
        ensureDeferred(writer.run(Records((event,) * (MANY - 1), 1, 0, 0)))
        self.assertEqual((len(here.waiting), self.companion.batches), (1, []))
        here.answer(1)
        many = Records((event,) * MANY, 1, 0, 0)
        self.assertEqual(self.successResultOf(ensureDeferred(writer.run(many))), 1)
        self.assertEqual((here.waiting, self.companion.batches), ([], [[many]]))
        self.successResultOf(ensureDeferred(writer.stop()))

    def test_without_a_companion_everything_is_done_here(self) -> None:
        self.companion.is_ready = False
        (done,) = self.put("a")
        self.assertIsInstance(self.successResultOf(done), Entry)
        self.assertEqual(self.companion.batches, [])

    def test_one_that_ends_in_a_batch_refuses_it_and_nothing_else(self) -> None:
        self.companion.held = held = []
        lost, waiting = self.put("a", "b")
        self.companion.is_ready = False
        held[0].errback(Unavailable("it has ended"))
        self.failureResultOf(lost, Unavailable)
        self.assertIsInstance(self.successResultOf(waiting), Entry)
        self.assertEqual(self.names(), ["b"])

    def test_one_that_is_not_understood(self) -> None:
        self.companion.held = held = []
        lost, waiting = self.put("a", "b")
        held[0].errback(ValueError("too few outcomes"))
        self.failureResultOf(lost, Unavailable)
        held[1].callback(None)
        self.successResultOf(waiting)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_refusals_come_through(self) -> None:
        self.put("a")
        refused = ensureDeferred(self.writer.run(Publication(1, "", publication(1, "").file, Condition(), 0.0)))
        self.failureResultOf(refused, IsADirectory)

    def test_what_can_not_be_shipped_is_refused_as_it_would_be_here(self) -> None:
        self.companion.held = held = []
        self.put("a")
        odd, good = self.put("\udc80", "b")
        held[0].callback(None)
        self.failureResultOf(odd, UnicodeEncodeError)
        self.successResultOf(good)
        self.assertEqual(self.names(), ["a", "b"])

    def test_who_is_cancelled_takes_nothing_from_the_others(self) -> None:
        self.companion.held = held = []
        gone, here = self.put("a", "b")
        gone.addErrback(lambda _: None)
        gone.cancel()
        held[0].callback(None)
        held[1].callback(None)
        self.successResultOf(here)
        self.assertEqual(self.names(), ["a", "b"])

    def test_stopping_commits_what_is_queued(self) -> None:
        self.companion.held = held = []
        waiting = [*self.put("a", "b"), self.ask("here", lambda session: None), *self.put("c")]
        stopping = ensureDeferred(self.writer.stop())
        self.failureResultOf(ensureDeferred(self.writer.run(publication(1, "z"))), Unavailable)
        for number in range(3):
            self.assertNoResult(stopping)
            held[number].callback(None)
        self.successResultOf(stopping)
        for each in waiting:
            self.successResultOf(each)
        self.assertEqual(self.names(), ["a", "b", "c"])

    def test_an_engine_of_which_one_process_must_have_all(self) -> None:
        class Alone(SqliteEngine):
            @property
            def companion(self) -> Any:
                return None

        self.assertIsInstance(writer_of(Alone(self.path), Clock()), ThreadWriter)
        self.assertIsInstance(writer_of(self.engine, Clock()), CompanionWriter)


@implementer(IProcessTransport)
class FakeProcess:
    """A process that is there until the test says so."""

    def __init__(self) -> None:
        self.signals: list[str] = []
        self.ended = False
        self.pid = 4711

    def signalProcess(self, signalID: str | int) -> None:
        if self.ended:
            raise ProcessExitedAlready
        self.signals.append(str(signalID))

    def closeStdin(self) -> None:
        raise NotImplementedError

    def closeStdout(self) -> None:
        raise NotImplementedError

    def closeStderr(self) -> None:
        raise NotImplementedError

    def closeChildFD(self, descriptor: int) -> None:
        raise NotImplementedError

    def writeToChild(self, childFD: int, data: bytes) -> None:
        raise NotImplementedError

    def loseConnection(self) -> None:
        raise NotImplementedError


@implementer(IReactorProcess)
class FakeReactor(HandReactor):
    """Keeps the companion's end of each pair of sockets for the test, and who wants to read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[socket.socket] = []
        self.fails = False

    def spawnProcess(
        self,
        processProtocol: Any,
        executable: str | bytes,
        args: Sequence[str | bytes] = (),
        env: Any = None,
        path: Any = None,
        uid: Any = None,
        gid: Any = None,
        usePTY: Any = False,
        childFDs: Any = None,
    ) -> IProcessTransport:
        if self.fails:
            raise OSError(errno.EAGAIN, "no more processes")
        self.ends.append(socket.socket(fileno=os.dup(childFDs[3])))
        processProtocol.transport = FakeProcess()
        return processProtocol.transport  # type: ignore[no-any-return]

    def read(self) -> None:
        """As when there is something to read."""
        for reader in list(self.readers):
            why = reader.doRead()
            if why:
                reader.connectionLost(Failure(why))

    def write(self) -> None:
        for writer in list(self.writers):
            writer.doWrite()


class LinkTests(SynchronousTestCase):
    """`Companion`, without a process."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        verifyObject(IReactorProcess, self.reactor)
        verifyObject(IReactorFDSet, self.reactor)
        self.companion = Companion(("sqlite:////c", "loose"), self.reactor)
        self.companion.start()
        self.addCleanup(lambda: [end.close() for end in self.reactor.ends])
        self.addCleanup(self.end)

    def say(self, data: bytes) -> None:
        self.reactor.ends[-1].sendall(data)
        self.reactor.read()

    def ready(self) -> None:
        self.say(shipping.answer([], [], []))

    def end(self) -> None:
        """The process is gone."""
        transport: Any = self.companion.transport
        if not transport.ended:
            transport.ended = True
            self.reactor.ends[-1].close()
            self.companion.processEnded(Failure(ProcessDone(0)))

    def asked(self) -> list[Any]:
        received = bytearray(self.reactor.ends[-1].recv(1 << 20))
        return [operation for data in shipping.messages(received) for operation in shipping.operations_of(data)]

    def test_it_is_ready_when_it_has_said_so(self) -> None:
        self.assertFalse(self.companion.is_ready)
        self.ready()
        self.assertTrue(self.companion.is_ready)

    def test_a_batch_and_its_answer(self) -> None:
        self.ready()
        operations = [publication(1, "a"), publication(2, "b")]
        waiting = ensureDeferred(self.companion.commit(operations))
        self.assertEqual(self.asked(), operations)
        answer = shipping.answer(operations, [operations[0].entry(False), IsADirectory()], [])
        self.say(answer[:5])
        self.assertNoResult(waiting)
        self.say(answer[5:])
        entry, refusal = self.successResultOf(waiting)
        self.assertEqual((entry, type(refusal)), (operations[0].entry(False), IsADirectory))

    def test_a_batch_that_is_longer_than_the_kernel_takes(self) -> None:
        self.ready()
        file = DataFile(1, 1, 1.0, 1.0, EMPTY, {"k": "v" * (4 << 20)}, ())
        asked = Publication(1, "a", file, Condition(), 0.0)
        ensureDeferred(self.companion.commit([asked])).addErrback(lambda _: None)
        received = bytearray()
        while not (found := list(shipping.messages(received))):
            received += self.reactor.ends[-1].recv(1 << 20)
            self.reactor.write()
        self.assertEqual(shipping.operations_of(found[0]), [asked])

    def test_its_batch_is_settled_when_its_process_is_gone(self) -> None:
        self.ready()
        waiting = ensureDeferred(self.companion.commit([publication(1, "a")]))
        self.reactor.ends[-1].close()
        self.reactor.read()
        self.assertFalse(self.companion.is_ready)
        self.assertNoResult(waiting)
        self.end()
        self.failureResultOf(waiting, Unavailable)

    def test_one_that_is_not_understood_is_killed(self) -> None:
        self.ready()
        waiting = ensureDeferred(self.companion.commit([publication(1, "a")]))
        self.say(shipping.message(b"\xc1"))
        transport: Any = self.companion.transport
        self.assertEqual(transport.signals, ["KILL"])
        self.assertFalse(self.companion.is_ready)
        self.end()
        self.failureResultOf(waiting, Unavailable)

    def test_it_is_started_again_later_and_later(self) -> None:
        pauses = []
        for _ in range(9):
            self.end()
            (call,) = self.reactor.getDelayedCalls()
            pauses.append(call.getTime() - self.reactor.seconds())
            self.reactor.advance(pauses[-1])
        self.assertEqual((pauses[0], pauses[1], pauses[-1]), (RETRY, 2 * RETRY, LONGEST))
        self.ready()
        waiting = ensureDeferred(self.companion.commit([publication(1, "a")]))
        self.say(shipping.answer([publication(1, "a")], [publication(1, "a").entry(False)], []))
        self.successResultOf(waiting)
        self.end()
        (call,) = self.reactor.getDelayedCalls()
        self.assertEqual(call.getTime() - self.reactor.seconds(), RETRY)

    def test_one_that_can_not_be_started(self) -> None:
        self.reactor.fails = True
        self.end()
        self.reactor.advance(RETRY)
        self.reactor.fails = False
        self.reactor.advance(2 * RETRY)
        self.ready()
        self.assertTrue(self.companion.is_ready)

    def test_stopping_waits_for_its_end(self) -> None:
        self.ready()
        stopping = ensureDeferred(self.companion.stop())
        self.assertEqual(self.reactor.ends[-1].recv(1), b"")
        self.assertNoResult(stopping)
        self.end()
        self.successResultOf(stopping)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_one_that_is_not_ready_yet_is_not_waited_for(self) -> None:
        stopping = ensureDeferred(self.companion.stop())
        transport: Any = self.companion.transport
        self.assertEqual(transport.signals, ["KILL"])
        self.end()
        self.successResultOf(stopping)

    def test_stopping_between_two(self) -> None:
        self.end()
        self.successResultOf(ensureDeferred(self.companion.stop()))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_nothing_is_given_to_one_that_has_ended(self) -> None:
        self.ready()
        self.end()
        self.failureResultOf(ensureDeferred(self.companion.commit([publication(1, "a")])), Unavailable)

    def test_what_it_logs_is_logged(self) -> None:
        heard: list[Any] = []
        self.patch(Companion, "log", Logger(observer=heard.append))
        self.ready()
        ensureDeferred(self.companion.commit([publication(1, "a")])).addErrback(lambda _: None)
        self.say(shipping.answer([publication(1, "a")], [IsADirectory()], ["the disk is tired"]))
        self.assertEqual([event["line"] for event in heard], ["the disk is tired"])

    def test_the_line_is_one_for_the_reactor(self) -> None:
        ours, its = socket.socketpair()
        line = Line(ours, lambda _: None, lambda: None, self.reactor)
        verifyObject(IReadWriteDescriptor, line)
        line.leave()
        its.close()

    def test_what_is_started(self) -> None:
        self.assertIn("-P", command(["url", "synced"]), "the folder that we are in has no say in what is imported")
        self.assertTrue(environment()["PYTHONPATH"])
