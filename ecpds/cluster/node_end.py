"""A node's end of its link to the Master: connecting for ever, saying every two seconds how it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

import msgspec
from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.cluster.authority import MASTER, Credentials, Peer, fleet_context
from ecpds.cluster.calls import Handler
from ecpds.cluster.codec import Refused, decode, refusal_of
from ecpds.cluster.exchange import Exchange
from ecpds.cluster.fleet import Address, FleetCalls, NodeState, wire_event
from ecpds.cluster.membership import BEAT
from ecpds.cluster.post import Creator, Gate, Hello, Post, Welcome, make_broker
from ecpds.cluster.reconnecting import Reconnecting, Waiting
from ecpds.errors import ConnectionLost, NotPermitted, Refusal, Unavailable
from ecpds.events import Event
from ecpds.interfaces import IEventSink

CONNECTING = 10.0
"""Seconds that one attempt may take."""

SILENT = 5 * BEAT
"""Seconds without an answer to a heartbeat after which the link is thought dead."""


class NodeEnd:
    """`patience`: seconds that a call waits while no Master can be reached. `state` says how the node is."""

    log = Logger()

    def __init__(
        self,
        masters: tuple[Address, ...],
        hello: Hello,
        handlers: Mapping[str, Handler],
        state: Callable[[], Awaitable[NodeState]],
        reactor: Any,
        random: Random,
        patience: float,
    ) -> None:
        self.welcomed: Callable[[bytes], None] = lambda key: None
        """Called with the key that checks the Master's tickets, at each welcome."""
        self.met: Deferred[None] = Deferred()
        """Fires when the Master has welcomed this node the first time."""
        self._masters = deque(masters)
        self._hello = hello
        self._state = state
        self._reactor = reactor
        self._patience = patience
        self._exchange = Exchange(reactor, handlers)
        self._fleet = FleetCalls(self._exchange)
        self._machine = Reconnecting(Waiting(reactor, random, self._connect))
        self._post: Post | None = None
        self._master = ""
        self._credentials: Credentials | None = None
        self._out_of_patience: IDelayedCall | None = None
        self._given_up = False
        self._stopped = False
        self._answered = 0.0
        self._loop = LoopingCall(self._beat)
        self._loop.clock = reactor

    # Being connected

    def start(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._count_patience()
        self._machine.start()

    def stop(self) -> None:
        """End the link; who still waits for an answer gets `ConnectionLost`."""
        self._stopped = True
        self._machine.stop()
        self._stop_beating()
        if self._out_of_patience is not None and self._out_of_patience.active():
            self._out_of_patience.cancel()
        if self._post is not None:
            self._post.drop()
        self._given_up = True
        self._exchange.refuse_all(ConnectionLost)

    @property
    def connected(self) -> bool:
        return self._post is not None

    async def ask(self, call: str, arguments: bytes, repeatable: bool) -> Raw:
        """As `calls.Asker`."""
        if self._given_up:
            raise Unavailable("the Master can't be reached")
        return await self._exchange.ask(call, arguments, repeatable)

    async def tell(self, events: list[Event]) -> None:
        """Records for the Master's history."""
        await self._fleet.record([wire_event(event) for event in events])

    def _endpoint(self, context: Any) -> Any:
        host, port = self._masters[0]
        return wrapClientTLS(Creator(context), HostnameEndpoint(self._reactor, host.encode("idna"), port, timeout=CONNECTING))

    def _connect(self) -> None:
        assert self._credentials is not None
        ended = Deferred.fromCoroutine(self._greet(self._credentials))
        ended.addErrback(self._could_not)

    async def _greet(self, credentials: Credentials) -> None:
        ready: Deferred[Post] = Deferred()
        gate = Gate(self._reactor, lambda peer: make_broker(_a_master(peer), True, ready.callback))
        gate.on_lost = lambda: None if ready.called else ready.errback(ConnectionLost())
        await self._endpoint(fleet_context(credentials)).connect(Factory.forProtocol(lambda: gate))
        post = await ready
        late = self._reactor.callLater(CONNECTING, post.drop)
        try:
            hello = msgspec.structs.replace(self._hello, now=self._reactor.seconds())
            data = await post.send(msgspec.msgpack.encode(hello))
            answer: Welcome | Refused = decode(data, Welcome | Refused)
        finally:
            if late.active():
                late.cancel()
        if isinstance(answer, Refused):
            post.drop()
            raise refusal_of(answer)
        self._welcomed(post, answer)

    def _could_not(self, failure: Failure) -> None:
        reason = failure.value.sentence if isinstance(failure.value, Refusal) else failure.getErrorMessage()
        self.log.warn("no link to the Master at {host}: {reason}", host=self._masters[0][0], reason=reason)
        self._masters.rotate(-1)
        self._machine.failed()

    def _welcomed(self, post: Post, welcome: Welcome) -> None:
        if self._stopped:
            post.drop()
            return
        if welcome.incarnation != self._master:
            self._exchange.refuse_all(_restarted, unless_repeatable=True)
            self._exchange.forget_asker()
            self._master = welcome.incarnation
        self.welcomed(welcome.ticket_key)
        self._post = post
        self._given_up = False
        if self._out_of_patience is not None and self._out_of_patience.active():
            self._out_of_patience.cancel()
        post.receive = self._exchange.receive
        post.on_lost(self._lost)
        self._exchange.connected(post)
        self._machine.made()
        self._answered = self._reactor.seconds()
        self._loop.start(BEAT)
        self.log.info("linked to the Master {name}", name=welcome.name)
        if not self.met.called:
            self.met.callback(None)

    def _lost(self) -> None:
        self._post = None
        self._stop_beating()
        self._exchange.disconnected()
        self._count_patience()
        self._machine.lost()
        self.log.warn("the link to the Master is lost")

    def _count_patience(self) -> None:
        if not self._stopped:
            self._out_of_patience = self._reactor.callLater(self._patience, self._give_up)

    def _give_up(self) -> None:
        self._given_up = True
        self._exchange.refuse_all(lambda: Unavailable("the Master can't be reached"))

    # Heartbeats

    def _beat(self) -> None:
        if self._reactor.seconds() - self._answered > SILENT and self._post is not None:
            self.log.warn("the Master does not answer: the link is cut")
            self._post.drop()
            return
        Deferred.fromCoroutine(self._say_how_it_is()).addErrback(self._not_said)

    async def _say_how_it_is(self) -> None:
        await self._fleet.beat(await self._state())
        self._answered = self._reactor.seconds()

    def _not_said(self, failure: Failure) -> None:
        if not isinstance(failure.value, Refusal):
            self.log.failure("a heartbeat could not be sent", failure)

    def _stop_beating(self) -> None:
        if self._loop.running:
            self._loop.stop()


def _a_master(peer: Peer | None) -> Peer:
    if peer is None or peer.part != MASTER:
        raise NotPermitted("who answers is no Master of this fleet")
    return peer


def _restarted() -> Refusal:
    return Unavailable("the Master was restarted; whether this was done is not known")


QUEUE = 20_000
"""Records that may wait for the Master; what does not fit is in this node's own journal only."""

GROUP = 200
"""Records in one call."""

RETRY = 2.0
"""Seconds after a failure."""


@implementer(IEventSink)
class EventForwarder:
    """Sends every record to the Master's history. What the Master does not take is sent again, so it may come twice."""

    log = Logger()

    def __init__(self, tell: Callable[[list[Event]], Awaitable[None]], clock: Any) -> None:
        self._tell = tell
        self._clock = clock
        self._queue: deque[Event] = deque()
        self._sending = False
        self.dropped = 0

    def record(self, event: Event) -> None:
        if len(self._queue) >= QUEUE:
            if not self.dropped:
                self.log.error("the Master does not take records; they are left out of its history")
            self.dropped += 1
            return
        self._queue.append(event)
        if not self._sending:
            self._sending = True
            Deferred.fromCoroutine(self._send()).addErrback(self._failed)

    async def _send(self) -> None:
        while self._queue:
            group = [self._queue[n] for n in range(min(GROUP, len(self._queue)))]
            await self._tell(group)
            for _ in group:
                self._queue.popleft()
        self._sending = False

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.value, Refusal):
            self.log.failure("records could not be sent", failure)
        self._clock.callLater(RETRY, self._again)

    def _again(self) -> None:
        Deferred.fromCoroutine(self._send()).addErrback(self._failed)
