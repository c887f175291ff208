"""What operators see: the shapes that the command line's contract gives, and what they may not do."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ecpds.errors import AlreadyExists, InvalidName, InvalidRequest, IsADirectory, NotADirectory, NotFound, Refusal, Unavailable
from ecpds.interfaces import IMoverControl
from ecpds.model import PERMISSIONS, StoredSegment, VolumeUse
from ecpds.portal.operator import PAGE, Operator
from ecpds.portal_interfaces import IFileSystem
from tests.doubles import MemorySource
from tests.portal.house import NODE, ORIGIN, House

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKEyOYAV3ddEdPBjrPOX9jjAp9WdPkGkVFbhZlJbgYpk alice@example"


@implementer(IMoverControl)
class LostMover:
    name = "lost"

    async def delete(self, segments: Any) -> None:
        raise Unavailable

    async def volumes(self) -> list[VolumeUse]:
        raise Unavailable("no way to it")

    async def digests(self, segments: Any, names: Any) -> dict[str, str]:
        raise Unavailable("no way to it")

    async def copy(self, segment: Any, source: Any) -> Any:
        raise Unavailable("no way to it")

    async def check(self, copy: Any) -> Any:
        raise Unavailable("no way to it")

    async def scrub(self, order: str) -> Any:
        raise Unavailable("no way to it")


class OperatorCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.operator = self.house.operator
        self.files: IFileSystem | None = None

    def now(self, work: Any) -> Any:
        return self.successResultOf(ensureDeferred(work))

    def refuse(self, refusal: type[Refusal], work: Any) -> Refusal:
        found: Refusal = self.failureResultOf(ensureDeferred(work), refusal).value
        return found

    def collect(self, objects: Any) -> list[dict[str, Any]]:
        """A whole list, with the others' turns given."""

        async def everything() -> list[dict[str, Any]]:
            return [each async for each in objects]

        collecting: Deferred[list[dict[str, Any]]] = ensureDeferred(everything())
        self.turns = 0
        while self.house.clock.getDelayedCalls() and not collecting.called:
            self.turns += 1
            self.house.clock.advance(0)
        found = self.successResultOf(collecting)
        json.dumps(found)
        return found

    def put(self, path: str, data: bytes = b"abc") -> None:
        if self.files is None:
            self.files = self.house.files_of(self.house.add_user("writer", ("demo",)))
        upload = self.now(self.files.open_write(path))
        self.now(upload.receive(MemorySource(data)))
        self.now(upload.commit())


class Destinations(OperatorCase):
    def test_defaults(self) -> None:
        added = self.now(self.operator.add_destination("demo"))
        self.assertEqual(
            added,
            {
                "id": 1,
                "name": "demo",
                "copies": 1,
                "group": None,
                "lifetime": None,
                "digests": ["sha256"],
                "digest_when": "inline",
                "options": {},
                "created": "2023-11-14T22:13:20.000Z",
            },
        )
        shown = self.now(self.operator.show_destination("demo"))
        usage, quotas = shown.pop("usage"), shown.pop("quotas")
        self.assertEqual(quotas, [])
        self.assertEqual((usage["files"], usage["bytes"], usage["counted"][-1]), (0, 0, "Z"))
        self.assertEqual(shown, added)
        self.assertEqual(self.collect(self.operator.list_destinations()), [added])

    def test_options(self) -> None:
        options = {"digests": "sha256, md5,md5", "digest_when": "after", "incoming.tmpPattern": ".*[.]tmp"}
        added = self.now(self.operator.add_destination("demo", 2, "fast", 30 * 86400.0, options))
        shown = {name: added[name] for name in ("copies", "group", "lifetime", "digests", "digest_when", "options")}
        expected = [2, "fast", 30 * 86400.0, ["sha256", "md5"], "after", {"incoming.tmpPattern": ".*[.]tmp"}]
        self.assertEqual(list(shown.values()), expected)

    def test_what_is_refused(self) -> None:
        self.now(self.operator.add_destination("demo"))
        self.refuse(AlreadyExists, self.operator.add_destination("demo"))
        self.refuse(InvalidName, self.operator.add_destination("a/b"))
        self.refuse(InvalidRequest, self.operator.add_destination("a", options={"digests": "adler32"}))
        self.refuse(InvalidRequest, self.operator.add_destination("a", options={"digest_when": "never"}))
        self.refuse(NotFound, self.operator.show_destination("a"))


