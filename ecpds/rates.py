"""How many bytes a second may cross, as options say it. The names are OpenECPDS's, where input is what clients fetch."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache

from attrs import frozen

MOST_BYTES = (1 << 63) - 1
"""What a larger size comes to: no count of bytes gets there, and every encoding of numbers has it."""

BY_NETWORK = "portal.maxBytesPerSecByNetwork"

_SIZE = re.compile("[0-9]{1,15}[kKMGT]?", re.ASCII)


def in_bytes(text: str) -> int:
    """What a size such as `500M` says."""
    digits = text.rstrip("kKMGT")
    return min(int(digits) << 10 * " KMGT".index(text[len(digits) :].upper() or " "), MOST_BYTES)


@frozen
class Rates:
    """Bytes per second that may be fetched, and put; 0: any number."""

    download: int = 0
    upload: int = 0

    def __bool__(self) -> bool:
        return bool(self.download or self.upload)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAMES = {of: (f"{of}.maxBytesPerSecForInput", f"{of}.maxBytesPerSecForOutput") for of in ("portal", "incoming")}

OF_DESTINATION = _NAMES["incoming"]
"""The options that limit each transfer of a destination."""

OF_USER = (*_NAMES["portal"], BY_NETWORK)
"""The options that limit a user, wherever it transfers."""


def rates(options: Mapping[str, str], of: str) -> Rates:
    """What options say; `of` is `portal` or `incoming`."""
    download, upload = (options.get(name) for name in _NAMES[of])
    return Rates(in_bytes(download) if download else 0, in_bytes(upload) if upload else 0)


def rates_at(options: Mapping[str, str], address: str) -> tuple[str, Rates]:
    """What a user's options say of who comes from an address: the network that they name it by, if any, and its rates.

    Files that the portal acquires for a user come from no address.
    """
    listed = options.get(BY_NETWORK)
    if listed is not None and address:
        here = ipaddress.ip_address(address.partition("%")[0])
        for network, found in by_network(listed):
            if here in network:
                return str(network), found
    return "", rates(options, "portal")


@lru_cache(maxsize=1024)
def by_network(text: str) -> tuple[tuple[Network, Rates], ...]:
    """`NETWORK=DOWNLOAD/UPLOAD,…` in its order, whose first that holds an address counts. Raises `ValueError`."""
    return tuple(_of_network(each) for each in text.split(","))


def is_by_network(text: str) -> bool:
    """Whether `by_network` can read it."""
    try:
        return bool(by_network(text))
    except ValueError:
        return False


def _of_network(text: str) -> tuple[Network, Rates]:
    network, _, both = text.partition("=")
    download, slash, upload = both.partition("/")
    if not (slash and _SIZE.fullmatch(download) and _SIZE.fullmatch(upload)):
        raise ValueError(f"{text} says no rates")
    return ipaddress.ip_network(network), Rates(in_bytes(download), in_bytes(upload))
