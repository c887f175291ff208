"""The PROXY header, whole, cut anywhere, damaged, and anything else instead of it."""

from __future__ import annotations

import ipaddress
import itertools

from awscrt import checksums
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidRequest
from ecpds.transports.proxy_protocol import CRC32C, SIGNATURE, Client, Header, HeaderReader, parse

LONGEST = 2048

ports = st.integers(0, 65535)
ipv4 = st.ip_addresses(v=4)
ipv6 = st.ip_addresses(v=6)
pairs = st.one_of(st.tuples(ipv4, ipv4), st.tuples(ipv6, ipv6))
behind = st.binary(max_size=300)


def line(source: object, target: object, source_port: int, target_port: int) -> bytes:
    kind = "TCP4" if isinstance(source, ipaddress.IPv4Address) else "TCP6"
    return f"PROXY {kind} {source} {target} {source_port} {target_port}\r\n".encode()


def binary(command: int, family: int, addresses: bytes, fields: bytes = b"") -> bytes:
    return SIGNATURE + bytes([command, family]) + len(addresses + fields).to_bytes(2) + addresses + fields


def field(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2) + value


def packed(source, target, source_port: int, target_port: int) -> tuple[int, bytes]:
    family = 0x11 if source.version == 4 else 0x21
    return family, source.packed + target.packed + source_port.to_bytes(2) + target_port.to_bytes(2)


def client(source, port: int) -> Header:
    mapped = source.ipv4_mapped if source.version == 6 else None
    return Header(Client(str(mapped or source), port))


def read(data: bytes, cuts: list[int], longest: int = LONGEST) -> tuple[Header | None, int]:
    """What a reader makes of bytes that come in pieces, and how many of them it took."""
    reader = HeaderReader(longest)
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    taken = 0
    for start, end in itertools.pairwise(edges):
        if reader.header is None:
            taken += reader.take(data[start:end])
    return reader.header, taken


class Good(SynchronousTestCase):
    @given(pairs, ports, ports, behind, st.lists(st.integers(0, 120)))
    def test_lines(self, pair, source_port: int, target_port: int, rest: bytes, cuts: list[int]) -> None:
        header = line(*pair, source_port, target_port)
        self.assertEqual(read(header + rest, cuts), (client(pair[0], source_port), len(header)))

    @given(pairs, ports, ports, behind, st.lists(st.integers(0, 120)), st.binary(max_size=60))
    def test_binary(self, pair, source_port: int, target_port: int, rest: bytes, cuts: list[int], name: bytes) -> None:
        header = binary(0x21, *packed(*pair, source_port, target_port), field(0x02, name) + field(0x04, b""))
        self.assertEqual(read(header + rest, cuts), (client(pair[0], source_port), len(header)))

    @given(behind, st.lists(st.integers(0, 60)), st.binary(max_size=60))
    def test_the_balancer_speaks_for_itself(self, rest: bytes, cuts: list[int], skipped: bytes) -> None:
        unix = binary(0x21, 0x31, bytes(216))
        local = [binary(0x20, family, skipped) for family in (0x00, 0x11, 0x77)]
        for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 x y\r\n", binary(0x21, 0, skipped), unix, *local):
            self.assertEqual(read(header + rest, cuts), (Header(None), len(header)))

    def test_the_specification_s_longest_lines(self) -> None:
        long = b"PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".replace(b"f...f", b"ffff:ffff:ffff:ffff:ffff:ffff")
        self.assertEqual(len(long), 104)
        self.assertEqual(read(long, [])[1], 104)
        unknown = b"PROXY UNKNOWN" + long[10:]
        self.assertEqual((len(unknown), read(unknown, [])), (107, (Header(None), 107)))

    def test_an_ipv4_address_in_ipv6_is_ipv4(self) -> None:
        self.assertEqual(parse(b"PROXY TCP6 ::ffff:192.0.2.7 ::1 5 6\r\n"), Header(Client("192.0.2.7", 5)))


class Checksums(SynchronousTestCase):
    def checked(self) -> bytes:
        addresses = packed(ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("192.0.2.2"), 1, 2)
        bare = binary(0x21, *addresses, field(0x04, b"x") + field(CRC32C, bytes(4)))
        return bare[:-4] + checksums.crc32c(bare).to_bytes(4)

    def test_right(self) -> None:
        self.assertEqual(parse(self.checked()), Header(Client("192.0.2.1", 1)))

    @given(st.sampled_from([*range(16, 28), 31, *range(35, 39)]), st.integers(1, 255))
    def test_damaged(self, place: int, change: int) -> None:
        data = bytearray(self.checked())
        data[place] ^= change
        self.assertRaises(InvalidRequest, parse, bytes(data))

    def test_of_another_length(self) -> None:
        addresses = packed(ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("192.0.2.2"), 1, 2)
        self.assertRaises(InvalidRequest, parse, binary(0x21, *addresses, field(CRC32C, b"123")))


class Bad(SynchronousTestCase):
    def refused(self, data: bytes) -> None:
        for cuts in ([], list(range(len(data)))):
            with self.assertRaises(InvalidRequest):
                read(data, cuts)

    def test_lines(self) -> None:
        for text in (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            b"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 \xd9\xa1.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY \r\n",
            b"PROXY UNKNOWN\n",
            b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"\r\n\r\n\0\r\nQUIX\n",
            b"PROXY UNKNOWN " + b"x" * 94,
        ):
            self.refused(text)

    def test_binary(self) -> None:
        four = packed(ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("192.0.2.2"), 1, 2)
        for data in (
            binary(0x11, *four),
            binary(0x22, *four),
            binary(0x21, 0x12, four[1]),
            binary(0x21, 0x21, four[1]),
            binary(0x21, 0x11, four[1][:-1]),
            binary(0x21, *four, b"\x04\0"),
            binary(0x21, *four, b"\x04\0\x02x"),
        ):
            self.refused(data)

    @given(st.integers(0, 65535))
    def test_no_more_than_is_allowed_is_waited_for(self, length: int) -> None:
        reader = HeaderReader(LONGEST)
        start = SIGNATURE + b"\x21\x00" + length.to_bytes(2)
        if 16 + length > LONGEST:
            self.assertRaises(InvalidRequest, reader.take, start)
        else:
            self.assertEqual(reader.take(start), 16)

    @given(st.one_of(st.binary(max_size=400), st.binary(max_size=400).map(lambda data: SIGNATURE + data)))
    def test_anything(self, data: bytes) -> None:
        """It is refused, or waited for within bounds, or taken; and then as when it came at once."""
        found = []
        for cuts in ([], list(range(len(data)))):
            try:
                found.append(read(data, cuts, 300))
            except InvalidRequest:
                found.append(None)
        self.assertEqual(found[0], found[1])
        if found[0] is not None:
            self.assertLessEqual(found[0][1], 300)
