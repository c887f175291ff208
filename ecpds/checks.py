"""What a value of the configuration may be: validators that can say what they allow."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from attrs import Attribute, field


class Check:
    """A validator that can say what it allows."""

    def __init__(self, allowed: str, test: Callable[[Any], object]) -> None:
        self.allowed = allowed
        self._test = test

    def __call__(self, _: Any, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and not self._test(value):
            raise ValueError(f"{attribute.name}: allowed: {self.allowed}")


def one_of(default: str, *others: str) -> Any:
    names = (default, *others)
    return field(default=default, validator=Check(" | ".join(f'"{name}"' for name in names), names.__contains__))


def port_number(default: int | None) -> Any:
    return field(default=default, validator=Check("a port, 0 to 65535 (0: any that is free)", range(65536).__contains__))


def positive(default: float) -> Any:
    return field(default=default, validator=Check("a number above 0", lambda value: 0 < value < float("inf")))


def natural(default: int) -> Any:
    return field(default=default, validator=Check("a whole number, 0 or more", lambda value: value >= 0))


def at_least_one(default: int) -> Any:
    return field(default=default, validator=Check("a whole number, 1 or more", lambda value: value >= 1))


def some(default: tuple[str, ...]) -> Any:
    return field(default=default, validator=Check("a list with at least one string, none of them twice or empty", distinct))


def distinct(values: tuple[str, ...]) -> bool:
    return bool(values) and all(values) and len(set(values)) == len(values)


def interfaces() -> Any:
    check = Check("a list of IP addresses", lambda those: distinct(those) and all(map(is_ip, those)))
    return field(default=("127.0.0.1",), validator=check)


def port_range(text: str) -> range:
    """`"30000-30999"`, or one port, as a range of ports. Raises `ValueError`."""
    first, dash, last = text.partition("-")
    ports = range(int(first), int(last if dash else first) + 1)
    if not ports or ports[0] < 1 or ports[-1] > 65535:
        raise ValueError(f"{text} is not a range of ports")
    return ports


def is_ip(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def is_network(text: str) -> bool:
    try:
        return bool(ipaddress.ip_network(text))
    except ValueError:
        return False


def is_ipv4(text: str) -> bool:
    return is_ip(text) and ":" not in text


def is_way(text: str) -> bool:
    network, _, address = text.partition("=")
    return is_network(network) and is_ipv4(address)


def is_port_range(text: str) -> bool:
    try:
        return bool(port_range(text))
    except ValueError:
        return False


def is_collector(text: str) -> bool:
    kind, _, where = text.partition(":")
    host, _, port = where.rpartition(":")
    if kind == "udp":
        return is_ip(host.strip("[]")) and port.isascii() and port.isdigit() and 0 < int(port) < 65536
    return kind == "unix" and where.startswith("/")
