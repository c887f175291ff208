"""COPY of folders: what arrives, what is told, and that nothing of anybody's is replaced."""

from __future__ import annotations

from xml.etree import ElementTree

from attrs import evolve

from ecpds.errors import InvalidRequest, NoSpace, PreconditionFailed
from ecpds.limits import Limits
from ecpds.protocols.data import DataDoor
from ecpds.threads import InlineThreads
from tests.doubles import MemoryUpload
from tests.doubles.files import MemoryDownload, MemoryFileSystem
from tests.protocols.data_support import DoorTestCase, Seen

CONTENT = {f"{folder}{number}": f"{folder}{number}".encode() for folder in ("", "a/", "a/b/", "c d/") for number in range(5)}
DAV = "{DAV:}"


def _hyphened(fields: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in fields.items()}


class Conditions(DoorTestCase):
    """Those of RFC 9110 section 13.1 are about what the request names: what is copied or moved, not what is replaced."""

    def setUp(self) -> None:
        super().setUp()
        self.tag = self.tree.put("/demo/from", b"new").etag
        self.other = self.tree.put("/demo/to", b"old").etag

    def answer(self, method: str, source: str = "/data/demo/from", **fields: str) -> int:
        return self.ask(method, source, {"Destination": "/data/demo/to", **_hyphened(fields)}).status

    def unmet(self) -> list[dict[str, str]]:
        return [
            {"If_Match": self.other},
            {"If_Match": f"W/{self.tag}"},
            {"If_None_Match": "*"},
            {"If_None_Match": f"{self.other}, {self.tag}"},
            {"If_Unmodified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        ]

    def contents(self) -> dict[str, bytes]:
        return {name[-1]: self.tree.contents[file.id] for name, file in self.tree.files.items()}

    def test_a_copy_is_made_of_what_meets_them(self) -> None:
        for fields in self.unmet():
            self.assertEqual(self.answer("COPY", **fields), 412, fields)
        self.assertEqual(self.answer("COPY", If_Match="x"), 400)
        self.assertEqual(self.contents(), {"from": b"new", "to": b"old"})
        self.assertEqual(self.answer("COPY", If_Match=self.tag, If_None_Match=self.other), 204)
        self.assertEqual(self.contents(), {"from": b"new", "to": b"new"})

    def test_a_refusal_is_on_record_in_words(self) -> None:
        """As what is refused by the portal is, not as a fault."""
        closed, close = list[type | None](), MemoryDownload.close

        def noted(download: MemoryDownload, failure: BaseException | None = None) -> None:
            closed.append(type(failure))
            close(download, failure)

        self.patch(MemoryDownload, "close", noted)
        self.assertEqual([self.answer("COPY", If_Match=tag) for tag in (self.other, "x")], [412, 400])
        self.assertEqual(closed, [PreconditionFailed, InvalidRequest])

    def test_what_can_not_be_held_to_them_is_refused(self) -> None:
        """A move, and the copy of a folder."""
        for fields in [*self.unmet(), {"If_Match": self.tag}]:
            self.assertEqual(self.answer("MOVE", **fields), 501, fields)
            self.assertEqual(self.answer("COPY", "/data/demo/", **fields), 501, fields)
        self.assertEqual(self.contents(), {"from": b"new", "to": b"old"})
        self.assertEqual(self.answer("MOVE"), 204)
        self.assertEqual(self.contents(), {"to": b"new"})


class FolderCopies(DoorTestCase):
    """`/demo/from` has 20 files in four folders; a listing has three entries a page."""

    def setUp(self) -> None:
        super().setUp()
        for path, data in CONTENT.items():
            self.tree.put(f"/demo/from/{path}", data, metadata={"a": path})
        self.tree.directories["demo", "from", "empty"] = False

    def copy(self, target: str = "/data/other/to/", source: str = "/data/demo/from/", **fields: str) -> Seen:
        return self.ask("COPY", source, {"Destination": target, **fields})

    def copied(self, *root: str) -> dict[str, bytes]:
        depth = len(root)
        return {
            "/".join(name[depth:]): self.tree.contents[file.id]
            for name, file in self.tree.files.items()
            if name[:depth] == root
        }

    def told(self, seen: Seen) -> dict[str, str]:
        """The status of each href of a 207."""
        found = ElementTree.fromstring(seen.body).findall(f"{DAV}response")
        return {str(row.findtext(f"{DAV}href")): str(row.findtext(f"{DAV}status")) for row in found}

    def test_all_of_it(self) -> None:
        seen = self.copy()
        self.assertEqual((seen.status, seen.headers.get("location")), (201, "/data/other/to/"))
        self.assertEqual(self.copied("other", "to"), CONTENT)
        self.assertEqual(self.tree.files["other", "to", "a", "b", "3"].metadata, {"a": "a/b/3"})
        self.assertIn(("other", "to", "empty"), self.tree.directories)
        self.assertEqual(self.copied("demo", "from"), CONTENT)
        kinds = [kind for kind, status, _ in self.transfers() if status == "done"]
        self.assertEqual((kinds.count("download"), kinds.count("upload"), self.denials()), (20, 20, []))

    def test_a_whole_destination(self) -> None:
        self.assertEqual(self.copy(source="/data/demo/").status, 201)
        self.assertEqual(self.copied("other", "to", "from"), CONTENT)

    def test_depth(self) -> None:
        self.assertEqual(self.copy(Depth="0").status, 201)
        self.assertEqual(self.tree.children(("other", "to")), [])
        self.assertEqual(self.copy("/data/other/deep", Depth="Infinity").status, 201)
        self.assertEqual(self.copy("/data/other/one", Depth="1").status, 400)
        self.assertNotIn(("other", "one"), self.tree.directories)

    def test_nothing_is_replaced(self) -> None:
        self.tree.put("/other/to/mine", b"mine")
        self.tree.put("/other/file", b"mine")
        for target in ("/data/other/to/", "/data/other/file", "/data/other/"):
            for overwrite in ("T", "F"):
                self.assertEqual(self.copy(target, Overwrite=overwrite).status, 412, target)
        self.assertEqual(self.copied("other"), {"to/mine": b"mine", "file": b"mine"})

    def test_a_name_that_is_taken_meanwhile(self) -> None:
        """While others are copied, somebody puts one there."""
        committed = MemoryUpload.commit

        async def commit(upload: MemoryUpload, *args: object) -> object:
            entry = await committed(upload)
            self.tree.put("/other/to/4", b"mine")
            return entry

        self.patch(MemoryUpload, "commit", commit)
        seen = self.copy()
        self.assertEqual(self.told(seen), {"/data/other/to/4": "HTTP/1.1 412 Precondition Failed"})
        self.assertEqual(self.copied("other", "to"), {**CONTENT, "4": b"mine"})

    def test_what_fails_is_told_and_the_rest_goes_on(self) -> None:
        opened = MemoryFileSystem.open_write

        async def open_write(files: MemoryFileSystem, path: str, *args: object) -> object:
            if path.endswith(("/2", "/c d/4")):
                raise NoSpace("<here>")
            return await opened(files, path, *args)  # type: ignore[arg-type]

        self.patch(MemoryFileSystem, "open_write", open_write)
        seen = self.copy()
        self.assertEqual((seen.status, seen.headers.get("content-type")), (207, "application/xml; charset=utf-8"))
        left = {"2", "a/2", "a/b/2", "c d/2", "c d/4"}
        expected = {f"/data/other/to/{name.replace(' ', '%20')}": "HTTP/1.1 507 Insufficient Storage" for name in left}
        self.assertEqual(self.told(seen), expected)
        self.assertEqual(set(self.copied("other", "to")), set(CONTENT) - left)

    def test_nothing_is_tried_below_a_folder_that_is_refused(self) -> None:
        made = MemoryFileSystem.make_directory

        async def make_directory(files: MemoryFileSystem, path: str) -> object:
            if path.endswith("/a"):
                raise NoSpace
            return await made(files, path)

        self.patch(MemoryFileSystem, "make_directory", make_directory)
        seen = self.copy()
        self.assertEqual(list(self.told(seen)), ["/data/other/to/a/"])
        self.assertEqual(set(self.copied("other", "to")), {name for name in CONTENT if not name.startswith("a/")})

    def test_it_ends_when_too_much_fails(self) -> None:
        for number in range(150):
            self.tree.put(f"/demo/many/{number}", b"abc")
        self.tree.space = sum(map(len, self.tree.contents.values()))
        seen = self.copy(source="/data/demo/many/")
        self.assertEqual((seen.status, len(self.told(seen))), (207, 100))
        self.assertEqual(self.tree.uploads, [])

    def test_into_itself(self) -> None:
        for target in ("/data/demo/from", "/data/demo/from/", "/data/demo/from/a/new"):
            self.assertEqual(self.copy(target).status, 403, target)
        self.assertEqual(self.copy("/data/demo/from2").status, 201)
        self.assertEqual(self.copied("demo", "from"), CONTENT)

    def test_what_is_refused_leaves_nothing(self) -> None:
        for source, target, status in (
            ("/data/demo/none/", "/data/other/to", 404),
            ("/data/private/", "/data/other/to", 404),
            ("/data/demo/from/", "/data/other/none/to", 409),
            ("/data/demo/from/", "/data/private/to", 409),
            ("/data/demo/from/1/", "/data/other/to", 409),
        ):
            with self.subTest(source=source, target=target):
                self.assertEqual(self.copy(target, source).status, status)
                self.assertEqual((self.copied("other"), self.tree.children(("other",))), ({}, []))

    def test_without_the_right(self) -> None:
        password, alice = self.portal.users["alice"]
        for missing in ("dir", "mkdir"):
            self.portal.users["alice"] = (password, evolve(alice, permissions=alice.permissions - {missing}))
            self.assertEqual(self.copy().status, 403, missing)
            self.assertEqual(self.tree.children(("other",)), [])
        self.portal.users["alice"] = (password, evolve(alice, permissions=alice.permissions - {"get"}))
        seen = self.copy()
        self.assertEqual((seen.status, set(self.told(seen).values())), (207, {"HTTP/1.1 403 Forbidden"}))

    def test_more_than_the_limit(self) -> None:
        for most, status in ((23, 413), (24, 201)):
            limits = Limits(listing_page=3, copied_entries=most)
            self.door = DataDoor(self.portal, "node-1", limits, self.clock.seconds, InlineThreads())
            self.assertEqual(self.copy().status, status)
            self.assertEqual(("other", "to") in self.tree.directories, status == 201)
