"""The doors of a node as one client each: put, get, delete, rename, and a put that is cut off at some byte.

A place is `DESTINATION/NAME`. Where the server says that there is nothing, `Missing` is raised; where it says no, `Refused`:
then nothing was done. Whatever else is raised leaves open what was done.
"""

from __future__ import annotations

import ftplib
import http.client
import io
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3
import paramiko
from botocore.config import Config
from botocore.exceptions import ClientError
from paramiko.sftp import CMD_CLOSE

from tests.real.balanced_clients import PATIENCE
from tests.real.clients import authorization, unverified, vanish
from tests.real.harness import PASSWORD, Node


class Missing(Exception):
    """The server says that there is nothing."""


class Refused(Exception):
    """The server says no: nothing was done."""


class Door(Protocol):
    """What each door can do."""

    def put(self, place: str, data: bytes) -> None: ...

    def get(self, place: str) -> bytes: ...

    def delete(self, place: str) -> None: ...

    def cut(self, place: str, data: bytes, at: int) -> None:
        """Begin a put, and vanish when `at` bytes were sent; the door is of no use afterwards."""

    def close(self) -> None: ...


class Renames(Protocol):
    """Some can do this too; another file of the new name is replaced."""

    def rename(self, old: str, new: str) -> None: ...


class Ftp:
    def __init__(self, node: Node, login: str) -> None:
        self._client = ftplib.FTP(timeout=PATIENCE)
        self._client.connect("127.0.0.1", node.ports["ftp"])
        self._asked(lambda: self._client.login(login, PASSWORD))

    def _asked(self, ask: Callable[[], object]) -> None:
        try:
            ask()
        except ftplib.error_perm as refusal:
            raise (Missing if "no such file" in str(refusal) else Refused)(str(refusal)) from refusal

    def put(self, place: str, data: bytes) -> None:
        self._asked(lambda: self._client.storbinary(f"STOR /{place}", io.BytesIO(data)))

    def get(self, place: str) -> bytes:
        pieces: list[bytes] = []
        self._asked(lambda: self._client.retrbinary(f"RETR /{place}", pieces.append))
        return b"".join(pieces)

    def delete(self, place: str) -> None:
        self._asked(lambda: self._client.delete(f"/{place}"))

    def rename(self, old: str, new: str) -> None:
        self._asked(lambda: self._client.rename(f"/{old}", f"/{new}"))

    def cut(self, place: str, data: bytes, at: int) -> None:
        """A data connection that is closed in order would be the end of the file: this one is reset."""
        self._client.voidcmd("TYPE I")
        data_connection = self._client.transfercmd(f"STOR /{place}")
        data_connection.sendall(data[:at])
        vanish(data_connection)
        vanish(self._client)

    def close(self) -> None:
        self._client.close()


