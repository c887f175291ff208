"""`ecpds`, composed: the verbs that ask a node, those for a catalogue that no node has open, and a fleet's invitation.

`tap` is the root of the daemon, this of the command line; they are the only files that see several rooms. The rooms of
the second kind are imported when their verb runs: the command line is to answer at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ecpds.admin.root import root

if TYPE_CHECKING:
    from ecpds.config import Config
    from ecpds.sources.fetch.command import FetchOptions, Told
    from ecpds.sources.fetch.outcomes import Task


def configuration() -> Config:
    """The one that `-c` names."""
    from ecpds.admin.cli import fail, find_config
    from ecpds.config import ConfigError, load

    try:
        return load(find_config(click.get_current_context().find_root().params["config"]))
    except ConfigError as error:
        fail(str(error))


def offline(work: Callable[[Config], str]) -> None:
    """Run `work` on what the configuration names, say what it says, or why it could not be done."""
    from ecpds.admin.cli import fail
    from ecpds.config import ConfigError
    from ecpds.errors import Refusal
    from ecpds.master.engine import CatalogueError

    try:
        click.echo(work(configuration()))
    except (CatalogueError, ConfigError, Refusal) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


@click.command()
def upgrade() -> None:
    """Bring the node's catalogue up to this program's schema. The node must not run; keep a copy of the catalogue first."""

    def work(config: Config) -> str:
        from ecpds.master.engine import head
        from ecpds.master.engines import engine_of

        engine = engine_of(config.catalogue.url, config.home)
        engine.open(upgrade=True, making=engine.must_be_there)
        engine.close()
        return f"{engine.name}: schema {head()}"

    offline(work)


@click.command()
@click.argument("url")
def copy(url: str) -> None:
    """Copy the node's catalogue to another one, at URL, which is made and must be empty. The node must not run.

    The node uses the copy when [catalogue] url in its configuration names it.
    """

    def work(config: Config) -> str:
        from ecpds.master.engines import engine_of
        from ecpds.master.moving import move

        source, target = engine_of(config.catalogue.url, config.home), engine_of(url, config.home)
        return f"{move(source, target)} rows copied from {source.name} to {target.name}"

    offline(work)


@click.command()
def token() -> None:
    """Print the line that lets a node join this Master: `ecpds cluster join` takes it. Whoever has it can join."""

    def work(config: Config) -> str:
        from ecpds.node.inviting import fleet_token

        return fleet_token(config)

    offline(work)


@click.command()
def join() -> None:
    """Take the line of `ecpds cluster token`, from standard input, so that this node can join when it is started."""

    def work(config: Config) -> str:
        from ecpds.node.inviting import take_token

        line = click.prompt("Token", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
        return take_token(config, line)

    offline(work)


class Late(click.Command):
    """A command whose room is imported when it is called."""

    def __init__(self, name: str, help: str, load: Callable[[], click.Command]) -> None:
        super().__init__(name, help=help)
        self._load = load

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        return self._load().make_context(*args, **options)


def nearby() -> str | None:
    """The repository of the node that `-c` names, where it runs and has a plain HTTP door on this machine."""
    if click.get_current_context().find_root().params["config"] is None:
        return None
    try:
        port = json.loads(configuration().path("ports.json").read_text("utf-8")).get("https_plain")
    except FileNotFoundError:
        return None
    return f"http://127.0.0.1:{port}/repository" if port else None


def into(options: FetchOptions, tasks: Sequence[Task], told: Told) -> None:
    """Have the node that `-c` names fetch files into its portal."""
    from ecpds.admin.client import Failed
    from ecpds.sources.fetch.into import Refused, into_portal

    client = node(click.get_current_context().find_root().params["config"])

    def ask(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return next(iter(client.ask("acquire/fetch", arguments)))
        except Failed as error:
            raise Refused(str(error)) from error

    into_portal(tasks, options.user or "", ask, options.at_once, told.ended)


def fetch() -> click.Command:
    from ecpds.node.quickly import quickly, work
    from ecpds.sources.fetch.command import fetch_command

    return fetch_command(quickly, work, into, nearby)


def probe() -> click.Command:
    from ecpds.node.fetching import launch
    from ecpds.sources.fetch.probe_command import probe_command

    def elsewhere(arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        from ecpds.admin.cli import fail
        from ecpds.admin.client import Failed

        try:
            yield from node(click.get_current_context().find_root().params["config"]).ask("source/probe", arguments)
        except Failed as error:
            fail(str(error))

    return probe_command(launch, nearby, elsewhere)


class Whole(click.Group):
    """All commands; what makes them is imported for any but `fetch`, which is to be done before that were."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "fetch":
            self._fill()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._fill()
        return super().list_commands(ctx)

    def _fill(self) -> None:
        if "source" in self.commands:
            return
        from ecpds.admin.cli import add_verbs, subgroup

        add_verbs(self)
        for word, commands in (("catalogue", (upgrade, copy)), ("cluster", (token, join))):
            for command in commands:
                subgroup(self, word).add_command(command)
        subgroup(self, "source").add_command(Late("probe", "Measure how fast each candidate is.", probe))


def node(config: str | None) -> Any:
    from ecpds.admin.cli import node_client

    return node_client(config)


main = root(node, Whole)
main.add_command(Late("fetch", "Fetch files, each from where it is had fastest.", fetch))

if __name__ == "__main__":
    main(prog_name="ecpds")
