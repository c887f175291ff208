"""The header by which a balancer says whom it brings: HAProxy's PROXY protocol, versions 1 and 2. Pure: no socket here.

The balancer connects and sends the header; everything behind it, a TLS handshake too, is the client's. So nothing behind
it may be taken: `HeaderReader.take` says how many of the bytes that lie in the socket are the header's.
https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt, sections 2.1 (text) and 2.2 (binary).
"""

from __future__ import annotations

import ipaddress
import re

from attrs import frozen
from awscrt import checksums

from ecpds.errors import InvalidRequest

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""How version 2 begins: what no server of another protocol takes for anything."""

WORD = b"PROXY "

LONGEST_LINE = 107
"""Bytes of a header of version 1, its line end too (section 2.1)."""

FIXED = 16
"""Bytes of version 2 that say how many follow."""

LOCAL, PROXY = 0x20, 0x21
"""Version and command: the balancer speaks for itself (a health check), or for a client."""

UNSPECIFIED, TCP4, TCP6, UNIX_STREAM = 0x00, 0x11, 0x21, 0x31
"""Family and transport."""

ADDRESSES = {TCP4: 12, TCP6: 36, UNIX_STREAM: 216}
"""Bytes of a family's addresses and ports."""

CRC32C = 0x03
"""The kind of the field that holds a checksum of the header (section 2.2.5)."""

LINE = re.compile(
    r"PROXY TCP([46]) ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n", re.ASCII
)
UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")


@frozen
class Client:
    """Where a client comes from, as its balancer says."""

    address: str
    port: int


@frozen
class Header:
    """A whole header. Without a client the balancer speaks for itself, or does not know: the peer is who it is."""

    client: Client | None


class HeaderReader:
    """Takes one header, however its bytes are cut. `longest` bytes may be the header's."""

    def __init__(self, longest: int) -> None:
        self.header: Header | None = None
        """Set when the last byte of the header was taken."""
        self._longest = longest
        self._held = b""

    def take(self, coming: bytes) -> int:
        """How many of the bytes that come next belong to the header. Raises `InvalidRequest` when they begin none."""
        whole = self._held + coming
        length = _length(whole, self._longest)
        held = whole if length is None else whole[:length]
        if length is not None and len(held) == length:
            self.header = parse(held)
        taken = len(held) - len(self._held)
        self._held = held
        return taken


def _length(data: bytes, longest: int) -> int | None:
    """How long the header is that begins so; None while it does not say. Raises `InvalidRequest`."""
    if data[:12] == SIGNATURE[: len(data)]:
        if len(data) < FIXED:
            return None
        length = FIXED + int.from_bytes(data[14:FIXED])
        if length > longest:
            raise InvalidRequest(f"a PROXY header of {length} bytes")
        return length
    if data[:6] != WORD[: len(data)]:
        raise InvalidRequest("no PROXY header")
    most = min(LONGEST_LINE, longest)
    end = data.find(b"\n", 0, most)
    if end < 0 and len(data) >= most:
        raise InvalidRequest("a PROXY line that does not end")
    return None if end < 0 else end + 1


def parse(data: bytes) -> Header:
    """A whole header. Raises `InvalidRequest`."""
    return _parse_binary(data) if data.startswith(SIGNATURE) else _parse_line(data)


def _parse_line(data: bytes) -> Header:
    if UNKNOWN.fullmatch(data):
        return Header(None)
    found = LINE.fullmatch(data.decode("ascii", "replace"))
    if found is None or int(found[4]) > 65535 or int(found[5]) > 65535:
        raise InvalidRequest("a PROXY line that is none")
    family = ipaddress.IPv4Address if found[1] == "4" else ipaddress.IPv6Address
    try:
        source, _ = family(found[2]), family(found[3])
    except ValueError as error:
        raise InvalidRequest("a PROXY line without addresses") from error
    return Header(Client(_plain(source), int(found[4])))


def _parse_binary(data: bytes) -> Header:
    """What stands behind LOCAL, or behind an unspecified family, is to be skipped (section 2.2)."""
    command, family = data[12], data[13]
    if command not in (LOCAL, PROXY):
        raise InvalidRequest(f"PROXY version and command {command:#x}")
    if command == LOCAL or family == UNSPECIFIED:
        return Header(None)
    if family not in ADDRESSES:
        raise InvalidRequest(f"PROXY family and transport {family:#x}")
    start = FIXED + ADDRESSES[family]
    if len(data) < start:
        raise InvalidRequest("a PROXY header without its addresses")
    _check_fields(data, start)
    if family == TCP4:
        return Header(Client(str(ipaddress.IPv4Address(data[16:20])), int.from_bytes(data[24:26])))
    if family == TCP6:
        return Header(Client(_plain(ipaddress.IPv6Address(data[16:32])), int.from_bytes(data[48:50])))
    return Header(None)


def _check_fields(data: bytes, start: int) -> None:
    """Walk the fields behind the addresses; only the checksum means anything to us. Raises `InvalidRequest`."""
    while start < len(data):
        end = start + 3 + int.from_bytes(data[start + 1 : start + 3])
        if len(data) < start + 3 or len(data) < end:
            raise InvalidRequest("a PROXY header that is cut")
        if data[start] == CRC32C and not _is_checked(data, start + 3, end):
            raise InvalidRequest("a PROXY header that was damaged")
        start = end


def _is_checked(data: bytes, start: int, end: int) -> bool:
    """Whether the checksum that stands there is the header's, which it is taken of with zeros in its place."""
    bare = data[:start] + bytes(end - start) + data[end:]
    return end - start == 4 and int.from_bytes(data[start:end]) == checksums.crc32c(bare)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """An IPv4 address that IPv6 carries (RFC 4291 section 2.5.5.2) as IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
