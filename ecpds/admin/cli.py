"""`ecpds`: the command line, made from the table of verbs. It finds its node by the configuration and asks it.

Exit status: 0 done, 1 refused or failed with one sentence on standard error, 2 wrong usage. Answers go to standard
output: with `--json` an object a line as the node sent them, otherwise as tables.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import click

from ecpds.admin.kinds import FILE, FLAG, PAIRS, PASSWORD, WORDS, Kind
from ecpds.admin.root import root
from ecpds.admin.verb import Argument, Verb
from ecpds.admin.verbs import VERBS
from ecpds.errors import Refusal

DEFAULT = Path("conf/ecpds.toml")

LAST = 10
"""Objects of a list that is followed which are shown first."""

PAUSE = 1.0
"""Seconds between two questions whether there is more."""

SUBJECTS = {
    "acquire": "Remote folders that are watched, and what is new in them put into a destination.",
    "catalogue": "The catalogue of a node that does not run: upgrade it, copy it to another engine.",
    "cluster": "How a node comes into a fleet.",
    "destination": "Destinations, S3's buckets: what is kept, how long, in how many copies.",
    "file": "Stored files: show them with their digests and copies, list, remove.",
    "mover": "Data movers: list, drain, retire.",
    "option": "The options of users, policies and destinations.",
    "policy": "Policies: destinations, permissions and options for many users.",
    "scrub": "Stored bytes that are compared with their digests, in the background.",
    "share": "Links by which others get at a file or a folder.",
    "source": "Data sources: from where, and how, a file is fetched fastest.",
    "transfer": "Transfers that are under way.",
    "user": "Users, their passwords, SSH keys and S3 access keys.",
}
"""What `--help` says of the words that verbs begin with."""

CHECKOUT = Path(__file__).resolve().parent.parent.parent


class Client(Protocol):
    """What can be asked."""

    def ask(self, verb: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]: ...


def find_config(given: str | None) -> Path:
    """The configuration that is meant: the one named, or the default's in this folder, or beside the package."""
    if given is not None:
        return Path(given)
    return DEFAULT if DEFAULT.is_file() else CHECKOUT / DEFAULT


def node_client(given: str | None) -> Client:
    from ecpds.admin.client import NodeClient
    from ecpds.config import ConfigError, load

    try:
        return NodeClient(load(find_config(given)).home)
    except ConfigError as error:
        fail(str(error))


def fail(sentence: str) -> NoReturn:
    """One sentence, however many lines it came in and whatever a terminal would obey, and exit status 1."""
    line = " ".join(sentence.split())
    click.echo(line if line.isprintable() else ascii(line)[1:-1], err=True)
    raise SystemExit(1)


def fail_to_write(error: OSError) -> NoReturn:
    """Standard output takes no more. Who reads it may have seen enough: then click ends without a word."""
    if isinstance(error, BrokenPipeError):
        raise error
    fail(f"The answer can't be written: {error.strerror}.")


class KindType(click.ParamType):  # type: ignore[type-arg]
    """A kind of argument as click has it: text that is not of the kind is wrong usage."""

    def __init__(self, kind: Kind) -> None:
        self.name = kind.name
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._kind.from_text(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parameter(argument: Argument) -> click.Parameter:
    """An argument of the table as an argument or option of a command."""
    if argument.kind in (PASSWORD, FLAG):
        return click.Option([argument.option, argument.name], is_flag=True, help=argument.help)
    kind: Any = click.Choice(argument.choices) if argument.choices else KindType(argument.kind)
    if argument.kind is FILE:
        kind = click.File("r", encoding="utf-8")
    if argument.positional:
        metavar = None if argument.choices else shown_name(argument)
        return click.Argument([argument.name], type=kind, required=argument.required, metavar=metavar)
    repeated = argument.kind.repeated
    metavar = "KEY=VALUE" if argument.kind is PAIRS else None
    return click.Option([argument.option, argument.name], type=kind, multiple=repeated, metavar=metavar, help=argument.help)


def shown_name(argument: Argument) -> str:
    return (argument.flag or argument.name).upper()


def json_value(argument: Argument, value: Any, wanted: Mapping[str, Any]) -> Any:
    """What goes to the node for what click has read; None for what was not given."""
    if argument.kind is PASSWORD:
        return read_password(bool(value), wanted)
    if argument.kind is FLAG:
        return value or None
    if argument.kind is FILE:
        return None if value is None else read_file(value)
    if argument.kind is WORDS:
        return [word for words in value for word in words] if value else None
    if argument.kind is PAIRS:
        return dict(value) or None
    return value


def read_file(file: Any) -> str:
    try:
        return str(file.read())
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file.name} can't be read: {error}")


