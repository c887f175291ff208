"""Resumable uploads (tus 1.0), piece by piece, and what breaks them off."""

from __future__ import annotations

import base64
import hashlib

from twisted.internet.defer import Deferred

from ecpds.errors import ConnectionLost
from ecpds.interfaces import IByteSource
from ecpds.limits import Limits
from ecpds.protocols.data import DataDoor
from ecpds.threads import InlineThreads
from tests.doubles import MemorySource
from tests.protocols.data_support import DoorTestCase, Seen

DATA = b"0123456789" * 30
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


class Tus(DoorTestCase):
    def create(self, target: str = "/data/demo/f", length: int = len(DATA), **more: str) -> Seen:
        fields = {name.replace("_", "-"): value for name, value in more.items()}
        return self.ask("POST", target, {**TUS, "Upload-Length": str(length), **fields})

    def begun(self) -> str:
        return self.create().headers.get("location") or ""

    def patch(self, url: str, offset: int, body: bytes | IByteSource, login: str = "alice", **more: str) -> Seen:
        fields = {name.replace("_", "-"): value for name, value in more.items()}
        return self.ask("PATCH", url, {**PIECE, "Upload-Offset": str(offset), **fields}, body, login=login)

    def offset(self, url: str) -> int:
        seen = self.ask("HEAD", url, TUS)
        self.assertEqual((seen.status, seen.headers.get("cache-control")), (200, "no-store"))
        self.assertEqual(seen.headers.get("upload-length"), str(len(DATA)))
        return int(seen.headers.get("upload-offset") or -1)

    def test_piece_by_piece(self) -> None:
        seen = self.create()
        self.assertEqual((seen.status, seen.headers.get("tus-resumable")), (201, "1.0.0"))
        self.assertIsNotNone(seen.headers.get("upload-expires"))
        url = seen.headers.get("location") or ""
        self.assertEqual(self.offset(url), 0)
        for start in (0, 100, 200):
            self.assertEqual(self.ask("GET", "/data/demo/f").status, 404)
            seen = self.patch(url, start, DATA[start : start + 100])
            self.assertEqual((seen.status, seen.headers.get("upload-offset")), (204, str(start + 100)))
        file = self.tree.files["demo", "f"]
        self.assertEqual((self.tree.read("/demo/f"), seen.headers.get("etag")), (DATA, file.etag))
        self.assertEqual(self.offset(url), len(DATA))

    def test_a_broken_connection_loses_nothing(self) -> None:
        url = self.begun()
        self.assertEqual(self.patch(url, 0, MemorySource(DATA[:120], failure=ConnectionLost())).status, 400)
        self.assertEqual(self.offset(url), 120)
        self.assertEqual(self.patch(url, 120, DATA[120:]).status, 204)
        self.assertEqual(self.tree.read("/demo/f"), DATA)

    def test_in_a_folder_the_metadata_name_the_file(self) -> None:
        seen = self.create("/data/demo/", Upload_Metadata=f"type {encoded(b'x')},filename {encoded('ä b'.encode())}")
        self.assertTrue((seen.headers.get("location") or "").startswith("/data/demo/%C3%A4%20b?upload="))
        self.assertEqual(self.create("/data/demo/").status, 400)
        for wrong in ("***", "\xe9", "/w=="):
            self.assertEqual(self.create("/data/demo/", Upload_Metadata=f"filename {wrong}").status, 400)

    def test_with_the_first_bytes(self) -> None:
        fields = {**PIECE, "Upload-Length": str(len(DATA))}
        seen = self.ask("POST", "/data/demo/f", fields, DATA[:50])
        self.assertEqual((seen.status, seen.headers.get("upload-offset")), (201, "50"))
        self.patch(seen.headers.get("location") or "", 50, DATA[50:])
        self.assertEqual(self.tree.read("/demo/f"), DATA)

    def test_an_empty_file(self) -> None:
        self.assertEqual(self.create(length=0).status, 201)
        self.assertEqual(self.tree.read("/demo/f"), b"")

    def test_another_offset(self) -> None:
        url = self.begun()
        self.patch(url, 0, DATA[:10])
        for offset in (0, 9, 11):
            seen = self.patch(url, offset, b"never")
            self.assertEqual((seen.status, seen.headers.get("upload-offset")), (409, "10"))
        self.assertEqual(self.offset(url), 10)

    def test_more_than_was_announced(self) -> None:
        url = self.begun()
        self.assertEqual(self.patch(url, 0, DATA + b"!").status, 413)
        self.assertEqual(self.ask("PATCH", url, {**PIECE, "Upload-Offset": "0"}, DATA + b"!", length=None).status, 413)
        self.assertEqual(self.offset(url), 0)
        self.assertEqual(self.tree.files, {})

    def test_no_more_than_a_file_may_have_whatever_its_url_says(self) -> None:
        self.door = DataDoor(self.portal, "node-1", Limits(file_size=len(DATA)), self.clock.seconds, InlineThreads())
        url = self.begun()
        longer = url.replace(f"length={len(DATA)}", f"length={len(DATA) + 1}")
        seen = self.patch(longer, 0, DATA[:10])
        self.assertEqual((seen.status, seen.headers.get("tus-resumable")), (413, "1.0.0"))
        self.assertIn("The file is larger than is allowed here", seen.text)
        self.assertEqual(self.offset(url), 0)
        self.assertEqual(self.patch(url, 0, DATA).status, 204)

    def test_checksums(self) -> None:
        url = self.begun()
        wrong = "sha1 " + encoded(hashlib.sha1(b"other").digest())
        self.assertEqual(self.patch(url, 0, DATA[:50], Upload_Checksum=wrong).status, 460)
        self.assertEqual(self.offset(url), 0)
        right = "sha1 " + encoded(hashlib.sha1(DATA[:50]).digest())
        self.assertEqual(self.patch(url, 0, DATA[:50], Upload_Checksum=right).status, 204)
        for unknown in ("crc64 AAAA", "sha1 \xe9", "sha1 ***"):
            self.assertEqual(self.patch(url, 50, DATA[50:], Upload_Checksum=unknown).status, 400)
        wrong = "sha256 " + encoded(b"x" * 32)
        self.assertEqual(self.patch(url, 50, DATA[50:], Upload_Checksum=wrong).status, 460)
        self.assertEqual(self.tree.files, {})

    def test_anothers_upload_is_not_there(self) -> None:
        url = self.begun()
        self.patch(url, 0, DATA[:10])
        users = {**self.portal.users}
        identity = users["bob"][1]
        from attrs import evolve

        self.portal.users["bob"] = ("secret", evolve(identity, user_id=2, permissions=users["alice"][1].permissions))
        self.assertEqual(self.patch(url, 10, b"theirs", login="bob").status, 404)
        self.assertEqual(self.ask("HEAD", url, TUS, login="bob").status, 404)
        self.assertEqual(self.ask("DELETE", url, TUS, login="bob").status, 404)
        self.assertEqual(self.offset(url), 10)

    def test_given_up(self) -> None:
        url = self.begun()
        self.patch(url, 0, DATA[:10])
        self.assertEqual(self.ask("DELETE", url, TUS).status, 204)
        self.assertEqual(self.ask("HEAD", url, TUS).status, 404)
        self.assertEqual(self.patch(url, 10, b"late").status, 404)

    def test_only_a_new_name(self) -> None:
        url = self.create(If_None_Match="*").headers.get("location") or ""
        self.tree.now += 1
        self.tree.put("/demo/f", b"first")
        self.assertIn(self.patch(url, 0, DATA).status, (404, 412))
        self.assertEqual(self.tree.read("/demo/f"), b"first")
        self.assertEqual(self.create(If_None_Match="*").status, 412)

    def test_two_at_a_time(self) -> None:
        url = self.begun()
        waiting = Waiting()
        first = self.start(self.request("PATCH", url, {**PIECE, "Upload-Offset": "0"}, waiting))
        self.assertEqual(self.patch(url, 0, DATA).status, 423)
        self.assertEqual(self.ask("HEAD", url, TUS).status, 423)
        waiting.arrived.errback(ConnectionLost())
        self.finish(first)
        self.assertEqual(self.patch(url, 0, DATA).status, 204)

    def test_the_protocol(self) -> None:
        options = self.ask("OPTIONS", "/data/demo/")
        self.assertEqual(options.headers.get("tus-version"), "1.0.0")
        self.assertIn("creation", options.headers.get("tus-extension") or "")
        self.assertEqual(self.ask("POST", "/data/demo/f", {"Tus-Resumable": "0.2", "Upload-Length": "1"}).status, 412)
        for length in ("", "-1", "x", "9" * 19):
            self.assertEqual(self.ask("POST", "/data/demo/f", {**TUS, "Upload-Length": length}).status, 400)
        url = self.begun()
        self.assertEqual(self.ask("PATCH", url, {**TUS, "Upload-Offset": "0"}, b"x").status, 415)
        self.assertEqual(self.ask("PATCH", "/data/demo/f", PIECE, b"x").status, 405)
        self.assertEqual(self.ask("HEAD", "/data/demo/f?upload=x&length=1", TUS).status, 400)


class Waiting(MemorySource):
    """A source whose bytes are on their way."""

    def __init__(self) -> None:
        super().__init__(b"")
        self.arrived: Deferred[int] = Deferred()

    async def read_into(self, view: memoryview) -> int:
        return await self.arrived
