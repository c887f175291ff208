"""The closing line of bin/test counts what a run did, whatever came of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.closing import not_checked

ROOT = Path(__file__).parents[2]

SUITE = """
import pytest
def test_passes(): pass
def test_fails(): assert False
@pytest.mark.skip(reason="no such thing here")
def test_skipped(): pass
def test_long(): pass
@pytest.fixture
def broken(): raise OSError
def test_error(broken): pass
"""


class ClosingLine(SynchronousTestCase):
    def run_suite(self, *options: str) -> tuple[int, list[str]]:
        """The exit status and the lines of pytest over the suite."""
        folder = Path(self.mktemp()).resolve()
        folder.mkdir()
        (folder / "test_suite.py").write_text(SUITE, "utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(folder), "-p", "tests.closing"]
        done = subprocess.run(
            [*command, *options, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout.splitlines()

    def test_it_counts_failures_and_errors_as_failed(self) -> None:
        status, lines = self.run_suite("-p", "no:cacheprovider")
        self.assertEqual(status, 1)
        self.assertEqual(lines[-1], "2 passed, 2 failed, 1 skipped")
        self.assertIn("!!! NOT CHECKED, skipped: test_suite.py::test_skipped", lines)

    def test_it_tells_what_was_left_out(self) -> None:
        for workers in ([], ["-n", "2"]):
            status, lines = self.run_suite("-p", "no:cacheprovider", "-k", "passes or skipped", *workers)
            self.assertEqual(status, 0)
            self.assertEqual(lines[-1], "1 passed, 0 failed, 1 skipped")
            left = [line.rpartition("::")[2] for line in lines if "left out" in line]
            self.assertEqual(left, ["test_error", "test_fails", "test_long"])

    def test_many_that_were_left_out_are_counted_by_file(self) -> None:
        lines = not_checked([], [f"tests/real/test_x.py::test_{number}" for number in range(50)])
        self.assertEqual(len(lines), 1)
        self.assertIn("tests/real/test_x.py (50 tests)", lines[0])

    def test_a_suite_that_can_t_be_collected_has_failed(self) -> None:
        status, lines = self.run_suite("-p", "no:cacheprovider", "-k", "passes", "no-such-file")
        self.assertNotEqual(status, 0)
        self.assertEqual(lines[-1].split(", ")[0], "0 passed")
