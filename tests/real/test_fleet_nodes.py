"""What becomes of a node itself: started twice, called otherwise, joining again, frozen, retired while it is read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from tests.real.fleet import SECRET
from tests.real.harness import Node, until
from tests.real.test_fleet import SIZE, A, B
from tests.real.test_fleet_deaths import LARGE, DoorsCase
from tests.real.test_start import run_to_its_end


class Itself(DoorsCase):
    def ended(self, node: Node) -> str:
        """What a node says that ends before it serves."""
        done = run_to_its_end(node)
        self.assertNotEqual(done.returncode, 0)
        return done.stdout + done.stderr

    def test_started_twice(self) -> None:
        """The second one ends; the first, its ports and its operators' socket are as they were."""
        node = self.node(A)
        said = self.ended(node)
        self.assertIn("is another process's; a node is started once", said)
        self.assertEqual(node.ports_file(), node.ports)
        node.json("status")

    def test_another_of_its_name(self) -> None:
        twin = Node(self.folder / "twin")
        shutil.copy(self.node(A).config, twin.config)
        twin.home.mkdir()
        shutil.copy(self.fleet.master.home / SECRET, twin.home / SECRET)
        self.assertIn("there is a node mover-a already", self.ended(twin))
        self.assertIn(A, [mover["name"] for mover in self.fleet.master.json_lines("mover", "list") if mover["available"]])

    def test_called_otherwise(self) -> None:
        """Its files are known by its name: it does not start with another, and nothing is lost meanwhile."""
        name, node = self.put_on(B, A), self.node(B)
        was = node.config.read_text()
        node.kill()
        node.config.write_text(was.replace(f'"{B}"', '"mover-z"'))
        self.assertIn(f"known as those of '{B}'", self.ended(node))
        node.config.write_text(was)
        node.start()
        self.fleet.wait_for(B)
        self.assertEqual(self.get(name, A), self.content)

    def test_joining_again(self) -> None:
        """A fleet's secret is good as often as it is needed: a node that has lost its keys is the same again."""
        name, node = self.put_on(B, A), self.node(B)
        node.kill()
        shutil.rmtree(node.home / "keys")
        until(lambda: not self.is_linked(B), "the Master to see that its link is lost")
        node.start()
        self.fleet.wait_for(B)
        self.assertEqual(self.get(name, A), self.content)

    def is_linked(self, name: str) -> bool:
        movers = {mover["name"]: mover for mover in self.fleet.master.json_lines("mover", "list")}
        return bool(movers[name]["available"])

    def test_frozen_in_transfers(self) -> None:
        """For so long that the Master thinks it gone. Nobody hears an end that is none, and both go on."""
        name, node = self.large_on(B), self.node(B)
        stored = len(node.stored_files())
        with self.nothing_new_on("master", A):
            answer = self.begin_download(name)
            got = answer.read(100_000)
            with self.begin_upload("thawed") as upload:
                until(lambda: len(node.stored_files()) > stored, "the upload to begin")
                with self.frozen(node):
                    until(lambda: self.standing(B) == "gone", "the Master to think it gone", 60)
                got += answer.read()
                upload.sendall(self.content[SIZE // 2 : SIZE])
                status = upload.recv(65536).split(b" ")[1]
        self.assertEqual((len(got), got == self.content, status), (LARGE, True, b"201"))
        self.fleet.wait_for(B)
        self.assertEqual(self.get("thawed", A), self.content[:SIZE])

    def standing(self, name: str) -> str:
        movers = {mover["name"]: mover for mover in self.fleet.master.json_lines("mover", "list")}
        return str(movers[name]["standing"])

    def test_retired_while_it_is_read(self) -> None:
        """Who reads, reads to the end, though the file is another's by then; afterwards the mover has nothing left."""
        name, node = self.large_on(B), self.node(B)
        answer = self.begin_download(name)
        got = answer.read(100_000)
        with self.retired(B):
            until(lambda: self.holder(name) != B, "the file to be moved")
            got += answer.read()
            until(lambda: not node.stored_files(), "the mover to give up what it held", 60)
        self.assertEqual((len(got), got == self.content), (LARGE, True))
        self.assertEqual(self.get(name, A), self.content)

    @contextmanager
    def retired(self, name: str) -> Iterator[None]:
        self.fleet.master.ecpds("mover", "retire", name)
        try:
            yield
        finally:
            self.fleet.master.ecpds("mover", "undrain", name)
