"""The manhole: a Python console inside of a running node, over SSH, for the keys that `manhole.authorized_keys` lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ecpds.admin.manhole_console import Console
from ecpds.admission import Admission
from ecpds.config import Config
from ecpds.interfaces import IThreads, ITimeouts
from ecpds.keys import HostKey
from ecpds.ssh.authorized import AuthorizedKey, AuthorizedKeys
from ecpds.ssh.channels import Shell, Terminal
from ecpds.ssh.login import KeyGate, Login
from ecpds.ssh.server import SshServer
from ecpds.ssh.userkeys import UserKey


class Manhole:
    """`server` is the factory to listen with. Files are read on `files`, and what operators type runs on `threads`.

    `operator` is the operator's façade, and `extra` are more names for the console.
    """

    def __init__(
        self,
        config: Config,
        host_keys: Sequence[HostKey],
        operator: Any,
        extra: Mapping[str, Any],
        files: IThreads,
        threads: IThreads,
        reactor: Any,
        timeouts: ITimeouts,
        admission: Admission,
    ) -> None:
        self._config = config
        self._operator = operator
        self._extra = extra
        self._files = files
        self._threads = threads
        self._reactor = reactor
        self._keys = AuthorizedKeys(config.path(config.manhole.authorized_keys))
        limits = config.limits
        self.server = SshServer(
            host_keys, KeyGate(self._find), self._open_channel, limits, timeouts, reactor, admission, limits.console_idle
        )

    async def _find(self, key: UserKey) -> AuthorizedKey | None:
        found: AuthorizedKey | None = await self._files.run(self._keys.find, key)
        return found

    def _open_channel(self, login: Login, window: int, packet: int) -> Terminal:
        return Terminal(login, self._open_console, window, packet)

    def _open_console(self, login: Login, terminal: Terminal) -> Shell:
        name = self._config.node.name
        greeting = f"ecpds manhole on {name}. help() says what there is; Ctrl-D leaves."
        return Console(
            login.who, terminal, self._operator, self._extra, self._threads, self._reactor, self._config.limits, greeting
        )
