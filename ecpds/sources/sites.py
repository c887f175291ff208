"""Which site a client is at: by the label that it says, or by its address and the sites' networks, the narrowest first."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from ecpds.datasources import Question, Site


class SiteFinder:
    """Over the sites at one moment."""

    def __init__(self, sites: Iterable[Site]) -> None:
        self._labels: dict[str, int] = {}
        self._networks: dict[tuple[int, int], dict[int, int]] = {}
        for site in sites:
            self._labels[site.label] = site.id
            for text in site.networks:
                network = ipaddress.ip_network(text)
                masked = self._networks.setdefault((network.version, network.prefixlen), {})
                masked.setdefault(int(network.network_address) >> (network.max_prefixlen - network.prefixlen), site.id)
        self._narrowest_first = sorted(self._networks, key=lambda key: -key[1])

    def of(self, question: Question) -> tuple[int | None, tuple[str, ...]]:
        """The site's id, None where it is not known, and what the client should be warned of."""
        if question.site:
            if question.site in self._labels:
                return self._labels[question.site], ()
            warning = f"destination {question.site[:100]!a} is not known here"
            return self.at(question.address), (warning,)
        return self.at(question.address), ()

    def at(self, address: str) -> int | None:
        """The site of an address."""
        if not self._networks:
            return None
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        if found.version == 6 and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        number = int(found)
        for version, length in self._narrowest_first:
            if version == found.version:
                site = self._networks[version, length].get(number >> (found.max_prefixlen - length))
                if site is not None:
                    return site
        return None
