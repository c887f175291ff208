"""Small files from plain HTTP servers, the quick way: without the reactor, which takes longer to import than they to come.

Who asks whom, in which order: each file is asked for from the mirror that is likely the best (`pace`), over connections that
are kept (`http.gets`); of the first files of a folder the side-cars are asked for at the same time, and none of them gets its
name before it is clear that there are none. A file that comes whole, with status 200 and a length, and is what it should be, is
hashed, written and named at once.

Everything else is left: what is large, and folders with side-cars, to `lanes`; other replies (redirects, a login, "not found"),
a digest that is not right, a server that doesn't answer, a part that an earlier run has left to the ordinary way, which begins
anew with it. Where much is left, so is the rest, for then this way is none.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ecpds.http.gets import Server, Told
from ecpds.http.reply_head import ReplyHead
from ecpds.sources.fetch.outcomes import Attempt, Outcome, Progress, Task
from ecpds.sources.fetch.pace import WORTH_EXPLORING, Paces
from ecpds.sources.fetch.pages import PAGES, SMALL, is_excuse
from ecpds.sources.fetch.placing import place
from ecpds.sources.fetch.plain import MANY, Mirror, Places, is_vain, with_sidecars
from ecpds.sources.fetch.sidecar_forms import ENDINGS, ENOUGH, LONGEST, Folders, sidecar_url
from ecpds.sources.fetch.wanted import Right, Wanted
from ecpds.sources.mechanisms.showing import shown
from ecpds.sources.mechanisms.told import About, about


class Asking(Protocol):
    """What asks servers: `http.gets.Gets`."""

    busy: int

    def get(self, server: Server, target: str, largest: int, told: Told) -> None: ...

    def wait(self) -> None: ...


class Folder:
    """What is known of the side-cars of a folder, that of `url`. `open` counts the questions that wait for an answer."""

    __slots__ = ("begun", "held", "open", "url", "waiting", "with_sidecars")

    def __init__(self, url: str) -> None:
        self.url = url
        self.begun = self.open = 0
        self.waiting: list[File] = []
        self.held: list[tuple[File, bytes, Mirror, About]] = []
        self.with_sidecars = False


class File:
    """One file on its way. `folder` is None where nobody has to be asked for its digest."""

    __slots__ = ("began", "folder", "mirrors", "task")

    def __init__(self, task: Task, mirrors: Sequence[Mirror]) -> None:
        self.task = task
        self.mirrors = mirrors
        self.folder: Folder | None = None
        self.began = 0.0


class Question:
    """Whether a side-car is there."""

    __slots__ = ("folder", "server", "target")

    def __init__(self, folder: Folder, server: Server, target: str) -> None:
        self.folder = folder
        self.server = server
        self.target = target


class Quick:
    """`at_once` requests are under way at a time; `ended` is told of each file that is there, and `turned` before each wait."""

    def __init__(
        self,
        gets: Asking,
        places: Places,
        folders: Folders,
        seconds: Callable[[], float],
        at_once: int,
        sidecars: bool,
        progress: Progress,
        ended: Callable[[Outcome], None],
        turned: Callable[[], None],
    ) -> None:
        self._gets = gets
        self._seconds = seconds
        self._at_once = at_once
        self._sidecars = sidecars
        self._progress = progress
        self._ended = ended
        self._turned = turned
        self._paces = Paces(seconds, at_once)
        self._places = places
        self._sidecarred = folders
        self._folders: dict[str, Folder] = {}
        self._jobs: deque[File | Question] = deque()
        self._open: set[File] = set()
        self._done: set[Task] = set()
        self._asked = self._left = self._large = 0
        self.others: list[Task] = []

    def run(self, tasks: Sequence[Task]) -> list[Task]:
        """Fetch what can be had this way; what is left, in its order. Of these, `others` may be had by `lanes`."""
        for task in tasks:
            mirrors = self._places.mirrors(task)
            if mirrors and task.wanted.pieces is None:
                self._plan(File(task, mirrors))
        while self._open:
            while self._jobs and self._gets.busy < self._at_once:
                self._begin(self._jobs.popleft())
            if self._open:
                self._turned()
                self._gets.wait()
        return [task for task in tasks if task not in self._done]

    # Planning

    def _plan(self, file: File) -> None:
        self._open.add(file)
        if not self._sidecars or file.task.wanted.sure:
            self._jobs.append(file)
            return
        folder = file.folder = self._folder(file.task.url)
        if folder.begun >= ENOUGH:
            folder.waiting.append(file)
            return
        folder.begun += 1
        self._jobs.append(file)
        for question in self._questions(folder, file):
            folder.open += 1
            self._jobs.append(question)

    def _folder(self, url: str) -> Folder:
        name = url.rpartition("/")[0]
        found = self._folders.get(name)
        if found is None:
            found = self._folders[name] = Folder(url)
        return found

    def _questions(self, folder: Folder, file: File) -> Iterator[Question]:
        """Those about the side-cars of a file."""
        for mirror in with_sidecars(file.task, file.mirrors):
            for ending in ENDINGS:
                yield Question(folder, mirror.server, sidecar_url(mirror.target, ending))

    # Asking

    def _begin(self, job: File | Question) -> None:
        if isinstance(job, Question):
            if job.server in self._places.unable or job.folder.with_sidecars:
                self._answered(job.folder)
            else:
                self._gets.get(job.server, job.target, LONGEST, lambda head, _: self._hear(job, head))
        elif job in self._open:
            self._ask(job)

    def _ask(self, file: File) -> None:
        """Ask the best of the servers that answer."""
        mirrors = [each for each in file.mirrors if each.server not in self._places.unable]
        if not mirrors:
            self._leave(file)
            return
        mirror = mirrors[0]
        if len(mirrors) > 1:
            explore = len(self._open) >= WORTH_EXPLORING * len(mirrors)
            mirror = mirrors[self._paces.ranked([each.host for each in mirrors], explore)[0]]
        host = mirror.host
        host.asked += 1
        host.connections += 1
        self._asked += 1
        file.began = self._seconds()
        self._gets.get(mirror.server, mirror.target, SMALL, lambda head, body: self._came(file, mirror, head, body))

    # What comes

    def _hear(self, question: Question, head: ReplyHead | None) -> None:
        """A side-car is there, or may be behind a redirect or a login, or isn't."""
        if head is None:
            self._places.unable.add(question.server)
        elif head.status == 401 or (head.status < 400 and about(head.status, head.headers).media not in PAGES):
            folder = question.folder
            folder.with_sidecars = True
            for file in (*folder.waiting, *(held[0] for held in folder.held)):
                self._leave(file, usual=True)
            folder.waiting, folder.held = [], []
        self._answered(question.folder)

    def _answered(self, folder: Folder) -> None:
        folder.open -= 1
        if not folder.open and not folder.with_sidecars:
            self._sidecarred.learn(folder.url, False, folder.begun)
            held, folder.held = folder.held, []
            for file, whole, mirror, told in held:
                self._keep(file, memoryview(whole), mirror, told)
            self._jobs.extend(folder.waiting)
            folder.waiting = []

    def _came(self, file: File, mirror: Mirror, head: ReplyHead | None, body: memoryview | None) -> None:
        """A file has come, or something else."""
        folder = file.folder
        mirror.host.connections -= 1
        if head is None:
            self._places.unable.add(mirror.server)
        if file not in self._open:
            return
        told = about(head.status, head.headers) if head is not None else None
        if head is None or told is None or head.length is None or not self._is_file(file, head, told, head.length):
            self._leave(file)
            return
        if body is None:
            self._leave_large(file)
            return
        mirror.host.moved(len(body), self._seconds() - file.began)
        if folder is not None and folder.with_sidecars:
            self._leave(file, usual=True)
        elif folder is not None and folder.open:
            folder.held.append((file, bytes(body), mirror, told))
        else:
            self._keep(file, body, mirror, told)

    def _is_file(self, file: File, head: ReplyHead, told: About, length: int) -> bool:
        """Whether this is likely the file, and nothing that the ordinary way would look at twice."""
        wanted = file.task.wanted
        if head.status != 200 or head.headers.get("content-encoding", "identity") != "identity":
            return False
        if wanted.size is not None:
            return wanted.size == length
        return wanted.sure or not is_excuse(told.media, file.task.target.name)

    def _keep(self, file: File, body: memoryview, mirror: Mirror, told: About) -> None:
        """Check the file and give it its name."""
        task, digest = file.task, hashlib.sha256(body).hexdigest()
        try:
            if not self._right(task, body, digest, mirror, told):
                self._leave(file)
                return
            place(*os.path.split(task.target), body, told.mtime)
        except OSError:
            self._leave(file)
            return
        self._open.discard(file)
        self._done.add(task)
        seconds = self._seconds() - file.began
        outcome = Outcome(task.url, task.target, True, "", digest, len(body), seconds)
        outcome.attempts.append(Attempt(shown(mirror.url), mirror.mechanism, True))
        self._progress.began(task, len(body))
        self._progress.moved(task, len(body))
        self._progress.ended(task, outcome)
        self._ended(outcome)

    def _right(self, task: Task, body: memoryview, sha256: str, mirror: Mirror, told: About) -> bool:
        """Whether the file has the digests that are told of it."""
        if not told.digests and not task.wanted.claims:
            return True
        wanted = Wanted(claims=list(task.wanted.claims))
        wanted.say(Right.ORIGINAL if mirror.url == task.url else Right.SERVER, told.digests, mirror.url)
        return wanted.is_met(lambda name: sha256 if name == "sha256" else hashlib.new(name, body).hexdigest())

    # What doesn't come

    def _leave(self, file: File, usual: bool = False) -> None:
        """Leave a file to another way; where that is not `usual`, perhaps the others too."""
        self._open.discard(file)
        if usual:
            self.others.append(file.task)
            return
        self._left += 1
        if is_vain(self._left, self._asked):
            self._jobs.clear()
            self._open.clear()

    def _leave_large(self, file: File) -> None:
        """Leave a large file; where many are, the others too: they are not to be begun twice."""
        self._leave(file, usual=True)
        self._large += 1
        if self._large >= MANY and 2 * self._large >= self._asked:
            self._jobs.clear()
            self.others += [each.task for each in self._open]
            self._open.clear()
