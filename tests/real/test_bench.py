"""The benches of the round trip run to their end, small: so that they still do when somebody wants to know."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.real.harness import ROOT


class Benches(SynchronousTestCase):
    @pytest.mark.long
    def test_those_of_the_round_trip(self) -> None:
        if not (shutil.which("vsftpd", path="/usr/sbin:/usr/bin") and shutil.which("nginx", path="/usr/sbin:/usr/bin")):
            self.skipTest("vsftpd and nginx are not installed; bin/bench installs them")
        options = ["-n", "1", "--size", "8M", "--files", "20", "--clients", "10"]
        done = subprocess.run(
            [ROOT / "bin" / "bench", "roundtrip", "small", "memory", *options],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("vsftpd", "nginx", "CPU s/GiB", "files/s", "growth MiB"):
            self.assertIn(word, done.stdout)
