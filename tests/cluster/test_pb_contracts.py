"""The Master and the façades at the near end of a Perspective Broker link keep to their contracts as they are."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from ecpds.cluster.calls import calls
from ecpds.cluster.remote import RemoteMaster
from ecpds.master_interfaces import IMaster
from ecpds.portal.portal import Portal
from ecpds.portal_interfaces import IPortal
from ecpds.terms import Terms
from tests.cluster.pb import PbLink, linked, seen_from
from tests.contracts import filesystem, portal
from tests.contracts.afterwards import AfterwardsContract
from tests.contracts.master import MasterContract
from tests.contracts.quotas import QuotaContract
from tests.contracts.scrubbing import ScrubContract
from tests.doubles import RecordingSink
from tests.master.support import MasterCase
from tests.portal import test_filesystem_contract
from tests.portal.house import NODE, House


class OverPb(MasterCase):
    """What a test does to the Master beside its interface (a mover that answers late) is followed by a pump."""

    link: PbLink

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))

    def populate(self) -> None:
        """What the contract's tests find."""

    def start(self) -> None:
        super().start()
        self.real = self.master
        remote, self.link = linked(self.real)
        self.master = remote  # type: ignore[assignment]

    def stop(self) -> None:
        self.master = self.real
        super().stop()

    def successResultOf(self, deferred: Deferred[Any]) -> Any:
        if "link" in vars(self):
            self.link.pump()
        return super().successResultOf(deferred)


class AfterwardsOverPb(AfterwardsContract, OverPb):
    """Digests that are computed after the commit."""


class ScrubOverPb(ScrubContract, OverPb):
    """Copies that a mover compares with their records."""


class QuotasOverPb(QuotaContract, OverPb):
    """How much may be put and fetched."""

    def history(self) -> Any:
        return self.real.history


class MasterOverPb(MasterContract, OverPb):
    """All else."""

    def test_every_call_of_the_interface_has_a_stub(self) -> None:
        self.assertEqual({name.removeprefix("master.") for name in calls(RemoteMaster)}, set(IMaster.names()))

    def test_a_page_that_is_too_long_for_one_message_is_a_shorter_page(self) -> None:
        names = [f"{n:04d}" for n in range(300)]
        for name in names:
            self.now(self.put(name, terms=Terms(metadata={"text": "x" * 2000})))
        found, after, pages = [], None, 0
        while pages == 0 or after is not None:
            page = self.now(self.master.list("demo", "", after, 1000))
            found += [entry.name for entry in page.entries]
            after, pages = page.after, pages + 1
        self.assertEqual(found, names)
        self.assertGreater(pages, 1)


class LinkedHouse(House):
    """A node whose Master is at the other end of a link."""

    def link(self) -> None:
        self.remote, self.pb = linked(seen_from(NODE, self.master))
        self.backing = evolve(self.backing, master=self.remote)
        self.portal = Portal(self.backing)


def linked_house(test: Any, sink: RecordingSink) -> LinkedHouse:
    house = LinkedHouse(test, sink)
    house.link()
    return house


class FilesMaker(test_filesystem_contract.Maker):
    def new_house(self) -> House:
        return linked_house(self, self.sink)


class ReadAndWrite(FilesMaker, filesystem.ReadAndWrite):
    pass


class Conditions(FilesMaker, filesystem.Conditions):
    pass


class Directories(FilesMaker, filesystem.Directories):
    pass


class Renaming(FilesMaker, filesystem.Renaming):
    pass


class Rights(FilesMaker, filesystem.Rights):
    pass


class Records(FilesMaker, filesystem.Records):
    pass


class Keeping(FilesMaker, filesystem.Keeping):
    pass


class Facts(FilesMaker, filesystem.Facts):
    pass


class PortalMaker(portal.PortalContract):
    def make(self) -> IPortal:
        self.sink = RecordingSink()
        house = linked_house(self, self.sink)
        house.add_destination("demo")
        house.add_user("alice", ("demo",), password="secret")
        return house.portal


class Login(PortalMaker, portal.Login):
    pass


class EveryTestIsOverTheLink(FilesMaker):
    """The makers above do ask over the link: without this, a mistake in them would look like success."""

    def test_what_a_file_costs(self) -> None:
        house = self.house
        assert isinstance(house, LinkedHouse)
        before = house.pb.bytes_crossed
        self.put("/demo/a")
        self.assertGreater(house.pb.bytes_crossed - before, 200)
        self.assertLess(house.pb.bytes_crossed - before, 4096)
