"""Short answers without a reactor (`http.gets`), from a server on loopback that says what it is told to."""

from __future__ import annotations

import socket
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from ecpds.http.gets import HEAD, PATIENCE, Gets, Server
from ecpds.http.reply_head import ReplyHead
from tests.real.mirrors import free_port
from tests.real.script import Script

Answer = tuple[int | None, bytes | None]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


class GetsCase(TestCase):
    """The clock stands, unless a test turns it."""

    now = 0.0

    def setUp(self) -> None:
        self.gets = Gets(lambda: self.now)
        self.addCleanup(self.gets.close)

    def ask(self, server: Server, count: int = 1, largest: int = 100_000) -> list[Answer]:
        """The answers to as many requests, one after the other."""
        found: list[Answer] = []

        def told(head: ReplyHead | None, body: memoryview | None) -> None:
            found.append((head.status if head is not None else None, bytes(body) if body is not None else None))

        for number in range(count):
            self.gets.get(server, f"/f{number}?x", largest, told)
            self.until(lambda: self.gets.busy == 0)
        return found

    def until(self, done: Callable[[], bool]) -> None:
        for _ in range(1000):
            if done():
                return
            self.gets.wait()
        self.fail("it waits for ever")

    def answers(self, *pieces: bytes, largest: int = 100_000) -> Answer:
        script = Script([[pieces]])
        found = self.ask(Server("127.0.0.1", script.port), largest=largest)
        self.assertEqual(self.gets.busy, 0)
        script.end()
        return found[0]


class Answers(GetsCase):
    def test_one(self) -> None:
        script = Script([[[OK]]])
        server = Server("localhost", script.port, (("Accept", "*/*"),))
        self.gets = Gets(lambda: 0.0, lambda host, port: ["127.0.0.1"])
        self.addCleanup(self.gets.close)
        self.assertEqual(self.ask(server), [(200, b"abc")])
        script.end()
        self.assertEqual(
            script.requests[0],
            f"GET /f0?x HTTP/1.1\r\nHost: localhost:{script.port}\r\nUser-Agent: ecpds\r\nAccept: */*\r\n\r\n".encode(),
        )

    def test_in_pieces(self) -> None:
        self.assertEqual(self.answers(*(OK[at : at + 1] for at in range(len(OK)))), (200, b"abc"))

    def test_over_one_connection(self) -> None:
        script = Script([[[OK]] * 5])
        self.assertEqual(self.ask(Server("127.0.0.1", script.port), 5), [(200, b"abc")] * 5)
        script.end()

    def test_a_body_longer_than_the_buffer(self) -> None:
        body = bytes(range(256)) * 512
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        self.assertEqual(self.answers(head, body, largest=len(body)), (200, body))
        self.assertEqual(self.answers(head, body, largest=len(body) - 1), (200, None))

    def test_other_statuses_and_framings(self) -> None:
        self.assertEqual(self.answers(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), (404, b""))
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        self.assertEqual(self.answers(chunked), (200, None))
        self.assertEqual(self.answers(b"HTTP/1.1 200 OK\r\n\r\nabc"), (200, None))

    def test_more_than_was_said_ends_the_connection(self) -> None:
        script = Script([[[OK + OK]], [[OK]]])
        self.assertEqual(self.ask(Server("127.0.0.1", script.port), 2), [(200, b"abc")] * 2)
        script.end()


class NoAnswer(GetsCase):
    def test_what_is_none(self) -> None:
        for reply in (
            b"",
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            OK[:-1],
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
            b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * HEAD,
        ):
            self.assertEqual(self.answers(reply), (None, None), reply[:60])

    def test_nobody_is_there(self) -> None:
        self.assertEqual(self.ask(Server("127.0.0.1", free_port())), [(None, None)])

    def test_a_name_that_is_not_known(self) -> None:
        def unknown(host: str, port: int) -> list[str]:
            raise OSError("not known")

        self.gets = Gets(lambda: 0.0, unknown)
        self.addCleanup(self.gets.close)
        self.assertEqual(self.ask(Server("nowhere.invalid", 80)), [(None, None)])

    def test_the_next_address_is_tried(self) -> None:
        script = Script([[[OK]]])
        self.gets = Gets(lambda: 0.0, lambda host, port: ["127.0.0.2", "127.0.0.1"])
        self.addCleanup(self.gets.close)
        self.assertEqual(self.ask(Server("both", script.port)), [(200, b"abc")])
        script.end()

    def test_a_kept_connection_that_was_closed(self) -> None:
        script = Script([[[OK]], [[OK]]])
        self.assertEqual(self.ask(Server("127.0.0.1", script.port), 2), [(200, b"abc")] * 2)
        script.end()

    def test_silence(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            found: list[ReplyHead | None] = []
            server = Server("127.0.0.1", silent.getsockname()[1])
            self.gets.get(server, "/", 1, lambda head, body: found.append(head))
            while not found:
                self.gets.wait()
                self.now += PATIENCE + 1.0
            self.assertEqual((found, self.gets.busy), ([None], 0))

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=200), st.booleans())
    def test_whatever_comes_is_an_answer_or_none(self, junk: bytes, headed: bool) -> None:
        status, body = self.answers(b"HTTP/1.1 200 OK\r\n" + junk if headed else junk)
        self.assertTrue(status is None or 200 <= status < 600)
        self.assertTrue(body is None or status is not None)
