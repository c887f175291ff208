"""A Master and three movers behind HAProxy, clients at every door, and movers that are killed, stopped and drained.

Afterwards everything acknowledged is there, by its SHA-256 and by every door; nothing half was seen meanwhile; no byte is
left on a volume that no name needs. `ECPDS_TEST_SEED` chooses another course of events.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.real.balanced_clients import Client, makers
from tests.real.balancer import MOVERS, balanced
from tests.real.chaos import SIZES, Chaos, Plan
from tests.real.fleet import Fleet
from tests.real.harness import DESTINATION, LOGIN, DaemonFailed, Node, Options, until
from tests.real.test_balancer import Shipped

SEED = int(os.environ.get("ECPDS_TEST_SEED", "20261122"))

OPTIONS: Options = {
    "limits": {"ticket_life": 2.0, "shutdown": 2.0, "stall": 5.0, "passive_wait": 5.0, "partial_life": 2.0, "master_wait": 5.0}
}


class Chaotic(SynchronousTestCase):
    skip = Shipped.skip

    def survive(self, plan: Plan) -> None:
        with balanced(OPTIONS) as (fleet, balancer):
            key = fleet.master.json("user", "s3key", LOGIN, "add")
            doors = makers(balancer.address, key)
            chaos = Chaos(fleet, doors, plan, SEED)
            try:
                chaos.run()
                self.restart(fleet)
                self.check(fleet, chaos, doors)
            except BaseException:
                for node in (fleet.master, *fleet.members.values()):
                    print(f"--- {node.folder.name}\n{node.log_end(20_000)}")
                raise
            finally:
                print(f"seed {SEED}: {chaos.summary()}", *chaos.faults.done, sep="\n")

    def restart(self, fleet: Fleet) -> None:
        """Every mover once more: each sweeps its volumes when it starts."""
        for name in MOVERS:
            if fleet.members[name].process is not None:
                fleet.members[name].stop()
            fleet.members[name].start()
        fleet.wait_for(*MOVERS)

    def check(self, fleet: Fleet, chaos: Chaos, doors: Mapping[str, Callable[[], Client]]) -> None:
        clients = [make() for make in doors.values()]
        expected: Counter[str] = Counter()
        listed = {each["path"]: each for each in fleet.master.json_lines("file", "ls", f"/{DESTINATION}/")}
        self.assertEqual(sorted(listed), sorted(f"/{DESTINATION}/{name.name}" for name in chaos.names))
        for number, name in enumerate(chaos.names):
            found = clients[number % len(clients)].get(name.name)
            name.check(found, name.acknowledged)
            digest = hashlib.sha256(found or b"").hexdigest()
            self.assertEqual(listed[f"/{DESTINATION}/{name.name}"]["digests"]["sha256"], digest)
            expected[digest] += 1
        for client in clients:
            client.close()
        try:
            until(lambda: Counter(stored(fleet).values()) == expected, "the volumes to hold just what has a name", 60)
        except DaemonFailed as failure:
            failure.add_note(self.surplus(fleet, expected))
            raise

    def surplus(self, fleet: Fleet, expected: Counter[str]) -> str:
        """What lies on the volumes and has no name, or has one and does not lie there; and what the Master says of itself."""
        found = stored(fleet)
        surplus, lost = Counter(found.values()) - expected, expected - Counter(found.values())
        strays = [f"{digest:.8} {file} {file.stat()}" for file, digest in found.items() if digest in surplus]
        said = {name: fleet.master.json("status")[name] for name in ("reclaim", "uploads", "movers")}
        return "\n".join([f"surplus {surplus}", f"lost {lost}", *strays, str(said)])

    def test_while_movers_come_and_go(self) -> None:
        self.survive(Plan(files=50, workers=10, faults=4, seconds=60, sizes=SIZES[:-2], frosts=(0.3, 2.0)))

    @pytest.mark.long
    def test_500_files_from_20_clients(self) -> None:
        self.survive(Plan(files=500, workers=20, faults=40, seconds=600))


class Remembering:
    """A door that never fails."""

    def __init__(self, kept: dict[str, bytes]) -> None:
        self._kept = kept

    def put(self, name: str, data: bytes) -> None:
        self._kept[name] = data

    def get(self, name: str) -> bytes | None:
        return self._kept.get(name)

    def close(self) -> None:
        """Nothing is open."""


class Unhurtable:
    """A fleet whose movers can't be got at."""

    names = ("node-1",)

    @property
    def members(self) -> Mapping[str, Node]:
        raise DaemonFailed("it does not start")

    master = members


class Ending(SynchronousTestCase):
    def test_a_fault_that_fails_ends_the_run(self) -> None:
        """Puts that went on for faults that are not to come went on for ever."""
        fleet: Any = Unhurtable()
        kept: dict[str, bytes] = {}
        chaos = Chaos(fleet, {"memory": lambda: Remembering(kept)}, Plan(files=2, workers=1, faults=2, seconds=60), SEED)
        self.assertRaises(DaemonFailed, chaos.run)
        self.assertEqual(sorted(kept), ["file-0", "file-1"])


def stored(fleet: Fleet) -> dict[Path, str]:
    """The SHA-256 of everything that lies on a volume of a mover."""
    files = [file for member in fleet.members.values() for file in member.stored_files()]
    return {file: hashlib.sha256(read(file)).hexdigest() for file in files}


def read(file: Path) -> bytes:
    """What a file holds; nothing where it was deleted meanwhile."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
