"""What operators see and do of share links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from attrs import asdict

from ecpds.errors import InvalidRequest, NotFound
from ecpds.events import timestamp
from ecpds.master_interfaces import IMaster
from ecpds.operator_interfaces import IOperations
from ecpds.people import NewShare, Share
from ecpds.portal.operator_users import in_order, plain
from ecpds.portal.paths import canonical

Object = dict[str, Any]

SHOWN = ("get", "dir")
"""What a link lets others do unless something else is said."""


class SharesOperator:
    """The part of the operator's façade that is about share links."""

    _operations: IOperations
    _master: IMaster

    async def add_share(
        self,
        login: str,
        path: str,
        permissions: Sequence[str] | None = None,
        life: float | None = None,
        uses: int | None = None,
        password: str | None = None,
    ) -> Object:
        """A link to `/DESTINATION/PATH`, in the name of a user. Its token is shown this once."""
        name = canonical(path)
        if not name.segments:
            raise InvalidRequest("a link is to a destination, or to what is in one")
        owner = await self._operations.user(login)
        entry = await self._master.resolve(name.destination, name.inside)
        inside = name.inside + ("/" if entry.is_directory and name.inside else "")
        held = SHOWN if permissions is None else in_order(permissions) or ()
        new = NewShare(name.destination, inside, held, life, uses, password)
        share, token = await self._master.add_share(owner.id, new)
        return {**shown_share(share), "login": login, "token": token, "url": f"/share/{token}/"}

    async def list_shares(self, login: str | None = None) -> AsyncIterator[Object]:
        owner = None if login is None else (await self._operations.user(login)).id
        for share in await self._master.shares(owner):
            yield shown_share(share)

    async def remove_share(self, id: int) -> Object:
        """Returns what it was. Who has the link can do nothing with it from now on."""
        try:
            return shown_share(await self._master.remove_share(None, id))
        except NotFound:
            raise NotFound(f"share {id}") from None


def shown_share(share: Share) -> Object:
    """Never the token, which nobody knows."""
    shown = asdict(share, value_serializer=plain)
    place, path = shown.pop("destination"), shown.pop("path")
    expires = None if share.expires is None else timestamp(share.expires)
    return {**shown, "path": f"/{place}/{path}", "created": timestamp(share.created), "expires": expires}
