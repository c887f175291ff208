"""The control link in memory: two real Perspective Broker ends, an exchange on each, and bytes that cross at once.

Who asks is answered before `ask` is waited for wherever the other end can answer without waiting, so contract suites that
know nothing of a link run over it unchanged. TLS and joining are left out: `test_links` has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, connect

from ecpds.cluster.authority import MASTER, MEMBER, Peer
from ecpds.cluster.calls import Handler, handlers
from ecpds.cluster.exchange import Exchange
from ecpds.cluster.fleet import Leave, MasterFor
from ecpds.cluster.post import Post, make_broker
from ecpds.cluster.remote import RemoteMaster
from ecpds.cluster.tickets import TicketOffice
from ecpds.master_interfaces import IMaster


class PbLink:
    """An `Asker` whose questions `answers` answers, by the names of calls, at the other end of a connection."""

    def __init__(self, answers: Mapping[str, Handler]) -> None:
        self._clock = Clock()
        posts: list[Post] = []
        near = make_broker(Peer("master", MASTER), True, posts.append)
        far = make_broker(Peer("node", MEMBER), False, posts.append)
        self._ends = [Counted(far, isServer=True), Counted(near, isServer=False)]
        self._pump: Any = connect(far, self._ends[0], near, self._ends[1], clock=self._clock)  # type: ignore[no-untyped-call]
        self.exchange = Exchange(self._clock, {})
        self._moving = False
        asking, answering = self.exchange, Exchange(self._clock, answers)
        for exchange, name in ((asking, "master"), (answering, "node")):
            (post,) = (post for post in posts if post.peer.name == name)
            post.receive = exchange.receive
            exchange.connected(post)

    async def ask(self, call: str, arguments: bytes, repeatable: bool) -> Raw:
        asked = Deferred.fromCoroutine(self.exchange.ask(call, arguments, repeatable))
        self.pump()
        return await asked

    def pump(self) -> None:
        """Until nothing moves. Whoever asks meanwhile is pumped for already."""
        if self._moving:
            return
        self._moving = True
        try:
            while self._pump.flush() or self._clock.getDelayedCalls():
                self._clock.advance(0)
        finally:
            self._moving = False

    @property
    def bytes_crossed(self) -> int:
        return sum(end.count for end in self._ends)


READ = 64 * 1024
"""Bytes that a socket gives at a time."""


class Counted(FakeTransport):
    """Counts what is written to it, and hands it on as a socket does."""

    count = 0

    def getOutBuffer(self) -> Any:
        out: Any = super().getOutBuffer()  # type: ignore[no-untyped-call]
        if isinstance(out, bytes) and len(out) > READ:
            self.stream = [out[READ:]]
            return out[:READ]
        return out

    def write(self, data: bytes) -> None:
        self.count += len(data)
        super().write(data)  # type: ignore[no-untyped-call]


def linked(master: Any) -> tuple[RemoteMaster, PbLink]:
    """A Master at the other end of a link."""
    link = PbLink(handlers(RemoteMaster, master))
    return RemoteMaster(link), link


def seen_from(node: str, master: IMaster) -> MasterFor:
    """A Master as it is for one node: with tickets for what is elsewhere, which is nothing."""
    office = TicketOffice(Ed25519PrivateKey.generate(), lambda: 0.0, 60.0)
    return MasterFor(master, node, Leave(office, node, lambda mover: None))
