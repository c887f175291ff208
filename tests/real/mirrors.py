"""Servers that files are fetched from: nginx, vsftpd and sshd, each a process of its own over one folder, on free ports.

A mirror is shaped by its own means (`limit_rate`, `anon_max_rate`), so each has a speed of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.real.harness import not_without_us, until

NGINX = """
daemon off; worker_processes 1; {user} pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; keepalive_requests 100000; default_type application/octet-stream;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  {servers}
}}
"""

VSFTPD = """
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root={root}
anon_world_readable_only=NO
anon_max_rate={rate}
secure_chroot_dir={folder}/empty
xferlog_enable=NO
vsftpd_log_file={folder}/log
seccomp_sandbox=NO
"""

SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/home/.ssh/id_ed25519.pub
PidFile {folder}/pid
StrictModes no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""


@frozen
class Site:
    """One server of nginx: a port, the folder that it serves, and what else its block says."""

    port: int
    root: Path
    more: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        not_without_us(list(command)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: answers(port), f"{command[0]} on port {port}")
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def nginx(folder: Path, sites: Sequence[Site]) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    servers = "\n".join(f"server {{ listen 127.0.0.1:{each.port}; root {each.root}; {each.more} }}" for each in sites)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "conf").write_text(NGINX.format(folder=folder, servers=servers, user=user))
    with running(["nginx", "-c", str(folder / "conf")], sites[0].port):
        yield


@contextmanager
def vsftpd(folder: Path, root: Path, rate: int = 0) -> Iterator[str]:
    """The URL of its folder. Must be started by root."""
    (folder / "empty").mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "conf").write_text(VSFTPD.format(port=port, root=root, folder=folder, rate=rate))
    with running(["vsftpd", str(folder / "conf")], port):
        yield f"ftp://127.0.0.1:{port}"


@contextmanager
def sshd(folder: Path) -> Iterator[tuple[str, Path]]:
    """The URL of the file system, and a home whose key it takes and whose known hosts have its key. Started by root."""
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    for file in (folder / "host", home / ".ssh" / "id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    kind, key = (folder / "host.pub").read_text().split()[:2]
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    (folder / "conf").write_text(SSHD.format(port=port, folder=folder))
    with running(["/usr/sbin/sshd", "-D", "-f", str(folder / "conf")], port):
        yield f"sftp://root@127.0.0.1:{port}", home
