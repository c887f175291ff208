"""What operators see and do of acquisition: plain dicts that are JSON as they stand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from attrs import asdict, evolve

from ecpds.acquisitions import Acquired, IAcquirer, Order, Plan, Standing
from ecpds.errors import InvalidRequest, NotSupported
from ecpds.events import timestamp
from ecpds.model import EMPTY
from ecpds.operator_interfaces import IOperations

Object = dict[str, Any]


class AcquisitionsOperator:
    """The part of the operator's façade that is about acquisition. Only a Master's node acquires (None elsewhere)."""

    def __init__(self, operations: IOperations, acquirer: IAcquirer | None) -> None:
        self._users = operations
        self._kept_acquirer = acquirer

    @property
    def _acquirer(self) -> IAcquirer:
        if self._kept_acquirer is None:
            raise NotSupported("this node acquires nothing")
        return self._kept_acquirer

    async def add_acquisition(
        self,
        name: str,
        url: str,
        destination: str = "",
        user: str = "",
        folder: str = "",
        names: Sequence[str] = (),
        pattern: str = "",
        rename: str = "",
        every: float = 3600.0,
        min_age: float = 0.0,
        max_age: float | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        options: Mapping[str, str] = EMPTY,
    ) -> Object:
        """As in `Plan`. Raises `NotFound` for a user or destination that isn't there, `InvalidRequest`."""
        if not destination or not user:
            raise InvalidRequest("a destination that files go to, and a user who puts them there, must be named")
        await self._users.destination(destination)
        await self._users.user(user)
        plan = Plan(name, url, destination, user, folder, tuple(names), pattern, rename, every, options=options)
        plan = evolve(plan, min_age=min_age, max_age=max_age, min_size=min_size, max_size=max_size)
        await self._acquirer.add(plan)
        return await self.show_acquisition(name)

    async def list_acquisitions(self) -> AsyncIterator[Object]:
        for plan, standing in self._acquirer.plans():
            yield shown_acquisition(plan, standing)

    async def show_acquisition(self, name: str) -> Object:
        return shown_acquisition(*self._acquirer.plan(name))

    async def remove_acquisition(self, name: str) -> Object:
        """Returns what it was. The files that came stay."""
        found = await self.show_acquisition(name)
        await self._acquirer.remove(name)
        return found

    async def enable_acquisition(self, name: str) -> Object:
        await self._acquirer.switch(name, True)
        return await self.show_acquisition(name)

    async def disable_acquisition(self, name: str) -> Object:
        await self._acquirer.switch(name, False)
        return await self.show_acquisition(name)

    async def run_acquisition(self, name: str) -> Object:
        tally: Mapping[str, Any] = await self._acquirer.run(name)
        return {"name": name, **tally}

    async def acquire_file(
        self,
        url: str,
        path: str = "",
        user: str = "",
        mirrors: Sequence[str] = (),
        size: int | None = None,
        digests: Mapping[str, str] = EMPTY,
        destination: str | None = None,
    ) -> Object:
        """As in `Order`; `destination` is its site. What became of the file. Raises `NotFound` for a user who isn't there."""
        if not path or not user:
            raise InvalidRequest("the path that the file goes to, and the user who puts it there, must be named")
        await self._users.user(user)
        return dict(await self._acquirer.fetch(Order(url, path, user, tuple(mirrors), size, digests, destination)))

    async def list_acquired(self, name: str) -> AsyncIterator[Object]:
        files: Sequence[Acquired] = await self._acquirer.files(name)
        for each in files:
            yield shown_acquired(each)


def shown_acquisition(plan: Plan, standing: Standing) -> Object:
    shown = asdict(plan)
    return {
        **shown,
        "names": list(plan.names),
        "options": dict(plan.options),
        "due": timestamp(standing.due) if plan.enabled else None,
        "visited": None if standing.visited is None else timestamp(standing.visited),
        "failures": standing.failures,
        "message": standing.message,
    }


def shown_acquired(file: Acquired) -> Object:
    return {
        "url": file.url,
        "path": file.path,
        "status": "failed" if file.reason else "done",
        "size": None if file.reason else file.size,
        "sha256": file.sha256 or None,
        "time": timestamp(file.time),
        "tries": file.tries,
        "due": timestamp(file.due) if file.reason else None,
        "reason": file.reason or None,
    }
