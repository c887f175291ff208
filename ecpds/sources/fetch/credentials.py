"""Names and passwords for servers: from netrc, from the keyring if there is one, or from a person, asked once a server.

Nothing is asked before a server wants it. What was refused is not offered twice.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ecpds.interfaces import IThreads
from ecpds.sources.mechanisms.base import Secret

Ask = Callable[[str, str], Secret | None]
"""Asks a person, for a server and a login (empty: any): blocks."""


class Wallet:
    """`ask` is None where there is no person."""

    log = Logger()

    def __init__(self, threads: IThreads, ask: Ask | None, file: Path | None = None) -> None:
        self._threads = threads
        self._ask = ask
        self._file = file or Path(os.environ.get("NETRC") or Path.home() / ".netrc")
        self._known: dict[tuple[str, str, str], Secret | None] = {}
        self._door = DeferredLock()

    async def find(self, scheme: str, host: str, login: str, refused: int) -> Secret | None:
        """As `Credentials.find`. Anonymous FTP asks nobody unless the server has refused it."""
        key = scheme, host, login  # what one service of a host refuses may be right for another
        await self._door.acquire()
        try:
            if key in self._known and not refused:
                return self._known[key]
            if not refused:
                found: Secret | None = await self._threads.run(self._stored, host, login)
                if found is not None or scheme in ("ftp", "ftps"):
                    self._known[key] = found
                    return found
            found = await self._threads.run(self._ask, host, login) if self._ask is not None and refused < 2 else None
            self._known[key] = found
            return found
        finally:
            self._door.release()

    def _stored(self, host: str, login: str) -> Secret | None:
        return self._from_netrc(host, login) or self._from_keyring(host, login)

    def _from_netrc(self, host: str, login: str) -> Secret | None:
        try:
            if self._file.stat().st_mode & 0o077:
                self.log.warn("{file} can be read by others", file=str(self._file))
            found = netrc.netrc(str(self._file)).authenticators(host)
        except (OSError, netrc.NetrcParseError):
            return None  # There is none, or it can't be read: nobody's secret is known from it.
        if found is None or (login and found[0] != login):
            return None
        return Secret(found[0], found[2] or "")

    def _from_keyring(self, host: str, login: str) -> Secret | None:
        try:
            library: Any = import_module("keyring")
        except ImportError:
            return None
        try:
            found = library.get_credential(host, login or None)
        except library.errors.KeyringError:
            return None  # It is locked, or none is running.
        return Secret(found.username, found.password) if found is not None else None
