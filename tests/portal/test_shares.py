"""Share links: what who has one sees and may do, for how long and how often, and that nothing else can be got at by it."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidName, InvalidRequest, LoginFailed, NotFound, NotPermitted, PreconditionFailed, Refusal
from ecpds.master import shares as rows
from ecpds.people import NewShare, Share, UserChange
from ecpds.portal.filesystem import FileSystem
from ecpds.portal_interfaces import IFileSystem
from tests.doubles import MemorySink, MemorySource
from tests.portal.house import ORIGIN, House

FETCH = ("get", "dir")
BRING = ("put", "mkdir")


class Shared(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        for name in ("demo", "other"):
            self.house.add_destination(name)
        self.ann = self.house.files_of(self.house.add_user("ann", ("demo", "other")))
        for path in ("/demo/share/a", "/demo/share/sub/b", "/demo/share2/secret", "/demo/top", "/other/x"):
            self.put(self.ann, path)

    def put(self, files: IFileSystem, path: str, data: bytes = b"content") -> None:
        upload = self.house.now(files.open_write(path))
        self.house.now(upload.receive(MemorySource(data)))
        self.house.now(upload.commit())

    def get(self, files: IFileSystem, path: str) -> bytes:
        download = self.house.now(files.open_read(path))
        sink = MemorySink()
        self.house.now(download.send(sink))
        download.close()
        return sink.value

    def make(self, path: str, permissions: tuple[str, ...] = FETCH, **named: Any) -> tuple[Share, str]:
        made: tuple[Share, str] = self.house.now(self.ann.add_share(path, NewShare("", "", permissions, **named)))
        return made

    def enter(self, token: str, password: str = "") -> IFileSystem:
        files: IFileSystem = self.house.now(self.house.portal.login_with_share(token, password, ORIGIN))
        return files

    def visit(self, path: str, permissions: tuple[str, ...] = FETCH, **named: Any) -> IFileSystem:
        return self.enter(self.make(path, permissions, **named)[1])

    def refused(self, kind: type[Refusal], work: Any) -> Refusal:
        refusal: Refusal = self.failureResultOf(ensureDeferred(work), kind).value
        return refusal

    def names(self, files: IFileSystem, path: str = "/") -> list[str]:
        return [entry.path for entry in self.house.now(files.list(path)).entries]

    def test_a_folder_is_all_there_is(self) -> None:
        files = self.visit("/demo/share/")
        self.assertEqual(self.names(files), ["/a", "/sub"])
        self.assertEqual(self.names(files, "/sub/"), ["/sub/b"])
        self.assertEqual(self.get(files, "/sub/b"), b"content")
        self.assertTrue(self.house.now(files.stat("/")).is_directory)
        for path in ("/top", "/demo/top", "/demo/share/a", "/2/secret", "/other/x"):
            self.refused(NotFound, files.open_read(path))
        self.refused(InvalidName, files.open_read("/../top"))

    def test_a_sibling_whose_name_begins_alike_is_not_there(self) -> None:
        self.assertEqual(self.names(self.visit("/demo/share")), ["/a", "/sub"])
        files = self.visit("/demo/share/a")
        self.put(self.ann, "/demo/share/ab")
        self.assertEqual(self.names(files), ["/a"])
        self.refused(NotFound, files.open_read("/ab"))

    def test_a_file(self) -> None:
        files = self.visit("/demo/share/a")
        self.assertEqual((self.names(files), self.get(files, "/a")), (["/a"], b"content"))
        for path in ("/sub/", "/sub/b", "/share/a"):
            self.refused(NotFound, files.stat(path))

    def test_a_whole_destination(self) -> None:
        files = self.visit("/other")
        self.assertEqual((self.names(files), self.get(files, "/x")), (["/x"], b"content"))

    def test_no_more_than_it_says(self) -> None:
        files = self.visit("/demo/share/")
        self.refused(NotPermitted, files.open_write("/new"))
        self.refused(NotPermitted, files.delete("/a"))
        self.refused(NotPermitted, files.rename("/a", "/b"))
        self.refused(NotPermitted, files.add_share("/a", NewShare("", "", FETCH)))
        self.assertEqual(self.house.now(files.shares()), ())

    def test_who_brings_sees_and_replaces_nothing(self) -> None:
        files = self.visit("/demo/share/", BRING)
        self.put(files, "/brought/here", b"new")
        self.assertEqual(self.get(self.ann, "/demo/share/brought/here"), b"new")
        self.refused(PreconditionFailed, files.open_write("/a"))
        self.refused(NotPermitted, files.list("/"))
        self.refused(NotPermitted, files.open_read("/a"))
        self.assertEqual(self.get(self.ann, "/demo/share/a"), b"content")

    def test_uses_are_counted(self) -> None:
        share, token = self.make("/demo/share/", most=2)
        for _ in range(2):
            self.get(self.enter(token), "/a")
        self.names(self.enter(token))
        refusal = self.refused(NotPermitted, self.enter(token).open_read("/a"))
        self.assertIn("as often as it may be", refusal.detail)
        self.assertEqual([each.used for each in self.house.now(self.ann.shares()) if each.id == share.id], [2])

    def test_it_expires(self) -> None:
        token = self.make("/demo/share/", life=100.0)[1]
        files = self.enter(token)
        self.house.clock.advance(101)
        self.assertIn("expired", self.refused(NotPermitted, self.house.portal.login_with_share(token, "", ORIGIN)).detail)
        self.refused(NotPermitted, files.open_read("/a"))

    def test_a_password(self) -> None:
        token = self.make("/demo/share/", password="open")[1]
        for password in ("", "wrong"):
            self.refused(LoginFailed, self.house.portal.login_with_share(token, password, ORIGIN))
        self.assertEqual(self.names(self.enter(token, "open")), ["/a", "/sub"])

    def test_taken_back(self) -> None:
        share, token = self.make("/demo/share/")
        files = self.enter(token)
        bob = self.house.files_of(self.house.add_user("bob", ("demo",)))
        self.refused(NotFound, bob.remove_share(share.id))
        self.house.now(self.ann.remove_share(share.id))
        self.refused(LoginFailed, self.house.portal.login_with_share(token, "", ORIGIN))
        self.house.clock.advance(self.house.limits.credential_life)
        self.refused(NotPermitted, files.list("/"))

    def test_it_ends_with_the_rights_of_its_maker(self) -> None:
        token = self.make("/demo/share/")[1]
        self.house.now(self.house.operations.change_user("ann", UserChange(destinations=("other",))))
        self.refused(NotPermitted, self.house.portal.login_with_share(token, "", ORIGIN))
        self.house.now(self.house.operations.change_user("ann", UserChange(destinations=("demo",), enabled=False)))
        self.refused(NotPermitted, self.house.portal.login_with_share(token, "", ORIGIN))

    def test_nobody_shares_what_is_not_theirs(self) -> None:
        bob = self.house.files_of(self.house.add_user("bob", ("demo",), permissions=("dir",)))
        self.refused(NotPermitted, bob.add_share("/demo/share/", NewShare("", "", FETCH)))
        self.refused(NotFound, bob.add_share("/other/", NewShare("", "", ("dir",))))
        self.refused(NotPermitted, self.ann.add_share("/", NewShare("", "", FETCH)))
        self.refused(NotFound, self.ann.add_share("/demo/none", NewShare("", "", FETCH)))
        for new in (
            NewShare("", "", ()),
            NewShare("", "", ("all",)),
            NewShare("", "", FETCH, most=0),
            NewShare("", "", FETCH, -1),
            NewShare("", "", FETCH, 9_999_999_999 * 86400.0),
        ):
            self.refused(InvalidRequest, self.ann.add_share("/demo/share/", new))

    def test_a_key_of_its_user_neither_sees_links_nor_takes_them_back(self) -> None:
        """It may be for one destination, or to get alone."""
        share, token = self.make("/demo/share/")
        keyed = FileSystem(self.house.backing, evolve(self.ann.identity, access_key="AK"), ORIGIN)
        self.assertEqual(self.house.now(keyed.shares()), ())
        self.refused(NotFound, keyed.remove_share(share.id))
        self.refused(NotPermitted, keyed.add_share("/demo/share/", NewShare("", "", FETCH)))
        self.assertEqual(self.names(self.enter(token)), ["/a", "/sub"])

    def test_links_that_were_made_can_be_listed(self) -> None:
        self.make("/demo/share/", life=36500 * 86400.0)
        self.assertEqual(len(self.house.now(self.ann.shares())), 1)
        (listed,) = self.successResultOf(ensureDeferred(self.all(self.house.operator.list_shares())))
        self.assertTrue(str(listed["expires"]).startswith("2"), listed)

    async def all(self, found: Any) -> list[Any]:
        return [each async for each in found]

    def test_the_token_is_not_kept(self) -> None:
        token = self.make("/demo/share/")[1]
        self.assertEqual(len(token), 24)
        stored = self.house.now(self.house.master.reader.ask(lambda session: rows.by_token(session, token)))
        self.assertIsNone(stored)

    def test_operators(self) -> None:
        made = self.house.now(self.house.operator.add_share("ann", "/demo/share", list(FETCH), 100.0, 3))
        self.assertEqual(self.names(self.enter(made["token"])), ["/a", "/sub"])
        self.assertNotIn(made["token"], repr(self.house.now(self.house.master.shares(None))))
        self.house.now(self.house.operator.remove_share(made["id"]))
        self.refused(LoginFailed, self.house.portal.login_with_share(made["token"], "", ORIGIN))
        self.refused(NotFound, self.house.operator.remove_share(made["id"]))

    def test_records_say_by_which_link(self) -> None:
        share, token = self.make("/demo/share/")
        self.get(self.enter(token), "/a")
        self.assertIn(f"share {share.id}", str(self.house.sink.of("INH")[-1]))  # type: ignore[attr-defined]
