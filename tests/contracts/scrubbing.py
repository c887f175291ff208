"""What every `IMaster` keeps to where a mover compares what it has with the catalogue.

A maker's test case mixes this in as it does `MasterContract`.
"""

from __future__ import annotations

from typing import Any

from ecpds.errors import InvalidRequest, NotFound, Unavailable
from ecpds.events import Event
from ecpds.model import ANYTHING, Completion, Copy, RecordFilter, UploadPart
from ecpds.scrubbing import HeldCopy, Verdict
from tests.contracts.master import SHA, Uploading

MOVER = "mover-1"


class ScrubContract(Uploading):
    """Copies that a mover should have, and those that turn out to be damaged."""

    def page(self, after: int = 0, limit: int = 100, mover: str = MOVER) -> Any:
        return self.now(self.master.copies_of(mover, after, limit))

    def judge(self, *verdicts: Verdict, mover: str = MOVER) -> set[int]:
        return set(self.now(self.master.judged(mover, verdicts)))

    def copies(self, path: str) -> list[Copy]:
        """Those that readers are given."""
        file = self.now(self.master.resolve("demo", path)).file
        return [copy for segment in file.segments for copy in segment.copies]

    def damaged(self) -> list[Any]:
        return list(self.now(self.operations.damaged((0, "", 0), 10)))

    def test_a_mover_hears_of_every_copy_that_it_should_have(self) -> None:
        files = [self.now(self.put(path)).file.id for path in ("a", "b/c", "d")]
        page = self.page()
        self.assertEqual(page.copies, tuple(HeldCopy(file, 0, 5, SHA) for file in files))
        self.assertIsNone(page.after)
        self.assertEqual(self.page(mover="another").copies, ())

    def test_pages_go_on_where_the_last_has_ended(self) -> None:
        files = [self.now(self.put(f"f{number}")).file.id for number in range(5)]
        found, after, pages = [], 0, 0
        while after is not None:
            page = self.page(after, 2)
            found += [each.segment for each in page.copies]
            after, pages = page.after, pages + 1
        self.assertEqual((found, pages), (files, 3))

    def test_nobody_is_given_a_damaged_copy(self) -> None:
        file = self.now(self.put("a")).file.id
        self.assertEqual(self.copies("a"), [Copy(MOVER, 0)])
        self.assertEqual(self.judge(Verdict(file, 0, "its sha256 is wrong")), {file})
        self.assertEqual(self.copies("a"), [])
        self.assertEqual(self.page().copies[0].damaged, "its sha256 is wrong")
        (found,) = self.damaged()
        self.assertEqual((found.path, found.mover, found.volume, found.damage), ("/demo/a", MOVER, 0, "its sha256 is wrong"))
        self.assertEqual(self.now(self.operations.summary())["damaged"], 1)
        self.assertEqual(list(self.now(self.operations.damaged((file, MOVER, 0), 10))), [])

    def test_nothing_is_made_of_a_part_that_is_damaged(self) -> None:
        upload, digests = self.now(self.master.create_upload(self.request("big"))), {"crc64nvme": "1" * 16}

        def put_part() -> UploadPart:
            part = self.now(self.master.allocate(self.request("big", part=(upload, 1))))
            self.now(self.master.stored(self.receipt(part, 5, digests)))
            self.now(self.master.finish(part.id))
            return UploadPart(1, part.id, 5, digests)

        def complete(part: UploadPart) -> Any:
            return self.master.complete_upload(self.user, "demo", "big", upload, Completion((part,), digests), ANYTHING)

        part = put_part()
        self.judge(Verdict(part.segment, 0, "its crc64nvme is wrong"))
        self.refused(InvalidRequest, complete(part))
        self.refused(NotFound, self.master.resolve("demo", "big"))
        self.now(complete(put_part()))
        self.assertEqual(self.copies("big"), [Copy(MOVER, 0)])

    def test_one_that_is_whole_again_is_given_again(self) -> None:
        file = self.now(self.put("a")).file.id
        self.judge(Verdict(file, 0, "gone"))
        self.judge(Verdict(file, 0))
        self.assertEqual(self.copies("a"), [Copy(MOVER, 0)])
        self.assertEqual(self.damaged(), [])

    def test_a_damaged_one_is_told_of_once(self) -> None:
        file = self.now(self.put("a")).file.id
        for _ in range(2):
            self.judge(Verdict(file, 0, "gone"))
        (event,) = self.recorded()
        fields = event.fields
        self.assertEqual((fields["DestinationName"], fields["FileName"]), ("demo", "a"))
        self.assertEqual((fields["DataTransferId"], fields["FileSize"]), (file, 5))
        self.assertEqual(fields["TransferServer"], MOVER)
        self.assertEqual(fields["Message"], f"copy of segment {file} on volume 0: gone")

    def recorded(self) -> list[Event]:
        return [event for _, event in self.now(self.operations.history(RecordFilter(type="ERR"), 10, None))]

    def test_what_has_gone_meanwhile_is_nobodys_damage(self) -> None:
        file = self.now(self.put("a")).file.id
        self.now(self.master.delete(self.user, "demo", "a", ANYTHING))
        self.assertEqual(self.judge(Verdict(file, 0, "gone"), Verdict(9999, 0, "gone")), set())
        self.assertEqual(self.damaged(), [])
        self.assertEqual(self.recorded(), [])

    def test_the_mark_goes_with_the_file(self) -> None:
        file = self.now(self.put("a")).file.id
        self.judge(Verdict(file, 0, "gone"))
        again = self.now(self.put("a")).file.id
        self.assertEqual(self.copies("a"), [Copy(MOVER, 0)])
        self.assertEqual(self.damaged(), [])
        self.assertEqual([each.segment for each in self.page().copies], [again])
        self.assertIn(file, [row[0] for row in self.sql("SELECT segment FROM reclaim")])

    def test_parts_are_compared_by_their_own_digests(self) -> None:
        upload = self.now(self.master.create_upload(self.request("big")))
        parts = []
        for number in (1, 2):
            part = self.now(self.master.allocate(self.request("big", part=(upload, number))))
            digests = {"crc64nvme": f"{number:016x}"}
            self.now(self.master.stored(self.receipt(part, 5, digests)))
            self.now(self.master.finish(part.id))
            parts.append(UploadPart(number, part.id, 5, digests))
        under_way = self.page().copies
        self.assertEqual([dict(each.digests) for each in under_way], [dict(part.digests) for part in parts])
        completion = Completion(tuple(parts), {"sha256": "ab"})
        self.now(self.master.complete_upload(self.user, "demo", "big", upload, completion, ANYTHING))
        self.assertEqual(self.page().copies, under_way)

    def test_a_file_is_compared_when_somebody_asks(self) -> None:
        file = self.now(self.put("a")).file.id
        (found,) = self.now(self.operations.verify_file("demo", "a"))
        self.assertEqual((found.mover, found.state, found.reason), (MOVER, "whole", None))
        self.mover.damage[file] = "it is not there"
        (found,) = self.now(self.operations.verify_file("demo", "a"))
        self.assertEqual((found.state, found.reason), ("damaged", "it is not there"))
        self.assertEqual(self.copies("a"), [])
        self.mover.failure = Unavailable("busy")
        (found,) = self.now(self.operations.verify_file("demo", "a"))
        self.assertEqual((found.state, found.reason), ("unchecked", "busy"))
        self.assertEqual(len(self.damaged()), 1)
        self.mover.failure = None
        self.mover.damage.clear()
        self.assertEqual(self.now(self.operations.verify_file("demo", "a"))[0].state, "whole")
        self.assertEqual(self.copies("a"), [Copy(MOVER, 0)])

    def test_a_mark_is_there_after_a_restart(self) -> None:
        file = self.now(self.put("a")).file.id
        self.judge(Verdict(file, 0, "gone"))
        self.restart()
        self.assertEqual(self.copies("a"), [])
        self.assertEqual([each.segment for each in self.damaged()], [file])
