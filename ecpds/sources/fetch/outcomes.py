"""What becomes of files: attempts and outcomes as the command line prints them, and what a fetch tells while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ecpds.sources.fetch.wanted import Wanted
from ecpds.sources.mechanisms.showing import shown

if TYPE_CHECKING:
    from ecpds.datasources import Candidate, TransferReport


class Attempt(NamedTuple):
    """What became of one candidate, in one file. `url` has no secrets."""

    url: str
    mechanism: str
    ok: bool
    reason: str = ""


class Task:
    """One file to fetch: its URL, where it goes, what is known of it, and where it can be had, in the order to try.

    `mirrors` are the URLs that its manifest gives, which a run makes candidates of. `token` and `site` are the resolution's;
    reports carry them. `came` are bytes of what is here, by URL, where this run has begun with the file by another way.
    `original` is the candidate whose URL is the one asked for.
    """

    __slots__ = ("came", "candidates", "mirrors", "site", "target", "token", "url", "wanted")

    def __init__(
        self,
        url: str,
        target: Path,
        wanted: Wanted | None = None,
        candidates: tuple[Candidate, ...] = (),
        token: str = "",
        site: str | None = None,
        mirrors: tuple[str, ...] = (),
    ) -> None:
        self.url = url
        self.target = target
        self.wanted = wanted if wanted is not None else Wanted()
        self.candidates = candidates
        self.token = token
        self.site = site
        self.mirrors = mirrors
        self.came: Mapping[str, int] = {}

    @property
    def original(self) -> Candidate:
        """The candidate that is the URL itself; the last where none is."""
        return next((each for each in self.candidates if each.url == self.url), self.candidates[-1])


class Outcome:
    """`reason` says why it failed; `reports` are for the repository."""

    __slots__ = ("attempts", "done", "path", "reason", "reports", "seconds", "sha256", "size", "url")

    def __init__(
        self,
        url: str,
        path: Path,
        done: bool,
        reason: str = "",
        sha256: str | None = None,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        self.url = url
        self.path = path
        self.done = done
        self.reason = reason
        self.sha256 = sha256
        self.size = size
        self.seconds = seconds
        self.attempts: list[Attempt] = []
        self.reports: list[TransferReport] = []

    def as_json(self) -> dict[str, Any]:
        """The object that `ecpds fetch --json` prints."""
        return {
            "url": shown(self.url),
            "path": str(self.path),
            "status": "done" if self.done else "failed",
            "reason": self.reason,
            "sha256": self.sha256,
            "size": self.size,
            "seconds": round(self.seconds, 3),
            "attempts": [
                {"url": each.url, "mechanism": each.mechanism, "ok": each.ok, "reason": each.reason} for each in self.attempts
            ],
        }


class Progress(Protocol):
    """Who is told how far a fetch is, between `start` and `stop`."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def began(self, task: Task, size: int | None) -> None: ...

    def moved(self, task: Task, count: int) -> None:
        """`count` bytes more have come; less than 0 when some turned out to be wrong."""

    def ended(self, task: Task, outcome: Outcome) -> None: ...


class Silent:
    """Tells nobody."""

    def start(self) -> None:
        return None

    def stop(self) -> None:
        return None

    def began(self, task: Task, size: int | None) -> None:
        return None

    def moved(self, task: Task, count: int) -> None:
        return None

    def ended(self, task: Task, outcome: Outcome) -> None:
        return None
