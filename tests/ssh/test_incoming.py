"""Packets out of what the socket gives, however it is cut."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.ssh.algorithms import CIPHERS, MACS
from ecpds.ssh.ciphers import Clear
from ecpds.ssh.frames import padding
from ecpds.ssh.incoming import BadLength, Incoming
from tests.ssh.test_ciphers import both

MOST = 40000

sizes = st.lists(st.integers(1, 3000), min_size=1, max_size=6)


class Whole(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(CIPHERS), st.sampled_from(MACS), sizes, st.lists(st.integers(1, 4000), min_size=1, max_size=30))
    def test_however_it_is_cut(self, cipher: bytes, mac: bytes, lengths: list[int], cuts: list[int]) -> None:
        ours, theirs = both(cipher, mac)
        bodies, wire = [], b""
        for number, length in enumerate(lengths):
            count = padding(length + 1, ours.sealing)
            bodies.append(bytes([count]) + bytes([number]) * length + bytes(count))
            wire += ours.sealing.seal(number, bodies[-1])
        incoming, found, at = Incoming(), [], 0
        for cut in (*cuts, len(wire)):
            incoming.feed(wire[at : at + cut])
            at += cut
            while (body := incoming.next(theirs.opening, len(found), MOST)) is not None:
                found.append(body)
        self.assertEqual(found, bodies)
        self.assertEqual(incoming.kept, 0)

    def test_only_what_is_not_whole_is_kept(self) -> None:
        incoming = Incoming()
        body = bytes([4]) + bytes(7) + bytes(4)
        packet = struct.pack(">L", len(body)) + body
        incoming.feed(memoryview(packet * 3 + packet[:5]))
        self.assertEqual([incoming.next(Clear(), n, MOST) for n in range(4)], [body, body, body, None])
        self.assertEqual(incoming.kept, 5)

    def test_lengths_that_may_not_be(self) -> None:
        for length in (0, 4, 13, MOST + 4, 0x7FFFFFFC, 0xFFFFFFFC):
            incoming = Incoming()
            incoming.feed(struct.pack(">L", length) + bytes(60))
            self.assertRaises(BadLength, incoming.next, Clear(), 0, MOST)

    def test_padding_that_may_not_be(self) -> None:
        for count in (0, 3, 11, 255):
            incoming = Incoming()
            incoming.feed(struct.pack(">LB", 12, count) + bytes(60))
            self.assertRaises(BadLength, incoming.next, Clear(), 0, MOST)


class Lines(SynchronousTestCase):
    def test_up_to_its_end(self) -> None:
        incoming = Incoming()
        incoming.feed(b"SSH-2.0")
        self.assertIsNone(incoming.line(b"SSH-", 20))
        incoming.feed(b"-x\r\nrest")
        self.assertEqual(incoming.line(b"SSH-", 20), b"SSH-2.0-x\r\n")

    def test_what_can_not_become_one(self) -> None:
        for data, found in ((b"GET", b"G"), (b"SSX", b"SSX"), (b"SSH-" + b"2" * 99, b"SSH-" + b"2" * 16)):
            incoming = Incoming()
            incoming.feed(data)
            self.assertEqual(incoming.line(b"SSH-", 20), found)
