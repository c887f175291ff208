"""What a node on the Master's host remembers, and that it never believes what is not so any more."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.cluster.board import BELIEVED, SIZE, SLOTS, Board, BoardCalls, BoardDesk, Page, slot
from ecpds.cluster.calls import handlers
from ecpds.cluster.fleet import Leave, MasterFor
from ecpds.cluster.remembering import RememberingMaster
from ecpds.cluster.remote import RemoteMaster
from ecpds.cluster.small_reads import LookCalls, Looking
from ecpds.cluster.tickets import TicketOffice
from ecpds.errors import LoginFailed, NotFound, NotPermitted, Refusal, Unavailable
from ecpds.master_interfaces import IAtHand
from ecpds.model import ANYTHING, Copy, DestinationChange, Entry, Identity, Origin
from ecpds.mover.beside import VolumesBeside
from ecpds.mover.volumes import segment_path
from ecpds.people import UserChange
from ecpds.portal.kept import KeptSegments
from ecpds.threads import InlineThreads
from tests.cluster.pb import PbLink
from tests.doubles import MemorySource
from tests.portal.house import NODE, House

NEIGHBOUR = "node-2"
ORIGIN = Origin("s3", "192.0.2.1", NEIGHBOUR)


class Pages(SynchronousTestCase):
    """The memory alone."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.board = Board(self.clock.seconds)
        self.addCleanup(self.board.close)
        self.pid, self.fd, self.token = self.successResultOf(ensureDeferred(self.board.where()))
        self.page = Page(self.pid, self.fd, self.token, self.clock.seconds)

    def test_a_change_is_told_of_that_path_and_of_people_and_of_all(self) -> None:
        seen = {path: self.page.names(path) for path in ("a", "b", "")}
        people = self.page.people()
        self.board.changed("a")
        self.assertNotEqual(self.page.names("a"), seen["a"])
        self.assertEqual((self.page.names("b"), self.page.people()), (seen["b"], people))
        self.board.changed(None)
        self.assertNotEqual(self.page.names("b"), seen["b"])
        self.assertEqual(self.page.people(), people)
        self.board.people_changed()
        self.assertNotEqual(self.page.people(), people)

    def test_it_is_true_while_the_master_says_that_it_is_well(self) -> None:
        self.assertFalse(self.page.is_true())
        self.board.mark()
        self.clock.advance(BELIEVED - 0.01)
        self.assertTrue(self.page.is_true())
        self.clock.advance(0.02)
        self.assertFalse(self.page.is_true())

    def test_of_a_master_that_has_gone_nothing_is_believed(self) -> None:
        board = Board(self.clock.seconds)
        page = Page(*self.successResultOf(ensureDeferred(board.where())), self.clock.seconds)
        board.mark()
        self.assertTrue(page.is_true())
        board.close()
        self.assertFalse(page.is_true())

    def test_what_is_another_host_s_is_not_mapped(self) -> None:
        self.assertRaises(Unavailable, Page, self.pid, self.fd, self.token ^ 1, self.clock.seconds)
        self.assertRaises(Unavailable, Page, self.pid, 1 << 20, self.token, self.clock.seconds)
        self.assertRaises(Unavailable, Page, 1 << 30, self.fd, self.token, self.clock.seconds)
        for size in (0, 1, SIZE - 8, SIZE + 8):
            fd = os.memfd_create("another")
            self.addCleanup(os.close, fd)
            os.ftruncate(fd, size)
            self.assertRaises(Unavailable, Page, self.pid, fd, self.token, self.clock.seconds)

    def test_nobody_can_cut_it_off(self) -> None:
        self.assertRaises(PermissionError, os.ftruncate, self.fd, 0)

    @given(st.text())
    @settings(max_examples=100, deadline=None)
    def test_every_path_has_a_place(self, path: str) -> None:
        self.assertTrue(0 <= slot(path) - (SIZE // 8 - SLOTS) < SLOTS)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.house.add_destination("d")
        self.user = self.house.add_user("ann", ("d",))
        self.key, _ = self.house.now(self.house.operations.add_access_key("ann", None, None, None))
        self.files = self.house.files_of(self.user)
        self.clock = Clock()
        self.board = Board(self.clock.seconds)
        self.addCleanup(self.board.close)
        self.board.mark()
        self.house.master.resolved.told = self.board.changed
        self.house.master.accounts.told = self.board.people_changed
        self.node = self.make_node(self.house.master)

    def make_node(self, real: Any) -> RememberingMaster:
        leave = Leave(TicketOffice(Ed25519PrivateKey.generate(), lambda: 0.0, 60.0), NEIGHBOUR, lambda mover: ("192.0.2.9", 1))
        table = handlers(RemoteMaster, MasterFor(real, NEIGHBOUR, leave))
        table |= handlers(LookCalls, Looking(real, self.house.store, NEIGHBOUR, leave))
        self.masters = VolumesBeside([self.house.volume], InlineThreads())
        table |= handlers(BoardCalls, BoardDesk(self.board, NEIGHBOUR, NODE, self.masters))
        self.link = PbLink(table)
        node = RememberingMaster(self.link, self.clock.seconds, 5.0)
        node.keeper = KeptSegments(1 << 20, 16384)
        self.own = self.house.home / "own"
        self.own.mkdir(exist_ok=True)
        node.beside = self.beside = VolumesBeside([self.own], InlineThreads())
        node.welcomed(self.clock.seconds)
        return node

    def put(self, name: str, content: bytes) -> None:
        async def put() -> None:
            upload = await self.files.open_write(f"/d/{name}")
            await upload.receive(MemorySource(content))
            await upload.commit()

        self.house.now(put())

    def resolve(self, path: str, waiting: bool = False) -> Entry:
        entry: Entry = self.house.now(self.node.resolve("d", path, waiting))
        return entry

    def known(self, path: str = "f", waiting: bool = False) -> Entry | None:
        return self.node.known("d", path, waiting)

    def is_told(self, change: Callable[[], Any], path: str = "f") -> None:
        """A file that is known is not any more after a change; and what is asked then is what the Master says."""
        for waiting in (False, True):
            self.resolve(path, waiting)
            self.assertIsNotNone(self.known(path, waiting))
        self.house.now(change())
        for waiting in (False, True):
            self.assertIsNone(self.known(path, waiting), f"waiting {waiting}")


class Names(Case):
    """What a path is."""

    def setUp(self) -> None:
        super().setUp()
        self.put("f", b"content")
        self.put("folder/g", b"in a folder")

    def test_it_is_at_hand(self) -> None:
        verifyObject(IAtHand, self.node)
        self.assertIsNone(self.known(), "it was never asked for")
        entry = self.resolve("f")
        before = self.link.bytes_crossed
        self.assertIs(self.known(), entry)
        self.assertEqual(self.link.bytes_crossed, before)
        self.assertIsNone(self.known(waiting=True), "that is another question")

    def test_an_overwrite_is_told(self) -> None:
        async def put() -> None:
            self.put("f", b"newer")

        self.is_told(put)
        self.assertEqual(self.resolve("f").size, 5)

    def test_every_other_change_is_told(self) -> None:
        master, user = self.house.master, self.user.id
        file = self.resolve("f").file
        assert file is not None
        self.is_told(lambda: master.set_mtime(user, "d", "f", 1.0))
        self.is_told(lambda: master.annotate(user, "d", "f", {"key": "value"}, ANYTHING))
        self.is_told(lambda: master.add_digests("d", "f", file.id, {"md5": "0" * 32}))
        self.is_told(lambda: master.rename(user, "d", "folder", "other"), "folder/g")
        self.is_told(lambda: master.rename(user, "d", "f", "h"))
        self.is_told(lambda: master.delete(user, "d", "h", ANYTHING), "h")
        self.is_told(lambda: self.house.operations.remove_destination("d", True), "other/g")

    def test_what_is_held_back_is_told(self) -> None:
        self.is_told(lambda: self.house.master.releases.hold("d", "f"))
        self.failureResultOf(ensureDeferred(self.node.resolve("d", "f")), NotFound)

    def test_what_waits_is_told_to_who_sees_it(self) -> None:
        change = DestinationChange(options={"incoming.standby": "true"})
        self.house.now(self.house.operations.change_destination("d", change))

        async def put() -> None:
            self.put("f", b"it waits")

        self.is_told(put)
        self.assertEqual((self.resolve("f").size, self.resolve("f", True).size), (7, 8))
        self.assertIsNone(self.known(waiting=True), "the Master asks its catalogue for those")

    def test_a_change_while_it_is_asked_for_counts(self) -> None:
        real = self.house.master
        resolve = real.resolve

        async def resolved(destination: str, path: str, waiting: bool = False) -> Entry:
            entry = await resolve(destination, path, waiting)
            self.put("f", b"newer")
            return entry

        self.patch(real, "resolve", resolved)
        self.assertEqual(self.resolve("f").size, 7)
        self.assertIsNone(self.known())

    def test_nothing_is_believed_of_a_master_that_does_not_answer(self) -> None:
        self.resolve("f")
        self.clock.advance(BELIEVED + 0.01)
        self.assertIsNone(self.known())
        self.board.mark()
        self.assertIsNotNone(self.known())
        self.node.linked = lambda: False
        self.assertIsNone(self.known())

    def test_a_new_welcome_begins_anew(self) -> None:
        self.resolve("f")
        self.node.welcomed(self.clock.seconds)
        self.assertIsNone(self.known())

    def test_folders_large_files_and_empty_ones_are_asked_for(self) -> None:
        self.put("large", bytes(16385))
        self.put("empty", b"")
        for path in ("folder", "large", "empty"):
            self.resolve(path)
            self.assertIsNone(self.known(path), path)

    def test_without_the_page_everything_is_asked_for(self) -> None:
        async def elsewhere() -> tuple[int, int, int]:
            raise Unavailable("there is none")

        self.patch(self.board, "where", elsewhere)
        self.node = self.make_node(self.house.master)
        self.assertEqual(self.resolve("f").size, 7)
        self.assertIsNone(self.known())


class Volumes(Case):
    """What lies beside is read where it lies."""

    def test_each_reads_what_the_other_has(self) -> None:
        self.put("f", b"content")
        (segment,) = self.house.now(self.house.master.resolve("d", "f")).file.segments
        found = self.beside.read_now(segment.id, Copy(NODE, 0), 7)
        assert found is not None
        self.assertEqual(bytes(found), b"content")
        place = self.own / segment_path(7)
        place.parent.mkdir(parents=True)
        place.write_bytes(b"its own")
        back = self.masters.read_now(7, Copy(NEIGHBOUR, 0), 7)
        assert back is not None
        self.assertEqual(bytes(back), b"its own")

    def test_who_can_t_show_that_it_is_beside_tells_and_hears_nothing(self) -> None:
        desk = BoardDesk(self.board, "liar", NODE, self.masters)
        self.failureResultOf(ensureDeferred(desk.beside(1, [(str(self.own), 1, 1)])), NotPermitted)
        self.assertIsNone(self.masters.read_now(1, Copy("liar", 0), 1))


class Users(Case):
    """Who somebody is."""

    def login(self, region: str = "r") -> Identity:
        work = self.node.login_with_signature(self.key.id, "20261122", region, "s3", ORIGIN)
        identity: Identity = self.house.now(work)[0]
        return identity

    def test_who_has_logged_in_is_still_that_until_something_changes(self) -> None:
        identity = self.login()
        self.assertTrue(self.node.still(identity))
        self.assertIs(self.login("other"), identity, "of another scope, the same user")
        changes: list[Callable[[], Any]] = [
            lambda: self.house.operations.change_user("ann", UserChange(comment="another")),
            lambda: self.house.operations.change_destination("d", DestinationChange(options={"s3.etag": "opaque"})),
            lambda: self.house.operations.remove_access_key("ann", self.key.id),
        ]
        for change in changes:
            identity = self.login()
            self.assertTrue(self.node.still(identity))
            self.house.now(change())
            self.assertFalse(self.node.still(identity))
        login = self.node.login_with_signature(self.key.id, "20261122", "r", "s3", ORIGIN)
        self.failureResultOf(ensureDeferred(login), LoginFailed)

    def test_not_longer_than_is_said_and_only_that_very_one(self) -> None:
        identity = self.login()
        self.clock.advance(4.9)
        self.board.mark()
        self.assertTrue(self.node.still(identity))
        self.assertFalse(self.node.still(Identity(self.user.id, "ann", frozenset(("get",)), ("d",))))
        self.clock.advance(0.2)
        self.assertFalse(self.node.still(identity))
        self.assertIs(self.login(), identity, "nothing has changed, so who holds it need not begin anew")
        self.assertTrue(self.node.still(identity))

    def test_nobody_is_let_in_by_a_password_and_nothing_is_put_at_once(self) -> None:
        self.assertFalse(self.node.admits("192.0.2.1", "ann"))


class Always(Case):
    """Whatever is done, in any order: what a node knows is what the Master would say."""

    PATHS = ("a", "b", "x/a")

    @given(st.lists(st.tuples(st.sampled_from(("put", "delete", "rename", "look")), st.sampled_from(PATHS)), max_size=30))
    @settings(max_examples=25, deadline=None)
    def test_what_is_known_is_so(self, steps: list[tuple[str, str]]) -> None:
        for number, (step, path) in enumerate(steps):
            self.house.now(self.tried(self.step(step, path, number)))
            for each in self.PATHS:
                known = self.known(each)
                self.assertTrue(known is None or known == self.house.now(self.house.master.resolve("d", each)), each)

    async def tried(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except Refusal:
            pass  # There is nothing of that name, or something is in the way.

    async def step(self, step: str, path: str, number: int) -> None:
        master, user = self.house.master, self.user.id
        if step == "put":
            self.put(path, b"x" * (number + 1))
        elif step == "look":
            await self.node.resolve("d", path)
        elif step == "delete":
            await master.delete(user, "d", path, ANYTHING)
        else:
            await master.rename(user, "d", path, self.PATHS[number % 3])
