"""The heads of replies: what is read, and what is refused as not beyond doubt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidRequest
from ecpds.http.reply_head import parse_reply


def reply(*fields: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *fields, "\r\n"]).encode("latin-1")


class ReplyHeads(SynchronousTestCase):
    def test_length(self) -> None:
        head = parse_reply(reply("Content-Length: 12", 'ETag: "a"'), "GET", 100)
        self.assertEqual((head.status, head.length, head.until_close, head.keep_alive), (200, 12, False, True))
        self.assertEqual(head.headers.get("etag"), '"a"')

    def test_chunked_and_until_close(self) -> None:
        self.assertEqual(parse_reply(reply("Transfer-Encoding: chunked"), "GET", 100).length, None)
        ends = parse_reply(reply(), "GET", 100)
        self.assertTrue(ends.until_close)
        self.assertFalse(ends.keep_alive)

    def test_no_body(self) -> None:
        for method, status in (("HEAD", "HTTP/1.1 200 OK"), ("GET", "HTTP/1.1 304 Not Modified"), ("GET", "HTTP/1.1 204 ")):
            self.assertEqual(parse_reply(reply("Content-Length: 5", status=status), method, 100).length, 0)

    def test_what_is_framed_in_two_ways_is_refused(self) -> None:
        for fields in (
            ("Content-Length: 5", "Transfer-Encoding: chunked"),
            ("Content-Length: 5", "Content-Length: 6"),
            ("Content-Length: +5",),
            ("Transfer-Encoding: gzip, chunked",),
            ("Content-Length: 5, 5",),
        ):
            with self.assertRaises(InvalidRequest):
                parse_reply(reply(*fields), "GET", 100)

    def test_equal_lengths_are_one(self) -> None:
        self.assertEqual(parse_reply(reply("Content-Length: 5", "Content-Length: 5"), "GET", 100).length, 5)

    def test_malformed(self) -> None:
        for head in (b"ICY 200 OK\r\n\r\n", reply("No colon"), reply("Bad name: x"), reply("a: b\x01"), b"HTTP/2 200\r\n\r\n"):
            with self.assertRaises(InvalidRequest):
                parse_reply(head, "GET", 100)

    def test_too_many_fields(self) -> None:
        with self.assertRaises(InvalidRequest):
            parse_reply(reply(*["a: b"] * 101), "GET", 100)

    @given(st.binary(max_size=200))
    def test_any_bytes_are_read_or_refused(self, data: bytes) -> None:
        try:
            parse_reply(b"HTTP/1.1 200 OK\r\n" + data + b"\r\n\r\n", "GET", 10)
        except InvalidRequest:
            pass
