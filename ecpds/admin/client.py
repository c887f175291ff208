"""The command line's way to its node: HTTP over the socket `HOME/admin.sock`.

The command asks, `POST /api/v1/NOUN/VERB` with a JSON object; the node answers an object, or a list as JSON Lines, or
`{"error": sentence}` with another status than 200. One question a connection.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SOCKET = "admin.sock"

LONGEST = 107
"""Bytes that the kernel takes as the path of a socket (unix(7))."""

BLOCK = 1 << 14
"""Bytes of an answer that are read at a time."""


class Failed(Exception):
    """The node refused, or could not be asked; the text is the one sentence that says why."""


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system, however long its path is."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if len(os.fsencode(self._path)) <= LONGEST:
            self.sock.connect(os.fsencode(self._path))
            return
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


class NodeClient:
    """Asks the node whose home is `home`."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def ask(self, verb: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The objects of the answer, as they come. Raises `Failed`."""
        connection = SocketConnection(self._home / SOCKET)
        try:
            body = json.dumps(arguments).encode("ascii")
            connection.request("POST", f"/api/v1/{verb}", body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            if reply.status != 200:
                raise Failed(_error(reply.read()))
            for line in whole_lines(reply):
                yield json.loads(line)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise Failed(f"No node is running at {self._home}.") from error
        except PermissionError as error:
            raise Failed(f"Only the user who runs the node at {self._home} may speak to it.") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Failed(f"The node's answer broke off: {type(error).__name__} {error}".rstrip()) from error
        finally:
            connection.close()


def whole_lines(reply: http.client.HTTPResponse) -> Iterator[bytes]:
    """The lines of a body, as they come. Raises `IncompleteRead` or `ValueError` unless it came to its end.

    The library notices a body that breaks off when it is read in blocks, and says so only where it came in chunks.
    """
    rest = b""
    while block := reply.read1(BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if reply.length:
        raise http.client.IncompleteRead(rest, reply.length)
    if rest:
        raise ValueError("half a line")


def _error(body: bytes) -> str:
    """The sentence of a refusal. Raises `ValueError` when it is none."""
    answer = json.loads(body)
    return str(answer["error"]) if isinstance(answer, dict) and "error" in answer else "The node refused."
