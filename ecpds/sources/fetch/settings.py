"""How a run fetches, as its command line says it."""

from __future__ import annotations

from typing import NamedTuple


class Settings(NamedTuple):
    """`streams`: connections for one file at a time; `per_source`: of these, to one source. `tries`: how often a source may
    fail in a row. `sync`: whether a file is on the disk before it has its name."""

    streams: int = 4
    per_source: int = 1
    tries: int = 4
    sync: bool = False
    sidecars: bool = True
