"""A node's home: one process has it, and what its volumes hold is known by the node's name and the volumes' order.

The catalogue says of each copy which mover has it, and on which of its volumes. So a node that is called otherwise, or whose
volumes stand in another order, would have files that nobody finds; a disk that is not mounted looks like an empty volume,
which would be filled, below the disk. All three are found at the start, by what `HOME/node.json` says of the last one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from ecpds.config import Config, ConfigError
from ecpds.folders import make_folder, write_file

LOCK, RECORD = "node.lock", "node.json"


class KnownVolume(msgspec.Struct, frozen=True):
    """One of `[mover] volumes`, as it was written there; `mounted`: whether it was a disk of its own, mounted just there."""

    path: str
    mounted: bool


class Known(msgspec.Struct, frozen=True):
    """What was true when the node started last."""

    name: str
    volumes: tuple[KnownVolume, ...]


class Home:
    """Taken by making it, until `leave`. Made before anything else is opened or changed there.

    Raises `ConfigError` where another process has it, the node's name is another, or the volumes' order is.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._record = config.path(RECORD)
        make_folder(config.home, 0o750)
        self._lock = _taken(config.path(LOCK))
        try:
            self._known = self._read()
            self.absent: Mapping[int, str] = MappingProxyType(dict(self._find_absent()))
            """Volumes that were there at the last start, by index, with what is wrong now."""
            self._check_name()
            self._check_order()
        except ConfigError:
            self.leave()
            raise

    def remember(self) -> None:
        """The volumes are there: the next start may rely on it. What is absent now is still expected."""
        volumes = self._config.mover.volumes
        old = self._known.volumes
        now = [old[index] if index in self.absent else self._seen(path) for index, path in enumerate(volumes)]
        known = Known(self._config.node.name, (*now, *old[len(now) :]))
        if known != self._known:
            write_file(self._record, msgspec.json.encode(known) + b"\n", 0o600)
            self._known = known

    def may_hold_files(self) -> bool:
        """Whether anything is stored on the volumes, as far as can be told: what a disk holds that is away is not known."""
        return bool(self.absent) or any(map(_holds_files, map(self._config.path, self._config.mover.volumes)))

    def leave(self) -> None:
        """Another process may have it."""
        os.close(self._lock)

    def _read(self) -> Known:
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=Known)
        except FileNotFoundError:
            return Known(self._config.node.name, ())
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{self._record} is not what a node writes; remove it, if [node] name is what it was") from error

    def _seen(self, path: str) -> KnownVolume:
        return KnownVolume(path, os.path.ismount(self._config.path(path)))

    def _check_name(self) -> None:
        """Where nothing is stored yet any name is as good."""
        name = self._config.node.name
        if self._known.name == name or not self.may_hold_files():
            return
        raise ConfigError(
            f"[node] name: {name!r}, but the files on this node's volumes are known as those of {self._known.name!r}; allowed: "
            f"that name; move them to other nodes first (`ecpds mover retire {self._known.name}`)"
        )

    def _check_order(self) -> None:
        places = {volume.path: index for index, volume in enumerate(self._known.volumes)}
        for index, path in enumerate(self._config.mover.volumes):
            if places.get(path, index) != index:
                raise ConfigError(
                    f"[mover] volumes: {path!r} is number {index + 1}, and was {places[path] + 1}; allowed: the order in "
                    "which they were, new ones at the end"
                )

    def _find_absent(self) -> list[tuple[int, str]]:
        configured = zip(self._config.mover.volumes, self._known.volumes, strict=False)
        found = []
        for index, (path, known) in enumerate(configured):
            root = self._config.path(path)
            if path != known.path:
                continue
            if not root.is_dir():
                found.append((index, "the folder is not there any more; is its disk mounted?"))
            elif known.mounted and not os.path.ismount(root):
                found.append((index, "its disk is not mounted"))
        return found


def _taken(file: Path) -> int:
    """A descriptor that holds the lock as long as it is open, as the kernel sees to when the process dies."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ConfigError(f"[node] home {file.parent} is another process's; a node is started once") from None
    return lock


def _holds_files(root: Path) -> bool:
    return any(files for _, _, files in os.walk(root))
