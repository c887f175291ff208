"""`twistd ecpds`: its options, and the service that builds a node from its configuration, starts it and stops it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python import usage

from ecpds.cluster.assembly import master_addresses, member_of_a_fleet
from ecpds.config import Config, ConfigError, load
from ecpds.errors import Refusal
from ecpds.master.engine import CatalogueError
from ecpds.node.life import Node


class Options(usage.Options):
    """The command line of `twistd ecpds`."""

    synopsis = "[options]"
    longdesc = "Runs one node of an ecpds data portal. conf/ecpds.toml shows every setting."
    optParameters = [["config", "c", None, "The configuration file."]]  # noqa: RUF012
    optFlags = [["demo", None, "On the first start make a user and a destination `demo`, and print how to use them."]]  # noqa: RUF012

    def postOptions(self) -> None:
        if self["config"] is None:
            raise usage.UsageError("--config FILE says which node this is")


def makeService(options: Options) -> IService:
    """A node by its configuration. A configuration that can't be used ends the program with one line that says why."""
    file = Path(options["config"])
    try:
        config = load(file)
    except ConfigError as error:
        sys.exit(f"ecpds: {error}")
    try:
        service: IService = NodeService(checked(config), bool(options["demo"]), file)
    except ConfigError as error:
        sys.exit(f"ecpds: {file}: {error}")
    return service


def checked(config: Config) -> Config:
    """The configuration, if its parts go together. Raises `ConfigError`."""
    if config.cluster is not None:
        master_addresses(config.cluster)
    if not member_of_a_fleet(config) and "master" not in config.node.roles:
        raise ConfigError('[node] roles: without "master" a node needs a Master elsewhere: [cluster] masters')
    if config.cluster is None and "mover" not in config.node.roles:
        raise ConfigError('[node] roles: without "mover" a node needs movers elsewhere: a [cluster]')
    return config


class NodeService(Service):
    """Starts and stops a node. What keeps it from starting ends the program with one line, before the reactor runs."""

    log = Logger()

    def __init__(self, config: Config, demo: bool, file: Path) -> None:
        """`file` is what the configuration was read from, which a line about it names."""
        self._config = config
        self._file = file
        self._demo = demo
        self._node: Node | None = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        from twisted.internet import reactor

        try:
            self._node = Node(self._config, reactor)
            self._node.open()
        except ConfigError as error:
            give_up(f"{self._file}: {error}")
        except (CatalogueError, Refusal) as error:
            give_up(str(error))
        except OSError as error:
            give_up(_said(error))
        reactor.callWhenRunning(self._running, reactor)

    def _running(self, reactor: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: reactor.callFromThread(self._told_to_stop, reactor))
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(self._hung_up, reactor))
        assert self._node is not None
        ensureDeferred(self._node.start(self._demo)).addErrback(self._failed, reactor)

    def _told_to_stop(self, reactor: Any) -> None:
        """The first signal lets transfers end (and the exit status be 0), the second doesn't."""
        if self.running:
            reactor.stop()
        elif self._node is not None:
            self._node.abort()

    def _hung_up(self, reactor: Any) -> None:
        """The terminal has gone. A shell and the kernel may both say so, so a second one is no second order to stop."""
        if self.running:
            reactor.stop()

    def _failed(self, failure: Any, reactor: Any) -> None:
        if failure.check(OSError, Refusal):
            self.log.critical("the node could not start: {reason}", reason=_said(failure.value))
        else:
            self.log.failure("the node could not start", failure)
        # twistd would end with 0, whatever happened.
        reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
        reactor.stop()

    def stopService(self) -> Deferred[None] | None:
        super().stopService()  # type: ignore[no-untyped-call]
        return ensureDeferred(self._node.stop()) if self._node is not None else None


def _said(error: Exception) -> str:
    """What keeps a node from starting, with the file that it happened to, where there is one."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)


def give_up(reason: str) -> NoReturn:
    """End the program with one line. twistd sends sys.stderr to the log by now; the line is for who started us."""
    terminal = sys.__stderr__ or sys.stderr
    terminal.write(f"ecpds: {reason}\n")
    raise SystemExit(1)
