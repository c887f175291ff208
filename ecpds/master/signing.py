"""Signing keys of access keys: derived from their secrets once for each day and region, and remembered for a while."""

from __future__ import annotations

from collections import OrderedDict

from twisted.logger import Logger

from ecpds.errors import Unavailable
from ecpds.keys import Sealed, Vault, signing_key
from ecpds.master import access
from ecpds.master.access import StoredKey

REMEMBERED = 1000
"""Signing keys that are remembered at most: clients choose the region, and so how many there are."""


class SigningKeys:
    """A key is found by its sealed secret: one that was made anew, or is somebody else's, is another."""

    log = Logger()

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._known: OrderedDict[tuple[str, str, str, str], bytes] = OrderedDict()

    def get(self, stored: StoredKey, date: str, region: str, service: str) -> bytes:
        """The key for a scope. Raises `Unavailable` where the secret can't be opened."""
        wanted = (stored.sealed, date, region, service)
        found = self._known.get(wanted)
        if found is None:
            found = self._known[wanted] = self._derive(stored, date, region, service)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found

    def _derive(self, stored: StoredKey, date: str, region: str, service: str) -> bytes:
        try:
            secret = self._vault.open(stored.sealed, access.purpose(stored.user, stored.key.id))
        except Sealed as error:
            self.log.error("{error}", error=error)
            raise Unavailable("the secret of that access key can't be opened") from error
        return signing_key(secret.decode(), date, region, service)
