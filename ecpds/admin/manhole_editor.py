"""Typing one line: bytes of a terminal into keys, keys into a line with a cursor and a history. Pure; nothing is written.

Keys are characters: a printable one is itself, a control character is what Ctrl makes of a letter. Those that a terminal
sends as sequences (ECMA-48, xterm) have names of more than one character.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator

from rich.cells import cell_len

CTRL_C, CTRL_D, CTRL_L, TAB, BACKSPACE = "\x03", "\x04", "\x0c", "\t", "\x7f"
ENTER = frozenset("\r\n")
ESCAPE = "\x1b"

SEQUENCE = re.compile("\x1b(?:\\[[0-9;?]*[ -/]*[@-~]|O.|[^\\[O])", re.DOTALL)

NAMED = {
    "[A": "up",
    "[B": "down",
    "[C": "right",
    "[D": "left",
    "[H": "home",
    "[F": "end",
    "OA": "up",
    "OB": "down",
    "OC": "right",
    "OD": "left",
    "OH": "home",
    "OF": "end",
    "[1~": "home",
    "[3~": "delete",
    "[4~": "end",
    "[7~": "home",
    "[8~": "end",
    "[1;5C": "word-right",
    "[1;5D": "word-left",
    "f": "word-right",
    "b": "word-left",
}

LONGEST_SEQUENCE = 32

REMEMBERED = 1000
"""Lines of history."""

WORD = re.compile(r"\w+\W*$")
NEXT_WORD = re.compile(r"\W*\w+")


class Keys:
    """What comes from a terminal, as keys. Sequences that mean nothing here are dropped."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""

    def feed(self, data: bytes) -> Iterator[str]:
        text = self._pending + self._decoder.decode(data)
        self._pending = ""
        at = 0
        while at < len(text):
            if text[at] != ESCAPE:
                yield text[at]
                at += 1
                continue
            found = SEQUENCE.match(text, at)
            if found is None and len(text) - at < LONGEST_SEQUENCE:
                self._pending = text[at:]
                return
            if found is not None and found[0][1:] in NAMED:
                yield NAMED[found[0][1:]]
            at = found.end() if found is not None else at + 1


class Line:
    """One line being typed, `longest` characters at most."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self.text = ""
        self.cursor = 0
        self._history: list[str] = []
        self._place = 0
        self._draft = ""
        self._editing: dict[str, Callable[[], None]] = {
            "left": lambda: self._move(self.cursor - 1),
            "right": lambda: self._move(self.cursor + 1),
            "home": lambda: self._move(0),
            "end": lambda: self._move(len(self.text)),
            "word-left": lambda: self._move(self._word_start()),
            "word-right": lambda: self._move(self._word_end()),
            "up": lambda: self._recall(self._place - 1),
            "down": lambda: self._recall(self._place + 1),
            "delete": lambda: self._cut(self.cursor, self.cursor + 1),
            BACKSPACE: lambda: self._cut(self.cursor - 1, self.cursor),
            "\x0b": lambda: self._cut(self.cursor, len(self.text)),
            "\x15": lambda: self._cut(0, self.cursor),
            "\x17": lambda: self._cut(self._word_start(), self.cursor),
        }
        same = {"\x02": "left", "\x06": "right", "\x01": "home", "\x05": "end", "\x10": "up", "\x0e": "down", "\x08": BACKSPACE}
        self._editing |= {key: self._editing[name] for key, name in same.items()}
        self._editing[CTRL_D] = self._editing["delete"]

    def press(self, key: str) -> None:
        """An editing key or a character; any other key does nothing."""
        action = self._editing.get(key)
        if action is not None:
            action()
        elif key.isprintable() and len(key) == 1:
            self.insert(key)

    def insert(self, text: str) -> None:
        text = text[: self._longest - len(self.text)]
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)

    def take(self) -> str:
        """The whole line, which goes into the history; an empty one begins."""
        text = self.text
        if text.strip() and self._history[-1:] != [text]:
            self._history = [*self._history, text][-REMEMBERED:]
        self.clear()
        return text

    def clear(self) -> None:
        self.text, self.cursor, self._draft = "", 0, ""
        self._place = len(self._history)

    def view(self, width: int) -> tuple[str, int]:
        """What of the line fits into `width` cells, the cursor included, and the cursor's column."""
        start = 0
        while cell_len(self.text[start : self.cursor]) >= width:
            start += max(1, (self.cursor - start) // 2)
        end = len(self.text)
        while cell_len(self.text[start:end]) > width:
            end = min(end - 1, start + width)
        return self.text[start:end], cell_len(self.text[start : self.cursor])

    def _move(self, place: int) -> None:
        self.cursor = max(0, min(place, len(self.text)))

    def _cut(self, start: int, end: int) -> None:
        start = max(0, start)
        self.text = self.text[:start] + self.text[end:]
        self.cursor = start

    def _word_start(self) -> int:
        found = WORD.search(self.text, 0, self.cursor)
        return found.start() if found else 0

    def _word_end(self) -> int:
        found = NEXT_WORD.match(self.text, self.cursor)
        return found.end() if found else len(self.text)

    def _recall(self, place: int) -> None:
        """Put another line of the history here; past the last one is what was being typed."""
        if not 0 <= place <= len(self._history):
            return
        if self._place == len(self._history):
            self._draft = self.text
        self._place = place
        self.text = self._draft if place == len(self._history) else self._history[place]
        self.cursor = len(self.text)
