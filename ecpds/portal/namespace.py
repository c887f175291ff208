"""What a user calls things: the first element of its paths, and what that stands for.

Normally it is a destination's name, or what the destination's `incoming.rootdir` makes of it; with the user's
`portal.destination` that destination is the root itself and there is no such element; by a share link the folder that is
shared is, or the folder of the one file. This is the only place that
knows: everything behind it has real paths, which begin with the destination's own name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve

from ecpds.errors import InvalidName, NotFound
from ecpds.model import Entry, Identity
from ecpds.portal.paths import CanonicalPath, canonical

FIXED = "portal.destination"

REMEMBERED = 10_000
"""Users whose names are remembered at most."""


class Namespace:
    """One user's names."""

    def __init__(self, identity: Identity) -> None:
        self._root = identity.options.get(FIXED) if not identity.within else None
        self._base = tuple(identity.within.split("/")[1:-1])
        self.shared = identity.within.rpartition("/")[2]
        """The one name there is, where a single file is shared."""
        self._visible = frozenset(identity.destinations)
        self._element = {name: element for element, name in identity.names.items()}
        shown = {self._element.get(name, name): name for name in identity.destinations}
        self._destination = dict(sorted(shown.items(), key=lambda pair: pair[0].encode()))

    def real(self, path: CanonicalPath) -> CanonicalPath:
        """The path under its destination's name. Raises `NotFound` for what the user can't see."""
        if self._base:
            if self._base[0] not in self._visible or (self.shared and path.segments not in ((), (self.shared,))):
                raise NotFound
            return evolve(path, segments=(*self._base, *path.segments), directory=path.directory and not self.shared)
        if self._root is not None:
            if self._root not in self._visible:
                raise NotFound
            return evolve(path, segments=(self._root, *path.segments))
        if not path.segments:
            return path
        destination = self._destination.get(path.segments[0])
        if destination is None:
            raise NotFound
        return path if destination == path.segments[0] else evolve(path, segments=(destination, *path.segments[1:]))

    def shown(self, destination: str, inside: str) -> str:
        """What the user calls a path of the Master's."""
        if self._base:
            return "/" + "/".join(f"{destination}/{inside}".split("/")[len(self._base) :])
        if self._root is not None:
            return f"/{inside}"
        first = self._element.get(destination, destination)
        return f"/{first}/{inside}" if inside else f"/{first}"

    def shown_in(self, folder: CanonicalPath, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """The Master's entries of one folder, as the user calls them."""
        known = len(folder.inside) + 1 if folder.inside else 0
        base = f"{self.shown(folder.destination, folder.inside).rstrip('/')}/"
        return tuple([Entry(base + entry.path[known:], entry.mtime, entry.file, waits=entry.waits) for entry in entries])

    def destinations(self, after: str | None) -> Iterator[str]:
        """The destinations behind an element of the root's listing, in the byte order of elements."""
        start = b"" if after is None else after.encode()
        return (name for element, name in self._destination.items() if element.encode() > start)


class Namespaces:
    """Namespaces of those who come again and again: the Master answers with the same identity until something changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[Identity, Namespace]] = {}

    def of(self, identity: Identity) -> Namespace:
        if identity.visits:
            return Namespace(identity)
        of = identity.user_id, identity.access_key
        known = self._known.get(of)
        if known is not None and known[0] is identity:
            return known[1]
        names = Namespace(identity)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[of] = identity, names
        return names


def destination_at(identity: Identity, path: str) -> str:
    """The destination that a user's path is in; empty for one in none, for one that it can't see, and for no path at all."""
    try:
        return Namespace(identity).real(canonical(path)).destination
    except (InvalidName, NotFound):
        return ""
