"""The operators' verbs as Python functions, made from the table that the API and the command line read.

`destination add NAME` is `add_destination("NAME")`, `destination list` is `destinations()`, `destination show NAME` is
`destination("NAME")`. What a command line takes as an argument comes first, options by name. Lists and single things come
back as Python lists and dicts, which the console shows as tables.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from inspect import Parameter, Signature
from typing import Any, Protocol

from attrs import frozen

from ecpds.admin.kinds import FILE, PAIRS, PASSWORD, WORDS
from ecpds.admin.verb import Argument, Verb
from ecpds.admin.verbs import VERBS
from ecpds.errors import InvalidRequest

Ask = Callable[[Callable[[], Any]], Any]
"""Call something in the reactor and wait for what it returns."""

LISTS, SHOWS = ("list", "ls"), "show"

NAMES: dict[tuple[str, ...], str] = {
    ("user", "key"): "user_key",
    ("user", "s3key"): "user_s3key",
    ("user", "totp"): "user_totp",
    ("mover", "drain"): "drain",
    ("mover", "undrain"): "undrain",
    ("mover", "retire"): "retire",
}
"""The names that read better than those of the rule."""


class Rows(list[dict[str, Any]]):
    """A list of objects. `columns` are what a table shows of them, `more` says that these are not all."""

    def __init__(self, rows: Sequence[dict[str, Any]], columns: Sequence[str], more: bool) -> None:
        super().__init__(rows)
        self.columns = columns
        self.more = more


class Record(dict[str, Any]):
    """One object."""


@frozen
class Secrets:
    """The names of a function's arguments that are secrets, which are never positional. What is given by position behind
    its first `taken` arguments it doesn't take; it may be such a secret."""

    names: frozenset[str]
    taken: int


class Function(Protocol):
    """A verb as a function. Raises `InvalidRequest` for arguments that it does not take."""

    verb: Verb

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


def function_name(words: Sequence[str]) -> str:
    """What a verb is called in Python."""
    given = NAMES.get(tuple(words))
    if given is not None:
        return given
    *nouns, last = (word.replace("-", "_") for word in words)
    noun = "_".join(nouns)
    if not noun:
        return last
    if last == SHOWS:
        return noun
    if last in LISTS:
        return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{last}_{noun}"


def parameter_name(argument: Argument) -> str:
    """As the command line calls it; what a flag there reads from a file or a terminal has its own name."""
    read_elsewhere = argument.kind in (FILE, PASSWORD)
    return argument.flag.replace("-", "_") if argument.flag and not read_elsewhere else argument.name


def json_value(argument: Argument, value: Any) -> Any:
    """What the verb takes for what was typed: text as a command line has it, or a value of Python. Raises `InvalidRequest`."""
    kind = argument.kind
    if isinstance(value, tuple | set | frozenset) and kind is WORDS:
        return list(value)
    if not isinstance(value, str) or kind in (FILE, PASSWORD):
        return value
    try:
        typed = kind.from_text(value)
    except ValueError as error:
        raise InvalidRequest(f"{parameter_name(argument)} {error}") from error
    return dict([typed]) if kind is PAIRS else typed


def signature(verb: Verb) -> Signature:
    first = [
        Parameter(
            parameter_name(argument), Parameter.POSITIONAL_OR_KEYWORD, default=Parameter.empty if argument.required else None
        )
        for argument in verb.arguments
        if argument.positional
    ]
    options = [
        Parameter(parameter_name(argument), Parameter.KEYWORD_ONLY, default=None)
        for argument in verb.arguments
        if not argument.positional
    ]
    return Signature([*first, *options])


def documentation(verb: Verb) -> str:
    """The verb's help and that of its arguments."""
    lines = [verb.help]
    for argument in verb.arguments:
        allowed = f" ({', '.join(argument.choices)})" if argument.choices else ""
        help = "the key, as the line that ssh-keygen writes" if argument.kind is FILE else argument.help
        help = "the password; it is left out of the log" if argument.kind is PASSWORD else help
        lines.append(f"    {parameter_name(argument)}: {help}{allowed}")
    return "\n".join(lines)


def make_function(verb: Verb, operator: Any, ask: Ask, rows: int) -> Function:
    """The function of a verb over an operator's façade; of a list it gives `rows` objects at most."""
    shape, name = signature(verb), function_name(verb.words)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = shape.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise InvalidRequest(f"{name}: {error}; it is {name}{shape}") from error
        values = {
            argument.name: json_value(argument, given[parameter_name(argument)])
            for argument in verb.arguments
            if given.get(parameter_name(argument)) is not None
        }
        arguments = verb.arguments_of(values)
        method = verb.method(operator)
        if verb.many:
            return ask(lambda: collect(method(**arguments), verb.columns, rows))
        return Record(ask(lambda: method(**arguments)))

    function: Any = call
    function.__name__ = function.__qualname__ = name
    function.__doc__ = documentation(verb)
    function.__signature__ = shape
    function.verb = verb
    made: Function = function
    return made


async def collect(objects: AsyncIterator[dict[str, Any]], columns: Sequence[str], most: int) -> Rows:
    """The first `most` objects."""
    found: list[dict[str, Any]] = []
    async for each in objects:
        if len(found) == most:
            return Rows(found, columns, True)
        found.append(each)
    return Rows(found, columns, False)


def functions(operator: Any, ask: Ask, rows: int, verbs: Sequence[Verb] = VERBS) -> dict[str, Function]:
    """Every verb, by its name in Python."""
    return {function_name(verb.words): make_function(verb, operator, ask, rows) for verb in verbs}


def secrets_of(verbs: Sequence[Verb] = VERBS) -> dict[str, Secrets]:
    """The functions that take secrets, by name."""
    found = {}
    for verb in verbs:
        names = frozenset(parameter_name(argument) for argument in verb.arguments if argument.kind is PASSWORD)
        if names:
            found[function_name(verb.words)] = Secrets(names, sum(argument.positional for argument in verb.arguments))
    return found
