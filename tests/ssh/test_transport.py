"""The connection: what is agreed on, what is refused, what runs out."""

from __future__ import annotations

import struct
from typing import ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.internet.defer import Deferred

from ecpds.limits import Limits
from ecpds.ssh.algorithms import STRICT_CLIENT, STRICT_SERVER
from ecpds.ssh.rules import Phase
from ecpds.ssh.transport import SEQUENCE
from tests.ssh.support import SERVICE_REQUEST, USERAUTH_REQUEST, SshTestCase, limited

VERSION = b"SSH-2.0-test\r\n"
KEXINIT, IGNORE, KEX_FIRST, NEWKEYS = 20, 2, 30, 21


class Offered(SshTestCase):
    def test_what_we_offer(self) -> None:
        line, _, rest = self.wire.value().partition(b"\r\n")
        self.assertEqual(line, b"SSH-2.0-ecpds")
        names = [part.split(b",") for part in getNS(rest[22:], 8)[:-1]]
        self.assertIn(STRICT_SERVER, names[0])
        self.assertIn(b"ext-info-s", names[0])
        self.assertEqual(names[1], [b"ssh-ed25519"])
        self.assertEqual(names[6], [b"none"])
        for name in {each for part in names for each in part}:
            for weak in (b"sha1", b"md5", b"cbc", b"3des", b"dss", b"group-exchange", b"zlib"):
                self.assertNotIn(weak, name)

    def test_what_users_keys_may_sign_with(self) -> None:
        self.join()
        self.assertEqual(self.client.peerExtensions[b"server-sig-algs"].split(b",")[0::4], [b"ssh-ed25519", b"rsa-sha2-512"])

    def test_weak_algorithms_end_the_connection(self) -> None:
        self.connection.dataReceived(VERSION)
        self.send_clear(KEXINIT, self.kexinit(exchange=b"diffie-hellman-group14-sha1"))
        self.assertClosed("couldn't match all kex parts")


class Versions(SshTestCase):
    def test_what_is_no_ssh(self) -> None:
        for line in (
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            b"SSH-1.5-old\r\n",
            b"SSH-" + b"2" * 300,
            b"SSH-2.0-\0\r\n",
            b"\r\n",
        ):
            self.connection, self.wire = self.connect()
            self.connection.dataReceived(line)
            self.assertTrue(self.wire.disconnecting, line)
            self.lose()

    def test_it_may_come_byte_by_byte(self) -> None:
        for byte in VERSION:
            self.connection.dataReceived(bytes([byte]))
        self.assertFalse(self.wire.disconnecting)
        self.assertEqual(self.connection.otherVersionString, b"SSH-2.0-test")


