"""Slow and silent clients, and the end of the server."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.http.connection import FAIR
from ecpds.http.message import Request, Response
from ecpds.http.server import HttpServer
from ecpds.timeouts import Timeouts
from tests.doubles import MemoryChannel
from tests.http.support import LIMITS, Bench, echo, head

LATE = 2.0
"""What a time-out may be late by, and a step."""


class Slow(SynchronousTestCase):
    def test_no_request_at_all(self) -> None:
        bench = Bench()
        client = bench.connect()
        bench.wait(LIMITS.login_time - 1)
        self.assertFalse(client.channel.closed)
        bench.wait(1 + LATE)
        self.assertEqual((client.channel.all_written, client.channel.finished, client.ended), (b"", True, [None]))
        self.assertEqual(bench.refused, [])

    def test_slow_head(self) -> None:
        bench = Bench()
        client = bench.connect()
        bench.wait(3)
        waited = 0.0
        while not client.channel.closed and waited < 60:
            client.channel.feed(b"G")
            bench.wait(0.5)
            waited += 0.5
        self.assertLessEqual(waited, LIMITS.header_time + LATE)
        self.assertGreaterEqual(waited, LIMITS.header_time)
        (answer,) = client.answers()
        self.assertEqual((answer.status, answer.headers.get("connection"), client.ended), (408, "close", [None]))
        self.assertEqual(bench.refused, [("192.0.2.7", "The head of the request took too long.")])

    def test_slow_head_of_a_later_request(self) -> None:
        bench = Bench()
        client = bench.say(head() + b"GET / HT")
        bench.wait(LIMITS.header_time - 1)
        self.assertFalse(client.channel.closed)
        bench.wait(1 + LATE)
        self.assertEqual([answer.status for answer in client.answers()], [200, 408])

    def test_idle(self) -> None:
        bench = Bench()
        client = bench.say(head())
        bench.wait(LIMITS.keep_alive - 2)
        client.channel.feed(head())
        bench.wait(LIMITS.keep_alive - 1)
        self.assertEqual((len(client.answers()), client.channel.closed), (2, False))
        bench.wait(1 + LATE)
        self.assertEqual((len(client.answers()), client.channel.finished, client.ended), (2, True, [None]))

    def test_a_stall_is_for_transfers(self) -> None:
        seen: list[float] = []

        async def handler(request: Request) -> Response:
            seen.append(client.channel.patience)
            return Response(200, [])

        bench = Bench(handler)
        client = bench.connect()
        stall = MemoryChannel().patience
        self.assertGreater(client.channel.patience, LIMITS.login_time)
        client.channel.feed(head())
        self.assertEqual(seen, [stall])
        self.assertGreater(client.channel.patience, LIMITS.keep_alive + LIMITS.header_time)

    def test_an_empty_line_is_no_slow_head(self) -> None:
        bench = Bench()
        client = bench.say(head() + b"\r\n")
        bench.wait(LIMITS.header_time + LATE)
        self.assertEqual((len(client.answers()), client.channel.finished, bench.refused), (1, True, []))

    def test_a_handler_may_take_its_time(self) -> None:
        waiting: Deferred[Response] = Deferred()
        bench = Bench(lambda request: waiting)
        client = bench.say(head())
        bench.wait(300)
        self.assertFalse(client.channel.closed)
        waiting.callback(Response(200))
        self.assertEqual(client.answers()[0].status, 200)

    def test_a_client_that_reads_neither_answers_nor_the_refusal(self) -> None:
        bench = Bench()
        client = bench.connect(window=10)
        client.channel.feed(head()[:-1])
        bench.wait(LIMITS.header_time + LIMITS.linger + 2 * LATE)
        self.assertEqual((client.channel.aborted, client.ended), (True, [None]))

    def test_a_head_that_comes_too_late_is_not_answered_beside_the_refusal(self) -> None:
        bench = Bench()
        client = bench.connect(window=10)
        client.channel.feed(head()[:-1])
        bench.wait(LIMITS.header_time + 1)
        self.assertTrue(client.channel.writing)
        client.channel.feed(b"\n")
        while client.channel.writing:
            client.channel.take()
        self.assertEqual([answer.status for answer in client.answers()], [408])
        self.assertEqual((client.channel.finished, client.ended), (True, [None]))

    def test_a_refusal_that_waits_is_not_followed_by_another(self) -> None:
        bench = Bench()
        client = bench.connect(window=10)
        client.channel.feed(b"GET")
        client.channel.feed(b" /\n")
        bench.wait(LIMITS.header_time * 2)
        while client.channel.writing:
            client.channel.take()
        self.assertEqual([answer.status for answer in client.answers()], [400])
        self.assertEqual((len(bench.refused), client.channel.finished), (1, True))

    def test_nothing_is_left_on_the_clock(self) -> None:
        bench = Bench()
        for _ in range(3):
            bench.say(head("GET / HTTP/1.1", "Connection: close"))
        bench.wait(60)
        self.assertEqual(bench.clock.getDelayedCalls(), [])


class Fairness(SynchronousTestCase):
    def test_a_client_that_pipelines_gives_way(self) -> None:
        paused: list[Deferred[None]] = []

        def pause() -> Deferred[None]:
            paused.append(Deferred())
            return paused[-1]

        bench = Bench()
        server = HttpServer(echo, LIMITS, Timeouts(bench.clock), bench.clock.seconds, pause=pause)
        channel = MemoryChannel()
        server.serve(channel)
        channel.feed(head() * (FAIR + 1))
        self.assertEqual((len(paused), channel.all_written.count(b"HTTP/1.1 200")), (1, FAIR))
        paused[0].callback(None)
        self.assertEqual((len(paused), channel.all_written.count(b"HTTP/1.1 200")), (1, FAIR + 1))


class End(SynchronousTestCase):
    def setUp(self) -> None:
        self.waiting: list[Deferred[Response]] = []

    async def handler(self, request: Request) -> Response:
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    def drain(self, bench: Bench) -> Deferred[None]:
        return Deferred.fromCoroutine(bench.server.drain())

    def test_nobody_there(self) -> None:
        self.successResultOf(self.drain(Bench()))

    def test_idle_connections_are_closed(self) -> None:
        bench = Bench()
        clients = [bench.connect(), bench.say(head())]
        self.successResultOf(self.drain(bench))
        for client in clients:
            self.assertEqual((client.channel.finished, client.ended), (True, [None]))

    def test_an_end_that_takes_its_time_is_waited_for(self) -> None:
        slow: Deferred[None] = Deferred()

        class Slow(MemoryChannel):
            async def finish(self, linger: bool = True) -> None:
                await super().finish(linger)
                await slow

        bench = Bench()
        serving = bench.server.serve(Slow())
        drained = self.drain(bench)
        self.assertNoResult(drained)
        self.assertNoResult(serving)
        slow.callback(None)
        self.successResultOf(drained)
        self.successResultOf(serving)

    def test_running_requests_come_to_their_end(self) -> None:
        bench = Bench(self.handler)
        client = bench.say(head())
        drained = self.drain(bench)
        again = self.drain(bench)
        self.assertNoResult(drained)
        self.waiting[0].callback(Response(200, body=b"hello"))
        (answer,) = client.answers()
        self.assertEqual((answer.body, answer.headers.get("connection")), (b"hello", "close"))
        self.assertTrue(client.channel.finished)
        self.successResultOf(drained)
        self.successResultOf(again)

    def test_a_head_under_way_is_answered(self) -> None:
        bench = Bench(self.handler)
        client = bench.say(head()[:-1])
        drained = self.drain(bench)
        client.channel.feed(b"\n")
        self.waiting[0].callback(Response(200))
        self.assertEqual(client.answers()[0].headers.get("connection"), "close")
        self.successResultOf(drained)

    def test_a_reply_under_way_when_it_begins(self) -> None:
        bench = Bench()
        client = bench.connect(window=20)
        client.channel.feed(head())
        drained = self.drain(bench)
        self.assertNoResult(drained)
        while client.channel.writing:
            client.channel.take()
        self.assertTrue(client.channel.finished)
        self.successResultOf(drained)

    def test_a_late_comer(self) -> None:
        bench = Bench()
        self.successResultOf(self.drain(bench))
        client = bench.connect()
        self.assertEqual((client.channel.finished, client.ended), (True, [None]))

    def test_abort(self) -> None:
        bench = Bench(self.handler)
        running, idle = bench.say(head()), bench.connect()
        drained = self.drain(bench)
        bench.server.abort()
        self.assertTrue(running.channel.aborted and idle.channel.closed)
        self.waiting[0].callback(Response(200))
        self.successResultOf(drained)
        self.assertEqual((running.ended, idle.ended), ([None], [None]))
