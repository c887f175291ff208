"""GET and HEAD of a file, by the sections of RFC 9110 and RFC 9530."""

from __future__ import annotations

import base64
import hashlib
from random import Random
from urllib.parse import quote

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost, Corrupt, Incomplete
from ecpds.http.message import Headers, IBody
from ecpds.model import DataFile, Entry
from ecpds.protocols.data_headers import disposition, media_type
from ecpds.protocols.data_read import FileBody, FileReader, UnsentBody
from ecpds.wire.dates import http_date
from ecpds.wire.ranges import Span
from tests.doubles import MemoryFileSystem, MemorySink
from tests.protocols.data_support import DoorTestCase

CONTENT = bytes(range(256)) * 4
SHA256 = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
MD5 = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()


class ReadTestCase(DoorTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.file = self.tree.put("/demo/sub/f.txt", CONTENT)
        self.modified = int(self.file.mtime)

    def get(self, **fields: str) -> tuple[int, bytes, str | None]:
        seen = self.ask("GET", "/data/demo/sub/f.txt", {name.replace("_", "-"): value for name, value in fields.items()})
        return seen.status, seen.body, seen.headers.get("content-range")


class WholeFileTests(ReadTestCase):
    def test_get(self) -> None:
        seen = self.ask("GET", "/data/demo/sub/f.txt")
        self.assertEqual((seen.status, seen.body), (200, CONTENT))
        expected = {
            "content-type": "text/plain; charset=utf-8",
            "content-disposition": 'inline; filename="f.txt"',
            "accept-ranges": "bytes",
            "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
            "etag": f'"{self.file.id}"',
            "last-modified": http_date(self.modified),
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
            "cache-control": "private, no-cache",
            "repr-digest": f"sha-256=:{SHA256}:",
            "content-length": str(len(CONTENT)),
        }
        self.assertEqual(dict(seen.headers.items()), expected)
        self.assertEqual(self.transfers(), [("download", "done", len(CONTENT))])
        self.assertEqual(self.tree.downloads, [])

    def test_head_says_the_same_and_is_no_pull(self) -> None:
        get = self.ask("GET", "/data/demo/sub/f.txt")
        self.portal.sink.events.clear()
        head = self.ask("HEAD", "/data/demo/sub/f.txt")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(dict(head.headers.items()), dict(get.headers.items()))
        self.assertEqual(self.portal.sink.events, [])

    def test_empty_file(self) -> None:
        self.tree.put("/demo/empty", b"")
        seen = self.ask("GET", "/data/demo/empty")
        self.assertEqual((seen.status, seen.body, seen.headers.get("content-length")), (200, b"", "0"))

    def test_any_name(self) -> None:
        for name in ("a b", "%41", "ü€\U0001f600", "a+b&c=d?e#f", 'quo"te', "back\\slash", "..."):
            with self.subTest(name=name):
                self.tree.put(f"/demo/{name}", name.encode())
                seen = self.ask("GET", "/data/demo/" + quote(name, safe=""))
                self.assertEqual((seen.status, seen.text), (200, name))
                seen.headers.get("content-disposition", "").encode("ascii")  # type: ignore[union-attr]

    def test_not_there(self) -> None:
        for method in ("GET", "HEAD"):
            for target in ("/data/demo/none", "/data/nowhere/f", "/data/demo/sub/f.txt/under"):
                with self.subTest(method=method, target=target):
                    self.portal.sink.events.clear()
                    self.assertEqual(self.ask(method, target).status, 404)
                    self.assertEqual(len(self.denials()), 1)

    def test_without_the_right(self) -> None:
        for method in ("GET", "HEAD"):
            self.portal.sink.events.clear()
            seen = self.ask(method, "/data/demo/sub/f.txt", {"If-None-Match": "*"}, login="bob")
            self.assertEqual((seen.status, seen.headers.get("etag")), (403, None))
            self.assertEqual(len(self.denials()), 1)

    def test_directory_is_at_its_slash(self) -> None:
        rows = [("/data/demo", "/data/demo/"), ("/data/demo/sub?format=json", "/data/demo/sub/?format=json")]
        self.tree.put("/demo/ü b/x", b"")
        for target, location in [*rows, ("/data/demo/%C3%BC%20b", "/data/demo/%C3%BC%20b/")]:
            seen = self.ask("GET", target)
            self.assertEqual((seen.status, seen.headers.get("location")), (301, location))
        self.assertEqual(self.portal.sink.events, [])

    def test_no_redirect_leads_elsewhere(self) -> None:
        for target in ("/data//evil.example", "/data/\\evil.example", "/data/demo//evil.example"):
            seen = self.ask("GET", target)
            self.assertNotIn("location", seen.headers)
            self.assertIn(seen.status, (400, 404))


class RangeTests(ReadTestCase):
    def test_rows(self) -> None:
        size = len(CONTENT)
        tag, then, before = self.file.etag, http_date(self.modified), http_date(self.modified - 1)
        whole = (200, CONTENT, None)
        rows: list[tuple[str, dict[str, str], tuple[int, bytes, str | None]]] = [
            ("14.1.2 from the start", {"range": "bytes=0-9"}, (206, CONTENT[:10], f"bytes 0-9/{size}")),
            ("14.1.2 open", {"range": "bytes=1000-"}, (206, CONTENT[1000:], f"bytes 1000-1023/{size}")),
            ("14.1.2 suffix", {"range": "bytes=-4"}, (206, CONTENT[-4:], f"bytes 1020-1023/{size}")),
            ("14.1.2 beyond the end", {"range": "bytes=1020-9999"}, (206, CONTENT[1020:], f"bytes 1020-1023/{size}")),
            ("15.3.7.2 near to each other: one", {"range": "bytes=0-1,4-5"}, (206, CONTENT[:6], f"bytes 0-5/{size}")),
            ("14.2 one of several can be met", {"range": "bytes=9999-,4-5"}, (206, CONTENT[4:6], f"bytes 4-5/{size}")),
            ("14.2 malformed is ignored", {"range": "bytes=9-1"}, whole),
            ("14.2 another unit is ignored", {"range": "lines=1-2"}, whole),
            ("13.1.5 the same file", {"range": "bytes=0-1", "if-range": tag}, (206, CONTENT[:2], f"bytes 0-1/{size}")),
            ("13.1.5 weakly the same", {"range": "bytes=0-1", "if-range": f"W/{tag}"}, whole),
            ("13.1.5 another file", {"range": "bytes=0-1", "if-range": '"999"'}, whole),
            ("13.1.5 the same date", {"range": "bytes=0-1", "if-range": then}, (206, CONTENT[:2], f"bytes 0-1/{size}")),
            ("13.1.5 another date", {"range": "bytes=0-1", "if-range": before}, whole),
            ("13.1.5 of another file, beyond the end", {"range": "bytes=9999-", "if-range": '"999"'}, whole),
        ]
        for rule, fields, expected in rows:
            with self.subTest(rule=rule):
                self.assertEqual(self.get(**fields), expected)

    def test_not_satisfiable(self) -> None:
        for field in ("bytes=1024-", "bytes=-0", "bytes=5000-6000,7000-"):
            seen = self.ask("GET", "/data/demo/sub/f.txt", {"Range": field})
            self.assertEqual((seen.status, seen.headers.get("content-range")), (416, "bytes */1024"))
            self.assertNotIn("repr-digest", seen.headers)
        self.assertEqual(self.transfers(), [], "nothing was opened")

    def test_digest_is_of_the_whole_file(self) -> None:
        seen = self.ask("GET", "/data/demo/sub/f.txt", {"Range": "bytes=0-1"})
        self.assertEqual(seen.headers.get("repr-digest"), f"sha-256=:{SHA256}:")

    def test_head_has_no_ranges(self) -> None:
        seen = self.ask("HEAD", "/data/demo/sub/f.txt", {"Range": "bytes=0-1"})
        self.assertEqual((seen.status, seen.headers.get("content-length")), (200, "1024"))

    def test_record_counts_the_part(self) -> None:
        self.get(range="bytes=0-9")
        self.assertEqual(self.transfers(), [("download", "done", 10)])

    @given(st.text(), st.text())
    def test_no_field_crashes(self, field: str, if_range: str) -> None:
        for value in (field, f"bytes={field}"):
            for fields in ({"range": value}, {"range": value, "if-range": if_range}):
                status, body, said = self.get(**fields)
                self.assertIn(status, (200, 206, 416))
                self.assertTrue(status == 416 or said is None or body in CONTENT)


class ConditionTests(ReadTestCase):
    def test_rows(self) -> None:
        tag, then = self.file.etag, http_date(self.modified)
        rows: list[tuple[str, dict[str, str], int]] = [
            ("13.1.2", {"if-none-match": tag}, 304),
            ("13.1.2 weakly", {"if-none-match": f'"x", W/{tag}'}, 304),
            ("13.1.2 another", {"if-none-match": '"999"'}, 200),
            ("13.1.3", {"if-modified-since": then}, 304),
            ("13.1.1", {"if-match": tag}, 200),
            ("13.1.1 another", {"if-match": '"999"'}, 412),
            ("13.1.4", {"if-unmodified-since": http_date(self.modified - 1)}, 412),
            ("13.2.2 conditions go before ranges", {"if-none-match": tag, "range": "bytes=0-1"}, 304),
            ("13.2.2 and before ranges that can't be met", {"if-match": '"999"', "range": "bytes=9999-"}, 412),
            ("malformed", {"if-none-match": "seven"}, 400),
        ]
        for rule, fields, status in rows:
            for method in ("GET", "HEAD"):
                with self.subTest(rule=rule, method=method):
                    self.assertEqual(self.ask(method, "/data/demo/sub/f.txt", fields).status, status)

    def test_not_modified_is_no_pull(self) -> None:
        seen = self.ask("GET", "/data/demo/sub/f.txt", {"If-None-Match": self.file.etag})
        self.assertEqual((seen.status, seen.body, seen.headers.get("etag")), (304, b"", self.file.etag))
        self.assertIn("cache-control", seen.headers)
        self.assertEqual(self.portal.sink.events, [])


class ReplacedMeanwhileTests(ReadTestCase):
    """Between the look and the opening somebody puts another file: the reply is wholly of the one that is sent."""

    def setUp(self) -> None:
        super().setUp()
        looked, tree = MemoryFileSystem.stat, self.tree

        async def look_and_lose(files: MemoryFileSystem, path: str) -> Entry:
            entry: Entry = await looked(files, path)
            tree.put("/demo/sub/f.txt", b"another")
            return entry

        self.patch(MemoryFileSystem, "stat", look_and_lose)

    def test_headers_are_of_what_is_sent(self) -> None:
        seen = self.ask("GET", "/data/demo/sub/f.txt")
        self.assertEqual((seen.body, seen.headers.get("etag")), (b"another", self.tree.files["demo", "sub", "f.txt"].etag))
        expected = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
        self.assertEqual(seen.headers.get("repr-digest"), f"sha-256=:{expected}:")

    def test_a_resume_gets_the_whole_of_the_new_file(self) -> None:
        self.assertEqual(self.get(range="bytes=5-", if_range=self.file.etag), (200, b"another", None))

    def test_what_then_is_known_already_is_given_back(self) -> None:
        self.assertEqual(self.get(if_none_match=f'"{self.file.id + 1}"'), (304, b"", None))
        self.assertEqual(self.tree.downloads, [])

    def test_what_then_is_refused_is_given_back(self) -> None:
        self.assertEqual(self.get(range="bytes=500-")[0], 416)
        self.assertEqual(self.get(if_match=self.file.etag)[0], 412)
        self.assertEqual(self.tree.downloads, [])


class BodyTests(ReadTestCase):
    def body(self) -> IBody:
        response = self.successResultOf(self.start(self.request("GET", "/data/demo/sub/f.txt")))
        body = response.body
        assert not isinstance(body, bytes)
        return body

    def test_bodies(self) -> None:
        self.assertTrue(verifyObject(IBody, self.body()))
        self.assertTrue(verifyObject(IBody, UnsentBody(7)))
        self.failureResultOf(Deferred.fromCoroutine(UnsentBody(7).send(MemorySink())), Incomplete)

    def test_client_that_goes_away(self) -> None:
        body = self.body()
        failure = self.failureResultOf(Deferred.fromCoroutine(body.send(MemorySink(room=100))), ConnectionLost)
        body.close(failure.value)
        self.assertEqual([row[:2] for row in self.transfers()], [("download", "failed")])
        self.assertEqual(self.tree.downloads, [])

    def test_damage_is_not_hidden(self) -> None:
        body = self.body()
        self.tree.downloads[0].damaged = True
        self.failureResultOf(Deferred.fromCoroutine(body.send(MemorySink())), Corrupt)

    def test_file_stays_as_it_was_opened(self) -> None:
        body = self.body()
        self.ask("DELETE", "/data/demo/sub/f.txt")
        sink = MemorySink()
        self.successResultOf(Deferred.fromCoroutine(body.send(sink)))
        self.assertEqual(sink.value, CONTENT)

    def test_file_body_is_the_span(self) -> None:
        self.body()
        sink = MemorySink()
        self.successResultOf(Deferred.fromCoroutine(FileBody(self.tree.downloads[0], Span(3, 4)).send(sink)))
        self.assertEqual(sink.value, CONTENT[3:7])


class DigestTests(ReadTestCase):
    def test_wanted(self) -> None:
        rows = [
            ("md5=10", f"md5=:{MD5}:"),
            ("md5=1, sha-256=5", f"sha-256=:{SHA256}:, md5=:{MD5}:"),
            ("sha-512=10", f"sha-256=:{SHA256}:"),
            ("sha-256=0", None),
            ("nonsense", f"sha-256=:{SHA256}:"),
        ]
        for want, expected in rows:
            with self.subTest(want=want):
                seen = self.ask("HEAD", "/data/demo/sub/f.txt", {"Want-Repr-Digest": want})
                self.assertEqual(seen.headers.get("repr-digest"), expected)

    def test_the_older_field_for_who_asks_for_it(self) -> None:
        rows = [
            ("SHA-256", f"SHA-256={SHA256}"),
            ("sha-256;q=0.3, MD5", f"MD5={MD5},SHA-256={SHA256}"),
            ("adler32, md5;q=0.5", f"MD5={MD5}"),
            ("adler32", None),
            ("md5;q=0", None),
            ("md5;q=2", None),
            (",;=", None),
        ]
        for want, expected in rows:
            for method, ranges in (("GET", {}), ("HEAD", {}), ("GET", {"Range": "bytes=0-1"})):
                with self.subTest(want=want, method=method):
                    seen = self.ask(method, "/data/demo/sub/f.txt", {"Want-Digest": want, **ranges})
                    self.assertEqual(seen.headers.get("digest"), expected)

    def test_of_the_content_where_that_is_the_file(self) -> None:
        wanted = {"Want-Content-Digest": "sha-256=1"}
        seen = self.ask("GET", "/data/demo/sub/f.txt", wanted)
        self.assertEqual(seen.headers.get("content-digest"), f"sha-256=:{SHA256}:")
        self.assertNotIn("content-digest", self.ask("GET", "/data/demo/sub/f.txt", {**wanted, "Range": "bytes=0-1"}).headers)

    def test_left_out_until_known(self) -> None:
        file = DataFile(1, 3, 0.0, 0.0)
        reply = FileReader(1, Random(1)).decide(self.request("GET", "/data/demo/f"), Entry("/demo/f", 0.0, file), file, 1)
        self.assertNotIn("repr-digest", Headers(reply.headers))


class NameTests(DoorTestCase):
    def test_types(self) -> None:
        rows = [
            ("a.txt", "text/plain; charset=utf-8", True),
            ("A.JSON", "application/json", True),
            ("a.png", "image/png", True),
            ("a.grib2", "application/octet-stream", False),
            ("txt", "application/octet-stream", False),
            (".txt", "text/plain; charset=utf-8", True),
            ("noextension", "application/octet-stream", False),
            ("", "application/octet-stream", False),
        ]
        for name, kind, shown in rows:
            with self.subTest(name=name):
                self.assertEqual(media_type(name), (kind, shown))

    def test_what_could_run_is_downloaded(self) -> None:
        for name in (
            "x.html",
            "x.HTM",
            "x.xhtml",
            "x.svg",
            "x.xml",
            "x.xsl",
            "x.js",
            "x.mjs",
            "x.css",
            "x.pdf",
            "x.swf",
            "x.mht",
        ):
            with self.subTest(name=name):
                self.tree.put(f"/demo/{name}", b"<script>alert(1)</script>")
                seen = self.ask("GET", f"/data/demo/{name}")
                self.assertTrue((seen.headers.get("content-disposition") or "").startswith("attachment"))
                self.assertTrue((seen.headers.get("content-security-policy") or "").startswith("sandbox;"))
                self.assertEqual(seen.headers.get("x-content-type-options"), "nosniff")

    def test_dispositions(self) -> None:
        rows = [
            ("f.txt", 'inline; filename="f.txt"'),
            ("a b", 'inline; filename="a b"'),
            ("é.txt", "inline; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"),
            ('a"b\\c', "inline; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
            ("50%41.txt", "inline; filename=\"50_41.txt\"; filename*=UTF-8''50%2541.txt"),
            ("a\r\nX: y", "inline; filename=\"a__X: y\"; filename*=UTF-8''a%0D%0AX%3A%20y"),
        ]
        for name, expected in rows:
            with self.subTest(name=name):
                self.assertEqual(disposition(name, True), expected)

    @given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
    def test_any_name_is_a_safe_field(self, name: str) -> None:
        field = disposition(name, False)
        self.assertTrue(field.isascii() and field.isprintable())
        self.assertEqual(field.count('"'), 2)


class Registered(DoorTestCase):
    def test_headers_by_name(self) -> None:
        text = "(=. .grib2) Content-Type=application/wmo-GRIB2;X-Kind=field (.= run) Cache-Control=max-age=60"
        password, identity = self.portal.users["alice"]
        self.portal.users["alice"] = (password, evolve(identity, options={"portal.headerRegistry": text}))
        for name in ("run.grib2", "other.txt"):
            self.tree.put(f"/demo/{name}", b"0123456789")
        for fields in ({}, {"Range": "bytes=0-1"}):
            seen = self.ask("GET", "/data/demo/run.grib2", fields)
            self.assertEqual(seen.headers.get_all("content-type"), ["application/wmo-GRIB2"])
            self.assertEqual((seen.headers.get("x-kind"), seen.headers.get_all("cache-control")), ("field", ["max-age=60"]))
            self.assertIn("sandbox", seen.headers.get("content-security-policy") or "")
        self.assertIsNone(self.ask("GET", "/data/demo/other.txt").headers.get("x-kind"))
