"""Bodies in the aws-chunked coding: any pieces give the content, and what is not beyond doubt never ends."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost, InvalidRequest
from ecpds.interfaces import IByteSource
from ecpds.keys import signing_key
from ecpds.protocols.s3_body import AwsChunkedBody
from ecpds.threads import InlineThreads
from ecpds.wire.sigv4 import ChunkSigner, Scope, SignatureError, Signed

KEY = signing_key("secret", "20261121", "us-east-1", "s3")
SIGNED = Signed("A", Scope("20261121", "us-east-1", "s3"), "20261121T000000Z", ("host",), "0" * 64, "STREAMING")
TRAILER = "x-amz-checksum-crc32"


@implementer(IByteSource)
class Pieces:
    """Bytes that come in pieces of given sizes, over and over."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = data
        self._sizes = sizes
        self._turn = 0

    async def read_into(self, view: memoryview) -> int:
        size = self._sizes[self._turn % len(self._sizes)]
        self._turn += 1
        piece, self._data = self._data[: min(size, len(view))], self._data[min(size, len(view)) :]
        view[: len(piece)] = piece
        return len(piece)


def coded(chunks: list[bytes], signed: bool, trailer: str = "") -> bytes:
    """The chunks as a client sends them."""
    signer = ChunkSigner(KEY, SIGNED)
    parts = []
    for chunk in [*(chunk for chunk in chunks if chunk), b""]:
        extension = f";chunk-signature={signer.chunk(hashlib.sha256(chunk).hexdigest())}" if signed else ""
        parts += [f"{len(chunk):x}{extension}\r\n".encode(), chunk, b"\r\n" if chunk else b""]
    if trailer:
        parts.append(f"{TRAILER}:{trailer}\r\n".encode())
        if signed:
            parts.append(f"x-amz-trailer-signature:{signer.trailer([(TRAILER, trailer)])}\r\n".encode())
    return b"".join((*parts, b"\r\n"))


class Bodies(SynchronousTestCase):
    def read(self, data: bytes, length: int, signed: bool, wanted: tuple[str, ...] = (), sizes: Any = (65536,)) -> Any:
        """The content and the trailers; fails as the body does."""
        signer = ChunkSigner(KEY, SIGNED) if signed else None
        body = AwsChunkedBody(Pieces(data, list(sizes)), length, signer, wanted, InlineThreads())
        verifyObject(IByteSource, body)

        async def whole() -> tuple[bytes, dict[str, str]]:
            content, room = b"", memoryview(bytearray(100_000))
            while count := await body.read_into(room):
                content += bytes(room[:count])
            return content, dict(body.trailers)

        return ensureDeferred(whole())

    @given(
        st.lists(st.binary(max_size=9000), max_size=5),
        st.booleans(),
        st.sampled_from(["", "AAAAAA=="]),
        st.lists(st.integers(1, 5000), min_size=1, max_size=4),
    )
    def test_any_chunks_in_any_pieces(self, chunks: list[bytes], signed: bool, trailer: str, sizes: list[int]) -> None:
        content = b"".join(chunks)
        wanted = (TRAILER,) if trailer else ()
        found = self.successResultOf(self.read(coded(chunks, signed, trailer), len(content), signed, wanted, sizes))
        self.assertEqual(found, (content, {TRAILER: trailer} if trailer else {}))

    @given(st.data(), st.booleans())
    def test_no_changed_byte_ends_well(self, data: st.DataObject, signed: bool) -> None:
        chunks = [b"first" * 20, b"second"]
        whole = bytearray(coded(chunks, True, "AAAAAA=="))
        at = data.draw(st.integers(0, len(whole) - 1))
        changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
        same = chr(changed).lower() == chr(whole[at]).lower() or {changed, whole[at]} <= {9, 32}
        whole[at] = changed
        if not same:
            failure = self.failureResultOf(self.read(bytes(whole), 106, True, (TRAILER,)))
            failure.trap(InvalidRequest, SignatureError, ConnectionLost)

    def test_what_is_cut_short(self) -> None:
        whole = coded([b"content"], False, "AAAAAA==")
        for end in range(len(whole)):
            self.failureResultOf(self.read(whole[:end], 7, False, (TRAILER,)), ConnectionLost)

    def test_what_is_not_what_was_announced(self) -> None:
        whole = coded([b"content"], False, "AAAAAA==")
        for data, length, wanted in (
            (whole, 6, (TRAILER,)),
            (whole, 8, (TRAILER,)),
            (whole, 7, ()),
            (whole, 7, (TRAILER, "x-amz-checksum-sha1")),
            (whole + b"x", 7, (TRAILER,)),
            (coded([b"content"], False), 7, (TRAILER,)),
            (coded([b"content"], True), 7, ()),
            (whole.replace(b"\r\n", b"\n"), 7, (TRAILER,)),
            (b"7" + b";" * 5000, 7, ()),
            (b"-7\r\ncontent\r\n0\r\n\r\n", 7, ()),
        ):
            self.failureResultOf(self.read(data, length, False, wanted), InvalidRequest)

    def test_chunks_that_are_not_signed_where_they_must_be(self) -> None:
        self.failureResultOf(self.read(coded([b"content"], False), 7, True), InvalidRequest)
