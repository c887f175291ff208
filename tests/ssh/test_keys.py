"""Users' keys, and the file that lists them."""

from __future__ import annotations

import base64
import os
import struct
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.conch.ssh.common import MP, NS
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ecpds.ssh.authorized import LARGEST, AuthorizedKey, AuthorizedKeys, BadLine, parse_line, parse_lines, shown
from ecpds.ssh.fields import Fields, Malformed
from ecpds.ssh.userkeys import BadKey, UserKey, wire_key

DATA = b"what is signed"
ED = Ed25519PrivateKey.generate()
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def line_of(key: object, comment: str = "") -> str:
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]
    return f"{public.decode()} {comment}".strip()


def key_of(key: object) -> UserKey:
    return wire_key(base64.b64decode(line_of(key).split()[1]))


def parsed(line: str) -> AuthorizedKey:
    found = parse_line(line)
    assert found is not None
    return found


class Signatures(SynchronousTestCase):
    def test_each_kind(self) -> None:
        r, s = decode_dss_signature(EC.sign(DATA, ec.ECDSA(SHA256())))
        for key, algorithm, raw in (
            (ED, "ssh-ed25519", ED.sign(DATA)),
            (EC, "ecdsa-sha2-nistp256", MP(r) + MP(s)),
            (RSA, "rsa-sha2-256", RSA.sign(DATA, padding.PKCS1v15(), SHA256())),
            (RSA, "rsa-sha2-512", RSA.sign(DATA, padding.PKCS1v15(), SHA512())),
        ):
            public, signature = key_of(key), NS(algorithm) + NS(raw)
            self.assertTrue(public.verify(algorithm, signature, DATA))
            self.assertFalse(public.verify(algorithm, signature, DATA + b"."))
            self.assertFalse(public.verify(algorithm, signature + b".", DATA))
            self.assertFalse(public.verify(algorithm, NS(algorithm) + NS(raw[:-1]), DATA))
            self.assertFalse(key_of(Ed25519PrivateKey.generate()).verify(algorithm, signature, DATA))

    def test_sha1_is_not_taken(self) -> None:
        signature = NS(b"ssh-rsa") + NS(RSA.sign(DATA, padding.PKCS1v15(), SHA1()))
        self.assertFalse(key_of(RSA).verify("ssh-rsa", signature, DATA))
        self.assertFalse(key_of(RSA).verify("rsa-sha2-256", signature, DATA))

    def test_the_algorithm_is_the_one_that_was_said(self) -> None:
        signature = NS(b"rsa-sha2-256") + NS(RSA.sign(DATA, padding.PKCS1v15(), SHA256()))
        self.assertFalse(key_of(RSA).verify("rsa-sha2-512", signature, DATA))

    @given(st.binary(max_size=120))
    def test_any_bytes_are_no_signature(self, signature: bytes) -> None:
        for key in (ED, EC, RSA):
            for algorithm in ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"):
                self.assertFalse(key_of(key).verify(algorithm, signature, DATA))
                self.assertFalse(key_of(key).verify(algorithm, NS(algorithm) + NS(signature), DATA))

    @given(st.binary(max_size=120))
    def test_any_bytes_are_no_key(self, blob: bytes) -> None:
        for type in (b"", b"ssh-ed25519", b"ssh-rsa", b"ecdsa-sha2-nistp256"):
            self.assertRaises(BadKey, wire_key, NS(type) + blob + b"\xff")

    def test_weak_keys(self) -> None:
        small = rsa.generate_private_key(65537, 1024)
        self.assertRaises(BadKey, key_of, small)
        self.assertRaises(BadKey, wire_key, NS(b"ssh-dss") + 4 * MP(1 << 200))


