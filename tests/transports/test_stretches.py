"""Bytes straight from one channel into another, on a thread: as far as both keep up, and never more than was asked for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from threading import Thread
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost
from ecpds.interfaces import IRelaySink, IThreads
from ecpds.threads import InlineThreads
from ecpds.transports.channel import Surroundings
from ecpds.transports.stretches import LONGEST, MOST, WORTH, Stretches
from ecpds.transports.turns import FEW, LEAST
from tests.transports.pump import ChannelCase

CONTENT = os.urandom(3 * WORTH + 11)
LITTLE = CONTENT[:50_000]


@implementer(IThreads)
class HeldThreads:
    """Threads that are busy until the test lets them go."""

    def __init__(self) -> None:
        self.held: list[tuple[Deferred[None], Callable[..., Any], tuple[Any, ...]]] = []

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        self.held.append((Deferred(), function, args))
        await self.held[-1][0]

    def go_on(self) -> None:
        done, function, args = self.held.pop(0)
        function(*args)
        done.callback(None)


class StretchesCase(ChannelCase):
    def setUp(self) -> None:
        super().setUp()
        self.source, self.feeding = self.pair()
        self.sink, self.taking = self.pair()

    def make_surroundings(self, threads: IThreads | None = None, **limits: Any) -> Surroundings:
        around = super().make_surroundings(**limits)
        self.clock = Clock()
        stretches = Stretches(threads or InlineThreads(), around.pool, self.clock.seconds)
        return evolve(around, stretches=stretches)

    def carry(self, length: int = 2 * WORTH) -> int:
        count: int = self.finish(self.sink.carry(self.source, length))
        return count


class StretchTests(StretchesCase):
    def test_provides(self) -> None:
        verifyObject(IRelaySink, self.sink)

    def test_what_is_there_goes_on(self) -> None:
        self.feeding.send(LITTLE)
        self.assertEqual(self.carry(), len(LITTLE))
        self.assertEqual(self.taking.recv(1 << 20), LITTLE)
        self.assertEqual(self.around.pool.lent, 0)

    def test_as_much_as_was_asked_for(self) -> None:
        """A peer on threads of its own: both keep up, until `LONGEST` or the length."""
        self.feeding.setblocking(True)
        self.taking.setblocking(True)
        found = bytearray()

        def take() -> None:
            while piece := self.taking.recv(1 << 20):
                found.extend(piece)

        threads = [Thread(target=self.feeding.sendall, args=(CONTENT,)), Thread(target=take)]
        for thread in threads:
            thread.start()
        whole, left = len(CONTENT) - 5, len(CONTENT) - 5
        view = memoryview(bytearray(65536))
        while left:
            left -= self.carry(left)
            if left:  # Where the machine was slow, as any relay goes on.
                count = self.finish(self.source.read_into(view[:left]))
                self.finish(self.sink.write(view[:count]))
                left -= count
        self.assertEqual(self.feeding_rest(), CONTENT[whole:])
        self.sink.abort()
        for thread in threads:
            thread.join()
        self.assertEqual(bytes(found), CONTENT[:whole])

    def feeding_rest(self) -> bytes:
        view = memoryview(bytearray(64))
        count = self.finish(self.source.read_into(view))
        return bytes(view[:count])

    def test_what_the_sink_does_not_take_at_once_is_written_as_ever(self) -> None:
        """The thread lets it be; the channel waits for the reactor, and whoever asked is held back."""
        self.sink_full()
        self.feeding.send(LITTLE)
        carrying = self.begin(self.sink.carry(self.source, WORTH))
        for _ in range(5):
            self.reactor.turn()
        self.assertNoResult(carrying)
        before = self.drain()
        self.assertEqual(self.finish(carrying), len(LITTLE))
        self.assertEqual((before + self.drain())[-len(LITTLE) :], LITTLE)
        self.assertEqual(self.around.pool.lent, 0)

    def sink_full(self) -> None:
        try:
            while True:
                self.sink._socket.send(b"." * 4096)
        except BlockingIOError:
            pass

    def drain(self) -> bytes:
        found = b""
        try:
            while piece := self.taking.recv(1 << 20):
                found += piece
        except BlockingIOError:
            pass
        return found

    def test_an_end_is_left_for_who_reads(self) -> None:
        self.feeding.send(LITTLE)
        self.feeding.shutdown(socket.SHUT_WR)
        self.assertEqual(self.carry(), len(LITTLE))
        self.assertEqual(self.carry(), 0)
        self.assertEqual(self.finish(self.source.read_into(memoryview(bytearray(9)))), 0)

    def test_a_sink_that_is_gone(self) -> None:
        self.feeding.send(LITTLE)
        self.taking.close()
        self.refuse(self.sink.carry(self.source, WORTH), ConnectionLost)
        self.assertEqual(self.around.pool.lent, 0)

    def test_a_channel_that_was_closed_meanwhile(self) -> None:
        self.feeding.send(LITTLE)
        self.source.abort()
        self.assertEqual(self.carry(), 0)
        self.assertEqual(self.drain(), b"")

    def test_the_time_of_a_stretch(self) -> None:
        assert self.around.stretches is not None
        self.around.stretches.clock = self.ticking
        self.feeding.send(LITTLE)
        self.assertEqual(self.carry(), 0)

    def ticking(self) -> float:
        self.clock.advance(LONGEST)
        return self.clock.seconds()

    def test_little_is_not_worth_it(self) -> None:
        self.feeding.send(LITTLE)
        self.assertEqual(self.carry(WORTH - 1), 0)

    def test_many_busy_channels_have_the_turns_of_the_reactor(self) -> None:
        self.feeding.send(LITTLE)
        others = [object() for _ in range(FEW + 1)]
        for other in others:
            self.around.turns.moved(other, LEAST)
        self.assertEqual(self.carry(), 0)
        self.around.turns.left(others[0])
        self.assertEqual(self.carry(), len(LITTLE))

    def test_no_buffer_to_spare(self) -> None:
        self.feeding.send(LITTLE)
        held = [self.finish(self.around.pool.acquire(WORTH)) for _ in range(4)]
        self.assertEqual(self.carry(), 0)
        for each in held:
            self.around.pool.release(each)
        self.assertEqual(self.carry(), len(LITTLE))


class TlsStretchTests(StretchesCase):
    tls = True

    def setUp(self) -> None:
        ChannelCase.setUp(self)
        self.source, self.feeder = self.channels()
        self.sink, self.taker = self.channels()

    def feed(self, data: bytes) -> None:
        self.finish(self.feeder.write(data))

    def taken(self, count: int) -> bytes:
        """So many bytes of what the sink's peer reads."""

        async def read() -> bytes:
            found = b""
            view = memoryview(bytearray(65536))
            while len(found) < count:
                found += view[: await self.taker.read_into(view[: count - len(found)])]
            return found

        data: bytes = self.finish(read())
        return data

    def test_what_is_there_goes_on(self) -> None:
        self.feed(LITTLE)
        self.assertEqual(self.carry(), len(LITTLE))
        self.assertEqual(self.taken(len(LITTLE)), LITTLE)

    def test_what_was_tried_is_tried_again_whole(self) -> None:
        """OpenSSL refuses to go on with less than it was given, and meanwhile the shares have become small."""
        self.feed(LITTLE)
        self.assertEqual(self.finish(self.sink.carry(self.source, WORTH)), len(LITTLE))
        came, view = len(LITTLE), memoryview(bytearray(2 * WORTH))
        writing = self.begin(self.feeder.write(CONTENT))
        carrying = self.begin(self.sink.carry(self.source, 2 * WORTH))
        for number in range(FEW * 20):
            self.around.turns.moved(number, LEAST)
        expected, found = LITTLE + CONTENT, self.taken(len(LITTLE))
        while not carrying.called:
            found += self.taken(1)
        came += self.successResultOf(carrying)
        while came < len(expected):
            count = self.finish(self.source.read_into(view))
            sending = self.begin(self.sink.write(view[:count]))
            came += count
            found += self.taken(came - len(found))
            self.finish(sending)
        self.finish(writing)
        self.assertEqual(found + self.taken(len(expected) - len(found)), expected)

    def test_not_beside_somebody_who_reads_what_is_written_to(self) -> None:
        self.feed(LITTLE)
        reading = self.begin(self.sink.read_into(memoryview(bytearray(10))))
        self.assertEqual(self.carry(), 0)
        self.finish(self.taker.write(b"word"))
        self.assertEqual(self.finish(reading), 4)
        self.assertEqual(self.carry(), len(LITTLE))


