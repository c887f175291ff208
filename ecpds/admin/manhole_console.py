"""One operator's console: keys from a terminal to lines, lines to the interpreter, its output to the terminal.

One thing runs at a time. What is typed meanwhile waits, Ctrl-C apart, which interrupts. Each command is in the log, before it
runs, with the key of who typed it, in one line of ASCII; a password that a verb is given is left out.
"""

from __future__ import annotations

import ast
import os.path
from collections import deque
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.admin.manhole_editor import CTRL_C, CTRL_D, CTRL_L, ENTER, TAB, Keys, Line
from ecpds.admin.manhole_interpreter import Interpreter
from ecpds.admin.manhole_output import Output
from ecpds.admin.manhole_runner import Runner
from ecpds.admin.manhole_verbs import Secrets, functions, secrets_of
from ecpds.errors import Refusal
from ecpds.interfaces import IThreads
from ecpds.limits import Limits

PROMPTS = (">>> ", "... ")

END = "end"
"""The key of a terminal that types nothing more."""

COLOURLESS = ("", "dumb")

HIDDEN = "***"

WRITTEN_OUT = ast.Constant | ast.JoinedStr


class ITerminal(Protocol):
    """The terminal that a console is in."""

    term: str
    width: int

    def write(self, data: bytes) -> None: ...

    def leave(self, status: int) -> None: ...


class Console:
    """A console for `who`. `extra` are names beside the verbs'; `greeting` is its first line."""

    log = Logger()

    def __init__(
        self,
        who: str,
        terminal: ITerminal,
        operator: Any,
        extra: Mapping[str, Any],
        threads: IThreads,
        reactor: IReactorFromThreads,
        limits: Limits,
        greeting: str,
    ) -> None:
        self._who = who
        self._terminal = terminal
        self._runner = Runner(threads, reactor)
        self._output = Output(reactor, self._show, limits.console_output)
        verbs = functions(operator, self._runner.ask, limits.console_rows)
        self._secrets = secrets_of([verb.verb for verb in verbs.values()])
        self._interpreter = Interpreter(verbs, extra, self._runner.ask, self._output, lambda: terminal.width, self._has_colours)
        self._longest = limits.console_line
        self._keys = Keys()
        self._line = Line(limits.console_line)
        self._lines: list[str] = []
        self._waiting: deque[str] = deque()
        self._busy = False
        self._open = True
        self._at_margin = True
        self._show(f"{greeting}\n")
        self._draw()

    # From the terminal

    def data_received(self, data: bytes) -> None:
        for key in self._keys.feed(data):
            if key == CTRL_C:
                self._interrupt()
            elif len(self._waiting) < self._longest:
                self._waiting.append(key)
        self._go_on()

    def eof_received(self) -> None:
        self._waiting.append(END)
        self._go_on()

    def resized(self) -> None:
        if not self._busy:
            self._draw()

    def closed(self) -> None:
        """What still runs is interrupted; nobody would see what comes of it."""
        self._open = False
        self._waiting.clear()
        self._runner.interrupt()
        self.log.info("{who} has left", who=self._who)

    # Keys

    def _go_on(self) -> None:
        """Take the keys that wait, until something runs."""
        pressed = False
        while self._waiting and not self._busy and self._open:
            pressed = True
            self._press(self._waiting.popleft())
        if pressed and not self._busy:
            self._draw()

    def _press(self, key: str) -> None:
        if key in ENTER:
            self._enter()
        elif key == TAB:
            self._start(self._complete())
        elif key == END or (key == CTRL_D and not self._line.text):
            self._leave()
        elif key == CTRL_L:
            self._write("\x1b[H\x1b[2J")
        else:
            self._line.press(key)

    def _interrupt(self) -> None:
        self._waiting.clear()
        if self._busy:
            self._runner.interrupt()
            self._show("^C")
        else:
            self._lines.clear()
            self._line.clear()
            self._show("^C\n")
            self._draw()

    def _enter(self) -> None:
        self._draw()
        self._lines.append(self._line.take())
        self._show("\n")
        source = "\n".join(self._lines)
        if len(source) > self._longest:
            self._lines.clear()
            self._show(f"That is longer than {self._longest} characters.\n")
        elif source.strip():
            self._start(self._run(source))
        else:
            self._lines.clear()

    def _leave(self) -> None:
        self._show("\n")
        self._open = False
        self._terminal.leave(0)

    # Running

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy = True
        Deferred.fromCoroutine(work).addErrback(self._failed).addBoth(self._ended)

    def _failed(self, failure: Failure) -> None:
        if isinstance(failure.value, Refusal):
            self._lines.clear()
            self._show(f"{failure.value}\n")
        else:
            self.log.failure("{who}: the console failed", failure, who=self._who)

    def _ended(self, _: object) -> None:
        self._busy = False
        if self._open:
            self._output.flush()
            if not self._at_margin:
                self._show("\n")
            self._draw()
            self._go_on()

    async def _run(self, source: str) -> None:
        prepared = await self._runner.run(self._prepare, source)
        if prepared.error is None and prepared.value is None:
            return
        self._lines.clear()
        if prepared.error is not None:
            self._show("\nThat can't be read.\n")
            return
        self.log.info("{who} typed {command}", who=self._who, command=prepared.value)
        self._output.begin()
        outcome = await self._runner.run(self._interpreter.execute, source)
        if isinstance(outcome.error, KeyboardInterrupt):
            self._output.flush()
            self._show("\nInterrupted.\n")
        elif outcome.error is not None:
            raise outcome.error
        elif outcome.value and self._open:
            self._leave()

    def _prepare(self, source: str) -> str | None:
        """On a thread: what the log says of a command; None where more of it is to come."""
        if not self._interpreter.is_complete(source):
            return None
        return ascii(without_secrets(source, self._secrets))

    async def _complete(self) -> None:
        before = self._line.text[: self._line.cursor]
        outcome = await self._runner.run(self._interpreter.completions, before)
        if outcome.error is not None:
            return
        start, names = outcome.value
        common = os.path.commonprefix(names)  # noqa: RUF071 - names, not paths
        if not names or (len(names) > 1 and not before.strip()):
            self._write("\a")
        elif len(names) == 1 or len(common) > len(start):
            self._line.insert(common[len(start) :])
        else:
            self._show("\n" + columns(names, self._terminal.width))

    # To the terminal

    def _has_colours(self) -> bool:
        return self._terminal.term not in COLOURLESS

    def _write(self, text: str) -> None:
        if self._open:
            self._terminal.write(text.encode("utf-8", "replace"))

    def _show(self, text: str) -> None:
        """Lines below what there is."""
        self._write(text.replace("\n", "\r\n"))
        self._at_margin = text.endswith("\n")

    def _draw(self) -> None:
        """The prompt and the line, and the cursor in it, over what stood in this row."""
        prompt = PROMPTS[bool(self._lines)]
        shown, column = self._line.view(max(1, self._terminal.width - len(prompt) - 1))
        coloured = f"\x1b[1;32m{prompt}\x1b[0m" if self._has_colours() else prompt
        self._write(f"\r{coloured}{shown}\x1b[K\r\x1b[{len(prompt) + column}C")


