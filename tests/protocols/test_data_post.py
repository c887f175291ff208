"""POST: raw, and as a browser's form sends files; and COPY."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ecpds.errors import ConnectionLost
from tests.doubles import MemorySource
from tests.protocols.data_support import DoorTestCase, Seen

BOUNDARY = "----X9"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Raw(DoorTestCase):
    def test_a_file(self) -> None:
        seen = self.ask("POST", "/data/demo/a", {"Content-Type": "application/octet-stream"}, b"posted")
        self.assertEqual((seen.status, self.tree.read("/demo/a")), (201, b"posted"))
        self.assertEqual(self.ask("POST", "/data/demo/a", {"If-None-Match": "*"}, b"x").status, 412)

    def test_what_can_not_be_a_file(self) -> None:
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        self.assertEqual(self.ask("POST", "/data/demo/a", sent, b"a=b").status, 415)
        self.assertEqual(self.ask("POST", "/data/demo/", {}, b"a").status, 400)
        self.assertEqual(self.tree.files, {})


class Forms(DoorTestCase):
    def post(self, body: bytes, target: str = "/data/demo/", **more: str) -> Seen:
        return self.ask("POST", target, {**FORM, **more}, MemorySource(body, piece=7), len(body))

    def test_several_files(self) -> None:
        seen = self.post(form(part("token", b"x"), part("file", b"one", "a.txt"), part("file", b"", "%22b%22 ä")))
        self.assertEqual(seen.status, 201)
        self.assertEqual(self.tree.read("/demo/a.txt"), b"one")
        self.assertEqual(self.tree.read('/demo/"b" ä'), b"")
        self.assertEqual(self.transfers(), [("upload", "done", 3), ("upload", "done", 0)])

    def test_a_browser_is_led_back(self) -> None:
        seen = self.post(form(part("file", b"one", "a.txt")), Accept="text/html")
        self.assertEqual((seen.status, seen.headers.get("location")), (303, "/data/demo/"))

    def test_a_form_that_is_cut_publishes_nothing(self) -> None:
        whole = form(part("file", b"one", "a.txt"))
        for stop in range(len(whole) - 4):
            body = MemorySource(whole[:stop], failure=ConnectionLost())
            self.assertEqual(self.ask("POST", "/data/demo/", FORM, body, len(whole)).status, 400, stop)
            if stop < whole.index(b"\r\n--", 10):
                self.assertEqual((self.tree.files, self.tree.uploads), ({}, []), stop)

    def test_a_form_that_is_none(self) -> None:
        for body in (
            b"nothing at all",
            form(b"--" + BOUNDARY.encode() + b"\r\nX: y\r\n\r\ncontent\r\n"),
            b"--" + BOUNDARY.encode() + b"junk\r\n\r\n",
            form(),
            form(part("file", b"", "")),
            form(part("file", b"x", "a%0Ab")),
            b"--" + BOUNDARY.encode() + b"\r\n" + b"X: y\r\n" * 5000,
            form(*[part(str(number), b"") for number in range(1001)]),
            form(part("text", b"x" * 5000)),
        ):
            self.assertIn(self.post(body).status, (400, 413), body[:60])
        self.assertEqual(self.ask("POST", "/data/demo/", {"Content-Type": "multipart/form-data"}, b"").status, 400)
        self.assertEqual(self.post(form(part("file", b"x", "a")), "/data/demo/file").status, 400)
        self.assertEqual(self.tree.files, {})

    def test_a_name_can_not_lead_out(self) -> None:
        for name in ("../other/a", "..", "/../other/a", "a/../b"):
            self.assertEqual(self.post(form(part("file", b"x", name))).status, 400, name)
        self.assertEqual(self.tree.files, {})

    @given(st.binary(max_size=300), st.integers(1, 200))
    def test_any_content_comes_through(self, content: bytes, piece: int) -> None:
        content += b"\r\n--" + BOUNDARY[:-1].encode()
        body = form(part("file", content, "f"))
        seen = self.ask("POST", "/data/demo/", FORM, MemorySource(body, piece=piece), len(body))
        self.assertEqual((seen.status, self.tree.read("/demo/f")), (201, content))

    @given(st.binary(max_size=400))
    def test_any_bytes_are_a_form_or_refused(self, body: bytes) -> None:
        self.assertIn(self.post(b"--" + BOUNDARY.encode() + body).status, (201, 400, 413))


class Copies(DoorTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.tree.put("/demo/old", b"content", metadata={"a": "b"})

    def copy(self, target: str, source: str = "/data/demo/old", **more: str) -> Seen:
        return self.ask("COPY", source, {"Destination": target, **more})

    def test_a_file_of_its_own(self) -> None:
        seen = self.copy("/data/other/new%20name")
        self.assertEqual((seen.status, seen.headers.get("location")), (201, "/data/other/new%20name"))
        first, second = self.tree.files["demo", "old"], self.tree.files["other", "new name"]
        self.assertEqual((self.tree.read("/other/new name"), second.metadata), (b"content", {"a": "b"}))
        self.assertNotEqual(first.id, second.id)
        self.assertEqual(self.transfers(), [("upload", "done", 7), ("download", "done", 7)])

    def test_over_another(self) -> None:
        self.tree.put("/demo/new", b"there")
        self.assertEqual(self.copy("/data/demo/new", Overwrite="F").status, 412)
        self.assertEqual(self.tree.read("/demo/new"), b"there")
        self.assertEqual(self.copy("/data/demo/new").status, 204)
        self.assertEqual(self.tree.read("/demo/new"), b"content")

    def test_what_is_refused(self) -> None:
        self.assertEqual(self.copy("/data/demo/new", "/data/demo/none").status, 404)
        self.assertEqual(self.copy("/data/demo/new/", "/data/demo/old/").status, 409)
        self.assertEqual(self.copy("https://elsewhere/data/demo/new").status, 502)
        self.assertEqual(self.copy("/dat/demo/new").status, 400)
        self.assertEqual(self.ask("COPY", "/data/demo/old", {}).status, 400)
        denied = self.ask("COPY", "/data/demo/old", {"Destination": "/data/demo/new"}, login="bob")
        self.assertEqual(denied.status, 403)
        self.assertEqual(list(self.tree.files), [("demo", "old")])
