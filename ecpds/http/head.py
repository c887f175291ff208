"""The head of a request: what it may look like, and what it says. Pure.

One pattern describes a whole head as RFC 9112 has it; what does not fit is refused before httptools reads the fields, and
what could be framed in two ways is refused after. Whoever stands before us can then never see another request than we do.
"""

from __future__ import annotations

import re

from attrs import define
from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from ecpds.http.message import Headers, HttpError

LARGEST = 2**63 - 1
"""The largest body: what a signed 64-bit offset holds."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
_REQUEST_LINE = rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])\r\n"
_HEAD = re.compile(_REQUEST_LINE + rb"(?:" + _TOKEN + rb"+:" + _VALUE + rb"\r\n)*+\r\n")
_FIRST_LINE = re.compile(_REQUEST_LINE)
PLAIN_LINE = re.compile(rb"(GET|HEAD) (/[!\"$->@-~]*+) HTTP/1\.1")
"""A request line for a path, and nothing else."""

PUT_LINE = re.compile(rb"PUT (/[!\"$->@-~]*+) HTTP/1\.1")
"""The same for what is to be stored there."""

_FIELD_NAME = re.compile(_TOKEN)
_FIELD_VALUE = re.compile(_VALUE)
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_ABSOLUTE = re.compile(r"(?i:https?)://([^/?]*)([^?]*)(.*)")
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LENGTH = re.compile(r"[0-9]{1,19}")


@define(eq=False)
class Head:
    """What a head says. `length` is 0 without a body and None when it is chunked; `expects` asks for `100 Continue`.

    `fields` are the bytes behind the request line, from its end on.
    """

    method: str
    target: bytes
    path: str
    query: str
    version: str
    headers: Headers
    length: int | None
    keep_alive: bool
    expects: bool
    fields: bytes = b""

    @property
    def is_plain(self) -> bool:
        """Whether the same fields behind a `PLAIN_LINE` say that it has no body, and that the connection goes on."""
        return self.length == 0 and self._goes_on

    @property
    def is_plain_put(self) -> bool:
        """Whether the same fields behind a `PUT_LINE` say that a body comes at once, and that the connection goes on."""
        return self.method == "PUT" and bool(self.length) and self._goes_on

    @property
    def _goes_on(self) -> bool:
        return self.version == "1.1" and self.keep_alive and not self.expects


class _Fields:
    """Takes the fields from the parser."""

    __slots__ = ("add", "headers")

    def __init__(self) -> None:
        self.headers = Headers()
        self.add = self.headers.add

    def on_header(self, name: bytes, value: bytes) -> None:
        self.add(name.decode("ascii"), value.strip(b" \t").decode("latin-1"))


def parse_head(head: bytes, most_fields: int) -> Head:
    """Read a head, from the request line to the empty line. Raises `HttpError` for anything that is not beyond doubt."""
    if head.count(b"\r\n") - 2 > most_fields:
        raise HttpError(431, f"The request has more than {most_fields} header fields.")
    match = _HEAD.fullmatch(head)
    if match is None:
        raise HttpError(400, _what_is_wrong(head))
    method, target, version = match[1].decode("ascii"), match[2], match[3].decode("ascii")
    if version not in ("1.1", "1.0"):
        raise HttpError(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    path, query, authority = _split_target(target.decode("ascii"))
    headers = _read_fields(head)
    _check_host(headers, version, authority)
    options = _connection_options(headers)
    return Head(
        method=method,
        target=target,
        path=path,
        query=query,
        version=version,
        headers=headers,
        length=_body_length(headers, version),
        keep_alive="close" not in options and (version == "1.1" or "keep-alive" in options),
        expects=_expects_continue(headers, version),
        fields=head[match.end(3) :],
    )


def _read_fields(head: bytes) -> Headers:
    fields = _Fields()
    try:
        HttpRequestParser(fields).feed_data(head)
    except HttpParserUpgrade:
        # The parser stops for another protocol; we speak none and may go on in this one (RFC 9110 section 7.8).
        pass
    except HttpParserInvalidMethodError as error:
        raise HttpError(501, "That method is not supported.") from error
    except HttpParserError as error:
        raise HttpError(400, f"The head of the request is malformed: {error}.") from error
    return fields.headers


def _split_target(target: str) -> tuple[str, str, str | None]:
    """Path, query and, in absolute form, the authority (RFC 9112 section 3.2)."""
    authority = None
    path, _, query = target.partition("?")
    if not target.startswith("/"):
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            raise HttpError(400, "The request target is neither a path nor an http URL.")
        authority, path, query = match[1], match[2] or "/", match[3][1:]
    if "#" in target:
        raise HttpError(400, "The request target has a fragment.")
    return path, query, authority


def _check_host(headers: Headers, version: str, authority: str | None) -> None:
    """RFC 9112 section 3.2: one Host, well formed; a URL in the request line names the same one."""
    hosts = headers.get_all("host")
    if len(hosts) > 1:
        raise HttpError(400, "The request has several Host fields.")
    if not hosts and version == "1.1":
        raise HttpError(400, "The request has no Host field.")
    for host in hosts if authority is None else [authority, *hosts]:
        if not _HOST.fullmatch(host):
            raise HttpError(400, "The host is malformed.")
        if authority is not None and host.lower() != authority.lower():
            raise HttpError(400, "The request names two different hosts.")


def _body_length(headers: Headers, version: str) -> int | None:
    """RFC 9112 section 6.3, without the cases that it allows a server to repair."""
    if "transfer-encoding" in headers:
        _check_chunked(headers, version)
        return None
    lengths = headers.get_all("content-length")
    if not lengths:
        return 0
    if len(lengths) > 1:
        raise HttpError(400, "The request has several Content-Length fields.")
    if not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) > LARGEST:
        raise HttpError(400, "The Content-Length is not a plain number of bytes.")
    return int(lengths[0])


def _check_chunked(headers: Headers, version: str) -> None:
    """Check that the body's coding is `chunked` and nothing else."""
    if "content-length" in headers:
        raise HttpError(400, "The request has both Content-Length and Transfer-Encoding.")
    if version == "1.0":
        raise HttpError(400, "HTTP/1.0 has no Transfer-Encoding.")
    if [coding.lower() for coding in headers.get_all("transfer-encoding")] != ["chunked"]:
        raise HttpError(400, "The Transfer-Encoding is not exactly chunked.")


