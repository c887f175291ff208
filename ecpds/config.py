"""The configuration: a TOML file read into frozen records, or one line that says what is wrong with it.

Each section is a class and each key an attribute of it; what the annotation and the validator don't allow stops the
start. `conf/ecpds.toml` shows every option with its default.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from attrs import Attribute, evolve, field, fields, frozen

NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
OPEN_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}=[A-Za-z0-9_][A-Za-z0-9._@-]{0,62}")
CATALOGUE_URL = re.compile(r"sqlite:///.+|postgresql\+psycopg://.+")
ROLES = ("master", "mover", "ftp", "ssh", "https", "s3", "manhole")


class ConfigError(Exception):
    """The configuration can't be used; the text is the one line that says why."""


class Check:
    """A validator that can say what it allows."""

    def __init__(self, allowed: str, test: Callable[[Any], object]) -> None:
        self.allowed = allowed
        self._test = test

    def __call__(self, _: Any, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and not self._test(value):
            raise ValueError(f"{attribute.name}: allowed: {self.allowed}")


def _one_of(default: str, *others: str) -> Any:
    names = (default, *others)
    return field(default=default, validator=Check(" | ".join(f'"{name}"' for name in names), names.__contains__))


def _port(default: int | None) -> Any:
    return field(default=default, validator=Check("a port, 0 to 65535 (0: any that is free)", range(65536).__contains__))


def _positive(default: float) -> Any:
    return field(default=default, validator=Check("a number above 0", lambda value: 0 < value < float("inf")))


def _natural(default: int) -> Any:
    return field(default=default, validator=Check("a whole number, 0 or more", lambda value: value >= 0))


def _some(default: tuple[str, ...]) -> Any:
    return field(default=default, validator=Check("a list with at least one string, none of them twice or empty", _distinct))


def _distinct(values: tuple[str, ...]) -> bool:
    return bool(values) and all(values) and len(set(values)) == len(values)


def _interface() -> Any:
    check = Check("a list of IP addresses", lambda those: _distinct(those) and all(map(_is_ip, those)))
    return field(default=("127.0.0.1",), validator=check)


def port_range(text: str) -> range:
    """`"30000-30999"`, or one port, as a range of ports. Raises `ValueError`."""
    first, dash, last = text.partition("-")
    ports = range(int(first), int(last if dash else first) + 1)
    if not ports or ports[0] < 1 or ports[-1] > 65535:
        raise ValueError(f"{text} is not a range of ports")
    return ports


def _is_ip(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        return bool(ipaddress.ip_network(text))
    except ValueError:
        return False


def _is_ipv4(text: str) -> bool:
    return _is_ip(text) and ":" not in text


def _is_way(text: str) -> bool:
    network, _, address = text.partition("=")
    return _is_network(network) and _is_ipv4(address)


def _is_port_range(text: str) -> bool:
    try:
        return bool(port_range(text))
    except ValueError:
        return False


@frozen
class Node:
    """This daemon: its name in the fleet, where it keeps its things, and the roles it plays."""

    name: str = field(
        factory=lambda: socket.gethostname()[:63],
        validator=Check("1 to 63 letters, digits, '.', '_' or '-', the first a letter or digit", NODE_NAME.fullmatch),
    )
    home: str = "../var"
    roles: tuple[str, ...] = field(
        default=("master", "mover", "ftp", "https"),
        validator=Check(f"any of {', '.join(ROLES)}, each once", lambda roles: _distinct(roles) and set(roles) <= set(ROLES)),
    )
    interface: tuple[str, ...] = _interface()
    balancers: tuple[str, ...] = field(
        default=(), validator=Check("a list of IP addresses and networks", lambda those: all(map(_is_network, those)))
    )
    share_ports: bool = False


@frozen
class Catalogue:
    """Where the Master keeps the catalogue: a SQLAlchemy URL; a relative SQLite path is relative to the home."""

    url: str = field(
        default="sqlite:///catalogue.sqlite",
        validator=Check("sqlite:///FILE | postgresql+psycopg://USER@HOST/DATABASE", CATALOGUE_URL.fullmatch),
    )


@frozen
class Cluster:
    """How this node talks to others. Without this section it is its own Master and opens no port for them."""

    masters: tuple[str, ...] = ()
    listen: int = _port(7600)
    stream: int = _port(7601)
    interface: str = "127.0.0.1"
    advertise: str | None = None
    secret_file: str = "cluster.secret"
    plain_stream: bool = False


@frozen
class Mover:
    """Where this node keeps bytes."""

    group: str = "default"
    cluster: str = ""
    weight: int = _natural(1)
    volumes: tuple[str, ...] = _some(("volumes/0",))
    sync: bool = True


@frozen
class Ftp:
    """The FTP door."""

    port: int = _port(2121)
    implicit_port: int | None = _port(None)
    passive_ports: str | None = field(default=None, validator=Check('"FIRST-LAST", two ports from 1 to 65535', _is_port_range))
    passive_address: str | None = field(default=None, validator=Check("an IPv4 address", _is_ipv4))
    passive_networks: tuple[str, ...] = field(
        default=(),
        validator=Check('a list of "NETWORK=ADDRESS", such as "10.0.0.0/8=10.0.0.5"', lambda those: all(map(_is_way, those))),
    )
    tls: str = _one_of("optional", "required", "off")
    tls_data: str = _one_of("optional", "required", "off")
    tls_session_reuse: str = _one_of("preferred", "required")
    client_certificates: bool = False


@frozen
class Ssh:
    """The SSH door: SFTP and SCP."""

    port: int = _port(2222)


@frozen
class Https:
    """The HTTPS door. A certificate and key are made on the first start if none are named."""

    port: int = _port(8443)
    plain_port: int | None = _port(None)
    certificate: str | None = None
    key: str | None = None
    open_hosts: tuple[str, ...] = field(
        default=(), validator=Check('a list of "HOST=LOGIN"', lambda pairs: all(map(OPEN_HOST.fullmatch, pairs)))
    )


@frozen
class S3:
    """The S3 door. Below `domain` a host's name begins with a bucket's; without it buckets are in the path only."""

    port: int = _port(9000)
    plain_port: int | None = _port(None)
    domain: str | None = None


@frozen
class Manhole:
    """The operators' console over SSH, on loopback."""

    port: int = _port(2200)
    authorized_keys: str = "manhole.keys"


@frozen
class Admin:
    """The port that watchers ask: `/metrics` for Prometheus, `/healthz`, `/readyz`. Plain HTTP."""

    port: int | None = _port(None)
    interface: tuple[str, ...] = _interface()


def _is_collector(text: str) -> bool:
    kind, _, where = text.partition(":")
    host, _, port = where.rpartition(":")
    if kind == "udp":
        return _is_ip(host.strip("[]")) and port.isascii() and port.isdigit() and 0 < int(port) < 65536
    return kind == "unix" and where.startswith("/")


@frozen
class Events:
    """Where the records of transfers and refusals go besides the catalogue: files in HOME/events, and the system's log."""

    json: bool = True
    lines: bool = True
    syslog: str | None = field(default=None, validator=Check("unix:/PATH | udp:ADDRESS:PORT", _is_collector))


@frozen
class Acquire:
    """Acquisition from remote folders, on a Master's node."""

    private: bool = False


@frozen
class Limits:
    """Every limit there is. Times are seconds, sizes bytes."""

    ticket_life: float = _positive(60.0)
    """How long a ticket to read or write can be used; replaced bytes are kept at least so long."""
    login_time: float = _positive(60.0)
    """From connecting to being logged in."""
    idle: float = _positive(600.0)
    """A control connection without a command."""
    keep_alive: float = _positive(75.0)
    """An HTTP connection between two requests."""
    header_time: float = _positive(20.0)
    """From the first byte of an HTTP head to its last."""
    linger: float = _positive(2.0)
    """How long an HTTP client that was told of the end may be silent and not close."""
    stall: float = _positive(60.0)
    """A transfer that makes no progress."""
    passive_wait: float = _positive(30.0)
    """From PASV to the client's data connection."""
    handshake: float = _positive(20.0)
    """From connecting to the end of the TLS handshake."""
    proxy_time: float = _positive(5.0)
    """From a balancer's connecting to the end of its PROXY header."""
    proxy_header: int = _natural(2048)
    """Bytes of a PROXY header."""
    shutdown: float = _positive(30.0)
    """How long running transfers may go on after SIGTERM."""
    partial_life: float = _positive(86400.0)
    """How long the received part of an interrupted upload is kept."""
    multipart_life: float = _positive(604800.0)
    """How long the parts of an upload that nobody completes are kept."""
    connections: int = _natural(4000)
    """Connections of one door at a time; 0: no limit."""
    connections_per_address: int = _natural(1000)
    """Connections of one client address to one door; 0: no limit."""
    login_tries: int = _natural(3)
    """Wrong passwords before an FTP connection is closed."""
    login_threads: int = _natural(2)
    """Passwords that are checked at a time."""
    login_queue: int = _natural(200)
    """Logins that may wait for that."""
    credential_life: float = _positive(60.0)
    """How long a checked password is remembered."""
    session_idle: float = _positive(3600.0)
    """How long a browser's login lasts when it is not used."""
    session_life: float = _positive(43200.0)
    """How long it lasts at most."""
    command_line: int = _natural(8192)
    """Bytes of one FTP command line."""
    command_queue: int = _natural(64)
    """FTP commands that may wait for an earlier one before the connection is no longer read."""
    unknown_commands: int = _natural(10)
    """Unknown commands in a row before an FTP connection is closed; 0: no limit."""
    ssh_packet: int = _natural(135168)
    """Bytes of one packet that an SSH client may send once it is logged in, and never more than 35000 before."""
    ssh_login_bytes: int = _natural(262144)
    """Bytes that an SSH client may send before it is logged in."""
    ssh_tries: int = _natural(6)
    """Refused requests to log in before an SSH connection is closed."""
    ssh_channels: int = _natural(8)
    """Channels of one SSH connection."""
    ssh_window: int = _natural(2097152)
    """Bytes that an SSH client may send on one channel of the door before they are used."""
    sftp_handles: int = _natural(64)
    """Files and directories that one SFTP session may have open."""
    ssh_rekey_bytes: int = _natural(1073741824)
    """Bytes that cross an SSH connection before it gets new keys."""
    ssh_rekey_time: float = _positive(3600.0)
    """After how long it gets them anyway."""
    consoles: int = _natural(8)
    """Expressions of the operators' consoles that run at a time."""
    console_idle: float = _positive(3600.0)
    """An operators' console in which nothing is typed."""
    console_output: int = _natural(1048576)
    """Bytes that one expression may write to the console."""
    console_rows: int = _natural(1000)
    """Objects of a list that the console asks for."""
    console_line: int = _natural(65536)
    """Characters that may be typed for one expression, or ahead."""
    header_bytes: int = _natural(32768)
    """Bytes of one HTTP head."""
    request_line: int = _natural(8192)
    """Bytes of its first line."""
    headers: int = _natural(100)
    """Header fields of one HTTP request."""
    ranges: int = _natural(100)
    """Byte ranges that one HTTP request may ask for; who asks for more gets the whole file."""
    file_size: int = _natural(0)
    """Bytes of one file; 0: no limit."""
    listing_page: int = _natural(1000)
    """Entries read from the catalogue at a time."""
    buffers: int = _natural(134217728)
    """Bytes of bulk buffers in all."""
    window: int = _natural(4)
    """Bulk buffers that one upload may have in flight."""
    disk_threads: int = _natural(8)
    """Threads for files."""
    digest_threads: int = _natural(4)
    """Threads for digests."""
    catalogue_threads: int = _natural(4)
    """Threads that ask the catalogue what takes long, or is asked of a server."""
    free_space: int = _natural(16777216)
    """Bytes of a volume that are never used."""
    master_wait: float = _positive(10.0)
    """How long a node goes on asking a Master that can't be reached."""
    history_page: int = _natural(10000)
    """Records that one question about the history may return."""
    history_days: int = _natural(360)
    """Days of the history that are kept; 0: all."""
    report_days: int = _natural(360)
    """Days that transfer reports of data sources are kept."""
    source_batch: int = _natural(10000)
    """URLs that one request may ask the repository of data sources about."""
    source_body: int = _natural(16777216)
    """Bytes of a request to the repository that imports a configuration or asks about many URLs."""
    acquire_files: int = _natural(4)
    """Files that are acquired at a time."""
    acquire_listing: int = _natural(10000)
    """Files of a remote folder that are looked at."""
    acquired_files: int = _natural(100000)
    """Files that an acquisition remembers; those that the folder no longer has go first."""
    acquire_tries: int = _natural(8)
    """How often a file that can't be acquired is tried, until it changes."""


@frozen
class Config:
    """A whole configuration. `home` is absolute; every other relative path is relative to it."""

    node: Node = field(factory=Node)
    catalogue: Catalogue = field(factory=Catalogue)
    cluster: Cluster | None = None
    mover: Mover = field(factory=Mover)
    ftp: Ftp = field(factory=Ftp)
    ssh: Ssh = field(factory=Ssh)
    https: Https = field(factory=Https)
    s3: S3 = field(factory=S3)
    manhole: Manhole = field(factory=Manhole)
    admin: Admin = field(factory=Admin)
    events: Events = field(factory=Events)
    acquire: Acquire = field(factory=Acquire)
    limits: Limits = field(factory=Limits)

    @property
    def home(self) -> Path:
        return Path(self.node.home)

    def path(self, name: str) -> Path:
        """A path that the configuration names, relative to the home unless absolute."""
        return self.home / name


SECTIONS: dict[str, type] = {
    "node": Node,
    "catalogue": Catalogue,
    "cluster": Cluster,
    "mover": Mover,
    "ftp": Ftp,
    "ssh": Ssh,
    "https": Https,
    "s3": S3,
    "manhole": Manhole,
    "admin": Admin,
    "events": Events,
    "acquire": Acquire,
    "limits": Limits,
}

KINDS: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple: "a list of strings",
}


def load(file: Path) -> Config:
    """Read `file`. Raises `ConfigError`, one line naming file, section, key, what was found and what is allowed."""
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is not TOML: {error}") from error
    config = Config(**{name: _section(file, name, table) for name, table in tables.items()})
    home = Path(os.path.normpath(file.absolute().parent / config.node.home))
    return evolve(config, node=evolve(config.node, home=str(home)))


def _section(file: Path, name: str, table: Any) -> Any:
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: {name} = {table!r} stands outside a section; allowed: {', '.join(SECTIONS)}")
    if name not in SECTIONS:
        raise ConfigError(f"{file}: [{name}] is not a section; allowed: {', '.join(SECTIONS)}")
    kind = SECTIONS[name]
    hints = get_type_hints(kind)
    values = {key: _value(file, name, key, value, hints) for key, value in table.items()}
    _check(file, name, kind, values)
    return kind(**values)


def _value(file: Path, section: str, key: str, value: Any, hints: dict[str, Any]) -> Any:
    if key not in hints:
        raise ConfigError(f"{file}: [{section}] {key} is not an option; allowed: {', '.join(hints)}")
    wanted = _kind(hints[key])
    if wanted is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise _not_allowed(file, section, key, value, f"allowed: {KINDS[wanted]}")
    return value


def _kind(hint: Any) -> type:
    """The plain type behind an annotation such as `int | None` or `tuple[str, ...]`."""
    if get_origin(hint) is tuple:
        return tuple
    options: list[type] = [option for option in get_args(hint) if option is not type(None)]
    plain: type = options[0] if options else hint
    return plain


def _check(file: Path, section: str, kind: type, values: dict[str, Any]) -> None:
    for attribute in fields(kind):
        if attribute.name in values and attribute.validator is not None:
            try:
                attribute.validator(None, attribute, values[attribute.name])
            except ValueError as error:
                allowed = str(error).partition(": ")[2]
                raise _not_allowed(file, section, attribute.name, values[attribute.name], allowed) from error


def _not_allowed(file: Path, section: str, key: str, value: Any, allowed: str) -> ConfigError:
    shown = list(value) if isinstance(value, tuple) else value
    return ConfigError(f"{file}: [{section}] {key} = {shown!r} is not allowed; {allowed}")
