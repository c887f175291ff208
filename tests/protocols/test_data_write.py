"""PUT and DELETE: what is stored, what is answered, and that nothing half is ever seen."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from ecpds.errors import ConnectionLost, NoSpace, Refusal, Stalled
from ecpds.interfaces import IByteSource
from ecpds.model import Entry
from ecpds.wire.dates import http_date
from tests.doubles import MemorySource, MemoryUpload
from tests.protocols.data_support import DoorTestCase, Seen

OLD = b"old content"
NEW = b"new content, longer"


def encoded(algorithm: str, data: bytes = NEW) -> str:
    return base64.b64encode(hashlib.new(algorithm, data).digest()).decode()


class WriteTestCase(DoorTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old = self.tree.put("/demo/old", OLD)

    def put(self, target: str = "/data/demo/new", body: bytes | IByteSource = NEW, **fields: str) -> Seen:
        return self.ask("PUT", target, {name.replace("_", "-"): value for name, value in fields.items()}, body)

    def unchanged(self) -> None:
        """Nothing but what was there at the start is there, and nothing is on its way."""
        self.assertEqual(list(self.tree.files), [("demo", "old")])
        self.assertEqual(self.tree.read("/demo/old"), OLD)
        self.assertEqual(self.tree.uploads, [])


class PutTests(WriteTestCase):
    def test_new(self) -> None:
        seen = self.put("/data/demo/a/b%20c%25.txt")
        self.assertEqual((seen.status, seen.body), (201, b""))
        file = self.tree.files["demo", "a", "b c%.txt"]
        self.assertEqual(self.tree.read("/demo/a/b c%.txt"), NEW)
        expected = {
            "location": "/data/demo/a/b%20c%25.txt",
            "etag": file.etag,
            "last-modified": http_date(file.mtime),
            "repr-digest": f"sha-256=:{encoded('sha256')}:",
        }
        self.assertEqual({name: seen.headers.get(name) for name in expected}, expected)
        self.assertEqual(self.transfers(), [("upload", "done", len(NEW))])
        self.assertEqual(self.denials(), [])

    def test_replaced(self) -> None:
        committed = MemoryUpload.commit

        async def commit(upload: MemoryUpload) -> Entry:
            return evolve(await committed(upload), replaced=True)

        self.patch(MemoryUpload, "commit", commit)
        seen = self.put("/data/demo/old")
        self.assertEqual((seen.status, self.tree.read("/demo/old")), (204, NEW))
        self.assertNotEqual(seen.headers.get("etag"), self.old.etag)

    def test_empty(self) -> None:
        self.assertEqual(self.put(body=b"").status, 201)
        self.assertEqual(self.tree.read("/demo/new"), b"")

    def test_chunked(self) -> None:
        self.assertEqual(self.put(body=MemorySource(NEW, piece=3)).status, 201)
        self.assertEqual(self.tree.read("/demo/new"), NEW)

    def test_the_length_reaches_the_portal(self) -> None:
        self.tree.space = len(OLD) + 10
        body = MemorySource(b"x" * 20)
        seen = self.ask("PUT", "/data/demo/new", body=body, length=20)
        self.assertEqual((seen.status, body.read), (507, 0))
        self.unchanged()

    def test_visible_only_after_the_commit(self) -> None:
        self.tree.hold = hold = Deferred()
        answered = self.start(self.request("PUT", "/data/demo/old", body=NEW))
        self.assertNoResult(answered)
        self.assertEqual(self.tree.read("/demo/old"), OLD)
        hold.callback(None)
        self.finish(answered)
        self.assertEqual(self.tree.read("/demo/old"), NEW)

    @given(
        st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=60), st.binary()
    )
    def test_any_name_makes_the_round_trip(self, name: str, content: bytes) -> None:
        if name in (".", ".."):
            return
        target = "/data/demo/" + quote(name, safe="")
        seen = self.put(target, content)
        self.assertIn(seen.status, (201, 204))
        self.assertEqual(self.ask("GET", seen.headers.get("location")).body, content)


class CutTests(WriteTestCase):
    def test_body_that_breaks(self) -> None:
        for failure, target, status in (
            (ConnectionLost(), "new", 400),
            (Stalled(), "old", 408),
            (NoSpace(), "old", 507),
            (CancelledError("asked to"), "old", None),
        ):
            with self.subTest(failure=failure):
                self.portal.sink.events.clear()
                source = MemorySource(NEW[:5], failure=failure)
                answered = self.start(self.request("PUT", f"/data/demo/{target}", body=source, length=len(NEW)))
                if status is None:
                    self.failureResultOf(answered, type(failure))
                else:
                    self.assertEqual(self.finish(answered).status, status)
                self.unchanged()
                self.assertEqual(self.transfers(), [("upload", "failed", 5)])

    def test_clean_end_before_the_length(self) -> None:
        seen = self.ask("PUT", "/data/demo/old", body=MemorySource(NEW), length=len(NEW) + 1)
        self.assertEqual(seen.status, 400)
        self.unchanged()

    def test_client_cancelled_while_the_body_is_awaited(self) -> None:
        waiting: Deferred[int] = Deferred()

        class Waiting(MemorySource):
            async def read_into(self, view: memoryview) -> int:
                return await waiting

        answered = self.start(self.request("PUT", "/data/demo/old", body=Waiting()))
        self.assertEqual(len(self.tree.uploads), 1)
        answered.cancel()
        self.failureResultOf(answered, CancelledError)
        self.unchanged()

    def test_refusals_of_the_portal(self) -> None:
        refusal: type[Refusal]
        for refusal, status in ((NoSpace, 507), (ConnectionLost, 400)):
            self.tree.broken = refusal()
            self.assertEqual(self.put().status, status)
        self.tree.broken = None
        self.unchanged()


class PutConditionTests(WriteTestCase):
    def test_rows(self) -> None:
        tag, then, before = self.old.etag, http_date(self.old.mtime), http_date(self.old.mtime - 1)
        rows: list[tuple[str, str, dict[str, str], int]] = [
            ("13.1.2 only if absent, and it is", "new", {"if-none-match": "*"}, 201),
            ("13.1.2 only if absent, and it isn't", "old", {"if-none-match": "*"}, 412),
            ("13.1.1 only this", "old", {"if-match": tag}, 204),
            ("13.1.1 only another", "old", {"if-match": '"999"'}, 412),
            ("13.1.1 weakly this", "old", {"if-match": f"W/{tag}"}, 412),
            ("13.1.1 only if there", "old", {"if-match": "*"}, 204),
            ("13.1.1 only if there, and it isn't", "new", {"if-match": "*"}, 412),
            ("13.1.1 this, where nothing is", "new", {"if-match": tag}, 412),
            ("13.1.2 anything but this", "old", {"if-none-match": tag}, 412),
            ("13.1.2 anything but another", "old", {"if-none-match": '"999"'}, 204),
            ("13.1.2 anything but another, where nothing is", "new", {"if-none-match": tag}, 201),
            ("13.1.4 until then", "old", {"if-unmodified-since": then}, 204),
            ("13.1.4 until before", "old", {"if-unmodified-since": before}, 412),
            ("13.1.4 where nothing is", "new", {"if-unmodified-since": before}, 201),
            ("13.1.3 means nothing here", "new", {"if-modified-since": then}, 201),
        ]
        for rule, name, fields, status in rows:
            with self.subTest(rule=rule):
                self.tree.files.clear()
                self.tree.files["demo", "old"] = self.old
                body = MemorySource(NEW)
                seen = self.ask("PUT", f"/data/demo/{name}", fields, body)
                self.assertEqual(seen.status, status)
                self.assertEqual(("demo", name) in self.tree.files and self.tree.read(f"/demo/{name}") == NEW, status < 400)
                self.assertEqual(body.read > 0, status < 400, "refused before the body")

    def test_checked_again_at_the_commit(self) -> None:
        late = http_date(self.old.mtime + 1e6)
        rows = [
            {"if-match": self.old.etag},
            {"if-none-match": '"999"'},
            {"if-unmodified-since": late},
        ]
        for fields in rows:
            with self.subTest(fields=fields):
                self.tree.files["demo", "old"] = self.old
                self.tree.hold = hold = Deferred()
                answered = self.start(self.request("PUT", "/data/demo/old", fields, NEW))
                self.tree.put("/demo/old", b"somebody else's")
                hold.callback(None)
                self.assertEqual(self.finish(answered).status, 412)
                self.assertEqual(self.tree.read("/demo/old"), b"somebody else's")


class PutDigestTests(WriteTestCase):
    def test_announced_and_right(self) -> None:
        rows = [
            ("RFC 9530", "Repr-Digest", f"sha-256=:{encoded('sha256')}:"),
            ("RFC 9530", "Content-Digest", f"sha-512=:{encoded('sha512')}:, md5=:{encoded('md5')}:"),
            ("RFC 3230", "Digest", f"SHA-256={encoded('sha256')}"),
            ("RFC 1864", "Content-MD5", encoded("md5")),
            ("RFC 9530 2, unknown", "Repr-Digest", "sha-3-256=:AAAA:"),
        ]
        for rule, name, value in rows:
            with self.subTest(rule=rule):
                self.assertIn(self.ask("PUT", "/data/demo/new", {name: value}, NEW).status, (201, 204))

    def test_announced_and_wrong(self) -> None:
        rows = [
            ("Repr-Digest", f"sha-256=:{encoded('sha256', OLD)}:"),
            ("Content-Digest", f"sha-256=:{encoded('sha256')}:, md5=:{encoded('md5', OLD)}:"),
            ("Digest", f"md5={encoded('md5', OLD)}"),
            ("Content-MD5", encoded("md5", OLD)),
        ]
        for name, value in rows:
            with self.subTest(name=name):
                self.assertEqual(self.ask("PUT", "/data/demo/old", {name: value}, NEW).status, 400)
                self.unchanged()


class DeleteTests(WriteTestCase):
    def test_file(self) -> None:
        seen = self.ask("DELETE", "/data/demo/old")
        self.assertEqual((seen.status, seen.body), (204, b""))
        self.assertEqual(self.ask("GET", "/data/demo/old").status, 404)

    def test_refused(self) -> None:
        self.tree.put("/demo/sub/f", b"")
        rows: list[tuple[str, dict[str, str], int]] = [
            ("/data/demo/none", {}, 404),
            ("/data/demo/old", {"if-match": '"999"'}, 412),
            ("/data/demo/old", {"if-match": "old"}, 400),
            ("/data/demo/old", {"if-unmodified-since": http_date(self.old.mtime - 1)}, 412),
            ("/data/demo/sub", {}, 409),
            ("/data/demo/sub/", {}, 409),
            ("/data/demo/sub/", {"if-match": '"1"'}, 412),
            ("/data/demo/old/", {}, 409),
            ("/data/demo/none/", {}, 404),
            ("/data/demo", {}, 409),
            ("/data/demo/", {}, 403),
            ("/data/", {}, 403),
        ]
        for target, fields, status in rows:
            with self.subTest(target=target, fields=fields):
                self.portal.sink.events.clear()
                self.assertEqual(self.ask("DELETE", target, fields).status, status)
                self.assertEqual(len(self.denials()), 1)
        self.assertEqual(len(self.tree.files), 2)

    def test_only_this(self) -> None:
        self.assertEqual(self.ask("DELETE", "/data/demo/old", {"If-Match": self.old.etag}).status, 204)

    def test_empty_directory(self) -> None:
        self.tree.directories["demo", "sub"] = False
        self.assertEqual(self.ask("DELETE", "/data/demo/sub/").status, 204)
        self.assertNotIn(("demo", "sub"), self.tree.directories)

    def test_without_the_right(self) -> None:
        self.assertEqual(self.ask("DELETE", "/data/demo/old", login="bob").status, 403)
        self.unchanged()
