"""What a file must be: everything that anybody said of its size and digests, and whom to believe. Pure.

Who says it without being asked by the servers of the bytes goes first: the manifest, then the repository, then a side-car,
which stands beside the original, and last what a server says of its own bytes: that finds what was spoilt on the way, but
not a mirror that has another file. What is said with less right and contradicts is not listened to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

STRONGEST = ("sha512", "sha256", "sha1", "md5")


class Right(IntEnum):
    """With what right something is said, the strongest first."""

    MANIFEST = 0
    REPOSITORY = 1
    SIDECAR = 2
    ORIGINAL = 3
    SERVER = 4


class Claim(NamedTuple):
    """One digest, and who says so."""

    right: Right
    algorithm: str
    digest: str
    origin: str


class Pieces(NamedTuple):
    """Digests of a file's pieces, all of `length` bytes but the last (Metalink)."""

    algorithm: str
    length: int
    digests: tuple[str, ...]


class Wanted:
    """What is known of one file. `size` is binding when it comes from the manifest or the repository."""

    __slots__ = ("claims", "pieces", "size")

    def __init__(self, size: int | None = None, pieces: Pieces | None = None, claims: Iterable[Claim] = ()) -> None:
        self.size = size
        self.pieces = pieces
        self.claims = list(claims)

    def say(self, right: Right, digests: Mapping[str, str], origin: str) -> None:
        """Add what somebody says."""
        for algorithm, digest in digests.items():
            claim = Claim(right, algorithm, digest.lower(), origin)
            if algorithm in STRONGEST and claim not in self.claims:
                self.claims.append(claim)

    @property
    def binding(self) -> list[Claim]:
        """What the file is checked by: what is said with the strongest right that anybody has, one digest an algorithm."""
        if not self.claims:
            return []
        right = min(each.right for each in self.claims)
        chosen: dict[str, Claim] = {}
        for each in self.claims:
            if each.right is right:
                chosen.setdefault(each.algorithm, each)
        return [chosen[name] for name in STRONGEST if name in chosen]

    def is_met(self, digest: Callable[[str], str]) -> bool:
        """Whether the file has the digests that bind it; `digest` gives those that it has, by algorithm."""
        return all(digest(each.algorithm) == each.digest for each in self.binding)

    @property
    def sure(self) -> bool:
        """Whether something other than the servers of the bytes themselves says what the file is."""
        return any(each.right < Right.ORIGINAL for each in self.claims)
