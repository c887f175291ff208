"""Reading the fields of SSH messages (RFC 4251, section 5), never beyond their end."""

from __future__ import annotations


class Malformed(ValueError):
    """A message is not of the form that its number promises."""


class Fields:
    """The fields of one message, taken off its front. Each raises `Malformed` where too little is left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise Malformed("the message is too short")
        taken, self._at = self._data[self._at : end], end
        return taken

    def boolean(self) -> bool:
        return self.take(1) != b"\0"

    def number(self) -> int:
        """A uint32."""
        return int.from_bytes(self.take(4), "big")

    def long(self) -> int:
        """A uint64."""
        return int.from_bytes(self.take(8), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        """A string that is UTF-8."""
        try:
            return self.string().decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("a string is not UTF-8") from error

    def integer(self) -> int:
        """An mpint that is not negative."""
        data = self.string()
        if data[:1] >= b"\x80":
            raise Malformed("a number is negative")
        return int.from_bytes(data, "big")

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._data) - self._at

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        """Raises `Malformed` when anything is left."""
        if self._at != len(self._data):
            raise Malformed("the message is too long")