def read_password(from_input: bool, wanted: Mapping[str, Any]) -> str | None:
    """From standard input, one line; or asked for at a terminal; or none: then the user can't log in with one."""
    if from_input:
        line = sys.stdin.buffer.readline()
        try:
            return line.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            fail("The password is not UTF-8.")
    if sys.stdin.isatty() and wanted.get("mode") in (None, "standard"):
        question = "Password (empty: none)"
        return click.prompt(question, "", hide_input=True, confirmation_prompt=True, show_default=False, err=True) or None
    return None


def command(verb: Verb) -> click.Command:
    """The command of a verb."""

    def run(as_json: bool, follow: bool = False, **given: Any) -> None:
        client = click.get_current_context().obj()
        values = {argument.name: json_value(argument, given[argument.name], given) for argument in verb.arguments}
        arguments = {name: value for name, value in values.items() if value is not None}
        if follow:
            follow_list(client, verb, arguments, as_json)
        ask(client, verb, arguments, as_json)

    parameters = [parameter(argument) for argument in verb.arguments]
    parameters.append(click.Option(["--json", "as_json"], is_flag=True, help="an object a line"))
    if verb.follows:
        parameters.append(click.Option(["--follow"], is_flag=True, help="go on with what comes, until interrupted"))
    return click.Command(verb.words[-1], params=parameters, callback=run, help=verb.help)


def ask(client: Client, verb: Verb, arguments: Mapping[str, Any], as_json: bool) -> None:
    """Ask the node and show what it says."""
    from ecpds.admin.client import Failed

    try:
        show(client.ask("/".join(verb.words), arguments), verb, as_json)
    except (Failed, Refusal) as failure:
        fail(str(failure))
    except OSError as error:
        fail_to_write(error)


def follow_list(client: Client, verb: Verb, arguments: Mapping[str, Any], as_json: bool) -> NoReturn:
    """The last few objects of a list, oldest first, and then what comes, asked for once a second."""
    from ecpds.admin.client import Failed

    path, bounded = "/".join(verb.words), {"limit", "since", "after"} & set(arguments)
    rest = {name: value for name, value in arguments.items() if name not in ("limit", "after")}
    try:
        found = list(client.ask(path, dict(arguments) if bounded else {**arguments, "limit": LAST}))
        found = found if "after" in arguments else found[::-1]
        place = arguments.get("after", 1)
        while True:
            show(iter(found), verb, as_json)
            place = max([place, *(each[verb.follows] for each in found)])
            sys.stdout.flush()
            time.sleep(PAUSE)
            found = list(client.ask(path, {**rest, "after": place}))
    except (Failed, Refusal) as failure:
        fail(str(failure))
    except OSError as error:
        fail_to_write(error)


def show(objects: Iterator[dict[str, Any]], verb: Verb, as_json: bool) -> None:
    if as_json:
        for each in objects:
            click.echo(json.dumps(each))
        return
    from rich.console import Console

    from ecpds.admin.show import show_list, show_one

    # What is read by a program is not cut to a terminal's width.
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, markup=False)
    if verb.many:
        show_list(console, objects, verb.columns)
    else:
        show_one(console, next(objects))


def build(connect: Callable[[str | None], Client], verbs: Sequence[Verb] = VERBS) -> click.Group:
    """The whole command line; `connect` gives the node for what `-c` named."""
    ecpds = root(connect)
    add_verbs(ecpds, verbs)
    return ecpds


def add_verbs(ecpds: click.Group, verbs: Sequence[Verb] = VERBS) -> None:
    """The verbs of the table, each under the words before it."""
    for verb in verbs:
        group: click.Group = ecpds
        for word in verb.words[:-1]:
            group = subgroup(group, word)
        group.add_command(command(verb))


def subgroup(group: click.Group, word: str) -> click.Group:
    found = group.commands.get(word)
    if not isinstance(found, click.Group):
        found = click.Group(word, help=SUBJECTS[word])
        group.add_command(found)
    return found


main = build(node_client)

if __name__ == "__main__":
    main(prog_name="ecpds")
