"""A channel's bytes into buffers, on a thread: as long as they come, never more than was asked for, and none of them lost."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost
from ecpds.interfaces import IBasin, IFloodSource, IThreads
from ecpds.threads import InlineThreads
from ecpds.transports.channel import Surroundings
from ecpds.transports.floods import LONGEST
from ecpds.transports.making import make_channel
from ecpds.transports.stretches import MOST, Stretches
from ecpds.transports.turns import FEW, LEAST
from tests.transports.pump import ChannelCase
from tests.transports.test_stretches import HeldThreads

CONTENT = os.urandom(50_000)
PIECE = 16_384


@implementer(IBasin)
class MemoryBasin:
    """Keeps all that comes; it has so many buffers of `PIECE` bytes, and each that is asked for takes `seconds`."""

    def __init__(self, clock: Clock, buffers: int = 8, seconds: float = 0.0, begins: bool = True) -> None:
        self.found = bytearray()
        self.begun = self.ended = 0
        self._clock = clock
        self._left = buffers
        self._seconds = seconds
        self._begins = begins
        self._view = memoryview(bytearray(PIECE))

    async def begin(self) -> bool:
        self.begun += 1
        return self._begins

    def room(self) -> memoryview | None:
        self._clock.advance(self._seconds)
        self._left -= 1
        return self._view if self._left >= 0 else None

    def filled(self, count: int) -> None:
        self.found += self._view[:count]

    def end(self) -> None:
        self.ended += 1


class FloodsCase(ChannelCase):
    def setUp(self) -> None:
        super().setUp()
        self.source, self.feeding = self.pair()
        self.basin = MemoryBasin(self.clock)

    def make_surroundings(self, threads: IThreads | None = None, **limits: Any) -> Surroundings:
        around = super().make_surroundings(**limits)
        self.clock = Clock()
        self.stretches = Stretches(threads or InlineThreads(), around.pool, self.clock.seconds)
        return evolve(around, stretches=self.stretches)

    def flood(self, length: int = 1 << 20) -> int:
        count: int = self.finish(self.source.flood(self.basin, length))
        self.assertEqual(self.basin.ended, 1)
        self.assertEqual(self.threads_left(), MOST)
        return count

    def threads_left(self) -> int:
        had = [self.stretches.seize() for _ in range(MOST)].count(True)
        for _ in range(had):
            self.stretches.leave()
        return had

    def rest(self) -> bytes:
        view = memoryview(bytearray(1 << 20))
        return bytes(view[: self.finish(self.source.read_into(view))])


class FloodTests(FloodsCase):
    def test_provides(self) -> None:
        verifyObject(IFloodSource, self.source)
        verifyObject(IBasin, self.basin)

    def test_all_that_is_there(self) -> None:
        self.feeding.send(CONTENT)
        self.assertEqual(self.flood(), len(CONTENT))
        self.assertEqual(bytes(self.basin.found), CONTENT)

    def test_no_more_than_was_asked_for(self) -> None:
        self.feeding.send(CONTENT)
        self.assertEqual(self.flood(PIECE + 5), PIECE + 5)
        self.assertEqual(bytes(self.basin.found) + self.rest(), CONTENT)

    def test_no_more_than_there_are_buffers(self) -> None:
        self.basin = MemoryBasin(self.clock, 2)
        self.feeding.send(CONTENT)
        self.assertEqual(self.flood(), 2 * PIECE)
        self.assertEqual(bytes(self.basin.found) + self.rest(), CONTENT)

    def test_no_longer_than_its_time(self) -> None:
        self.basin = MemoryBasin(self.clock, seconds=LONGEST / 2)
        self.feeding.send(CONTENT)
        self.assertEqual(self.flood(), PIECE)
        self.assertEqual(bytes(self.basin.found) + self.rest(), CONTENT)

    def test_an_end_is_left_for_who_reads(self) -> None:
        self.feeding.send(CONTENT)
        self.feeding.shutdown(socket.SHUT_WR)
        self.assertEqual(self.flood(), len(CONTENT))
        self.assertEqual(self.rest(), b"")

    def test_a_peer_that_is_gone(self) -> None:
        self.source.abort()
        self.assertEqual(self.finish(self.source.flood(self.basin, 9)), 0)
        self.refuse(self.source.read_into(memoryview(bytearray(9))), ConnectionLost)
        self.assertEqual((self.basin.begun, self.basin.ended), (1, 1))

    def test_without_buffers_there_is_none(self) -> None:
        self.basin = MemoryBasin(self.clock, begins=False)
        self.feeding.send(CONTENT)
        self.assertEqual(self.finish(self.source.flood(self.basin, 9)), 0)
        self.assertEqual((self.basin.ended, self.threads_left()), (0, MOST))
        self.assertEqual(self.rest(), CONTENT)

    def test_many_busy_channels_have_the_turns_of_the_reactor(self) -> None:
        self.feeding.send(CONTENT)
        for number in range(FEW + 1):
            self.around.turns.moved(number, LEAST)
        self.assertEqual(self.finish(self.source.flood(self.basin, 9)), 0)
        self.assertEqual(self.basin.begun, 0)

    def test_without_a_thread_there_is_none(self) -> None:
        for _ in range(MOST):
            self.stretches.seize()
        self.assertEqual(self.finish(self.source.flood(self.basin, 9)), 0)
        self.assertEqual(self.basin.begun, 0)


class LostTests(ChannelCase):
    def test_a_reset_in_the_middle(self) -> None:
        """What came before it was told of is counted, and who reads next is told."""
        clock = Clock()
        self.around = evolve(self.around, stretches=Stretches(InlineThreads(), self.around.pool, clock.seconds))
        ours, theirs = tcp_pair()
        self.addCleanup(theirs.close)
        source = make_channel(self.around, ours, "peer", None)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        basin = MemoryBasin(clock)
        self.assertEqual(self.finish(source.flood(basin, 9)), 0)
        self.assertEqual(basin.ended, 1)
        self.refuse(source.read_into(memoryview(bytearray(9))), ConnectionLost)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    ours.setblocking(False)
    return ours, theirs


class GivenUpTests(FloodsCase):
    def make_surroundings(self, threads: IThreads | None = None, **limits: Any) -> Surroundings:
        self.threads = HeldThreads()
        return super().make_surroundings(self.threads, **limits)

    def test_who_no_longer_waits_ends_it(self) -> None:
        """The link is the thread's until that has ended, and so are the buffers."""
        self.feeding.send(CONTENT)
        flooding = self.begin(self.source.flood(self.basin, 1 << 20))
        flooding.cancel()
        self.failureResultOf(flooding, CancelledError)
        self.assertEqual((self.basin.ended, self.threads_left()), (0, MOST - 1))
        self.threads.go_on()
        self.assertEqual((self.basin.ended, self.threads_left()), (1, MOST))
        self.assertEqual(self.rest(), CONTENT)


class TlsFloodTests(FloodsCase):
    tls = True

    def setUp(self) -> None:
        ChannelCase.setUp(self)
        self.source, self.feeder = self.channels()
        self.basin = MemoryBasin(self.clock)

    def test_all_that_is_there(self) -> None:
        self.finish(self.feeder.write(CONTENT))
        self.assertEqual(self.flood(), len(CONTENT))
        self.assertEqual(bytes(self.basin.found), CONTENT)

    def test_not_while_somebody_writes(self) -> None:
        """TLS is one state for both directions."""
        self.finish(self.feeder.write(CONTENT))
        writing = self.begin(self.source.write(bytes(4 << 20)))
        self.assertNoResult(writing)
        self.assertEqual(self.flood(), 0)
        self.source.abort()
        self.failureResultOf(writing, ConnectionLost)
