"""Two ends of a conversation, wired in memory; the test says when bytes cross, and when the wire is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ecpds.cluster.calls import Handler
from ecpds.cluster.exchange import Exchange


class Wire:
    """One direction: what was sent waits for `carry`."""

    def __init__(self, receive: Callable[[bytes], bytes | Deferred[bytes]]) -> None:
        self._receive = receive
        self.waiting: list[tuple[bytes, Deferred[bytes]]] = []
        self.batches: list[bytes] = []

    def send(self, batch: bytes) -> Deferred[bytes]:
        back: Deferred[bytes] = Deferred()
        self.waiting.append((batch, back))
        return back

    def carry(self, lose_answer: bool = False) -> None:
        batch, back = self.waiting.pop(0)
        self.batches.append(batch)
        result = self._receive(batch)
        if lose_answer:
            return
        if isinstance(result, Deferred):
            result.addBoth(lambda late: None if back.called else back.callback(late))
        else:
            back.callback(result)


class Conversation:
    """`near` asks, `far` answers from `handlers`; either may ask."""

    def __init__(self, handlers: Mapping[str, Handler], near: Mapping[str, Handler] | None = None) -> None:
        self.clock = Clock()
        self.near = Exchange(self.clock, near or {})
        self.far = Exchange(self.clock, handlers)
        self.connect()

    def connect(self) -> None:
        self.out, self.back = Wire(self.far.receive), Wire(self.near.receive)
        self.near.connected(self.out)
        self.far.connected(self.back)

    def cut(self) -> None:
        wires = (self.out, self.back)
        self.near.disconnected()
        self.far.disconnected()
        for wire in wires:
            for _, back in wire.waiting:
                back.errback(ConnectionError())

    def pump(self) -> None:
        """Until nothing moves."""
        while True:
            self.clock.advance(0)
            if not (self.out.waiting or self.back.waiting):
                return
            for wire in (self.out, self.back):
                while wire.waiting:
                    wire.carry()
