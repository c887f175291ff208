"""The configuration: a TOML file read into frozen records, or one line that says what is wrong with it.

Each section is a class and each key an attribute of it; what the annotation and the validator don't allow stops the
start. `conf/ecpds.toml` shows every option with its default.
"""

from __future__ import annotations

import os
import re
import socket
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from attrs import evolve, field, fields, frozen

from ecpds.checks import (
    Check,
    distinct,
    interfaces,
    is_collector,
    is_ip,
    is_ipv4,
    is_network,
    is_port_range,
    is_way,
    natural,
    one_of,
    port_number,
    positive,
    some,
)
from ecpds.limits import Limits
from ecpds.scrubbing import is_span

NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
OPEN_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}=[A-Za-z0-9_][A-Za-z0-9._@-]{0,62}")
CATALOGUE_URL = re.compile(r"sqlite:///.+|postgresql\+psycopg://.+")
ROLES = ("master", "mover", "ftp", "ssh", "https", "s3", "manhole")


class ConfigError(Exception):
    """The configuration can't be used; the text is the one line that says why."""


@frozen
class Node:
    """This daemon: its name in the fleet, where it keeps its things, and the roles it plays."""

    name: str = field(
        factory=lambda: socket.gethostname()[:63],
        validator=Check("1 to 63 letters, digits, '.', '_' or '-', the first a letter or digit", NODE_NAME.fullmatch),
    )
    home: str = "../var"
    roles: tuple[str, ...] = field(
        default=ROLES,
        validator=Check(f"any of {', '.join(ROLES)}, each once", lambda roles: distinct(roles) and set(roles) <= set(ROLES)),
    )
    interface: tuple[str, ...] = interfaces()
    balancers: tuple[str, ...] = field(
        default=(), validator=Check("a list of IP addresses and networks", lambda those: all(map(is_network, those)))
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
    listen: int = port_number(7600)
    stream: int = port_number(7601)
    interface: str = field(default="127.0.0.1", validator=Check("an IP address", is_ip))
    advertise: str | None = None
    secret_file: str = "cluster.secret"
    plain_stream: bool = False


@frozen
class Mover:
    """Where this node keeps bytes."""

    group: str = "default"
    cluster: str = ""
    weight: int = natural(1)
    volumes: tuple[str, ...] = some(("volumes/0",))
    sync: bool = True


@frozen
class Scrub:
    """How this node compares what it stores with its record: bytes per second (0: never), days from round to round, hours."""

    rate: int = natural(16777216)
    days: float = positive(30.0)
    hours: str | None = field(default=None, validator=Check('"HH:MM-HH:MM", in UTC', is_span))


@frozen
class Ftp:
    """The FTP door."""

    port: int = port_number(2121)
    implicit_port: int | None = port_number(None)
    passive_ports: str | None = field(default=None, validator=Check('"FIRST-LAST", two ports from 1 to 65535', is_port_range))
    passive_address: str | None = field(default=None, validator=Check("an IPv4 address", is_ipv4))
    passive_networks: tuple[str, ...] = field(
        default=(),
        validator=Check('a list of "NETWORK=ADDRESS", such as "10.0.0.0/8=10.0.0.5"', lambda those: all(map(is_way, those))),
    )
    tls: str = one_of("optional", "required", "off")
    tls_data: str = one_of("optional", "required", "off")
    tls_session_reuse: str = one_of("preferred", "required")
    client_certificates: bool = False


@frozen
class Ssh:
    """The SSH door: SFTP and SCP. Files: authorities whose certificates log users in; what of those and of keys is revoked."""

    port: int = port_number(2222)
    trusted_user_ca_keys: str | None = None
    revoked_keys: str | None = None


@frozen
class Https:
    """The HTTPS door. A certificate and key are made on the first start if none are named."""

    port: int = port_number(8443)
    plain_port: int | None = port_number(None)
    certificate: str | None = None
    key: str | None = None
    open_hosts: tuple[str, ...] = field(
        default=(), validator=Check('a list of "HOST=LOGIN"', lambda pairs: all(map(OPEN_HOST.fullmatch, pairs)))
    )
    client_certificates: bool = False


@frozen
class S3:
    """The S3 door. Below `domain` a host's name begins with a bucket's; without it buckets are in the path only."""

    port: int = port_number(9000)
    plain_port: int | None = port_number(None)
    domain: str | None = None


@frozen
class Manhole:
    """The operators' console over SSH, on loopback."""

    port: int = port_number(2200)
    authorized_keys: str = "manhole.keys"


@frozen
class Admin:
    """The port that watchers ask: `/metrics` for Prometheus, `/healthz`, `/readyz`. Plain HTTP."""

    port: int | None = port_number(None)
    interface: tuple[str, ...] = interfaces()


@frozen
class Events:
    """Where the records of transfers and refusals go besides the catalogue: files in HOME/events, and the system's log."""

    json: bool = True
    lines: bool = True
    syslog: str | None = field(default=None, validator=Check("unix:/PATH | udp:ADDRESS:PORT", is_collector))


@frozen
class Acquire:
    """Acquisition from remote folders, on a Master's node."""

    private: bool = False


@frozen
class Config:
    """A whole configuration. `home` is absolute; every other relative path is relative to it."""

    node: Node = field(factory=Node)
    catalogue: Catalogue = field(factory=Catalogue)
    cluster: Cluster | None = None
    mover: Mover = field(factory=Mover)
    scrub: Scrub = field(factory=Scrub)
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
    "scrub": Scrub,
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
    texts = value if isinstance(value, list) else [value]
    if any(isinstance(text, str) and "\0" in text for text in texts):
        raise _not_allowed(file, section, key, value, "allowed: text without NUL")
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
