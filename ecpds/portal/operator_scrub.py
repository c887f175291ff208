"""What operators see and do of comparing stored bytes with their records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from attrs import asdict

from ecpds.errors import NotFound, Refusal, Unavailable
from ecpds.events import timestamp
from ecpds.interfaces import IMoverControl
from ecpds.master_interfaces import IMaster
from ecpds.operator_interfaces import IOperations
from ecpds.portal.paths import CanonicalPath, canonical
from ecpds.scrubbing import DamagedCopy, ScrubState

Object = dict[str, Any]

PAGE = 100
"""Damaged copies, or entries of a folder, that are asked for at a time."""

WORST = ("damaged", "unchecked", "whole")
"""What a file is whose copies are not all the same."""


class ScrubOperator:
    """The part of the operator's façade that is about scrubs."""

    _operations: IOperations
    _master: IMaster
    _movers: Mapping[str, IMoverControl]

    async def scrub_status(self, mover: str | None = None) -> AsyncIterator[Object]:
        async for each in self._order("status", mover):
            yield each

    async def start_scrub(self, mover: str | None = None) -> AsyncIterator[Object]:
        """Begin a round now, or go on with one, on one mover or on all."""
        async for each in self._order("start", mover):
            yield each

    async def stop_scrub(self, mover: str | None = None) -> AsyncIterator[Object]:
        """Rest until it is told to start, over restarts too."""
        async for each in self._order("stop", mover):
            yield each

    async def _order(self, order: str, mover: str | None) -> AsyncIterator[Object]:
        names = await self._operations.movers()
        if mover is not None and mover not in names:
            raise NotFound(f"mover {mover[:100]!a}")
        for name in names if mover is None else [mover]:
            try:
                yield shown_scrub(await self._mover(name).scrub(order))
            except Refusal as refusal:
                if mover is not None:
                    raise
                yield {"mover": name, "state": "unknown", "reason": refusal.sentence}

    def _mover(self, name: str) -> IMoverControl:
        if name not in self._movers:
            raise Unavailable(f"mover {name} was not heard of since the Master's start")
        return self._movers[name]

    async def list_damaged(self) -> AsyncIterator[Object]:
        """The copies that are known to be damaged, in the order of segments."""
        after = (0, "", 0)
        while found := await self._operations.damaged(after, PAGE):
            for each in found:
                yield shown_damage(each)
            after = (found[-1].segment, found[-1].mover, found[-1].volume)

    async def verify_file(self, path: str) -> AsyncIterator[Object]:
        """Compare every copy of a file now, or of all files in a folder and below it, one after the other."""
        name = canonical(path)
        entry = await self._master.resolve(name.destination, name.inside, waiting=True)
        if entry.file is not None:
            yield await self._verify(name.destination, name.inside)
            return
        async for inside in self._files_in(name):
            try:
                yield await self._verify(name.destination, inside)
            except NotFound:
                continue  # it has gone since

    async def _files_in(self, folder: CanonicalPath) -> AsyncIterator[str]:
        """The paths of all files in a folder and below it."""
        folders = [folder.inside]
        while folders:
            at, after = folders.pop(), None
            while True:
                page = await self._master.list(folder.destination, at, after, PAGE, waiting=True)
                folders += [entry.path for entry in page.entries if entry.is_directory]
                for entry in page.entries:
                    if not entry.is_directory:
                        yield entry.path
                after = page.after
                if after is None:
                    break

    async def _verify(self, destination: str, inside: str) -> Object:
        copies = await self._operations.verify_file(destination, inside)
        found = {each.state for each in copies}
        state = next(state for state in WORST if state in found)
        reason = next((each.reason for each in copies if each.state == state), None)
        shown = [asdict(each) for each in copies]
        return {"path": f"/{destination}/{inside}", "state": state, "reason": reason, "copies": shown}


def shown_scrub(state: ScrubState) -> Object:
    times = {name: _time(getattr(state, name)) for name in ("started", "ended", "next")}
    return {**asdict(state), **times, "reason": None}


def shown_damage(found: DamagedCopy) -> Object:
    return {**asdict(found), "found": timestamp(found.found)}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)
