"""The twins are what they claim to be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost, Corrupt, LoginFailed, Stalled, Unavailable
from ecpds.interfaces import IByteSink, IByteSource, IChannel, IEventSink, IListener, IListeners
from ecpds.model import Origin
from ecpds.portal_interfaces import IDownload, IFileSystem, IPortal, IUpload
from tests.doubles import (
    MemoryChannel,
    MemoryListeners,
    MemorySink,
    MemorySource,
    RecordingSink,
    make_portal,
)

ORIGIN = Origin("ftp", "127.0.0.1", "node")


def begin(coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    return ensureDeferred(coroutine)


class InterfacesTests(SynchronousTestCase):
    def test_each_provides_its_interface(self) -> None:
        portal = make_portal()
        portal.tree.put("/demo/a", b"x")
        files = self.successResultOf(begin(portal.login("alice", "secret", ORIGIN)))
        listeners = MemoryListeners()
        for interface, twin in (
            (IByteSource, MemorySource()),
            (IByteSink, MemorySink()),
            (IChannel, MemoryChannel()),
            (IListeners, listeners),
            (IListener, listeners.listen("127.0.0.1", None, "127.0.0.1")),
            (IEventSink, RecordingSink()),
            (IPortal, portal),
            (IFileSystem, files),
            (IDownload, self.successResultOf(begin(files.open_read("/demo/a")))),
            (IUpload, self.successResultOf(begin(files.open_write("/demo/b")))),
        ):
            self.assertTrue(verifyObject(interface, twin))


class ChannelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.channel = MemoryChannel()
        self.view = memoryview(bytearray(4))

    def test_a_reader_waits_for_bytes(self) -> None:
        reading = begin(self.channel.read_into(self.view))
        self.assertNoResult(reading)
        self.channel.feed(b"abcdef")
        self.assertEqual(self.successResultOf(reading), 4)
        self.assertEqual(bytes(self.view), b"abcd")
        self.assertEqual(self.successResultOf(begin(self.channel.read_into(self.view))), 2)

    def test_the_end_and_a_loss_differ_and_come_after_the_bytes(self) -> None:
        self.channel.feed(b"ab")
        self.channel.feed_end()
        self.assertEqual(self.successResultOf(begin(self.channel.read_into(self.view))), 2)
        self.assertEqual(self.successResultOf(begin(self.channel.read_into(self.view))), 0)
        lost = MemoryChannel()
        reading = begin(lost.read_into(self.view))
        lost.feed_loss()
        self.failureResultOf(reading, ConnectionLost)

    def test_an_abort_wakes_whoever_waits(self) -> None:
        reading = begin(self.channel.read_into(self.view))
        self.channel.abort()
        self.channel.abort()
        self.failureResultOf(reading, ConnectionLost)
        self.failureResultOf(begin(self.channel.write(b"x")), ConnectionLost)
        self.assertTrue(self.channel.aborted)

    def test_a_small_window_holds_the_writer(self) -> None:
        channel = MemoryChannel(window=3)
        writing = begin(channel.write(b"abcdefg"))
        self.assertNoResult(writing)
        self.assertEqual([channel.take(), channel.take()], [b"abc", b"def"])
        self.successResultOf(writing)
        self.assertEqual(channel.all_written, b"abcdefg")

    def test_files_are_sent_and_short_ones_noticed(self) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.flush()
            self.successResultOf(begin(self.channel.send_file(file.fileno(), 2, 3)))
            self.assertEqual(self.channel.take(), b"234")
            self.failureResultOf(begin(self.channel.send_file(file.fileno(), 8, 3)), Corrupt)
            self.assertEqual(os.lseek(file.fileno(), 0, os.SEEK_CUR), 10)


class ListenerTests(SynchronousTestCase):
    def test_only_the_expected_peer_gets_in(self) -> None:
        listener = MemoryListeners().listen("127.0.0.1", range(5000, 5001), "10.0.0.1")
        accepting = begin(listener.accept(5))
        self.assertTrue(listener.connect("10.0.0.2").aborted)
        self.assertNoResult(accepting)
        channel = listener.connect()
        self.assertIs(self.successResultOf(accepting), channel)

    def test_time_ends_and_ports_run_out(self) -> None:
        listeners = MemoryListeners()
        listener = listeners.listen("127.0.0.1", range(5000, 5001), "10.0.0.1")
        self.assertRaises(Unavailable, listeners.listen, "127.0.0.1", range(5000, 5001), "10.0.0.1")
        accepting = begin(listener.accept(5))
        listener.expire()
        self.failureResultOf(accepting, Stalled)
        listener.close()
        self.assertEqual(listeners.open, [])


class PortalTests(SynchronousTestCase):
    def test_a_wrong_password_is_one_record(self) -> None:
        portal = make_portal()
        self.failureResultOf(begin(portal.login("alice", "wrong", ORIGIN)), LoginFailed)
        self.failureResultOf(begin(portal.login("bob", "wrong", ORIGIN)), LoginFailed)
        self.assertEqual([r["Message"] for r in portal.sink.of("DEA")], ["Password authentication failed", "Not found"])
