"""The SSH servers that are measured: ours, Debian's sshd, asyncssh and stock conch, each a process of its own on 127.0.0.1.

All of them know one key and serve files from a folder. sshd is at its defaults, with the SFTP server in its own process;
asyncssh and conch are at theirs, started by this very module. They keep no digest and sync nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from bench.cpu import CpuMeter
from bench.servers import free_port, running
from tests.real.harness import DESTINATION, LOGIN, ROOT, Node, environment

UNLISTED = "unlisted"
"""A destination of ours whose digests are computed after the commit."""

SSHD = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/authorized
StrictModes no
UsePAM no
PermitRootLogin yes
MaxStartups 100
Subsystem sftp internal-sftp
"""


@frozen
class SshTarget:
    """One server as OpenSSH's clients see it. `folder` is the remote folder that files go to, with a slash at its end."""

    server: str
    user: str
    port: int
    folder: str
    key: Path
    meter: CpuMeter

    def options(self, *more: str, port: int | None = None) -> list[str]:
        """What sftp and scp are given; `port` is that of a relay, if one stands between."""
        common = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", *more)
        words = [word for option in common for word in ("-o", option)]
        return ["-q", "-F", "/dev/null", "-i", str(self.key), "-P", str(port or self.port), *words]

    @property
    def host(self) -> str:
        return f"{self.user}@127.0.0.1"

    def sftp(self, commands: Sequence[str], *options: str, port: int | None = None) -> None:
        """Run commands in one session of OpenSSH's sftp."""
        words = ["sftp", *self.options(*options, port=port), "-b", "-", self.host]
        subprocess.run(words, input="\n".join(commands) + "\n", text=True, check=True, stdout=subprocess.DEVNULL)


def make_key(file: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file


@contextmanager
def ours(folder: Path, key: Path, sync: bool) -> Iterator[list[SshTarget]]:
    """ecpds twice: with SHA-256 as bytes come in, and with digests left for later."""
    meter = CpuMeter("ecpds")
    roles = ["master", "mover", "https", "ssh"]
    options = {
        "node": {"roles": roles},
        "ssh": {"port": 0},
        "mover": {"sync": sync},
        "limits": {"ticket_life": 1.0},
    }
    node = Node(folder, options, wrap=meter.wrap)
    try:
        node.start()
        node.populate()
        node.ecpds("destination", "add", UNLISTED, "--option", "digest_when=after")
        node.ecpds("user", "set", LOGIN, "--destination", DESTINATION, "--destination", UNLISTED)
        node.ecpds("user", "key", LOGIN, "add", f"{key}.pub")
        meter.watch(node.pid)
        port = node.ports["ssh"]
        yield [
            SshTarget("ecpds", LOGIN, port, f"/{DESTINATION}/", key, meter),
            SshTarget("ecpds, digest after", LOGIN, port, f"/{UNLISTED}/", key, meter),
        ]
    finally:
        if node.process is not None:
            node.stop()
        meter.close()


@contextmanager
def peer(name: str, folder: Path, key: Path) -> Iterator[SshTarget]:
    """sshd, asyncssh or conch."""
    port, root = free_port(), folder / "root"
    root.mkdir(parents=True)
    host = make_key(folder / "host")
    shutil.copy(f"{key}.pub", folder / "authorized")
    if name == "sshd":
        (folder / "conf").write_text(SSHD.format(port=port, folder=folder))
        Path("/run/sshd").mkdir(exist_ok=True)
        command = [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", str(folder / "conf")]
    else:
        command = [sys.executable, "-m", "bench.ssh_peers", name, str(port), str(host), str(folder / "authorized")]
    with running(name, command, port, {**environment(), "PYTHONPATH": str(ROOT)}) as meter:
        yield SshTarget(name, "root" if name == "sshd" else LOGIN, port, f"{root}/", key, meter)


@contextmanager
def all_of_them(folder: Path, peers: Sequence[str], sync: bool) -> Iterator[list[SshTarget]]:
    """Every server that can run here, ours first. sshd lets only the user in that runs it: root, here."""
    key = make_key(folder / "key")
    with ExitStack() as stack:
        targets = list(stack.enter_context(ours(folder / "ecpds", key, sync)))
        for name in peers:
            if name != "sshd" or (os.geteuid() == 0 and Path("/usr/sbin/sshd").exists()):
                targets.append(stack.enter_context(peer(name, folder / name, key)))
        yield targets


# The peers that are Python's, in processes of their own


def serve_asyncssh(port: int, host: str, authorized: str) -> None:
    import asyncio

    import asyncssh

    async def serve() -> None:
        await asyncssh.listen(
            "127.0.0.1",
            port,
            server_host_keys=[host],
            authorized_client_keys=authorized,
            sftp_factory=True,
            allow_scp=True,
        )
        await asyncio.get_running_loop().create_future()

    asyncio.run(serve())


def serve_conch(port: int, host: str, authorized: str) -> None:
    from twisted.conch.avatar import ConchUser
    from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
    from twisted.conch.interfaces import ISFTPServer
    from twisted.conch.ssh.factory import SSHFactory
    from twisted.conch.ssh.filetransfer import FileTransferServer
    from twisted.conch.ssh.keys import Key
    from twisted.conch.ssh.session import SSHSession
    from twisted.conch.unix import SFTPServerForUnixConchUser
    from twisted.cred.portal import IRealm, Portal
    from twisted.internet import reactor
    from twisted.python.components import registerAdapter
    from twisted.python.filepath import FilePath
    from zope.interface import implementer

    class User(ConchUser):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.channelLookup[b"session"] = SSHSession
            self.subsystemLookup[b"sftp"] = FileTransferServer

        def getUserGroupId(self) -> tuple[int, int]:
            return os.getuid(), os.getgid()

        def getHomeDir(self) -> FilePath[str]:
            return FilePath("/")

        def _runAsUser(self, function, *args, **kwargs):  # type: ignore[no-untyped-def]
            if callable(function):
                return function(*args, **kwargs)
            for each in function:
                call, *rest = each
                found = call(*(rest[0] if rest else ()), **(rest[1] if len(rest) > 1 else {}))
            return found

    registerAdapter(SFTPServerForUnixConchUser, User, ISFTPServer)

    @implementer(IRealm)
    class Realm:
        def requestAvatar(self, name, mind, *interfaces):  # type: ignore[no-untyped-def]
            return interfaces[0], User(), lambda: None

    factory = SSHFactory()
    key = Key.fromFile(host)
    factory.privateKeys = {key.sshType(): key}
    factory.publicKeys = {key.sshType(): key.public()}
    keys = InMemorySSHKeyDB({LOGIN.encode(): [Key.fromFile(authorized)]})
    factory.portal = Portal(Realm(), [SSHPublicKeyChecker(keys)])
    reactor.listenTCP(port, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    {"asyncssh": serve_asyncssh, "conch": serve_conch}[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
