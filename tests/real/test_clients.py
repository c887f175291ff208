"""Every client that people use puts, gets and lists, at every door that it knows; every byte and digest agrees."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any, Protocol

import pytest

from tests.real.case import RealTestCase, sha256
from tests.real.clients import LIMIT, Curl, Ftplib, Lftp, Tnftp, Wget, authorization, https, missing, path_of
from tests.real.harness import DESTINATION, LOGIN, PASSWORD

SIZE = 3_000_017
"""Some buffers and a rest."""


class Client(Protocol):
    """What the clients have in common."""

    def put(self, source: Any, name: str) -> None: ...
    def get(self, name: str, target: Any) -> None: ...
    def list(self) -> str: ...


class Clients(RealTestCase):
    def round_trip(self, kind: Any, door: str, puts: bool = True) -> None:
        """Put with the client (with curl where it can't), get and list with it, and ask the catalogue."""
        if reason := missing(kind.program):
            self.skipTest(reason)
        name = f"{kind.program} {door} ä+%41.bin"
        source, digest = self.random_file(SIZE)
        client: Client = kind(self.node, door)
        (client if puts else Curl(self.node, door)).put(source, name)
        target = self.folder / "target"
        client.get(name, target)
        self.assertEqual(sha256(target), digest)
        self.assertIn(kind.program, client.list())
        shown = self.node.json("file", "show", f"/{DESTINATION}/{name}")
        self.assertEqual((shown["size"], shown["digests"]["sha256"]), (SIZE, digest))

    def test_curl_ftp(self) -> None:
        self.round_trip(Curl, "ftp")

    def test_curl_https(self) -> None:
        self.round_trip(Curl, "https")

    def test_curl_http(self) -> None:
        self.round_trip(Curl, "https_plain")

    def test_wget_ftp(self) -> None:
        self.round_trip(Wget, "ftp", puts=False)

    def test_wget_https(self) -> None:
        self.round_trip(Wget, "https")

    def test_tnftp(self) -> None:
        self.round_trip(Tnftp, "ftp")

    def test_lftp_ftp(self) -> None:
        self.round_trip(Lftp, "ftp")

    def test_lftp_https(self) -> None:
        self.round_trip(Lftp, "https")

    def test_ftplib(self) -> None:
        self.round_trip(Ftplib, "ftp")


class BetweenDoors(RealTestCase):
    def cross(self, size: int) -> None:
        """In by FTP and out by HTTPS, and the other way round."""
        for way in (("ftp", "https"), ("https", "ftp")):
            source, digest = self.random_file(size)
            target = self.folder / "target"
            Curl(self.node, way[0]).put(source, "crossing")
            Curl(self.node, way[1]).get("crossing", target)
            self.assertEqual(sha256(target), digest, f"{way}")
            shown = self.node.json("file", "show", f"/{DESTINATION}/crossing")
            self.assertEqual((shown["size"], shown["digests"]["sha256"]), (size, digest))

    def test_some_buffers(self) -> None:
        self.cross(20_000_003)

    @pytest.mark.long
    def test_a_gibibyte(self) -> None:
        self.cross(1 << 30)

    def test_from_a_pipe(self) -> None:
        """Of unknown size: HTTP's chunked coding, FTP's end of file."""
        source, digest = self.random_file(SIZE)
        for door in ("ftp", "https"):
            curl = ["curl", "-sSkf", "--user", f"{LOGIN}:{PASSWORD}", "-T", "-", self.node.url(door, f"piped-{door}")]
            with source.open("rb") as content:
                subprocess.run(curl, stdin=content, check=True, timeout=LIMIT)
            self.assertEqual(self.node.json("file", "show", f"/{DESTINATION}/piped-{door}")["digests"]["sha256"], digest)

    def test_a_digest_is_the_same_everywhere(self) -> None:
        source, digest = self.random_file(SIZE)
        Curl(self.node, "ftp").put(source, "digested")
        connection = https(self.node)
        connection.request("HEAD", path_of("digested"), headers=authorization())
        answer = connection.getresponse()
        answer.read()
        expected = base64.b64encode(bytes.fromhex(digest)).decode()
        self.assertEqual(answer.getheader("Repr-Digest"), f"sha-256=:{expected}:")
        self.assertEqual(self.node.json("file", "show", f"/{DESTINATION}/digested")["digests"]["sha256"], digest)

    def test_a_download_resumes_at_either_door(self) -> None:
        source, digest = self.random_file(SIZE)
        Curl(self.node, "https").put(source, "resumed")
        for door in ("ftp", "https"):
            target = self.folder / door
            target.write_bytes(source.read_bytes()[:1_000_000])
            Curl(self.node, door)("-C", "-", "-o", str(target), self.node.url(door, "resumed"))
            self.assertEqual(sha256(target), digest, door)

    def test_an_empty_file(self) -> None:
        source, digest = self.random_file(0)
        for door in ("ftp", "https"):
            Curl(self.node, door).put(source, f"empty-{door}")
            target = self.folder / door
            Curl(self.node, door).get(f"empty-{door}", target)
            self.assertEqual((target.read_bytes(), sha256(target)), (b"", digest))
            self.assertEqual(self.node.json("file", "show", f"/{DESTINATION}/empty-{door}")["size"], 0)

    def test_every_transfer_leaves_one_record(self) -> None:
        source, _ = self.random_file(SIZE)
        for door in ("ftp", "https"):
            Curl(self.node, door).put(source, f"recorded-{door}")
            Curl(self.node, door).get(f"recorded-{door}", self.folder / "target")
        events = [event for event in self.node.json_lines("events", "--type", "INH") if "recorded" in event["FileName"]]
        self.assertEqual(len(events), 4, json.dumps(events, indent=1))
        for event in events:
            self.assertEqual((event["Status"], event["BytesSent"], event["UserId"]), ("done", SIZE, "ann"))
