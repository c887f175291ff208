"""The keepers of acquisitions: the catalogue, and the twin in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ecpds.master.acquisition_store import AcquisitionStore
from tests.contracts.acquisitions import AcquisitionStoreContract
from tests.doubles.acquisitions import MemoryAcquisitionStore
from tests.master.support import MasterCase


class CatalogueTests(AcquisitionStoreContract, MasterCase):
    """In the catalogue."""

    def start(self) -> None:
        super().start()
        self.store = AcquisitionStore(self.master.reader, self.writer)


class MemoryTests(AcquisitionStoreContract, SynchronousTestCase):
    """In memory."""

    def setUp(self) -> None:
        self.store = MemoryAcquisitionStore()
