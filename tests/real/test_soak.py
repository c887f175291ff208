"""A Master and three movers behind HAProxy, with clients at every door for minutes: what its processes hold stays what it is.

`ECPDS_TEST_SOAK` is how many seconds; the figures are printed.
"""

from __future__ import annotations

import os
import urllib.request
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.real.balanced_clients import makers
from tests.real.balancer import balanced, network, own_options
from tests.real.fleet import Fleet
from tests.real.harness import LOGIN, Options, until
from tests.real.soak import Soak, gauges
from tests.real.test_balancer import Shipped

SECONDS = float(os.environ.get("ECPDS_TEST_SOAK", "120"))
SPELLS = 6
PACE = 4.0

GROWTH = 12 << 20
"""Bytes that a daemon may grow by in the second half: caches that fill, and memory that Python does not give back."""

OPTIONS: Options = {"limits": {"ticket_life": 2.0, "kept_bytes": 1 << 20}}

IDLE = ("ecpds_buffers_lent_bytes", "ecpds_uploads")


class Soaking(SynchronousTestCase):
    skip = Shipped.skip

    @pytest.mark.long
    def test_nothing_grows(self) -> None:
        with balanced(OPTIONS) as (fleet, balancer):
            doors = makers(balancer.address, fleet.master.json("user", "s3key", LOGIN, "add"))
            soak = Soak(fleet, doors, PACE, 20261122)
            try:
                for _ in range(SPELLS):
                    soak.spell(SECONDS / SPELLS)
                self.check(fleet, soak)
            finally:
                print(soak.summary())

    def check(self, fleet: Fleet, soak: Soak) -> None:
        for name, grown in soak.growth((SPELLS // 2 - 1, -1)).items():
            self.assertLess(grown, GROWTH, name)
        until(lambda: self.at_rest(fleet), "the nodes to come to rest")
        soak.note()
        for name, held in soak.held[-1].items():
            before = soak.held[0][name]
            self.assertLessEqual(held.descriptors, before.descriptors + 10, name)
            self.assertLessEqual(held.threads, before.threads + 10, name)

    def at_rest(self, fleet: Fleet) -> bool:
        """Nothing is lent or under way, and what was replaced is deleted."""
        said: list[dict[str, float]] = [self.metrics(fleet, name) for name in fleet.members]
        status: Any = fleet.master.json("status")
        busy = sum(value for each in said for name, value in each.items() if name.startswith(IDLE))
        return not busy and not status["reclaim"] and not status["uploads"]

    def metrics(self, fleet: Fleet, name: str) -> dict[str, float]:
        node = fleet.members[name]
        interface: Any = own_options(network())[name]["admin"]["interface"]
        address = f"http://{interface[0]}:{node.ports['admin']}/metrics"
        with urllib.request.urlopen(address, timeout=20) as answer:
            return gauges(answer.read().decode())
