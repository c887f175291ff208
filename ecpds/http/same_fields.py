"""Whether the fields of a head are those of an earlier one, but for the values of some that change with each request. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

_VALUE = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
"""A value that is read as it stands: printable ASCII without spaces around it."""

_LENGTH_FIELD = re.compile(rb"\r\ncontent-length:[\t ]*([0-9]+)[\t ]*\r\n", re.IGNORECASE)
_SHORT_LENGTH = re.compile(rb"[0-9]{1,6}")


class SameFields:
    """`fields` are the bytes behind a request line, from its end on, of a head that was read.

    Those of `varying` (in lower case) may have another value of the same length, if they are there once; no field that frames
    the request may be among them.
    """

    __slots__ = ("_constant", "_fields", "_spans", "length", "values")

    def __init__(self, fields: bytes, varying: Collection[str] = ()) -> None:
        self.length = len(fields)
        self.values: dict[str, str] = {}
        """The values that came last, in which `agree` has found the fields to be the same."""
        self._fields = fields
        self._spans = sorted(span for name in varying for span in _spans(fields, name))
        self._constant: list[tuple[int, bytes]] = []
        start = 0
        for begin, end, _ in self._spans:
            self._constant.append((start, fields[start:begin]))
            start = end
        self._constant.append((start, fields[start:]))

    def agree(self, buffer: bytearray, start: int, end: int) -> bool:
        """Whether the fields from `start` to `end`, so many bytes as these have, say the same."""
        if not self._spans:
            return buffer.endswith(self._fields, start, end)
        for offset, piece in self._constant:
            if not buffer.startswith(piece, start + offset):
                return False
        values = {}
        for begin, stop, name in self._spans:
            value = buffer[start + begin : start + stop]
            if not _VALUE.fullmatch(value):
                return False
            values[name] = value.decode("ascii")
        self.values = values
        return True


class SameButLength:
    """`fields`, as in `SameFields`, of a head that announced a body by its length; that may be another one each time."""

    __slots__ = ("_after", "_before")

    def __init__(self, fields: bytes) -> None:
        length = _LENGTH_FIELD.search(fields)
        self._before = fields[: length.start(1)] if length is not None else fields
        self._after = fields[length.end(1) :] if length is not None else b""

    def find(self, buffer: bytearray, start: int, end: int) -> tuple[int, int] | None:
        """Where the body begins behind the fields at `start`, if these are there, and how long it is."""
        if not self._after or not buffer.startswith(self._before, start, end):
            return None
        length = _SHORT_LENGTH.match(buffer, start + len(self._before), end)
        if length is None or not buffer.startswith(self._after, length.end(), end):
            return None
        return length.end() + len(self._after), int(length[0])


def _spans(fields: bytes, name: str) -> list[tuple[int, int, str]]:
    """Where the value of a field is; nowhere, unless the field is there once, with a plain value."""
    wanted = re.escape(name.encode("ascii"))
    lines = re.findall(rb"\r\n%b:" % wanted, fields, re.IGNORECASE)
    match = re.search(rb"\r\n%b:[\t ]*(%b)[\t ]*\r\n" % (wanted, _VALUE.pattern), fields, re.IGNORECASE)
    return [(match.start(1), match.end(1), name)] if match is not None and len(lines) == 1 else []


NO_FIELDS = SameFields(b"")
"""Those of no head."""
