"""Asks for the digests that stand beside a file (`sidecar_forms`)."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from ecpds.datasources import Candidate
from ecpds.errors import InvalidRequest, NotFound, NotPermitted, Refusal, Stalled
from ecpds.sources.fetch.names import name_of
from ecpds.sources.fetch.outcomes import Task
from ecpds.sources.fetch.pages import PAGES
from ecpds.sources.fetch.sidecar_forms import ASKED, ENDINGS, LONGEST, Folders, digest_in, sidecar_url
from ecpds.sources.fetch.wanted import Claim, Right
from ecpds.sources.mechanisms.base import IMechanism, shown

PATIENCE = 15.0
"""Seconds for one side-car."""


class Sidecars:
    """Asks for side-cars. In a folder where the first few files have none, no more are asked for."""

    def __init__(self, native: Mapping[str, IMechanism], clock: IReactorTime) -> None:
        self._native = native
        self._clock = clock
        self._folders = Folders()

    async def find(self, task: Task, candidates: Sequence[Candidate]) -> list[Claim]:
        """What the side-car of a file says: that of the original first, for a mirror's may be as wrong as its file."""
        if not self._folders.worth_asking(task.url):
            return []
        others = [each for each in candidates if each is not task.original]
        able = [each for each in (task.original, *reversed(others)) if each.mechanism in self._native]
        for candidate in able[:ASKED]:
            answer = await self._ask(candidate)
            if answer:
                self._folders.learn(task.url, True)
                return answer
        self._folders.learn(task.url, False)
        return []

    async def _ask(self, candidate: Candidate) -> list[Claim]:
        """The first side-car that there is; none where the server has none, or can't be asked."""
        for ending, algorithm in ENDINGS.items():
            url = sidecar_url(candidate.url, ending)
            try:
                text = await self._within(self._read(evolve(candidate, url=url)))
            except (NotFound, NotPermitted, InvalidRequest):
                continue
            except Refusal:
                return []
            digest = digest_in(text, algorithm, name_of(candidate.url))
            if digest is not None:
                return [Claim(Right.SIDECAR, algorithm, digest, shown(url))]
        return []

    async def _within(self, reading: Coroutine[Any, Any, str]) -> str:
        """Raises `Stalled` when it takes too long: the file doesn't wait for what may not be there."""
        asked = Deferred.fromCoroutine(reading).addTimeout(PATIENCE, self._clock)
        try:
            return await asked
        except TimeoutError as error:
            raise Stalled("the side-car was not sent in time") from error

    async def _read(self, candidate: Candidate) -> str:
        """Its text, if it is short, and no page of a server that says of everything that it is there."""
        opened = await self._native[candidate.mechanism].open(candidate)
        try:
            if opened.about.media in PAGES or (opened.about.size or 0) > LONGEST:
                raise NotFound()
            data = bytearray(LONGEST)
            done = 0
            with memoryview(data) as view:
                while done < LONGEST and (count := await opened.read_into(view[done:])):
                    done += count
            return data[:done].decode("utf-8", "replace")
        finally:
            opened.close()
