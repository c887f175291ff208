"""Who may connect, on which port, and what becomes of a connection. Loopback sockets, no thread."""

from __future__ import annotations

import errno
import os
import random
import socket
import stat
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.admission import Admission
from ecpds.errors import ConnectionLost, Stalled, Unavailable
from ecpds.interfaces import IChannel, IListener, IListeners
from ecpds.transports import sockets
from ecpds.transports.dialing import connected
from ecpds.transports.listeners import Listeners, serve, serve_path
from ecpds.transports.making import make_channel
from ecpds.transports.sockets import host, local_ports
from tests.transports.pump import ChannelCase, server_context


class LoopbackCase(ChannelCase):
    def connect(self, port: int, address: str = "127.0.0.1", source: str | None = None) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.setblocking(False)
        if source:
            sock.bind((source, 0))
        self.assertIn(sock.connect_ex((address, port)), (0, errno.EINPROGRESS))
        return sock

    def is_closed(self, sock: socket.socket) -> bool:
        try:
            return sock.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True


class LocalPortsTests(SynchronousTestCase):
    def ports(self, span: str, reserved: str) -> list[int]:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        (folder / "ip_local_port_range").write_text(span)
        (folder / "ip_local_reserved_ports").write_text(reserved)
        return list(local_ports(folder))

    def test_all(self) -> None:
        self.assertEqual(self.ports("32768\t32771\n", "\n"), [32768, 32769, 32770, 32771])

    def test_without_the_reserved(self) -> None:
        self.assertEqual(self.ports("65530\t65535\n", "80,65531-65533,65535\n"), [65530, 65534])

    def test_nothing_is_said(self) -> None:
        self.assertEqual(list(local_ports(Path(self.mktemp()))), [])

    def test_of_this_machine(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.assertIn(sock.getsockname()[1], local_ports())


def quiet_ports() -> range:
    """40 ports below those that the kernel gives to clients, which come and go."""
    first = 20_000 + 40 * (os.getpid() % 200)
    return range(first, first + 40)


class ListenerTests(LoopbackCase):
    def setUp(self) -> None:
        super().setUp()
        self.listeners = Listeners(self.around, random.Random(7))

    def listen(self, address: str = "127.0.0.1", ports: range | None = None, peer: str = "127.0.0.1") -> Any:
        listener = self.listeners.listen(address, ports, peer)
        self.addCleanup(listener.close)
        return listener

    def test_provides(self) -> None:
        verifyObject(IListeners, self.listeners)
        verifyObject(IListener, self.listen())

    def test_before_and_after_accept_is_called(self) -> None:
        listener = self.listen()
        self.connect(listener.port).send(b"1")
        self.reactor.turn()
        first = self.finish(listener.accept(5))
        waiting = self.begin(listener.accept(5))
        self.assertNoResult(waiting)
        self.connect(listener.port).send(b"2")
        second = self.finish(waiting)
        for channel, sent in ((first, b"1"), (second, b"2")):
            self.assertEqual(channel.peer, "127.0.0.1")
            found = memoryview(bytearray(1))
            self.finish(channel.read_into(found))
            self.assertEqual(bytes(found), sent)
            channel.abort()

    def test_who_has_come_is_accepted_without_waiting(self) -> None:
        listener = self.listen()
        self.assertIsNone(listener.accept_now())
        stranger = self.connect(listener.port, source="127.0.0.2")
        self.connect(listener.port)
        came: list[IChannel | None] = []

        def has_come() -> bool:
            came[:] = [listener.accept_now()]
            return came != [None]

        self.reactor.until(has_come)
        self.assertTrue(self.is_closed(stranger))
        assert came[0] is not None
        came[0].abort()
        self.connect(listener.port)
        listener.close()
        self.assertIsNone(listener.accept_now())

    def test_strangers_are_closed_at_once(self) -> None:
        listener = self.listen()
        strangers = [self.connect(listener.port, source="127.0.0.2") for _ in range(20)]
        waiting = self.begin(listener.accept(5))
        self.reactor.until(lambda: all(self.is_closed(each) for each in strangers))
        self.assertNoResult(waiting)
        self.connect(listener.port)
        self.finish(waiting).abort()

    def test_ipv6(self) -> None:
        listener = self.listen("::1", None, "::1")
        self.connect(listener.port, "::1")
        self.assertEqual(self.finish(listener.accept(5)).peer, "::1")

    def test_a_mapped_peer_is_the_same_peer(self) -> None:
        listener = self.listen("::ffff:127.0.0.1", None, "::ffff:127.0.0.1")
        self.connect(listener.port)
        self.assertEqual(self.finish(listener.accept(5)).peer, "127.0.0.1")
        self.assertEqual(host("::ffff:10.0.0.1"), "10.0.0.1")
        self.assertEqual(host("::ffff:1"), "::ffff:1")

    def test_nobody_comes(self) -> None:
        listener = self.listen()
        waiting = self.begin(listener.accept(5))
        self.reactor.pump([1] * 8)
        self.refuse(waiting, Stalled)
        self.connect(listener.port)
        self.finish(listener.accept(5)).abort()

    def test_close(self) -> None:
        listener = self.listen()
        waiting = self.begin(listener.accept(5))
        listener.close()
        listener.close()
        self.refuse(waiting, ConnectionLost)
        self.refuse(listener.accept(5), ConnectionLost)
        self.assertEqual(self.reactor.removeAll(), [])
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", listener.port))

    def test_close_takes_along_who_was_not_accepted(self) -> None:
        listener = self.listen()
        early = self.connect(listener.port)
        self.reactor.turn()
        listener.close()
        self.assertTrue(self.is_closed(early))

    def test_giving_up_an_accept(self) -> None:
        listener = self.listen()
        waiting = self.begin(listener.accept(5))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.connect(listener.port)
        self.finish(listener.accept(5)).abort()

    def test_who_is_there_already_is_taken_without_the_reactor(self) -> None:
        listener = self.listen()
        for _ in range(3):
            self.connect(listener.port)
        for _ in range(3):
            self.successResultOf(self.begin(listener.accept(5))).abort()
        self.assertEqual(self.reactor.removeAll(), [])

    def test_strangers_in_the_queue_do_not_hide_who_is_behind_them(self) -> None:
        listener = self.listen()
        strangers = [self.connect(listener.port, source="127.0.0.2") for _ in range(20)]
        self.connect(listener.port)
        self.successResultOf(self.begin(listener.accept(5))).abort()
        self.assertTrue(all(self.is_closed(each) for each in strangers))

    def test_nobody_is_taken_while_nobody_waits(self) -> None:
        listener = self.listen()
        waiting = self.begin(listener.accept(5))
        self.connect(listener.port)
        self.finish(waiting).abort()
        self.assertEqual(self.reactor.removeAll(), [])

    def test_ports_of_a_range_at_random(self) -> None:
        first = self.listen()
        free = range(first.port, first.port + 40)
        picked = [self.listen(ports=free).port for _ in range(8)]
        self.assertEqual(len(set(picked)), 8)
        self.assertNotIn(first.port, picked)
        self.assertTrue(set(picked) <= set(free))
        self.assertNotEqual(picked, sorted(picked))

    def test_every_port_of_a_range_is_found(self) -> None:
        picked = {self.listen(ports=quiet_ports()).port for _ in range(30)}
        self.assertEqual(len(picked), 30)

    def test_any_port_is_one_that_the_kernel_would_choose_from(self) -> None:
        free = quiet_ports()
        listeners = Listeners(self.around, random.Random(7), free=free)
        for _ in range(8):
            listener = listeners.listen("127.0.0.1", None, "127.0.0.1")
            self.addCleanup(listener.close)
            self.assertIn(listener.port, free)

    def test_the_kernel_is_asked_when_those_tried_are_taken(self) -> None:
        taken = self.listen().port
        listeners = Listeners(self.around, random.Random(7), free=[taken])
        listener = listeners.listen("127.0.0.1", None, "127.0.0.1")
        self.addCleanup(listener.close)
        self.assertNotIn(listener.port, (0, taken))

    def test_no_free_port(self) -> None:
        taken = self.listen().port
        with self.assertRaises(Unavailable):
            self.listen(ports=range(taken, taken + 1))
        with self.assertRaises(Unavailable):
            self.listen("192.0.2.1")

    def test_tls_begins_after_the_channel_is_there(self) -> None:
        listener = self.listeners.listen("127.0.0.1", None, "127.0.0.1", server_context())
        self.addCleanup(listener.close)
        sock = self.connect(listener.port)
        here = self.finish(listener.accept(5))
        self.assertTrue(here.secure)
        there = make_channel(self.around, sock, "", SSL.Context(SSL.TLS_CLIENT_METHOD), server_side=False)
        writer = self.begin(there.write(b"hello"))
        found = memoryview(bytearray(5))
        self.finish(here.read_into(found))
        self.finish(writer)
        self.assertEqual(bytes(found), b"hello")

    def test_who_took_part_in_a_session_of_the_context_resumes_it(self) -> None:
        ours, theirs = server_context(), SSL.Context(SSL.TLS_CLIENT_METHOD)
        ours.set_session_id(b"ours")
        stranger = server_context()
        stranger.set_session_id(b"ours")
        session = None
        kept = []  # OpenSSL gives up the session of a connection that goes without its end
        for context, resumed in ((ours, False), (ours, True), (stranger, False)):
            listener = self.listeners.listen("127.0.0.1", None, "127.0.0.1", context)
            sock = self.connect(listener.port)
            here = self.finish(listener.accept(5))
            there = make_channel(self.around, sock, "", theirs, server_side=False)
            if session is not None:
                there._link._connection.set_session(session)
            agreed = self.begin(here.write(b"x"))
            self.finish(there.read_into(memoryview(bytearray(1))))
            self.finish(agreed)
            self.assertEqual(here.resumed, resumed)
            session = there._link._connection.get_session()
            kept += [here, there]
        for channel in kept:
            channel.abort()

    def test_connecting_out(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            channel = self.finish(self.listeners.connect("127.0.0.1", "127.0.0.1", port, 5))
            there, name = server.accept()
        self.finish(channel.write(b"hello"))
        self.assertEqual((there.recv(5), name[0], channel.secure), (b"hello", "127.0.0.1", False))
        there.close()
        channel.abort()
        self.assertEqual(self.reactor.removeAll(), [])

    def test_connecting_out_looks_for_no_port_that_is_free_for_everybody(self) -> None:
        """With 16,600 sockets in TIME_WAIT, as many small transfers leave, that took the kernel 14 ms, on the reactor."""
        for address in ("127.0.0.1", "::1"):
            with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
                sock = self.finish(connected(self.around, address, address, server.getsockname()[1], 5))
            self.addCleanup(sock.close)
            self.assertEqual(sock.getsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT), 1)
            self.assertEqual(sock.getsockname()[0], address)

    def test_connecting_out_to_nobody(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.refuse(self.begin(self.listeners.connect("127.0.0.1", "127.0.0.1", port, 5)), ConnectionLost)
        self.refuse(self.begin(self.listeners.connect("192.0.2.1", "127.0.0.1", port, 5)), ConnectionLost)
        self.assertEqual(self.reactor.removeAll(), [])

    def test_connecting_out_to_who_does_not_answer(self) -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            queued = [self.connect(port) for _ in range(2)]  # the kernel drops whoever comes when its queue is full
            waiting = self.begin(self.listeners.connect("127.0.0.1", "127.0.0.1", port, 5))
            self.reactor.turn()
            self.reactor.pump([1] * 8)
            self.refuse(waiting, Stalled)
            self.assertEqual(len(queued), 2)
        self.assertEqual(self.reactor.removeAll(), [])


class ServerTests(LoopbackCase):
    def setUp(self) -> None:
        super().setUp()
        self.channels_seen: list[IChannel] = []

    def serve(self, **options: Any) -> Any:
        server = serve(self.around, "127.0.0.1", 0, self.channels_seen.append, **options)
        self.addCleanup(server.stop_listening)
        return server

    def test_hands_out_channels_until_it_stops(self) -> None:
        server = self.serve()
        for _ in range(100):
            self.connect(server.port)
        self.reactor.until(lambda: len(self.channels_seen) == 100)
        self.assertEqual(len(server.connections), 100)
        server.stop_listening()
        server.stop_listening()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
        for channel in self.channels_seen:
            channel.abort()
        self.assertEqual(server.connections, set())
        self.assertEqual(self.reactor.removeAll(), [])

    def test_nodelay(self) -> None:
        server = self.serve()
        self.connect(server.port)
        self.reactor.until(lambda: self.channels_seen)
        [channel] = server.connections
        self.assertTrue(channel._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def test_too_many(self) -> None:
        admission = Admission(10, 2)
        server = self.serve(admission=admission)
        socks = [self.connect(server.port) for _ in range(3)]
        self.reactor.until(lambda: self.is_closed(socks[2]))
        self.assertEqual((admission.total, len(self.channels_seen)), (2, 2))
        self.channels_seen[0].abort()
        self.assertEqual(admission.total, 1)
        self.connect(server.port)
        self.reactor.until(lambda: len(self.channels_seen) == 3)

    def test_under_tls_only_those_that_are_ready(self) -> None:
        admission = Admission(10, 0)
        server = self.serve(context=server_context(), admission=admission)
        silent, stupid = self.connect(server.port), self.connect(server.port)
        good = make_channel(self.around, self.connect(server.port), "", SSL.Context(SSL.TLS_CLIENT_METHOD), server_side=False)
        self.reactor.until(lambda: admission.total == 3)
        stupid.send(b"USER anonymous\r\n" * 10)
        self.finish(good.handshake())
        self.reactor.until(lambda: self.channels_seen and admission.total == 2)
        self.assertTrue(self.channels_seen[0].secure)
        self.reactor.pump([1] * 22)
        self.assertTrue(self.is_closed(silent))
        self.assertEqual((admission.total, len(self.channels_seen)), (1, 1))

    def test_too_many_with_which_tls_is_not_agreed_on(self) -> None:
        strangers = Admission(10, 2)
        server = self.serve(context=server_context(), strangers=strangers)
        for _ in range(3):
            sock = self.connect(server.port)
            good = make_channel(self.around, sock, "", SSL.Context(SSL.TLS_CLIENT_METHOD), server_side=False)
            self.finish(good.handshake())
        self.reactor.until(lambda: len(self.channels_seen) == 3)
        silent = [self.connect(server.port) for _ in range(3)]
        self.reactor.until(lambda: self.is_closed(silent[2]))
        self.assertEqual((strangers.total, len(server.connections)), (2, 5))
        silent[0].close()
        self.reactor.until(lambda: strangers.total == 1)

    def test_a_door_that_fails_goes_on_listening(self) -> None:
        def fail(channel: IChannel) -> None:
            raise ZeroDivisionError

        server = serve(self.around, "127.0.0.1", 0, fail)
        self.addCleanup(server.stop_listening)
        for _ in range(2):
            sock = self.connect(server.port)
            self.reactor.until(lambda sock=sock: self.is_closed(sock))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(server.connections, set())

    def test_no_descriptors_left(self) -> None:
        server = self.serve()
        listening = server._acceptor._socket

        class Exhausted:
            def accept(self) -> Any:
                raise OSError(errno.EMFILE, "Too many open files")

        server._acceptor._socket = Exhausted()
        server._acceptor.doRead()
        self.assertEqual(self.reactor.removeAll(), [])
        server._acceptor._socket = listening
        self.connect(server.port)
        self.reactor.turn()
        self.assertEqual(self.channels_seen, [])
        self.reactor.advance(1)
        self.reactor.until(lambda: self.channels_seen)

    def test_stopped_while_no_descriptors_were_left(self) -> None:
        server = self.serve()
        server._acceptor._rest(OSError(errno.EMFILE, "Too many open files"))
        server.stop_listening()
        self.reactor.advance(2)
        self.assertEqual(self.reactor.removeAll(), [])

    def test_a_port_in_use(self) -> None:
        with self.assertRaises(OSError):
            serve(self.around, "127.0.0.1", self.serve().port, self.channels_seen.append)


class PathTests(LoopbackCase):
    def setUp(self) -> None:
        super().setUp()
        self.seen: list[IChannel] = []
        self.folder = Path(self.mktemp()).absolute() / ("x" * 120)
        self.folder.mkdir(parents=True)
        self.path = self.folder / "admin.sock"

    def serve(self) -> Any:
        server = serve_path(self.around, self.path, self.seen.append)
        self.addCleanup(server.stop_listening)
        return server

    def knock(self) -> socket.socket:
        folder = os.open(self.folder, os.O_PATH)
        self.addCleanup(os.close, folder)
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.connect(f"/proc/self/fd/{folder}/admin.sock")
        return sock

    def test_a_long_path_for_its_owner_alone(self) -> None:
        self.assertGreater(len(str(self.path)), 107)
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.serve()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual([each.name for each in self.folder.iterdir()], ["admin.sock"])
        self.knock().send(b"x")
        self.reactor.until(lambda: self.seen)
        self.assertEqual(self.finish(self.seen[0].read_into(memoryview(bytearray(9)))), 1)

    def test_a_stale_one_is_replaced(self) -> None:
        self.serve().stop_listening()
        self.assertTrue(self.path.is_socket())
        self.serve()
        self.knock()
        self.reactor.until(lambda: self.seen)

    def test_one_in_use_is_not(self) -> None:
        self.serve()
        with self.assertRaises(Unavailable):
            self.serve()
        self.knock()
        self.reactor.until(lambda: self.seen)

    def test_what_is_no_socket_is_left(self) -> None:
        self.path.write_text("precious")
        with self.assertRaises(Unavailable):
            self.serve()
        self.assertEqual(self.path.read_text(), "precious")


class ConstantTests(LoopbackCase):
    def test_exhaustion_is_told_from_a_broken_connection(self) -> None:
        self.assertIn(errno.EMFILE, sockets.EXHAUSTED)
        self.assertNotIn(errno.ECONNABORTED, sockets.EXHAUSTED)
