"""The ports that a node serves on, and `HOME/ports.json`, which tells others."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ecpds.folders import write_file


class Ports:
    """`numbers` are the ports by name. The file is written when they are served, and names the process that does."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.numbers: dict[str, int] = {}

    def bind(self, name: str, port: int, addresses: Sequence[str], bind: Callable[[str, int], int]) -> None:
        """Bind one port on every address by `bind(address, port)`, which says what it got. Port 0 is any that is free.

        Raises `OSError`, with the address in its file name.
        """
        first = _bound(bind, addresses[0], port)
        for address in addresses[1:]:
            _bound(bind, address, first)
        self.numbers[name] = first

    def remove(self) -> None:
        """Whatever stands in the file is not served yet."""
        self._file.unlink(missing_ok=True)

    def write(self) -> None:
        write_file(self._file, json.dumps({"pid": os.getpid(), **self.numbers}).encode() + b"\n")

    def remove_own(self) -> None:
        """Take the file away, unless another process has written it since."""
        try:
            if json.loads(self._file.read_text()).get("pid") == os.getpid():
                self._file.unlink()
        except FileNotFoundError:
            return


def _bound(bind: Callable[[str, int], int], address: str, port: int) -> int:
    try:
        return bind(address, port)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{address} port {port}") from error
