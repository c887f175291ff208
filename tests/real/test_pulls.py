"""Bodies by blocking reads (`http.pulls`), from a server on loopback that says what it is told to."""

from __future__ import annotations

import socket
import threading

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from ecpds.errors import ConnectionLost, InvalidRequest, Refusal, Unavailable
from ecpds.http.gets import HEAD, Server
from ecpds.http.pulls import Pull
from tests.real.script import Script

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


class Pulls(TestCase):
    def pull(self, port: int) -> Pull:
        made = Pull(Server("127.0.0.1", port))
        self.addCleanup(made.close)
        return made

    def whole(self, pull: Pull, room: int = 100_000) -> bytes:
        """The rest of a body."""
        found = b""
        view = memoryview(bytearray(room))
        while count := pull.read_into(view):
            found += view[:count]
        return found

    def said(self, *pieces: bytes) -> tuple[int, bytes]:
        script = Script([[pieces]])
        pull = self.pull(script.port)
        try:
            status = pull.get("/f").status
            return status, self.whole(pull)
        finally:
            pull.close()
            script.end()

    def test_one(self) -> None:
        script = Script([[[OK]]])
        pull = self.pull(script.port)
        self.assertEqual((pull.get("/f?x", "Range: bytes=1-3\r\n").status, pull.rest), (200, 3))
        self.assertFalse(pull.reusable, "what is left would be taken for the next answer")
        self.assertEqual((self.whole(pull, 2), pull.reusable), (b"abc", True))
        script.end()
        self.assertIn(b"GET /f?x HTTP/1.1\r\n", script.requests[0])
        self.assertTrue(script.requests[0].endswith(b"\r\nRange: bytes=1-3\r\n\r\n"))

    def test_in_pieces_and_in_one(self) -> None:
        self.assertEqual(self.said(*(OK[at : at + 1] for at in range(len(OK)))), (200, b"abc"))
        body = bytes(range(256)) * 8192
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        self.assertEqual(self.said(head + body), (200, body))

    def test_over_one_connection(self) -> None:
        script = Script([[[OK]] * 5])
        pull = self.pull(script.port)
        for _ in range(5):
            pull.get("/f")
            self.assertEqual(self.whole(pull), b"abc")
        pull.close()
        script.end()

    def test_over_another_where_the_server_has_closed(self) -> None:
        script = Script([[[OK]], [[OK]]])
        pull = self.pull(script.port)
        for _ in range(2):
            pull.get("/f")
            self.assertEqual(self.whole(pull), b"abc")
        script.end()
        self.assertEqual(len(script.requests), 2)

    def test_more_than_was_said_is_not_taken_for_an_answer(self) -> None:
        script = Script([[[OK + OK]], [[OK]]])
        pull = self.pull(script.port)
        for _ in range(2):
            pull.get("/f")
            self.assertEqual(self.whole(pull), b"abc")
        script.end()

    def test_what_is_framed_otherwise_is_refused(self) -> None:
        for said in (
            b"HTTP/1.1 200 OK\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
            b"SSH-2.0-OpenSSH\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD,
        ):
            with self.assertRaises(InvalidRequest):
                self.said(said)

    def test_what_breaks_off(self) -> None:
        for said in (b"", OK[:20], OK[:-1]):
            with self.assertRaises(ConnectionLost):
                self.said(said)

    def test_nobody_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        with self.assertRaises(ConnectionLost):
            self.pull(port).get("/f")

    def test_a_name_that_is_not_known(self) -> None:
        def unknown(host: str, port: int) -> list[str]:
            raise socket.gaierror(socket.EAI_NONAME, "")

        with self.assertRaises(Unavailable):
            Pull(Server("nowhere", 80), unknown).get("/f")

    def test_another_thread_ends_it(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            pull = self.pull(silent.getsockname()[1])
            found: list[BaseException] = []

            def read() -> None:
                try:
                    pull.get("/f")
                except Refusal as refusal:
                    found.append(refusal)

            reader = threading.Thread(target=read)
            reader.start()
            peer, _ = silent.accept()
            with peer:
                peer.recv(4096)
                pull.end()
                reader.join(60)
        self.assertEqual([type(each) for each in found], [ConnectionLost])
        self.assertFalse(pull.reusable)

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=300), st.lists(st.integers(1, 400), max_size=4))
    def test_junk_is_refused_or_read(self, junk: bytes, cuts: list[int]) -> None:
        """Whatever a server says: an answer within what was said, or a refusal."""
        said = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n" + junk
        pieces, at = [], 0
        for cut in sorted(cuts):
            pieces.append(said[at:cut])
            at = max(at, cut)
        pieces.append(said[at:])
        try:
            _, body = self.said(*[piece for piece in pieces if piece])
        except Refusal:
            return
        self.assertEqual(len(body), 7)
        self.assertIn(body, said)
