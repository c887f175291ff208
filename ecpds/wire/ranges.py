"""Byte ranges (RFC 9110 section 14): which spans of a representation a Range field asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

_SPECIFIER = re.compile(r"\s*bytes=(.*)", re.IGNORECASE | re.DOTALL)
_SPEC = re.compile(r"([0-9]*)-([0-9]*)")

_BEYOND = 10**18
"""Stands for every number of more than 18 digits: no file is so large, and no such number needs to be computed."""


NEAR = 80
"""Bytes between two spans that are cheaper to send than to leave out."""


@frozen
class Span:
    """`length` bytes from `offset`; never empty, never past the end."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        """The Content-Range of a 206 (RFC 9110 section 14.4)."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def unsatisfied_range(size: int) -> str:
    """The Content-Range of a 416 (RFC 9110 section 15.5.17)."""
    return f"bytes */{size}"


def spans(field: str, size: int) -> list[Span] | None:
    """The satisfiable spans of `size` bytes that a Range field asks for, in its order; none: 416.

    None is a field to be ignored (RFC 9110 section 14.2): of another unit or not well formed. So is a suffix of nothing:
    it is satisfied by the whole of an empty file, for which there is no Content-Range.
    """
    specifier = _SPECIFIER.fullmatch(field)
    if specifier is None:
        return None
    specs = [_SPEC.fullmatch(spec) for text in specifier[1].split(",") if (spec := text.strip(" \t"))]
    if not specs:
        return None
    found = []
    for spec in specs:
        if spec is None or not (spec[1] or spec[2]):
            return None
        if spec[1] and spec[2] and _number(spec[2]) < _number(spec[1]):
            return None
        if not spec[1] and not size and _number(spec[2]):
            return None
        found.append(_span(spec[1], spec[2], size))
    return [span for span in found if span.length > 0]


def coalesced(found: Sequence[Span]) -> list[Span]:
    """The same bytes with none of them twice, and no two spans nearer to each other than a part of their own would cost.

    RFC 9110 section 15.3.7.2; each stands where the first of those stood that it is made of.
    """
    merged: list[tuple[int, Span]] = []
    for place, span in sorted(enumerate(found), key=lambda each: each[1].offset):
        if merged and span.offset <= merged[-1][1].offset + merged[-1][1].length + NEAR:
            first, before = merged[-1]
            end = max(before.offset + before.length, span.offset + span.length)
            merged[-1] = (min(first, place), Span(before.offset, end - before.offset))
        else:
            merged.append((place, span))
    return [span for _, span in sorted(merged, key=lambda each: each[0])]


def _span(first: str, last: str, size: int) -> Span:
    """The part of `size` bytes between two positions; one that can't be satisfied has no length (RFC 9110 section 14.1.2)."""
    if first:
        offset = _number(first)
        end = min(_number(last) + 1, size) if last else size
    else:
        offset, end = max(size - _number(last), 0), size
    return Span(offset, end - offset)


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= 18 else _BEYOND
