"""Every mover's store by its name, and who is at the other end of a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from OpenSSL import SSL

from ecpds.interfaces import IChannel, IStore


class Stores(Mapping[str, IStore]):
    """Every mover's store by name: this node's own, and any other over the stream."""

    def __init__(self, own: Mapping[str, IStore], make: Callable[[str], IStore]) -> None:
        self._own = own
        self._make = make

    def __getitem__(self, mover: str) -> IStore:
        return self._own[mover] if mover in self._own else self._make(mover)

    def __contains__(self, mover: object) -> bool:
        return isinstance(mover, str)

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


def peer_name(name_of: Callable[[SSL.Connection], str | None]) -> Callable[[IChannel], str | None]:
    """Who is at the other end of a channel, by its certificate."""

    def name(channel: IChannel) -> str | None:
        connection = getattr(getattr(channel, "link", None), "connection", None)
        return None if connection is None else name_of(connection)

    return name
