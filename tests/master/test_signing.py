"""Signing keys: derived once, and never another's."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import Unavailable
from ecpds.keys import Vault, signing_key
from ecpds.master import signing
from ecpds.master.access import StoredKey, purpose
from ecpds.master.signing import SigningKeys
from ecpds.people import AccessKey

SCOPE = ("20261122", "us-east-1", "s3")


class CountingVault(Vault):
    """Counts what it opens."""

    opened = 0

    def open(self, sealed: str, purpose: str) -> bytes:
        self.opened += 1
        return super().open(sealed, purpose)


class Signing(SynchronousTestCase):
    def setUp(self) -> None:
        self.vault = CountingVault(b"k" * 32, Random(1))
        self.keys = SigningKeys(self.vault)

    def stored(self, secret: str, user: int = 1) -> StoredKey:
        sealed = self.vault.seal(secret.encode(), purpose(user, "AK"))
        return StoredKey(AccessKey("AK", "ann", 0.0), user, sealed)

    def test_a_secret_is_opened_once_for_a_scope(self) -> None:
        stored = self.stored("secret")
        for _ in range(3):
            self.assertEqual(self.keys.get(stored, *SCOPE), signing_key("secret", *SCOPE))
        self.assertEqual(self.vault.opened, 1)
        self.assertNotEqual(self.keys.get(stored, "20261123", "us-east-1", "s3"), self.keys.get(stored, *SCOPE))

    def test_a_key_that_was_made_anew_is_another(self) -> None:
        old = self.keys.get(self.stored("old"), *SCOPE)
        self.assertNotEqual(self.keys.get(self.stored("new"), *SCOPE), old)

    def test_one_that_is_sealed_for_another_user_is_refused_and_not_remembered(self) -> None:
        stored = self.stored("secret", user=2)
        other = StoredKey(stored.key, 1, stored.sealed)
        for _ in range(2):
            with self.assertRaises(Unavailable):
                self.keys.get(other, *SCOPE)
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    def test_regions_are_clients_to_choose_and_bounded(self) -> None:
        self.patch(signing, "REMEMBERED", 10)
        stored = self.stored("secret")
        for number in range(50):
            self.keys.get(stored, "20261122", f"region-{number}", "s3")
        self.assertLessEqual(len(self.keys._known), 10)
