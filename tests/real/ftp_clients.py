"""FTP clients as people run them, told how to connect: over IPv4 or IPv6, passive or active, in clear text or under TLS.

Each puts, gets, lists, renames and deletes by its own words, in the harness's destination, and goes on with what broke off
(`get_rest`, `put_rest`; of an upload, `kept` bytes are there).
"""

from __future__ import annotations

import asyncio
import ftplib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aioftp
from attrs import frozen

from tests.real.clients import run, unverified
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, ROOT, Node


@frozen
class Way:
    """How a client connects. `tls` is nothing, `explicit` (AUTH TLS) or `implicit`."""

    host: str = "127.0.0.1"
    active: bool = False
    tls: str = ""

    @property
    def literal(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def port(self, node: Node) -> int:
        return node.ports["ftps" if self.tls == "implicit" else "ftp"]


class Curl:
    program = "curl"

    def __init__(self, node: Node, way: Way) -> None:
        scheme = "ftps" if way.tls == "implicit" else "ftp"
        self.url = f"{scheme}://{way.literal}:{way.port(node)}/{DESTINATION}/"
        self._words = [*(["--ssl-reqd"] if way.tls == "explicit" else []), *(["-P", "-"] if way.active else [])]

    def __call__(self, *words: str) -> str:
        return run(["curl", "-sSk", "--max-time", "30", "--user", f"{LOGIN}:{PASSWORD}", *self._words, *words])

    def put(self, source: Path, name: str) -> None:
        self("-T", str(source), self.url + quote(name))

    def get(self, name: str, target: Path) -> None:
        self("-o", str(target), self.url + quote(name))

    def get_rest(self, name: str, target: Path) -> None:
        self("-C", "-", "-o", str(target), self.url + quote(name))

    def put_rest(self, source: Path, name: str, kept: int) -> None:
        self("-C", "-", "-T", str(source), self.url + quote(name))

    def list(self) -> str:
        return self(self.url)

    def rename(self, name: str, new: str) -> None:
        self("-o", os.devnull, "-Q", f"-RNFR {name}", "-Q", f"-RNTO {new}", self.url)

    def delete(self, name: str) -> None:
        self("-o", os.devnull, "-Q", f"-DELE {name}", self.url)


class Lftp:
    program = "lftp"

    def __init__(self, node: Node, way: Way) -> None:
        secure = "yes" if way.tls else "no"
        scheme = "ftps" if way.tls == "implicit" else "ftp"
        self._settings = (
            "set net:max-retries 1; set net:timeout 20; set ssl:verify-certificate no; set ftp:ssl-protect-data yes; "
            f"set ftp:ssl-allow {secure}; set ftp:ssl-force {secure}; set ftp:passive-mode {'no' if way.active else 'yes'}; "
            f"open --env-password --user {LOGIN} {scheme}://{way.literal}:{way.port(node)}/{DESTINATION}/"
        )

    def __call__(self, commands: str) -> str:
        return run(["lftp", "-c", f"{self._settings} && {commands}"], environment={"LFTP_PASSWORD": PASSWORD})

    def put(self, source: Path, name: str) -> None:
        self(f'put {source} -o "{name}"')

    def get(self, name: str, target: Path) -> None:
        self(f'get "{name}" -o {target}')

    def get_rest(self, name: str, target: Path) -> None:
        self(f'get -c "{name}" -o {target}')

    def put_rest(self, source: Path, name: str, kept: int) -> None:
        self(f'put -c {source} -o "{name}"')

    def list(self) -> str:
        return self("cls -1")

    def rename(self, name: str, new: str) -> None:
        self(f'mv "{name}" "{new}"')

    def delete(self, name: str) -> None:
        self(f'rm "{name}"')


class Tnftp:
    program = "tnftp"

    def __init__(self, node: Node, way: Way) -> None:
        self._to = [way.host, str(way.port(node))]
        self._mode = "passive off" if way.active else "passive on"

    def __call__(self, *commands: str) -> str:
        script = [self._mode, f'user {LOGIN} "{PASSWORD}"', "binary", f"cd {DESTINATION}", *commands, "bye"]
        return run(["tnftp", "-n", *self._to], stdin="\n".join(script) + "\n")

    def put(self, source: Path, name: str) -> None:
        self(f'put {source} "{name}"')

    def get(self, name: str, target: Path) -> None:
        self(f'get "{name}" {target}')

    def get_rest(self, name: str, target: Path) -> None:
        self(f'reget "{name}" {target}')

    def put_rest(self, source: Path, name: str, kept: int) -> None:
        self(f"restart {kept}", f'put {source} "{name}"')

    def list(self) -> str:
        return self("ls")

    def rename(self, name: str, new: str) -> None:
        self(f'rename "{name}" "{new}"')

    def delete(self, name: str) -> None:
        self(f'delete "{name}"')


class Ncftp:
    """ncftp's programs, which put a file under its own name; they know IPv4 and clear text."""

    program = "ncftpput"

    def __init__(self, node: Node, way: Way) -> None:
        self._host = way.host
        self._words = ["-u", LOGIN, "-p", PASSWORD, "-P", str(way.port(node)), "-E" if way.active else "-F"]

    def put(self, source: Path, name: str) -> None:
        run(["ncftpput", *self._words, "-C", self._host, str(source), f"/{DESTINATION}/{name}"])

    def get(self, name: str, target: Path) -> None:
        run(["ncftpget", *self._words, "-C", self._host, f"/{DESTINATION}/{name}", str(target)])

    def get_rest(self, name: str, target: Path) -> None:
        run(["ncftpget", *self._words, "-z", "-C", self._host, f"/{DESTINATION}/{name}", str(target)])

    def put_rest(self, source: Path, name: str, kept: int) -> None:
        rest = source.with_name("rest")  # it appends a file; what is there already, it would have to have sent itself
        rest.write_bytes(source.read_bytes()[kept:])
        run(["ncftpput", *self._words, "-A", "-C", self._host, str(rest), f"/{DESTINATION}/{name}"])

    def list(self) -> str:
        return run(["ncftpls", *self._words, f"ftp://{self._host}/{DESTINATION}/"])

    def rename(self, name: str, new: str) -> None:
        paths = [f"RNFR /{DESTINATION}/{name}", "-X", f"RNTO /{DESTINATION}/{new}"]
        run(["ncftpls", *self._words, "-X", *paths, f"ftp://{self._host}/{DESTINATION}/"])

    def delete(self, name: str) -> None:
        run(["ncftpls", *self._words, "-X", f"DELE /{DESTINATION}/{name}", f"ftp://{self._host}/{DESTINATION}/"])


class Wget:
    """It only gets; over IPv6 it is passive, and its data connections don't resume the control connection's TLS session."""

    program = "wget"

    def __init__(self, node: Node, way: Way) -> None:
        scheme = "ftps" if way.tls else "ftp"
        self.url = f"{scheme}://{way.literal}:{way.port(node)}/{DESTINATION}/"
        implicit = ["--ftps-implicit"] if way.tls == "implicit" else []
        self._words = [*implicit, *(["--no-passive-ftp"] if way.active else [])]

    def __call__(self, *words: str) -> str:
        login = [f"--user={LOGIN}", f"--password={PASSWORD}", "--no-check-certificate", "--timeout=30"]
        return run(["wget", "-q", "--tries=1", *login, *self._words, *words])

    def get(self, name: str, target: Path) -> None:
        self("-O", str(target), self.url + quote(name))

    def get_rest(self, name: str, target: Path) -> None:
        self("-c", "-O", str(target), self.url + quote(name))

    def list(self) -> str:
        return self("-O", "-", self.url)


class Ftplib:
    program = "python3"

    def __init__(self, node: Node, way: Way) -> None:
        self._node, self._way = node, way

    def _client(self) -> ftplib.FTP:
        plain = not self._way.tls
        client = ftplib.FTP(timeout=30) if plain else ftplib.FTP_TLS(timeout=30, context=unverified())
        client.connect(self._way.host, self._way.port(self._node))
        client.login(LOGIN, PASSWORD)
        if isinstance(client, ftplib.FTP_TLS):
            client.prot_p()
        client.set_pasv(not self._way.active)
        client.cwd(f"/{DESTINATION}")
        return client

    def put(self, source: Path, name: str) -> None:
        with self._client() as client, source.open("rb") as file:
            client.storbinary(f"STOR {name}", file)

    def get(self, name: str, target: Path) -> None:
        with self._client() as client, target.open("wb") as file:
            client.retrbinary(f"RETR {name}", file.write)

    def get_rest(self, name: str, target: Path) -> None:
        with self._client() as client, target.open("ab") as file:
            client.retrbinary(f"RETR {name}", file.write, rest=file.tell())

    def put_rest(self, source: Path, name: str, kept: int) -> None:
        with self._client() as client, source.open("rb") as file:
            file.seek(client.size(name) or 0)
            client.storbinary(f"STOR {name}", file, rest=file.tell())

    def list(self) -> str:
        with self._client() as client:
            return "\n".join([*client.nlst(), *(name for name, _ in client.mlsd())])

    def rename(self, name: str, new: str) -> None:
        with self._client() as client:
            client.rename(name, new)

    def delete(self, name: str) -> None:
        with self._client() as client:
            client.delete(name)


class Aioftp:
    """It knows passive data connections only."""

    program = "python3"

    def __init__(self, node: Node, way: Way) -> None:
        self._node, self._way = node, way

    async def _connected(self) -> aioftp.Client:
        implicit = unverified() if self._way.tls == "implicit" else None
        client = aioftp.Client(ssl=implicit, socket_timeout=30)
        await client.connect(self._way.host, self._way.port(self._node))
        if self._way.tls == "explicit":
            await client.upgrade_to_tls(unverified())
        elif implicit:
            await client.command("PBSZ 0", "200")
            await client.command("PROT P", "200")
        await client.login(LOGIN, PASSWORD)
        await client.change_directory(f"/{DESTINATION}")
        return client

    def _stream(self, method: str, name: str, offset: int, move: Callable[[Any], Awaitable[None]]) -> None:
        async def work() -> None:
            client = await self._connected()
            async with getattr(client, method)(name, offset=offset) as stream:
                await move(stream)
            await client.quit()

        asyncio.run(work())

    def _do(self, method: str, *words: object, **named: object) -> object:
        async def work() -> object:
            client = await self._connected()
            try:
                return await getattr(client, method)(*words, **named)
            finally:
                await client.quit()

        return asyncio.run(work())

    def put(self, source: Path, name: str) -> None:
        self._do("upload", source, name, write_into=True)

    def get(self, name: str, target: Path) -> None:
        self._do("download", name, target, write_into=True)

    def get_rest(self, name: str, target: Path) -> None:
        async def move(stream: Any) -> None:
            with target.open("ab") as file:
                async for block in stream.iter_by_block():
                    file.write(block)

        self._stream("download_stream", name, target.stat().st_size, move)

    def put_rest(self, source: Path, name: str, kept: int) -> None:
        rest = source.read_bytes()[kept:]

        async def move(stream: Any) -> None:
            await stream.write(rest)

        self._stream("upload_stream", name, kept, move)

    def list(self) -> str:
        found = self._do("list")
        assert isinstance(found, list)
        return "\n".join(str(path) for path, _ in found)

    def rename(self, name: str, new: str) -> None:
        self._do("rename", name, new)

    def delete(self, name: str) -> None:
        self._do("remove_file", name)


class BasicFtp:
    """The npm client basic-ftp, under Node; it is passive only."""

    program = "node"
    modules = ROOT / "build" / "node" / "node_modules"

    def __init__(self, node: Node, way: Way) -> None:
        secure = {"": False, "explicit": True, "implicit": "implicit"}[way.tls]
        access = {"host": way.host, "port": way.port(node), "user": LOGIN, "password": PASSWORD, "secure": secure}
        script = str(Path(__file__).with_name("basic_ftp.cjs"))
        self._command = ["node", script, str(self.modules), json.dumps(access), f"/{DESTINATION}"]

    @classmethod
    def missing(cls) -> str | None:
        return None if (cls.modules / "basic-ftp").exists() else "basic-ftp is not installed; bin/test installs it"

    def __call__(self, action: str, *words: str) -> str:
        return run([*self._command, action, *words])

    def put(self, source: Path, name: str) -> None:
        self("put", str(source), name)

    def get(self, name: str, target: Path) -> None:
        self("get", name, str(target))

    def get_rest(self, name: str, target: Path) -> None:
        self("resume", name, str(target), str(target.stat().st_size))

    def put_rest(self, source: Path, name: str, kept: int) -> None:
        if int(self("size", name)) != kept:
            raise ValueError(f"SIZE of {name} is not {kept}")
        self("append", str(source), name, str(kept))

    def list(self) -> str:
        return self("list")

    def rename(self, name: str, new: str) -> None:
        self("rename", name, new)

    def delete(self, name: str) -> None:
        self("delete", name)
