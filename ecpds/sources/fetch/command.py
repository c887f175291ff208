"""`ecpds fetch`: its options, what it prints. Exit status 0: every file is there; 1: some are not; 2: wrong usage.

What can be had the quick way (`quick`) comes first, in a program that has imported little; the rest is `working`'s, which
stands on the reactor, and on everything that it takes to go on where a server breaks off.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from ecpds.errors import Refusal
from ecpds.sources.fetch.manifest import parse_manifest
from ecpds.sources.fetch.outcomes import Outcome, Progress, Silent, Task
from ecpds.sources.fetch.settings import Settings
from ecpds.sources.fetch.wanted import Right, Wanted
from ecpds.sources.fetch.wishes import Wish, named
from ecpds.sources.mechanisms.showing import shown

PORTAL = "portal:"
"""What `--to` begins with."""


class FetchOptions(NamedTuple):
    """What was asked for. `repository` is a URL, None for none; `site` a destination's label; `user` who puts files into the
    portal."""

    wishes: Sequence[Wish]
    output: Path
    repository: str | None
    site: str | None
    dry: bool
    as_json: bool
    at_once: int
    settings: Settings
    insecure: bool
    authorities: str | None
    private: bool
    user: str | None = None


class Told:
    """Prints what became of each file, and counts those that failed."""

    def __init__(self, options: FetchOptions, files: int) -> None:
        self.failed = 0
        self.has_bars = not options.as_json and not options.dry and sys.stderr.isatty()
        self.progress: Progress = bars(files) if self.has_bars else Silent()
        self._as_json = options.as_json

    def ended(self, outcome: Outcome) -> None:
        """One line for each file, or one object."""
        self.tell(outcome)
        self.flush()

    def flush(self) -> None:
        """Have whoever reads it read what was told."""
        sys.stdout.flush()

    def tell(self, outcome: Outcome) -> None:
        """What `ended` does, for who tells of many, and flushes now and then."""
        self.failed += not outcome.done
        if self._as_json:
            sys.stdout.write(json.dumps(outcome.as_json()) + "\n")
        elif outcome.done:
            click.echo(f"{outcome.path}  {outcome.size} bytes, {outcome.seconds:.2f} s, sha256 {outcome.sha256}")
        elif not self.has_bars:
            click.echo(f"ecpds: {shown(outcome.url)}: {outcome.reason}", err=True)


Quickly = Callable[[FetchOptions, Sequence[Task], Told], list[Task]]
"""Fetches what can be had without more ado; the files that are left."""

Work = Callable[[FetchOptions, Sequence[Task], Told], int]
"""Fetches the others (or says how it would), in a reactor of its own; the exit status."""


Into = Callable[[FetchOptions, Sequence[Task], Told], None]
"""Has the node that is configured here fetch files, to where they go in the portal."""


def fetch_command(quickly: Quickly, work: Work, into: Into, nearby: Callable[[], str | None]) -> click.Command:
    """The command. `nearby` gives the repository of the node that is configured here, if one is running."""

    @click.command("fetch")
    @click.argument("urls", nargs=-1)
    @click.option("-f", "--file", "manifest", type=click.File("r", encoding="utf-8"), help="a manifest: URLs, CSV or Metalink")
    @click.option("-r", "--repository", metavar="URL", help="who is asked where a file is had fastest; `none` for nobody")
    @click.option("-o", "--output-dir", metavar="DIR", default=".", type=click.Path(file_okay=False, path_type=Path))
    @click.option("--to", metavar="portal:/DESTINATION/FOLDER", help="have the node fetch, straight into the portal")
    @click.option("--user", metavar="LOGIN", help="with --to: the user who puts the files there")
    @click.option("-d", "--destination", metavar="LABEL", help="where the data is going to, as the repository calls it")
    @click.option("-n", "--dry-run", is_flag=True, help="say from where each file would be fetched, and fetch nothing")
    @click.option("--json", "as_json", is_flag=True, help="an object a line and file")
    @click.option("-j", "--concurrency", type=click.IntRange(1, 256), default=8, show_default=True, help="files at a time")
    @click.option("-s", "--streams", type=click.IntRange(1, 64), default=4, show_default=True, help="connections for one file")
    @click.option("--per-source", type=click.IntRange(1, 16), default=1, show_default=True, help="of these, to one source")
    @click.option("--no-sidecar", is_flag=True, help="ask for no .sha256 and .md5 beside a file")
    @click.option("--sync", is_flag=True, help="a file is on the disk before it has its name")
    @click.option("--insecure", is_flag=True, help="take any certificate")
    @click.option("--cacert", metavar="FILE", help="certificates to trust besides the system's")
    @click.option("--allow-private", is_flag=True, help="follow redirects to this machine and to private networks")
    def fetch(urls: tuple[str, ...], manifest: Any, repository: str | None, **given: Any) -> None:
        """Fetch files, each from where it is had fastest, checked before it has its name."""
        wishes = [Wish((url,)) for url in urls]
        if manifest is not None:
            wishes += read_manifest(manifest)
        if not wishes:
            raise click.UsageError("Name a URL, or a manifest with -f.")
        folder = portal_option(given["to"], given["user"], repository, given["dry_run"])
        base = repository if repository is not None or folder is not None else nearby()
        options = FetchOptions(
            wishes,
            folder or given["output_dir"],
            None if base == "none" else base,
            given["destination"],
            given["dry_run"],
            given["as_json"],
            given["concurrency"],
            Settings(given["streams"], given["per_source"], sync=given["sync"], sidecars=not given["no_sidecar"]),
            given["insecure"],
            given["cacert"],
            given["allow_private"],
            given["user"],
        )
        raise SystemExit(run(options, quickly, work, into if folder is not None else None))

    return fetch


def portal_option(to: str | None, user: str | None, repository: str | None, dry: bool) -> Path | None:
    """The folder of the portal that files go to, if they do. Raises `UsageError`."""
    if to is None:
        if user is not None:
            raise click.UsageError("--user says who puts files into the portal, with --to portal:/DESTINATION/FOLDER.")
        return None
    if user is None:
        raise click.UsageError("--to needs --user, who puts the files there.")
    if repository is not None or dry:
        raise click.UsageError("With --to the node fetches, as its own repository says: no --repository, no --dry-run.")
    path = to.removeprefix(PORTAL)
    if path == to or not path.startswith("/") or not path.strip("/"):
        raise click.UsageError(f"{to!r} is no folder of the portal, such as portal:/DESTINATION/FOLDER.")
    return Path("/" + path.strip("/"))


def run(options: FetchOptions, quickly: Quickly, work: Work, into: Into | None = None) -> int:
    """Fetch all; the exit status. With `into` the node does it."""
    tasks, refused = tasks_of(options)
    told = Told(options, len(tasks))
    for outcome in refused:
        told.ended(outcome)
    told.progress.start()
    try:
        if into is not None:
            into(options, tasks, told)
            return 1 if told.failed else 0
        left = tasks if options.dry or options.repository is not None else quickly(options, tasks, told)
        status = work(options, left, told) if left else 0
    finally:
        told.progress.stop()
    return 1 if told.failed else status


def read_manifest(file: Any) -> list[Wish]:
    try:
        return parse_manifest(file.read())
    except (Refusal, UnicodeDecodeError, OSError) as error:
        raise click.UsageError(f"{file.name}: {error}") from error


def tasks_of(options: FetchOptions) -> tuple[list[Task], list[Outcome]]:
    """The files to fetch, and those that can't be: for their name, or because another one has it."""
    tasks: list[Task] = []
    refused: list[Outcome] = []
    taken: set[str] = set()
    for wish in options.wishes:
        url = wish.urls[0]
        try:
            name = named(wish)
        except Refusal as refusal:
            refused.append(Outcome(url, options.output, False, refusal.sentence))
            continue
        target = options.output / name
        if name in taken:
            refused.append(Outcome(url, target, False, "another URL of this run has that name"))
            continue
        taken.add(name)
        wanted = Wanted(wish.size, wish.pieces)
        wanted.say(Right.MANIFEST, wish.digests, "the manifest")
        tasks.append(Task(url, target, wanted, site=options.site, mirrors=wish.urls))
    return tasks, refused


def bars(files: int) -> Progress:
    """Drawn on standard error; what draws is imported for them only."""
    from rich.console import Console

    from ecpds.sources.fetch.progress import TerminalProgress

    return TerminalProgress(Console(stderr=True), files)
