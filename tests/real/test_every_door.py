"""One namespace: what each door puts each door reads, with the same size, time and digests; folders and odd names alike."""

from __future__ import annotations

import base64
import ftplib
import hashlib
import http.client
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import paramiko
from attrs import frozen
from awscrt import checksums
from botocore.exceptions import ClientError

from ecpds.model import PERMISSIONS
from tests.real.clients import ClientFailed, authorization, missing
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Options, until
from tests.real.s3_clients import S3TestCase
from tests.real.ssh_clients import Scp, remote, ssh

DOORS = ("ftp", "sftp", "scp", "https", "s3")
SIZES = (0, 70_001, 6_000_000)


@frozen
class Told:
    """What a door says of a file; what it doesn't say is None."""

    size: int
    mtime: int
    sha256: str | None = None
    md5: str | None = None
    crc64: str | None = None


class Doors(S3TestCase):
    """A node with every door; the destination keeps MD5 too, so that each door can tell it."""

    options: ClassVar[Options] = {
        "node": {"roles": ["master", "mover", "ftp", "https", "s3", "ssh"]},
        "s3": {"port": 0, "plain_port": 0},
        "ssh": {"port": 0},
        "limits": {"lifetime_look": 0.2},
    }

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.node.ecpds("destination", "set", DESTINATION, "--option", "digests=sha256,md5")

    def setUp(self) -> None:
        super().setUp()
        if reason := missing("sshpass"):
            self.skipTest(reason)
        self.s3 = self.client("http")

    @contextmanager
    def ftp(self) -> Iterator[ftplib.FTP]:
        with ftplib.FTP(timeout=30, encoding="utf-8") as client:
            client.connect("127.0.0.1", self.node.ports["ftp"])
            client.login(LOGIN, PASSWORD)
            client.cwd(DESTINATION)
            client.voidcmd("TYPE I")
            yield client

    @contextmanager
    def sftp(self) -> Iterator[paramiko.SFTPClient]:
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.WarningPolicy())
            port = self.node.ports["ssh"]
            client.connect("127.0.0.1", port, LOGIN, PASSWORD, allow_agent=False, look_for_keys=False)
            yield client.open_sftp()

    def http(self, method: str, name: str, body: bytes | None = None, **headers: str) -> tuple[Any, bytes]:
        client = http.client.HTTPConnection("127.0.0.1", self.node.ports["https_plain"], timeout=30)
        client.request(method, quote(f"/data/{DESTINATION}/{name}"), body, {**authorization(LOGIN, PASSWORD), **headers})
        answer = client.getresponse()
        content = answer.read()
        client.close()
        return answer, content

    def local(self, data: bytes = b"") -> Path:
        file = self.folder / "local"
        file.write_bytes(data)
        return file

    # Each door's words

    def put(self, door: str, name: str, data: bytes) -> None:
        if door == "ftp":
            with self.ftp() as ftp:
                ftp.storbinary(f"STOR {name}", io.BytesIO(data))
        elif door == "sftp":
            with self.sftp() as sftp:
                sftp.putfo(io.BytesIO(data), remote(name))
        elif door == "scp":
            Scp(self.node, "-O").put(self.local(data), name)
        elif door == "https":
            answer, content = self.http("PUT", name, data)
            self.assertIn(answer.status, (201, 204), content)
        else:
            self.s3.put_object(Bucket=DESTINATION, Key=name, Body=data)

    def get(self, door: str, name: str) -> bytes:
        into = io.BytesIO()
        if door == "ftp":
            with self.ftp() as ftp:
                ftp.retrbinary(f"RETR {name}", into.write)
        elif door == "sftp":
            with self.sftp() as sftp:
                sftp.getfo(remote(name), into)
        elif door == "scp":
            Scp(self.node, "-O").get(name, self.local())
            return self.local_bytes()
        elif door == "https":
            return self.http("GET", name)[1]
        else:
            self.s3.download_fileobj(DESTINATION, name, into)
        return into.getvalue()

    def local_bytes(self) -> bytes:
        return (self.folder / "local").read_bytes()

    def told(self, door: str, name: str) -> Told:
        if door == "ftp":
            with self.ftp() as ftp:
                ftp.voidcmd("OPTS HASH SHA-256")
                when = datetime.strptime(ftp.voidcmd(f"MDTM {name}")[4:18], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
                sums = [ftp.sendcmd(f"{verb} {name}").split()[place] for verb, place in (("HASH", 3), ("XMD5", 1))]
                return Told(int(ftp.size(name) or 0), int(when.timestamp()), sums[0].lower(), sums[1].lower())
        if door == "sftp":
            with self.sftp() as sftp, sftp.open(remote(name)) as file:
                found = file.stat()
                return Told(
                    int(found.st_size or 0), int(found.st_mtime or 0), file.check("sha256").hex(), file.check("md5").hex()
                )
        if door == "scp":
            file = self.local()
            Scp(self.node, "-O")("-T", "-p", Scp(self.node, "-O").place(name), str(file))
            sums = [ssh(self.node, f"{program} '{remote(name)}'").split()[0] for program in ("sha256sum", "md5sum")]
            return Told(file.stat().st_size, int(file.stat().st_mtime), *sums)
        if door == "https":
            headers = self.http("HEAD", name, **{"Want-Repr-Digest": "sha-256=10"})[0].headers
            value = base64.b64decode(headers["Repr-Digest"].partition(":")[2].rpartition(":")[0])
            when = parsedate_to_datetime(headers["Last-Modified"])
            return Told(int(headers["Content-Length"]), int(when.timestamp()), value.hex())
        attributes = self.s3.head_object(Bucket=DESTINATION, Key=name, ChecksumMode="ENABLED")
        crc64 = attributes.get("ChecksumCRC64NVME")
        return Told(
            attributes["ContentLength"],
            int(attributes["LastModified"].timestamp()),
            md5=attributes["ETag"].strip('"'),
            crc64=base64.b64decode(crc64).hex() if crc64 else None,
        )


class EveryDoor(Doors):
    def test_put_by_each_and_read_by_each(self) -> None:
        for writer in DOORS:
            for size in SIZES:
                name, data = f"by {writer}, {size} ü.bin", hashlib.shake_128(f"{writer}{size}".encode()).digest(size)
                self.put(writer, name, data)
                shown = self.node.json("file", "show", f"/{DESTINATION}/{name}")
                digests = {each: hashlib.new(each, data).hexdigest() for each in ("sha256", "md5")}
                digests["crc64"] = f"{checksums.crc64nvme(data):016x}"
                self.assertEqual(shown["digests"]["crc64nvme"], digests["crc64"])
                mtime = int(datetime.fromisoformat(shown["mtime"]).timestamp())
                for reader in DOORS:
                    cell = (writer, reader, size)
                    self.assertEqual(self.get(reader, name) == data, True, cell)
                    told = self.told(reader, name)
                    self.assertEqual((told.size, told.mtime), (size, mtime), cell)
                    for each, value in digests.items():
                        self.assertIn(getattr(told, each), (None, value), (cell, each))

    def misses(self, door: str, name: str) -> bool:
        """Whether a door says, in its own words, that there is no such file."""
        if door == "https":
            return bool(self.http("GET", name)[0].status == 404)
        refusals: dict[str, tuple[type[Exception], str]] = {
            "ftp": (ftplib.error_perm, "550"),
            "sftp": (FileNotFoundError, ""),
            "scp": (ClientFailed, "There is no such file or directory."),
            "s3": (ClientError, "404"),
        }
        refusal, word = refusals[door]
        try:
            self.get(door, name)
        except refusal as refused:
            self.assertIn(word, str(refused))
            return True
        return False

    def test_what_is_kept_no_longer_leaves_at_every_door(self) -> None:
        """All have resolved and read it before, and who has it open reads to the end."""
        data = hashlib.shake_128(b"brief").digest(300_000)
        for door in DOORS:
            self.put(door, f"brief/{door}", data)
            self.assertEqual([self.get(reader, f"brief/{door}") == data for reader in DOORS], [True] * len(DOORS))
        self.assertNotIn("expires", self.node.json("file", "show", f"/{DESTINATION}/brief/ftp"))
        self.addCleanup(self.node.ecpds, "destination", "set", DESTINATION, "--unset", "lifetime")
        self.node.ecpds("destination", "set", DESTINATION, "--lifetime", "1h")
        self.assertIn("expires", self.node.json("file", "show", f"/{DESTINATION}/brief/ftp"))
        with self.sftp() as sftp, sftp.open(remote("brief/ftp")) as file:
            read = file.read(1000)
            self.node.ecpds("destination", "set", DESTINATION, "--lifetime", "0.1s")
            until(lambda: not self.keys("brief/"), "the files to leave")
            self.assertEqual(read + file.read() == data, True)
        for door in DOORS:
            self.assertEqual([self.misses(reader, f"brief/{door}") for reader in DOORS], [True] * len(DOORS), door)
        self.assertTrue(self.misses("ftp", "brief"), "the folder came with them")
        records = self.node.ecpds("events", "--json", "--type", "INH", "--destination", DESTINATION).splitlines()
        left = [each["FileName"] for each in map(json.loads, records) if each["Action"] == "expire"]
        self.assertEqual(sorted(each for each in left if each.startswith("brief/")), sorted(f"brief/{door}" for door in DOORS))

    def test_what_waits_is_there_for_who_may_put_alone(self) -> None:
        data = b"not yet" * 1000
        self.addCleanup(self.node.ecpds, "user", "set", LOGIN, "--permission", ",".join(PERMISSIONS))
        self.put("ftp", "waits/old", b"old")
        self.node.ecpds("destination", "set", DESTINATION, "--option", "incoming.standby=true")
        self.addCleanup(self.node.ecpds, "destination", "set", DESTINATION, "--unset", "incoming.standby")
        names = [f"waits/{door}" for door in DOORS]
        for door, name in zip(DOORS, names, strict=True):
            self.put(door, name, data)
            self.assertEqual([self.get(reader, name) == data for reader in DOORS], [True] * len(DOORS), door)
        self.put("https", "waits/old", b"new")
        self.assertEqual([self.get(reader, "waits/old") for reader in DOORS], [b"new"] * len(DOORS))
        shown = [json.loads(line) for line in self.node.ecpds("file", "ls", f"/{DESTINATION}/waits/", "--json").splitlines()]
        self.assertEqual({each["state"] for each in shown}, {"standby"})
        self.node.ecpds("user", "set", LOGIN, "--permission", "get,dir,size")
        for name in names:
            self.assertEqual([self.misses(reader, name) for reader in DOORS], [True] * len(DOORS), name)
        self.assertEqual([self.get(reader, "waits/old") for reader in DOORS], [b"old"] * len(DOORS))
        for door, found in self.names("waits").items():
            self.assertEqual(found, ["old"], door)
        for name in (*names, "waits/old"):
            self.node.ecpds("file", "release", f"/{DESTINATION}/{name}")
        for name in names:
            self.assertEqual([self.get(reader, name) == data for reader in DOORS], [True] * len(DOORS), name)
        self.assertEqual([self.get(reader, "waits/old") for reader in DOORS], [b"new"] * len(DOORS))

    def held(self) -> int:
        shown = self.node.json("destination", "show", DESTINATION)["quotas"]
        (used,) = [each["used"] for each in shown if each["of"] == "heldBytes"]
        return int(used)

    def test_a_quota_of_what_is_held_is_kept_at_every_door(self) -> None:
        self.addCleanup(self.node.ecpds, "destination", "set", DESTINATION, "--unset", "incoming.maxHeldBytes")
        self.node.ecpds("destination", "set", DESTINATION, "--option", "incoming.maxHeldBytes=1G")
        self.put("ftp", "quota/first", b"x" * 100)
        used = self.held()
        self.node.ecpds("destination", "set", DESTINATION, "--option", f"incoming.maxHeldBytes={used + 50_000}")
        for door in DOORS:
            with self.assertRaises((ftplib.error_perm, OSError, ClientFailed, AssertionError, ClientError), msg=door) as raised:
                self.put(door, f"quota/{door}", b"x" * 50_001)
            if door in ("ftp", "s3"):
                self.assertIn({"ftp": "552", "s3": "QuotaExceeded"}[door], str(raised.exception))
            self.assertEqual([self.misses(reader, f"quota/{door}") for reader in DOORS], [True] * len(DOORS), door)
            self.assertEqual(self.held(), used, door)
        self.assertEqual(self.http("PUT", "quota/https", b"x" * 50_001)[0].status, 507)
        for door in DOORS:
            self.put(door, "quota/fits", b"x" * 50_000)
            self.assertEqual(self.held(), used + 50_000, door)
        with self.ftp() as ftp:
            self.assertEqual(ftp.sendcmd("AVBL").split()[1], "0")
            ftp.delete("quota/fits")
        self.assertEqual(self.held(), used)

    # Folders and names

    def keys(self, prefix: str) -> list[str]:
        page = self.s3.list_objects_v2(Bucket=DESTINATION, Prefix=prefix)
        return [each["Key"] for each in page.get("Contents", [])]

    def names(self, folder: str) -> dict[str, list[str]]:
        """What each door that lists shows of a folder."""
        with self.ftp() as ftp, self.sftp() as sftp:
            by_ftp = sorted(each for each, _ in ftp.mlsd(folder) if each not in (".", ".."))
            by_sftp = sorted(sftp.listdir(remote(folder)))
        page = self.http("GET", f"{folder}/", Accept="application/json")[1]
        listed = self.s3.list_objects_v2(Bucket=DESTINATION, Prefix=f"{folder}/", Delimiter="/")
        found = [each["Key"] for each in listed.get("Contents", [])] + [
            each["Prefix"] for each in listed.get("CommonPrefixes", [])
        ]
        by_s3 = sorted(key.removeprefix(f"{folder}/").rstrip("/") for key in found if key != f"{folder}/")
        by_https = sorted(each for each in by_ftp if f'"{each}' in page.decode())
        return {"ftp": by_ftp, "sftp": by_sftp, "https": by_https, "s3": by_s3}

    def test_every_door_lists_the_same(self) -> None:
        with self.sftp() as sftp:
            sftp.mkdir(remote("tree"))
            sftp.mkdir(remote("tree/made"))
        self.s3.put_object(Bucket=DESTINATION, Key="tree/marked/")
        self.s3.put_object(Bucket=DESTINATION, Key="tree/deep/er/file", Body=b"x")
        self.put("ftp", "tree/file", b"x")
        for door, found in self.names("tree").items():
            self.assertEqual(found, ["deep", "file", "made", "marked"], door)
        self.assertEqual(self.keys("tree/"), ["tree/", "tree/deep/er/file", "tree/file", "tree/made/", "tree/marked/"])

    def test_a_mark_that_is_deleted_leaves_the_folder_while_it_holds_something(self) -> None:
        with self.sftp() as sftp:
            sftp.mkdir(remote("kept"))
        self.put("https", "kept/file", b"x")
        self.s3.delete_object(Bucket=DESTINATION, Key="kept/")
        self.assertEqual(self.keys("kept/"), ["kept/file"])
        with self.ftp() as ftp:
            self.assertEqual(ftp.nlst("kept"), ["kept/file"])
            ftp.delete("kept/file")
        with self.sftp() as sftp, self.assertRaises(FileNotFoundError):
            sftp.stat(remote("kept"))

    def test_a_folder_s_own_bytes(self) -> None:
        """A key that ends in a slash: S3 has its bytes, metadata and ETag, other doors a folder that can be removed."""
        named: dict[str, Any] = {"Bucket": DESTINATION, "Key": "slash/"}
        with self.sftp() as sftp:
            sftp.mkdir(remote("slash"))
        etag = self.s3.put_object(Body=b"bytes", Metadata={"a": "b"}, **named)["ETag"]
        self.assertEqual(self.keys("slash/"), ["slash/"])
        listed = self.s3.list_objects_v2(Bucket=DESTINATION, Prefix="slash/", Delimiter="/")
        self.assertEqual([(each["Key"], each["Size"], each["ETag"]) for each in listed["Contents"]], [("slash/", 5, etag)])
        found = self.s3.get_object(**named)
        self.assertEqual((found["Body"].read(), found["Metadata"]), (b"bytes", {"a": "b"}))
        self.assertEqual(self.s3.get_object(Range="bytes=1-2", **named)["Body"].read(), b"yt")
        for door, names in self.names("slash").items():
            self.assertEqual(names, [], door)
        self.s3.delete_object(**named)
        self.assertEqual(self.keys("slash/"), [])
        self.s3.put_object(Bucket=DESTINATION, Key="slash/file", Body=b"x")
        self.s3.put_object(Metadata={"mode": "16877"}, **named)
        self.assertEqual(self.keys("slash/"), ["slash/", "slash/file"])
        self.assertEqual(self.s3.head_object(**named)["Metadata"], {"mode": "16877"})
        self.s3.delete_object(Bucket=DESTINATION, Key="slash/file")
        with self.sftp() as sftp:
            sftp.rmdir(remote("slash"))
        self.assertEqual(self.keys("slash/"), [])

    def refusals(self, name: str) -> dict[str, Any]:
        """How each door refuses to put something."""
        with self.ftp() as ftp, self.assertRaises(ftplib.error_perm) as by_ftp:
            ftp.storbinary(f"STOR {name}", io.BytesIO(b"y"))
        with self.sftp() as sftp, self.assertRaises(OSError):
            sftp.putfo(io.BytesIO(b"y"), remote(name))
        if "/" in name:  # into a folder scp would put its file
            with self.assertRaises(ClientFailed):
                Scp(self.node, "-O").put(self.local(b"y"), name)
        with self.assertRaises(ClientError) as by_s3:
            self.s3.put_object(Bucket=DESTINATION, Key=name, Body=b"y")
        answer = by_s3.exception.response
        s3 = (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"])
        return {"ftp": str(by_ftp.exception)[:3], "https": self.http("PUT", name, b"y")[0].status, "s3": s3}

    def test_a_file_is_no_folder_and_a_folder_no_file(self) -> None:
        self.put("s3", "one", b"x")
        self.put("s3", "some/thing", b"x")
        for name in ("one/below", "some"):
            refused = self.refusals(name)
            self.assertIn(refused["ftp"], ("550", "553"))
            self.assertIn(refused["https"], (403, 404, 409))
            self.assertEqual(refused["s3"], ("OperationAborted", 409))
        self.assertEqual((self.get("ftp", "one"), self.get("https", "some/thing")), (b"x", b"x"))

    def test_names_that_are_no_paths(self) -> None:
        """S3 and HTTPS take a key as it is; FTP and SSH resolve `.`, `..` and `//` first, as paths of file systems are."""
        for name in ("odd//name", "odd/./name", "odd/../../name", "odd/na\x07me", "o" * 256):
            answer, _ = self.http("PUT", name, b"y")
            self.assertEqual(answer.status, 400, name)
            with self.assertRaises(ClientError) as caught:
                self.s3.put_object(Bucket=DESTINATION, Key=name, Body=b"y")
            self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 400, name)
        self.assertEqual(self.keys("odd"), [])
