"""What only object stores' clients ask: destinations open to everybody, what is set of them, notes, marks of folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import IsADirectory, NotFound, NotPermitted, PreconditionFailed
from ecpds.model import OBJECT_ACL, VISITOR, Condition, DestinationChange, Identity, Origin
from ecpds.options import BUCKET_ACL, BUCKET_OBJECTS, BUCKET_TAGS, MAKES_BUCKETS
from ecpds.portal.objects import ObjectSpace
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
            upload = await files.open_write(path, metadata={} if acl is None else {OBJECT_ACL: acl})
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

    def test_a_stranger_sees_nothing_and_does_not_learn_what_there_is(self) -> None:
        for name in ("d", "nowhere"):
            self.refused(NotPermitted, self.house.portal.visit(name, ORIGIN))
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

    def test_one_that_is_open_for_writing_is_written_but_not_in_parts(self) -> None:
        self.open("d", "public-read-write")
        self.put(self.visit("d"), "/d/from/anybody")
        self.refused(NotPermitted, self.visit("d").create_upload("/d/parts", {}))
        self.house.now(self.visit("d").delete("/d/from/anybody"))

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
