"""What operators can do: one table, which the API and the command line both read, so each verb is written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ecpds.admin.kinds import FILE, NUMBER, PAIRS, PASSWORD, SECONDS, TEXT, WORDS, Kind
from ecpds.errors import InvalidRequest
from ecpds.model import MODES, PERMISSIONS

if TYPE_CHECKING:  # the command line knows the façade's methods by name, and starts faster without its libraries
    from ecpds.portal.operator import Operator


@frozen
class Argument:
    """One argument: its name in JSON and in the façade, its kind, and how a command line has it.

    A positional argument is required. `flag` is the option's name without dashes, where it is not the argument's.
    """

    name: str
    kind: Kind = TEXT
    help: str = ""
    positional: bool = False
    flag: str = ""
    choices: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        return f"--{self.flag or self.name}"


@frozen
class Verb:
    """One thing an operator can do. `words` are what is typed, and the end of the URL; `many` answers a list of objects.

    `columns` are what a table for people shows of each; none means everything.
    """

    words: tuple[str, ...]
    help: str
    method: Callable[[Operator], Callable[..., Any]]
    arguments: tuple[Argument, ...] = ()
    many: bool = False
    columns: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return " ".join(self.words)

    def arguments_of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON arguments, checked. Raises `InvalidRequest`, one sentence that says which one is wrong."""
        known = {argument.name: argument for argument in self.arguments}
        for name in given:
            if name not in known:
                raise InvalidRequest(f"{name} is not an argument of {self.name}; allowed: {', '.join(known) or 'none'}")
        for argument in self.arguments:
            if given.get(argument.name) is not None:
                argument.kind.check(argument.name, given[argument.name])
            elif argument.positional:
                raise InvalidRequest(f"{self.name} needs {argument.name}")
        return {name: value for name, value in given.items() if value is not None}


def _name(name: str, help: str) -> Argument:
    return Argument(name, TEXT, help, positional=True)


VERBS = (
    Verb(
        ("destination", "add"),
        "Add a destination.",
        lambda operator: operator.add_destination,
        (
            _name("name", "the destination's name"),
            Argument("copies", NUMBER, "how many movers keep each file"),
            Argument("group", TEXT, "the transfer group that stores it"),
            Argument("lifetime", SECONDS, "how long files are kept, such as 30d"),
            Argument("options", PAIRS, "digests=sha256,md5, digest_when=inline or after, or any other", flag="option"),
        ),
    ),
    Verb(
        ("destination", "list"),
        "List the destinations.",
        lambda operator: operator.list_destinations,
        many=True,
        columns=("name", "copies", "group", "lifetime", "digests", "digest_when", "created"),
    ),
    Verb(
        ("destination", "show"),
        "Show one destination.",
        lambda operator: operator.show_destination,
        (_name("name", "the destination's name"),),
    ),
    Verb(
        ("user", "add"),
        "Add a user.",
        lambda operator: operator.add_user,
        (
            _name("login", "the name to log in with"),
            Argument("password", PASSWORD, "read the password from standard input", flag="password-stdin"),
            Argument("mode", TEXT, "how the user logs in", choices=MODES),
            Argument("destinations", WORDS, "a destination that the user may see", flag="destination"),
            Argument("permissions", WORDS, f"any of {','.join(PERMISSIONS)}; all if not given", flag="permission"),
            Argument("options", PAIRS, "portal.KEY=VALUE", flag="option"),
        ),
    ),
    Verb(
        ("user", "list"),
        "List the users.",
        lambda operator: operator.list_users,
        many=True,
        columns=("login", "mode", "enabled", "destinations", "permissions", "last_login"),
    ),
    Verb(
        ("user", "show"),
        "Show one user.",
        lambda operator: operator.show_user,
        (_name("login", "the user's name"),),
    ),
    Verb(
        ("user", "key"),
        "Add an SSH public key to a user.",
        lambda operator: operator.change_key,
        (
            _name("login", "the user's name"),
            Argument("action", TEXT, "what to do", positional=True, choices=("add",)),
            Argument("key", FILE, "a file with one public key, as ssh-keygen writes it", positional=True, flag="pubkeyfile"),
        ),
    ),
    Verb(
        ("file", "show"),
        "Show a file: its id, size, digests, and where its copies are.",
        lambda operator: operator.show_file,
        (_name("path", "/DESTINATION/PATH"),),
    ),
    Verb(
        ("file", "ls"),
        "List a directory.",
        lambda operator: operator.list_files,
        (_name("path", "/DESTINATION/PATH/"),),
        many=True,
        columns=("size", "mtime", "path", "id", "copies"),
    ),
    Verb(
        ("file", "rm"),
        "Remove a file.",
        lambda operator: operator.remove_file,
        (_name("path", "/DESTINATION/PATH"),),
    ),
    Verb(
        ("events",),
        "Show the records of transfers (INH) and of refusals (DEA), the newest first.",
        lambda operator: operator.list_events,
        (
            Argument("type", TEXT, "only records of this type, such as INH"),
            Argument("limit", NUMBER, "at most so many"),
        ),
        many=True,
        columns=("Type", "TimeStamp", "UserId", "Action", "DestinationName", "FileName", "BytesSent", "Status", "Message"),
    ),
    Verb(("mover", "list"), "List the data movers and their volumes.", lambda operator: operator.list_movers, many=True),
    Verb(("status",), "Show how the node is.", lambda operator: operator.status),
)

BY_PATH = {"/".join(verb.words): verb for verb in VERBS}
