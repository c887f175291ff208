"""Runs what an operator types, as Python: on a thread, with its own `print` and `help`, and the verbs as functions.

The value of the last expression is shown, and is `_` afterwards; one that must be waited for (a coroutine, a Deferred) is
waited for. A refusal is one sentence; any other exception is a traceback.
"""

from __future__ import annotations

import ast
import builtins
import codeop
import keyword
import pydoc
import re
import traceback
from collections.abc import Callable, Mapping
from inspect import iscoroutine, signature
from typing import Any, NoReturn

from twisted.internet.defer import Deferred

from ecpds.admin.manhole_output import Output, harmless, rendered
from ecpds.admin.manhole_verbs import Ask, Function
from ecpds.errors import Refusal

FILE = "<console>"

RED, PLAIN = "\x1b[31m", "\x1b[0m"

_DOTTED = re.compile(r"(?:[^\W\d]\w*\.)*(?:[^\W\d]\w*)?$")

MOST_NAMES = 500
"""Names that a completion may offer."""

HOW_TO = """\
A Python console inside of the node. What you type runs on a thread of its own; the verbs below ask the node.

  help(NAME)        what a verb, or anything else of Python, is about
  _                 the last value
  in_reactor(f, *a) call a function where the node's own objects may be touched, and wait for its result
  Tab               completes names and attributes          Up, Down   lines typed before
  Ctrl-C            interrupts what runs                    Ctrl-D     leaves

A coroutine or a Deferred is waited for; it runs in the reactor, and Ctrl-C only ends the wait. What modules write to
sys.stdout goes to the log.
"""


class Interpreter:
    """One operator's Python. `extra` are more names; `width` says how wide the terminal is."""

    def __init__(
        self,
        verbs: Mapping[str, Function],
        extra: Mapping[str, Any],
        ask: Ask,
        output: Output,
        width: Callable[[], int],
        colours: Callable[[], bool],
    ) -> None:
        self._verbs = verbs
        self._ask = ask
        self._output = output
        self._width = width
        self._colours = colours
        self._builtins = {
            **vars(builtins),
            "print": self._print,
            "help": self._help,
            "input": _no_input,
            "breakpoint": _no_input,
            "exit": _leave,
            "quit": _leave,
        }
        self.names: dict[str, Any] = {
            "__name__": "__console__",
            "__builtins__": self._builtins,
            **extra,
            **verbs,
            "in_reactor": self._in_reactor,
        }

    # What is typed

    def is_complete(self, source: str) -> bool:
        """Whether this can be run, or never will be; otherwise another line is needed."""
        try:
            return codeop.compile_command(source, FILE, "single") is not None
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
            return True

    def execute(self, source: str) -> bool:
        """Run it and write what comes of it. Returns whether the operator wants to leave. Raises `KeyboardInterrupt`."""
        try:
            self._execute(source)
        except SystemExit:
            return True
        except Refusal as refusal:
            self._say(refusal.sentence)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._output.print(described(error))
        return False

    def _execute(self, source: str) -> None:
        tree = ast.parse(source, FILE)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, FILE, "exec"), self.names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), FILE, "eval"), self.names)
            if iscoroutine(value) or isinstance(value, Deferred):
                value = self._ask(lambda: value)
            if value is not None:
                self.names["_"] = value
                self._output.put(rendered(value, self._width(), self._colours()))

    def _say(self, sentence: str) -> None:
        """A refusal."""
        text = harmless(" ".join(sentence.split()))
        self._output.put(f"{RED}{text}{PLAIN}\n" if self._colours() else f"{text}\n")

    # The names that are ours

    def _print(
        self, *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
    ) -> None:
        """print() of the console."""
        if file is not None:
            print(*values, sep=sep, end=end, file=file, flush=flush)
            return
        between, after = " " if sep is None else sep, "\n" if end is None else end
        self._output.print(between.join(map(str, values)) + after)

    def _in_reactor(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in the reactor, and wait for its result, a Deferred's or a coroutine's included."""
        return self._ask(lambda: function(*args, **kwargs))

    def _help(self, *things: object) -> None:
        """What there is; or what each of these is about."""
        if not things:
            self._output.print(HOW_TO + "\n" + self._verb_list())
        for thing in things:
            name = getattr(thing, "__name__", "")
            if self._verbs.get(name) is thing:
                self._output.print(f"{name}{signature(self._verbs[name])}\n{thing.__doc__}\n")
            else:
                self._output.print(pydoc.plain(pydoc.render_doc(thing)))

    def _verb_list(self) -> str:
        calls = {f"{name}{signature(verb)}": verb.verb.help for name, verb in sorted(self._verbs.items())}
        return "".join(f"  {call}\n      {help}\n" for call, help in calls.items())

    # Completion

    def completions(self, text: str) -> tuple[str, list[str]]:
        """What the word at the end of `text` has so far, and the names that it may become."""
        found = _DOTTED.search(text)
        *path, start = found[0].split(".") if found else [""]
        if path:
            names = self._attributes(path)
        else:
            names = {*self.names, *self._builtins, *keyword.kwlist}
        hidden = not start.startswith("_")
        fitting = sorted(name for name in names if name.startswith(start) and not (hidden and name.startswith("_")))
        return start, fitting[:MOST_NAMES]

    def _attributes(self, path: list[str]) -> set[str]:
        """The attributes of what a dotted name means; none where it means nothing, or doesn't say."""
        try:
            thing = self.names.get(path[0], self._builtins.get(path[0], _MISSING))
            for name in path[1:]:
                thing = getattr(thing, name)
            return set() if thing is _MISSING else {name for name in dir(thing) if isinstance(name, str)}
        except Exception:
            return set()


_MISSING = object()


def described(error: BaseException) -> str:
    """A traceback from where the operator's own code begins."""
    where = error.__traceback__
    while where is not None and where.tb_frame.f_code.co_filename != FILE:
        where = where.tb_next
    return "".join(traceback.format_exception(type(error), error, where))


def _no_input(*_: object) -> NoReturn:
    """There is nothing to read from."""
    raise RuntimeError("the console has no input")


def _leave(*_: object) -> NoReturn:
    """Leave the console."""
    raise SystemExit
