"""Acquisitions kept in memory."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from ecpds.acquisitions import Acquired, IAcquisitionStore, Plan, Standing
from ecpds.errors import AlreadyExists, NotFound


@implementer(IAcquisitionStore)
class MemoryAcquisitionStore:
    """`failure` is what every change raises while it is set."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self._plans: dict[str, tuple[Plan, Standing]] = {}
        self._files: dict[str, dict[str, Acquired]] = {}

    async def plans(self) -> Sequence[tuple[Plan, Standing]]:
        return [self._plans[name] for name in sorted(self._plans)]

    async def add(self, plan: Plan, standing: Standing) -> None:
        self._fail()
        if plan.name in self._plans:
            raise AlreadyExists(plan.name)
        self._plans[plan.name] = plan, standing
        self._files[plan.name] = {}

    async def change(self, plan: Plan, standing: Standing) -> None:
        self._check(plan.name)
        self._plans[plan.name] = plan, standing

    async def remove(self, name: str) -> None:
        self._check(name)
        del self._plans[name], self._files[name]

    async def files(self, name: str) -> Sequence[Acquired]:
        return [file for _, file in sorted(self._files.get(name, {}).items())]

    async def keep(self, name: str, file: Acquired) -> None:
        self._check(name)
        self._files[name][file.url] = file

    async def forget(self, name: str, urls: Sequence[str]) -> None:
        self._check(name)
        for url in urls:
            self._files[name].pop(url, None)

    def _check(self, name: str) -> None:
        self._fail()
        if name not in self._plans:
            raise NotFound(name)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