class Http:
    """With TLS or without."""

    def __init__(self, node: Node, login: str, secured: bool) -> None:
        self._headers = authorization(login, PASSWORD)
        self._address = ("127.0.0.1", node.ports["https" if secured else "https_plain"])
        self._context = unverified() if secured else None
        self._connection = (
            http.client.HTTPSConnection(*self._address, timeout=PATIENCE, context=self._context)
            if secured
            else http.client.HTTPConnection(*self._address, timeout=PATIENCE)
        )

    def _ask(self, method: str, place: str, data: bytes | None = None) -> bytes:
        self._connection.request(method, f"/data/{place}", data, self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status == 404:
            raise Missing
        if 400 <= answer.status < 500:
            raise Refused(f"{answer.status} {body!r}")
        if answer.status >= 500:
            raise http.client.HTTPException(f"{method} answered {answer.status} {body!r}")
        return body

    def put(self, place: str, data: bytes) -> None:
        self._ask("PUT", place, data)

    def get(self, place: str) -> bytes:
        return self._ask("GET", place)

    def delete(self, place: str) -> None:
        self._ask("DELETE", place)

    def cut(self, place: str, data: bytes, at: int) -> None:
        lines = [f"PUT /data/{place} HTTP/1.1", "Host: x", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        self.close()
        vanish_after(self._address, self._context, "\r\n".join(lines).encode() + b"\r\n\r\n" + data[:at])

    def close(self) -> None:
        self._connection.close()


class S3:
    """boto3, told not to try again by itself."""

    def __init__(self, node: Node, key: dict[str, str]) -> None:
        self._address = ("127.0.0.1", node.ports["s3_plain"])
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{node.ports['s3_plain']}",
            aws_access_key_id=key["access_key_id"],
            aws_secret_access_key=key["secret_access_key"],
            region_name="us-east-1",
            config=Config(
                retries={"max_attempts": 0},
                connect_timeout=PATIENCE,
                read_timeout=PATIENCE,
                s3={"addressing_style": "path"},
            ),
        )

    def _ask(self, verb: str, place: str, **more: Any) -> Any:
        bucket, _, key = place.partition("/")
        try:
            return getattr(self._client, verb)(Bucket=bucket, Key=key, **more)
        except ClientError as refusal:
            status = refusal.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                raise Missing from refusal
            if 400 <= status < 500:
                raise Refused(str(refusal)) from refusal
            raise

    def put(self, place: str, data: bytes) -> None:
        self._ask("put_object", place, Body=data)

    def get(self, place: str) -> bytes:
        body: bytes = self._ask("get_object", place)["Body"].read()
        return body

    def delete(self, place: str) -> None:
        self._ask("delete_object", place)

    def cut(self, place: str, data: bytes, at: int) -> None:
        bucket, _, key = place.partition("/")
        target = urlsplit(self._client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": key}))
        head = f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Length: {len(data)}\r\n\r\n"
        vanish_after(self._address, None, head.encode() + data[:at])

    def close(self) -> None:
        self._client.close()


class Sftp:
    """paramiko. Its own close of a file keeps a refusal to itself, so the file is closed by the message."""

    def __init__(self, node: Node, login: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", node.ports["ssh"]), PATIENCE)
        self._transport = paramiko.Transport(self._socket)
        try:
            self._transport.connect(None, login, PASSWORD)
        except paramiko.AuthenticationException as refusal:
            self._transport.close()
            raise Refused(str(refusal)) from refusal
        self._sftp = paramiko.SFTPClient.from_transport(self._transport)
        assert self._sftp is not None
        channel = self._sftp.get_channel()
        assert channel is not None
        channel.settimeout(PATIENCE)

    def _asked(self, ask: Callable[[paramiko.SFTPClient], object]) -> None:
        assert self._sftp is not None
        try:
            ask(self._sftp)
        except FileNotFoundError as refusal:
            raise Missing from refusal
        except PermissionError as refusal:
            raise Refused(str(refusal)) from refusal

    def put(self, place: str, data: bytes) -> None:
        def ask(sftp: paramiko.SFTPClient) -> None:
            file = sftp.open(f"/{place}", "wb")
            file.write(data)
            sftp._request(CMD_CLOSE, file.handle)

        self._asked(ask)

    def get(self, place: str) -> bytes:
        found: list[bytes] = []

        def ask(sftp: paramiko.SFTPClient) -> None:
            with sftp.open(f"/{place}", "rb") as file:
                found.append(file.read())

        self._asked(ask)
        return found[0]

    def delete(self, place: str) -> None:
        self._asked(lambda sftp: sftp.remove(f"/{place}"))

    def rename(self, old: str, new: str) -> None:
        self._asked(lambda sftp: sftp.posix_rename(f"/{old}", f"/{new}"))

    def cut(self, place: str, data: bytes, at: int) -> None:
        def ask(sftp: paramiko.SFTPClient) -> None:
            file = sftp.open(f"/{place}", "wb")
            file.write(data[:at])
            vanish(self._socket)

        self._asked(ask)

    def close(self) -> None:
        self._transport.close()


def vanish_after(address: tuple[str, int], context: ssl.SSLContext | None, data: bytes) -> None:
    """Send this over a new connection, and reset it."""
    connection = socket.create_connection(address, PATIENCE)
    if context is not None:
        connection = context.wrap_socket(connection)
    connection.sendall(data)
    vanish(connection)


Maker = Callable[[Node, str, dict[str, str]], Door]

DOORS: dict[str, Maker] = {
    "ftp": lambda node, login, key: Ftp(node, login),
    "http": lambda node, login, key: Http(node, login, secured=False),
    "https": lambda node, login, key: Http(node, login, secured=True),
    "s3": lambda node, login, key: S3(node, key),
    "sftp": lambda node, login, key: Sftp(node, login),
}

RENAMING = ("ftp", "sftp")
