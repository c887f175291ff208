"""The transport for bulk, over a pair of sockets and a reactor that the test turns."""

from __future__ import annotations

import os
import socket

from twisted.internet import main
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ecpds.transports.bulk import READ, BulkPeer
from tests.transports.pump import HandReactor


class Talker(Protocol):
    def __init__(self) -> None:
        self.came = bytearray()
        self.sizes: list[int] = []
        self.paused = 0
        self.resumed = 0

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.registerProducer(self, True)  # type: ignore[attr-defined]

    def dataReceived(self, data: bytes) -> None:
        self.came += data
        self.sizes.append(len(data))

    def pauseProducing(self) -> None:
        self.paused += 1

    def resumeProducing(self) -> None:
        self.resumed += 1

    def stopProducing(self) -> None:
        """The connection has gone."""


class Bulk(SynchronousTestCase):
    def setUp(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        self.far = socket.create_connection(listening.getsockname())
        self.addCleanup(self.far.close)
        near, peer = listening.accept()
        self.addCleanup(near.close)
        self.reactor = HandReactor()
        self.talker = Talker()
        self.peer = BulkPeer(near, self.talker, peer, 1, self.reactor)
        self.talker.makeConnection(self.peer)

    def read(self, size: int) -> bytes:
        """What the far end reads while ours writes on."""
        found = bytearray()
        self.far.settimeout(5)
        while len(found) < size:
            found += self.far.recv(1 << 20)
            if self.peer in self.reactor.writers:
                self.peer.doWrite()
        return bytes(found)

    def fill(self, size: int = 32 << 20) -> bytes:
        """Write more than the kernel takes."""
        data = os.urandom(1 << 20) * (size >> 20)
        self.peer.write(memoryview(data))
        self.assertIn(self.peer, self.reactor.writers)
        return data

    def test_what_the_kernel_takes_is_sent_at_once(self) -> None:
        self.peer.write(b"hello")
        self.assertEqual(self.read(5), b"hello")
        self.assertEqual((self.reactor.writers, self.talker.paused), ([], 0))

    def test_the_rest_is_kept_and_who_writes_is_paused_until_it_is_gone(self) -> None:
        data = self.fill()
        self.peer.write(b"more")
        self.assertEqual((self.talker.paused, self.talker.resumed), (1, 0))
        self.assertEqual(self.read(len(data) + 4), data + b"more")
        self.assertEqual((self.reactor.writers, self.talker.resumed), ([], 1))

    def test_large_pieces_are_read(self) -> None:
        data = os.urandom(2 * READ)
        self.far.setblocking(False)
        sent = 0
        while len(self.talker.came) < len(data):
            if sent < len(data):
                sent += self.far.send(memoryview(data)[sent:])
            self.assertIsNone(self.peer.doRead())
        self.assertEqual(self.talker.came, data)
        self.assertLessEqual(max(self.talker.sizes), READ)

    def test_nothing_there_is_no_end(self) -> None:
        self.assertIsNone(self.peer.doRead())
        self.far.shutdown(socket.SHUT_WR)
        self.assertIs(self.peer.doRead(), main.CONNECTION_DONE)

    def test_what_was_written_goes_before_the_end(self) -> None:
        data = self.fill()
        self.peer.unregisterProducer()
        self.peer.loseConnection()
        ended = None
        found = bytearray()
        while len(found) < len(data):
            found += self.far.recv(1 << 20)
            ended = self.peer.doWrite()
        self.assertIs(ended, main.CONNECTION_DONE)
        self.assertEqual(found, data)

    def test_after_the_end_nothing_is_kept(self) -> None:
        self.fill()
        self.peer.connectionLost(Failure(ConnectionDone()))
        self.peer.write(b"more")
        self.assertEqual((self.reactor.writers, self.reactor.readers), ([], []))

    def test_a_reset_is_told_by_the_reactor_s_next_call(self) -> None:
        self.fill()
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.far.close()
        self.assertIs(self.peer.doWrite(), main.CONNECTION_LOST)
        self.assertIs(self.peer.doRead(), main.CONNECTION_DONE)
