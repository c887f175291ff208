"""The texts of short answers: whole, bounded, and in no more memory than they need."""

from __future__ import annotations

import tracemalloc

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import TooLarge
from ecpds.http.client import PIECE, Ask, HttpClient
from ecpds.limits import Limits
from ecpds.timeouts import Timeouts
from tests.doubles.channels import MemoryChannel

LIMIT = 64 << 20


class Dialer:
    """Each connection is another channel of the test's."""

    def __init__(self) -> None:
        self.channels: list[MemoryChannel] = []

    async def connect(self, host: str, port: int, secure: bool = False, public: bool = False) -> MemoryChannel:
        self.channels.append(MemoryChannel())
        return self.channels[-1]


class Texts(SynchronousTestCase):
    def setUp(self) -> None:
        self.dialer = Dialer()
        self.client = HttpClient(self.dialer, Timeouts(Clock()), Limits())

    def begin(self, most: int) -> Deferred[bytes]:
        async def ask() -> bytes:
            reply = await self.client.send(Ask("GET", "h", 80, False, "/"))
            return await reply.text(most)

        return Deferred.fromCoroutine(ask())

    def answer(self, body: bytes, most: int = LIMIT) -> Deferred[bytes]:
        """What is made of a body, whose last byte comes late."""
        asked = self.begin(most)
        channel = self.dialer.channels[-1]
        channel.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-1])
        channel.feed(body[-1:])
        return asked

    def test_whole_and_its_connection_kept(self) -> None:
        for length in (0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7):
            body = bytes(number % 251 for number in range(length))
            self.assertEqual(self.successResultOf(self.answer(body)), body)
        self.assertEqual(len(self.dialer.channels), 1)

    def test_as_long_as_it_may_be_and_longer(self) -> None:
        for most in (0, 9, PIECE, PIECE + 9):
            self.assertEqual(len(self.successResultOf(self.answer(bytes(most), most))), most)
            self.failureResultOf(self.answer(bytes(most + 1), most), TooLarge)
            self.assertTrue(self.dialer.channels[-1].aborted)

    def test_a_short_one_takes_little_memory_whatever_the_limit_is(self) -> None:
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.successResultOf(self.answer(b"null"))
        self.assertLess(tracemalloc.get_traced_memory()[1], 1 << 20)
