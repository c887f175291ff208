"""What a certificate says, and when it is good."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from twisted.conch.ssh.common import NS
from twisted.trial.unittest import SynchronousTestCase

from ecpds.ssh.certificates import NEVER, Certificate, offered_key
from ecpds.ssh.userkeys import BadKey, UserKey
from tests.ssh.certificates import Draft, option
from tests.ssh.support import key_blob

KEY, AUTHORITY, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(3))
DRAFT = Draft(KEY, AUTHORITY)
HERE = "192.0.2.7"


def read(draft: Draft) -> Certificate:
    found = offered_key(draft.blob())
    assert isinstance(found, Certificate)
    return found


def refusal(draft: Draft, user: str = "ann", address: str = HERE, now: float = 1500.0) -> str | None:
    return read(draft).refusal(user, address, now)


class Reading(SynchronousTestCase):
    def test_what_it_says(self) -> None:
        found = read(DRAFT)
        self.assertEqual((found.serial, found.id, found.principals), (7, "ann@laptop", ("ann", "bob")))
        self.assertEqual((found.key.blob, found.authority.blob), (key_blob(KEY), key_blob(AUTHORITY)))
        for text in (found.key.fingerprint, "'ann@laptop' (7)", found.authority.fingerprint):
            self.assertIn(text, found.fingerprint)

    def test_a_key_alone(self) -> None:
        self.assertIsInstance(offered_key(key_blob(KEY)), UserKey)

    def test_what_is_none(self) -> None:
        twice = option(b"source-address", b"::/0") * 2
        for draft in (
            DRAFT.but(tail=b"\0"),
            DRAFT.but(type=b"ssh-dss-cert-v01@openssh.com"),
            DRAFT.but(type=b"ssh-rsa-cert-v01@openssh.com"),
            DRAFT.but(id=b"\xff"),
            DRAFT.but(principals=(b"ann", b"\xff")),
            DRAFT.but(options=twice),
            DRAFT.but(options=b"\0\0\0\x09short"),
            DRAFT.but(named=b""),
            DRAFT.but(named=DRAFT.blob()),
        ):
            with self.assertRaises(BadKey):
                offered_key(draft.blob())

    @given(st.binary(max_size=400))
    def test_rubbish(self, data: bytes) -> None:
        for blob in (data, NS(DRAFT.type) + data, DRAFT.blob()[: len(data)]):
            with self.assertRaises(BadKey):
                offered_key(blob)

    @given(st.integers(0, len(DRAFT.blob()) - 1), st.integers(1, 255))
    def test_no_byte_of_it_may_be_another(self, at: int, other: int) -> None:
        blob = bytearray(DRAFT.blob())
        blob[at] ^= other
        try:
            found = offered_key(bytes(blob))
        except BadKey:
            return
        assert isinstance(found, Certificate)
        self.assertFalse(found.refusal("ann", HERE, 1500.0) is None and found.authority == read(DRAFT).authority)


class Judging(SynchronousTestCase):
    def test_it_is_good(self) -> None:
        self.assertIsNone(refusal(DRAFT))
        self.assertIsNone(refusal(DRAFT, "bob"))

    def test_another_s(self) -> None:
        self.assertEqual(refusal(DRAFT, "joe"), "it is of ann, bob")
        self.assertEqual(refusal(DRAFT.but(principals=())), "it is of nobody")
        self.assertIsNotNone(refusal(DRAFT, "ANN"))

    def test_a_host_s(self) -> None:
        self.assertEqual(refusal(DRAFT.but(kind=2)), "it is not of a user")

    def test_its_time(self) -> None:
        self.assertEqual(refusal(DRAFT, now=999.9), "it is not valid yet")
        self.assertIsNone(refusal(DRAFT, now=1000.0))
        self.assertIsNone(refusal(DRAFT, now=1999.9))
        self.assertEqual(refusal(DRAFT, now=2000.0), "it is no longer valid")
        self.assertIsNone(refusal(DRAFT.but(after=0, before=NEVER), now=1e30))

    def test_from_where(self) -> None:
        draft = DRAFT.but(options=option(b"source-address", b"192.0.2.0/24,2001:db8::/32"))
        for address in (HERE, "::ffff:192.0.2.9", "2001:db8::1"):
            self.assertIsNone(refusal(draft, address=address))
        for address in ("192.0.3.7", "2001:db9::1", "", "unknown"):
            self.assertIn("source-address does not allow", str(refusal(draft, address=address)))

    def test_networks_that_are_none(self) -> None:
        for data in (NS(b"source-address") + NS(b"0.0.0.0/0"), option(b"source-address", b""), option(b"source-address", b"*")):
            self.assertIn("does not allow", str(refusal(DRAFT.but(options=data))))

    def test_other_critical_options(self) -> None:
        for name in (b"force-command", b"verify-required", b"new@example.org"):
            self.assertIn("not supported", str(refusal(DRAFT.but(options=option(name, b"true")))))

    def test_extensions_mean_nothing(self) -> None:
        self.assertIsNone(refusal(DRAFT.but(extensions=NS(b"login-as-root") + NS(b""))))

    def test_who_signed_it(self) -> None:
        forged = NS(b"ssh-ed25519") + NS(STRANGER.sign(b"anything"))
        for signature in (forged, b"", NS(b"ssh-rsa") + NS(bytes(256)), NS(b"\xff") + NS(b"")):
            self.assertEqual(refusal(DRAFT.but(signature=signature)), "its authority has not signed it")


class Signing(SynchronousTestCase):
    def test_by_the_key_that_it_is_of(self) -> None:
        found, name = read(DRAFT), DRAFT.type.decode()
        signature = NS(b"ssh-ed25519") + NS(KEY.sign(b"data"))
        self.assertTrue(found.verify(name, signature, b"data"))
        self.assertFalse(found.verify(name, signature, b"other"))
        self.assertFalse(found.verify("ssh-ed25519", signature, b"data"))
        self.assertFalse(found.verify(name, NS(b"ssh-ed25519") + NS(AUTHORITY.sign(b"data")), b"data"))
        self.assertFalse(found.key.verify(name, signature, b"data"))
