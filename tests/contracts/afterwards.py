"""What every `IMaster` keeps to where digests are computed after the commit.

A maker's test case mixes this in as it does `MasterContract`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ecpds.errors import Unavailable
from ecpds.model import ANYTHING, IF_SMALL, Allocation, Destination, Receipt
from ecpds.people import NewUser
from ecpds.terms import AllocationRequest, Terms
from tests.contracts.master import ORIGIN, SHA, Uploading

LOOK = 60.0
"""Seconds after which what could not be done at once is tried again."""

CRC = {"crc64nvme": SHA["crc64nvme"]}


class AfterwardsContract(Uploading):
    """Digests that a destination wants after the commit (`digest_when=after`)."""

    def populate(self) -> None:
        super().populate()
        later = Destination(0, "later", digests=("sha256", "md5"), digest_when="after")
        self.now(self.operations.add_destination(later))
        self.user = self.now(self.operations.add_user(NewUser("ann", destinations=("later",)))).id

    def request(self, path: str, **more: Any) -> AllocationRequest:
        return AllocationRequest(self.user, "later", path, ORIGIN, **more)

    def receipt(self, allocation: Allocation, size: int = 5, digests: Any = None) -> Receipt:
        return super().receipt(allocation, size, CRC if digests is None else digests)

    def digests(self, path: str) -> dict[str, str]:
        return dict(self.now(self.master.resolve("later", path)).file.digests)

    def owed(self) -> int:
        count: int = self.now(self.operations.summary())["digests_owed"]
        return count

    def test_only_what_is_needed_at_once_is_computed_as_the_bytes_come(self) -> None:
        plain = self.now(self.master.allocate(self.request("a")))
        announced = self.now(self.master.allocate(self.request("b", terms=Terms(expected={"sha1": "00"}, digests=("crc32",)))))
        kept = self.now(self.master.begin_partial(self.request("c")))
        part = self.now(self.master.allocate(self.request("c", part=(kept, 1))))
        small = {f"sha256{IF_SMALL}", f"md5{IF_SMALL}"}
        self.assertEqual(set(plain.digests), {"crc64nvme", *small})
        self.assertEqual(set(announced.digests), {"crc64nvme", "sha1", "crc32", *small})
        self.assertEqual(set(part.digests), {"crc64nvme"})

    def test_the_others_come_at_once_after_the_commit(self) -> None:
        file = self.now(self.put("a/b")).file
        self.settle()
        found = self.digests("a/b")
        self.assertEqual(set(found), {"crc64nvme", "sha256", "md5"})
        self.assertEqual(found["sha256"], f"sha256 of {file.id}")
        self.assertEqual((self.mover.digested, self.owed()), ([[file.id]], 0))

    def test_what_came_with_the_bytes_is_not_computed_again(self) -> None:
        allocation = self.now(
            self.master.allocate(self.request("a", terms=Terms(expected={"md5": "0" * 32}, digests=("sha256",))))
        )
        known = {**CRC, "md5": "0" * 32, "sha256": "1" * 64}
        self.now(self.master.stored(self.receipt(allocation, digests=known)))
        self.settle()
        self.assertEqual((self.digests("a"), self.mover.digested, self.owed()), (known, [], 0))

    def test_nothing_of_it_is_known_before_and_a_restart_in_between_loses_none(self) -> None:
        self.mover.digest_failure = Unavailable("away")
        self.now(self.put("a"))
        self.settle()
        self.assertEqual((set(self.digests("a")), self.owed()), ({"crc64nvme"}, 1))
        self.restart()
        self.mover.digest_failure = None
        self.look()
        self.assertEqual((set(self.digests("a")), self.owed()), ({"crc64nvme", "sha256", "md5"}, 0))

    def test_who_asks_meanwhile_waits_for_them(self) -> None:
        self.mover.digesting = Deferred()
        file = self.now(self.put("a")).file
        asked = self.begun(self.master.settled("later", "a", file.id))
        self.mover.digesting.callback(None)
        self.settle()
        self.assertEqual(set(self.successResultOf(asked)), {"crc64nvme", "sha256", "md5"})

    def test_who_asks_is_told_what_there_is_when_they_can_t_be_computed(self) -> None:
        self.mover.digest_failure = Unavailable("away")
        file = self.now(self.put("a")).file
        self.settle()
        self.assertEqual(set(self.now(self.master.settled("later", "a", file.id))), {"crc64nvme"})
        self.assertEqual(dict(self.now(self.master.settled("later", "a", file.id + 1))), {})

    def test_a_file_that_is_gone_before_its_turn_owes_nothing(self) -> None:
        self.mover.digesting = Deferred()
        self.now(self.put("a"))
        self.now(self.master.delete(self.user, "later", "a", ANYTHING))
        self.mover.digesting.callback(None)
        self.settle()
        self.assertEqual((self.owed(), self.names_of("later")), (0, []))

    def test_a_file_that_has_another_name_by_then_gets_them(self) -> None:
        self.mover.digesting = Deferred()
        self.now(self.put("a"))
        self.now(self.master.rename(self.user, "later", "a", "b"))
        self.digests("b")
        self.mover.digesting.callback(None)
        self.settle()
        self.assertEqual(set(self.digests("b")), {"crc64nvme", "sha256", "md5"})

    def test_bytes_that_are_not_what_came_get_none(self) -> None:
        self.mover.digests_of["crc64nvme"] = "f" * 16
        self.now(self.put("a"))
        self.settle()
        self.assertEqual((set(self.digests("a")), self.owed()), ({"crc64nvme"}, 1))

    def names_of(self, destination: str) -> list[str]:
        return [entry.name for entry in self.now(self.master.list(destination, "", None, 1000)).entries]

    def settle(self) -> None:
        """Let what was begun come to its end, where that takes turns of somebody's."""
        self.now(self.operations.summary())

    def look(self) -> None:
        """The next look for what could not be done at once."""
        self.clock.advance(LOOK)
