"""Folders, and files of ours in them, that are still there after the power was cut.

A name is on the disk only when its folder was synced.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises `OSError`."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file whole or not at all, in place of what was there; it is durable on return. Blocks. Raises `OSError`."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.rename(path)
    sync_folder(path.parent)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, with those above it, when it is missing; their names are durable on return, whoever made them.

    Raises `OSError`.
    """
    missing = [each for each in folder.parents if not each.exists()]
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for each in (folder, *missing):
        # Who may not read the folder above has been given this one by somebody else.
        with suppress(PermissionError):
            sync_folder(each.parent)
