"""The programs that people use, run as people run them: each puts, gets and lists by its own words.

A client is given a node, and speaks to one of its doors as the harness's user. Passwords reach it by whatever way the
program has; here they have a blank, a colon and a slash in them on purpose.
"""

from __future__ import annotations

import ftplib
import http.client
import os
import shutil
import socket
import ssl
import struct
import subprocess
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Node

LIMIT = 240.0
"""Seconds that a client may take."""


class ClientFailed(Exception):
    """The program said no; the text is what it said."""


def missing(program: str) -> str | None:
    """Why a test of `program` can't run here, or None."""
    return None if shutil.which(program) else f"{program} is not installed"


def run(command: Sequence[str], stdin: str = "", environment: dict[str, str] | None = None) -> str:
    """Run a program to its end; its standard output. Raises `ClientFailed` unless it exits with 0."""
    variables = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **(environment or {})}
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=LIMIT, check=False, env=variables)
    if done.returncode:
        raise ClientFailed(f"{command[0]}: status {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout


class Curl:
    """curl, at any door."""

    program = "curl"

    def __init__(self, node: Node, door: str) -> None:
        self._node, self._door = node, door

    def __call__(self, *words: str) -> str:
        return run(["curl", "-sSkf", "--max-time", str(LIMIT), "--user", f"{LOGIN}:{PASSWORD}", *words])

    def put(self, source: Path, name: str) -> None:
        self("-T", str(source), self._node.url(self._door, quote(name)))

    def get(self, name: str, target: Path) -> None:
        self("-o", str(target), self._node.url(self._door, quote(name)))

    def list(self) -> str:
        return self(self._node.url(self._door))


class Wget:
    """wget: it puts by HTTP only."""

    program = "wget"

    def __init__(self, node: Node, door: str) -> None:
        self._node, self._door = node, door

    def __call__(self, *words: str) -> str:
        login = [f"--user={LOGIN}", f"--password={PASSWORD}"]
        return run(["wget", "-q", "--tries=1", f"--timeout={LIMIT:.0f}", "--no-check-certificate", *login, *words])

    def put(self, source: Path, name: str) -> None:
        self("-O", os.devnull, "--method=PUT", f"--body-file={source}", self._node.url(self._door, quote(name)))

    def get(self, name: str, target: Path) -> None:
        self("-O", str(target), self._node.url(self._door, quote(name)))

    def list(self) -> str:
        return self("-O", "-", self._node.url(self._door))


class Tnftp:
    """tnftp, which Debian installs as `ftp`: told what to do at its prompt."""

    program = "tnftp"

    def __init__(self, node: Node, door: str) -> None:
        self._port = str(node.ports[door])

    def __call__(self, *commands: str) -> str:
        script = [f'user {LOGIN} "{PASSWORD}"', "binary", f"cd {DESTINATION}", *commands, "bye"]
        return run(["tnftp", "-n", "127.0.0.1", self._port], stdin="\n".join(script) + "\n")

    def put(self, source: Path, name: str) -> None:
        self(f'put {source} "{name}"')

    def get(self, name: str, target: Path) -> None:
        self(f'get "{name}" {target}')

    def list(self) -> str:
        return self("ls")


class Lftp:
    """lftp, at the FTP door or over HTTPS."""

    program = "lftp"

    def __init__(self, node: Node, door: str) -> None:
        self._url = node.url(door)

    def __call__(self, commands: str) -> str:
        settings = "set net:max-retries 1; set net:timeout 30; set ssl:verify-certificate no; set ftp:ssl-allow no"
        settings += "; set http:accept text/html"  # the only listing that it can read over HTTP
        script = f"{settings}; open --env-password --user {LOGIN} {self._url} && {commands}"
        return run(["lftp", "-c", script], environment={"LFTP_PASSWORD": PASSWORD})

    def put(self, source: Path, name: str) -> None:
        self(f'put {source} -o "{name}"')

    def get(self, name: str, target: Path) -> None:
        self(f'get "{name}" -o {target}')

    def list(self) -> str:
        return self("cls -1")


class Ftplib:
    """Python's own client."""

    program = "python3"

    def __init__(self, node: Node, door: str) -> None:
        self._node = node

    def put(self, source: Path, name: str) -> None:
        with ftp(self._node) as client, source.open("rb") as file:
            client.storbinary(f"STOR {name}", file)

    def get(self, name: str, target: Path) -> None:
        with ftp(self._node) as client, target.open("wb") as file:
            client.retrbinary(f"RETR {name}", file.write)

    def list(self) -> str:
        with ftp(self._node) as client:
            return "\n".join(client.nlst())


def ftp(node: Node, login: str = LOGIN, password: str = PASSWORD) -> ftplib.FTP:
    """A control connection that is logged in, in the harness's destination."""
    client = ftplib.FTP(timeout=LIMIT, encoding="utf-8")
    client.connect("127.0.0.1", node.ports["ftp"])
    client.login(login, password)
    client.cwd(f"/{DESTINATION}")
    return client


def authorization(login: str = LOGIN, password: str = PASSWORD) -> dict[str, str]:
    """The header of Basic authentication."""
    return {"Authorization": "Basic " + b64encode(f"{login}:{password}".encode()).decode()}


def https(node: Node) -> http.client.HTTPSConnection:
    """A connection to the HTTPS door, whose certificate is its own."""
    return http.client.HTTPSConnection("127.0.0.1", node.ports["https"], timeout=LIMIT, context=unverified())


def unverified() -> ssl.SSLContext:
    """TLS without asking who answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def path_of(name: str) -> str:
    """The path of a file of the harness's destination at the HTTP doors."""
    return f"/data/{DESTINATION}/{quote(name)}"


def vanish(connection: socket.socket | ftplib.FTP) -> None:
    """Close with a reset: how a machine that was switched off looks, when it is back."""
    socket_ = connection if isinstance(connection, socket.socket) else connection.sock
    assert socket_ is not None
    socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
