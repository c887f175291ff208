"""Diffie-Hellman with SHA-2."""

from __future__ import annotations

from twisted.conch.ssh._kex import getDHGeneratorAndPrime
from twisted.conch.ssh.common import MP, getMP
from twisted.trial.unittest import SynchronousTestCase

from ecpds.ssh.groups import GROUPS, answer


class Groups(SynchronousTestCase):
    def test_the_primes(self) -> None:
        _, prime = getDHGeneratorAndPrime(b"diffie-hellman-group14-sha1")
        self.assertEqual(GROUPS[b"diffie-hellman-group14-sha256"].prime, prime)
        for group in GROUPS.values():
            self.assertEqual(group.prime.bit_length(), group.bits)
            self.assertEqual(pow(2, group.prime // 2, group.prime), 1, "two generates the squares of a safe prime")

    def test_both_have_the_secret(self) -> None:
        for name, group in GROUPS.items():
            ours, secret = answer(name, pow(2, 12345678901234567890, group.prime))
            value, _ = getMP(ours)
            self.assertEqual(MP(pow(value, 12345678901234567890, group.prime)), secret)

    def test_values_that_are_none(self) -> None:
        for name, group in GROUPS.items():
            for value in (0, 1, group.prime - 1, group.prime, group.prime + 5):
                self.assertRaises(ValueError, answer, name, value)
