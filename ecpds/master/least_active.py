"""Names by how active they are, kept so that the next one is found without a look at all of them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator


class LeastActive:
    """The least active name comes first; of those that are equally active, the next in rotation."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._activity: dict[str, int] = {}
        self._levels: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def put(self, name: str, activity: int) -> None:
        """Add a name, or say how active it is now."""
        before = self._activity.get(name)
        if before == activity:
            return
        if before is None:
            insort(self._names, name)
        else:
            self._leave(name, before)
        self._activity[name] = activity
        insort(self._levels.setdefault(activity, []), name)

    def change(self, name: str, step: int) -> None:
        """It is more active by that, or less."""
        self.put(name, self._activity[name] + step)

    def remove(self, name: str) -> None:
        del self._names[bisect_left(self._names, name)]
        self._leave(name, self._activity.pop(name))

    def in_order(self, turn: int) -> Iterator[str]:
        """All names, those that come first at that turn of the rotation."""
        if not self._names:
            return
        first = self._names[turn % len(self._names)]
        for activity in sorted(self._levels):
            names = self._levels[activity]
            start = bisect_left(names, first)
            for place in range(start, start + len(names)):
                yield names[place % len(names)]

    def _leave(self, name: str, activity: int) -> None:
        names = self._levels[activity]
        del names[bisect_left(names, name)]
        if not names:
            del self._levels[activity]
