"""Every FTP client puts, gets, lists, renames and deletes, in each way that it knows; and goes on where it broke off."""

from __future__ import annotations

import ftplib
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

from tests.real.case import RealTestCase, sha256
from tests.real.clients import ClientFailed, ftp, missing, run, vanish
from tests.real.ftp_clients import Aioftp, BasicFtp, Curl, Ftplib, Lftp, Ncftp, Tnftp, Way, Wget
from tests.real.harness import DESTINATION, LOGIN, Options

SIZE = 3_000_017
"""Some buffers and a rest."""

V4, V6 = "127.0.0.1", "::1"


class FtpTestCase(RealTestCase):
    options: ClassVar[Options] = {"node": {"interface": [V4, V6]}, "ftp": {"implicit_port": 0, "client_certificates": True}}

    def round_trip(self, kind: Any, *ways: Way) -> None:
        if reason := missing(kind.program):
            self.skipTest(reason)
        for number, way in enumerate(ways):
            source, digest = self.random_file(SIZE)
            target = self.folder / f"target-{number}"
            name, new = f"{kind.__name__} {number} ä+%41.bin", f"{kind.__name__} {number} neu é"
            client = kind(self.node, way)
            client.put(source, name)
            client.get(name, target)
            self.assertEqual(sha256(target), digest, way)
            shown = self.node.json("file", "show", f"/{DESTINATION}/{name}")
            self.assertEqual((shown["size"], shown["digests"]["sha256"]), (SIZE, digest), way)
            self.assertIn(name, client.list(), way)
            client.rename(name, new)
            listed = client.list()
            self.assertEqual((name in listed, new in listed), (False, True), way)
            client.delete(new)
            self.assertNotIn(new, client.list(), way)


def ways(*tls: str, hosts: tuple[str, ...] = (V4, V6), active: tuple[bool, ...] = (False, True)) -> list[Way]:
    return [Way(*each) for each in product(hosts, active, tls)]


class ClientsWithReuse(FtpTestCase):
    """Those that resume their control connection's TLS session, where that is required."""

    options: ClassVar[Options] = {
        "node": {"interface": [V4, V6]},
        "ftp": {"implicit_port": 0, "tls_session_reuse": "required"},
    }

    def test_curl(self) -> None:
        # curl 7.88 itself fails with active connections under TLS: "sa_addr inet_ntop() failed".
        self.round_trip(Curl, *ways(""), *ways("explicit", "implicit", active=(False,)))

    def test_lftp(self) -> None:
        self.round_trip(Lftp, *ways("", "explicit", "implicit"))

    def test_basic_ftp(self) -> None:
        if reason := BasicFtp.missing():
            self.skipTest(reason)
        self.round_trip(BasicFtp, *ways("", "explicit", "implicit", active=(False,)))


class Clients(FtpTestCase):
    def test_a_certificate_logs_in_by_the_user_s_key(self) -> None:
        key, certificate = self.folder / "key.pem", self.folder / "cert.pem"
        made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
        run(["openssl", "req", "-x509", *made, "-subj", "/CN=any", "-days", "2", "-out", str(certificate)])
        public = self.folder / "key.pub"
        public.write_text(run(["ssh-keygen", "-y", "-f", str(key)]))
        url = ["--ssl-reqd", "--cert", str(certificate), "--key", str(key), f"ftp://{V4}:{self.node.ports['ftp']}/"]
        words = ["curl", "-sSk", "--max-time", "30", "--user", f"{LOGIN}:wrong", *url]
        self.assertRaises(ClientFailed, run, words)
        self.node.ecpds("user", "key", LOGIN, "add", str(public))
        self.assertIn(DESTINATION, run(words))

    def test_tnftp(self) -> None:
        self.round_trip(Tnftp, *ways(""))

    def test_ncftp(self) -> None:
        self.round_trip(Ncftp, *ways("", hosts=(V4,)))

    def test_ftplib(self) -> None:
        self.round_trip(Ftplib, *ways("", "explicit"))

    def test_aioftp(self) -> None:
        self.round_trip(Aioftp, *ways("", "explicit", "implicit", active=(False,)))

    def test_wget(self) -> None:
        if reason := missing("wget"):
            self.skipTest(reason)
        source, digest = self.random_file(SIZE)
        name = "wget ä"
        Curl(self.node, Way()).put(source, name)
        tls = ways("explicit", "implicit", active=(False,))
        for number, way in enumerate([*ways(""), *tls]):
            target, wget = self.folder / f"target-{number}", Wget(self.node, way)
            wget.get(name, target)
            self.assertEqual(sha256(target), digest, way)
            self.assertIn("wget", wget.list(), way)


