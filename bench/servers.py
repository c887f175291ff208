"""The servers that are measured: ours, vsftpd and nginx, each a process of its own on 127.0.0.1, over folders of its own.

The peers are near their defaults, tuned where it is free: vsftpd with sendfile and anonymous uploads, nginx with one
worker, sendfile, tcp_nopush and WebDAV's PUT. They check no password, keep no digest, and sync nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from bench.cpu import CpuMeter
from bench.options import Options
from tests.real.harness import LOGIN, PASSWORD, Node, not_without_us, until

PATIENCE = 5.0
"""Seconds that a peer has to end by itself: what it holds is thrown away."""

NGINX = """
daemon off; worker_processes 1; {user} pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; client_max_body_size 0; client_body_temp_path {folder}/tmp;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{https} ssl; listen 127.0.0.1:{http};
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    root {folder}/root; dav_methods PUT DELETE; autoindex on;
  }}
}}
"""

VSFTPD = """
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root={folder}/root
write_enable=YES
anon_upload_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
anon_umask=022
secure_chroot_dir={folder}/empty
xferlog_enable=NO
vsftpd_log_file={folder}/log
seccomp_sandbox=NO
ssl_enable=YES
allow_anon_ssl=YES
force_local_logins_ssl=NO
force_local_data_ssl=NO
require_ssl_reuse=NO
ssl_ciphers=HIGH
ssl_sslv2=NO
ssl_sslv3=NO
ssl_tlsv1=YES
rsa_cert_file={folder}/cert.pem
rsa_private_key_file={folder}/key.pem
"""


@frozen
class Target:
    """One door of one server, as clients see it. `base` is the URL of the folder that files go to."""

    server: str
    door: str
    base: str
    meter: CpuMeter
    login: str = "anonymous"
    password: str = "bench@localhost"

    @property
    def port(self) -> int:
        port = urlsplit(self.base).port
        assert port is not None
        return port

    @property
    def folder(self) -> str:
        return urlsplit(self.base).path

    def curl(self, *words: str) -> list[str]:
        """A curl command; the last word is a file's name, or empty for the folder."""
        *options, file = words
        return ["curl", "-sSfk", "--user", f"{self.login}:{self.password}", *options, self.base + file]

    def remove(self, file: str) -> None:
        """Delete a file through the door."""
        options = ["-Q", f"-DELE {self.folder}{file}", ""] if self.door == "ftp" else ["-X", "DELETE", file]
        subprocess.run(self.curl("-o", os.devnull, *options), check=True)


def free_port() -> int:
    """A port that is free now; the peers can't be asked which one they chose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(name: str, command: Sequence[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[CpuMeter]:
    """A peer, from when it answers until it has ended."""
    meter = CpuMeter(name)
    wrapped = meter.wrap(not_without_us(list(command)))
    process = subprocess.Popen(wrapped, stdin=subprocess.DEVNULL, start_new_session=True, env=environment)
    try:
        meter.watch(process.pid)
        until(lambda: _answers(port), f"{name} to answer", 10)
        yield meter
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        meter.close()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def vsftpd(folder: Path) -> Iterator[list[Target]]:
    """vsftpd, with anonymous users who may write; it must be started by root."""
    port = free_port()
    (folder / "empty").mkdir(parents=True)
    (folder / "root" / "pub").mkdir(parents=True)
    shutil.chown(folder / "root" / "pub", "ftp")
    self_signed(folder)
    (folder / "conf").write_text(VSFTPD.format(port=port, folder=folder))
    with running("vsftpd", ["vsftpd", str(folder / "conf")], port) as meter:
        yield [Target("vsftpd", "ftp", f"ftp://127.0.0.1:{port}/pub/", meter)]


@contextmanager
def nginx(folder: Path) -> Iterator[list[Target]]:
    """nginx, with and without TLS."""
    https, http = free_port(), free_port()
    (folder / "root").mkdir(parents=True)
    self_signed(folder)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "conf").write_text(NGINX.format(folder=folder, https=https, http=http, user=user))
    with running("nginx", ["nginx", "-c", str(folder / "conf"), "-e", str(folder / "error.log")], https) as meter:
        yield [
            Target("nginx", "https", f"https://127.0.0.1:{https}/", meter),
            Target("nginx", "http", f"http://127.0.0.1:{http}/", meter),
        ]


def self_signed(folder: Path) -> None:
    """A certificate of the same kind as ours: ECDSA P-256."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(folder / "key.pem")]
    certificate = ["-subj", "/CN=localhost", "-days", "2", "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", *key, *certificate], check=True, stderr=subprocess.DEVNULL)


@contextmanager
def ecpds(folder: Path, sync: bool, **limits: float) -> Iterator[tuple[Node, list[Target]]]:
    """Ours; replaced and deleted bytes go soon, so that a memory volume holds many rounds."""
    meter = CpuMeter("ecpds")
    node = Node(folder, {"mover": {"sync": sync}, "limits": {"ticket_life": 1.0, **limits}}, wrap=meter.wrap)
    try:
        node.start()
        node.populate()
        meter.watch(node.pid)
        doors = {"ftp": "ftp", "https": "https", "http": "https_plain"}
        yield node, [Target("ecpds", door, node.url(port), meter, LOGIN, PASSWORD) for door, port in doors.items()]
    finally:
        if node.process is not None:
            node.stop()
        meter.close()


@contextmanager
def all_of_them(folder: Path, options: Options) -> Iterator[dict[str, list[Target]]]:
    """Every server that can run here: its targets by door, ours first."""
    folder.chmod(0o755)  # vsftpd's anonymous user walks through it
    with ExitStack() as stack:
        targets = list(stack.enter_context(ecpds(folder / "ecpds", options.sync))[1])
        if shutil.which("vsftpd") and os.geteuid() == 0:
            targets += stack.enter_context(vsftpd(folder / "vsftpd"))
        if shutil.which("nginx"):
            targets += stack.enter_context(nginx(folder / "nginx"))
        yield {door: [target for target in targets if target.door == door] for door in options.doors}
