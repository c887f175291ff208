"""Content negotiation by Accept (RFC 9110 section 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def preferred(accept: str | None, offers: Sequence[str]) -> str | None:
    """The media type of `offers` that `accept` likes best, the first of equals; None when it likes none.

    Without a field everything is liked. Ranges that can't be read don't count.
    """
    if accept is None:
        return offers[0]
    ranges = [found for text in accept.split(",") if (found := _media_range(text))]
    weights = {offer: _weight(offer, ranges) for offer in offers}
    best = max(offers, key=lambda offer: weights[offer])
    return best if weights[best] else None


def _media_range(text: str) -> tuple[str, float] | None:
    """A media range and its weight; other parameters, which none of our types has, are left aside."""
    name, *parameters = (part.strip(" \t").lower() for part in text.split(";"))
    if name.count("/") != 1:
        return None
    weight = next((value[2:] for value in parameters if value.startswith("q=")), "1")
    return (name, float(weight)) if _WEIGHT.fullmatch(weight) else None


def _weight(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The weight of the range that names `offer` most precisely."""
    whole_kind = offer.partition("/")[0] + "/*"
    for wanted in (offer, whole_kind, "*/*"):
        weights = [weight for name, weight in ranges if name == wanted]
        if weights:
            return max(weights)
    return 0.0
