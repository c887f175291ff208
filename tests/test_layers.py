"""The arrows of the house: which room may import which, and that nothing runs in a circle."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

PACKAGE = Path(__file__).parent.parent / "ecpds"

GROUND = {
    "acquisitions",
    "config",
    "checks",
    "limits",
    "loans",
    "errors",
    "model",
    "people",
    "rates",
    "schedules",
    "datasources",
    "datasource_interfaces",
    "interfaces",
    "portal_interfaces",
    "master_interfaces",
    "operator_interfaces",
    "keys",
    "events",
    "file_systems",
    "folders",
    "grants",
    "hashing",
    "held",
    "packing",
    "options",
    "threads",
    "timeouts",
    "waiting",
    "keeping",
    "filling",
    "admission",
    "ports",
    "releases",
    "scrubbing",
    "quotas",
    "terms",
}

ARROWS: dict[str, set[str]] = {
    "protocols": {"portal", "http", "ssh", "wire"},
    "admin": {"portal", "http", "ssh", "wire"},
    "portal": set(),
    "sources": {"http", "ssh", "wire"},
    "cluster": {"transports"},
    "master": set(),
    "mover": {"transports"},
    "http": {"transports", "wire"},
    "ssh": {"transports", "wire"},
    "transports": set(),
    "wire": set(),
}

ROOTS = {"tap", "node", "__main__"}
"""What composes: the daemon and its parts, and the command line."""

GLOBAL_REACTOR = ("twisted.internet.reactor", "twisted.internet.epollreactor")


def module_name(path: Path) -> str:
    name = ".".join(("ecpds", *path.relative_to(PACKAGE).with_suffix("").parts))
    return name.removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Every module of ours, or Twisted's, that a file names in an import, wherever in the file it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def room_of(module: str) -> str | None:
    """The room of one of our modules; None for another's, the ground floor's own word for the ground floor."""
    parts = module.split(".")
    if parts[0] != "ecpds" or len(parts) < 2:
        return None
    if parts[1] in ARROWS or parts[1] in ROOTS:
        return parts[1]
    return "ground" if parts[1] in GROUND else None


MODULES = {module_name(path): imported(path) for path in sorted(PACKAGE.rglob("*.py"))}


class Layers(SynchronousTestCase):
    def test_every_module_has_a_room(self) -> None:
        homeless = [name for name in MODULES if name != "ecpds" and room_of(name) is None]
        self.assertEqual(homeless, [])

    def test_arrows_point_one_way(self) -> None:
        wrong = []
        for name, names in MODULES.items():
            room = room_of(name)
            allowed = {"ground", room} | ARROWS.get(str(room), set())
            wrong += [f"{name} -> {other}" for other in names if room not in ROOTS and room_of(other) not in allowed | {None}]
        self.assertEqual(wrong, [])

    def test_no_circle(self) -> None:
        graph = {name: {other for other in names if other in MODULES and other != "ecpds"} for name, names in MODULES.items()}
        while graph:
            free = [name for name, names in graph.items() if not names & graph.keys() - {name}]
            self.assertTrue(free, f"these import each other: {sorted(graph)}")
            for name in free:
                del graph[name]

    def test_no_module_binds_the_global_reactor(self) -> None:
        bound = [name for name, names in MODULES.items() if room_of(name) != "tap" and names & set(GLOBAL_REACTOR)]
        self.assertEqual(bound, [])

    def test_no_subprocess_on_a_clients_path(self) -> None:
        doors = {"protocols", "portal", "http", "ssh", "wire", "transports"}
        runs = [name for name, names in MODULES.items() if room_of(name) in doors and "subprocess" in names]
        self.assertEqual(runs, [])

    def test_the_plugin_imports_nothing_of_ours(self) -> None:
        plugin = PACKAGE.parent / "twisted" / "plugins" / "ecpds_plugin.py"
        self.assertEqual({name for name in imported(plugin) if name.startswith("ecpds")}, set())
        self.assertFalse((plugin.parent / "__init__.py").exists())
