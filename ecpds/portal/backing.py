"""What every user's view stands on, and the record that each refusal of a view leaves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from attrs import Factory, frozen

from ecpds.errors import Refusal, Unavailable
from ecpds.interfaces import IEventSink, IStore
from ecpds.limits import Limits
from ecpds.loans import ILender
from ecpds.master_interfaces import IAtHand, IMaster
from ecpds.portal.digesting import Digesting
from ecpds.portal.journal import Journal, Soon, TransferRecord, at_once
from ecpds.portal.kept import KeptSegments
from ecpds.portal.namespace import Namespaces
from ecpds.portal.pace import Paces

P = ParamSpec("P")
T = TypeVar("T")


@frozen
class Backing:
    """What every user's view stands on. `stores` are by the mover's name, `now` is the time since the epoch.

    `at_hand` is the Master, where it is one of this process that says at once what it remembers, `lender` has leave
    ahead of another's. `soon` calls a function when who is served now has its answer.
    """

    master: IMaster
    stores: Mapping[str, IStore]
    sink: IEventSink
    now: Callable[[], float]
    limits: Limits
    digesting: Digesting
    paces: Paces
    names: Namespaces = Factory(Namespaces)
    running: set[TransferRecord] = Factory(set)
    kept: KeptSegments = Factory(lambda self: KeptSegments(self.limits.kept_bytes, self.limits.kept_file), takes_self=True)
    at_hand: IAtHand | None = Factory(lambda self: IAtHand(self.master, None), takes_self=True)
    lender: ILender | None = None
    soon: Soon = at_once

    def store(self, mover: str) -> IStore:
        """Raises `Unavailable` for a mover that is not known here."""
        if mover not in self.stores:
            raise Unavailable(f"no way to {mover}")
        return self.stores[mover]


class View(Protocol):
    """One user's view, as far as its records are concerned."""

    journal: Journal

    async def renew(self) -> None:
        """Raises `NotPermitted` when the user may not be here any more."""


S = TypeVar("S", bound=View)
Method = Callable[Concatenate[S, str, P], Coroutine[Any, Any, T]]


def recorded(action: str) -> Callable[[Method[S, P, T]], Method[S, P, T]]:
    """A refusal that leaves the façade leaves one DEA record, which says what was asked: `action`, and the path."""

    def decorate(method: Method[S, P, T]) -> Method[S, P, T]:
        @wraps(method)
        async def call(self: S, path: str, /, *args: P.args, **named: P.kwargs) -> T:
            try:
                await self.renew()
                return await method(self, path, *args, **named)
            except Refusal as refusal:
                self.journal.denied(action, path, refusal)
                raise

        return call

    return decorate
