"""Each way to protect packets: what is sealed opens again, and a changed bit never does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.ssh.algorithms import CIPHERS, MACS
from ecpds.ssh.ciphers import BadPacket, Protections

KEYS = (
    bytes(range(64)),
    bytes(range(100, 228)),
    bytes(range(64)),
    bytes(range(100, 228)),
    bytes(range(128)),
    bytes(range(128)),
)


def both(cipher: bytes, mac: bytes) -> tuple[Protections, Protections]:
    """Two sides with the same keys."""
    sides = (Protections(cipher, cipher, mac, mac), Protections(cipher, cipher, mac, mac))
    for side in sides:
        side.setKeys(*KEYS)
    return sides


class Ciphers(SynchronousTestCase):
    def opened(self, side: Protections, sequence: int, packet: bytes) -> bytes:
        opening = side.opening
        length = opening.length(sequence, packet[: opening.head])
        if 4 + length + opening.tail != len(packet):
            raise BadPacket("another length")
        return opening.open(sequence, packet)

    def test_what_is_sealed_opens(self) -> None:
        for cipher in CIPHERS:
            for mac in MACS:
                ours, theirs = both(cipher, mac)
                for sequence in (0, 1, 2, 0xFFFFFFFF, 0):
                    size = 16 * 5 - (4 if ours.sealing.counts_length else 0)
                    body = bytes([sequence % 256]) * size
                    self.assertEqual(self.opened(theirs, sequence, ours.sealing.seal(sequence, body)), body)

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(CIPHERS), st.sampled_from(MACS), st.data())
    def test_a_changed_bit_never_opens(self, cipher: bytes, mac: bytes, data: st.DataObject) -> None:
        ours, theirs = both(cipher, mac)
        packet = bytearray(ours.sealing.seal(3, bytes(44 if ours.sealing.counts_length else 48)))
        bit = data.draw(st.integers(0, len(packet) * 8 - 1))
        packet[bit // 8] ^= 1 << bit % 8
        with self.assertRaises(BadPacket):
            self.opened(theirs, 3, bytes(packet))

    def test_another_sequence_number(self) -> None:
        """AES-GCM counts by itself; all others bind a packet to its place."""
        for cipher in CIPHERS:
            if b"gcm" not in cipher:
                ours, theirs = both(cipher, MACS[0])
                packet = ours.sealing.seal(3, bytes(48))
                with self.assertRaises(BadPacket):
                    self.opened(theirs, 4, packet)
