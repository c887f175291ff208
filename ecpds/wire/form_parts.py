"""A browser's form with any number of files: multipart/form-data (RFC 7578, over RFC 2046 section 5.1).

Names are encoded as the HTML standard says (https://html.spec.whatwg.org/#multipart-form-data). Pure: bytes are fed, and
parts are cut out where they stand.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from attrs import frozen

HEAD_BYTES = 8192
"""Bytes of what stands before the content of one part."""

_NAME = re.compile(r'; *name="([^"]*)"', re.I)
_FILENAME = re.compile(r'; *filename="([^"]*)"', re.I)
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}


@frozen
class Field:
    """The head of a part: the name of the form's field, and, of a file, its name."""

    name: str
    filename: str | None = None


class Reached(Enum):
    """What stands at the front of what was fed: content; the end of it, and another part; the end of the form."""

    CONTENT = auto()
    PART = auto()
    END = auto()
    MORE = auto()


class Cutter:
    """Cuts a form at its boundary. What was fed and not taken yet is at most what one `feed` brought and a part's head."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._held = bytearray(b"\r\n")  # so that the first delimiter is like the others

    def feed(self, data: bytes | memoryview) -> None:
        self._held += data

    def content(self) -> int:
        """How many bytes at the front are content of the part for sure."""
        found = self._held.find(self._delimiter)
        return found if found >= 0 else max(0, len(self._held) - len(self._delimiter) + 1)

    def take(self, view: memoryview) -> int:
        """Move content to `view`, and say how much."""
        count = min(len(view), self.content())
        view[:count] = self._held[:count]
        del self._held[:count]
        return count

    def reached(self) -> Reached:
        """What comes next. Raises `ValueError` for what is no form."""
        if self.content():
            return Reached.CONTENT
        if not self._held.startswith(self._delimiter):
            return Reached.MORE
        after = bytes(self._held[len(self._delimiter) : len(self._delimiter) + 2])
        if after == b"--":
            return Reached.END
        if after not in (b"\r\n", b"\r", b"-", b""):
            raise ValueError("the form's boundary is followed by something else")
        if self._held.find(b"\r\n\r\n", len(self._delimiter)) >= 0:
            return Reached.PART
        if len(self._held) - len(self._delimiter) > HEAD_BYTES:
            raise ValueError("the head of a part of the form is too long")
        return Reached.MORE

    def head(self) -> Field:
        """Take the head of the part that was reached. Raises `ValueError`."""
        stop = self._held.index(b"\r\n\r\n", len(self._delimiter))
        head = bytes(self._held[len(self._delimiter) + 2 : max(stop, len(self._delimiter) + 2)])
        del self._held[: stop + 4]
        return field_of(head)


def field_of(head: bytes) -> Field:
    """Read the head of a part. Raises `ValueError`."""
    for line in head.decode("utf-8").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition" and value.strip().lower().startswith("form-data"):
            field, file = _NAME.search(value), _FILENAME.search(value)
            if field is not None:
                return Field(_decoded(field[1]), _decoded(file[1]) if file is not None else None)
    raise ValueError("a part of the form has no name")


def _decoded(text: str) -> str:
    for escaped, plain in _ESCAPED.items():
        text = text.replace(escaped, plain)
    return text
