"""Memory stays bounded while very many slow clients download."""

from __future__ import annotations

import pytest

from tests.real.case import RealTestCase
from tests.real.clients import Curl
from tests.real.slow_clients import MIB, measure

SIZE = 64 * MIB


class SlowClients(RealTestCase):
    def growth(self, clients: int) -> float:
        """MiB that so many cost, from a fresh start."""
        source = self.folder / "large"
        with source.open("wb") as file:
            file.truncate(SIZE)
        Curl(self.node, "ftp").put(source, "large")
        self.node.stop()
        self.node.start()
        return measure(self.node, "large", clients).growth / MIB

    def test_twenty(self) -> None:
        self.assertLessEqual(self.growth(20), 25)

    @pytest.mark.long
    def test_two_hundred(self) -> None:
        self.assertLessEqual(self.growth(200), 40)
