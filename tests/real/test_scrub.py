"""Bit rot, with a real daemon: a byte flips on the disk, and nobody gets the damaged bytes as if nothing were."""

from __future__ import annotations

import urllib.request
from ftplib import error_temp
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.real import postgresql
from tests.real.clients import authorization, ftp, https, path_of
from tests.real.fleet import fleet
from tests.real.harness import DESTINATION, Node, Options, node, until

SMALL, LARGE = b"small" * 20, bytes(range(256)) * 40_000


def stored(node: Node, file: int) -> Path:
    """Where the bytes of a file stand on a node's volumes."""
    (found,) = [path for path in (node.home / "volumes").rglob(f"{file:x}") if path.is_file()]
    return found


def flip(path: Path) -> None:
    """Change a byte in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes((byte ^ 0x10,)))


def get(node: Node, name: str) -> tuple[int, bytes]:
    connection = https(node)
    connection.request("GET", path_of(name), headers=authorization())
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def get_by_ftp(node: Node, name: str) -> bytes:
    found: list[bytes] = []
    with ftp(node) as client:
        client.retrbinary(f"RETR {name}", found.append)
    return b"".join(found)


def ended(node: Node, mover: str, started: str) -> dict[str, Any] | None:
    """Where a mover is, if the round that was begun then has ended."""
    (state,) = node.json_lines("scrub", "status", mover)
    return state if state["state"] == "waiting" and state["started"] == started else None


class Rot:
    """The tests; `node` has an empty destination."""

    node: Node

    def put(self, name: str, data: bytes) -> Path:
        """Put a file; where its bytes stand."""
        with ftp(self.node) as client:
            client.storbinary(f"STOR {name}", BytesIO(data))
        shown = self.node.json("file", "show", f"/{DESTINATION}/{name}")
        return stored(self.node, shown["id"])

    def get(self, name: str) -> tuple[int, bytes]:
        return get(self.node, name)

    def get_by_ftp(self, name: str) -> bytes:
        return get_by_ftp(self.node, name)

    def round(self) -> dict[str, Any]:
        """A whole round, from now on."""
        (begun,) = self.node.json_lines("scrub", "start")
        found: dict[str, Any] = until(lambda: ended(self.node, begun["mover"], begun["started"]), "the end of the round")
        return found

    def damaged(self) -> list[str]:
        return [each["path"] for each in self.node.json_lines("scrub", "report")]

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.node.ports['admin']}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def test_a_byte_flips(self) -> None:
        for name, data in (("small", SMALL), ("large", LARGE)):
            self.put(f"whole-{name}", data)
            self.assertEqual(self.get(f"whole-{name}"), (200, data))
        for name, data in (("small", SMALL), ("large", LARGE)):
            place = self.put(name, data)
            self.assertEqual(self.get(name), (200, data))
            flip(place)
            state = self.round()
            self.assertGreaterEqual(state["copies"], 3)
            self.assertEqual((state["damaged"], state["unchecked"]), (1, 0))
            self.refused(name)
            self.assertEqual(self.damaged(), [f"/{DESTINATION}/{name}"])
            self.assertEqual(self.metric("ecpds_damaged_copies"), 1)
            self.assertEqual(self.metric('ecpds_scrub_round{what="damaged"}'), 1)
            self.assertEqual(self.node.json("status")["damaged"], 1)
            # Restored by an operator, it is believed when it has been compared.
            place.write_bytes(data)
            self.refused(name)
            self.assertEqual(self.node.json("file", "verify", f"/{DESTINATION}/{name}")["state"], "whole")
            self.assertEqual((self.get(name), self.get_by_ftp(name)), ((200, data), data))
            self.assertEqual(self.damaged(), [])
        records = self.node.json_lines("events", "--type", "ERR")
        self.assertEqual([record["FileName"] for record in records], ["large", "small"])
        self.assertIn("its sha256 is ", records[0]["Message"])

    def refused(self, name: str) -> None:
        status, body = self.get(name)
        self.assertEqual(status, 500)
        self.assertIn(b"do not match their record", body)
        with self.assertRaises(error_temp) as caught:
            self.get_by_ftp(name)
        self.assertTrue(str(caught.exception).startswith("451 "), caught.exception)
        self.assertIn("do not match their record", str(caught.exception))

    def test_a_file_is_gone_and_a_folder_is_verified(self) -> None:
        place = self.put("folder/below/gone", SMALL)
        self.put("folder/there", SMALL)
        place.unlink()
        found = {each["path"]: each for each in self.node.json_lines("file", "verify", f"/{DESTINATION}/folder")}
        self.assertEqual(found[f"/{DESTINATION}/folder/there"]["state"], "whole")
        gone = found[f"/{DESTINATION}/folder/below/gone"]
        self.assertEqual((gone["state"], gone["reason"]), ("damaged", "it is not there"))
        self.assertEqual(self.get("folder/below/gone")[0], 500)
        # Put anew, it is another file, and the mark is the old one's.
        self.put("folder/below/gone", LARGE)
        self.assertEqual(self.get("folder/below/gone"), (200, LARGE))
        self.assertEqual(self.damaged(), [])

    def test_it_stops_and_goes_on_over_a_kill(self) -> None:
        for number in range(5):
            self.put(f"f{number}", SMALL)
        (begun,) = self.node.json_lines("scrub", "start")
        self.node.kill()
        self.node.start()
        (state,) = self.node.json_lines("scrub", "stop")
        self.assertEqual((state["state"], state["started"]), ("stopped", begun["started"]))
        self.node.kill()
        self.node.start()
        (state,) = self.node.json_lines("scrub", "status")
        self.assertEqual(state["state"], "stopped")
        self.assertEqual(self.round()["copies"], 5)


class FleetRotTests(SynchronousTestCase):
    """A mover that is another node than the Master, with two volumes."""

    def test_no_node_gives_what_is_damaged(self) -> None:
        own = {"mover-1": {"mover": {"volumes": ["volumes/0", "volumes/1"], "group": "two"}}}
        with fleet("mover-1", options={"scrub": {"rate": 1 << 30}}, own=own) as held:
            self.master, self.member = held.master, held.members["mover-1"]
            self.addCleanup(lambda: print(self.master.log_end(), self.member.log_end()))
            self.master.ecpds("destination", "set", DESTINATION, "--group", "two")
            contents = {f"{kind}-{number}": data for kind, data in (("small", SMALL), ("large", LARGE)) for number in range(3)}
            for name, data in contents.items():
                with ftp(self.member) as client:
                    client.storbinary(f"STOR {name}", BytesIO(data))
            self.assertEqual({copy["mover"] for name in contents for copy in self.shown(name)["copies"]}, {"mover-1"})
            self.assertEqual({copy["volume"] for name in contents for copy in self.shown(name)["copies"]}, {0, 1})
            for name, data in contents.items():
                # Each node has seen it, and may answer by what it remembers.
                for node in (self.master, self.member):
                    self.assertEqual([get(node, name) for _ in range(3)], [(200, data)] * 3)
            spoilt = ["large-1", "small-1"]
            for name in spoilt:
                flip(stored(self.member, self.shown(name)["id"]))
            (begun,) = self.master.json_lines("scrub", "start", "mover-1")
            until(lambda: ended(self.master, "mover-1", begun["started"]), "the end of the round")
            self.assertEqual(sorted(each["path"] for each in self.reported()), [f"/{DESTINATION}/{name}" for name in spoilt])
            self.assertEqual({each["mover"] for each in self.reported()}, {"mover-1"})
            for name, data in contents.items():
                for node in (self.master, self.member):
                    status, found = get(node, name)
                    self.assertEqual(status, 500 if name in spoilt else 200, (name, node.folder.name))
                    self.assertEqual(found == data, name not in spoilt)
            states = {each["path"]: each["state"] for each in self.master.json_lines("file", "verify", f"/{DESTINATION}")}
            self.assertEqual(states, {f"/{DESTINATION}/{name}": "damaged" if name in spoilt else "whole" for name in contents})

    def shown(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.master.json("file", "show", f"/{DESTINATION}/{name}")
        return found

    def reported(self) -> list[dict[str, Any]]:
        return self.master.json_lines("scrub", "report")


class RotTests(Rot, SynchronousTestCase):
    """With SQLite."""

    catalogue: ClassVar[dict[str, str]] = {}

    def setUp(self) -> None:
        options: Options = {"admin": {"port": 0}, "scrub": {"rate": 1 << 30}, "catalogue": self.catalogue}
        context = node(options)
        self.node = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def tearDown(self) -> None:
        print(self.node.log_end())


class RotWithPostgresqlTests(RotTests):
    """With PostgreSQL."""

    def setUp(self) -> None:
        self.catalogue = {"url": postgresql.server().make("scrub")}  # type: ignore[misc]
        super().setUp()
