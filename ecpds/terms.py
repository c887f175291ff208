"""What is asked of an upload: by a client of a door (`Terms`), and by a node of the Master (`AllocationRequest`).

A door makes the terms once, from what its protocol said; all that stands between it and the commit hands on the same value.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from ecpds.model import ANYTHING, EMPTY, Condition, Origin


@frozen
class Terms:
    """What is asked of an upload besides its path and its bytes."""

    condition: Condition = ANYTHING
    """What must be true of the name at the commit."""
    expected: Mapping[str, str] = EMPTY
    """Digests that the client announced: the commit is refused unless the bytes have them."""
    metadata: Mapping[str, str] = EMPTY
    """What is kept with the file, as `DataFile.metadata`."""
    digests: tuple[str, ...] = ()
    """Those of `model.DIGESTS` that are to be computed although the destination may not ask for them."""


NO_TERMS = Terms()
"""Put it, whatever is there."""

IF_ABSENT = Terms(Condition(absent=True))
"""Put it where nothing is."""


@frozen
class AllocationRequest:
    """What a User Data Mover asks leave for. `path` is canonical and relative to the destination; `size` may be unknown.

    With `part` it is not a file but a part of one: the upload's id, and the part's number. `avoid` are movers that could not
    be reached.
    """

    user_id: int
    destination: str
    path: str
    origin: Origin
    size: int | None = None
    terms: Terms = NO_TERMS
    mtime: float | None = None
    part: tuple[int, int] | None = None
    avoid: tuple[str, ...] = ()

    def piece(self, part: tuple[int, int] | None) -> AllocationRequest:
        """The same, for bytes that are kept as this part: what was announced of the whole says nothing of them."""
        return evolve(self, part=part, size=None, terms=evolve(self.terms, expected=EMPTY))
