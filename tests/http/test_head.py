"""What a head may look like: every refusal by its name, and what a good one says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.http.head import parse_head
from ecpds.http.message import HttpError
from tests.http.support import Bench, head

REFUSED: dict[str, tuple[int, bytes]] = {
    "bare LF after the request line": (400, b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    "bare LF after a field": (400, b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    "bare CR in a field": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n"),
    "bare CR in the target": (400, b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"),
    "NUL in a field": (400, head("GET / HTTP/1.1", "X: \0")),
    "NUL in a name": (400, head("GET / HTTP/1.1", "X\0: a")),
    "NUL in the target": (400, head("GET /\0 HTTP/1.1")),
    "folded field": (400, head("GET / HTTP/1.1", "X: a", " b")),
    "field folded by a tab": (400, head("GET / HTTP/1.1", "X: a", "\tb")),
    "white space before the first field": (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    "space before a colon": (400, head("GET / HTTP/1.1", "X : a")),
    "tab before a colon": (400, head("GET / HTTP/1.1", "X\t: a")),
    "space before the colon of Content-Length": (400, head("PUT / HTTP/1.1", "Content-Length : 5")),
    "no name": (400, head("GET / HTTP/1.1", ": a")),
    "no colon": (400, head("GET / HTTP/1.1", "Xa")),
    "space in a name": (400, head("GET / HTTP/1.1", "X y: a")),
    "character that no name has": (400, head("GET / HTTP/1.1", "X(y): a")),
    "name that is not ASCII": (400, head("GET / HTTP/1.1", "X\xe9: a")),
    "control character in a value": (400, head("GET / HTTP/1.1", "X: a\x01")),
    "DEL in a value": (400, head("GET / HTTP/1.1", "X: a\x7f")),
    "two Content-Length fields": (400, head("PUT / HTTP/1.1", "Content-Length: 5", "Content-Length: 6")),
    "two equal Content-Length fields": (400, head("PUT / HTTP/1.1", "Content-Length: 5", "Content-Length: 5")),
    "list of lengths": (400, head("PUT / HTTP/1.1", "Content-Length: 5, 5")),
    "length with a plus": (400, head("PUT / HTTP/1.1", "Content-Length: +5")),
    "length with a minus": (400, head("PUT / HTTP/1.1", "Content-Length: -5")),
    "length in hexadecimal": (400, head("PUT / HTTP/1.1", "Content-Length: 0x5")),
    "length with an underscore": (400, head("PUT / HTTP/1.1", "Content-Length: 1_0")),
    "length with a space": (400, head("PUT / HTTP/1.1", "Content-Length: 1 0")),
    "length that is a fraction": (400, head("PUT / HTTP/1.1", "Content-Length: 5.0")),
    "length in other digits": (400, head("PUT / HTTP/1.1", "Content-Length: \xb2")),
    "empty length": (400, head("PUT / HTTP/1.1", "Content-Length:")),
    "length above 2**63 - 1": (400, head("PUT / HTTP/1.1", f"Content-Length: {2**63}")),
    "length of many digits": (400, head("PUT / HTTP/1.1", "Content-Length: " + "0" * 30 + "5")),
    "length and coding": (400, head("PUT / HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked")),
    "coding and length": (400, head("PUT / HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 5")),
    "unknown coding": (400, head("PUT / HTTP/1.1", "Transfer-Encoding: gzip")),
    "coding that is nearly chunked": (400, head("PUT / HTTP/1.1", "Transfer-Encoding: xchunked")),
    "chunked with a tail": (400, head("PUT / HTTP/1.1", "Transfer-Encoding: chunked;q=1")),
    "chunked and identity": (400, head("PUT / HTTP/1.1", "Transfer-Encoding: chunked, identity")),
    "identity": (400, head("PUT / HTTP/1.1", "Transfer-Encoding: identity")),
    "gzip and chunked": (400, head("PUT / HTTP/1.1", "Transfer-Encoding: gzip, chunked")),
    "chunked twice": (400, head("PUT / HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")),
    "empty coding": (400, head("PUT / HTTP/1.1", "Transfer-Encoding:")),
    "quoted coding": (400, head("PUT / HTTP/1.1", 'Transfer-Encoding: "chunked"')),
    "coding in HTTP/1.0": (400, head("PUT / HTTP/1.0", "Transfer-Encoding: chunked")),
    "no Host": (400, head(host="")),
    "two Hosts": (400, head("GET / HTTP/1.1", "Host: b")),
    "two equal Hosts": (400, head("GET / HTTP/1.1", "Host: a")),
    "two Hosts in HTTP/1.0": (400, head("GET / HTTP/1.0", "Host: a")),
    "empty Host": (400, head(host="Host:")),
    "Host with a path": (400, head(host="Host: a/b")),
    "Host with a user": (400, head(host="Host: me@a")),
    "Host with a space": (400, head(host="Host: a b")),
    "list of Hosts": (400, head(host="Host: a, b")),
    "Host with a bad port": (400, head(host="Host: a:b")),
    "Host with a long port": (400, head(host="Host: a:123456")),
    "Host with an open bracket": (400, head(host="Host: [::1")),
    "URL with another Host": (400, head("GET http://b/ HTTP/1.1")),
    "URL of another scheme": (400, head("GET ftp://a/ HTTP/1.1")),
    "URL without a host": (400, head("GET http:///x HTTP/1.1")),
    "URL with a user": (400, head("GET http://me@a/ HTTP/1.1", host="Host: me@a")),
    "asterisk": (400, head("OPTIONS * HTTP/1.1")),
    "authority": (400, head("CONNECT a:80 HTTP/1.1")),
    "target without a slash": (400, head("GET a HTTP/1.1")),
    "fragment": (400, head("GET /a#b HTTP/1.1")),
    "target that is not ASCII": (400, head("GET /\xe9 HTTP/1.1")),
    "no target": (400, head("GET HTTP/1.1")),
    "two spaces": (400, head("GET  / HTTP/1.1")),
    "tab for a space": (400, head("GET\t/ HTTP/1.1")),
    "space at the end of the request line": (400, head("GET / HTTP/1.1 ")),
    "space before the method": (400, head(" GET / HTTP/1.1")),
    "space in the target": (400, head("GET /a b HTTP/1.1")),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "version of two digits": (400, head("GET / HTTP/1.10")),
    "http in small letters": (400, head("GET / http/1.1")),
    "version 2": (505, b"PRI * HTTP/2.0\r\n\r\n"),
    "version 1.2": (505, head("GET / HTTP/1.2")),
    "version 9.9": (505, head("GET / HTTP/9.9")),
    "two empty lines before the request": (400, b"\r\n\r\n" + head()),
    "only empty lines": (400, b"\r\n\r\n\r\n"),
    "TLS on a plain port": (400, b"\x16\x03\x01\x02\x00\x01"),
    "method that nobody knows": (501, head("FROB / HTTP/1.1")),
    "method in small letters": (501, head("get / HTTP/1.1")),
    "long request line": (414, head("GET /" + "x" * 1000 + " HTTP/1.1")),
    "request line that does not end": (414, b"GET /" + b"x" * 2000),
    "head that does not end": (431, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000),
    "large field": (431, head("GET / HTTP/1.1", "X: " + "y" * 20000)),
    "many fields": (431, head("GET / HTTP/1.1", *["X: y"] * 20)),
    "bare LFs only": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
}


class Refused(SynchronousTestCase):
    def test_each_by_its_name(self) -> None:
        for name, (status, data) in REFUSED.items():
            for pieces in ([data], [data[:7], data[7:]]):
                self.check(name, status, pieces)

    def check(self, name: str, status: int, pieces: list[bytes]) -> None:
        bench = Bench()
        client = bench.connect()
        for piece in pieces:
            client.channel.feed(piece)
        (answer,) = client.answers()
        self.assertEqual((name, answer.status, answer.headers.get("connection")), (name, status, "close"))
        self.assertEqual(bench.refused, [("192.0.2.7", answer.body.decode().strip())])
        client.channel.feed(head())
        client.channel.feed_end()
        self.assertEqual(len(client.answers()), 1, f"{name}: what follows a refusal is never read as a request")
        self.assertTrue(client.channel.finished and client.ended)


class Read(SynchronousTestCase):
    def test_origin_form(self) -> None:
        read = parse_head(head("GET /a%20b//c?d=e?f HTTP/1.1", "X-Y:  z \t"), 10)
        self.assertEqual((read.method, read.target), ("GET", b"/a%20b//c?d=e?f"))
        self.assertEqual((read.path, read.query, read.version), ("/a%20b//c", "d=e?f", "1.1"))
        self.assertEqual((read.headers.get("x-y"), read.headers.get("X-Y")), ("z", "z"))
        self.assertEqual((read.length, read.keep_alive, read.expects), (0, True, False))

    def test_absolute_form(self) -> None:
        for target, path, query in (("http://a", "/", ""), ("HTTPS://A/b?c", "/b", "c"), ("http://a?c=/d", "/", "c=/d")):
            read = parse_head(head(f"GET {target} HTTP/1.1"), 10)
            self.assertEqual((read.path, read.query), (path, query))

    def test_hosts(self) -> None:
        for host in ("a", "a.b-c:8443", "127.0.0.1:1", "[::1]:8443", "bucket_1.s3.example.org"):
            self.assertIn("host", parse_head(head(host=f"Host: {host}"), 10).headers)
        self.assertNotIn("host", parse_head(head("GET / HTTP/1.0", host=""), 10).headers)

    def test_lengths(self) -> None:
        self.assertEqual(parse_head(head("PUT / HTTP/1.1", f"Content-Length: {2**63 - 1}"), 10).length, 2**63 - 1)
        self.assertEqual(parse_head(head("PUT / HTTP/1.1", "Content-Length: 0"), 10).length, 0)
        self.assertIsNone(parse_head(head("PUT / HTTP/1.1", "Transfer-Encoding: Chunked"), 10).length)

    def test_keep_alive(self) -> None:
        for line, field, kept in (
            ("GET / HTTP/1.1", "X: y", True),
            ("GET / HTTP/1.1", "Connection: close", False),
            ("GET / HTTP/1.1", "Connection: foo , Close", False),
            ("GET / HTTP/1.0", "X: y", False),
            ("GET / HTTP/1.0", "Connection: Keep-Alive", True),
            ("GET / HTTP/1.0", "Connection: keep-alive, close", False),
        ):
            self.assertEqual(parse_head(head(line, field), 10).keep_alive, kept, (line, field))

    def test_expect(self) -> None:
        self.assertTrue(parse_head(head("PUT / HTTP/1.1", "Expect: 100-Continue"), 10).expects)
        self.assertFalse(parse_head(head("PUT / HTTP/1.0", "Expect: 100-continue"), 10).expects)
        for other in ("Expect: 200", "Expect:", "Expect: 100-continue, 200"):
            self.assertFalse(parse_head(head("PUT / HTTP/1.1", other), 10).expects, other)

    def test_upgrade_is_not_taken(self) -> None:
        self.assertEqual(parse_head(head("GET / HTTP/1.1", "Upgrade: h2c", "Connection: Upgrade"), 10).method, "GET")

    @given(st.binary(max_size=300) | st.lists(st.sampled_from(list(REFUSED.values())), min_size=1).map(lambda v: v[0][1][:400]))
    def test_garbage_is_refused_or_read(self, data: bytes) -> None:
        try:
            parse_head(data, 10)
        except HttpError as error:
            self.assertIn(error.status, (400, 431, 501, 505))
