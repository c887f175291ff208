"""Six clients at every door at once, a kill, and one order of events that must explain all that they met (`dice`, `history`).

Afterwards the volumes hold what has a name and nothing else, what quotas count is what there is, and the log has no failure.
`ECPDS_TEST_SEED` chooses other dice, `ECPDS_TEST_DICE` how many seconds they are thrown.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.real.dice import ANN, BOB, CAROL, DAN, LOOKS, Mixed
from tests.real.fleet import Fleet
from tests.real.harness import PASSWORD, Node, Options, until

SEEDS = [int(each) for each in os.environ.get("ECPDS_TEST_SEED", "20261122,7").split(",")]
SECONDS = float(os.environ.get("ECPDS_TEST_DICE", "12"))

DOORS: Options = {
    "node": {"roles": ["master", "mover", "ftp", "https", "s3", "ssh"]},
    "ftp": {"port": 0, "tls": "off"},
    "s3": {"port": 0, "plain_port": 0},
    "ssh": {"port": 0},
    "mover": {"sync": False},
    "limits": {"ticket_life": 1.0, "partial_life": 1.0, "near_file": 65536},
}
MEMBER: Options = {"node": {"roles": ["mover", "ftp", "https", "s3", "ssh"]}}

FAILED = re.compile("Traceback|Unhandled")


class MixedDoors(SynchronousTestCase):
    """On a volume and a catalogue in memory, where small files go the short ways."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ecpds-mixed-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.folder, True)

    def start(self, *members: str) -> None:
        self.fleet = Fleet(self.folder, members, DOORS, own=dict.fromkeys(members, MEMBER), counted=False)
        self.addCleanup(self.fleet.end)
        self.fleet.start()

    @property
    def nodes(self) -> Sequence[Node]:
        return [self.fleet.master, *self.fleet.members.values()]

    def populate(self) -> dict[str, dict[str, str]]:
        """Who may do what; an access key of each."""
        master, keys = self.fleet.master, {}
        master.ecpds("destination", "add", "archive")
        master.ecpds(
            "destination", "add", "desk", "--option", "incoming.standby=true", "--option", "incoming.maxHeldFiles=9999"
        )
        for login in (ANN, DAN, BOB, CAROL):
            rights = ["--permission", LOOKS] if login in (BOB, CAROL) else []
            quota = ["--option", "portal.maxHeldBytes=1G"] if login == DAN else []
            words = ["--password-stdin", "--destination", "archive", "--destination", "desk", *rights, *quota]
            master.ecpds("user", "add", login, *words, stdin=PASSWORD + "\n")
            keys[login] = master.json("user", "s3key", login, "add")
        return keys

    def throw(self, seed: int) -> None:
        mixed = Mixed(self.nodes, self.fleet.master, self.populate(), seed)
        writer = mixed.client(ANN, -1)
        writer.at(("http", 0)).put("archive/always", b"always")
        writer.leave()
        try:
            mixed.run(SECONDS, self.kill)
            mixed.check()
            for node in self.nodes:
                node.start()
            if self.fleet.names:
                self.fleet.wait_for(*self.fleet.names)
            self.assertTrue(mixed.look_again(), "some name could not be had")
            mixed.check()
            until(self.is_swept, "the volumes to hold just what has a name", 30)
            self.check_quotas()
            self.check_logs()
        finally:
            print(f"seed {seed}", *(f"{count:6} {what}" for what, count in sorted(mixed.count.items())), sep="\n")
        met = [what for what in mixed.count if " broke: " in what]
        self.assertEqual(met, [], "some client met what is no refusal")

    def kill(self) -> None:
        """All at once, in the middle of what they do."""
        for node in self.nodes:
            node.kill()

    # What the catalogue says

    def rows(self, question: str) -> list[tuple[int | str, ...]]:
        with closing(sqlite3.connect(f"file:{self.fleet.master.home / 'catalogue.sqlite'}?mode=ro", uri=True)) as catalogue:
            return catalogue.execute(question).fetchall()

    def is_swept(self) -> bool:
        """What has a name, by its SHA-256, is what lies on the volumes, once for each name."""
        kept = "SELECT data_file FROM entry UNION SELECT data_file FROM standby"
        named = self.rows(f"SELECT f.digests FROM data_file f WHERE f.id IN ({kept})")
        said = Counter(re.findall(r'"sha256": ?"([0-9a-f]+)"', " ".join(str(row[0]) for row in named)))
        lies = Counter(hashlib.sha256(data).hexdigest() for node in self.nodes for data in contents(node))
        spare = self.rows(f"SELECT count(*) FROM data_file WHERE id NOT IN ({kept})")[0][0]
        return said == lies and not spare and bool(said)

    def check_quotas(self) -> None:
        """The counters against a count of all there is."""
        counted = {(whose, owner): (files, size) for whose, owner, files, size in self.rows("SELECT * FROM holding")}
        dan = self.rows(f"SELECT id FROM user WHERE login = '{DAN}'")[0][0]
        desk = self.rows("SELECT id FROM destination WHERE name = 'desk'")[0][0]
        totals = "SELECT count(*), coalesce(sum(size), 0) FROM data_file"
        of_dan = self.rows(f"{totals} WHERE id IN (SELECT data_file FROM owned WHERE user = {dan})")[0]
        names = "SELECT directory, name, data_file FROM {} WHERE directory IN (SELECT id FROM directory WHERE destination = {})"
        both = " UNION ALL ".join(names.format(table, desk) for table in ("entry", "standby"))
        of_desk = self.rows(
            f"SELECT count(*), coalesce(sum(f.size), 0) FROM ({both}) n JOIN data_file f ON f.id = n.data_file"
        )[0]
        self.assertEqual(counted, {("user", dan): of_dan, ("destination", desk): of_desk})

    def check_logs(self) -> None:
        for node in self.nodes:
            said = [line for line in node.log.read_text("utf-8", "replace").splitlines() if FAILED.search(line)]
            self.assertEqual(said, [], node.folder.name)

    @pytest.mark.long
    def test_one_node(self) -> None:
        self.start()
        self.throw(SEEDS[0])

    @pytest.mark.long
    def test_two_nodes_of_a_host(self) -> None:
        self.start("mover-1")
        self.throw(SEEDS[-1])


def contents(node: Node) -> list[bytes]:
    """What lies on a node's volume; nothing of what goes away meanwhile."""
    found = []
    for file in node.stored_files():
        try:
            found.append(file.read_bytes())
        except FileNotFoundError:
            continue
    return found
