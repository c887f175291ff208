"""Logging in, and what a client that is in may ask for."""

from __future__ import annotations

import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from twisted.conch.ssh.common import NS
from twisted.internet.defer import Deferred

from ecpds.ssh.authorized import AuthorizedKey
from ecpds.ssh.channels import UNREAD, Terminal
from ecpds.ssh.fields import Malformed
from ecpds.ssh.login import KeyGate, WrongService, read_attempt
from ecpds.ssh.userkeys import BadKey, UserKey
from tests.ssh.support import SERVICE_REQUEST, USERAUTH_REQUEST, SshTestCase, key_blob

FAILURE, SUCCESS, PK_OK = 51, 52, 60
NO = NS(b"publickey") + b"\0"
PTY = NS(b"xterm") + struct.pack(">4L", 100, 40, 0, 0) + NS(b"")


class LoggingIn(SshTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.join()
        self.assertEqual(self.send(SERVICE_REQUEST, NS(b"ssh-userauth")), [(6, NS(b"ssh-userauth"))])
        self.stranger = Ed25519PrivateKey.generate()

    def ask(self, packet: bytes) -> list[tuple[int, bytes]]:
        return self.send(USERAUTH_REQUEST, packet)

    def test_a_listed_key(self) -> None:
        asked = NS(b"ssh-ed25519") + NS(key_blob(self.key))
        self.assertEqual(self.ask(self.attempt(self.key, signed=False)), [(PK_OK, asked)])
        self.assertEqual(self.ask(self.attempt(self.key)), [(SUCCESS, b"")])
        holder = f"ann@laptop {self.keys[0].key.fingerprint}"
        self.assertIn(f"{holder} at 192.0.2.7 logged in as 'ann'", self.logged)

    def test_the_user_s_name_forges_nothing(self) -> None:
        self.ask(self.attempt(self.key, user=b"a\nb\x1b[2J"))
        self.assertTrue(all(len(line.splitlines()) == 1 for line in self.logged))
        self.assertTrue(any("logged in as 'a\\\\nb" in line for line in self.logged))

    def test_an_unlisted_key(self) -> None:
        for signed in (False, True):
            self.assertEqual(self.ask(self.attempt(self.stranger, signed=signed)), [(FAILURE, NO)])
        self.assertIn("not listed", "\n".join(self.logged))

    def test_a_wrong_signature(self) -> None:
        other = self.attempt(self.stranger)[-68:]
        for signature in (b"", NS(b"ssh-ed25519") + NS(bytes(64)), NS(b"ssh-rsa") + NS(bytes(64)), other):
            self.assertEqual(self.ask(self.attempt(self.key, signature)), [(FAILURE, NO)])
        self.assertIn("the signature is wrong", "\n".join(self.logged))

    def test_a_signature_for_another_session(self) -> None:
        session, self.client.sessionID = self.client.sessionID, b"another"
        packet = self.attempt(self.key)
        self.client.sessionID = session
        self.assertEqual(self.ask(packet), [(FAILURE, NO)])

    def test_another_algorithm_than_the_key_s(self) -> None:
        self.assertEqual(self.ask(self.attempt(self.key, algorithm=b"rsa-sha2-256")), [(FAILURE, NO)])

    def test_other_methods(self) -> None:
        for method in (b"none", b"password", b"keyboard-interactive", b"hostbased", b"\xff\n"):
            self.assertEqual(self.ask(NS(b"ann") + NS(b"ssh-connection") + NS(method) + b"\0"), [(FAILURE, NO)])

    def test_six_tries(self) -> None:
        for _ in range(5):
            self.assertEqual(self.ask(self.attempt(self.stranger, signed=False)), [(FAILURE, NO)])
        self.assertEqual(self.ask(self.attempt(self.stranger)), [])
        self.assertEqual(self.client.told, b"too many tries")
        self.assertEqual(self.ask(self.attempt(self.key)), [])

    def test_another_service(self) -> None:
        self.ask(self.attempt(self.key, service=b"ssh-userauth"))
        self.assertClosed("no such service")

    def test_requests_are_answered_in_their_order(self) -> None:
        slow: Deferred[Any] = Deferred()

        async def find(key: UserKey) -> AuthorizedKey | None:
            await slow
            return await self.find(key)

        assert self.connection.service is not None
        self.connection.service._gate = KeyGate(find)  # type: ignore[attr-defined]
        self.assertEqual(self.ask(self.attempt(self.stranger)), [])
        self.assertEqual(self.ask(self.attempt(self.key)), [])
        slow.callback(None)
        self.pump()
        self.assertEqual([message for message, _ in self.client.got], [FAILURE, SUCCESS])

    def test_who_leaves_meanwhile_is_not_let_in(self) -> None:
        slow: Deferred[Any] = Deferred()
        assert self.connection.service is not None
        self.connection.service._gate = KeyGate(lambda key: slow)  # type: ignore[attr-defined]
        self.ask(self.attempt(self.key))
        self.lose()
        slow.callback(self.keys[0])
        self.assertNotIn("logged in", "\n".join(self.logged))

    def test_a_failure_of_ours(self) -> None:
        async def find(key: UserKey) -> AuthorizedKey | None:
            raise LookupError("broken")

        assert self.connection.service is not None
        self.connection.service._gate = KeyGate(find)  # type: ignore[attr-defined]
        self.assertEqual(self.ask(self.attempt(self.key)), [])
        self.assertTrue(self.wire.disconnecting)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    @given(st.binary(max_size=200))
    def test_any_bytes(self, packet: bytes) -> None:
        try:
            read_attempt(packet, b"session", b"publickey,password")
        except (Malformed, WrongService, BadKey):
            return


class Channels(SshTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log_in()

    def open(self, kind: bytes = b"session", window: int = 100, largest: int = 32768) -> list[tuple[int, bytes]]:
        return self.send(90, NS(kind) + struct.pack(">3L", 7, window, largest))

    def request(self, kind: bytes, data: bytes = b"", channel: int = 0) -> list[int]:
        answers = self.send(98, struct.pack(">L", channel) + NS(kind) + b"\1" + data)
        return [message for message, _ in answers]

    def shell(self) -> None:
        self.open()
        self.assertEqual(self.request(b"pty-req", PTY), [99])
        self.assertEqual(self.request(b"shell"), [99])

    def test_a_shell(self) -> None:
        self.shell()
        self.assertEqual(self.send(94, struct.pack(">L", 0) + NS(b"hello")), [(94, struct.pack(">L", 7) + NS(b"hello"))])
        terminal = self.shells[0].terminal
        self.assertEqual((terminal.term, terminal.width, terminal.height), ("xterm", 100, 40))
        self.assertEqual(self.request(b"window-change", struct.pack(">4L", 0, 2000000, 0, 0)), [99])
        self.assertEqual(self.shells[0].happened, ["80x24"])

    def test_its_end(self) -> None:
        self.shell()
        answers = self.send(96, struct.pack(">L", 0))
        self.assertEqual(answers, [(98, struct.pack(">L", 7) + NS(b"exit-status") + b"\0\0\0\0\3"), (97, struct.pack(">L", 7))])
        self.send(97, struct.pack(">L", 0))
        self.assertEqual(self.shells[0].happened, ["eof", "closed"])
        self.open()
        self.assertFalse(self.wire.disconnecting)

    def test_a_lost_connection_ends_it(self) -> None:
        self.shell()
        self.lose()
        self.assertEqual(self.shells[0].happened, ["closed"])

    def test_one_shell_in_a_terminal(self) -> None:
        self.open()
        self.assertEqual(self.request(b"shell"), [100])
        self.request(b"pty-req", PTY)
        self.assertEqual(self.request(b"shell") + self.request(b"shell"), [99, 100])
        self.assertEqual(len(self.shells), 1)

    def test_a_terminal_without_a_name(self) -> None:
        self.open()
        self.assertEqual(self.request(b"pty-req", NS(b"") + PTY[len(NS(b"xterm")) :]), [99])
        self.assertEqual(self.request(b"shell"), [99])
        self.assertEqual((self.shells[0].terminal.term, self.shells[0].terminal.width), ("", 100))

    def test_what_is_refused(self) -> None:
        self.open()
        for kind in (b"exec", b"subsystem", b"env", b"x11-req", b"auth-agent-req@openssh.com", b"signal", b"break", b"\xff"):
            self.assertEqual(self.request(kind, NS(b"sftp")), [100])
        self.assertEqual(self.shells, [])
        self.assertIn("was refused b'exec'", "\n".join(self.logged))

    def test_channels_that_are_refused(self) -> None:
        for kind in (b"direct-tcpip", b"x11", b"forwarded-tcpip", b"direct-streamlocal@openssh.com", b""):
            (answer,) = self.open(kind)
            self.assertEqual((answer[0], answer[1][:8]), (92, struct.pack(">2L", 7, 1)))

    def test_global_requests_are_refused(self) -> None:
        for kind in (b"tcpip-forward", b"streamlocal-forward@openssh.com", b"keepalive@openssh.com"):
            self.assertEqual(self.send(80, NS(kind) + b"\1" + NS(b"") + b"\0\0\0\0"), [(82, b"")])
        self.assertIn("was refused b'tcpip-forward'", "\n".join(self.logged))

    def test_channels_are_few(self) -> None:
        for _ in range(8):
            self.assertEqual([message for message, _ in self.open()], [91])
        (answer,) = self.open()
        self.assertEqual(answer[1][4:8], struct.pack(">L", 4))

    def test_a_channel_that_there_is_not(self) -> None:
        self.send(94, struct.pack(">L", 9) + NS(b"hello"))
        self.assertClosed("message 94 can't be read: KeyError")

    def test_messages_that_can_not_be_read(self) -> None:
        for number, message in enumerate((80, 90, 93, 94, 95, 96, 97, 98)):
            if number:
                self.connection, self.wire = self.connect()
                self.log_in()
            self.send(message, b"\0")
            self.assertClosed(f"message {message} can't be read")
            self.lose()

    def test_packets_of_nothing_are_not_asked_for(self) -> None:
        self.open(largest=0)
        self.assertClosed("message 90 can't be read")

    def test_who_does_not_read(self) -> None:
        self.shell()
        terminal = self.shells[0].terminal
        terminal.write(b"x" * 1000)
        self.assertEqual(len(terminal.buf), 900)
        terminal.write(b"x" * UNREAD)
        self.assertEqual(terminal.buf, b"")
        self.assertTrue(terminal.localClosed)
        terminal.write(b"more")
        self.assertEqual(terminal.buf, b"")

    def test_what_waits_for_a_closed_channel_is_dropped(self) -> None:
        self.shell()
        self.shells[0].terminal.write(b"x" * 1000)
        self.send(97, struct.pack(">L", 0))
        self.assertEqual(self.shells[0].happened, ["closed"])

    def test_no_handler_is_chosen_by_the_client(self) -> None:
        self.assertFalse([name for name in vars(Terminal) if name.startswith("request_")])
