"""Where a node's records go: files in two forms, and the system's log."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import evolve
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.config import Config, Events, Node
from ecpds.events import denial_event
from ecpds.interfaces import IEventSink
from ecpds.portal.sinks import NodeRecords
from ecpds.portal.syslog import LONGEST, Syslog, datagrams_to
from ecpds.threads import InlineThreads

TIME = 1_795_305_600.125
DENIAL = denial_event(TIME, "joe\n", "a;b", "Using ftp", "192.0.2.1", "ftp")


class NodeRecordsTests(SynchronousTestCase):
    def files(self, **named: bool) -> dict[str, str]:
        """What is in the files after one record."""
        home = Path(self.mktemp())
        config = evolve(Config(), node=Node(name="node", home=str(home)), events=Events(**named))
        sink = NodeRecords(config, InlineThreads(), Clock())
        self.assertTrue(verifyObject(IEventSink, sink))
        sink.record(DENIAL)
        self.successResultOf(ensureDeferred(sink.stop()))
        self.assertEqual(sink.dropped, 0)
        return {file.name: file.read_text() for file in home.glob("events/*")}

    def test_both_forms(self) -> None:
        files = self.files()
        self.assertEqual(set(files), {"2026-11-22.jsonl", "2026-11-22.log"})
        self.assertEqual(json.loads(files["2026-11-22.jsonl"])["Message"], "a;b")
        self.assertEqual(files["2026-11-22.log"], DENIAL.as_line() + "\n")

    def test_one_or_none(self) -> None:
        self.assertEqual(set(self.files(lines=False)), {"2026-11-22.jsonl"})
        self.assertEqual(set(self.files(json=False)), {"2026-11-22.log"})
        self.assertEqual(self.files(json=False, lines=False), {})


class SyslogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sent: list[bytes] = []
        self.failure: OSError | None = None
        self.sink = Syslog(self.send, "node-1", 4711)

    def send(self, message: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(message)

    def test_one_datagram_a_record(self) -> None:
        self.assertTrue(verifyObject(IEventSink, self.sink))
        self.sink.record(DENIAL)
        head = "<134>1 2026-11-22T00:00:00.125Z node-1 ecpds 4711 DEA - "
        self.assertEqual(self.sent, [(head + DENIAL.as_line()).encode()])
        self.assertNotIn(b"\n", self.sent[0])

    def test_a_long_one_is_cut(self) -> None:
        self.sink.record(denial_event(TIME, "joe", "x" * 20000, "", "", "ftp"))
        self.assertEqual(len(self.sent[0]), LONGEST)

    def test_a_collector_that_is_not_there_is_said_once_and_counted(self) -> None:
        self.failure = ConnectionRefusedError(111, "refused")
        for _ in range(3):
            self.sink.record(DENIAL)
        self.assertEqual((self.sink.dropped, self.sent), (3, []))
        self.failure = None
        self.sink.record(DENIAL)
        self.assertEqual(len(self.sent), 1)

    def test_a_local_socket_that_is_not_there(self) -> None:
        send = datagrams_to("unix:/nowhere/log")
        self.assertRaises(OSError, send, b"x")
