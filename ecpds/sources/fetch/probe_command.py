"""`ecpds source probe`: its options, and the table or the lines that it prints. With `--on`, movers measure, not we."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ecpds.errors import Refusal
from ecpds.sources.fetch.command import FetchOptions
from ecpds.sources.fetch.means import Means
from ecpds.sources.fetch.probe import LONGEST, MOST, Probed, Prober
from ecpds.sources.fetch.repository import HttpRepository
from ecpds.sources.fetch.run import NoRepository
from ecpds.sources.fetch.settings import Settings
from ecpds.sources.fetch.wishes import Wish
from ecpds.sources.fetch.working import Launch

Elsewhere = Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]]]
"""Has the movers of the node that is configured here measure; what each says, as it is known."""


def probe_command(launch: Launch, nearby: Callable[[], str | None], elsewhere: Elsewhere) -> click.Command:
    """The command; the arguments are as those of `fetch_command`."""

    @click.command("probe")
    @click.argument("urls", nargs=-1)
    @click.option("-r", "--repository", metavar="URL", help="whose sources are probed; `none` to probe the URLs alone")
    @click.option("-d", "--destination", metavar="LABEL", help="where we are, as the repository calls it")
    @click.option("--on", "movers", metavar="all|MOVER,…", multiple=True, help="have these movers of the fleet measure")
    @click.option("--bytes", "most", type=click.IntRange(1), default=MOST, show_default=True, help="of each file at most")
    @click.option(
        "--seconds", type=click.FloatRange(0.1), default=LONGEST, show_default=True, help="for each candidate at most"
    )
    @click.option("--json", "as_json", is_flag=True, help="an object a line and candidate")
    @click.option("--insecure", is_flag=True, help="take any certificate")
    def probe(urls: tuple[str, ...], repository: str | None, destination: str | None, **given: Any) -> None:
        """Fetch the beginning of each test file (or of URLs) from each candidate, and report how fast it came."""
        if given["movers"]:
            if repository is not None or given["insecure"]:
                raise click.UsageError(
                    "With --on the movers measure, by their node's repository: no --repository, no --insecure."
                )
            raise SystemExit(tell(elsewhere(asked_of_movers(urls, destination, given)), given["as_json"]))
        base = repository if repository is not None else nearby()
        base = None if base == "none" else base
        if not urls and base is None:
            raise click.UsageError("Name URLs, or a repository with -r.")
        wishes = [Wish((url,)) for url in urls]
        options = FetchOptions(
            wishes, Path(), base, destination, False, given["as_json"], 1, Settings(), given["insecure"], None, False
        )
        bounds = given["most"], given["seconds"]
        raise SystemExit(launch(options, lambda means, clock: work(options, bounds, means, clock), None))

    return probe


async def work(options: FetchOptions, bounds: tuple[int, float], means: Means, clock: Any) -> int:
    """Probe all; 1 if a candidate gave nothing, or the repository no answer."""
    http = HttpRepository(means.http, clock, options.repository) if options.repository else None
    prober = Prober(means.tools(options.settings), http or NoRepository(), *bounds)
    found: list[Probed] = []
    try:
        urls = [wish.urls[0] for wish in options.wishes] or (await http.test_files() if http is not None else [])
        for answer, candidate in await prober.plan(urls, options.site):
            probed = await prober.probe(answer, candidate)
            found.append(probed)
            if options.as_json:
                click.echo(json.dumps(probed.as_json()))
    except Refusal as refusal:
        click.echo(f"ecpds: {refusal.sentence}", err=True)
        return 1
    if http is not None:
        await http.flush()
    if not options.as_json:
        show(found)
    return 0 if all(each.ok for each in found) else 1


def show(found: Sequence[Probed]) -> None:
    """A table, the fastest candidate first."""
    for each in sorted(found, key=lambda each: -each.rate):
        click.echo(line_of(each.as_json()))


def asked_of_movers(urls: Sequence[str], destination: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the verb `source probe`."""
    movers = [name for text in given["movers"] for name in text.split(",") if name]
    wanted = {"urls": list(urls), "movers": movers, "destination": destination}
    return {name: value for name, value in wanted.items() if value} | {"most": given["most"], "longest": given["seconds"]}


def tell(outcomes: Iterable[Mapping[str, Any]], as_json: bool) -> int:
    """Print each outcome of a mover when it is known; 1 if one failed."""
    failed = 0
    for each in outcomes:
        failed += not each["ok"]
        click.echo(json.dumps(each) if as_json else f"{each['mover']:20} {line_of(each)}")
    return 1 if failed else 0


def line_of(outcome: Mapping[str, Any]) -> str:
    """What came of one candidate."""
    what = f"failed: {outcome['reason']}"
    if outcome["ok"]:
        what = f"{outcome['rate'] / 1e6:10.2f} MB/s  {outcome['size']:>10} bytes  {outcome['seconds']:6.2f} s"
    return f"{outcome['source'] or '-':20} {outcome['mechanism'] or '-':8} {what}  {outcome['url'] or ''}".rstrip()