class Lines(SynchronousTestCase):
    def test_a_key_and_its_comment(self) -> None:
        found = parsed(line_of(ED, "ann at  home"))
        self.assertEqual((found.key, found.comment), (key_of(ED), "ann at  home"))
        self.assertEqual(found.holder, f"ann at  home {found.key.fingerprint}")
        self.assertEqual(parsed(line_of(RSA)).holder, f"(no comment) {key_of(RSA).fingerprint}")

    def test_what_is_no_key(self) -> None:
        for line in ("", "   ", "# " + line_of(ED)):
            self.assertIsNone(parse_line(line))
        for line in ("nonsense", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa " + line_of(ED).split()[1], '"', 'from="x'):
            self.assertRaises(BadLine, parse_line, line)

    def test_harmless_options(self) -> None:
        for options in ("restrict,pty", "no-port-forwarding,no-X11-forwarding,no-agent-forwarding"):
            self.assertEqual(parsed(f"{options} {line_of(ED)}").key, key_of(ED))

    def test_options_that_can_not_be_kept_to(self) -> None:
        for options in ('from="10.0.0.1"', 'command="id"', "no-pty", 'restrict,command="a b,c"', "cert-authority", "unknown"):
            self.assertRaises(BadLine, parse_line, f"{options} {line_of(ED)}")

    def test_a_comment_forges_nothing(self) -> None:
        found = parsed(line_of(ED, "a\x1b[2Jb\u202ec\x85d"))
        self.assertEqual(found.comment, "a\\x1b[2Jb\\u202ec\\x85d")

    @given(st.text())
    @example("\u2028\r\n")
    def test_shown_is_one_line(self, text: str) -> None:
        self.assertLessEqual(len(shown(text).splitlines()), 1)

    @given(st.text(max_size=300))
    def test_any_text_is_keys_or_bad_lines(self, text: str) -> None:
        for number, found in parse_lines(text):
            self.assertGreater(number, 0)
            self.assertIsInstance(found, BadLine)


class TheFile(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "manhole.keys"
        self.keys = AuthorizedKeys(self.path)
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: object) -> None:
        self.logged.append(formatEvent(event))  # type: ignore[arg-type]

    def write(self, *lines: str) -> None:
        self.path.write_text("\n".join(lines))
        self.path.chmod(0o600)

    def test_missing(self) -> None:
        self.assertIsNone(self.keys.find(key_of(ED)))
        self.assertEqual(self.logged, [])

    def test_it_is_read_at_each_login(self) -> None:
        self.write(line_of(RSA, "bob"), line_of(ED, "ann"), line_of(ED, "later"))
        found = self.keys.find(key_of(ED))
        assert found is not None
        self.assertEqual(found.comment, "ann")
        self.write(line_of(RSA, "bob"))
        self.assertIsNone(self.keys.find(key_of(ED)))

    def test_bad_lines_are_told_and_hurt_no_other(self) -> None:
        self.write('command="id" ' + line_of(RSA), "nonsense", line_of(ED, "ann"))
        self.assertIsNotNone(self.keys.find(key_of(ED)))
        self.assertIsNone(self.keys.find(key_of(RSA)))
        self.assertIn(f"{self.path} line 1 lets nobody in: the option 'command=\"id\"' is not supported here", self.logged)
        self.assertIn("line 2", "\n".join(self.logged))

    def test_a_file_that_others_may_write(self) -> None:
        self.write(line_of(ED))
        for mode in (0o620, 0o602, 0o666):
            self.path.chmod(mode)
            self.assertIsNone(self.keys.find(key_of(ED)))
        self.assertIn("others than the daemon's user may write it", self.logged[0])

    def test_what_is_no_file(self) -> None:
        self.path.mkdir()
        self.assertIsNone(self.keys.find(key_of(ED)))
        self.path.rmdir()
        os.mkfifo(self.path)
        self.assertIsNone(self.keys.find(key_of(ED)))
        self.assertEqual(len(self.logged), 2)

    def test_a_file_that_is_too_large(self) -> None:
        self.write(line_of(ED), "#" * LARGEST)
        self.assertIsNone(self.keys.find(key_of(ED)))


class Reading(SynchronousTestCase):
    def test_fields(self) -> None:
        fields = Fields(b"\x01" + struct.pack(">L", 7) + NS("é") + MP(255) + b"rest")
        self.assertEqual((fields.boolean(), fields.number(), fields.text(), fields.integer()), (True, 7, "é", 255))
        self.assertRaises(Malformed, fields.end)
        self.assertEqual(fields.rest(), b"rest")
        fields.end()

    def test_what_is_malformed(self) -> None:
        for data, read in (
            (b"", Fields.boolean),
            (b"\0\0\0", Fields.number),
            (b"\xff\xff\xff\xffa", Fields.string),
            (NS(b"\xff"), Fields.text),
            (NS(b"\x80"), Fields.integer),
        ):
            self.assertRaises(Malformed, read, Fields(data))
