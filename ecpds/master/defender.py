"""Who guesses passwords is slowed down: wrong ones are counted by the address they come from, for all doors and nodes.

Each is a debt, and debts are forgiven evenly over `limits.login_forgiven` seconds. Who owes as many as
`limits.login_failures` allows is refused at once, whatever the password, until one is forgiven: a burst, then a trickle
(the generic cell rate algorithm, ITU-T I.371). A user who got in from an address has an account of its own there, so that
others behind the same translated address can't keep it out, nor it them. All this is in memory: a restart forgives.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from ipaddress import IPv6Address, ip_address
from typing import Any, Generic, TypeVar

from twisted.internet.interfaces import IReactorTime

from ecpds.errors import CodeNeeded, LoginFailed, TooManyFailures
from ecpds.limits import Limits
from ecpds.model import Identity

REMEMBERED = 10_000
"""Debts, and users with an account of their own, that are remembered at most."""

NETWORK = 64
"""Bits of an IPv6 address that count: who has one has chosen the others."""

D = TypeVar("D", bound=Hashable)

Debtor = tuple[str, str]
"""An address, and the user, if it has an account of its own there."""


class Debts(Generic[D]):
    """Wrong guesses by who is charged with them: `most` at a time, forgiven evenly over `life` seconds; 0: any number."""

    def __init__(self, clock: IReactorTime, most: int, life: float) -> None:
        self._clock = clock
        self._most = most
        self._life = life
        self._forgiven: OrderedDict[D, float] = OrderedDict()
        """When each owes nothing any more."""

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._forgiven)

    def too_many(self, debtor: D) -> bool:
        """Whether one more has to wait until one is forgiven."""
        if not (self._most and self._forgiven):
            return False
        return self._owed(debtor) > self._life - self._life / self._most

    def owe(self, debtor: D) -> None:
        """One more wrong guess."""
        if self._most:
            _put(self._forgiven, debtor, self._clock.seconds() + max(self._owed(debtor), 0.0) + self._life / self._most)

    def _owed(self, debtor: D) -> float:
        return self._forgiven.get(debtor, 0.0) - self._clock.seconds()


class Defender:
    """Counts wrong passwords. An empty one is no guess, for any page could have a browser send that; nor is a right one
    without the one-time code that is to stand behind it."""

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        self._counts = bool(limits.login_failures)
        self._debts: Debts[Debtor] = Debts(clock, limits.login_failures, limits.login_forgiven)
        self._known: OrderedDict[Debtor, None] = OrderedDict()

    async def guard(
        self, address: str, login: str, password: str, enter: Callable[[], Coroutine[Any, Any, Identity]]
    ) -> Identity:
        """What `enter` answers. Raises `TooManyFailures` without asking it."""
        if not (self._counts and password):
            return await enter()
        if not self.admits(address, login):
            raise TooManyFailures(reason="Too many failed logins")
        debtor = self._debtor(address, login)
        try:
            identity = await enter()
        except CodeNeeded:
            raise
        except LoginFailed:
            self._debts.owe(debtor)
            raise
        _put(self._known, (debtor[0], login), None)
        return identity

    def admits(self, address: str, login: str) -> bool:
        """Whether a password of this user is looked at when it comes from there."""
        return not self._debts.too_many(self._debtor(address, login))

    def _debtor(self, address: str, login: str) -> Debtor:
        network = network_of(address)
        return (network, login) if (network, login) in self._known else (network, "")


def _put(memory: OrderedDict[D, Any], debtor: D, value: object) -> None:
    """Remember, and forget who was longest not heard of where there are too many."""
    memory[debtor] = value
    memory.move_to_end(debtor)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)


def network_of(address: str) -> str:
    """What stands for a client: its IPv4 address, or the network of its IPv6 address; anything else stands for itself."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return f"{int(found) >> (128 - NETWORK):x}::" if isinstance(found, IPv6Address) else address
