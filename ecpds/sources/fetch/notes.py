"""The note beside a part that says what of it is here, for a later run to go on with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

BOOT = Path("/proc/sys/kernel/random/boot_id")


class Kept(NamedTuple):
    """What an earlier run has left: the file's size, the version that each source said it had, and the parts that came."""

    size: int
    versions: Mapping[str, str]
    digests: Mapping[str, str]
    done: tuple[tuple[int, int], ...] = ()


def read_note(path: Path, length: int) -> Kept | None:
    """What the note of a part of `length` bytes says; None where there is none that can be believed."""
    try:
        said = json.loads(path.read_text("utf-8"))
        if said["boot"] != boot():
            return None
        done = tuple((int(begin), int(end)) for begin, end in said["done"])
        if any(not 0 <= begin < end <= length for begin, end in done):
            return None
        return Kept(int(said["size"]), dict(said["versions"]), dict(said["digests"]), done)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # There is no note, or not one of ours: the file is fetched from its beginning.


def write_note(path: Path, kept: Kept) -> None:
    """Write it in one step. Raises `OSError`."""
    said = {
        "boot": boot(),
        "size": kept.size,
        "versions": dict(kept.versions),
        "digests": dict(kept.digests),
        "done": kept.done,
    }
    passing = path.with_name(path.name + "~")
    passing.write_text(json.dumps(said), "utf-8")
    os.rename(passing, path)


def boot() -> str:
    """What is another one after each boot; empty where the system doesn't say."""
    try:
        return BOOT.read_text("ascii").strip()
    except OSError:
        return ""
