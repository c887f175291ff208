"""Files that wait to be released, at the portal: who sees them, by which rights, and through which views."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import NotFound, NotPermitted
from ecpds.model import PERMISSIONS, DestinationChange, Entry
from ecpds.people import NewShare, UserChange
from ecpds.portal.filesystem import FileSystem
from ecpds.portal.objects import ObjectSpace
from ecpds.portal_interfaces import IFileSystem
from ecpds.releases import NEVER
from tests.doubles import MemorySink, MemorySource
from tests.portal.house import ORIGIN, House
from tests.portal.test_whole import Node

OLD, NEW = b"old content", b"new content"


class WaitingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.house.add_destination("demo")
        for login, permissions in (("ann", PERMISSIONS), ("bob", ("get", "dir", "size", "delete"))):
            self.house.add_user(login, ("demo",), password="secret", permissions=permissions)
        self.putter, self.reader = self.login("ann"), self.login("bob")
        self.put("/demo/a", OLD)
        self.house.now(
            self.house.operations.change_destination("demo", DestinationChange(options={"incoming.standby": "true"}))
        )

    def login(self, login: str) -> FileSystem:
        files = self.house.now(self.house.portal.login(login, "secret", ORIGIN))
        assert isinstance(files, FileSystem)
        return files

    def refused(self, refusal: type[Exception], work: Any) -> None:
        self.failureResultOf(ensureDeferred(work), refusal)

    def put(self, path: str, content: bytes) -> Entry:
        upload = self.house.now(self.putter.open_write(path, len(content)))
        self.house.now(upload.receive(MemorySource(content)))
        entry: Entry = self.house.now(upload.commit())
        return entry

    def content(self, files: IFileSystem, path: str) -> bytes:
        download, sink = self.house.now(files.open_read(path)), MemorySink()
        self.house.now(download.send(sink))
        download.close()
        return sink.value

    def listed(self, files: IFileSystem) -> list[tuple[str, int, bool]]:
        entries = self.house.now(files.list("/demo")).entries
        return [(entry.name, entry.size, entry.waits is not None) for entry in entries]

    def test_a_small_put_waits_too(self) -> None:
        self.assertEqual(self.put("/demo/b", b"x").waits, NEVER)
        self.refused(NotFound, self.reader.stat("/demo/b"))
        self.refused(NotFound, self.reader.open_read("/demo/b"))
        self.assertIsNone(self.house.now(self.reader.find("/demo/b")))
        self.assertEqual(self.content(self.putter, "/demo/b"), b"x")

    def test_each_sees_its_own_until_it_is_released(self) -> None:
        self.put("/demo/a", NEW + b"!")
        self.assertEqual((self.content(self.reader, "/demo/a"), self.content(self.putter, "/demo/a")), (OLD, NEW + b"!"))
        self.assertEqual(self.listed(self.reader), [("a", len(OLD), False)])
        self.assertEqual(self.listed(self.putter), [("a", len(NEW) + 1, True)])
        shown = self.house.now(self.house.operator.show_file("/demo/a"))
        self.assertEqual((shown["state"], shown["release"], shown["size"]), ("standby", None, len(NEW) + 1))
        self.assertNotIn("state", self.house.now(self.house.operator.release_file("/demo/a")))
        self.assertEqual(self.content(self.reader, "/demo/a"), NEW + b"!")
        self.assertEqual(self.house.now(self.house.operator.hold_file("/demo/a"))["state"], "standby")
        self.refused(NotFound, self.reader.stat("/demo/a"))

    def test_who_comes_again_sees_what_it_may(self) -> None:
        for files, entry in ((self.reader, OLD), (self.putter, NEW)):
            self.house.now(files.stat("/demo/a"))
            self.put("/demo/a", NEW)
            self.assertEqual(self.content(files, "/demo/a"), entry)
            known = files.look_again("/demo/a", lambda _: True)
            if known is not None:
                self.assertIsNone(known.waits)
                self.assertIs(files, self.reader)

    def test_who_deletes_takes_away_what_it_sees(self) -> None:
        self.put("/demo/a", NEW)
        self.house.now(self.putter.delete("/demo/a"))
        self.assertEqual(self.content(self.putter, "/demo/a"), OLD)
        self.put("/demo/a", NEW)
        self.house.now(self.reader.delete("/demo/a"))
        self.refused(NotFound, self.reader.stat("/demo/a"))
        self.assertEqual(self.content(self.putter, "/demo/a"), NEW)

    def test_a_user_who_may_releases_and_holds(self) -> None:
        self.put("/demo/b", NEW)
        for files in (self.putter, self.reader):
            self.refused(NotPermitted, files.set_released("/demo/b", True))
        for login in ("ann", "bob"):
            change = UserChange(options={"portal.releases": "true"})
            self.house.now(self.house.operations.change_user(login, change))
        ann, bob = self.login("ann"), self.login("bob")
        self.refused(NotPermitted, bob.set_released("/demo/b", True))
        self.assertIsNone(self.house.now(ann.set_released("/demo/b", True)).waits)
        self.assertEqual(self.content(bob, "/demo/b"), NEW)
        held = self.house.now(ann.set_released("/demo/b", False))
        self.assertEqual((held.path, held.waits), ("/demo/b", NEVER))
        self.refused(NotFound, bob.stat("/demo/b"))
        self.refused(NotFound, ann.set_released("/demo/none", True))

    def test_a_user_who_may_releases_a_folder(self) -> None:
        for name in ("b", "own/c", "own/d/e"):
            self.put(f"/demo/{name}", NEW)
        self.refused(NotPermitted, self.putter.release_folder("/demo/"))
        for login, options in (("ann", {"portal.putPathPermRegex": "/demo/own/.*"}), ("bob", {})):
            change = UserChange(options={"portal.releases": "true", **options})
            self.house.now(self.house.operations.change_user(login, change))
        self.refused(NotPermitted, self.login("bob").release_folder("/demo/own/"))
        ann = self.login("ann")
        self.refused(NotPermitted, ann.release_folder("/"))
        self.refused(NotFound, ann.release_folder("/demo/none/"))
        self.assertEqual(self.house.now(ann.release_folder("/demo/")), 2)
        self.assertEqual(self.content(self.login("bob"), "/demo/own/d/e"), NEW)
        self.refused(NotFound, self.login("bob").stat("/demo/b"))

    def test_an_operator_releases_a_folder(self) -> None:
        self.put("/demo/own/c", NEW)
        found = self.house.now(self.house.operator.release_file("/demo/own", recursive=True))
        self.assertEqual(found, {"path": "/demo/own/", "released": 1})
        self.assertEqual(self.content(self.reader, "/demo/own/c"), NEW)

    def test_only_where_it_may_put(self) -> None:
        options = {"portal.putPathPermRegex": "/demo/own/.*"}
        for path in ("/demo/a", "/demo/c", "/demo/own/b"):
            self.put(path, NEW)
        self.house.now(self.house.operations.change_user("ann", UserChange(options=options)))
        limited = self.login("ann")
        self.assertEqual(self.content(limited, "/demo/a"), OLD)
        self.assertEqual(self.listed(limited), [("a", len(OLD), False), ("own", 0, False)])
        self.assertEqual(self.content(limited, "/demo/own/b"), NEW)

    def test_by_a_link_everybody_sees_the_same(self) -> None:
        self.put("/demo/b", NEW)
        _, token = self.house.now(self.putter.add_share("/demo", NewShare("", "", ("get", "dir", "put"))))
        linked = self.house.now(self.house.portal.login_with_share(token, "", ORIGIN))
        self.assertEqual([entry.name for entry in self.house.now(linked.list("/")).entries], ["a"])

    def test_keys(self) -> None:
        self.put("/demo/b", NEW)
        for files, names in ((self.reader, ["a"]), (self.putter, ["a", "b"])):
            space = ObjectSpace(self.house.backing, files.identity, ORIGIN)
            page = self.house.now(space.keys("demo", "", "", "", 10))
            self.assertEqual([entry.path for entry in page.entries], names)


class InOneStepTests(SynchronousTestCase):
    def test_what_is_put_in_one_step_waits_too(self) -> None:
        node = Node(self)
        change = node.house.operations.change_destination
        self.assertIsNotNone(node.put_now("/demo/a", OLD))
        node.house.now(change("demo", DestinationChange(options={"incoming.delay": "1h"})))
        node.files = node.login()
        self.assertIsNone(node.put_now("/demo/a", NEW))
        self.assertIsNotNone(node.house.now(node.files.write_whole("/demo/a", NEW)).waits)
        self.assertEqual(node.house.now(node.house.master.resolve("demo", "a")).size, len(OLD))
        node.house.now(change("demo", DestinationChange(unset=("incoming.delay",))))
        node.files = node.login()
        self.assertIsNone(node.put_now("/demo/a", b"newest"), "it has to replace what waits")
        node.house.now(node.files.write_whole("/demo/a", b"newest"))
        node.house.clock.advance(7200)
        self.assertEqual(node.house.now(node.house.master.resolve("demo", "a", True)).size, len(b"newest"))
