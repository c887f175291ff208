"""Logging in by answering a question, with a key and a password, and with the keys of tokens."""

from __future__ import annotations

import hashlib
import struct

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.conch.ssh.common import MP, NS, getNS
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import CodeNeeded
from ecpds.ssh.login import INTERACTIVE, PASSWORD, PUBLICKEY, Gate
from ecpds.ssh.rules import Phase
from ecpds.ssh.trust import Offered
from ecpds.ssh.userkeys import BadKey, wire_key
from tests.ssh.support import SERVICE_REQUEST, USERAUTH_REQUEST, SshTestCase, key_blob

FAILURE, SUCCESS, INFO_REQUEST, INFO_RESPONSE = 51, 52, 60, 61


@frozen
class Somebody:
    who: str
    needs_both: bool


class House:
    """Knows one key and one password."""

    methods = b",".join((PUBLICKEY, PASSWORD, INTERACTIVE))

    def __init__(self, key: bytes, needs_both: bool) -> None:
        self._key = key
        self._needs_both = needs_both

    async def knows(self, user: str, key: Offered, address: str) -> bool:
        return True

    async def with_key(self, user: str, key: Offered, address: str) -> Somebody | None:
        return Somebody(user, self._needs_both) if key.blob == self._key else None

    async def with_password(self, user: str, password: str, address: str) -> Somebody | None:
        if password == "half":
            raise CodeNeeded
        return Somebody(user, self._needs_both) if password in ("right", "half123456") else None


class MethodsCase(SshTestCase):
    NEEDS_BOTH = False

    def setUp(self) -> None:
        super().setUp()
        self.join()
        self.send(SERVICE_REQUEST, NS(b"ssh-userauth"))

    def gate(self) -> Gate:
        return House(key_blob(self.key), self.NEEDS_BOTH)

    def ask(self, user: bytes = b"ann") -> list[tuple[int, bytes]]:
        return self.send(USERAUTH_REQUEST, b"".join(map(NS, (user, b"ssh-connection", INTERACTIVE, b"", b""))))

    def answer(self, *texts: bytes) -> list[tuple[int, bytes]]:
        return self.send(INFO_RESPONSE, struct.pack(">L", len(texts)) + b"".join(map(NS, texts)))

    def password(self, text: bytes, user: bytes = b"ann") -> list[tuple[int, bytes]]:
        return self.send(USERAUTH_REQUEST, b"".join(map(NS, (user, b"ssh-connection", PASSWORD))) + b"\0" + NS(text))

    def with_key(self, user: bytes = b"ann") -> list[tuple[int, bytes]]:
        return self.send(USERAUTH_REQUEST, self.attempt(self.key, user=user))


class Questions(MethodsCase):
    def test_the_password_is_the_answer(self) -> None:
        ((message, body),) = self.ask()
        self.assertEqual((message, body[-14:]), (INFO_REQUEST, b"\0\0\0\x0aPassword: \0"[-14:]))
        self.assertEqual([number for number, _ in self.answer(b"right")], [SUCCESS])
        self.assertIs(self.connection.rules.phase, Phase.OPEN)

    def test_a_wrong_answer(self) -> None:
        self.ask()
        self.assertEqual([number for number, _ in self.answer(b"wrong")], [FAILURE])
        self.ask()
        self.assertEqual([number for number, _ in self.answer(b"right")], [SUCCESS])

    def test_an_answer_that_nobody_asked_for(self) -> None:
        self.answer(b"right")
        self.assertClosed("unexpected: message 61")

    def test_a_second_answer(self) -> None:
        self.ask()
        self.answer(b"wrong")
        self.answer(b"right")
        self.assertClosed("unexpected: message 61")

    def test_who_begins_anew_has_nothing_to_answer(self) -> None:
        self.ask()
        self.password(b"wrong")
        self.answer(b"right")
        self.assertClosed("unexpected: message 61")

    def test_another_number_of_answers(self) -> None:
        for texts in ((), (b"right", b"right")):
            self.connection, self.wire = self.connect()
            self.join()
            self.send(SERVICE_REQUEST, NS(b"ssh-userauth"))
            self.ask()
            self.answer(*texts)
            self.assertClosed("another number of answers")
            self.lose()


