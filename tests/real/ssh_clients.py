"""The programs and libraries that people use with SFTP and scp, at the SSH door, each by its own words."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.real.clients import LIMIT, run
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, ROOT, Node

UNKNOWN_HOST = ["-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]

PASSWORD_ONLY = ["-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1"]


def remote(name: str) -> str:
    return f"/{DESTINATION}/{name}"


def with_password(command: list[str], stdin: str = "") -> str:
    """Run a program that asks for the password at a terminal."""
    return run(["sshpass", "-e", *command], stdin, {"SSHPASS": PASSWORD})


def ssh(node: Node, command: str) -> str:
    """What a command answers."""
    options = [*UNKNOWN_HOST, *PASSWORD_ONLY, "-p", str(node.ports["ssh"])]
    return with_password(["ssh", *options, f"{LOGIN}@127.0.0.1", command])


class Sftp:
    """OpenSSH's sftp."""

    program = "sftp"

    def __init__(self, node: Node, *options: str) -> None:
        self._port = str(node.ports["ssh"])
        self._options = options

    def __call__(self, commands: str) -> str:
        options = [*self._options, *UNKNOWN_HOST, *PASSWORD_ONLY, "-oBatchMode=no"]
        return with_password(["sftp", *options, "-P", self._port, "-b", "-", f"{LOGIN}@127.0.0.1"], commands + "\n")

    def put(self, source: Path, name: str) -> None:
        self(f'put -p "{source}" "{remote(name)}"')

    def get(self, name: str, target: Path) -> None:
        self(f'get "{remote(name)}" "{target}"')

    def list(self) -> str:
        return self(f"cd {remote('')}\nls -1")

    def rename(self, source: str, target: str) -> None:
        self(f'rename "{remote(source)}" "{remote(target)}"')

    def delete(self, name: str) -> None:
        self(f'rm "{remote(name)}"')


class Scp:
    """OpenSSH's scp, over SFTP or, with -O, by its own dialogue."""

    program = "scp"

    def __init__(self, node: Node, *mode: str) -> None:
        self._options = [*mode, *UNKNOWN_HOST, *PASSWORD_ONLY, "-P", str(node.ports["ssh"])]
        self._quoted = shlex.quote if mode else str

    def __call__(self, *words: str) -> None:
        with_password(["scp", *self._options, *words])

    def place(self, name: str) -> str:
        return f"{LOGIN}@127.0.0.1:{self._quoted(remote(name))}"

    def put(self, source: Path, name: str) -> None:
        self("-p", str(source), self.place(name))

    def get(self, name: str, target: Path) -> None:
        # With -O scp compares the name that comes with what the shell was told, quotes and all, unless told not to (-T).
        self("-T", self.place(name), str(target))


class Pscp:
    """PuTTY's pscp, which trusts the host key that it is told. `mode` is -sftp or -scp."""

    program = "pscp"

    def __init__(self, node: Node, *mode: str) -> None:
        self._port, self._mode = str(node.ports["ssh"]), mode
        key = ssh_fingerprint(node)
        self._options = [*mode, "-batch", "-P", self._port, "-pw", PASSWORD, "-hostkey", key]

    def put(self, source: Path, name: str) -> None:
        run(["pscp", *self._options, str(source), f"{LOGIN}@127.0.0.1:{remote(name)}"])

    def get(self, name: str, target: Path) -> None:
        run(["pscp", *self._options, f"{LOGIN}@127.0.0.1:{remote(name)}", str(target)])


def ssh_fingerprint(node: Node) -> str:
    scanned = run(["ssh-keyscan", "-p", str(node.ports["ssh"]), "-t", "ed25519", "127.0.0.1"])
    return run(["ssh-keygen", "-lf", "-"], scanned).split()[1]


class CurlSsh:
    """curl, which speaks SFTP and scp with libssh2."""

    program = "curl"

    def __init__(self, node: Node, scheme: str) -> None:
        self._url = f"{scheme}://127.0.0.1:{node.ports['ssh']}"

    def __call__(self, *words: str) -> str:
        return run(["curl", "-sSk", "--max-time", str(LIMIT), "--user", f"{LOGIN}:{PASSWORD}", *words])

    def put(self, source: Path, name: str) -> None:
        self("-T", str(source), self._url + quote(remote(name)))

    def get(self, name: str, target: Path) -> None:
        self("-o", str(target), self._url + quote(remote(name)))


class CurlSftp(CurlSsh):
    """By SFTP curl lists, too."""

    def list(self) -> str:
        return self("-l", self._url + remote(""))


class LftpSftp:
    """lftp over SFTP, by way of OpenSSH's ssh."""

    program = "lftp"

    def __init__(self, node: Node) -> None:
        self._url = f"sftp://127.0.0.1:{node.ports['ssh']}"

    def __call__(self, commands: str) -> str:
        connect = "ssh -a -x " + " ".join(UNKNOWN_HOST + PASSWORD_ONLY)
        script = f'set sftp:connect-program "{connect}"; set net:max-retries 1; set net:timeout 30; set xfer:clobber on'
        script += f"; open --env-password --user {LOGIN} {self._url} && cd /{DESTINATION} && {commands}"
        return run(["lftp", "-c", script], environment={"LFTP_PASSWORD": PASSWORD})

    def put(self, source: Path, name: str) -> None:
        self(f'put {source} -o "{name}"')

    def get(self, name: str, target: Path) -> None:
        self(f'get "{name}" -o {target}')

    def list(self) -> str:
        return self("cls -1")

    def rename(self, source: str, target: str) -> None:
        self(f'mv "{source}" "{target}"')

    def delete(self, name: str) -> None:
        self(f'rm "{name}"')


