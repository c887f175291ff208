"""One end of a conversation between two nodes: requests numbered, batched, repeated until answered, answered once.

Both ends are alike. What is asked in one turn of the reactor goes out as one batch, in the order of asking, and is begun
there in that order. Answers that are ready at once come back as the result of that batch; the others go in batches of
their own. When the connection is lost, unanswered requests wait, and are sent again over the next one; a request that is
known already is not done again, it is answered again, from a memory that the asker's own progress keeps small. What is ready
by the next turn, as a commit of all that one turn asks for is, comes back as that result, too: a message each way, not two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from attrs import Factory, define
from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.cluster.calls import Handler
from ecpds.cluster.codec import (
    SETTLED,
    Answer,
    Ask,
    Batch,
    Crossing,
    Item,
    Joining,
    Piece,
    Refused,
    cut,
    decode_batch,
    encode_batch,
    in_pieces,
    refusal_of,
    refused,
)
from ecpds.errors import InvalidRequest, NotSupported, Refusal, Unavailable

WINDOW = 4
"""Batches that may be under way to the other end; what is asked meanwhile gathers."""

OUTSTANDING = 8192
"""Requests that may wait for an answer. More are refused by both ends."""


class Sender(Protocol):
    """A connection as the exchange sees it."""

    def send(self, batch: bytes) -> Deferred[bytes]:
        """The batch that comes back; fails when the connection is lost."""


@define
class Question:
    """A request of ours that is not answered yet."""

    item: Ask
    waiter: Deferred[Raw]
    repeatable: bool


@define
class Reply:
    """What comes back for a batch over the same connection: the answers that are ready before it is `gone`."""

    sender: Sender | None
    ready: list[Item] = Factory(list)
    awaited: int = 0
    gone: bool = False


class Exchange:
    """`handlers` answer what the other end asks, by the names of calls."""

    log = Logger()

    def __init__(self, clock: IReactorTime, handlers: Mapping[str, Handler]) -> None:
        self._clock = clock
        self._handlers = handlers
        self._sender: Sender | None = None
        self._next = 1
        self._questions: dict[int, Question] = {}
        self._outgoing: deque[Crossing] = deque()
        self._joining = Joining()
        self._under_way = 0
        self._turn: IDelayedCall | None = None
        self._settled: list[int] = []
        self._answers: dict[int, Answer | Refused | None] = {}
        self._forgotten = 0
        self._working = 0
        self._ended: Callable[[], Refusal] | None = None

    # Asking

    async def ask(self, call: str, arguments: bytes, repeatable: bool) -> Raw:
        """As `calls.Asker`. Waits for a connection when there is none, unless there will be none."""
        if self._ended is not None:
            raise self._ended()
        if len(self._questions) >= OUTSTANDING:
            raise Unavailable("too much is waiting for an answer")
        item = Ask(self._next, call, Raw(arguments))
        self._next += 1
        question = self._questions[item.id] = Question(item, Deferred(), repeatable)
        if self._sender is not None:
            self._put(item)
        try:
            return await question.waiter
        except CancelledError:
            self._settle(question, CancelledError())
            raise

    def refuse_all(self, refusal: Callable[[], Refusal], unless_repeatable: bool = False) -> None:
        """Nobody will answer what was asked; with `unless_repeatable`, another may answer some of it."""
        for question in list(self._questions.values()):
            if not (unless_repeatable and question.repeatable):
                self._settle(question, refusal())

    def end(self, refusal: Callable[[], Refusal]) -> None:
        """The other end will not be back: what was asked is refused, and whatever is asked from now on."""
        self._ended = refusal
        self.refuse_all(refusal)

    # The connection

    def connected(self, sender: Sender) -> None:
        """Go on over this connection: what is unanswered is sent again, in its order."""
        self._sender = sender
        self._under_way = 0
        self._outgoing.clear()
        self._joining = Joining()
        for question in self._questions.values():
            self._put(question.item)

    def forget_asker(self) -> None:
        """Who is at the other end now has not asked anything yet, and counts from the beginning."""
        self._answers = {}
        self._forgotten = 0

    def disconnected(self) -> None:
        """Answers that were not sent are asked for again."""
        self._sender = None
        self._outgoing.clear()

    def receive(self, data: bytes) -> bytes | Deferred[bytes]:
        """A batch came; what comes back for it. Raises `InvalidRequest` for what is no batch: end the connection then."""
        batch = decode_batch(data)
        self._forget(batch)
        reply = Reply(self._sender)
        for crossing in batch.items:
            for item in self._joining.take(crossing) if isinstance(crossing, Piece) else (crossing,):
                if isinstance(item, Ask):
                    self._begin(item, reply)
                else:
                    self._hear(item)
        if not reply.awaited:
            return self._sent_back(reply)
        later: Deferred[bytes] = Deferred()
        self._clock.callLater(0, lambda: later.callback(self._sent_back(reply)))
        return later

    def _sent_back(self, reply: Reply) -> bytes:
        """The batch that is the result of another; what is answered from now on goes by itself."""
        reply.gone = True
        # Who has another connection has asked again there.
        return self._encoded(self._first_of(reply.ready if reply.sender is self._sender else []))

    def _first_of(self, ready: list[Item]) -> list[Crossing]:
        """What can be answered as the result of a batch; the rest goes out by itself, and pieces of one item with no other
        between them."""
        short: list[Crossing] = []
        for item in ready:
            crossing = in_pieces(item)
            (short if isinstance(crossing, tuple) else self._outgoing).extend(crossing)
        batches = cut(short)
        first = next(batches, [])
        for later in batches:
            self._outgoing.extend(later)
        if self._outgoing:
            self._soon()
        return first

    # Answering

    def _begin(self, item: Ask, reply: Reply) -> None:
        if item.id <= self._forgotten:
            return
        if item.id in self._answers:
            known = self._answers[item.id]
            if known is not None:
                reply.ready.append(known)
            return
        if self._working >= OUTSTANDING:
            reply.ready.append(refused(item.id, Unavailable("too much was asked at once")))
            return
        answers = self._answers
        answers[item.id] = None
        self._working += 1
        reply.awaited += 1

        def done(result: bytes | Failure) -> None:
            answer = self._answer(item, result)
            self._working -= 1
            reply.awaited -= 1
            if answers is not self._answers:
                return  # Who asked is not there any more, and another may use the same number.
            if item.id in answers:
                answers[item.id] = answer
            if not reply.gone and reply.sender is self._sender:
                reply.ready.append(answer)
            elif self._sender is not None:
                self._put(answer)

        Deferred.fromCoroutine(self._handle(item)).addBoth(done)

    async def _handle(self, item: Ask) -> bytes:
        handler = self._handlers.get(item.call)
        if handler is None:
            raise NotSupported(f"the call {item.call[:64]!r}")
        return await handler(item.arguments)

    def _answer(self, item: Ask, result: bytes | Failure) -> Answer | Refused:
        if not isinstance(result, Failure):
            return Answer(item.id, Raw(result))
        if isinstance(result.value, Refusal):
            return refused(item.id, result.value)
        if not isinstance(result.value, CancelledError):
            self.log.failure("{call} failed", result, call=item.call)
        return refused(item.id, Unavailable("it failed there; the log says how"))

    def _forget(self, batch: Batch) -> None:
        """The other end needs these answers no more. The memory is in the order of numbers."""
        while self._answers and (first := next(iter(self._answers))) < batch.answered:
            del self._answers[first]
        self._forgotten = max(self._forgotten, batch.answered - 1)
        for id_ in batch.settled:
            self._answers.pop(id_, None)

    # Sending and hearing

    def _encoded(self, items: list[Crossing]) -> bytes:
        answered = next(iter(self._questions), self._next)
        settled = [id_ for id_ in self._settled[:SETTLED] if id_ >= answered]
        del self._settled[:SETTLED]
        return encode_batch(Batch(answered, settled, items))

    def _put(self, item: Item) -> None:
        self._outgoing.extend(in_pieces(item))
        self._soon()

    def _soon(self) -> None:
        if self._turn is None and self._sender is not None and self._under_way < WINDOW:
            self._turn = self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        self._turn = None
        sender = self._sender
        while sender is not None and self._outgoing and self._under_way < WINDOW:
            batch = next(cut(iter(self._outgoing)))
            for _ in batch:
                self._outgoing.popleft()
            self._under_way += 1
            sender.send(self._encoded(batch)).addBoth(self._came_back, sender)

    def _came_back(self, result: bytes | Failure, sender: Sender) -> None:
        if sender is not self._sender:
            return
        self._under_way -= 1
        if isinstance(result, Failure):
            return  # The connection is lost, which `disconnected` is told of; what it carried is sent again.
        try:
            batch = decode_batch(result)
        except InvalidRequest as refusal:
            self.log.error("an answer can't be read: {refusal}", refusal=refusal)
            return
        self._forget(batch)
        self._hear_all(batch.items)
        if self._outgoing:
            self._soon()

    def _hear_all(self, items: Iterable[Crossing]) -> None:
        for item in items:
            if isinstance(item, Answer | Refused):
                self._hear(item)

    def _hear(self, item: Answer | Refused) -> None:
        question = self._questions.get(item.id)
        if question is not None:
            self._settle(question, item.result if isinstance(item, Answer) else refusal_of(item))

    def _settle(self, question: Question, outcome: Raw | Exception) -> None:
        if self._questions.pop(question.item.id, None) is not None:
            self._settled.append(question.item.id)
        if question.waiter.called:
            return
        if isinstance(outcome, Exception):
            question.waiter.errback(outcome)
        else:
            question.waiter.callback(outcome)
