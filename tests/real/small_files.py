"""Very many small files, over one FTP connection or over several HTTP ones; for tests and for bin/bench.

Client to server: one STOR (or RETR) with its passive data connection after the other; or, on each HTTP connection, one PUT
(or GET) after the other, kept alive.
"""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ftplib import FTP
from io import BytesIO

SIZE = 1024


def content(name: str) -> bytes:
    """1 KiB that only this name has."""
    return hashlib.shake_256(name.encode()).digest(SIZE)


def put_by_ftp(client: FTP, names: Sequence[str]) -> None:
    """Put each by its own STOR, on one control connection."""
    for name in names:
        client.storbinary(f"STOR {name}", BytesIO(content(name)))


def get_by_ftp(client: FTP, names: Sequence[str]) -> None:
    """Get each and compare it. Raises `ValueError`."""
    for name in names:
        got = BytesIO()
        client.retrbinary(f"RETR {name}", got.write)
        _compare(name, got.getvalue())


Connect = Callable[[], http.client.HTTPConnection]


def put_by_http(connect: Connect, connections: int, folder: str, headers: Mapping[str, str], names: Sequence[str]) -> None:
    """Put all names, shared out over so many connections at a time."""

    def put(connection: http.client.HTTPConnection, name: str) -> None:
        connection.request("PUT", folder + name, content(name), dict(headers))
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 201, 204):
            raise ValueError(f"PUT {name}: {answer.status}")

    _share_out(connect, connections, names, put)


def get_by_http(connect: Connect, connections: int, folder: str, headers: Mapping[str, str], names: Sequence[str]) -> None:
    """Get all names and compare them. Raises `ValueError`."""

    def get(connection: http.client.HTTPConnection, name: str) -> None:
        connection.request("GET", folder + name, headers=dict(headers))
        _compare(name, connection.getresponse().read())

    _share_out(connect, connections, names, get)


def _compare(name: str, found: bytes) -> None:
    if found != content(name):
        raise ValueError(f"{name} came back with other content")


def _share_out(
    connect: Connect, connections: int, names: Sequence[str], use: Callable[[http.client.HTTPConnection, str], None]
) -> None:
    def work(part: Sequence[str]) -> None:
        connection = connect()
        try:
            for name in part:
                use(connection, name)
        finally:
            connection.close()

    with ThreadPoolExecutor(connections) as pool:
        for done in [pool.submit(work, names[number::connections]) for number in range(connections)]:
            done.result()