def columns(names: list[str], width: int) -> str:
    """Names side by side, as many as fit."""
    widest = max(map(len, names)) + 2
    each = max(1, width // widest)
    rows = [names[at : at + each] for at in range(0, len(names), each)]
    return "".join("".join(name.ljust(widest) for name in row).rstrip() + "\n" for row in rows)


def without_secrets(source: str, secrets: Mapping[str, Secrets]) -> str:
    """The source as the log may have it: what is written out as a secret argument of a verb, or in its place, is hidden."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _cut_at_secrets(source, secrets)
    hidden = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in secrets:
            hidden |= _hide(node, secrets[node.func.id])
    return ast.unparse(tree) if hidden else source


def _hide(call: ast.Call, secrets: Secrets) -> bool:
    """Hide the secrets of a verb's call; whether there were any."""
    hidden = False
    for argument in call.keywords:
        if argument.arg in secrets.names and isinstance(argument.value, WRITTEN_OUT):
            argument.value, hidden = ast.Constant(HIDDEN), True
    for place, value in enumerate(call.args):
        if place >= secrets.taken and isinstance(value, WRITTEN_OUT):
            call.args[place], hidden = ast.Constant(HIDDEN), True
    return hidden


def _cut_at_secrets(source: str, secrets: Mapping[str, Secrets]) -> str:
    """Of what is not Python, and so never runs, the part before the first secret: a verb's name may be followed by one."""
    ends = [source.find(name) for each in secrets.values() for name in each.names if name in source]
    ends += [source.find(name) + len(name) for name in secrets if name in source]
    return source[: min(ends)] + HIDDEN if ends else source
