"""Channel data in bulk, from the buffer that it was read into to the wire."""

from __future__ import annotations

import os
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.ssh.algorithms import CIPHERS, MACS
from ecpds.ssh.frames import Frames
from ecpds.ssh.incoming import Incoming
from tests.ssh.test_ciphers import both

KIB = 1024


class Bulk(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from(CIPHERS),
        st.sampled_from(MACS),
        st.sampled_from([16 * KIB, 64 * KIB, 256 * KIB]),
        st.sampled_from([64, 1000, 16 * KIB, 32 * KIB]),
        st.integers(1, 300 * KIB),
    )
    def test_what_is_filled_arrives(self, cipher: bytes, mac: bytes, space: int, packet: int, size: int) -> None:
        ours, theirs = both(cipher, mac)
        frames = Frames(memoryview(bytearray(space)), packet, size)
        self.assertTrue(0 < frames.size <= size)
        self.assertEqual(sum(map(len, frames.data)), frames.size)
        content = os.urandom(frames.size)
        at = 0
        for view in frames.data:
            self.assertLessEqual(len(view), packet)
            view[:] = content[at : at + len(view)]
            at += len(view)
        incoming, found = Incoming(), b""
        incoming.feed(frames.seal(ours.sealing, 0xFFFFFFFE, 7))
        for number in range(len(frames.data)):
            body = incoming.next(theirs.opening, (0xFFFFFFFE + number) % (1 << 32), 40000)
            assert body is not None
            message = body[1 : -body[0]]
            self.assertEqual(message[:1] + message[1:9], struct.pack(">BLL", 94, 7, len(message) - 9))
            found += message[9:]
        self.assertEqual(found, content)
        self.assertIsNone(incoming.next(theirs.opening, 0, 40000))

    def test_the_padding_is_fresh(self) -> None:
        ours, theirs = both(b"aes128-gcm@openssh.com", MACS[0])
        space = memoryview(bytearray(16 * KIB))
        seen = set()
        for number in range(20):
            frames = Frames(space, 1000, 10)
            incoming = Incoming()
            incoming.feed(frames.seal(ours.sealing, number, 7))
            body = incoming.next(theirs.opening, number, 40000)
            assert body is not None
            seen.add(body[-body[0] :])
        self.assertEqual(len(seen), 20)