class Rclone:
    """rclone, which checks what it has copied by md5sum or sha1sum. It tries `tries` times, at the node's door or at `port`."""

    program = "rclone"

    def __init__(self, node: Node, port: int | None = None, tries: int = 1) -> None:
        self._node = node
        self._port = port or node.ports["ssh"]
        self._tries = tries

    def __call__(self, *words: str) -> str:
        options = {"host": "127.0.0.1", "port": str(self._port), "user": LOGIN}
        options["pass"] = run(["rclone", "obscure", PASSWORD]).strip()
        variables = {f"RCLONE_CONFIG_NODE_{name.upper()}": value for name, value in options.items()}
        variables |= {"RCLONE_CONFIG_NODE_TYPE": "sftp", "RCLONE_CONFIG": "/nonexistent/rclone.conf"}
        return run(["rclone", "--retries", str(self._tries), *words], environment=variables)

    def put(self, source: Path, name: str) -> None:
        self("copyto", str(source), f"node:{remote(name)}")

    def get(self, name: str, target: Path) -> None:
        self("copyto", f"node:{remote(name)}", str(target))

    def list(self) -> str:
        return self("lsf", f"node:{remote('')}")

    def rename(self, source: str, target: str) -> None:
        self("moveto", f"node:{remote(source)}", f"node:{remote(target)}")

    def delete(self, name: str) -> None:
        self("deletefile", f"node:{remote(name)}")


class Paramiko:
    """paramiko, which pipelines its writes."""

    program = "python3"

    def __init__(self, node: Node) -> None:
        self._port = node.ports["ssh"]

    @contextmanager
    def session(self) -> Iterator[Any]:
        import paramiko

        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect("127.0.0.1", self._port, LOGIN, PASSWORD, allow_agent=False, look_for_keys=False, timeout=LIMIT)
        try:
            yield client.open_sftp()
        finally:
            client.close()

    def put(self, source: Path, name: str) -> None:
        with self.session() as session:
            session.put(str(source), remote(name))

    def get(self, name: str, target: Path) -> None:
        with self.session() as session:
            session.get(remote(name), str(target))

    def list(self) -> str:
        with self.session() as session:
            return "\n".join(session.listdir(remote("")))

    def rename(self, source: str, target: str) -> None:
        with self.session() as session:
            session.rename(remote(source), remote(target))

    def delete(self, name: str) -> None:
        with self.session() as session:
            session.remove(remote(name))


class Asyncssh:
    """asyncssh, which writes several blocks at a time."""

    program = "python3"

    def __init__(self, node: Node) -> None:
        self._port = node.ports["ssh"]

    def _with_session(self, use: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        import asyncssh

        async def go() -> Any:
            connection = asyncssh.connect(
                "127.0.0.1", self._port, username=LOGIN, password=PASSWORD, known_hosts=None, client_keys=None, config=None
            )
            async with connection as connected, connected.start_sftp_client() as session:
                return await use(session)

        return asyncio.run(asyncio.wait_for(go(), LIMIT))

    def put(self, source: Path, name: str) -> None:
        self._with_session(lambda session: session.put(str(source), remote(name)))

    def get(self, name: str, target: Path) -> None:
        self._with_session(lambda session: session.get(remote(name), str(target)))

    def list(self) -> str:
        return "\n".join(self._with_session(lambda session: session.listdir(remote(""))))

    def rename(self, source: str, target: str) -> None:
        self._with_session(lambda session: session.rename(remote(source), remote(target)))

    def delete(self, name: str) -> None:
        self._with_session(lambda session: session.remove(remote(name)))


class Ssh2Sftp:
    """The npm client ssh2-sftp-client, under Node."""

    program = "node"
    modules = ROOT / "build" / "node" / "node_modules"

    def __init__(self, node: Node) -> None:
        access = {"host": "127.0.0.1", "port": node.ports["ssh"], "username": LOGIN, "password": PASSWORD}
        script = str(Path(__file__).with_name("ssh2_sftp.cjs"))
        self._command = ["node", script, str(self.modules), json.dumps(access)]

    @classmethod
    def missing(cls) -> str | None:
        there = (cls.modules / "ssh2-sftp-client").exists()
        return None if there else "ssh2-sftp-client is not installed; bin/test installs it"

    def __call__(self, action: str, *words: str) -> str:
        return run([*self._command, action, *words])

    def put(self, source: Path, name: str) -> None:
        self("put", str(source), remote(name))

    def get(self, name: str, target: Path) -> None:
        self("get", remote(name), str(target))

    def list(self) -> str:
        return self("list", remote(""))

    def rename(self, source: str, target: str) -> None:
        self("rename", remote(source), remote(target))

    def delete(self, name: str) -> None:
        self("delete", remote(name))


@contextmanager
def mounted(node: Node, at: Path) -> Iterator[Path]:
    """sshfs: the destination as a folder of this machine."""
    at.mkdir()
    options = f"port={node.ports['ssh']},password_stdin,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null"
    run(["sshfs", f"{LOGIN}@127.0.0.1:{remote('')}", str(at), "-o", options], PASSWORD + "\n", {"HOME": os.fspath(at.parent)})
    try:
        yield at
    finally:
        run(["fusermount3", "-u", "-z", str(at)])
