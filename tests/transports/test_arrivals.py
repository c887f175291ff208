"""Whom a balancer brings: at channels, at Twisted's protocols, at listeners for one peer; and what is not believed."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
from typing import Any

from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol

from ecpds.admission import Admission
from ecpds.interfaces import IChannel
from ecpds.transports.arrivals import Balancers
from ecpds.transports.factories import NamedPeer, PromptPeer, serve_factory
from ecpds.transports.listeners import Listeners, serve
from ecpds.transports.making import make_channel
from tests.transports.pump import server_context
from tests.transports.test_listeners import LoopbackCase

BALANCER = "127.0.0.2"
HEADER = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 21\r\n"
SIX = b"PROXY TCP6 2001:db8::7 ::1 4711 21\r\n"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


class Networks(LoopbackCase):
    def test_addresses_and_networks(self) -> None:
        listed = Balancers(("192.0.2.1", "10.0.0.0/8", "2001:db8::/32"))
        for inside in ("192.0.2.1", "10.255.0.1", "2001:db8::7"):
            self.assertIn(inside, listed)
        for outside in ("192.0.2.2", "11.0.0.1", "fe80::1%eth0", "::1", ""):
            self.assertNotIn(outside, listed)
        self.assertNotIn("192.0.2.1", Balancers())


class ArrivalCase(LoopbackCase):
    balancers = Balancers((BALANCER,))

    def setUp(self) -> None:
        super().setUp()
        self.channels_seen: list[IChannel] = []

    def serve(self, **options: Any) -> Any:
        server = serve(self.around, "127.0.0.1", 0, self.channels_seen.append, balancers=self.balancers, **options)
        self.addCleanup(server.stop_listening)
        return server

    def balanced(self, port: int, first: bytes) -> socket.socket:
        sock = self.connect(port, source=BALANCER)
        sock.send(first)
        return sock

    def read(self, channel: Any, count: int) -> bytes:
        found = memoryview(bytearray(count))
        return bytes(found[: self.finish(channel.read_into(found))])


class AtChannels(ArrivalCase):
    def test_the_client_is_the_peer_and_nothing_behind_the_header_is_taken(self) -> None:
        self.balanced(self.serve().port, HEADER + b"hello")
        self.reactor.until(lambda: self.channels_seen)
        self.assertEqual(self.channels_seen[0].peer, "192.0.2.7")
        self.assertEqual(self.read(self.channels_seen[0], 9), b"hello")

    def test_a_header_that_comes_byte_by_byte(self) -> None:
        sock = self.balanced(self.serve().port, b"")
        for byte in SIX:
            self.assertEqual(self.channels_seen, [])
            sock.send(bytes([byte]))
            self.reactor.turn()
        sock.send(b"x")
        self.reactor.until(lambda: self.channels_seen)
        self.assertEqual((self.channels_seen[0].peer, self.read(self.channels_seen[0], 2)), ("2001:db8::7", b"x"))

    def test_health_checks_keep_their_peer(self) -> None:
        for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
            self.channels_seen.clear()
            self.balanced(self.serve().port, header)
            self.reactor.until(lambda: self.channels_seen)
            self.assertEqual(self.channels_seen[0].peer, BALANCER)

    def test_who_is_not_listed_is_not_believed(self) -> None:
        self.connect(self.serve().port, source="127.0.0.3").send(HEADER)
        self.reactor.until(lambda: self.channels_seen)
        self.assertEqual(self.channels_seen[0].peer, "127.0.0.3")
        self.assertEqual(self.read(self.channels_seen[0], 100), HEADER)

    def test_a_balancer_without_a_header_is_refused(self) -> None:
        server = self.serve()
        for said in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"PROXY TCP4 x\r\n"):
            sock = self.balanced(server.port, said)
            self.reactor.until(lambda sock=sock: self.is_closed(sock))
        self.assertEqual(self.channels_seen, [])
        self.assertEqual(self.reactor.removeAll(), [server._acceptor])

    def test_a_header_that_does_not_come_in_time(self) -> None:
        server = self.serve()
        dribbling = self.balanced(server.port, HEADER[:10])
        self.reactor.turn()
        for _ in range(7):
            self.reactor.advance(1)
            if not self.is_closed(dribbling):
                dribbling.send(b"1")
            self.reactor.turn()
        self.assertTrue(self.is_closed(dribbling))
        self.assertEqual(self.channels_seen, [])

    def test_who_leaves_or_is_still_waited_for_at_the_end(self) -> None:
        server = self.serve()
        leaving, waiting = (self.balanced(server.port, HEADER[:10]) for _ in range(2))
        self.reactor.turn()
        leaving.close()
        self.reactor.until(lambda: len(server._arrivals._waiting) == 1)
        server.stop_listening()
        self.assertTrue(self.is_closed(waiting))
        self.assertEqual(self.reactor.removeAll(), [])

    def test_no_more_than_so_many_are_waited_for(self) -> None:
        server = self.serve()
        server._arrivals._most = 2
        socks = [self.balanced(server.port, b"") for _ in range(3)]
        self.reactor.until(lambda: sum(self.is_closed(sock) for sock in socks) == 1)

    def test_clients_are_counted_and_not_balancers(self) -> None:
        admission = Admission(10, 1)
        server = self.serve(admission=admission)
        for _ in range(2):
            self.balanced(server.port, b"PROXY TCP4 192.0.2.8 127.0.0.1 1 2\r\n")
        self.balanced(server.port, HEADER)
        self.reactor.until(lambda: admission.total == 2)
        self.assertEqual({each.peer for each in self.channels_seen}, {"192.0.2.7", "192.0.2.8"})

    def test_the_header_comes_before_tls(self) -> None:
        server = self.serve(context=server_context())
        sock = self.balanced(server.port, HEADER)
        there = make_channel(self.around, sock, "", SSL.Context(SSL.TLS_CLIENT_METHOD), server_side=False)
        self.finish(there.handshake())
        self.reactor.until(lambda: self.channels_seen)
        self.assertEqual((self.channels_seen[0].peer, self.channels_seen[0].secure), ("192.0.2.7", True))


class AtListeners(ArrivalCase):
    """A data connection: the expected peer is the client, whoever carries it."""

    def listen(self, peer: str) -> Any:
        listener = Listeners(self.around, random.Random(7), self.balancers).listen("127.0.0.1", None, peer)
        self.addCleanup(listener.close)
        return listener

    def test_the_client_by_way_of_the_balancer(self) -> None:
        listener = self.listen("192.0.2.7")
        waiting = self.begin(listener.accept(5))
        stranger = self.balanced(listener.port, b"PROXY TCP4 192.0.2.8 127.0.0.1 1 2\r\n")
        itself = self.balanced(listener.port, LOCAL)
        self.reactor.until(lambda: self.is_closed(stranger) and self.is_closed(itself))
        self.assertNoResult(waiting)
        self.balanced(listener.port, HEADER + b"x")
        channel = self.finish(waiting)
        self.assertEqual((channel.peer, self.read(channel, 5)), ("192.0.2.7", b"x"))

    def test_the_client_itself(self) -> None:
        listener = self.listen("127.0.0.1")
        self.connect(listener.port)
        self.assertEqual(self.finish(listener.accept(5)).peer, "127.0.0.1")

    def test_closing_closes_who_is_waited_for(self) -> None:
        listener = self.listen("192.0.2.7")
        sock = self.balanced(listener.port, HEADER[:5])
        self.reactor.turn()
        listener.close()
        self.assertTrue(self.is_closed(sock))


class Greeter(Protocol):
    def connectionMade(self) -> None:
        self.factory.made.append(self)
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        self.factory.came += data


class AtProtocols(ArrivalCase):
    peer: type[NamedPeer] = NamedPeer

    def setUp(self) -> None:
        super().setUp()
        self.factory: Any = Factory.forProtocol(Greeter)
        self.factory.noisy = False
        self.factory.made, self.factory.came = [], bytearray()
        self.server = serve_factory(self.around, "127.0.0.1", 0, self.factory, self.balancers, peer=self.peer)
        self.addCleanup(self.server.stop_listening)

    def made(self) -> Any:
        self.reactor.until(lambda: self.factory.made)
        protocol = self.factory.made[0]
        self.addCleanup(protocol.transport.abortConnection)
        return protocol

    def test_the_peer_of_the_transport(self) -> None:
        for header, address in ((HEADER, "192.0.2.7"), (SIX, "2001:db8::7")):
            self.factory.made.clear()
            self.factory.came.clear()
            sock = self.balanced(self.server.port, header + b"more")
            transport = self.made().transport
            self.assertEqual((transport.getPeer().host, transport.getPeer().port), (address, 4711))
            self.assertEqual(transport.getHost().host, "127.0.0.1")
            self.reactor.until(lambda: self.factory.came == b"more")
            self.reactor.turn()
            self.assertEqual(sock.recv(9), b"hello")

    def test_without_a_balancer(self) -> None:
        sock = self.connect(self.server.port)
        self.assertEqual(self.made().transport.getPeer().port, sock.getsockname()[1])

    def test_a_factory_that_takes_nobody(self) -> None:
        self.factory.buildProtocol = lambda address: None
        sock = self.connect(self.server.port)
        self.reactor.until(lambda: self.is_closed(sock))


class AtPromptProtocols(AtProtocols):
    peer = PromptPeer

    def test_an_answer_leaves_without_a_turn(self) -> None:
        sock = self.connect(self.server.port)
        transport = self.made().transport
        transport.write(b" again")
        self.assertEqual(sock.recv(99), b"hello again")

    def test_what_the_kernel_does_not_take_at_once_comes_in_order(self) -> None:
        sock = self.connect(self.server.port)
        transport = self.made().transport
        sent = [bytes([number]) * 100_000 for number in range(100)]
        for each in sent:
            transport.write(each)
        came = bytearray()

        def ended() -> bool:
            with contextlib.suppress(BlockingIOError):
                came.extend(sock.recv(1 << 20))
            return len(came) >= 5 + 10_000_000

        sock.setblocking(False)
        self.reactor.until(ended)
        self.assertEqual(bytes(came), b"hello" + b"".join(sent))

    def test_that_a_peer_is_gone_is_left_to_the_reactor_to_find(self) -> None:
        sock = self.connect(self.server.port)
        transport = self.made().transport
        sock.close()
        for _ in range(3):
            transport.write(b"x" * 1000)
        self.assertIsNotNone(transport.doWrite())


class Shared(ArrivalCase):
    def test_two_listen_on_one_port(self) -> None:
        first = self.serve(shared=True)
        second: list[IChannel] = []
        other = serve(self.around, "127.0.0.1", first.port, second.append, shared=True)
        self.addCleanup(other.stop_listening)
        for _ in range(60):
            self.connect(first.port)
        self.reactor.until(lambda: len(second) + len(self.channels_seen) == 60)
        self.assertTrue(second and self.channels_seen)

    def test_one_that_does_not_share(self) -> None:
        with self.assertRaises(OSError) as caught:
            serve(self.around, "127.0.0.1", self.serve().port, lambda channel: None, shared=True)
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)
