"""The kinds of arguments that verbs take: how each is written on a command line, and what the JSON of it may be.

`from_text` turns what was typed into the JSON value and raises `ValueError`; `check` raises `InvalidRequest` for a JSON
value that is not of the kind. Both say what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import frozen

from ecpds.errors import InvalidRequest

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

_UNHOLDABLE = re.compile("[\x00\ud800-\udfff]")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw]?)", re.ASCII)


@frozen
class Kind:
    """`allowed` is what an operator reads; `repeated` kinds may be given several times on a command line."""

    name: str
    allowed: str
    fits: Callable[[Any], bool]
    from_text: Callable[[str], Any]
    repeated: bool = False

    def check(self, argument: str, value: Any) -> None:
        if not self.fits(value):
            raise InvalidRequest(f"{argument}; allowed: {self.allowed}")


def duration(text: str) -> float:
    """`30d`, `12h`, `90` (seconds) as seconds. Raises `ValueError`."""
    found = _DURATION.fullmatch(text)
    if found is None or not float(found[1]):
        raise ValueError(f"{text!r}; allowed: {SECONDS.allowed}")
    return float(found[1]) * UNITS[found[2] or "s"]


def whole(text: str) -> int:
    """A number of 1 or more. Raises `ValueError`."""
    if not re.fullmatch("[0-9]{1,18}", text, re.ASCII) or not int(text):
        raise ValueError(f"{text!r}; allowed: {NUMBER.allowed}")
    return int(text)


def pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE`, cut at the first `=`. Raises `ValueError`."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f"{text!r}; allowed: KEY=VALUE")
    return key, value


def yes_or_no(text: str) -> bool:
    """Raises `ValueError`."""
    if text not in ("yes", "no"):
        raise ValueError(f"{text!r}; allowed: {SWITCH.allowed}")
    return text == "yes"


def _is_text(value: Any) -> bool:
    """Text that a catalogue can hold: valid Unicode without NUL."""
    return isinstance(value, str) and _UNHOLDABLE.search(value) is None


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 < value < 10**18


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 1e12


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_pairs(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(word) for pair in value.items() for word in pair)


TEXT = Kind("text", "text", _is_text, str)
NUMBER = Kind("number", "a whole number of 1 or more", _is_number, whole)
SECONDS = Kind("seconds", "a time such as 30d, 12h, 45m or 90 (seconds)", _is_seconds, duration)
WORDS = Kind("words", "words, separated by commas", _is_words, lambda text: [word for word in text.split(",") if word], True)
PAIRS = Kind("pairs", "KEY=VALUE", _is_pairs, pair, True)
PASSWORD = Kind("password", "text", _is_text, str)
SWITCH = Kind("switch", "yes or no", lambda value: isinstance(value, bool), yes_or_no)
FLAG = Kind("flag", "true or false", lambda value: isinstance(value, bool), yes_or_no)
FILE = Kind("file", "the text of a file", _is_text, str)
