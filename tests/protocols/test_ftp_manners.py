"""How users are met: how many sessions, the greeting, the address to come to, certificates; and copies."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from ecpds.keys import ssh_key
from tests.protocols.certificates import certificate_of, wire_form
from tests.protocols.ftp_support import Client, FtpTestCase, House, codes


class MannersCase(FtpTestCase):
    def with_options(self, house: House, **options: str) -> None:
        password, identity = house.portal.users["alice"]
        named = {f"portal.{name}": text for name, text in options.items()}
        house.portal.users["alice"] = (password, evolve(identity, options=named))


class Sessions(MannersCase):
    def setUp(self) -> None:
        self.house = self.new_house()
        self.with_options(self.house, maxConnections="2")

    def log_in(self) -> Client:
        client = self.house.connect()
        client.say("USER alice")
        self.said = client.say("PASS secret")
        return client

    def test_so_many_of_one_user(self) -> None:
        first, _ = self.log_in(), self.log_in()
        self.assertEqual(codes(self.said), ["230"])
        self.log_in()
        self.assertEqual(codes(self.said), ["421"])
        self.assertIn("alice may have 2 sessions at this time", str(self.house.portal.sink.events[-1].fields))
        first.lose()
        self.log_in()
        self.assertEqual(codes(self.said), ["230"])

    def test_who_begins_again_is_one_session(self) -> None:
        client, _ = self.log_in(), self.log_in()
        for _ in range(3):
            self.assertEqual(codes(client.say("USER alice", "PASS secret")), ["331", "230"])
        client.say("USER alice")
        self.log_in()
        self.assertEqual(codes(self.said), ["230"])
        self.assertEqual(codes(client.say("PASS secret")), ["421"])

    def test_nothing_is_left_of_who_has_gone(self) -> None:
        for client in (self.log_in(), self.log_in()):
            client.lose()
        self.assertEqual(self.house.factory._door.users.total, 0)


class Greetings(MannersCase):
    def test_the_welcome(self) -> None:
        house = self.new_house()
        self.with_options(house, welcome="Mind the gap.")
        client = house.connect()
        client.say("USER alice")
        said = client.say("PASS secret")
        self.assertEqual(said, ["230-Mind the gap.", "230 alice is logged in."])


class Addresses(MannersCase):
    def test_by_the_client_s_network(self) -> None:
        networks = ("192.0.2.0/28=10.0.0.1", "192.0.2.0/24=10.0.0.2")
        house = self.new_house(options={"passive_networks": networks, "passive_address": "203.0.113.9"})
        for peer, told in (("192.0.2.7", "10,0,0,1"), ("192.0.2.77", "10,0,0,2"), ("198.51.100.1", "203,0,113,9")):
            said = house.log_in(peer=peer).say("PASV")
            self.assertIn(f"({told},", said[0])


class Certificates(MannersCase):
    def setUp(self) -> None:
        self.house = self.new_house(options={"client_certificates": True})
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.house.portal.keys["alice"] = {wire_form(self.key)}

    def client(self, key: Any, secure: bool = True) -> Client:
        client = self.house.connect()
        shown = crypto.X509.from_cryptography(certificate_of(key))
        client.transport.getPeerCertificate = lambda: shown  # type: ignore[attr-defined]
        if secure:
            client.say("AUTH TLS")
        return client

    def test_a_key_of_the_user_s(self) -> None:
        client = self.client(self.key)
        self.assertEqual(codes(client.say("USER alice", "PWD", "PASS x")), ["232", "257", "503"])

    def test_another_s_key(self) -> None:
        client = self.client(ed25519.Ed25519PrivateKey.generate())
        self.assertEqual(codes(client.say("USER alice", "PWD", "PASS secret", "PWD")), ["331", "530", "230", "257"])

    def test_another_user(self) -> None:
        self.assertEqual(codes(self.client(self.key).say("USER bob", "PASS x")), ["331", "530"])

    def test_none_and_switched_off_and_in_clear_text(self) -> None:
        plain = self.house.connect()
        plain.say("AUTH TLS")
        self.assertEqual(codes(plain.say("USER alice")), ["331"])
        self.assertEqual(codes(self.client(self.key, secure=False).say("USER alice")), ["331"])
        self.house = self.new_house()
        self.house.portal.keys["alice"] = {wire_form(self.key)}
        self.assertEqual(codes(self.client(self.key).say("USER alice")), ["331"])


class Keys(SynchronousTestCase):
    def test_the_kinds_that_ssh_has(self) -> None:
        for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())):
            self.assertEqual(ssh_key(certificate_of(key)), wire_form(key))

    def test_the_kinds_that_it_has_not(self) -> None:
        self.assertIsNone(ssh_key(certificate_of(ec.generate_private_key(ec.SECP256K1()))))


class Copies(FtpTestCase):
    def setUp(self) -> None:
        self.client = self.new_house().log_in()
        self.tree = self.client.house.tree
        self.tree.put("/demo/a", b"what is in it")
        self.tree.put('/demo/a "b"', b"other")
        self.client.say("CWD /demo")

    def content(self, path: str) -> bytes:
        channel = self.client.passive()
        self.assertEqual(codes(self.client.say(f"RETR {path}")), ["150", "226"])
        return bytes(channel.written)

    def test_site_copy(self) -> None:
        for line, target, wanted in (
            ("SITE COPY a c", "c", b"what is in it"),
            ("SITE COPY /demo/a /demo/new folder/c", "/demo/new folder/c", b"what is in it"),
            ('SITE COPY "a ""b""" c', "c", b"other"),
            ('site copy "a" "d e"', "d e", b"what is in it"),
        ):
            self.assertEqual(codes(self.client.say(line)), ["250"], line)
            self.assertEqual(self.content(target), wanted, line)

    def test_cpfr_and_cpto(self) -> None:
        self.assertEqual(
            codes(self.client.say("SITE CPTO c", "SITE CPFR a", "NOOP", "SITE CPTO c")), ["503", "350", "200", "250"]
        )
        self.assertEqual(self.content("c"), b"what is in it")
        self.assertEqual(codes(self.client.say("SITE CPTO d")), ["503"])

    def test_refused(self) -> None:
        lines = (
            "SITE COPY",
            "SITE COPY a",
            "SITE COPY none c",
            "SITE COPY / c",
            "SITE COPY a /demo",
            "SITE CPFR none",
            "SITE CPFR",
        )
        self.assertEqual(codes(self.client.say(*lines)), ["501", "501", "550", "550", "550", "550", "501"])

    def test_it_needs_both_permissions(self) -> None:
        for permissions in (("get",), ("put",)):
            client = self.new_house(permissions=permissions).log_in()
            client.house.tree.put("/demo/a", b"x")
            self.assertEqual(codes(client.say("SITE COPY /demo/a /demo/b")), ["550"], permissions)


class Releases(MannersCase):
    def test_who_may_releases_and_holds(self) -> None:
        house = self.new_house()
        client = house.log_in()
        client.house.tree.put("/demo/a", b"x")
        self.assertEqual(codes(client.say("SITE RELEASE /demo/a", "SITE HOLD /demo/a", "SITE HOLD")), ["550", "550", "501"])
        self.with_options(house, releases="true")
        again = house.log_in()
        lines = ("SITE RELEASE /demo/a", "SITE HOLD /demo/a", "SITE RELEASE /demo/none", "SITE HOLD /demo")
        self.assertEqual(codes(again.say(*lines)), ["200", "200", "550", "550"])