class BusyThreadTests(StretchesCase):
    def make_surroundings(self, threads: IThreads | None = None, **limits: Any) -> Surroundings:
        self.threads = HeldThreads()
        return super().make_surroundings(self.threads, **limits)

    def test_who_finds_no_thread_does_without(self) -> None:
        pairs = [(self.pair()[0], self.pair()[0]) for _ in range(MOST)]
        carrying = [self.begin(sink.carry(source, WORTH)) for source, sink in pairs]
        self.assertEqual(self.carry(), 0)
        for _ in carrying:
            self.threads.go_on()
        self.assertEqual([self.finish(each) for each in carrying], [0] * MOST)
        self.feeding.send(LITTLE)
        again = self.begin(self.sink.carry(self.source, WORTH))
        self.threads.go_on()
        self.assertEqual(self.finish(again), len(LITTLE))

    def test_who_gives_up_waiting_gets_nothing_overwritten(self) -> None:
        """The buffer is nobody else's before the thread has ended, which moves nothing more."""
        self.feeding.send(LITTLE)
        carrying = self.begin(self.sink.carry(self.source, WORTH))
        carrying.cancel()
        self.failureResultOf(carrying, CancelledError)
        self.assertEqual(self.around.pool.lent, WORTH)
        self.threads.go_on()
        self.assertEqual((self.around.pool.lent, self.gone), (0, [self.sink]))
        self.assertEqual(self.read(1 << 20), LITTLE)

    def read(self, size: int) -> bytes:
        view = memoryview(bytearray(size))
        count = self.finish(self.source.read_into(view))
        return bytes(view[:count])

    def test_a_channel_that_is_closed_while_the_thread_has_it(self) -> None:
        """Its number is nobody else's before the thread has ended, which moves nothing more; the peer sees a reset."""
        self.feeding.send(LITTLE)
        carrying = self.begin(self.sink.carry(self.source, WORTH))
        self.sink.abort()
        self.assertNotEqual(self.sink.fileno(), -1)
        self.threads.go_on()
        self.assertEqual((self.finish(carrying), self.sink.fileno(), self.gone), (0, -1, [self.sink]))
        self.assertEqual(self.read(1 << 20), LITTLE)

    def test_whoever_else_wants_the_channel_waits_for_the_thread(self) -> None:
        self.feeding.send(LITTLE)
        carrying = self.begin(self.sink.carry(self.source, WORTH))
        self.taking.send(b"word")
        reading = self.begin(self.sink.read_into(memoryview(bytearray(10))))
        for _ in range(3):
            self.reactor.turn()
        self.assertNoResult(reading)
        self.threads.go_on()
        self.assertEqual((self.finish(reading), self.finish(carrying)), (4, len(LITTLE)))

    def test_a_channel_that_is_aborted_while_another_waits_for_it(self) -> None:
        carrying = self.begin(self.sink.carry(self.source, WORTH))
        reading = self.begin(self.sink.read_into(memoryview(bytearray(10))))
        self.sink.abort()
        self.threads.go_on()
        self.refuse(reading, ConnectionLost)
        self.finish(carrying)