class Resuming(FtpTestCase):
    """A download goes on from what is here, an upload from what is kept there."""

    def break_off(self, source: Path, name: str) -> int:
        """Send half of a file, and vanish; returns how much of it has come, and is kept."""
        client = ftp(self.node)
        data = client.transfercmd(f"STOR {name}")
        data.sendall(source.read_bytes()[: SIZE // 2])
        vanish(data)
        with self.assertRaisesRegex(ftplib.error_temp, "^426"):
            client.voidresp()
        self.assertNotIn(name, client.nlst())
        kept = client.size(name)
        client.close()
        assert kept
        return kept

    def check(self, name: str, digest: str) -> None:
        shown = self.node.json("file", "show", f"/{DESTINATION}/{name}")
        self.assertEqual((shown["size"], shown["digests"]["sha256"]), (SIZE, digest))
        target = self.folder / "check"
        Curl(self.node, Way()).get(name, target)
        self.assertEqual(sha256(target), digest)

    def sent_last(self) -> int:
        """Bytes of the newest upload."""
        records = [record for record in self.node.json_lines("events", "--type", "INH") if record["Action"] == "upload"]
        return int(max(records, key=lambda record: record["TimeStamp"])["BytesSent"])

    def put_the_rest(self, kind: Any, *ways: Way) -> None:
        if reason := missing(kind.program):
            self.skipTest(reason)
        source, digest = self.random_file(SIZE)
        for number, way in enumerate(ways):
            name = f"{kind.__name__} ü {number}"
            kept = self.break_off(source, name)
            kind(self.node, way).put_rest(source, name, kept)
            self.check(name, digest)
            self.assertEqual(self.sent_last(), SIZE - kept, way)

    def get_the_rest(self, kind: Any, *ways: Way) -> None:
        if reason := missing(kind.program):
            self.skipTest(reason)
        source, digest = self.random_file(SIZE)
        name = f"{kind.__name__} ö whole"
        Curl(self.node, Way()).put(source, name)
        for number, way in enumerate(ways):
            target = self.folder / f"rest-{number}"
            target.write_bytes(source.read_bytes()[: SIZE // 3])
            kind(self.node, way).get_rest(name, target)
            self.assertEqual(sha256(target), digest, way)
            records = self.node.json_lines("events", "--type", "INH")
            sent = [int(record["BytesSent"]) for record in records if record["Action"] == "download"]
            self.assertIn(SIZE - SIZE // 3, sent, way)

    def both(self, kind: Any, *ways: Way) -> None:
        self.put_the_rest(kind, *ways)
        self.get_the_rest(kind, *ways)

    def test_curl(self) -> None:
        self.both(Curl, Way(), Way(V6, True), Way(tls="explicit"), Way(V6, tls="implicit"))

    def test_lftp(self) -> None:
        self.both(Lftp, Way(), Way(V6, True), Way(active=True, tls="explicit"), Way(V6, tls="implicit"))

    def test_tnftp(self) -> None:
        self.both(Tnftp, *ways(""))

    def test_ncftp(self) -> None:
        self.both(Ncftp, *ways("", hosts=(V4,)))

    def test_ftplib(self) -> None:
        self.both(Ftplib, Way(), Way(V6, True), Way(active=True, tls="explicit"))

    def test_aioftp(self) -> None:
        self.both(Aioftp, Way(), Way(V6), Way(tls="explicit"), Way(V6, tls="implicit"))

    def test_basic_ftp(self) -> None:
        if reason := BasicFtp.missing():
            self.skipTest(reason)
        self.both(BasicFtp, Way(), Way(V6, tls="explicit"))

    def test_wget(self) -> None:
        self.get_the_rest(Wget, Way(), Way(active=True), Way(V6), Way(tls="explicit"))

    def test_what_is_kept_outlives_the_daemon(self) -> None:
        source, digest = self.random_file(SIZE)
        self.break_off(source, "survivor")
        self.node.kill()
        self.node.start()
        Lftp(self.node, Way())(f"put -c {source} -o survivor")
        self.check("survivor", digest)


class Mirrors(FtpTestCase):
    def test_lftp_both_ways(self) -> None:
        tree = self.folder / "tree"
        for number in range(40):
            folder = tree / f"ordner ü {number % 4}" / str(number % 2)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"file é {number}").write_bytes(b"%d" % number * 1000)
        for number, way in enumerate(
            (Way(), Way(V6, True), Way(tls="explicit"), Way(V6, True, "explicit"), Way(tls="implicit"))
        ):
            lftp, back = Lftp(self.node, way), self.folder / f"back-{number}"
            lftp(f"mirror -R --parallel=4 {tree} mirrored-{number}")
            lftp(f"mirror --parallel=4 mirrored-{number} {back}")
            self.assertEqual(self.contents(back), self.contents(tree))
            self.assertNotIn("put", lftp(f"mirror -R --dry-run {tree} mirrored-{number}"))

    def contents(self, folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
