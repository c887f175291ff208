"""Idle sessions and running transfers at once: nobody starves, and who asks is answered. `bin/bench crowd` has the figures."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.real.clients import Curl
from tests.real.crowd import measure
from tests.real.harness import node


class Crowd(SynchronousTestCase):
    def test_nobody_starves(self) -> None:
        with node({"mover": {"sync": False}, "limits": {"connections_per_address": 0}}) as held:
            with tempfile.NamedTemporaryFile(prefix="ecpds-crowd-") as source:
                source.truncate(512 << 20)
                Curl(held, "ftp").put(Path(source.name), "large")
            figures = measure(held, 40, 20, 3.0, "large")
        self.assertTrue(all(figures.moved), "a transfer moved nothing")
        self.assertGreater(figures.least, 0.05)
        self.assertLess(figures.p99, 2.0)
        self.assertLess(figures.idle_bytes, 1 << 20)
