"""The chunked coding: whatever the pieces in which it arrives, the same bytes come out, and nothing loose gets by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidRequest
from ecpds.wire.chunked import EXTENSIONS, LAST, SIZE_LINE, TRAILERS, ChunkedDecoder, size_line


def decode(pieces: list[bytes]) -> tuple[bytes, ChunkedDecoder, bytes]:
    """The data, the decoder, and what follows the body."""
    decoder = ChunkedDecoder()
    data = bytearray()
    rest = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        while len(view) and not decoder.done:
            if decoder.remaining:
                taken = view[: decoder.remaining]
                data += taken
                decoder.took(len(taken))
                view = view[len(taken) :]
            else:
                view = view[decoder.feed(view) :]
        rest += view
    return bytes(data), decoder, bytes(rest)


def encode(chunks: list[bytes], trailers: bytes = b"") -> bytes:
    return b"".join(size_line(len(chunk)) + chunk + b"\r\n" for chunk in chunks) + b"0\r\n" + trailers + b"\r\n"


@st.composite
def in_pieces(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=12)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


class RoundTrip(SynchronousTestCase):
    @given(st.data(), CHUNKS)
    def test_any_split(self, data: st.DataObject, chunks: list[bytes]) -> None:
        stream = encode(chunks, b"X-Sum: 1\r\nx-b:\t2 \r\n")
        got, decoder, rest = decode([*data.draw(in_pieces(stream)), b"GET /next"])
        self.assertEqual((got, decoder.done, rest), (b"".join(chunks), True, b"GET /next"))
        self.assertEqual(decoder.trailers, [("x-sum", "1"), ("x-b", "2")])

    def test_byte_by_byte(self) -> None:
        stream = encode([b"hello", b"\r\n0\r\n\r\n", b"x" * 300])
        got, decoder, _ = decode([bytes([byte]) for byte in stream])
        self.assertEqual((got, decoder.done), (b"hello\r\n0\r\n\r\n" + b"x" * 300, True))

    def test_no_end_before_the_end(self) -> None:
        stream = encode([b"hello"], b"A: b\r\n")
        for cut in range(len(stream)):
            self.assertFalse(decode([stream[:cut]])[1].done, stream[:cut])

    def test_size_in_capitals_with_zeros_and_extensions(self) -> None:
        got, decoder, _ = decode([b'000A;name=value;b="q"\r\n0123456789\r\n0;x\r\n\r\n'])
        self.assertEqual((got, decoder.done), (b"0123456789", True))

    def test_last(self) -> None:
        self.assertEqual(decode([LAST])[1].done, True)


REFUSED = {
    "no size": b"\r\n",
    "sign": b"+5\r\nhello\r\n",
    "minus": b"-1\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "underscore": b"1_0\r\n",
    "not hexadecimal": b"5g\r\nhello\r\n",
    "space before": b" 5\r\nhello\r\n",
    "space after": b"5 \r\nhello\r\n",
    "space before extension": b"5 ;a\r\nhello\r\n",
    "bare LF after size": b"5\nhello\r\n",
    "bare CR after size": b"5\rhello\r\n",
    "bare CR in extension": b"5;a\rb\r\nhello\r\n",
    "NUL in extension": b"5;a\0b\r\nhello\r\n",
    "17 digits": b"00000000000000005\r\nhello\r\n",
    "above 2**63 - 1": b"8000000000000000\r\n",
    "chunk longer than its size": b"4\r\nhello\r\n",
    "chunk ended by a bare LF": b"5\r\nhello\n0\r\n\r\n",
    "chunk ended by a bare CR": b"5\r\nhello\r0\r\n\r\n",
    "trailer without colon": b"0\r\nabc\r\n\r\n",
    "trailer without name": b"0\r\n: x\r\n\r\n",
    "space before a trailer's colon": b"0\r\na : x\r\n\r\n",
    "folded trailer": b"0\r\na: x\r\n y\r\n\r\n",
    "bare LF after trailer": b"0\r\na: x\n\r\n",
    "bare LF at the end": b"0\r\n\n",
    "NUL in trailer": b"0\r\na: \0\r\n\r\n",
}


class Refused(SynchronousTestCase):
    def test_each(self) -> None:
        for name, stream in REFUSED.items():
            for pieces in ([stream], [bytes([byte]) for byte in stream]):
                with self.assertRaises(InvalidRequest, msg=name):
                    decode(pieces)

    def test_endless_lines(self) -> None:
        for start, room in ((b"5;", SIZE_LINE), (b"0\r\na:", TRAILERS)):
            decoder = ChunkedDecoder()
            decoder.feed(memoryview(start))
            sent = 0
            with self.assertRaises(InvalidRequest):
                while sent <= room + 100:
                    sent += decoder.feed(memoryview(b"x" * 10))

    def test_many_trailers(self) -> None:
        self.assertRaises(InvalidRequest, decode, [b"0\r\n" + b"a: b\r\n" * (TRAILERS // 6 + 1) + b"\r\n"])

    def test_many_extensions(self) -> None:
        chunk = b"1;" + b"x" * 1000 + b"\r\ny\r\n"
        self.assertRaises(InvalidRequest, decode, [chunk * (EXTENSIONS // 1000 + 1)])

    @given(st.lists(st.sampled_from([b"5", b"0", b"\r\n", b"\n", b"\r", b";a", b"hello", b"A: b", b"\0"]), max_size=30))
    def test_garbage_ends_or_is_refused(self, pieces: list[bytes]) -> None:
        try:
            data, _, _ = decode(pieces)
        except InvalidRequest:
            return
        self.assertLessEqual(len(data), sum(map(len, pieces)))
