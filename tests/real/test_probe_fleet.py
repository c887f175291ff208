"""`ecpds source probe --on`: movers that are processes measure one web server, each for itself; one of them is killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.real.fleet import Fleet, fleet
from tests.real.harness import not_without_us, until
from tests.real.mirrors import answers, free_port

SIZE = 3_000_017
A, B = "mover-a", "mover-b"
PRIVATE = {"acquire": {"private": True}}


class ProbingFromMovers(SynchronousTestCase):
    """The Master is a mover too; B may not go to this machine's own addresses."""

    fleet: ClassVar[Fleet]
    url: ClassVar[str]
    _stack: ClassVar[ExitStack]

    @classmethod
    def setUpClass(cls) -> None:
        cls._stack = stack = ExitStack()
        root = Path(tempfile.mkdtemp(prefix="ecpds-probed-"))
        stack.callback(shutil.rmtree, root, True)
        (root / "f").write_bytes(bytes(SIZE))
        port = free_port()
        command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(root)]
        server = subprocess.Popen(not_without_us(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(server.wait)
        stack.callback(server.kill)
        until(lambda: answers(port), "the server")
        cls.url = f"http://127.0.0.1:{port}/f"
        cls.fleet = stack.enter_context(fleet(A, B, options=PRIVATE, own={B: {"acquire": {"private": False}}}))
        cls.fleet.master.ecpds("source", "import", cls.configuration(root, port))

    @classmethod
    def configuration(cls, root: Path, port: int) -> str:
        file = root / "sources.json"
        source = {
            "label": "web",
            "description": None,
            "transfer_mechanism": {"type": "http", "options": {}},
            "test_files": [cls.url],
            "transforms": [],
            "url_matchers": [{"type": "regular_expression", "options": {"pattern": f"^http://127.0.0.1:{port}/"}}],
        }
        file.write_text(json.dumps({"data_sources": [source], "destinations": []}))
        return str(file)

    @classmethod
    def tearDownClass(cls) -> None:
        cls._stack.close()

    def probe(self, *words: str, at: str = "master") -> tuple[int, dict[str, Any]]:
        """The exit status, and what each mover said."""
        node = self.fleet.master if at == "master" else self.fleet.members[at]
        done = node.try_ecpds("source", "probe", *words, "--json")
        said = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len({each["mover"] for each in said}), len(said), done.stdout)
        return done.returncode, {each["mover"]: each for each in said}

    def measured(self) -> tuple[Any, ...]:
        """What reports say by now. An odd one takes weight from those before, so their sum may shrink."""
        listed = self.fleet.master.json_lines("source", "list")
        return tuple(listed[0][each] for each in ("rate", "works", "reports"))

    def test_each_mover_measures_and_reports(self) -> None:
        before = self.measured()
        status, said = self.probe("--on", "all")
        self.assertEqual((status, set(said)), (1, {"master", A, B}))
        for name in ("master", A):
            each = said[name]
            self.assertEqual((each["ok"], each["size"], each["source"], each["url"]), (True, SIZE, "web", self.url))
            self.assertGreater(each["rate"], 0)
        self.assertEqual((said[B]["ok"], said[B]["source"]), (False, "web"))
        self.assertNotEqual(self.measured(), before)
        self.assertGreater(self.measured()[2], 0)

    def test_bounds_and_some_movers_asked_at_any_node(self) -> None:
        status, said = self.probe(self.url, "--on", f"{A},master", "--bytes", "1000000", at=A)
        self.assertEqual((status, set(said)), (0, {A, "master"}))
        for each in said.values():
            self.assertLess(each["size"], 1_500_000)

    def test_a_mover_that_died_is_one_line(self) -> None:
        self.fleet.members[A].kill()
        try:
            status, said = self.probe("--on", "all")
            self.assertEqual((status, set(said)), (1, {"master", A, B}))
            self.assertEqual((said[A]["ok"], said[A]["url"], said["master"]["ok"]), (False, None, True))
        finally:
            self.fleet.members[A].start()
            self.fleet.wait_for(A)

    def test_people_read_lines_and_nonsense_is_refused(self) -> None:
        done = self.fleet.master.try_ecpds("source", "probe", "--on", "master")
        self.assertRegex(done.stdout, rf"^master +web +http .* MB/s +{SIZE} bytes .*/f\n$")
        for words in (("--on", "nobody"), ("--on", "all", "--bytes", "100000000000")):
            refused = self.fleet.master.try_ecpds("source", "probe", *words)
            self.assertEqual((refused.returncode, len(refused.stderr.splitlines()), refused.stdout), (1, 1, ""))
        self.assertEqual(self.fleet.master.try_ecpds("source", "probe", "--on", "all", "-r", "none").returncode, 2)
