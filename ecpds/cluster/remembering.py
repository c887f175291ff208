"""The Master as a node without that role sees it, when the same S3 client comes again and again.

Every S3 request is a login. The Master's own door finds each in memory; another node would ask over the link each time, and so
twice for a small object. What it heard is good for a few seconds here: so long an access key that was taken away, or has
expired, may still be used at this node, for what the Master does not authorise anew anyway.
"""

from __future__ import annotations

from collections.abc import Callable

from ecpds.cluster.calls import Asker
from ecpds.cluster.remote import RemoteMaster
from ecpds.model import Identity, Origin

REMEMBERED = 10_000
"""Access keys that are remembered at most."""


class RememberingMaster(RemoteMaster):
    """Remembers an access key's login for `life` seconds; a refusal is not remembered. `now` are seconds."""

    def __init__(self, link: Asker, now: Callable[[], float], life: float) -> None:
        super().__init__(link)
        self._now = now
        self._life = life
        self._logins: dict[tuple[str, ...], tuple[float, tuple[Identity, bytes]]] = {}

    async def login_with_signature(
        self, access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[Identity, bytes]:
        asked = (access_key_id, date, region, service, origin.protocol)
        known = self._logins.get(asked)
        if known is not None and self._now() < known[0]:
            return known[1]
        until = self._now() + self._life
        found: tuple[Identity, bytes] = await super().login_with_signature(access_key_id, date, region, service, origin)
        if len(self._logins) >= REMEMBERED:
            self._logins.clear()
        self._logins[asked] = until, found
        return found
