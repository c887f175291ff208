"""How many connections a door takes, in all and from one address."""

from __future__ import annotations

from collections import Counter


class Admission:
    """Counts who is in. A limit of 0 is no limit."""

    def __init__(self, limit: int, per_address: int) -> None:
        self._limit = limit
        self._per_address = per_address
        self._inside: Counter[str] = Counter()
        self.total = 0

    def enter(self, address: str) -> bool:
        """Let a connection from `address` in, or say False. Who was let in must `leave`."""
        if self._limit and self.total >= self._limit:
            return False
        if self._per_address and self._inside[address] >= self._per_address:
            return False
        self._inside[address] += 1
        self.total += 1
        return True

    def leave(self, address: str) -> None:
        self.total -= 1
        self._inside[address] -= 1
        if not self._inside[address]:
            del self._inside[address]