class BeforeTheKeys(SshTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.connection.dataReceived(VERSION)

    def test_nothing_of_the_login(self) -> None:
        for message, payload in (
            (SERVICE_REQUEST, NS(b"ssh-userauth")),
            (USERAUTH_REQUEST, NS(b"a") + NS(b"ssh-connection") + NS(b"none")),
            (90, b""),
            (NEWKEYS, b""),
            (IGNORE, NS(b"")),
            (255, b""),
        ):
            self.connection, self.wire = self.connect()
            self.connection.dataReceived(VERSION)
            self.send_clear(message, payload)
            self.assertClosed(f"unexpected: message {message} in START")
            self.assertIsNone(self.connection.service)
            self.lose()

    def test_strict_exchange_takes_nothing_else(self) -> None:
        self.send_clear(KEXINIT, self.kexinit(STRICT_CLIENT))
        self.send_clear(IGNORE, NS(b""))
        self.assertClosed("unexpected: message 2 in START")

    def test_without_it_that_may_be(self) -> None:
        self.send_clear(KEXINIT, self.kexinit())
        self.send_clear(IGNORE, NS(b""))
        self.assertFalse(self.wire.disconnecting)

    def test_a_second_kexinit(self) -> None:
        self.send_clear(KEXINIT, self.kexinit())
        self.send_clear(KEXINIT, self.kexinit())
        self.assertClosed("unexpected: message 20")

    def test_a_wrong_guess_is_dropped(self) -> None:
        self.send_clear(KEXINIT, self.kexinit(guess=True))
        self.send_clear(34, b"a guess")
        self.assertFalse(self.wire.disconnecting)
        self.send_clear(34, b"another")
        self.assertClosed("unexpected: message 34")

    def test_messages_that_can_not_be_read(self) -> None:
        for message, payload in ((KEXINIT, b""), (KEXINIT, bytes(16) + b"\xff\xff\xff\xff"), (1, b"\0")):
            self.connection, self.wire = self.connect()
            self.connection.dataReceived(VERSION)
            self.send_clear(message, payload)
            self.assertClosed(f"message {message} can't be read")
            self.lose()

    def test_a_bad_half_of_the_exchange(self) -> None:
        self.send_clear(KEXINIT, self.kexinit())
        self.send_clear(KEX_FIRST, NS(b"\x04" + bytes(64)))
        self.assertClosed("message 30 can't be read")

    def test_after_the_end_nothing_is_read(self) -> None:
        self.send_clear(255)
        before = len(self.wire.value())
        self.send_clear(KEXINIT, self.kexinit())
        self.connection.dataReceived(b"x" * 100_000)
        self.assertEqual(len(self.wire.value()), before)
        self.assertLess(self.connection.incoming.kept, 100)


class AnyBytes(SshTestCase):
    """Whatever comes, the worst is that the connection ends, and nothing of ours fails."""

    def begin(self) -> None:
        self.lose()
        self.connection, self.wire = self.connect()
        self.connection.dataReceived(VERSION)

    @given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 4, 20, 21, 30, 34, 50]), st.binary(max_size=300)), max_size=4))
    def test_in_the_clear(self, messages: list[tuple[int, bytes]]) -> None:
        self.begin()
        self.send_clear(KEXINIT, self.kexinit())
        for message, payload in messages:
            self.send_clear(message, payload)
        self.assertEqual(self.flushLoggedErrors(), [])

    @given(st.binary(max_size=400))
    def test_before_any_packet(self, data: bytes) -> None:
        self.begin()
        self.connection.dataReceived(data)
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=50)
    @given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=4))
    def test_after_the_login(self, messages: list[tuple[int, bytes]]) -> None:
        self.lose()
        self.connection, self.wire = self.connect()
        self.log_in()
        for message, payload in messages:
            if not self.wire.disconnecting and message != 20:
                self.send(message, payload)
        self.assertEqual(self.flushLoggedErrors(), [])


class Sizes(SshTestCase):
    LIMITS: ClassVar[Limits] = limited(ssh_packet=1000, ssh_login_bytes=3000)

    def test_a_long_packet_is_not_waited_for(self) -> None:
        self.connection.dataReceived(VERSION + struct.pack(">LB", 1001, 4) + bytes(16))
        self.assertClosed("bad packet length")

    def test_nor_taken_when_it_is_there(self) -> None:
        self.connection.dataReceived(VERSION)
        self.send_clear(IGNORE, bytes(1500))
        self.assertClosed("bad packet length")

    def test_an_empty_packet(self) -> None:
        self.connection.dataReceived(VERSION + struct.pack(">LB", 12, 11) + bytes(11))
        self.assertClosed("bad packet length")

    def test_too_much_before_the_login(self) -> None:
        self.connection.dataReceived(VERSION)
        self.send_clear(KEXINIT, self.kexinit())
        for _ in range(10):
            self.send_clear(IGNORE, bytes(500))
        self.assertClosed("too many bytes before the login")