def _expects_continue(headers: Headers, version: str) -> bool:
    """What else a client expects is nothing that there is: it may be refused, and may be passed over, as S3 does (RFC 9110
    section 10.1.1)."""
    return version == "1.1" and (headers.get("expect") or "").lower() == "100-continue"


def _connection_options(headers: Headers) -> set[str]:
    options = headers.get("connection")
    return set() if options is None else {option.strip().lower() for option in options.split(",")}


def _what_is_wrong(head: bytes) -> str:
    """Name the first fault of a head that does not fit the pattern."""
    if b"\0" in head:
        return "The head of the request holds a NUL."
    if _BARE.search(head):
        return "The head of the request has a bare CR or a bare LF."
    first = _FIRST_LINE.match(head)
    if first is None:
        return "The request line is malformed."
    for line in head[first.end() : -4].split(b"\r\n"):
        if line.startswith((b" ", b"\t")):
            return "A header field is folded or begins with white space."
        name, colon, value = line.partition(b":")
        if not colon:
            return "A header line has no colon."
        if name.endswith((b" ", b"\t")):
            return "There is white space before the colon of a header field."
        if not _FIELD_NAME.fullmatch(name):
            return "The name of a header field is empty or has a character that is not allowed."
        if not _FIELD_VALUE.fullmatch(value):
            return "The value of a header field has a control character."
    return "The head of the request is malformed."