class Users(OperatorCase):
    def test_a_user_has_every_permission_unless_said_otherwise(self) -> None:
        self.now(self.operator.add_destination("demo"))
        added = self.now(self.operator.add_user("alice", "secret", destinations=["demo", "demo"]))
        self.assertEqual((added["permissions"], added["destinations"]), (list(PERMISSIONS), ["demo"]))
        self.assertEqual((added["has_password"], added["mode"], added["enabled"]), (True, "standard", True))
        self.assertNotIn("secret", json.dumps(added))
        fewer = self.now(self.operator.add_user("bob", permissions=["put", "get"], options={"portal.sort": "name"}))
        self.assertEqual((fewer["permissions"], fewer["has_password"]), (["get", "put"], False))
        self.assertEqual(fewer["options"], {"portal.sort": "name"})
        self.assertEqual(self.now(self.operator.add_user("none", permissions=[]))["permissions"], [])
        self.assertEqual([user["login"] for user in self.collect(self.operator.list_users())], ["alice", "bob", "none"])

    def test_what_is_refused(self) -> None:
        self.now(self.operator.add_user("alice"))
        self.refuse(AlreadyExists, self.operator.add_user("alice"))
        self.refuse(NotFound, self.operator.add_user("bob", destinations=["missing"]))
        self.refuse(NotFound, self.operator.show_user("bob"))
        for wrong in ({"mode": "closed"}, {"permissions": ["fly"]}, {"password": ""}):
            self.refuse(InvalidRequest, self.operator.add_user("bob", **wrong))
        self.assertIn("get", str(self.refuse(InvalidRequest, self.operator.add_user("bob", permissions=["fly"]))))

    def test_a_key(self) -> None:
        self.now(self.operator.add_user("alice"))
        shown = self.now(self.operator.change_key("alice", "add", KEY + "\n"))
        self.assertEqual(len(shown["keys"]), 1)
        self.refuse(InvalidRequest, self.operator.change_key("alice", "remove", KEY))
        self.refuse(InvalidRequest, self.operator.change_key("alice", "add", "not a key"))
        self.refuse(AlreadyExists, self.operator.change_key("alice", "add", KEY))
        self.refuse(NotFound, self.operator.change_key("bob", "add", KEY))


class Files(OperatorCase):
    def setUp(self) -> None:
        super().setUp()
        self.now(self.operator.add_destination("demo", options={"digests": "sha256,md5"}))
        self.put("/demo/folder/a")

    def test_the_shape_of_a_file(self) -> None:
        shown = self.now(self.operator.show_file("/demo/folder/a"))
        self.assertEqual(list(shown), ["id", "path", "size", "mtime", "digests", "copies"])
        self.assertEqual((shown["path"], shown["size"], shown["mtime"]), ("/demo/folder/a", 3, "2023-11-14T22:13:20.000Z"))
        self.assertEqual(shown["digests"]["sha256"], hashlib.sha256(b"abc").hexdigest())
        self.assertEqual(shown["digests"]["md5"], hashlib.md5(b"abc").hexdigest())
        self.assertEqual(shown["copies"], [{"mover": NODE, "volume": 0}])
        self.assertEqual(self.collect(self.operator.list_files("/demo/folder/")), [shown])

    def test_when_a_file_leaves(self) -> None:
        self.assertNotIn("expires", self.now(self.operator.remove_file("/demo/folder/a")))
        self.put("/demo/folder/a")
        self.now(self.operator.set_destination("demo", lifetime=90.5))
        shown = self.now(self.operator.show_file("/demo/folder/a"))
        self.assertEqual((list(shown)[-1], shown["expires"]), ("expires", "2023-11-14T22:14:50.500Z"))
        self.assertEqual(self.collect(self.operator.list_files("/demo/folder/")), [shown])
        self.assertNotIn("expires", self.collect(self.operator.list_files("/demo/"))[0], "a folder stays")
        self.now(self.operator.set_destination("demo", lifetime=1e300))
        self.assertNotIn("expires", self.now(self.operator.show_file("/demo/folder/a")))
        self.now(self.operator.set_destination("demo", unset=["lifetime"], options={"incoming.lifetime": "2m"}))
        self.assertEqual(self.now(self.operator.show_file("/demo/folder/a"))["expires"], "2023-11-14T22:15:20.000Z")

    def test_a_listing(self) -> None:
        self.put("/demo/b")
        shown = self.collect(self.operator.list_files("/demo"))
        self.assertEqual([(each["path"], each["id"] is None) for each in shown], [("/demo/b", False), ("/demo/folder/", True)])
        self.assertEqual([each["path"] for each in self.collect(self.operator.list_files("/"))], ["/demo/"])

    def test_a_long_listing_lets_others_have_their_turn(self) -> None:
        for number in range(2 * PAGE + 1):
            self.put(f"/demo/many/{number:04}")
        shown = self.collect(self.operator.list_files("/demo/many"))
        self.assertEqual([each["path"][-4:] for each in shown], [f"{number:04}" for number in range(2 * PAGE + 1)])
        self.assertTrue(all(each["copies"] for each in shown))
        self.assertGreater(self.turns, 0)

    def test_a_file_that_goes_while_it_is_listed(self) -> None:
        self.put("/demo/b")
        resolve = self.house.master.resolve

        async def without(destination: str, path: str, waiting: bool = False) -> Any:
            return await resolve(destination, "missing" if path == "b" else path, waiting)

        self.patch(self.house.master, "resolve", without)
        self.assertEqual([each["path"] for each in self.collect(self.operator.list_files("/demo"))], ["/demo/folder/"])

    def test_removing(self) -> None:
        removed = self.now(self.operator.remove_file("/demo/folder/a"))
        self.assertEqual(removed["path"], "/demo/folder/a")
        self.refuse(NotFound, self.operator.show_file("/demo/folder/a"))
        self.assertEqual(self.collect(self.operator.list_files("/demo/")), [])

    def test_what_is_refused(self) -> None:
        self.refuse(IsADirectory, self.operator.show_file("/demo/folder"))
        for path in ("/", "/demo", "/demo/"):
            self.refuse(IsADirectory, self.operator.show_file(path))
            self.refuse(IsADirectory, self.operator.remove_file(path))
        self.refuse(NotFound, self.operator.show_file("/missing/a"))
        self.refuse(NotFound, self.operator.remove_file("/demo/missing"))
        self.refuse(InvalidName, self.operator.show_file("demo/a"))
        self.refuse(NotFound, anext(self.operator.list_files("/missing/")))
        self.refuse(NotADirectory, anext(self.operator.list_files("/demo/folder/a")))