class Times(SshTestCase):
    def test_the_login_has_its_time_from_the_connection_on(self) -> None:
        self.clock.pump([1] * 130)
        self.assertClosed("no login in time")

    def test_however_far_it_has_come(self) -> None:
        self.join()
        self.send(SERVICE_REQUEST, NS(b"ssh-userauth"))
        self.clock.pump([1] * 130)
        self.assertClosed("no login in time")

    def test_who_does_not_go_is_cut_off(self) -> None:
        self.connection.give_up("test")
        self.assertFalse(self.wire.aborted)
        self.clock.pump([1] * 10)
        self.assertTrue(self.wire.aborted)

    def test_idle(self) -> None:
        self.log_in()
        self.clock.pump([10] * 90)
        self.send(IGNORE, NS(b""))
        self.clock.pump([10] * 90)
        self.assertFalse(self.wire.disconnecting)
        self.clock.pump([10] * 20)
        self.assertClosed("idle for too long")

    def test_new_keys_that_do_not_come(self) -> None:
        self.log_in()
        self.connection.sendKexInit()
        self.clock.pump([1] * 130)
        self.assertClosed("no new keys in time")


class Flow(SshTestCase):
    def test_who_does_not_read_is_not_read(self) -> None:
        self.assertIs(self.wire.producer, self.connection)
        self.connection.pauseProducing()
        self.assertEqual(self.wire.producerState, "paused")
        self.connection.resumeProducing()
        self.assertEqual(self.wire.producerState, "producing")

    def test_a_changed_packet(self) -> None:
        self.log_in()
        self.client.sendPacket(IGNORE, NS(b"hello"))
        data = self.client_wire.value()
        self.client_wire.clear()
        self.connection.dataReceived(data[:-1] + bytes([data[-1] ^ 1]))
        self.assertClosed("bad MAC")

    def test_sequence_numbers_wrap(self) -> None:
        self.log_in()
        for side in (self.connection, self.client):
            side.outgoingPacketSequence = side.incomingPacketSequence = SEQUENCE - 1
        self.client.sendPacket(80, NS(b"keepalive@openssh.com") + b"\1")
        self.client.outgoingPacketSequence = self.client.incomingPacketSequence = 0
        self.assertEqual(self.connection.incomingPacketSequence, SEQUENCE - 1)
        self.connection.dataReceived(self.client_wire.value())
        self.assertEqual((self.connection.incomingPacketSequence, self.connection.outgoingPacketSequence), (0, 0))

    def test_admission(self) -> None:
        self.connect()
        self.connect()
        self.assertIsNone(self.server.buildProtocol(self.wire.getPeer()))
        self.lose()
        self.assertIsNotNone(self.server.buildProtocol(self.wire.getPeer()))

    def test_the_end_of_the_node(self) -> None:
        self.join()
        drained: list[object] = []
        Deferred.fromCoroutine(self.server.drain()).addCallback(drained.append)
        self.pump()
        self.assertEqual(self.client.told, b"the node ends")
        self.assertEqual(drained, [])
        self.lose()
        self.assertEqual(drained, [None])


class NewKeys(SshTestCase):
    LIMITS: ClassVar[Limits] = limited(ssh_rekey_bytes=5000)

    def test_after_so_many_bytes(self) -> None:
        self.log_in()
        before = self.connection.currentEncryptions
        for _ in range(20):
            self.send(IGNORE, NS(bytes(500)))
        self.assertIsNot(self.connection.currentEncryptions, before)
        self.assertFalse(self.wire.disconnecting)

    def test_the_client_may_ask_too_but_only_when_it_is_logged_in(self) -> None:
        self.log_in()
        SSHClientTransport.sendKexInit(self.client)
        self.pump()
        self.assertEqual(self.connection.rules.phase, Phase.OPEN)
        self.assertFalse(self.wire.disconnecting)
        self.connection, self.wire = self.connect()
        self.join()
        SSHClientTransport.sendKexInit(self.client)
        self.pump()
        self.assertClosed("unexpected: message 20 in KEYED")
