"""A fleet of real daemons on one host: a Master and members that join it, each in a home of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.real.harness import Node, Options, until

SECRET = "cluster.secret"


class Fleet:
    """`master`, and `members` by name. The Master's cluster port stays the same when it is started again."""

    def __init__(self, folder: Path, names: tuple[str, ...], options: Options | None = None) -> None:
        self.folder = folder
        self.names = names
        self.members: dict[str, Node] = {}
        self._options = dict(options or {})
        self.master = self._node("master", {"cluster": self._cluster({"listen": 0})})

    def _cluster(self, more: Mapping[str, object]) -> dict[str, object]:
        return {"stream": 0, **self._options.get("cluster", {}), **more}

    def _node(self, name: str, own: Options) -> Node:
        options = {**self._options, **own}
        options["node"] = {**self._options.get("node", {}), "name": name, **own.get("node", {})}
        return Node(self.folder / name, options)

    def start(self) -> None:
        """The Master first, with a port that others know; then every member."""
        self.master.start()
        port = self.master.ports["cluster"]
        held = self._node("master", {"cluster": self._cluster({"listen": port})})
        held.process, held.ports = self.master.process, self.master.ports
        self.master = held
        for name in self.names:
            cluster = self._cluster({"masters": [f"tls:127.0.0.1:{port}"], "listen": 0})
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


@contextmanager
def fleet(*names: str, options: Options | None = None) -> Iterator[Fleet]:
    """A populated fleet, ended and removed with all it holds."""
    folder = Path(tempfile.mkdtemp(prefix="ecpds-fleet-"))
    held = Fleet(folder, names, options)
    try:
        held.start()
        held.master.populate()
        yield held
    finally:
        held.end()
        shutil.rmtree(folder, ignore_errors=True)
