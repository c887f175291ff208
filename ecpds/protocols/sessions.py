"""How many sessions a user has on this node, at the doors that have sessions: FTP and SSH, of which each channel is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ecpds.errors import TooManyConnections
from ecpds.model import Identity
from ecpds.schedules import most_sessions


class UserSessions:
    """Counts them. `now` is the time in seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._inside: Counter[str] = Counter()

    def check(self, identity: Identity) -> None:
        """Raises `TooManyConnections` when the user has as many as it may; the record says how many that is."""
        most = most_sessions(identity.options, self._now())
        if most is not None and self._inside[identity.login] >= most:
            raise TooManyConnections(reason=f"{identity.login} may have {most} sessions at this time")

    def enter(self, identity: Identity) -> None:
        """Raises as `check` does. Who was let in must `leave`."""
        self.check(identity)
        self._inside[identity.login] += 1

    def leave(self, identity: Identity) -> None:
        self._inside[identity.login] -= 1
        if not self._inside[identity.login]:
            del self._inside[identity.login]

    @property
    def total(self) -> int:
        return self._inside.total()
