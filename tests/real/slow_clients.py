"""Clients that read a large file slowly, half over FTP and half over HTTPS, and what the server's memory does meanwhile.

Each client asks for the file, and then takes a little now and then; its receive buffer is small, so that the server has to
wait for it. The server's peak is the kernel's own high-water mark, set back before the first client comes.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path

from attrs import frozen

from tests.real.clients import LIMIT, authorization, path_of, unverified
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Node

MIB = 1 << 20
RECEIVE_BUFFER = 16384
SIP = 4096
"""Bytes that a client takes at a time."""


@frozen
class Memory:
    """Resident bytes of the server, before the first client and at its peak."""

    idle: int
    peak: int

    @property
    def growth(self) -> int:
        return self.peak - self.idle


def resident(pid: int, field: str = "VmRSS") -> int:
    """A line of /proc/PID/status, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no {field}")


def measure(node: Node, name: str, clients: int, rounds: int = 20) -> Memory:
    """Let so many clients take `rounds` sips each of the harness's file `name`."""
    Path(f"/proc/{node.pid}/clear_refs").write_text("5")
    idle = resident(node.pid)
    with ExitStack() as stack:
        downloads = [stack.enter_context(closing(each)) for each in islice(_clients(node, name, stack), clients)]
        for _ in range(rounds):
            sip(downloads)
            time.sleep(0.05)
        return Memory(idle, resident(node.pid, "VmHWM"))


def sip(downloads: Sequence[socket.socket]) -> None:
    """Every client takes a little. Raises `ValueError` for one that was cut off."""
    for download in downloads:
        if not download.recv(SIP):
            raise ValueError("a slow client was cut off")


def _clients(node: Node, name: str, stack: ExitStack) -> Iterator[socket.socket]:
    while True:
        yield _ftp_download(node, name, stack)
        yield _https_download(node, name)


def _connect(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    connection.settimeout(LIMIT)
    connection.connect(("127.0.0.1", port))
    return connection


def _ftp_download(node: Node, name: str, stack: ExitStack) -> socket.socket:
    """The data connection of a RETR; the control connection stays open on the stack."""
    control = stack.enter_context(closing(socket.create_connection(("127.0.0.1", node.ports["ftp"]), LIMIT)))
    replies = stack.enter_context(control.makefile("rb"))

    def told(command: str, expected: bytes) -> bytes:
        if command:
            control.sendall(command.encode() + b"\r\n")
        while not (line := replies.readline())[3:4] == b" ":
            if not line:
                raise ValueError(f"{command}: the connection was closed")
        if not line.startswith(expected):
            raise ValueError(f"{command}: {line!r}")
        return line

    told("", b"220")
    told(f"USER {LOGIN}", b"331")
    told(f"PASS {PASSWORD}", b"230")
    told("TYPE I", b"200")
    port = int(told("EPSV", b"229").split(b"|||")[1].split(b"|")[0])
    data = _connect(port)
    told(f"RETR /{DESTINATION}/{name}", b"150")
    return data


def _https_download(node: Node, name: str) -> socket.socket:
    connection = unverified().wrap_socket(_connect(node.ports["https"]))
    ((field, value),) = authorization().items()
    connection.sendall(f"GET {path_of(name)} HTTP/1.1\r\nHost: x\r\n{field}: {value}\r\n\r\n".encode())
    return connection
