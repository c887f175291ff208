"""The body of a reply with several ranges: multipart/byteranges (RFC 9110 section 14.6)."""

from __future__ import annotations

from attrs import frozen

from ecpds.wire.ranges import Span


@frozen
class ByteRanges:
    """Several spans of a representation of `size` bytes and media type `kind`.

    Whoever stores files must not be able to foresee `boundary`, or a file could hold what looks like another part.
    """

    spans: tuple[Span, ...]
    kind: str
    size: int
    boundary: str

    @property
    def content_type(self) -> str:
        """The Content-Type of the reply."""
        return f"multipart/byteranges; boundary={self.boundary}"

    def before(self, span: Span) -> bytes:
        """What goes out before the bytes of a span."""
        fields = f"Content-Type: {self.kind}\r\nContent-Range: {span.content_range(self.size)}\r\n"
        return f"\r\n--{self.boundary}\r\n{fields}\r\n".encode("ascii")

    @property
    def end(self) -> bytes:
        """What goes out after the last."""
        return f"\r\n--{self.boundary}--\r\n".encode("ascii")

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        return sum(len(self.before(span)) + span.length for span in self.spans) + len(self.end)
