"""GET and HEAD of small objects without waiting, for who has just been let in on the same connection with the same fields.

What differs from one signed request to the next is its time and its signature, and what SDKs number their requests by. Each is
checked as always, with the key that the Master gave for the scope; and the user is logged in anew (`IPortal.look_again`), so a
key that was taken away, or has expired, is out at once. What a reply says of an object is made once for each version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from ecpds.http.message import Ready, Request, Response
from ecpds.http.reply import unfinished_head
from ecpds.model import DataFile, Entry
from ecpds.portal_interfaces import IFileSystem, IPortal
from ecpds.protocols import s3_headers
from ecpds.protocols.ready_heads import ReadyHeads
from ecpds.protocols.s3_address import Addresses, is_own
from ecpds.protocols.s3_errors import S3Error
from ecpds.protocols.s3_read import DECISIVE, ObjectBody
from ecpds.wire.ranges import Span
from ecpds.wire.sigv4 import SignatureError, Signed, agree, canonical_request, check_time, signature, signed_again

VARYING = ("authorization", "x-amz-date", "amz-sdk-invocation-id", "amz-sdk-request", "x-amzn-trace-id", "traceparent")
"""What SDKs write anew for each request."""

PECULIAR = (*DECISIVE, "x-amz-expected-bucket-owner")
"""Fields for which the reply is made as always."""


@frozen(eq=False)
class Known:
    """What came of the fields of a request. `fields` are the signed ones, by name."""

    files: IFileSystem
    signed: Signed
    key: bytes
    fields: Mapping[str, str]
    host: str
    checksums: bool


class AtOnceObjects:
    """`number` says what the next reply is called, `now` are seconds since the epoch."""

    def __init__(self, portal: IPortal, addresses: Addresses, number: Callable[[], str], now: Callable[[], float]) -> None:
        self._portal = portal
        self._addresses = addresses
        self._number = number
        self._now = now
        self._heads = ReadyHeads()

    def remember(self, request: Request, files: IFileSystem, signed: Signed, key: bytes) -> None:
        """A user was let in by these fields."""
        fields = request.headers
        if request.method not in ("GET", "HEAD") or signed.expires is not None or fields.get("x-amz-date") is None:
            return
        if any(name in fields for name in PECULIAR):
            return
        values = {name: ",".join(fields.get_all(name)) for name in signed.headers}
        host = fields.get("host") or ""
        request.memory = Known(files, signed, key, values, host, s3_headers.checksums_wanted(fields))
        request.varying = {name: text for name in VARYING if (text := fields.get(name)) is not None}

    def answer(self, method: str, path: str, like: Request, body: memoryview) -> Ready | None:
        """As `http.message.AtOnce`."""
        known = like.memory
        if not isinstance(known, Known):
            return None
        try:
            bucket, key = self._addresses.of(known.host, path)
            if not is_own(known.files.identity, bucket) or not self._is_signed(method, path, known, like.varying):
                return None
        except (S3Error, SignatureError):
            return None
        if not key or key.endswith("/"):
            return None
        whole = self._head if method == "HEAD" else self._whole
        return whole(known, f"/{bucket}/{key}")

    def _is_signed(self, method: str, path: str, known: Known, varying: Mapping[str, str]) -> bool:
        """Whether the signature is right, and of now. Raises `SignatureError`."""
        signed = signed_again(known.signed, varying.get("authorization", ""), varying.get("x-amz-date", ""))
        if signed is None:
            return False
        check_time(signed, self._now())
        canonical = canonical_request(method, path, (), {**known.fields, **varying}, signed)
        return agree(signature(known.key, signed, canonical), signed.signature)

    def _whole(self, known: Known, path: str) -> Ready | None:
        download = self._portal.read_again(known.files, path)
        if download is None:
            return None
        data = download.held(0, download.entry.size)
        assert data is not None
        return Ready(self._head_of(download.entry, known.checksums), data, download.close)

    def _head(self, known: Known, path: str) -> Ready | None:
        entry = self._portal.look_again(known.files, path, lambda _: True)
        return None if entry is None else Ready(self._head_of(entry, known.checksums), b"")

    def _head_of(self, entry: Entry, checksums: bool) -> bytes:
        file = entry.file
        assert file is not None
        head = self._heads.get((file.id, checksums), file, lambda: _unfinished(file, checksums))
        return b"%bx-amz-request-id: %b\r\n" % (head, self._number().encode("ascii"))


def _unfinished(file: DataFile, checksums: bool) -> bytes:
    return unfinished_head(Response(200, s3_headers.whole_headers(file, checksums), ObjectBody(Span(0, file.size))))
