"""The keepers of data sources: the catalogue, and the twin in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ecpds.master.source_store import SourceStore
from tests.contracts.sources import SourceStoreContract
from tests.doubles.sources import MemorySourceStore
from tests.master.support import MasterCase


class CatalogueTests(SourceStoreContract, MasterCase):
    """In the catalogue."""

    def start(self) -> None:
        super().start()
        self.store = SourceStore(self.master.reader, self.writer)

    def test_it_is_there_after_a_restart(self) -> None:
        self.test_what_is_saved_is_loaded()
        self.restart()
        self.assertEqual([source.label for source in self.loaded()[0]], ["A", "B"])


class MemoryTests(SourceStoreContract, SynchronousTestCase):
    """In memory."""

    def setUp(self) -> None:
        self.store = MemorySourceStore()
