"""Uploads that go on where they broke off, digests, times, and the verbs beside them."""

from __future__ import annotations

import hashlib
import zlib

from hypothesis import given
from hypothesis import strategies as st

from ecpds.protocols.ftp_digests import _path_and_span
from ecpds.protocols.ftp_session import parse
from tests.doubles import make_identity
from tests.protocols.ftp_support import Client, FtpTestCase, codes


class Resuming(FtpTestCase):
    def setUp(self) -> None:
        self.house = self.new_house()
        self.client = self.house.log_in()

    def break_off(self, data: bytes, path: str = "/demo/a", client: Client | None = None) -> None:
        client = client or self.client
        channel = client.passive()
        client.say(f"STOR {path}")
        channel.feed(data)
        channel.feed_loss()
        client.turn()
        self.assertEqual(codes(client.heard()), ["426"])

    def test_rest_and_stor(self) -> None:
        self.break_off(b"hello ")
        self.assertEqual(self.house.tree.files, {})
        self.assertEqual(self.client.say("SIZE /demo/a"), ["213 6"])
        self.client.say("REST 6")
        self.assertEqual(codes(self.client.upload("STOR /demo/a", b"world")), ["150", "226"])
        self.assertEqual(self.house.tree.read("/demo/a"), b"hello world")

    def test_appe(self) -> None:
        self.assertEqual(codes(self.client.upload("APPE /demo/b", b"new")), ["150", "226"])
        self.break_off(b"hello ")
        self.assertEqual(codes(self.client.upload("APPE /demo/a", b"world")), ["150", "226"])
        self.assertEqual(self.house.tree.read("/demo/a"), b"hello world")
        self.assertEqual(codes(self.client.upload("APPE /demo/a", b"!")), ["550"])
        self.assertEqual(self.house.tree.read("/demo/a"), b"hello world")

    def test_after_abor(self) -> None:
        channel = self.client.passive()
        self.client.say("STOR /demo/a")
        channel.feed(b"hello")
        self.client.turn()
        self.assertEqual(codes(self.client.say("ABOR")), ["426", "226"])
        self.assertEqual(self.client.say("SIZE /demo/a"), ["213 5"])

    def test_what_is_kept_is_seen_by_nobody(self) -> None:
        self.break_off(b"hello ")
        said, listed, _ = self.client.download("LIST /demo")
        self.assertEqual((codes(said), listed), (["150", "226"], b""))
        self.client.say("EPSV")
        self.assertEqual(codes(self.client.say("RETR /demo/a", "MLST /demo/a", "MDTM /demo/a", "DELE /demo/a")), ["550"] * 4)

    def test_what_is_only_looked_for_is_not_on_record(self) -> None:
        self.break_off(b"hello ")
        self.house.tree.put("/demo/b", b"content")
        self.client.say("SIZE /demo/a", "SIZE /demo/b")
        for verb in ("LIST", "NLST"):
            self.assertEqual(codes(self.client.download(f"{verb} /demo/b")[0]), ["150", "226"])
        for verb in ("SIZE", "MDTM", "MLST"):
            self.assertEqual(codes(self.client.say(f"{verb} /demo/c")), ["550"])
        self.assertEqual(self.house.portal.sink.of("DEA"), [])
        self.assertEqual(codes(self.client.say("CWD /demo/c")), ["550"])
        self.assertEqual(len(self.house.portal.sink.of("DEA")), 1)

    def test_another_offset(self) -> None:
        self.break_off(b"hello ")
        for offset in (5, 7):
            self.client.say(f"REST {offset}")
            self.assertEqual(codes(self.client.upload("STOR /demo/a", b"x")), ["554"])
        self.assertEqual(self.house.tree.files, {})

    def test_another_s_partial_is_refused(self) -> None:
        other = make_identity("bob")
        self.house.portal.users["bob"] = ("secret", type(other)(2, "bob", other.permissions, other.destinations))
        self.break_off(b"hello ")
        bob = self.house.connect()
        bob.say("USER bob", "PASS secret", "REST 6")
        self.assertEqual(codes(bob.upload("STOR /demo/a", b"x")), ["554"])
        self.assertEqual(codes(bob.say("SIZE /demo/a")), ["550"])

    def test_twice(self) -> None:
        self.break_off(b"a")
        self.client.say("REST 1")
        channel = self.client.passive()
        self.client.say("REST 1", "STOR /demo/a")
        channel.feed(b"b")
        channel.feed_loss()
        self.client.turn()
        self.client.heard()
        self.assertEqual(codes(self.client.upload("APPE /demo/a", b"c")), ["150", "226"])
        self.assertEqual(self.house.tree.read("/demo/a"), b"abc")

    def test_nothing_came(self) -> None:
        self.break_off(b"")
        self.assertEqual(codes(self.client.say("SIZE /demo/a")), ["550"])


