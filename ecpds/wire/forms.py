"""`multipart/form-data` as browsers send it (RFC 7578), as far as the content of its file: framing only, no I/O.

Fields come first, each a name and a text; then one part named `file`, whose content is the rest of the body up to the next
boundary. What follows the file is no part of the form (S3, "POST Object").
"""

from __future__ import annotations

import re
from email.message import Message

from ecpds.errors import InvalidRequest

FIELDS = 64 * 1024
"""Bytes of a form before the content of its file, boundaries and part headers included."""

FILE = "file"
"""The name of the field whose content is the file."""

_BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,./:=? -]{0,69}[A-Za-z0-9'()+_,./:=?-]")


def boundary_of(content_type: str | None) -> bytes | None:
    """The boundary that a Content-Type names; None for what is no form. Raises `InvalidRequest` for a malformed one."""
    message = Message()
    message["Content-Type"] = content_type or ""
    if message.get_content_type() != "multipart/form-data":
        return None
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequest("the form names no boundary that is allowed")
    return boundary.encode("ascii")


class FormDecoder:
    """Takes a form's beginning piece by piece: `done` when the content of the file comes next, which `rest` begins.

    `fields` holds what stands before it, by names in lower case; `filename` is what the client calls the file. `delimiter`
    is what ends the content. Raises `InvalidRequest`.
    """

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.done = False
        self.delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")
        """A line end before the first boundary makes it one like the others."""

    @property
    def rest(self) -> bytes:
        """The first bytes of the file that have come already."""
        return bytes(self._buffer)

    def feed(self, data: bytes | memoryview) -> None:
        """Take some more. Does nothing to what is behind the head of the file's part."""
        self._buffer += data
        while not self.done and self._part():
            pass
        if not self.done and len(self._buffer) > FIELDS:
            raise InvalidRequest(f"the fields of the form have more than {FIELDS} bytes")

    def _part(self) -> bool:
        """Eat one field, or the head of the file's part; False where not all of it is there."""
        buffer, start = self._buffer, len(self.delimiter) + 2
        if len(buffer) < start:
            return False
        if not buffer.startswith(self.delimiter + b"\r\n"):
            raise InvalidRequest("the form has no file, or something else than a boundary where one should be")
        head_end = buffer.find(b"\r\n\r\n", start - 2)
        if head_end < 0:
            return False
        name, filename = _disposition(bytes(buffer[start:head_end]))
        content = head_end + 4
        if name == FILE:
            self.filename, self.done = filename or "", True
            del buffer[:content]
            return True
        end = buffer.find(self.delimiter, content)
        if end < 0:
            return False
        self._keep(name, bytes(buffer[content:end]))
        del buffer[:end]
        return True

    def _keep(self, name: str, value: bytes) -> None:
        if name in self.fields:
            raise InvalidRequest(f"the form has several fields {name[:64]!a}")
        try:
            self.fields[name] = value.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidRequest(f"the field {name[:64]!a} is not UTF-8") from None


def _disposition(head: bytes) -> tuple[str, str | None]:
    """The name of a part, in lower case, and the file name that it gives."""
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon and name.strip().lower() == b"content-disposition":
            try:
                found = _parameters(value.decode("utf-8"))
            except UnicodeDecodeError:
                break
            if found.get("name"):
                return found["name"].lower(), found.get("filename")
    raise InvalidRequest("a part of the form has no name")


_PARAMETER = re.compile(r';[ \t]*([A-Za-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^;"\s]*))')


def _parameters(value: str) -> dict[str, str]:
    """Parameters of a Content-Disposition. Browsers percent-encode `"` and line ends, others put a backslash before them."""
    found = {}
    for match in _PARAMETER.finditer(value):
        text = match[2] if match[2] is not None else match[3]
        found[match[1].lower()] = re.sub(r"\\([\"\\])", r"\1", text).replace("%22", '"')
    return found
