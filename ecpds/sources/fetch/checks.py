"""Whether what came is the file that is wanted, and if not, whose fault that is.

The bytes of a mixed file that turned out wrong leave their digests, span by span. Then each source is asked for the whole
file alone; the first that has the right one shows whose spans were others. Where no source has a file of the digest that is
wanted, nobody is blamed: the digest may be what is wrong. The file is refused all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred

from ecpds.errors import Refusal
from ecpds.sources.fetch.outcomes import Task
from ecpds.sources.fetch.parts import LocalTrouble, Source, Tools
from ecpds.sources.fetch.sidecars import Sidecars
from ecpds.sources.fetch.stage import Stage
from ecpds.sources.fetch.wanted import Claim, Right
from ecpds.sources.mechanisms.base import shown


@frozen
class Evidence:
    """Bytes of a file that turned out wrong: where they stood, their digest, and who had sent them."""

    begin: int
    end: int
    digest: str
    source: Source


class Checks:
    """Of one file. `complaint` says what was wrong with it last; it is empty while nothing was."""

    def __init__(self, tools: Tools, task: Task, stage: Stage, sources: Sequence[Source], sidecars: Sidecars) -> None:
        self.complaint = ""
        self._tools = tools
        self._task = task
        self._stage = stage
        self._sources = sources
        self._sidecars = sidecars
        self._evidence: list[Evidence] = []
        self._suspects: list[Source] = []
        self._convicted: list[Source] = []
        self._sidecar: Deferred[list[Claim]] | None = None

    def begin(self) -> None:
        """Ask for the side-car while the bytes come, where nothing better is known."""
        wanted = self._task.wanted
        if self._tools.settings.sidecars and not wanted.sure and wanted.pieces is None:
            self._sidecar = Deferred.fromCoroutine(self._sidecars.find(self._task, [each.candidate for each in self._sources]))

    def stop(self) -> None:
        """Nobody waits for the side-car any more."""
        waiting, self._sidecar = self._sidecar, None
        if waiting is not None:
            waiting.addErrback(lambda _: None)
            waiting.cancel()

    async def right(self, size: int, digests: Mapping[str, str]) -> bool:
        """Whether the file, all of which is here, is what it should be. Raises `LocalTrouble` when it can't be read."""
        await self._hear_claims()
        for claim in self._task.wanted.binding:
            found = digests.get(claim.algorithm) or await self._digest(claim.algorithm, size)
            if found != claim.digest:
                self._suspect(claim)
                return False
        pieces = self._task.wanted.pieces
        for number, digest in enumerate(pieces.digests if pieces is not None else ()):
            assert pieces is not None
            begin, end = number * pieces.length, min((number + 1) * pieces.length, size)
            if await self._digest(pieces.algorithm, end - begin, begin) != digest:
                self._suspect(Claim(Right.MANIFEST, pieces.algorithm, digest, f"piece {number + 1} of the manifest"))
                return False
        return True

    async def _digest(self, algorithm: str, size: int, offset: int = 0) -> str:
        try:
            return await self._stage.digest(algorithm, size, offset)
        except Refusal as refusal:
            raise LocalTrouble(refusal) from refusal

    async def _hear_claims(self) -> None:
        """What the side-car says, and what the servers say of their own bytes."""
        waiting, self._sidecar = self._sidecar, None
        wanted = self._task.wanted
        if waiting is not None:
            for claim in await waiting:
                wanted.say(claim.right, {claim.algorithm: claim.digest}, claim.origin)
        for source in self._contributors:
            if source.about is not None:
                right = Right.ORIGINAL if source.candidate is self._task.original else Right.SERVER
                wanted.say(right, source.about.digests, shown(source.candidate.url))

    @property
    def _contributors(self) -> list[Source]:
        return [each for each in self._sources if each.spans]

    def _suspect(self, claim: Claim) -> None:
        """The bytes are not what they should be: whose they are is to be found out."""
        self.complaint = f"the file does not have the {claim.algorithm} that {claim.origin} tells"
        for source in self._contributors:
            source.reason = self.complaint
            if source not in self._suspects:
                self._suspects.append(source)

    async def remember(self, resumed: bool) -> None:
        """Keep what is needed to find out who was wrong, before the file is fetched anew.

        `resumed`: some bytes are of an earlier run, so nobody is to be blamed for them.
        """
        contributors = self._contributors
        if len(contributors) == 1 and not resumed:
            contributors[0].dead = self.complaint
            self._convicted.append(contributors[0])
        for source in contributors if len(contributors) > 1 else ():
            for begin, end in source.spans:
                self._evidence.append(Evidence(begin, end, await self._digest("sha256", end - begin, begin), source))
        for source in self._sources:
            source.spans, source.doubted = [], False
        wanted = self._task.wanted
        wanted.claims = [each for each in wanted.claims if each.right is not Right.SERVER]

    async def blame(self) -> None:
        """The right file is here: who sent other bytes, or disagreed with it, has a wrong one."""
        for each in self._evidence:
            if await self._digest("sha256", each.end - each.begin, each.begin) != each.digest:
                each.source.wrong = True
        for source in self._suspects:
            source.wrong = source.wrong or source in self._convicted
            if not source.wrong:
                source.reason = ""
        checked = bool(self._task.wanted.binding)
        for source in self._sources:
            source.wrong = source.wrong or (source.doubted and checked)
            if source.wrong:
                self._tools.paces.host(source.candidate).wrong = True