class Room(FtpTestCase):
    def test_what_fits(self) -> None:
        client = self.new_house().log_in()
        (free,) = client.say("AVBL /demo")
        self.assertRegex(free, "^213 [1-9][0-9]*$")
        self.assertEqual(client.say("CWD /demo", "AVBL")[1:], [free])
        self.assertEqual(codes(client.say("AVBL /elsewhere")), ["550"])
        self.assertIn(" AVBL", client.say("FEAT"))


class BeginningAnew(FtpTestCase):
    def test_rein(self) -> None:
        """All that was said is forgotten, the offered port too; the connection stays."""
        house = self.new_house()
        house.tree.put("/demo/a", b"content")
        client = house.log_in()
        client.say("CWD /demo", "TYPE I", "REST 3", "RNFR a", "EPSV")
        self.assertEqual(codes(client.say("REIN", "PWD", "PASS secret")), ["220", "530", "503"])
        self.assertTrue(house.listeners.made[-1].closed)
        self.assertEqual(codes(client.say("USER alice", "PASS secret")), ["331", "230"])
        self.assertEqual(client.say("PWD")[0], '257 "/" is the working directory.')
        self.assertEqual(codes(client.say("RNTO b")), ["503"])
        self.assertEqual(client.download("RETR /demo/a")[1], b"content")

    def test_a_transfer_before_it_is_completed(self) -> None:
        client = self.new_house().log_in()
        channel = client.passive()
        self.assertEqual(codes(client.say("STOR /demo/a", "REIN")), ["150"])
        channel.feed(b"whole")
        channel.feed_end()
        client.turn()
        self.assertEqual(codes(client.heard()), ["226", "220"])

    def test_it_gives_no_further_tries(self) -> None:
        client = self.new_house().connect()
        said = client.say("USER alice", "PASS 1", "REIN", "USER alice", "PASS 2", "REIN", "USER alice", "PASS 3")
        self.assertEqual(codes(said)[-2:], ["530", "421"])

    def test_not_under_tls(self) -> None:
        """There is no way back to clear text on the same connection (RFC 4217 section 11)."""
        client = self.new_house().log_in(secure=True)
        self.assertEqual(codes(client.say("REIN", "PWD")), ["502", "257"])


class Digests(FtpTestCase):
    def setUp(self) -> None:
        self.house = self.new_house()
        self.client = self.house.log_in()
        self.data = bytes(range(256))
        self.house.tree.put("/demo/a 1 2", self.data)
        self.house.tree.put("/demo/b", self.data)

    def test_hash(self) -> None:
        sha256 = hashlib.sha256(self.data).hexdigest()
        self.assertEqual(self.client.say("HASH /demo/b"), [f"213 SHA-256 0-255 {sha256} /demo/b"])
        self.assertEqual(self.client.say("OPTS HASH md5", "OPTS HASH", "OPTS HASH x")[:2], ["200 MD5", "200 MD5"])
        part = hashlib.md5(self.data[10:20]).hexdigest()
        self.assertEqual(codes(self.client.say("RANG 10 19")), ["350"])
        self.assertEqual(self.client.say("HASH /demo/b"), [f"213 MD5 10-19 {part} /demo/b"])
        self.assertEqual(codes(self.client.say("HASH /demo", "HASH /demo/none")), ["550", "550"])
        self.assertTrue(any("HASH SHA-256;SHA-512;SHA-1;MD5*;CRC32;" in line for line in self.client.say("FEAT")))

    def test_the_older_verbs(self) -> None:
        for verb, name in (("XMD5", "md5"), ("XSHA", "sha1"), ("XSHA1", "sha1"), ("XSHA256", "sha256"), ("XSHA512", "sha512")):
            expected = hashlib.new(name, self.data).hexdigest().upper()
            self.assertEqual(self.client.say(f"{verb} /demo/b"), [f"250 {expected}"], verb)
        self.assertEqual(self.client.say("XCRC /demo/b"), [f"250 {zlib.crc32(self.data):08X}"])
        self.assertEqual(self.client.say("XCRC /demo/b 3 5"), [f"250 {zlib.crc32(self.data[3:5]):08X}"])
        self.assertEqual(self.client.say('XCRC "/demo/a 1 2" 3 5'), [f"250 {zlib.crc32(self.data[3:5]):08X}"])
        self.assertEqual(self.client.say('XCRC "/demo/a 1 2"'), [f"250 {zlib.crc32(self.data):08X}"])
        self.assertEqual(codes(self.client.say('XCRC "/demo/a 1 2" 3', 'XCRC "x')), ["501", "501"])

    def test_ranges_of_downloads(self) -> None:
        self.client.say("RANG 10 19")
        self.assertEqual(self.client.download("RETR /demo/b")[1], self.data[10:20])
        self.assertEqual(self.client.download("RETR /demo/b")[1], self.data)
        self.client.say("RANG 250 1000")
        self.assertEqual(self.client.download("RETR /demo/b")[1], self.data[250:])
        self.assertEqual(codes(self.client.say("RANG 1 0", "RANG 5 4", "RANG x 1", "RANG 1")), ["350", "501", "501", "501"])
        self.assertEqual(self.client.download("RETR /demo/b")[1], self.data)

    @given(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)), min_size=1))
    def test_a_path_in_quotes_is_that_path(self, path: str) -> None:
        doubled = path.replace('"', '""')
        self.assertEqual(_path_and_span(parse(f'XCRC "{doubled}" 3 70'.encode()).argument), (path, 3, 70))


