"""The bodies of S3 requests: what the client signed or announced of them is checked before anything is published.

Who tells whom: the head names a payload mode. Plain bodies go to the upload as they come, their digests are compared at the
commit. An `aws-chunked` body is unpacked on the way; each chunk's signature is checked at its end and the trailer's at the
end of the body, whose read then fails: no end, no commit. The last read comes before the end is told, so nobody hears 0
from a body that is not beyond doubt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from zope.interface import implementer

from ecpds.errors import ConnectionLost, InvalidRequest
from ecpds.interfaces import IByteSource, IThreads
from ecpds.wire.aws_chunked import AwsChunkedDecoder
from ecpds.wire.sigv4 import ChunkSigner, SignatureError, agree

SCRATCH = 4096
"""Bytes that are read at a time while framing is awaited."""

ON_THREAD = 16384
"""Bytes from which on hashing goes to a thread: below, the hop costs more."""

TRAILER_SIGNATURE = "x-amz-trailer-signature"


@implementer(IByteSource)
class AwsChunkedBody:
    """The content of an `aws-chunked` body of `length` bytes.

    `signer` checks the chunks, where they are signed; `wanted` are the trailers that the head announced. Raises
    `InvalidRequest`, and `SignatureError` for a wrong signature.
    """

    def __init__(
        self, source: IByteSource, length: int, signer: ChunkSigner | None, wanted: Sequence[str], threads: IThreads
    ) -> None:
        self._source = source
        self._decoder = AwsChunkedDecoder(signer is not None, length)
        self._signer = signer
        self._wanted = tuple(wanted)
        self._threads = threads
        self._scratch = memoryview(bytearray(SCRATCH))
        self._start = self._end = 0
        self._hash = hashlib.sha256()

    @property
    def trailers(self) -> Mapping[str, str]:
        """The trailers that were announced; complete after the end."""
        return {name: value for name, value in self._decoder.trailers if name in self._wanted}

    async def read_into(self, view: memoryview) -> int:
        decoder = self._decoder
        while not decoder.remaining and not decoder.done:
            await self._framing()
        if decoder.done:
            return 0
        view = view[: decoder.remaining]
        count = self._leftover(view) or await self._some(view)
        decoder.took(count)
        await self._digest(view[:count])
        if not decoder.remaining:
            self._check_chunk()
        return count

    async def _framing(self) -> None:
        """Eat one line, or a piece of it; check what it ends."""
        decoder = self._decoder
        if self._start == self._end:
            self._start, self._end = 0, await self._some(self._scratch)
        was_last = decoder.last
        self._start += decoder.feed(self._scratch[self._start : self._end])
        if decoder.last and not was_last:
            self._check_chunk()
        if decoder.done:
            await self._check_end()

    def _check_chunk(self) -> None:
        if self._signer is not None and not agree(self._signer.chunk(self._hash.hexdigest()), self._decoder.signature):
            raise SignatureError("SignatureDoesNotMatch", "The signature of a chunk of the body is wrong.")
        self._hash = hashlib.sha256()

    async def _check_end(self) -> None:
        names = [name for name, _ in self._decoder.trailers]
        signed = [(name, value) for name, value in self._decoder.trailers if name != TRAILER_SIGNATURE]
        if len(set(names)) != len(names) or {name for name, _ in signed} != set(self._wanted):
            raise InvalidRequest("the trailers are not those that X-Amz-Trailer announces")
        if self._signer is not None and self._wanted:
            given = dict(self._decoder.trailers).get(TRAILER_SIGNATURE, "")
            if not agree(self._signer.trailer(signed), given):
                raise SignatureError("SignatureDoesNotMatch", "The signature of the trailer is wrong.")
        if self._start != self._end or await self._source.read_into(self._scratch[:1]):
            raise InvalidRequest("something follows the end of the aws-chunked body")

    def _leftover(self, view: memoryview) -> int:
        count = min(self._end - self._start, len(view))
        view[:count] = self._scratch[self._start : self._start + count]
        self._start += count
        return count

    async def _some(self, view: memoryview) -> int:
        count = await self._source.read_into(view)
        if not count:
            raise ConnectionLost("the aws-chunked body was cut short")
        return count

    async def _digest(self, data: memoryview) -> None:
        if self._signer is None:
            return
        if len(data) < ON_THREAD:
            self._hash.update(data)
        else:
            await self._threads.run(self._hash.update, data)


async def whole(source: IByteSource, most: int) -> bytes:
    """All of a small body. Raises `InvalidRequest` when it has more than `most` bytes."""
    parts = bytearray()
    room = memoryview(bytearray(16384))
    while count := await source.read_into(room):
        parts += room[:count]
        if len(parts) > most:
            raise InvalidRequest(f"the body of this request has at most {most} bytes")
    return bytes(parts)
