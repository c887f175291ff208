"""What the options of destinations make of a user's transfers: an identity carries it, so that portals need not ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ecpds.options import BUCKET_OBJECTS, MOST_FETCHED, MOST_FETCHED_OF_DESTINATION, ORIGIN_OF_DESTINATION
from ecpds.rates import OF_DESTINATION, OF_USER, Rates, rates

SetOf = Callable[[Iterable[str], str], list[tuple[str, str]]]
"""Says an option of each named destination; nothing where it is not set."""


def sites(set_of: SetOf, destinations: Sequence[str]) -> dict[str, str]:
    """As `Identity.sites`."""
    return {name: site for name, site in set_of(destinations, ORIGIN_OF_DESTINATION) if site}


def metered(set_of: SetOf, options: Mapping[str, str], destinations: Sequence[str]) -> frozenset[str]:
    """Of which destinations what a user with these options fetches counts for a quota."""
    if MOST_FETCHED in options:
        return frozenset(destinations)
    return frozenset(name for name, most in set_of(destinations, MOST_FETCHED_OF_DESTINATION) if most)


def rated(set_of: SetOf, destinations: Sequence[str]) -> dict[str, Rates]:
    """As `Identity.rates`."""
    said: dict[str, dict[str, str]] = {}
    for option in OF_DESTINATION:
        for name, text in set_of(destinations, option):
            if text:
                said.setdefault(name, {})[option] = text
    found = {name: rates(options, "incoming") for name, options in said.items()}
    return {name: each for name, each in found.items() if each}


def shown_to_visitors(own: Mapping[str, str], of_destination: Mapping[str, str]) -> dict[str, str]:
    """The options of who has no right of its own in a destination: what limits it everywhere, and what the destination says."""
    shown = {name: own[name] for name in OF_USER if name in own}
    if BUCKET_OBJECTS in of_destination:
        shown[BUCKET_OBJECTS] = of_destination[BUCKET_OBJECTS]
    return shown
