"""One client for each door of a balanced fleet: puts and gets a name, over one connection that it makes anew when it broke.

A put returns when it was acknowledged, and raises whatever the client met else. A get returns what came as a whole, or
None where the server says that there is nothing.
"""

from __future__ import annotations

import ftplib
import http.client
import io
import ssl
from collections.abc import Callable
from typing import Any, Protocol

import boto3
import paramiko
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from paramiko.sftp import CMD_CLOSE

from tests.real.balancer import DOORS
from tests.real.clients import authorization, path_of, unverified
from tests.real.harness import DESTINATION, LOGIN, PASSWORD

PATIENCE = 20.0
"""Seconds that a client waits for an answer."""

BROKEN = (
    OSError,
    EOFError,
    ftplib.Error,
    http.client.HTTPException,
    ssl.SSLError,
    paramiko.SSHException,
    BotoCoreError,
    ClientError,
)
BROKEN += (HTTPClientError,)
"""What clients meet when a server is not there, or goes away."""


class Client(Protocol):
    """Each door's."""

    def put(self, name: str, data: bytes) -> None: ...

    def get(self, name: str) -> bytes | None: ...

    def close(self) -> None: ...


class Ftp:
    """FTP, and FTPS for both connections."""

    def __init__(self, address: str, secured: bool) -> None:
        self._client = ftplib.FTP_TLS(context=unverified(), timeout=PATIENCE) if secured else ftplib.FTP(timeout=PATIENCE)
        self._client.connect(address, DOORS["ftp"])
        self._client.login(LOGIN, PASSWORD)
        if isinstance(self._client, ftplib.FTP_TLS):
            self._client.prot_p()
        self._client.cwd(f"/{DESTINATION}")

    def put(self, name: str, data: bytes) -> None:
        self._client.storbinary(f"STOR {name}", io.BytesIO(data))

    def get(self, name: str) -> bytes | None:
        pieces: list[bytes] = []
        try:
            self._client.retrbinary(f"RETR {name}", pieces.append)
        except ftplib.error_perm as refusal:
            if "no such file" in str(refusal):
                return None
            raise
        return b"".join(pieces)

    def close(self) -> None:
        self._client.close()


class Https:
    """PUT and GET."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPSConnection(address, DOORS["https"], timeout=PATIENCE, context=unverified())

    def _ask(self, method: str, name: str, data: bytes | None = None) -> tuple[int, bytes]:
        self._connection.request(method, path_of(name), data, authorization())
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def put(self, name: str, data: bytes) -> None:
        status, _ = self._ask("PUT", name, data)
        if status not in (200, 201, 204):
            raise http.client.HTTPException(f"PUT answered {status}")

    def get(self, name: str) -> bytes | None:
        status, body = self._ask("GET", name)
        if status not in (200, 404):
            raise http.client.HTTPException(f"GET answered {status}")
        return body if status == 200 else None

    def close(self) -> None:
        self._connection.close()


class S3:
    """boto3, told not to try again by itself."""

    def __init__(self, address: str, key: dict[str, str]) -> None:
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=f"https://{address}:{DOORS['s3']}",
            aws_access_key_id=key["access_key_id"],
            aws_secret_access_key=key["secret_access_key"],
            region_name="us-east-1",
            verify=False,
            config=Config(retries={"max_attempts": 0}, connect_timeout=PATIENCE, read_timeout=PATIENCE),
        )

    def put(self, name: str, data: bytes) -> None:
        self._client.put_object(Bucket=DESTINATION, Key=name, Body=data)

    def get(self, name: str) -> bytes | None:
        try:
            body: bytes = self._client.get_object(Bucket=DESTINATION, Key=name)["Body"].read()
        except ClientError as refusal:
            if refusal.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return body

    def close(self) -> None:
        self._client.close()


class Sftp:
    """paramiko. Its own close of a file keeps a refusal to itself, so the file is closed by the message."""

    def __init__(self, address: str) -> None:
        self._ssh = paramiko.SSHClient()
        self._ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        self._ssh.connect(
            address, DOORS["ssh"], LOGIN, PASSWORD, timeout=PATIENCE, banner_timeout=PATIENCE, auth_timeout=PATIENCE,
            look_for_keys=False, allow_agent=False,
        )  # fmt: skip
        self._sftp = self._ssh.open_sftp()
        channel = self._sftp.get_channel()
        assert channel is not None
        channel.settimeout(PATIENCE)

    def put(self, name: str, data: bytes) -> None:
        file = self._sftp.open(f"/{DESTINATION}/{name}", "wb")
        file.write(data)
        self._sftp._request(CMD_CLOSE, file.handle)

    def get(self, name: str) -> bytes | None:
        try:
            with self._sftp.open(f"/{DESTINATION}/{name}", "rb") as file:
                size = file.stat().st_size
                data: bytes = file.read()
        except FileNotFoundError:
            return None
        if len(data) != size:
            raise EOFError(f"{len(data)} of {size} bytes came")
        return data

    def close(self) -> None:
        self._ssh.close()


def makers(address: str, key: dict[str, str]) -> dict[str, Callable[[], Client]]:
    """How to connect, by door."""
    return {
        "ftp": lambda: Ftp(address, secured=False),
        "ftps": lambda: Ftp(address, secured=True),
        "https": lambda: Https(address),
        "s3": lambda: S3(address, key),
        "sftp": lambda: Sftp(address),
    }
