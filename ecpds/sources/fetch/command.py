"""`ecpds fetch`: its options, its plan, what it prints. Exit status 0: every file is there; 1: some are not; 2: wrong usage."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from ecpds.errors import Refusal
from ecpds.sources.fetch.credentials import Ask
from ecpds.sources.fetch.manifest import Wish, named, parse_manifest
from ecpds.sources.fetch.means import Means
from ecpds.sources.fetch.outcomes import Outcome, Progress, Silent, Task
from ecpds.sources.fetch.parts import Settings
from ecpds.sources.fetch.repository import HttpRepository
from ecpds.sources.fetch.run import NoRepository, Run, plain_candidate
from ecpds.sources.fetch.wanted import Right, Wanted
from ecpds.sources.mechanisms.base import Secret, shown


@frozen
class FetchOptions:
    """What was asked for. `repository` is a URL, None for none; `site` a destination's label."""

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


Launch = Callable[[FetchOptions, Callable[[Means, Any], Awaitable[int]], Ask | None], int]
"""Runs a coroutine with means made for it in a reactor of its own; the exit status."""


def fetch_command(launch: Launch, nearby: Callable[[], str | None]) -> click.Command:
    """The command. `nearby` gives the repository of the node that is configured here, if one is running."""

    @click.command("fetch")
    @click.argument("urls", nargs=-1)
    @click.option("-f", "--file", "manifest", type=click.File("r", encoding="utf-8"), help="a manifest: URLs, CSV or Metalink")
    @click.option("-r", "--repository", metavar="URL", help="who is asked where a file is had fastest; `none` for nobody")
    @click.option("-o", "--output-dir", metavar="DIR", default=".", type=click.Path(file_okay=False, path_type=Path))
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
        base = repository if repository is not None else nearby()
        options = FetchOptions(
            wishes,
            given["output_dir"],
            None if base == "none" else base,
            given["destination"],
            given["dry_run"],
            given["as_json"],
            given["concurrency"],
            Settings(given["streams"], given["per_source"], sync=given["sync"], sidecars=not given["no_sidecar"]),
            given["insecure"],
            given["cacert"],
            given["allow_private"],
        )
        ask = ask_person if sys.stdin.isatty() and sys.stderr.isatty() else None
        raise SystemExit(launch(options, lambda means, clock: work(options, means, clock), ask))

    return fetch


def read_manifest(file: Any) -> list[Wish]:
    try:
        return parse_manifest(file.read())
    except (Refusal, UnicodeDecodeError, OSError) as error:
        raise click.UsageError(f"{file.name}: {error}") from error


def ask_person(host: str, login: str) -> Secret | None:
    """Ask at the terminal."""
    click.echo(f"{host} wants a name and password.", err=True)
    name = login or click.prompt("Name", err=True)
    return Secret(name, click.prompt(f"Password of {name}", hide_input=True, err=True))


def tasks_of(options: FetchOptions, mechanisms: frozenset[str]) -> tuple[list[Task], list[Outcome]]:
    """The files to fetch, and those that can't be: for their name, or because another one has it."""
    tasks: list[Task] = []
    refused: list[Outcome] = []
    taken: set[Path] = set()
    for wish in options.wishes:
        url = wish.urls[0]
        try:
            target = options.output / named(wish)
        except Refusal as refusal:
            refused.append(Outcome(url, options.output, False, refusal.sentence))
            continue
        if target in taken:
            refused.append(Outcome(url, target, False, "another URL of this run has that name"))
            continue
        taken.add(target)
        wanted = Wanted(wish.size, wish.pieces)
        wanted.say(Right.MANIFEST, wish.digests, "the manifest")
        mirrors = []
        for each in wish.urls:
            try:
                mirrors.append(plain_candidate(each, mechanisms))
            except Refusal:
                continue  # A mirror of a kind that nothing here fetches; if all are, the task says so.
        tasks.append(Task(url, target, wanted, tuple(mirrors), site=options.site))
    return tasks, refused


async def work(options: FetchOptions, means: Means, clock: Any) -> int:
    """Plan, fetch, report; the exit status."""
    tools = means.tools(options.settings)
    tasks, refused = tasks_of(options, tools.mechanisms)
    http = HttpRepository(means.http, clock, options.repository) if options.repository else None
    has_bars = not options.as_json and not options.dry and sys.stderr.isatty()
    progress: Progress = bars(len(tasks)) if has_bars else Silent()
    run = Run(tools, http or NoRepository(), options.at_once, progress)
    await run.plan(tasks, options.site)
    for warning in run.warnings:
        click.echo(f"ecpds: {warning}", err=True)
    if options.dry:
        return show_plan(options, tasks, refused)
    failed = 0

    def ended(outcome: Outcome) -> None:
        nonlocal failed
        failed += not outcome.done
        show(options, outcome, has_bars)

    for outcome in refused:
        ended(outcome)
    progress.start()
    try:
        await run.fetch(tasks, ended)
    finally:
        progress.stop()
    if http is not None:
        await http.flush()
        if http.dropped:
            click.echo(f"ecpds: {http.dropped} reports could not be sent", err=True)
    return 1 if failed else 0


def bars(files: int) -> Progress:
    """Drawn on standard error; what draws is imported for them only."""
    from rich.console import Console

    from ecpds.sources.fetch.progress import TerminalProgress

    return TerminalProgress(Console(stderr=True), files)


def show(options: FetchOptions, outcome: Outcome, has_bars: bool) -> None:
    """One line for each file, or one object."""
    if options.as_json:
        sys.stdout.write(json.dumps(outcome.as_json()) + "\n")
        sys.stdout.flush()
    elif outcome.done:
        click.echo(f"{outcome.path}  {outcome.size} bytes, {outcome.seconds:.2f} s, sha256 {outcome.sha256}")
    elif not has_bars:
        click.echo(f"ecpds: {shown(outcome.url)}: {outcome.reason}", err=True)


def show_plan(options: FetchOptions, tasks: Sequence[Task], refused: Sequence[Outcome]) -> int:
    """From where each file would be fetched, the first to be tried first."""
    for outcome in refused:
        show(options, outcome, False)
    for task in tasks:
        plan = [
            {"url": shown(each.url), "mechanism": each.mechanism, "source": each.source, "reason": each.reason}
            for each in task.candidates
        ]
        if options.as_json:
            planned = Outcome(task.url, task.target, False).as_json() | {"status": "planned", "candidates": plan}
            click.echo(json.dumps(planned))
            continue
        click.echo(f"{shown(task.url)} -> {task.target}")
        for number, each in enumerate(plan, 1):
            click.echo(f"  {number}. {each['mechanism']:8} {each['url']}  {each['reason']}")
    return 1 if refused or any(not task.candidates for task in tasks) else 0
