"""The Master as a node without that role sees it, when the same S3 client comes again and again, and small files are read.

Every S3 request is a login. The Master's own door finds each in memory; another node would ask over the link each time, and so
twice for a small object. What it heard is good for a few seconds here: so long an access key that was taken away, or has
expired, may still be used at this node, for what the Master does not authorise anew anyway. What a path is, is asked each time,
and the bytes of what is small come with the answer (`small_reads`).
"""

from __future__ import annotations

from collections.abc import Callable

from ecpds.cluster.calls import Asker
from ecpds.cluster.remote import RemoteMaster
from ecpds.cluster.small_reads import Keeper, LookCalls, small_segment
from ecpds.model import Entry, Identity, Origin

REMEMBERED = 10_000
"""Access keys that are remembered at most."""


class RememberingMaster(RemoteMaster):
    """Remembers an access key's login for `life` seconds; a refusal is not remembered. `now` are seconds.

    `keeper` gets what comes of small files.
    """

    def __init__(self, link: Asker, now: Callable[[], float], life: float) -> None:
        super().__init__(link)
        self.keeper: Keeper | None = None
        self._looking = LookCalls(link)
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

    async def resolve(self, destination: str, path: str, waiting: bool = False) -> Entry:
        keeper = self.keeper
        if keeper is None or keeper.largest <= 0:
            plain: Entry = await super().resolve(destination, path, waiting)
            return plain
        entry, place, data = await self._looking.look(destination, path, keeper.largest, waiting)
        segment = small_segment(entry, keeper.largest)
        if place is not None and segment is not None:
            keeper.keep(segment, place, memoryview(data))
        return entry
