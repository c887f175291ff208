"""A verb: one thing that an operator can do, and its arguments, as the API and the command line both read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ecpds.admin.kinds import TEXT, Kind
from ecpds.errors import InvalidRequest

if TYPE_CHECKING:  # the command line knows the façade's methods by name, and starts faster without its libraries
    from ecpds.portal.operator import Operator

ARGUMENTS = 1 << 16
"""Bytes that the arguments of a verb may have, as JSON, where it says no more."""


@frozen
class Argument:
    """One argument: its name in JSON and in the façade, its kind, and how a command line has it.

    A positional argument is required unless it is `optional`. `flag` is the option's name without dashes, where it is not
    the argument's.
    """

    name: str
    kind: Kind = TEXT
    help: str = ""
    positional: bool = False
    flag: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False

    @property
    def required(self) -> bool:
        return self.positional and not self.optional

    @property
    def option(self) -> str:
        return f"--{self.flag or self.name}"


@frozen
class Verb:
    """One thing an operator can do. `words` are what is typed, and the end of the URL; `many` answers a list of objects.

    `columns` are what a table for people shows of each; none means everything. A list that grows has an argument `after`,
    and `follows` is the field of an object that it takes: such a list can be followed. `most` is how many bytes its
    arguments may have. The objects of a `live` list are sent one by one, for each takes its time. A `local` verb is
    answered by the node that is asked, whatever its roles; the others by the Master.
    """

    words: tuple[str, ...]
    help: str
    method: Callable[[Operator], Callable[..., Any]]
    arguments: tuple[Argument, ...] = ()
    many: bool = False
    columns: tuple[str, ...] = ()
    follows: str = ""
    most: int = ARGUMENTS
    local: bool = False
    live: bool = False

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
            elif argument.required:
                raise InvalidRequest(f"{self.name} needs {argument.name}")
        return {name: value for name, value in given.items() if value is not None}


def named(name: str, help: str) -> Argument:
    """A positional argument that is text."""
    return Argument(name, TEXT, help, positional=True)
