"""Small files put at a node by leave that it has ahead: in one exchange, as any put, and never twice or half."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Raw
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.cluster.calls import handlers
from ecpds.cluster.fleet import Leave, MasterFor
from ecpds.cluster.loans import KINDS, STOCK, LoanCalls, LoanDesk, Stock
from ecpds.cluster.remembering import RememberingMaster
from ecpds.cluster.remote import RemoteMaster
from ecpds.cluster.small_reads import LookCalls, Looking
from ecpds.cluster.tickets import TicketOffice
from ecpds.errors import ConnectionLost, NoSpace, NotFound, NotPermitted, Refusal, Unavailable
from ecpds.held import SMALL_FILE
from ecpds.limits import Limits
from ecpds.loans import ILender, IOffice
from ecpds.master.movers import Duty
from ecpds.model import Allocation, Condition, DestinationChange, Entry, Identity, Origin, Receipt
from ecpds.mover import volumes
from ecpds.mover.control import LocalControl
from ecpds.mover.doubts import AGAIN, Doubts
from ecpds.mover.store import LocalStore
from ecpds.mover.sweep import Sweep
from ecpds.options import S3_ETAG
from ecpds.people import UserChange
from ecpds.portal.filesystem import FileSystem
from ecpds.terms import AllocationRequest, Terms
from ecpds.threads import InlineThreads
from tests.cluster.pb import PbLink
from tests.doubles import RecordingSink
from tests.portal.house import House

NEIGHBOUR = "node-2"
ORIGIN = Origin("s3", "192.0.2.1", NEIGHBOUR)
DATA = b"hello"
MD5 = "5d41402abc4b2a76b9719d911017c592"


class CountedLink:
    """A link that notes what is asked. `breaking` says after which question it is lost, before the answer is here."""

    def __init__(self, link: PbLink) -> None:
        self.link = link
        self.asked: list[str] = []
        self.breaking = ""

    async def ask(self, call: str, arguments: bytes, repeatable: bool) -> Raw:
        self.asked.append(call)
        answer = await self.link.ask(call, arguments, repeatable)
        if call == self.breaking:
            raise ConnectionLost
        return answer


class Case(SynchronousTestCase):
    """A Master that is a mover too, and another node with a volume, at which a user puts."""

    in_memory = True

    def setUp(self) -> None:
        self.patch(volumes, "file_system_type", lambda device: "tmpfs" if self.in_memory else "ext4")
        self.house = House(self, limits=Limits(near_file=65536))
        self.house.add_destination("d")
        self.user = self.house.add_user("ann", ("d",))
        leave = Leave(TicketOffice(Ed25519PrivateKey.generate(), lambda: 0.0, 60.0), NEIGHBOUR, lambda mover: None)
        table = handlers(RemoteMaster, MasterFor(self.house.master, NEIGHBOUR, leave))
        table |= handlers(LookCalls, Looking(self.house.master, self.house.store, NEIGHBOUR, leave))
        self.desk = LoanDesk(self.house.master.loans, NEIGHBOUR)
        self.link = CountedLink(PbLink(table | handlers(LoanCalls, self.desk)))
        self.node = RememberingMaster(self.link, self.house.clock.seconds, 5.0)
        threads = InlineThreads()
        self.volume = self.house.home / "volume-2"
        self.store = LocalStore(
            NEIGHBOUR,
            [self.volume],
            self.node.stored,
            threads,
            threads,
            self.house.pool,
            self.house.limits,
            not self.in_memory,
            self.house.clock,
        )
        self.control = LocalControl(self.store)
        self.house.master.register_mover(self.control)
        self.house.now(self.house.master.movers._look.run())
        self.node.loans.in_doubt = Doubts(Sweep(self.store, self.node), self.house.clock).add
        self.sink = RecordingSink()
        self.files = self.login()
        self.put("first", b"")  # nothing is known of the folder before
        self.put("second", DATA)  # no leave is there before
        self.link.asked.clear()
        self.sink.events.clear()

    def login(self) -> FileSystem:
        backing = evolve(
            self.house.backing,
            master=self.node,
            stores={NEIGHBOUR: self.store},
            sink=self.sink,
            at_hand=self.node,
            lender=self.node.loans,
        )
        identity = Identity(self.user.id, "ann", frozenset(self.user.permissions), ("d",))
        return FileSystem(backing, self.house.now(self.house.master.renew(identity)), ORIGIN)

    def put(self, name: str, data: bytes = DATA, terms: Terms | None = None) -> Entry | str:
        """The entry, or the name of the refusal."""
        outcome: list[Any] = []
        ensureDeferred(self.files.write_whole(f"/d/{name}", data, terms or Terms())).addBoth(outcome.append)
        if isinstance(outcome[0], Entry):
            return outcome[0]
        outcome[0].trap(Refusal)
        return type(outcome[0].value).__name__

    def is_at(self, name: str, data: bytes = DATA) -> Entry:
        """What the Master says that it is; its bytes stand on a volume."""
        entry: Entry = self.house.now(self.house.master.resolve("d", name))
        assert entry.file is not None
        (segment,) = entry.file.segments
        (copy,) = segment.copies
        store = self.store if copy.mover == NEIGHBOUR else self.house.store
        found = store.read_now(segment.id, copy, len(data))
        if found is None:
            found = self.house.now(store.read(segment.id, copy, len(data))).held(0, len(data))
        self.assertEqual(bytes(found) if found is not None else None, data)
        return entry

    def stored(self) -> int:
        return sum(path.is_file() for path in self.volume.rglob("*"))

    def records(self) -> list[tuple[str, str]]:
        return [(event.type, str(dict(event.fields).get("Status", ""))) for event in self.sink.events]


class Puts(Case):
    def test_the_ends_are_what_they_say(self) -> None:
        verifyObject(ILender, self.node.loans)
        verifyObject(IOffice, self.house.master.loans)

    def test_a_small_put_is_one_exchange_and_an_entry_and_a_record(self) -> None:
        entry = self.put("a", DATA, Terms(metadata={"key": "é"}))
        assert isinstance(entry, Entry)
        self.assertEqual(self.link.asked, ["loans.name"])
        there = self.is_at("a")
        assert entry.file is not None and there.file is not None
        self.assertEqual((entry.path, entry.file), ("/d/a", there.file))
        self.assertEqual(there.file.metadata, {"key": "é"})
        self.assertEqual(there.file.digests.keys(), {"crc64nvme", "sha256"})
        self.assertEqual(there.file.segments[0].copies[0].mover, NEIGHBOUR)
        self.assertEqual(self.records(), [("INH", "done")])

    def test_many_are_never_out_of_leave(self) -> None:
        for number in range(3 * STOCK):
            self.assertIsInstance(self.put(f"many/{number}"), Entry)
        self.assertEqual(self.link.asked.count("master.allocate"), 0)
        self.assertLess(self.link.asked.count("loans.lend"), 8)
        ids = {self.is_at(f"many/{number}").file.id for number in range(3 * STOCK)}  # type: ignore[union-attr]
        self.assertEqual(len(ids), 3 * STOCK)

    def test_an_overwrite_gives_the_old_bytes_up(self) -> None:
        self.put("a", b"old")
        self.put("a", b"new!")
        self.is_at("a", b"new!")
        self.house.clock.advance(self.house.limits.ticket_life + 2)
        self.house.clock.advance(2)
        self.assertEqual(self.stored(), 3)

    def test_what_is_refused_is_refused_as_always_and_leaves_nothing(self) -> None:
        self.put("a")
        self.sink.events.clear()
        before = self.stored()
        self.assertEqual(self.put("a", b"x", Terms(Condition(absent=True))), "PreconditionFailed")
        self.assertEqual(self.put("a/b", b"x"), "NotADirectory")
        self.assertEqual(self.records(), [("DEA", ""), ("DEA", "")])
        self.assertEqual(self.put("b", b"x", Terms(expected={"md5": MD5})), "DigestMismatch")
        self.assertEqual(self.records()[2:], [("INH", "failed")])
        self.assertEqual(self.stored(), before)
        self.is_at("a")
        self.assertEqual(self.node.loans._given, {})

    def test_who_may_not_any_more_puts_nothing(self) -> None:
        self.house.now(self.house.operations.change_user("ann", UserChange(permissions=("get",))))
        before = self.stored()
        self.assertEqual(self.put("a"), "NotPermitted")
        self.assertEqual(self.stored(), before)
        self.assertEqual(self.records(), [("DEA", "")])

    def test_quotas_count_it_once(self) -> None:
        change = UserChange(options={"portal.maxHeldFiles": "2"})
        self.house.now(self.house.operations.change_user("ann", change))
        self.files = self.login()
        outcomes = [self.put(f"q{number}") for number in range(4)]
        self.assertEqual([type(each) for each in outcomes], [Entry, Entry, str, str])

    def test_digests_that_are_wanted_since_are_there(self) -> None:
        self.house.now(self.house.operations.change_destination("d", DestinationChange(digests=("sha256", "sha1"))))
        self.files = self.login()
        self.put("a")
        digests = self.is_at("a").file.digests  # type: ignore[union-attr]
        self.assertEqual(digests.keys(), {"crc64nvme", "sha256", "sha1"})
        self.assertIn("master.allocate", self.link.asked)

    def test_a_mover_that_drains_gets_nothing_new(self) -> None:
        self.house.master.movers.set_duty(NEIGHBOUR, Duty.DRAINING)
        before = self.stored()
        self.files._backing.stores[self.house.store.name] = self.house.store  # type: ignore[index]
        entry = self.put("a")
        assert isinstance(entry, Entry)
        self.assertEqual(self.stored(), before)
        self.is_at("a")

    def test_what_is_under_way_counts_as_it_did(self) -> None:
        """By that the Master knows which mover is the least active."""
        under_way = self.house.now(self.files.open_write("/d/large", SMALL_FILE))
        placed = self.house.master.movers._placer._placed
        before = {key: count for key, count in placed.items() if count}
        self.assertEqual(sum(before.values()), 1)
        for number in range(STOCK):
            self.put(f"many/{number}")
        self.assertEqual({key: count for key, count in placed.items() if count}, before)
        self.house.now(under_way.abort())
        self.assertEqual(sum(placed.values()), 0)

    def test_leave_of_one_protocol_is_not_another_s(self) -> None:
        """Where ETags are opaque, S3 wants no MD5 kept that HTTPS keeps, though both ask for it."""
        options = {S3_ETAG: "opaque"}
        self.house.now(self.house.operations.change_destination("d", DestinationChange(options=options)))
        self.files, terms = self.login(), Terms(digests=("md5",))
        s3, https = self.files, FileSystem(self.files._backing, self.files.identity, evolve(ORIGIN, protocol="https"))
        for self.files in (s3, https):
            self.assertIsInstance(self.put("first", DATA, terms), Entry)
        self.link.asked.clear()
        for name, self.files in (("a", s3), ("b", https), ("c", s3)):
            self.assertIsInstance(self.put(name, DATA, terms), Entry)
        self.assertEqual(self.link.asked, ["loans.name"] * 3)
        self.assertEqual([("md5" in self.is_at(name).file.digests) for name in "abc"], [False, True, False])  # type: ignore[union-attr]

    def test_a_fault_has_a_record(self) -> None:
        """A disk that fails is no refusal."""

        async def failing(*_: Any) -> Receipt | None:
            raise OSError(5, "Input/output error")

        self.patch(self.store, "write_and_tell", failing)
        outcome: list[Any] = []
        ensureDeferred(self.files.write_whole("/d/a", DATA)).addErrback(outcome.append)
        outcome[0].trap(OSError)
        self.assertEqual(self.records(), [("INH", "failed")])
        self.assertEqual(self.node.loans._given, {})

    def test_what_is_not_small_or_has_no_bytes_is_asked_for_as_always(self) -> None:
        for size in (0, SMALL_FILE):
            self.link.asked.clear()
            self.assertIsInstance(self.put("a", bytes(size)), Entry)
            self.assertEqual(self.link.asked, ["master.allocate", "master.stored", "master.finish"])


class Waiting(Puts):
    """The same where volumes are disks, and synced."""

    in_memory = False


class Ends(Case):
    def test_a_link_that_is_lost_with_the_answer(self) -> None:
        """It was named: that is what a client finds that asks again. Its record says failed, once."""
        self.link.breaking = "loans.name"
        self.assertEqual(self.put("a"), "ConnectionLost")
        self.assertEqual(self.records(), [("INH", "failed")])
        self.assertEqual(self.link.asked.count("master.mark_dead"), 1)
        self.is_at("a")
        self.house.now(Sweep(self.store, self.house.master).run())
        self.is_at("a")

    def test_bytes_that_no_name_was_given_do_not_stay(self) -> None:
        for refusal in (Unavailable, NoSpace):

            async def failing(*_: Any, refusal: type[Refusal] = refusal) -> Entry | None:
                raise refusal

            before = self.stored()
            self.patch(self.house.master.loans, "name", failing)
            self.assertEqual([self.put(f"a/{number}") for number in range(10)], [refusal.__name__] * 10)
            self.assertEqual(self.stored(), before)

    def test_who_can_not_tell_whose_they_are_is_asked_again(self) -> None:
        async def failing(*_: Any) -> Any:
            raise NoSpace

        before, mark_dead = self.stored(), self.house.master.mark_dead
        self.patch(self.house.master.loans, "name", failing)
        self.patch(self.house.master, "mark_dead", failing)
        self.assertEqual([self.put("a"), self.put("b")], ["NoSpace", "NoSpace"])
        self.house.clock.advance(AGAIN)
        self.assertEqual(self.stored(), before + 2)
        self.patch(self.house.master, "mark_dead", mark_dead)
        self.house.clock.advance(AGAIN)
        self.assertEqual(self.stored(), before)

    def test_bytes_do_not_stay_that_an_answer_does_not_name_which_can_not_be_read(self) -> None:
        async def unreadable(*_: Any) -> Entry | None:
            raise ValueError("no Entry")

        before = self.stored()
        self.patch(self.node.loans._calls, "name", unreadable)
        outcome: list[Any] = []
        ensureDeferred(self.files.write_whole("/d/a", DATA)).addErrback(outcome.append)
        outcome[0].trap(ValueError)
        self.assertEqual(self.records(), [("INH", "failed")])
        self.house.clock.advance(AGAIN)
        self.assertEqual(self.stored(), before)

    def test_what_was_found_to_be_nobodys_is_not_named_later(self) -> None:
        """The link is lost while the Master checks; it goes on there, and comes too late."""
        check, gate, ended = self.house.master.check, Deferred[None](), list[Any]()

        async def slow(request: AllocationRequest) -> Any:
            await gate
            return await check(request)

        async def lost(request: AllocationRequest, receipt: Receipt) -> Entry | None:
            ensureDeferred(self.desk.name(request, receipt)).addBoth(ended.append)
            raise ConnectionLost

        before = self.stored()
        self.patch(self.house.master, "name_by_turn", lambda *_: None)
        self.patch(self.house.master, "check", slow)
        self.patch(self.node.loans._calls, "name", lost)
        self.assertEqual(self.put("a"), "ConnectionLost")
        self.assertEqual(self.stored(), before)
        gate.callback(None)
        ended[0].trap(Unavailable)
        self.failureResultOf(ensureDeferred(self.house.master.resolve("d", "a")), NotFound)

    def test_bytes_are_not_swept_while_the_Master_is_asked(self) -> None:
        name = self.house.master.loans.name

        async def swept(request: AllocationRequest, allocation: Allocation, receipt: Receipt) -> Entry | None:
            await Sweep(self.store, self.house.master).run()
            return await name(request, allocation, receipt)

        self.patch(self.house.master.loans, "name", swept)
        self.assertIsInstance(self.put("a"), Entry)
        self.is_at("a")
        self.assertEqual(self.link.asked, ["loans.name"])

    def test_another_Master_knows_nothing_of_what_was_lent(self) -> None:
        self.desk._lent.clear()
        before = self.stored()
        self.assertIsInstance(self.put("a"), Entry)
        self.assertEqual(self.stored(), before + 1)
        self.assertEqual(self.records(), [("INH", "done")])
        self.assertIn("master.allocate", self.link.asked)

    def test_who_is_not_linked_asks_as_always(self) -> None:
        self.node.loans.linked = lambda: False
        self.assertIsInstance(self.put("a"), Entry)
        self.assertNotIn("loans.name", self.link.asked)
        self.assertFalse(self.files.takes_now("/d/b"))


class Desks(Case):
    def request(self, **more: Any) -> AllocationRequest:
        return AllocationRequest(self.user.id, "d", "a", more.pop("origin", ORIGIN), 5, **more)

    def lend(self, request: AllocationRequest, count: int = 1) -> Sequence[Allocation]:
        found: Sequence[Allocation] = self.house.now(self.desk.lend(request, count))
        return found

    def receipt(self, id_: int) -> Receipt:
        return Receipt(id_, NEIGHBOUR, 0, 5, {"crc64nvme": "0" * 16, "sha256": "0" * 64})

    def test_an_id_is_used_once(self) -> None:
        (lent,) = self.lend(self.request())
        self.assertIsInstance(self.house.now(self.desk.name(self.request(), self.receipt(lent.id))), Entry)
        self.assertIsNone(self.house.now(self.desk.name(self.request(), self.receipt(lent.id))))

    def test_what_was_not_lent_is_not_named(self) -> None:
        self.assertIsNone(self.house.now(self.desk.name(self.request(), self.receipt(10**9))))

    def test_a_node_speaks_for_itself(self) -> None:
        foreign = self.request(origin=evolve(ORIGIN, node="node-1"))
        for work in (self.desk.lend(foreign, 1), self.desk.name(foreign, self.receipt(1))):
            self.failureResultOf(ensureDeferred(work), NotPermitted)
        self.failureResultOf(ensureDeferred(self.desk.lend(self.request(part=(1, 1)), 1)), NotPermitted)

    def test_a_receipt_of_another_place_is_refused(self) -> None:
        (lent,) = self.lend(self.request())
        wrong = evolve(self.receipt(lent.id), mover="node-1")
        self.failureResultOf(ensureDeferred(self.desk.name(self.request(), wrong)), Refusal)
        self.failureResultOf(ensureDeferred(self.house.master.resolve("d", "a")), Refusal)

    def test_no_more_is_lent_at_a_time_than_a_stock(self) -> None:
        self.assertEqual(len(self.lend(self.request(), 10**6)), STOCK)
        self.assertEqual(self.lend(self.request(), -1), ())
        self.assertEqual(self.lend(evolve(self.request(), destination="no")), ())

    def test_where_no_file_is_near_nothing_is_lent(self) -> None:
        self.house.master.movers._near_file = 0
        self.assertEqual(self.lend(self.request()), ())

    def test_a_stock_has_bounds(self) -> None:
        stock = Stock(self.link, self.house.clock.seconds)
        for number in range(KINDS + 10):
            stock.lend(evolve(self.request(), terms=Terms(expected={str(number): ""})))
        self.assertEqual(len(stock._shelves), KINDS)

    def test_where_nothing_is_lent_it_is_not_asked_for_again_at_once(self) -> None:
        self.house.master.movers._near_file = 0
        self.node.loans.clear()
        for _ in range(3):
            self.put("a")
        self.assertEqual(self.link.asked.count("loans.lend"), 1)
        self.assertFalse(self.files.takes_now("/d/b"))
        self.house.clock.advance(6.0)
        self.put("a")
        self.assertEqual(self.link.asked.count("loans.lend"), 2)

    def test_a_Master_that_does_not_answer_lends_nothing(self) -> None:
        self.node.loans.clear()
        self.link.breaking = "loans.lend"
        self.assertIsInstance(self.put("a"), Entry)
        self.assertEqual(self.link.asked.count("loans.lend"), 1)