class Times(FtpTestCase):
    def setUp(self) -> None:
        self.house = self.new_house()
        self.client = self.house.log_in()
        self.house.tree.put("/demo/a b", b"x")

    def test_mfmt(self) -> None:
        self.assertEqual(self.client.say("MFMT 20200229123456 /demo/a b"), ["213 Modify=20200229123456; /demo/a b"])
        self.assertEqual(self.client.say("MDTM /demo/a b"), ["213 20200229123456"])
        lines = ("MFMT 20210229000000 /demo/a b", "MFMT x /demo/a b", "MFMT 20200229123456", "MFMT 20200229123456 /demo")
        self.assertEqual(codes(self.client.say(*lines)), ["501", "501", "501", "550"])

    def test_mff(self) -> None:
        said = self.client.say("MFF modify=20200101000000; /demo/a b", "MFF modify=1;unix.mode=644; /demo/a b", "MFF /demo/a b")
        self.assertEqual(codes(said), ["213", "504", "504"])

    def test_site_utime(self) -> None:
        times = "20200101000000 20200102000000 20200103000000"
        for line in (
            f"SITE UTIME /demo/a b {times} UTC",
            "SITE UTIME 20200102000000 /demo/a b",
            "SITE UTIME 202001020000 /demo/a b",
        ):
            self.client.say("MFMT 20000101000000 /demo/a b")
            self.assertEqual(codes(self.client.say(line)), ["200"], line)
            self.assertEqual(self.client.say("MDTM /demo/a b"), ["213 20200102000000"], line)

    def test_the_rest_of_site(self) -> None:
        lines = ("SITE HELP", "SITE CHMOD 644 /demo/a b", "SITE UTIME x")
        self.assertEqual(codes(self.client.say(*lines)), ["214", "504", "501"])

    def test_site_utime_needs_the_permission(self) -> None:
        client = self.new_house(permissions=("get", "put")).log_in()
        client.house.tree.put("/demo/a", b"x")
        self.assertEqual(codes(client.say("SITE UTIME 20200102000000 /demo/a")), ["550"])


class Others(FtpTestCase):
    def test_stou(self) -> None:
        client = self.new_house().log_in()
        client.say("CWD /demo")
        said = client.upload("STOU", b"one") + client.upload("STOU data", b"two")
        self.assertEqual(codes(said), ["150", "226", "150", "226"])
        names = [line.removeprefix("150 FILE: ") for line in said if line.startswith("150")]
        self.assertEqual([client.house.tree.read(f"/demo/{name}") for name in names], [b"one", b"two"])
        self.assertEqual([name.split(".")[0] for name in names], ["file", "data"])

    def test_allo(self) -> None:
        client = self.new_house(limits={"file_size": 100}).log_in()
        self.assertEqual(codes(client.say("ALLO 100", "ALLO 101", "ALLO 5 R 2", "ALLO x")), ["200", "552", "200", "501"])

    def test_hosts_and_languages(self) -> None:
        client = self.new_house().connect()
        lines = (
            "HOST localhost",
            "HOST evil.test",
            "HOST [::1]",
            "LANG en-US",
            "LANG fr",
            "CLNT lftp",
            "USER alice",
            "HOST localhost",
        )
        self.assertEqual(codes(client.say(*lines)), ["220", "504", "220", "200", "504", "200", "331", "503"])