class Node(OperatorCase):
    def test_events_are_newest_first_and_of_the_type_asked_for(self) -> None:
        for number in range(PAGE + 5):
            self.house.portal.refused(f"user-{number}", "Not found", ORIGIN)
        for event in self.house.backing.sink.events:
            self.house.master.history.record(event)
        shown = self.collect(self.operator.list_events())
        self.assertEqual([each["UserId"] for each in shown], [f"user-{number}" for number in reversed(range(PAGE + 5))])
        self.assertEqual(shown[0]["Type"], "DEA")
        self.assertEqual(len(self.collect(self.operator.list_events("DEA", limit=PAGE + 1))), PAGE + 1)
        self.assertEqual(len(self.collect(self.operator.list_events("DEA", limit=2))), 2)
        self.assertEqual(self.collect(self.operator.list_events("INH")), [])

    def test_transfers_are_there_while_they_run(self) -> None:
        self.house.add_destination("demo")
        files = self.house.files_of(self.house.add_user("ann", ("demo",)))
        self.assertEqual(self.collect(self.operator.list_transfers()), [])
        upload = self.now(files.open_write("/demo/a"))
        self.now(upload.receive(MemorySource(b"12345")))
        [shown] = self.collect(self.operator.list_transfers())
        told = {key: shown[key] for key in ("action", "path", "sent", "size", "protocol", "address", "mover")}
        self.assertEqual(
            told,
            {
                "action": "upload",
                "path": "/demo/a",
                "sent": 5,
                "size": None,
                "protocol": ORIGIN.protocol,
                "address": ORIGIN.address,
                "mover": NODE,
            },
        )
        self.now(upload.commit())
        download = self.now(files.open_read("/demo/a"))
        [shown] = self.collect(self.operator.list_transfers())
        self.assertEqual((shown["action"], shown["sent"], shown["size"]), ("download", 0, 5))
        download.close()
        self.assertEqual(self.collect(self.operator.list_transfers()), [])

    def test_a_type_that_no_record_has_is_refused(self) -> None:
        for wanted in ("inh", "", "HTTP"):
            asked = ensureDeferred(anext(self.operator.list_events(wanted)))
            self.assertIn("; allowed: INH, DEA, ", self.failureResultOf(asked, InvalidRequest).value.detail)

    def test_status(self) -> None:
        shown = self.now(self.operator.status())
        json.dumps(shown)
        self.assertEqual((shown["node"], shown["users"], shown["files"]), (NODE, 0, 0))
        (mover,) = shown["movers"]
        self.assertEqual((mover["name"], mover["available"]), (NODE, True))
        self.assertEqual(list(mover["volumes"][0]), ["index", "path", "total", "free", "failed"])

    def test_a_mover_that_is_not_there(self) -> None:
        movers: dict[str, Any] = {"lost": LostMover(), NODE: self.house.control}
        self.house.master.register_mover(movers["lost"])
        operator = Operator(self.house.operations, self.house.master, movers, self.house.clock, dict)
        shown = self.collect(operator.list_movers())
        self.assertEqual([(each["name"], each["available"]) for each in shown], [("lost", False), (NODE, True)])
        self.assertIn("no way to it", shown[0]["reason"])
        self.refuse(Unavailable, LostMover().delete([StoredSegment(1, 0)]))
