"""What conch 26.10 gets wrong in the transport, each by its number in the project's list of them; SFTP's own stand in
`tests/protocols/test_sftp_defects.py`.
"""

from __future__ import annotations

import struct

from twisted.conch.ssh.common import NS, getNS

from ecpds.ssh.rules import Phase
from ecpds.ssh.transport import SEQUENCE
from tests.ssh.support import SERVICE_REQUEST, USERAUTH_REQUEST, SshTestCase, key_blob, limited

VERSION = b"SSH-2.0-test\r\n"
KEXINIT, CHANNEL_OPEN = 20, 90


class Defects(SshTestCase):
    def test_1_nothing_is_inflated(self) -> None:
        """zlib before the login turned a packet of 900 KB into 900 MB."""
        self.connection.dataReceived(VERSION)
        offer = self.kexinit().replace(NS(b"none") * 2, NS(b"zlib") * 2)
        self.send_clear(KEXINIT, offer)
        self.assertClosed("couldn't match all kex parts")

    def test_3_sequence_numbers_wrap(self) -> None:
        """Packet 2 to the power of 32 raised struct.error."""
        self.log_in()
        self.connection.incomingPacketSequence = self.client.outgoingPacketSequence = SEQUENCE - 1
        self.connection.outgoingPacketSequence = self.client.incomingPacketSequence = SEQUENCE - 1
        for number in (0, 1):
            answers = self.send(CHANNEL_OPEN, NS(b"x11") + struct.pack(">3L", 0, 1000, 1000))
            self.assertEqual([message for message, _ in answers], [92])
            self.assertEqual(self.connection.incomingPacketSequence, number)
            self.assertEqual(self.connection.outgoingPacketSequence, number)
            self.client.outgoingPacketSequence = self.client.incomingPacketSequence = number

    def test_4_users_keys_may_be_other_than_the_host_s(self) -> None:
        """With an Ed25519 host key alone OpenSSH's clients would not offer their RSA keys."""
        self.join()
        said = self.client.peerExtensions[b"server-sig-algs"].split(b",")
        self.assertTrue({b"rsa-sha2-512", b"rsa-sha2-256", b"ecdsa-sha2-nistp256"} <= set(said))
        self.assertNotIn(b"ssh-rsa", said)

    def test_14_channels_are_counted(self) -> None:
        self.log_in()
        opened = [
            self.send(CHANNEL_OPEN, NS(b"session") + struct.pack(">3L", number, 1000, 1000))[0][0]
            for number in range(self.LIMITS.ssh_channels + 1)
        ]
        self.assertEqual(opened, [91] * self.LIMITS.ssh_channels + [92])

    def test_15_no_login_without_keys(self) -> None:
        """In the clear, before any keys, SERVICE_REQUEST and USERAUTH_REQUEST were handled."""
        for message, payload in (
            (SERVICE_REQUEST, NS(b"ssh-userauth")),
            (USERAUTH_REQUEST, NS(b"ann") + NS(b"ssh-connection") + NS(b"none")),
        ):
            self.connection, self.wire = self.connect()
            self.connection.dataReceived(VERSION)
            self.send_clear(message, payload)
            self.assertClosed("unexpected")
            self.lose()


class TwoTimeLimits(SshTestCase):
    LIMITS = limited(login_time=120.0)

    def test_2_there_is_a_time_limit_from_the_first_byte_on(self) -> None:
        """There was none before the login began, and one of ten hours from then on."""
        self.clock.advance(119.0)
        self.assertFalse(self.wire.disconnecting)
        self.clock.advance(2.0)
        self.assertClosed("no login in time")

    def test_2_also_in_the_middle_of_the_login(self) -> None:
        self.join()
        self.clock.advance(100.0)
        self.send(SERVICE_REQUEST, NS(b"ssh-userauth"))
        self.clock.advance(21.0)
        self.assertClosed("no login in time")

    def test_2_six_tries(self) -> None:
        self.join()
        self.send(SERVICE_REQUEST, NS(b"ssh-userauth"))
        for _ in range(5):
            self.assertEqual([number for number, _ in self.send(USERAUTH_REQUEST, self.attempt(self.key, b"wrong"))], [51])
        self.send(USERAUTH_REQUEST, self.attempt(self.key, NS(b"ssh-ed25519") + NS(bytes(64))))
        self.assertClosed("too many tries")


class EveryMessage(SshTestCase):
    """Every message number, sent in every phase of a connection that lives."""

    def arrive_at(self, phase: Phase) -> None:
        self.connection, self.wire = self.connect()
        if phase is Phase.START:
            self.connection.dataReceived(VERSION)
            return
        self.join()
        if phase in (Phase.LOGIN, Phase.OPEN):
            self.send(SERVICE_REQUEST, NS(b"ssh-userauth"))
        if phase is Phase.OPEN:
            self.send(USERAUTH_REQUEST, self.attempt(self.key))
        self.assertIs(self.connection.rules.phase, phase)

    def test_what_is_not_expected_ends_the_connection(self) -> None:
        for phase in Phase:
            self.arrive_at(phase)
            allowed = self.connection.rules.allowed()
            self.lose()
            for message in sorted(set(range(256)) - allowed):
                self.arrive_at(phase)
                if phase is Phase.START:
                    self.send_clear(message)
                else:
                    self.send(message, b"")
                self.assertTrue(self.wire.disconnecting, (phase, message))
                self.assertIn(f"unexpected: message {message} in {phase.name}", self.logged[-1] + "".join(self.logged[-5:]))
                self.lose()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_the_key_of_somebody_else_signs_nothing(self) -> None:
        """A signature is over this very session."""
        self.join()
        self.send(SERVICE_REQUEST, NS(b"ssh-userauth"))
        old = self.attempt(self.key)
        self.lose()
        self.connection, self.wire = self.connect()
        self.join()
        self.send(SERVICE_REQUEST, NS(b"ssh-userauth"))
        self.assertEqual([message for message, _ in self.send(USERAUTH_REQUEST, old)], [51])
        self.assertEqual(getNS(key_blob(self.key))[0], b"ssh-ed25519")