class Codes(MethodsCase):
    """A password that is half of what is needed."""

    def half(self) -> None:
        self.ask()
        ((message, body),) = self.answer(b"half")
        self.assertEqual((message, body[-20:]), (INFO_REQUEST, b"\0\0\0\x0fOne-time code: \0"))

    def test_the_code_is_asked_for(self) -> None:
        self.half()
        self.assertEqual([number for number, _ in self.answer(b"123456")], [SUCCESS])

    def test_both_in_one_answer(self) -> None:
        self.ask()
        self.assertEqual([number for number, _ in self.answer(b"half123456")], [SUCCESS])

    def test_a_wrong_code(self) -> None:
        for text in (b"123457", b"", b"x"):
            self.half()
            self.assertEqual([number for number, _ in self.answer(text)], [FAILURE])
        self.half()
        self.assertEqual([number for number, _ in self.answer(b"123456")], [SUCCESS])

    def test_who_begins_anew_begins_with_the_password(self) -> None:
        self.half()
        self.ask()
        self.assertEqual([number for number, _ in self.answer(b"123456")], [FAILURE])
        self.half()
        self.password(b"wrong")
        self.answer(b"123456")
        self.assertClosed("unexpected: message 61")

    def test_a_password_that_nobody_asked_for(self) -> None:
        self.assertEqual([number for number, _ in self.password(b"half")], [FAILURE])
        self.assertEqual([number for number, _ in self.password(b"half123456")], [SUCCESS])


class Both(MethodsCase):
    NEEDS_BOTH = True

    def assertPartial(self, answers: list[tuple[int, bytes]], left: bytes) -> None:
        ((message, body),) = answers
        methods, rest = getNS(body)
        self.assertEqual((message, methods, rest), (FAILURE, left, b"\1"))

    def test_the_key_and_then_the_password(self) -> None:
        self.assertPartial(self.with_key(), b"password,keyboard-interactive")
        self.assertEqual([number for number, _ in self.password(b"right")], [SUCCESS])

    def test_a_question_will_do_for_the_password(self) -> None:
        self.ask()
        self.assertPartial(self.answer(b"right"), b"publickey")
        self.assertEqual([number for number, _ in self.with_key()], [SUCCESS])

    def test_twice_the_same_is_not_both(self) -> None:
        for _ in range(3):
            self.assertPartial(self.with_key(), b"password,keyboard-interactive")
        self.assertEqual([number for number, _ in self.password(b"wrong")], [FAILURE])
        self.assertIs(self.connection.rules.phase, Phase.LOGIN)

    def test_the_key_of_one_and_the_password_of_another(self) -> None:
        self.assertPartial(self.with_key(b"bob"), b"password,keyboard-interactive")
        self.assertPartial(self.password(b"right", b"ann"), b"publickey")


class Tokens(SynchronousTestCase):
    """Keys of tokens, with keys of our own in the place of a token."""

    def setUp(self) -> None:
        self.edwards = Ed25519PrivateKey.generate()
        self.curve = ec.generate_private_key(ec.SECP256R1())

    def blobs(self) -> dict[str, bytes]:
        raw = self.edwards.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        point = self.curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {
            "sk-ssh-ed25519@openssh.com": NS(b"sk-ssh-ed25519@openssh.com") + NS(raw) + NS(b"ssh:"),
            "sk-ecdsa-sha2-nistp256@openssh.com": b"".join(
                map(NS, (b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", point, b"ssh:"))
            ),
        }

    def sign(self, type: str, data: bytes, flags: int = 1, application: bytes = b"ssh:") -> bytes:
        counted = bytes([flags]) + struct.pack(">L", 7)
        signed = hashlib.sha256(application).digest() + counted + hashlib.sha256(data).digest()
        if "ed25519" in type:
            raw = self.edwards.sign(signed)
        else:
            raw = b"".join(map(MP, decode_dss_signature(self.curve.sign(signed, ec.ECDSA(SHA256())))))
        return NS(type.encode()) + NS(raw) + counted

    def test_what_was_touched_signs(self) -> None:
        for type, blob in self.blobs().items():
            key = wire_key(blob)
            self.assertEqual(key.type, type)
            self.assertTrue(key.verify(type, self.sign(type, b"data"), b"data"))

    def test_anything_else_does_not(self) -> None:
        for type, blob in self.blobs().items():
            key, good = wire_key(blob), self.sign(type, b"data")
            for signature in (
                self.sign(type, b"other"),
                self.sign(type, b"data", flags=0),
                self.sign(type, b"data", application=b"ssh:other"),
                good[:-4] + struct.pack(">L", 8),
                good[:-5] + b"\5" + good[-4:],
                good[:-5],
                good + b"\0",
            ):
                self.assertFalse(key.verify(type, signature, b"data"))
            self.assertFalse(key.verify("ssh-ed25519", good, b"data"))

    def test_keys_that_are_none(self) -> None:
        for blob in self.blobs().values():
            for bad in (blob[:-1], blob + b"\0", blob[:60], blob.replace(b"nistp256", b"nistp384", 2)[:-9]):
                self.assertRaises(BadKey, wire_key, bad)
