"""One file from plain HTTP servers without the reactor: what goes well goes this way, by threads that wait for their bytes.

Who asks whom: the best mirror is asked for the whole file, and tells its size. Meanwhile the side-car is asked for. A small one
is hashed, written and named at once; of a large one (`team`) other mirrors fetch their shares.

Whatever doesn't go well is left to the ordinary way (`job`), which knows what to do: a mirror that dies or has another file,
redirects, logins, a size that nobody tells, a wrong digest, a part that an earlier run has left. It goes on with what is here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from threading import Thread

from ecpds.errors import ConnectionLost, Refusal, Stalled, Unavailable
from ecpds.http.pulls import Pull
from ecpds.sources.fetch.common import Common
from ecpds.sources.fetch.member import Member
from ecpds.sources.fetch.names import name_of
from ecpds.sources.fetch.outcomes import Attempt, Outcome, Task
from ecpds.sources.fetch.pages import PAGES, SMALL, is_excuse
from ecpds.sources.fetch.placing import place
from ecpds.sources.fetch.plain import Mirror, with_sidecars
from ecpds.sources.fetch.sidecar_forms import ENDINGS, LONGEST, digest_in, sidecar_url
from ecpds.sources.fetch.team import Left, Team
from ecpds.sources.fetch.wanted import Right, Wanted
from ecpds.sources.mechanisms.showing import shown
from ecpds.sources.mechanisms.told import About, about

Digest = Callable[[str], str]
"""Gives the digest of a whole file by an algorithm."""


class File:
    """Fetches one. With `explore` a mirror that nobody has tried goes first."""

    def __init__(self, common: Common, task: Task, mirrors: Sequence[Mirror], explore: bool = False) -> None:
        self._common = common
        self.task = task
        self._explore = explore
        self._mirrors = mirrors
        self._members = [Member(each) for each in mirrors]
        self._team: Team | None = None
        self._stopped = False
        self._claims: dict[str, str] = {}
        self._side_trouble: BaseException | None = None

    def run(self) -> Outcome | None:
        """What became of the file; None: it is left to the ordinary way."""
        began = self._common.seconds()
        outcome = Outcome(self.task.url, self.task.target, True)
        asking = self._ask_for_sidecar()
        try:
            member, pull, told = self._lead()
            assert told.size is not None
            outcome.size = told.size
            if told.size <= SMALL:
                outcome.sha256 = self._small(member, pull, told, asking)
            else:
                outcome.sha256 = self._large(member, pull, told, asking)
        except (Left, Refusal, OSError):
            return None
        finally:
            if asking is not None:
                asking.join()
        outcome.seconds = self._common.seconds() - began
        outcome.attempts = [self._attempt(each) for each in self._members if each.tried]
        return outcome

    def stop(self) -> None:
        """Break off; `run` returns soon. For other threads."""
        self._stopped = True
        if self._team is not None:
            self._team.stop()

    # Leading

    def _lead(self) -> tuple[Member, Pull, About]:
        """Who is likely the best has the file. Raises `Left` where that isn't beyond doubt, and what asking raises."""
        common = self._common
        with common.lock:
            if self._stopped or any(each.server in common.places.unable for each in self._mirrors):
                raise Left
            order = common.paces.ranked([each.host for each in self._mirrors], self._explore)
            member = self._members[order[0]]
            member.joined()
        pull = common.take(member.mirror.server)
        try:
            head = pull.get(member.mirror.target)
        except Refusal as refusal:
            self._give_back(member, pull)
            if isinstance(refusal, (ConnectionLost, Stalled, Unavailable)):
                common.places.unable.add(member.mirror.server)
            raise
        told = about(head.status, head.headers)
        coding = head.headers.get("content-encoding", "identity")
        if head.status != 200 or coding != "identity" or not self._is_file(told):
            self._give_back(member, pull)
            raise Left
        member.about, member.proven = told, True
        return member, pull, told

    def _is_file(self, told: About) -> bool:
        """Whether this is likely the file."""
        wanted = self.task.wanted
        if told.size is None or (wanted.size is not None and wanted.size != told.size):
            return False
        return wanted.size is not None or wanted.sure or not is_excuse(told.media, self.task.target.name)

    def _give_back(self, member: Member, pull: Pull) -> None:
        self._common.give(pull)
        with self._common.lock:
            member.left()

    # Fetching

    def _small(self, member: Member, pull: Pull, told: About, asking: Thread | None) -> str:
        """The whole of it; the SHA-256."""
        body, began = memoryview(bytearray(told.size or 0)), self._common.seconds()
        try:
            pull.fill(body)
        finally:
            self._give_back(member, pull)
        with self._common.lock:
            member.bytes = len(body)
            member.mirror.host.moved(len(body), self._common.seconds() - began)
        digest = hashlib.sha256(body).hexdigest()
        self._expect({"sha256": digest}, lambda algorithm: hashlib.new(algorithm, body).hexdigest(), asking)
        place(*os.path.split(self.task.target), body, told.mtime)
        with self._common.lock:
            self._common.progress.began(self.task, len(body))
            self._common.progress.moved(self.task, len(body))
        return digest

    def _large(self, member: Member, pull: Pull, told: About, asking: Thread | None) -> str:
        """With whoever joins; the SHA-256."""
        try:
            team = self._team = Team(self._common, self.task, self._members, told)
        except OSError:
            self._give_back(member, pull)
            raise
        team.begin(member, pull)
        if self._stopped:
            team.stop()
        try:
            team.gather()
            self._expect(team.digests, team.digest, asking)
            team.publish()
        finally:
            team.put_away()
        return team.digests["sha256"]

    def _expect(self, known: dict[str, str], digest: Digest, asking: Thread | None) -> None:
        """Raises `Left` unless the file is what everybody says that it is."""
        if asking is not None:
            asking.join()
        if self._side_trouble is not None:
            raise self._side_trouble
        wanted = Wanted(claims=list(self.task.wanted.claims))
        wanted.say(Right.SIDECAR, self._claims, "")
        for member in self._members:
            if member.bytes and member.about is not None:
                right = Right.ORIGINAL if member.mirror.url == self.task.url else Right.SERVER
                wanted.say(right, member.about.digests, member.mirror.url)
        if not wanted.is_met(lambda name: known.get(name) or digest(name)):
            if self._team is not None:
                self._team.worthless = True
            raise Left

    def _attempt(self, member: Member) -> Attempt:
        ok = member.bytes > 0 or member.proven
        return Attempt(shown(member.mirror.url), member.mirror.mechanism, ok, "" if ok else member.reason)

    # The side-car

    def _ask_for_sidecar(self) -> Thread | None:
        """Ask while the bytes come, where nothing better is known, and where there may be one."""
        task, common = self.task, self._common
        with common.lock:
            worth = common.settings.sidecars and not task.wanted.sure and common.folders.worth_asking(task.url)
        if not worth:
            return None
        asking = Thread(target=self._find_sidecar, name="side-car", daemon=True)
        asking.start()
        return asking

    def _find_sidecar(self) -> None:
        try:
            self._claims = self._sidecar()
            with self._common.lock:
                self._common.folders.learn(self.task.url, bool(self._claims))
        except BaseException as error:
            self._side_trouble = error

    def _sidecar(self) -> dict[str, str]:
        """What it says. Raises `Left` where the ordinary way might hear more."""
        for mirror in with_sidecars(self.task, self._mirrors):
            try:
                for ending, algorithm in ENDINGS.items():
                    text = self._read(mirror, sidecar_url(mirror.target, ending))
                    digest = digest_in(text, algorithm, name_of(mirror.url))
                    if digest is not None:
                        return {algorithm: digest}
            except Refusal:
                continue
        return {}

    def _read(self, mirror: Mirror, target: str) -> str:
        """A side-car's text; empty where there is none. Raises `Left` for a redirect or a login, and what asking raises."""
        pull = self._common.take(mirror.server)
        try:
            head = pull.get(target)
            if head.status == 401 or 300 <= head.status < 400:
                raise Left
            body = memoryview(bytearray(min(pull.rest, LONGEST)))
            if pull.rest > LONGEST:
                return ""
            pull.fill(body)
            is_text = head.status == 200 and about(200, head.headers).media not in PAGES
            return str(body, "utf-8", "replace") if is_text else ""
        finally:
            self._common.give(pull)
