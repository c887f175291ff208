"""A mover is retired with files on it: they go to the others, while the Master and a target are killed in the middle."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.real.clients import Curl
from tests.real.fleet import Fleet, fleet
from tests.real.harness import DESTINATION, until

A, B, C = "mover-a", "mover-b", "mover-c"
FILES, SIZE = 24, 8_000_003
OPTIONS = {"limits": {"ticket_life": 2.0, "shutdown": 3.0, "master_wait": 60.0, "moves": 2}}


class Retire(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.contents = {f"file-{number}": os.urandom(SIZE) for number in range(FILES)} | {"empty": b""}

    def test_every_file_is_there_when_it_has_gone(self) -> None:
        with fleet(A, B, C, options=OPTIONS) as held:
            try:
                self.store_all_on_a(held)
                held.master.ecpds("mover", "retire", A)
                self.kill_in_the_middle(held)
                until(lambda: self.about(held)["retired"], "the mover to be retired", 90)
                self.assertEqual(held.members[A].stored_files(), [])
                held.members[A].kill()
                for name, content in self.contents.items():
                    self.assert_whole(held, name, content)
                self.nothing_is_left_over(held)
            finally:
                for node in (held.master, *held.members.values()):
                    print(f"--- {node.folder.name}\n{node.log_end(3000)}")

    def store_all_on_a(self, held: Fleet) -> None:
        for name in ("master", B, C):
            held.master.ecpds("mover", "drain", name)
        source = self.folder / "source"
        for name, content in self.contents.items():
            source.write_bytes(content)
            Curl(held.members[A], "https").put(source, name)
        for name in (B, C):
            held.master.ecpds("mover", "undrain", name)

    def kill_in_the_middle(self, held: Fleet) -> None:
        """A target, and then the Master, each while copies are on their way."""
        until(lambda: self.about(held)["moving"]["moved"] > 0, "the first copy to be moved")
        held.members[B].kill()
        self.assertGreater(self.about(held)["moving"]["left"], 0)
        held.master.kill()
        held.master.start()
        held.members[B].start()

    def about(self, held: Fleet) -> Any:
        return next(each for each in held.master.json_lines("mover", "list") if each["name"] == A)

    def assert_whole(self, held: Fleet, name: str, content: bytes) -> None:
        shown = held.master.json("file", "show", f"/{DESTINATION}/{name}")
        self.assertEqual(shown["digests"]["sha256"], hashlib.sha256(content).hexdigest())
        self.assertNotEqual([copy["mover"] for copy in shown["copies"]], [A])
        target = self.folder / "target"
        Curl(held.members[C], "https").get(name, target)
        self.assertEqual(target.read_bytes(), content)

    def nothing_is_left_over(self, held: Fleet) -> None:
        """On the others stand just the files that there are."""
        others = (held.members[B], held.members[C])
        until(lambda: sum(len(node.stored_files()) for node in others) == len(self.contents), "what was given up to go")
