"""Header fields, of requests and replies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

AGENT = "ecpds"
"""What our clients say of themselves."""


class Headers:
    """Header fields by name, in any case; values are text decoded as latin-1, without the white space around them."""

    __slots__ = ("_fields",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in items:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        """Add one line."""
        self._fields.setdefault(name.lower(), []).append(value)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of a field; the values of its lines joined by commas where it has several (RFC 9110 section 5.3)."""
        values = self._fields.get(name.lower())
        if values is None:
            return default
        return values[0] if len(values) == 1 else ", ".join(values)

    def get_all(self, name: str) -> list[str]:
        """The value of each line of that name, in the order in which they came."""
        return list(self._fields.get(name.lower(), ()))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def items(self) -> Iterator[tuple[str, str]]:
        """Every line: the name in lower case, and the value. Lines of one name stand together."""
        return ((name, value) for name, values in self._fields.items() for value in values)

    def __repr__(self) -> str:
        # The values are left out, for one of them may be a password.
        return f"Headers({', '.join(self._fields)})"
