"""What the rooms know of acquisition: remote folders that are watched, and what was fetched from them.

Who calls whom: the operators' façade asks an `IAcquirer`, which keeps plans and what became of files in an
`IAcquisitionStore`, visits each folder when it is due, and puts what is new into the portal as any user's push.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from zope.interface import Interface

from ecpds.model import EMPTY


@frozen
class Plan:
    """A remote folder that is watched.

    `url` and `folder` may hold dates (`{%Y%m%d}`, `{-1d:%Y%m%d}`; UTC). Files go to `folder` of `destination`, as `user` sees
    and may do it. `names` are globs, `pattern` an RE2 expression for the whole name, `rename` the name here with the groups of
    the pattern. `every` is seconds between visits; ages are seconds since a file was changed, sizes bytes; `options` are the
    mechanism's, such as the endpoint of `s3:` URLs.
    """

    name: str
    url: str
    destination: str
    user: str
    folder: str = ""
    names: tuple[str, ...] = ()
    pattern: str = ""
    rename: str = ""
    every: float = 3600.0
    min_age: float = 0.0
    max_age: float | None = None
    min_size: int | None = None
    max_size: int | None = None
    options: Mapping[str, str] = EMPTY
    enabled: bool = True


@frozen
class Order:
    """One file that is to be fetched now, from `url` or one of its `mirrors`, to `path` of the portal, as `user` sees and may
    do it. `size` (bytes) and `digests` (hexadecimal, by algorithm) are what it must be, where that is known; `site` is the
    label of where data is going to, for the repository.
    """

    url: str
    path: str
    user: str
    mirrors: tuple[str, ...] = ()
    size: int | None = None
    digests: Mapping[str, str] = EMPTY
    site: str | None = None


@frozen
class Standing:
    """How a plan stands: when it is visited next, when it was last, how often in a row that failed, and what it came to."""

    due: float
    visited: float | None = None
    failures: int = 0
    message: str = ""


@frozen
class Acquired:
    """What became of one remote file. `mark` is its size, time and entity tag as they were, `sha256` empty until it is here.

    One that failed has a `reason`, and was tried `tries` times; it is tried again at `due`.
    """

    url: str
    mark: str
    path: str
    time: float
    size: int = 0
    sha256: str = ""
    tries: int = 0
    due: float = 0.0
    reason: str = ""


class IAcquisitionStore(Interface):
    """Keeps plans, how they stand, and what became of files."""

    async def plans() -> Sequence[tuple[Plan, Standing]]:
        """All of them, in the order of their names."""

    async def add(plan: Plan, standing: Standing) -> None:
        """Raises `AlreadyExists`."""

    async def change(plan: Plan, standing: Standing) -> None:
        """Raises `NotFound`."""

    async def remove(name: str) -> None:
        """With what is known of its files. Raises `NotFound`."""

    async def files(name: str) -> Sequence[Acquired]:
        """In the order of their URLs."""

    async def keep(name: str, file: Acquired) -> None:
        """Replaces what was kept of that URL."""

    async def forget(name: str, urls: Sequence[str]) -> None: ...


class IAcquirer(Interface):
    """Visits remote folders. Every method but `plans` and `plan` may raise `Unavailable`."""

    def plans() -> Sequence[tuple[Plan, Standing]]: ...

    def plan(name: str) -> tuple[Plan, Standing]:
        """Raises `NotFound`."""

    async def add(plan: Plan) -> None:
        """Checked whole before it is kept. Raises `InvalidRequest`, `InvalidName`, `AlreadyExists`."""

    async def remove(name: str) -> None:
        """A visit that is under way ends. Raises `NotFound`."""

    async def switch(name: str, enabled: bool) -> None:
        """Raises `NotFound`."""

    async def run(name: str) -> Mapping[str, Any]:
        """Visit now, and say what it came to. Raises `NotFound`, and what listing the folder raises."""

    async def files(name: str) -> Sequence[Acquired]:
        """Raises `NotFound`."""

    async def fetch(order: Order) -> Mapping[str, Any]:
        """Fetch one file; what became of it, as `ecpds fetch --json` says it. Raises `InvalidRequest`, `InvalidName`."""
