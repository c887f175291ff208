"""A fleet of real daemons on one host: a Master and members that join it, each in a home of its own."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.real.harness import Node, Options, until

SECRET = "cluster.secret"

Wrap = Callable[[list[str]], list[str]]


class Fleet:
    """`master`, and `members` by name. The Master's cluster port stays the same when it is started again."""

    def __init__(
        self,
        folder: Path,
        names: tuple[str, ...],
        options: Options | None = None,
        wraps: Mapping[str, Wrap] | None = None,
        own: Mapping[str, Options] | None = None,
        counted: bool = True,
    ) -> None:
        """`wraps` puts something before the command of a node, by its name; `own` are its options, over all others.

        `counted`: what the members and the Master say to each other goes by a relay in this process.
        """
        self.folder = folder
        self._wraps = wraps or {}
        self._own = own or {}
        self.names = names
        self.members: dict[str, Node] = {}
        self._options = dict(options or {})
        self._counted = counted
        self.relay = Relay()
        self.master = self._node("master", {"cluster": self._cluster({"listen": 0})})

    def _cluster(self, more: Mapping[str, object]) -> dict[str, object]:
        return {"stream": 0, **self._options.get("cluster", {}), **more}

    def _node(self, name: str, own: Options) -> Node:
        options = {**self._options, **own}
        options["node"] = {**self._options.get("node", {}), "name": name, **own.get("node", {})}
        for section, keys in self._own.get(name, {}).items():
            options[section] = {**options.get(section, {}), **keys}
        return Node(self.folder / name, options, self._wraps.get(name, list))

    def start(self) -> None:
        """The Master first, with a port that others know; then every member."""
        self.master.start()
        port = self.master.ports["cluster"]
        if self._counted:
            self.relay.open(port)
        held = self._node("master", {"cluster": self._cluster({"listen": port})})
        held.process, held.ports = self.master.process, self.master.ports
        self.master = held
        for name in self.names:
            near = self.relay.port if self._counted else port
            cluster = self._cluster({"masters": [f"tls:127.0.0.1:{near}"], "listen": 0})
            node = self._node(name, {"cluster": cluster, "node": {"roles": ["mover", "ftp", "https"]}})
            node.home.mkdir(parents=True)
            shutil.copy(self.master.home / SECRET, node.home / SECRET)
            (node.home / SECRET).chmod(0o600)
            self.members[name] = node
            node.start()
        self.wait_for(*self.names)

    def wait_for(self, *names: str) -> None:
        """Until the Master may place files on each of these movers."""

        def there() -> bool:
            movers = {mover["name"]: mover for mover in self.master.json_lines("mover", "list")}
            return all(name in movers and movers[name]["available"] and movers[name]["volumes"] for name in names)

        until(there, f"movers {', '.join(names)}")

    def end(self) -> None:
        """Kill whoever runs."""
        for node in (*self.members.values(), self.master):
            if node.process is not None:
                node.kill()
        self.relay.close()


class Relay:
    """Stands between the members and the Master, and counts what crosses; each connection has two threads."""

    def __init__(self) -> None:
        self.port = 0
        self.count = 0
        self._lock = threading.Lock()
        self._listening: socket.socket | None = None

    def open(self, target: int) -> None:
        """Listen on any port, for `target` on this host."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening, target), daemon=True).start()

    def close(self) -> None:
        if self._listening is not None:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()

    def _accept(self, listening: socket.socket, target: int) -> None:
        with suppress(OSError):  # It was closed.
            while True:
                near, _ = listening.accept()
                threading.Thread(target=self._join, args=(near, target), daemon=True).start()

    def _join(self, near: socket.socket, target: int) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", target))
        except OSError:
            near.close()
            return
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # Either end may reset; the other is told.
            while data := source.recv(65536):
                with self._lock:
                    self.count += len(data)
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def fleet(*names: str, options: Options | None = None, own: Mapping[str, Options] | None = None) -> Iterator[Fleet]:
    """A populated fleet, ended and removed with all it holds; `own` as in `Fleet`."""
    folder = Path(tempfile.mkdtemp(prefix="ecpds-fleet-"))
    held = Fleet(folder, names, options, own=own)
    try:
        held.start()
        held.master.populate()
        yield held
    finally:
        held.end()
        shutil.rmtree(folder, ignore_errors=True)
