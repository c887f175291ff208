"""What only object stores' clients ask: destinations open to everybody, what is set of them, notes, marks of folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import IsADirectory, NotFound, NotPermitted, PreconditionFailed
from ecpds.grants import READ_ACL
from ecpds.model import (
    INITIATOR,
    OBJECT_ACL,
    OBJECT_GRANTS,
    VISITOR,
    Condition,
    DestinationChange,
    Identity,
    Origin,
)
from ecpds.options import BUCKET_ACL, BUCKET_GRANTS, BUCKET_OBJECTS, BUCKET_TAGS, MAKES_BUCKETS
from ecpds.portal.objects import ObjectSpace
from ecpds.terms import Terms
from tests.doubles import MemorySource, RecordingSink
from tests.portal.house import NODE, House

ORIGIN = Origin("s3", "192.0.2.1", NODE)


class Buckets(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = RecordingSink()
        self.house = House(self, self.sink)
        for name in ("d", "other"):
            self.house.add_destination(name)
        self.ann = self.view("ann", ("d",))
        self.maker = self.view("max", ("other",), {MAKES_BUCKETS: "true"})

    def view(self, login: str, destinations: Sequence[str], options: dict[str, str] | None = None) -> ObjectSpace:
        user = self.house.add_user(login, tuple(destinations), options=options or {})
        identity = Identity(user.id, login, frozenset(user.permissions), user.destinations, user.options)
        return ObjectSpace(self.house.backing, identity, ORIGIN)

    def put(self, files: ObjectSpace, path: str, data: bytes = b"x", acl: str | None = None) -> Any:
        async def store() -> Any:
            upload = await files.open_write(path, terms=Terms(metadata={} if acl is None else {OBJECT_ACL: acl}))
            await upload.receive(MemorySource(data))
            return await upload.commit()

        return self.house.now(store())

    def refused(self, kind: type[Exception], work: Any) -> None:
        self.failureResultOf(ensureDeferred(work), kind)

    def open(self, name: str, acl: str, objects: str = "bucket") -> None:
        options = {BUCKET_ACL: acl, BUCKET_OBJECTS: objects}
        self.house.now(self.house.operations.change_destination(name, DestinationChange(options=options)))

    def visit(self, name: str, login: str = "") -> ObjectSpace:
        files: ObjectSpace = self.house.now(self.house.portal.visit(name, ORIGIN, login))
        return files

    def test_a_stranger_sees_nothing(self) -> None:
        self.refused(NotPermitted, self.house.portal.visit("d", ORIGIN))
        self.refused(NotFound, self.house.portal.visit("nowhere", ORIGIN))
        self.assertEqual(len(self.sink.of("DEA")), 2)

    def test_a_destination_that_is_open_is_read_by_everybody(self) -> None:
        self.put(self.ann, "/d/a")
        self.open("d", "public-read")
        stranger = self.visit("d")
        self.assertEqual((stranger.identity.user_id, stranger.identity.login), (VISITOR, "anonymous"))
        self.assertEqual(self.house.now(stranger.stat("/d/a", "get")).size, 1)
        self.refused(NotPermitted, stranger.open_write("/d/b"))
        self.refused(NotPermitted, stranger.delete("/d/a"))
        self.refused(NotFound, stranger.stat("/other/a"))

    def test_one_that_is_open_for_writing_is_written_in_parts_by_users_alone(self) -> None:
        self.open("d", "public-read-write")
        self.put(self.visit("d"), "/d/from/anybody")
        self.refused(NotPermitted, self.visit("d").create_upload("/d/parts", {}))
        self.house.now(self.visit("d").delete("/d/from/anybody"))
        max_, upload = self.visit("d", "max"), self.house.now(self.visit("d", "max").create_upload("/d/parts", {}))
        for other in (self.visit("d"), self.visit("d", "ann")):
            for work in (
                other.upload("/d/parts", upload),
                other.parts("/d/parts", upload, 0, 9),
                other.abort("/d/parts", upload),
            ):
                self.refused(NotFound, work)
        self.assertEqual(self.house.now(max_.upload("/d/parts", upload)).metadata[INITIATOR], "max")
        self.house.now(self.ann.upload("/d/parts", upload))
        self.house.now(max_.abort("/d/parts", upload))

    def test_who_visits_a_destination_that_is_open_for_writing_does_not_remove_it(self) -> None:
        self.open("d", "public-read-write")
        for work in (self.visit("d", "max").remove_bucket("d"), self.visit("d", "max").set_bucket("d", {BUCKET_TAGS: "a=b"})):
            self.refused(NotPermitted, work)

    def grant(self, name: str, text: str) -> None:
        change = DestinationChange(options={BUCKET_GRANTS: text, BUCKET_OBJECTS: "own"})
        self.house.now(self.house.operations.change_destination(name, change))

    def test_what_is_granted_to_one_user_is_that_user_s(self) -> None:
        self.put(self.ann, "/d/a")
        everything = {
            "READ": lambda files: files.keys("d", "", "", "", 9),
            "WRITE": lambda files: files.open_write("/d/b"),
            "WRITE_ACP": lambda files: files.set_bucket("d", {BUCKET_ACL: "private"}),
        }
        for right in (*everything, "READ_ACP", "FULL_CONTROL"):
            self.grant("d", f"{right}=max,READ=somebody")
            for needed, work in everything.items():
                if right in (needed, "FULL_CONTROL"):
                    self.house.now(work(self.visit("d", "max")))
                else:
                    self.refused(NotPermitted, work(self.visit("d", "max")))
            self.assertEqual(self.visit("d", "max").identity.may(READ_ACL), right in ("READ_ACP", "FULL_CONTROL"))
            self.assertEqual(self.visit("d").identity.permissions, {"get"})
            self.refused(NotPermitted, self.visit("d", "max").open_read("/d/a"))

    def test_an_object_is_granted_to_one_user(self) -> None:
        self.put(self.ann, "/d/a")
        self.open("d", "private", "own")
        self.house.now(self.ann.annotate("/d/a", {OBJECT_GRANTS: "READ=max,WRITE_ACP=bob"}))
        self.house.add_user("bob", ())
        self.house.now(self.visit("d", "max").stat("/d/a", "get"))
        for login in ("", "bob"):
            self.refused(NotPermitted, self.visit("d", login).stat("/d/a", "get"))
        for work in (
            self.visit("d", "max").annotate("/d/a", {OBJECT_ACL: "public-read"}),
            self.visit("d", "bob").annotate("/d/a", {OBJECT_ACL: "public-read", "x": "y"}),
            self.visit("d", "bob").open_write("/d/a"),
        ):
            self.refused(NotPermitted, work)
        self.house.now(self.visit("d", "bob").annotate("/d/a", {OBJECT_ACL: "public-read"}))
        self.house.now(self.visit("d").stat("/d/a", "get"))

    def test_one_that_is_open_to_users_alone(self) -> None:
        self.open("d", "authenticated-read")
        self.refused(NotPermitted, self.house.portal.visit("d", ORIGIN))
        self.assertEqual(self.visit("d", "max").identity.login, "max")

    def test_an_object_s_acl_opens_and_closes_it(self) -> None:
        acls = ("private", "public-read", "public-read-write", "authenticated-read", None)
        for acl in acls:
            self.put(self.ann, f"/d/{acl}", acl=acl)
        public, known = {"public-read", "public-read-write"}, {"authenticated-read"}
        for bucket, objects, stranger, user in (
            ("private", "own", public, public | known),
            ("public-read", "own", public, public | known),
            ("authenticated-read", "own", public, public | known),
            ("public-read", "bucket", public | {None}, public | known | {None}),
            ("authenticated-read", "bucket", None, public | known | {None}),
            ("private", "bucket", None, None),
        ):
            self.open("d", bucket, objects)
            self.assertEqual(self.readable(acls, ""), stranger, (bucket, objects))
            self.assertEqual(self.readable(acls, "max"), user, (bucket, objects))

    def readable(self, acls: Sequence[str | None], login: str) -> set[str | None] | None:
        """Which of the objects that are named by their ACLs may be read; None: nobody comes in."""
        try:
            visitor = self.visit("d", login)
        except self.failureException:
            self.refused(NotPermitted, self.house.portal.visit("d", ORIGIN, login))
            return None
        return {acl for acl in acls if self.house.now(self.is_readable(visitor, f"/d/{acl}"))}

    async def is_readable(self, visitor: ObjectSpace, path: str) -> bool:
        """Whether what may be read is, by each way to do so."""
        outcomes = set()
        for way in (visitor.stat(path, "get"), visitor.open_read(path), visitor.digest(path, "sha256")):
            try:
                await way
                outcomes.add(True)
            except NotPermitted:
                outcomes.add(False)
        self.assertEqual(len(outcomes), 1, path)
        return True in outcomes

    def test_one_object_that_is_open_opens_nothing_else(self) -> None:
        self.put(self.ann, "/d/a", acl="public-read-write")
        self.open("d", "private", "own")
        stranger = self.visit("d")
        for work in (stranger.open_write("/d/a"), stranger.delete("/d/a"), stranger.keys("d", "", "", "", 1)):
            self.refused(NotPermitted, work)

    def test_what_is_closed_again_is_closed_to_who_is_in(self) -> None:
        self.open("d", "public-read-write")
        stranger = self.visit("d")
        self.open("d", "private")
        self.refused(NotPermitted, stranger.open_write("/d/a"))
        self.house.clock.advance(self.house.limits.credential_life)
        self.refused(NotPermitted, stranger.stat("/d"))

    def test_settings_are_those_of_who_makes_destinations(self) -> None:
        self.house.now(self.maker.set_bucket("other", {BUCKET_TAGS: "a=b", BUCKET_ACL: "public-read"}))
        self.assertEqual(self.house.now(self.maker.bucket("other")), {BUCKET_TAGS: "a=b", BUCKET_ACL: "public-read"})
        self.house.now(self.maker.set_bucket("other", {BUCKET_TAGS: None, BUCKET_ACL: None}))
        self.assertEqual(self.house.now(self.maker.bucket("other")), {})
        self.refused(NotPermitted, self.maker.set_bucket("other", {"incoming.rootdir": "x"}))
        self.refused(NotPermitted, self.ann.set_bucket("d", {BUCKET_ACL: "public-read"}))
        self.assertEqual(self.house.now(self.ann.bucket("d")), {})

    def test_only_who_makes_destinations_learns_that_a_name_is_taken(self) -> None:
        self.refused(NotPermitted, self.maker.bucket("d"))
        self.refused(NotFound, self.maker.bucket("nowhere"))
        self.refused(NotFound, self.ann.bucket("other"))

    def test_notes_change_and_the_content_does_not(self) -> None:
        before = self.put(self.ann, "/d/a").file
        noted = self.house.now(self.ann.annotate("/d/a", {"k": "v", "l": "w"}))
        self.assertEqual((noted.path, dict(noted.file.metadata)), ("/d/a", {"k": "v", "l": "w"}))
        self.house.now(self.ann.annotate("/d/a", {"k": None}))
        after = self.house.now(self.ann.stat("/d/a")).file
        self.assertEqual((dict(after.metadata), after.id, after.mtime), ({"l": "w"}, before.id, before.mtime))
        self.refused(NotFound, self.ann.annotate("/d/none", {}))
        self.refused(PreconditionFailed, self.ann.annotate("/d/a", {}, Condition(match=frozenset((before.id + 1,)))))
        self.house.now(self.ann.make_directory("/d/folder"))
        self.refused(IsADirectory, self.ann.annotate("/d/folder", {}))

    def test_a_mark_goes_and_the_folder_with_the_last_that_is_in_it(self) -> None:
        self.house.now(self.ann.make_directory("/d/folder"))
        self.put(self.ann, "/d/folder/a")
        self.house.now(self.ann.unmark("/d/folder"))
        keys = self.house.now(self.ann.keys("d", "", "", "", 10)).entries
        self.assertEqual([entry.path for entry in keys], ["folder/a"])
        self.house.now(self.ann.delete("/d/folder/a"))
        self.assertIsNone(self.house.now(self.ann.find("/d/folder")))

    def test_the_mark_of_an_empty_folder_is_the_folder(self) -> None:
        self.house.now(self.ann.make_directory("/d/folder"))
        self.house.now(self.ann.unmark("/d/folder"))
        self.assertIsNone(self.house.now(self.ann.find("/d/folder")))
        self.refused(NotFound, self.ann.unmark("/d/folder"))
