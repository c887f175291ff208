"""Records in files: whole lines, in order, none lost while the disk is slow, few writes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.events import Event, denial_event
from ecpds.interfaces import IEventSink, IThreads
from ecpds.portal import records
from ecpds.portal.records import RecordFiles, Tee, json_line
from ecpds.threads import InlineThreads
from tests.doubles import RecordingSink

NOON = 1_700_000_000.0


def event(number: int, time: float = NOON) -> Event:
    return denial_event(time, f"user-{number}", "Not found", "Using ftp", "192.0.2.1", "ftp")


@implementer(IThreads)
class SlowThreads:
    """Does nothing until it is told to; `failure` is what the next piece of work ends in."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferred[None], Callable[..., Any], tuple[Any, ...]]] = []
        self.calls = 0

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        self.calls += 1
        turn: Deferred[None] = Deferred()
        self.waiting.append((turn, function, args))
        await turn
        return function(*args)

    def go_on(self, failure: Exception | None = None) -> None:
        turn, _, _ = self.waiting.pop(0)
        turn.errback(failure) if failure else turn.callback(None)


class RecordFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()) / "events"
        self.clock = Clock()

    def sink(self, threads: IThreads | None = None) -> RecordFiles:
        return RecordFiles(self.folder, "jsonl", json_line, threads or InlineThreads(), self.clock)

    def lines(self) -> list[dict[str, Any]]:
        text = "".join(file.read_text("utf-8") for file in sorted(self.folder.iterdir()))
        self.assertTrue(text.endswith("\n"))
        return [json.loads(line) for line in text.splitlines()]

    def users(self) -> list[str]:
        return [line["UserId"] for line in self.lines()]

    def test_interface(self) -> None:
        self.assertTrue(verifyObject(IEventSink, self.sink()))

    def test_a_line_is_the_record(self) -> None:
        self.sink().record(event(1))
        self.assertEqual(self.lines(), [event(1).as_json()])
        self.assertEqual(self.lines()[0]["Type"], "DEA")

    def test_a_file_a_day(self) -> None:
        sink = self.sink()
        for time in (NOON, NOON + 86400, NOON + 1):
            sink.record(event(0, time))
            self.clock.advance(records.REST)
        self.assertEqual(sorted(file.name for file in self.folder.iterdir()), ["2023-11-14.jsonl", "2023-11-15.jsonl"])

    def test_any_text_is_one_line(self) -> None:
        sink = self.sink()
        for text in ("a\nb", "é\u2028", "\ud800", '"'):
            sink.record(denial_event(NOON, text, text, text, "", ""))
        self.clock.advance(records.REST)
        lines = (self.folder / "2023-11-14.jsonl").read_bytes().splitlines()
        self.assertEqual([json.loads(line)["UserId"] for line in lines], ["a\nb", "é\u2028", "\ud800", '"'])

    def test_what_waits_goes_out_in_one_write(self) -> None:
        threads = SlowThreads()
        sink = self.sink(threads)
        for number in range(100):
            sink.record(event(number))
        threads.go_on()
        self.clock.advance(records.REST)
        threads.go_on()
        self.assertEqual(threads.calls, 2)
        self.assertEqual(self.users(), [f"user-{number}" for number in range(100)])

    def test_a_busy_node_writes_once_in_a_while(self) -> None:
        threads = SlowThreads()
        sink = self.sink(threads)
        sink.record(event(0))
        threads.go_on()
        for number in range(1, 50):
            sink.record(event(number))
            self.clock.advance(records.REST / 100)
        self.assertEqual(threads.calls, 1)
        self.clock.advance(records.REST)
        threads.go_on()
        self.assertEqual((threads.calls, len(self.users())), (2, 50))

    def test_stop_waits_for_what_is_queued(self) -> None:
        threads = SlowThreads()
        sink = self.sink(threads)
        sink.record(event(1))
        sink.record(event(2))
        stopping = ensureDeferred(sink.stop())
        threads.go_on()
        self.assertNoResult(stopping)
        threads.go_on()
        self.successResultOf(stopping)
        self.assertEqual(self.users(), ["user-1", "user-2"])
        self.successResultOf(ensureDeferred(sink.stop()))

    def test_a_disk_that_refuses_is_tried_again(self) -> None:
        threads = SlowThreads()
        sink = self.sink(threads)
        sink.record(event(1))
        threads.go_on(OSError("full"))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        sink.record(event(2))
        self.assertEqual(threads.waiting, [])
        self.clock.advance(records.RETRY)
        threads.go_on()
        self.assertEqual(self.users(), ["user-1", "user-2"])

    def test_stop_gives_up_on_a_disk_that_refuses(self) -> None:
        threads = SlowThreads()
        sink = self.sink(threads)
        sink.record(event(1))
        stopping = ensureDeferred(sink.stop())
        threads.go_on(OSError("full"))
        self.successResultOf(stopping)
        self.flushLoggedErrors(OSError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_queue_is_bounded(self) -> None:
        self.patch(records, "QUEUE", 3)
        threads = SlowThreads()
        sink = self.sink(threads)
        for number in range(10):
            sink.record(event(number))
        while threads.waiting:
            threads.go_on()
            self.clock.advance(records.REST)
        self.assertEqual(self.users(), ["user-0", "user-1", "user-2"])
        sink.record(event(11))
        threads.go_on()
        self.assertEqual(self.users()[-1], "user-11")

    def test_a_torn_line_spoils_no_other(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "2023-11-14.jsonl").write_text('{"Type": "DE')
        self.sink().record(event(1))
        lines = (self.folder / "2023-11-14.jsonl").read_text().splitlines()
        self.assertEqual(json.loads(lines[1]), event(1).as_json())

    def test_a_write_that_fails_half_way_is_taken_back(self) -> None:
        file = self.folder / "day.jsonl"
        records.append(file, b"one\n")
        write = os.write

        def half(descriptor: int, data: memoryview) -> int:
            if len(data) < 8:
                raise OSError("full")
            return write(descriptor, data[:4])

        self.patch(os, "write", half)
        self.assertRaises(OSError, records.append, file, b"two two\n")
        self.assertEqual(file.read_bytes(), b"one\n")


class TeeTests(SynchronousTestCase):
    def test_each_sink_gets_each_record(self) -> None:
        sinks = [RecordingSink(), RecordingSink()]
        tee = Tee(sinks)
        self.assertTrue(verifyObject(IEventSink, tee))
        tee.record(event(1))
        self.assertEqual([sink.events for sink in sinks], [[event(1)], [event(1)]])

    def test_one_that_raises_harms_no_other(self) -> None:
        good = RecordingSink()

        @implementer(IEventSink)
        class Bad:
            def record(self, event: Event) -> None:
                raise RuntimeError

        Tee([Bad(), good]).record(event(1))
        self.assertEqual(len(good.events), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
