"""Who guesses passwords is slowed down: wrong ones are counted by the address they come from, for all doors and nodes.

Each is a debt, and debts are forgiven evenly over `limits.login_forgiven` seconds. Who owes as many as
`limits.login_failures` allows is refused at once, whatever the password, until one is forgiven: a burst, then a trickle
(the generic cell rate algorithm, ITU-T I.371). A user who got in from an address has an account of its own there, so that
others behind the same translated address can't keep it out, nor it them. All this is in memory: a restart forgives.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from ipaddress import IPv6Address, ip_address
from typing import Any

from twisted.internet.interfaces import IReactorTime

from ecpds.errors import LoginFailed, TooManyFailures
from ecpds.limits import Limits
from ecpds.model import Identity

REMEMBERED = 10_000
"""Debts, and users with an account of their own, that are remembered at most."""

NETWORK = 64
"""Bits of an IPv6 address that count: who has one has chosen the others."""

Debtor = tuple[str, str]
"""An address, and the user, if it has an account of its own there."""


class Defender:
    """Counts wrong passwords. An empty one is no guess: any page could have a browser send that."""

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        self._clock = clock
        self._most = limits.login_failures
        self._life = limits.login_forgiven
        self._forgiven: OrderedDict[Debtor, float] = OrderedDict()
        """When each owes nothing any more."""
        self._known: OrderedDict[Debtor, None] = OrderedDict()

    async def guard(
        self, address: str, login: str, password: str, enter: Callable[[], Coroutine[Any, Any, Identity]]
    ) -> Identity:
        """What `enter` answers. Raises `TooManyFailures` without asking it."""
        if not (self._most and password):
            return await enter()
        if not self.admits(address, login):
            raise TooManyFailures(reason="Too many failed logins")
        debtor = self._debtor(address, login)
        try:
            identity = await enter()
        except LoginFailed:
            self._owe(debtor)
            raise
        _put(self._known, (debtor[0], login), None)
        return identity

    def admits(self, address: str, login: str) -> bool:
        """Whether a password of this user is looked at when it comes from there."""
        if not (self._most and self._forgiven):
            return True
        return self._owed(self._debtor(address, login)) <= self._life - self._life / self._most

    def _debtor(self, address: str, login: str) -> Debtor:
        network = network_of(address)
        return (network, login) if (network, login) in self._known else (network, "")

    def _owed(self, debtor: Debtor) -> float:
        return self._forgiven.get(debtor, 0.0) - self._clock.seconds()

    def _owe(self, debtor: Debtor) -> None:
        _put(self._forgiven, debtor, self._clock.seconds() + max(self._owed(debtor), 0.0) + self._life / self._most)


def _put(memory: OrderedDict[Debtor, Any], debtor: Debtor, value: object) -> None:
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
