"""The Master as a node without that role sees it, when the same S3 client comes again and again, and small files are read.

Every S3 request is a login. The Master's own door finds each in memory; another node would ask over the link each time, and so
twice for a small object. What it heard is good for a few seconds here: so long an access key that was taken away, or has
expired, may still be used at this node, for what the Master does not authorise anew anyway. The bytes of what is small come
with the answer to what a path is (`small_reads`).

On the Master's own host nothing is believed longer than it is true, for the Master tells at once what has changed (`board`).
So there both answers are remembered, and a small file that is got again costs no exchange. Elsewhere a path is asked for each
time. What a small put has to ask is asked in one exchange (`loans`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.cluster.board import Beside, BoardCalls, Page
from ecpds.cluster.calls import Asker
from ecpds.cluster.loans import Stock
from ecpds.cluster.remote import RemoteMaster
from ecpds.cluster.small_reads import Keeper, LookCalls, small_segment
from ecpds.errors import Refusal
from ecpds.master_interfaces import IAtHand
from ecpds.model import Allocation, Entry, Identity, Origin, Receipt
from ecpds.terms import AllocationRequest

REMEMBERED = 10_000
"""Access keys that are remembered at most, and files."""


@implementer(IAtHand)
class RememberingMaster(RemoteMaster):
    """Remembers an access key's login for `life` seconds; a refusal is not remembered. `now` are seconds.

    `keeper` gets what comes of small files. `linked` says whether the Master can be reached. `beside` reads what the Master's
    node has, where that is on this host.
    """

    log = Logger()

    def __init__(self, link: Asker, now: Callable[[], float], life: float) -> None:
        super().__init__(link)
        self.keeper: Keeper | None = None
        self.beside: Beside | None = None
        self.linked: Callable[[], bool] = lambda: True
        self._looking = LookCalls(link)
        self._boards = BoardCalls(link)
        self.loans = Stock(link, now)
        self._now = now
        self._life = life
        self._page: Page | None = None
        self._logins: dict[tuple[str, ...], tuple[float, int, tuple[Identity, bytes]]] = {}
        self._users: dict[str, tuple[float, int, Identity]] = {}
        self._files: OrderedDict[tuple[str, str, bool], tuple[int, Entry]] = OrderedDict()

    # Being told

    def welcomed(self, now: Callable[[], float]) -> None:
        """A Master is there, perhaps another one than before. `now` is its page's clock."""
        self._page = None
        for known in (self._logins, self._users, self._files, self.loans):
            known.clear()
        Deferred.fromCoroutine(self._find_page(now)).addErrback(self._no_page)

    async def _find_page(self, now: Callable[[], float]) -> None:
        self._page = page = Page(*await self._boards.where(), now)
        if self.beside is not None:
            await self.beside.take(*await self._boards.beside(page.proof, await self.beside.folders()))

    def _no_page(self, failure: Failure) -> None:
        if not isinstance(failure.value, Refusal):
            self.log.failure("the Master's page of changes could not be opened", failure)
            return
        self.log.info("what the Master says is asked for each time: {reason}", reason=failure.value.detail)

    def _told(self) -> Page | None:
        """What says whether something has changed, while it does."""
        page = self._page
        return page if page is not None and page.is_true() and self.linked() else None

    # As a Master

    async def login_with_signature(
        self, access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[Identity, bytes]:
        asked, page = (access_key_id, date, region, service, origin.protocol), self._told()
        people = page.people() if page is not None else 0
        known = self._logins.get(asked)
        if known is not None and self._now() < known[0] and (page is None or people == known[1]):
            return known[2]
        until = self._now() + self._life
        identity, key = await super().login_with_signature(access_key_id, date, region, service, origin)
        if len(self._logins) >= REMEMBERED:
            self._logins.clear()
            self._users.clear()
        before = self._users.get(access_key_id)
        if before is not None and before[2] == identity:
            identity = before[2]  # The same object says that nothing has changed.
        self._users[access_key_id] = until, people, identity
        self._logins[asked] = until, people, (identity, key)
        return identity, key

    async def resolve(self, destination: str, path: str, waiting: bool = False) -> Entry:
        keeper = self.keeper
        if keeper is None or keeper.largest <= 0:
            plain: Entry = await super().resolve(destination, path, waiting)
            return plain
        page = self._told()
        names = page.names(path) if page is not None else 0
        entry, place, data, lasting = await self._looking.look(destination, path, keeper.largest, waiting)
        segment = small_segment(entry, keeper.largest)
        if segment is not None:
            if place is not None:
                keeper.keep(segment, place, memoryview(data))
            if lasting and page is not None and page is self._page:
                self._remember((destination, path, waiting), names, entry)
        return entry

    async def stored(self, receipt: Receipt) -> None:
        if not await self.loans.named(receipt):
            await super().stored(receipt)

    def _remember(self, key: tuple[str, str, bool], names: int, entry: Entry) -> None:
        self._files[key] = names, entry
        self._files.move_to_end(key)
        if len(self._files) > REMEMBERED:
            self._files.popitem(last=False)

    # At hand

    def still(self, identity: Identity) -> bool:
        page, found = self._told(), self._users.get(identity.access_key)
        if page is None or found is None or found[2] is not identity:
            return False
        return self._now() < found[0] and page.people() == found[1]

    def admits(self, address: str, login: str) -> bool:
        """It is the Master who counts wrong passwords."""
        return False

    def known(self, destination: str, path: str, waiting: bool = False) -> Entry | None:
        page, found = self._told(), self._files.get((destination, path, waiting))
        if page is None or found is None:
            return None
        if page.names(path) != found[0]:
            del self._files[destination, path, waiting]
            return None
        self._files.move_to_end((destination, path, waiting))
        return found[1]

    def takes_now(self, request: AllocationRequest) -> bool:
        return False

    def put_now(self, request: AllocationRequest, store: Callable[[Allocation], Receipt | None]) -> Entry | None:
        return None

    def put_by_turn(self, request: AllocationRequest, store: Callable[[Allocation], Receipt | None]) -> Deferred[Entry] | None:
        return None
