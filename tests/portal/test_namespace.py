"""What users call things, and what they may do where: options, policies and path patterns through the façade."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import AlreadyExists, IsADirectory, NotFound, NotPermitted
from ecpds.model import DestinationChange, Identity
from ecpds.people import NewUser, Policy, UserChange
from ecpds.portal.namespace import Namespace, Namespaces, destination_at
from ecpds.portal.paths import canonical
from ecpds.portal_interfaces import IFileSystem
from tests.doubles import MemorySource
from tests.portal.house import ORIGIN, House


class NamespaceTests(SynchronousTestCase):
    """The mapping alone."""

    def names(self, **named: Any) -> Namespace:
        return Namespace(Identity(1, "joe", frozenset({"get"}), ("a", "b"), **named))

    def test_there_and_back(self) -> None:
        for named, shown, real in (
            ({}, "/a/x/y", "/a/x/y"),
            ({}, "/b", "/b"),
            ({"names": {"data": "a"}}, "/data/x", "/a/x"),
            ({"names": {"data": "a"}}, "/b/x", "/b/x"),
            ({"options": {"portal.destination": "b"}}, "/x/y", "/b/x/y"),
            ({"options": {"portal.destination": "b"}}, "/", "/b"),
        ):
            names = self.names(**named)
            found = names.real(canonical(shown))
            self.assertEqual(str(found), real)
            self.assertEqual(names.shown(found.destination, found.inside), shown)

    def test_the_same_names_for_the_same_identity_only(self) -> None:
        known, names = Namespaces(), {"data": "a"}
        identity = Identity(1, "joe", frozenset({"get"}), ("a", "b"))
        first = known.of(identity)
        self.assertIs(known.of(identity), first)
        renamed = known.of(Identity(1, "joe", frozenset({"get"}), ("a", "b"), names=names))
        self.assertEqual(renamed.shown("a", "x"), "/data/x")
        self.assertEqual(known.of(identity).shown("a", "x"), "/a/x")

    def test_what_is_not_seen(self) -> None:
        self.assertRaises(NotFound, self.names().real, canonical("/c/x"))
        self.assertRaises(NotFound, self.names(names={"data": "a"}).real, canonical("/a/x"))
        self.assertRaises(NotFound, self.names(options={"portal.destination": "c"}).real, canonical("/x"))

    def test_the_root_is_in_the_order_of_what_is_shown(self) -> None:
        names = self.names(names={"z": "a"})
        self.assertEqual(list(names.destinations(None)), ["b", "a"])
        self.assertEqual(list(names.destinations("b")), ["a"])


class HouseCase(SynchronousTestCase):
    """A house with the destinations `demo` and `other`, and one user, `joe`."""

    def setUp(self) -> None:
        self.house = self.new_house()
        self.now = self.house.now
        self.house.add_destination("demo", options={"incoming.rootdir": "/data"})
        self.house.add_destination("other")

    def new_house(self) -> House:
        return House(self)

    def add(self, **named: Any) -> IFileSystem:
        named.setdefault("destinations", ("demo", "other"))
        self.now(self.house.operations.add_user(NewUser("joe", "secret", **named)))
        return self.login()

    def login(self) -> IFileSystem:
        files: IFileSystem = self.now(self.house.portal.login("joe", "secret", ORIGIN))
        return files

    def change(self, **named: Any) -> None:
        self.now(self.house.operations.change_user("joe", UserChange(**named)))

    def put(self, files: IFileSystem, path: str) -> Any:
        async def work() -> Any:
            upload = await files.open_write(path)
            await upload.receive(MemorySource(b"hello"))
            return await upload.commit()

        return self.now(work())

    def refuse(self, refusal: type[Exception], work: Any) -> None:
        self.failureResultOf(ensureDeferred(work), refusal)

    def listed(self, files: IFileSystem, path: str) -> list[str]:
        return [entry.path for entry in self.now(files.list(path)).entries]


class FirstElementTests(HouseCase):
    """`incoming.rootdir` and `portal.destination`."""

    def test_a_destination_by_another_name(self) -> None:
        files = self.add()
        self.assertEqual(self.listed(files, "/"), ["/data", "/other"])
        self.put(files, "/data/a/b")
        self.assertEqual(self.listed(files, "/data/a"), ["/data/a/b"])
        self.assertEqual(self.now(files.stat("/data/a/b")).path, "/data/a/b")
        self.refuse(NotFound, files.stat("/demo/a/b"))
        self.assertEqual(self.now(self.house.operator.show_file("/demo/a/b"))["size"], 5)
        self.now(files.rename("/data/a/b", "/data/a/c"))
        self.now(files.delete("/data/a/c"))

    def test_a_destination_that_is_the_root(self) -> None:
        files = self.add(options={"portal.destination": "demo", "portal.domain": "DATA"})
        self.assertEqual(self.put(files, "/a").path, "/a")
        self.assertEqual(self.listed(files, "/"), ["/a"])
        self.assertEqual(self.now(files.make_directory("/d")).path, "/d")
        self.refuse(AlreadyExists, files.make_directory("/"))
        self.refuse(IsADirectory, files.open_write("/"))
        self.refuse(NotPermitted, files.remove_directory("/"))
        self.assertEqual(self.now(self.house.operator.show_file("/demo/a"))["size"], 5)

    def test_a_root_that_is_not_given(self) -> None:
        files = self.add(destinations=("other",), options={"portal.destination": "demo"})
        self.refuse(NotFound, files.list("/"))

    def test_a_destination_that_has_gone_leaves_the_others(self) -> None:
        files = self.add()
        self.now(self.house.operations.remove_destination("demo", False))
        self.assertEqual(self.listed(files, "/"), ["/other"])


class SiteTests(HouseCase):
    """`https.corsAllowOrigin`, which goes with the destination, whatever its user calls it."""

    def site(self, files: IFileSystem, path: str) -> str | None:
        return files.identity.sites.get(destination_at(files.identity, path))

    def test_it_is_the_destinations(self) -> None:
        change = DestinationChange(options={"https.corsAllowOrigin": "https://maps.example"})
        files = self.add()
        self.assertEqual(dict(files.identity.sites), {})
        self.now(self.house.operations.change_destination("demo", change))
        files = self.login()
        for path, expected in (
            ("/data/a/b", "https://maps.example"),
            ("/data", "https://maps.example"),
            ("/demo/a", None),
            ("/other/a", None),
            ("/", None),
            ("/data/../a", None),
        ):
            self.assertEqual(self.site(files, path), expected, path)
        self.change(options={"portal.destination": "demo"})
        self.assertEqual(self.site(self.login(), "/a/b"), "https://maps.example")

    def test_only_of_destinations_that_the_user_has(self) -> None:
        change = DestinationChange(options={"https.corsAllowOrigin": "*"})
        self.now(self.house.operations.change_destination("demo", change))
        self.assertEqual(dict(self.add(destinations=("other",)).identity.sites), {})


class PatternTests(HouseCase):
    """Permissions narrowed by path."""

    def test_each_is_for_its_own_permission(self) -> None:
        files = self.add(options={"portal.putPathPermRegex": "/demo/in/[^/]+", "portal.deletePathPermRegex": "/demo/in/tmp.*"})
        self.refuse(NotPermitted, files.open_write("/data/out"))
        self.refuse(NotPermitted, files.open_write("/data/in/a/b"))
        self.refuse(NotPermitted, files.open_write("/other/in/a"))
        self.put(files, "/data/in/a")
        self.put(files, "/data/in/tmp1")
        self.refuse(NotPermitted, files.delete("/data/in/a"))
        self.now(files.delete("/data/in/tmp1"))
        self.now(files.open_read("/data/in/a")).close()

    def test_every_one_of_the_nine(self) -> None:
        self.put(self.add(), "/other/a")
        self.now(self.login().make_directory("/other/d"))
        asked = {
            "get": lambda files: files.open_read("/other/a"),
            "put": lambda files: files.open_write("/other/new"),
            "delete": lambda files: files.delete("/other/a"),
            "dir": lambda files: files.list("/other"),
            "mkdir": lambda files: files.make_directory("/other/e"),
            "rmdir": lambda files: files.remove_directory("/other/d"),
            "rename": lambda files: files.rename("/other/a", "/other/b"),
            "size": lambda files: files.stat("/other/a", "size"),
            "mtime": lambda files: files.stat("/other/a", "mtime"),
        }
        for permission, ask in asked.items():
            name = f"portal.{permission}PathPermRegex"
            self.change(options={name: "/demo/.*"})
            self.refuse(NotPermitted, ask(self.login()))
            self.change(options={name: "/other.*"})
            self.now(ask(self.login()))
            self.now(self.house.operations.change_user("joe", UserChange(unset=(name,))))
            if permission in ("delete", "rename"):
                self.put(self.login(), "/other/a")

    def test_both_names_of_a_rename(self) -> None:
        files = self.add(options={"portal.renamePathPermRegex": "/demo/in/.*"})
        for path in ("/data/in/a", "/data/b"):
            self.put(files, path)
        self.refuse(NotPermitted, files.rename("/data/in/a", "/data/a"))
        self.refuse(NotPermitted, files.rename("/data/b", "/data/in/b"))
        self.now(files.rename("/data/in/a", "/data/in/c"))

    def test_what_a_rename_replaces_is_where_one_may_put_or_delete(self) -> None:
        files = self.add()
        for path in ("/data/a", "/data/mine/b", "/data/theirs/b"):
            self.put(files, path)
        mine = {f"portal.{right}PathPermRegex": "/demo/mine/.*" for right in ("put", "delete")}
        self.change(options=mine)
        self.refuse(NotPermitted, self.login().rename("/data/a", "/data/theirs/b"))
        self.refuse(NotPermitted, files.rename("/data/a", "/data/theirs/b"))  # it logged in before: the Master knows
        for source, target in (("/data/a", "/data/theirs"), ("/data/mine", "/data/theirs/b")):
            self.refuse(AlreadyExists, files.rename(source, target))
        self.now(self.login().rename("/data/a", "/data/mine/b"))


class SessionTests(HouseCase):
    """A session notices what its user has become."""

    def test_changes_are_refused_at_once(self) -> None:
        files = self.add()
        self.change(permissions=("get", "dir"))
        self.refuse(NotPermitted, files.open_write("/data/a"))
        self.change(permissions=("put", "get", "dir"), enabled=False)
        self.refuse(NotPermitted, files.open_write("/data/a"))
        self.change(enabled=True, options={"portal.putPathPermRegex": "/demo/x"})
        self.refuse(NotPermitted, files.open_write("/data/a"))

    def test_a_read_is_refused_within_a_minute(self) -> None:
        files = self.add()
        self.now(files.list("/data"))
        self.change(enabled=False)
        self.house.clock.advance(self.house.limits.credential_life)
        self.refuse(NotPermitted, files.list("/data"))
        self.refuse(NotPermitted, files.stat("/"))
        self.change(enabled=True, destinations=("other",))
        self.assertEqual(self.listed(files, "/"), ["/other"])

    def test_a_user_that_has_gone(self) -> None:
        files = self.add()
        self.now(self.house.operations.remove_user("joe"))
        self.refuse(NotPermitted, files.open_write("/data/a"))
        self.house.clock.advance(self.house.limits.credential_life)
        self.refuse(NotPermitted, files.list("/"))


class PolicyTests(HouseCase):
    """What a policy gives."""

    def give(self, name: str, **named: Any) -> None:
        self.now(self.house.operations.add_policy(Policy(0, name, **named)))

    def test_its_permissions_hold_in_its_destinations_alone(self) -> None:
        self.give("readers", permissions=("get", "dir"), destinations=("other",))
        files = self.add(destinations=("demo",), policies=("readers",))
        self.put(files, "/data/a")
        self.assertEqual(self.listed(files, "/other"), [])
        self.refuse(NotPermitted, files.open_write("/other/a"))

    def test_without_permissions_it_takes_the_users(self) -> None:
        self.give("places", destinations=("other",))
        files = self.add(destinations=(), permissions=("put",), policies=("places",))
        self.put(files, "/other/a")
        self.refuse(NotPermitted, files.list("/other"))

    def test_a_change_reaches_who_has_it(self) -> None:
        self.give("places", destinations=("other",))
        files = self.add(destinations=(), policies=("places",))
        self.now(self.house.operations.change_policy("places", UserChange(enabled=False)))
        self.refuse(NotPermitted, files.open_write("/other/a"))
