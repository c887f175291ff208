"""What every `IMaster` keeps to of quotas, however far away it is."""

from __future__ import annotations

from typing import Any

from ecpds.errors import DownloadQuotaExceeded, IsADirectory, NotFound, UploadQuotaExceeded
from ecpds.events import Transfer, transfer_event
from ecpds.model import (
    ANYTHING,
    EMPTY,
    VISITOR,
    Completion,
    DestinationChange,
    Origin,
    QuotaUse,
)
from ecpds.people import NewUser, Policy, UserChange
from tests.contracts.master import Uploading

ORIGIN = Origin("sftp", "192.0.2.1", "node")


class QuotaContract(Uploading):
    """The tests. Joe may put 100 bytes an hour, and fetch as many."""

    def limit(self, **options: str) -> None:
        named = {f"portal.{name}": text for name, text in options.items()}
        self.now(self.operations.change_user("joe", UserChange(options=named)))

    def limit_destination(self, **options: str) -> None:
        named = {f"incoming.{name}": text for name, text in options.items()}
        self.now(self.operations.change_destination("demo", DestinationChange(options=named)))

    def transferred(self, action: str, sent: int, size: int | None = None, failure: str = "", login: str = "joe") -> None:
        """A node tells of a transfer."""
        now = self.clock.seconds()
        transfer = Transfer(action, "demo", "a", login, "ftp", "192.0.2.1", "node", now, now, sent, 1, size, failure=failure)
        self.history().record(transfer_event(transfer))

    def history(self) -> Any:
        """Where records go."""
        return self.master.history

    def used(self, login: str | None = "joe", destination: str | None = None) -> list[int]:
        return [each.used for each in self.now(self.operations.quotas(login, destination))]

    def upload_refused(self, path: str, size: int, **more: Any) -> str:
        """Of one whose size is told after it has come."""
        allocation = self.now(self.master.allocate(self.request(path, **more)))
        self.now(self.master.stored(self.receipt(allocation, size)))
        refusal = self.refused(UploadQuotaExceeded, self.master.finish(allocation.id))
        self.refused(NotFound, self.master.resolve("demo", path))
        self.clock.advance(1)
        self.assertIn(allocation.id, self.mover.deleted)
        return str(refusal)

    # Putting

    def test_what_is_announced_is_refused_before_it_comes(self) -> None:
        self.limit(maxUploadBytes="100", uploadPeriod="1h")
        self.now(self.put("a", 60))
        refusal = self.refused(UploadQuotaExceeded, self.master.allocate(self.request("b", size=41)))
        self.assertEqual(str(refusal), "Upload quota exceeded (40 of 100 bytes in 3600 seconds are left)")
        self.now(self.put("b", 40))
        self.assertEqual(self.used(), [100])

    def test_what_is_not_announced_is_refused_when_it_has_come(self) -> None:
        self.limit(maxUploadBytes="100", uploadPeriod="1h")
        self.now(self.put("a", 60))
        self.assertIn("40 of 100", self.upload_refused("b", 41))
        self.assertEqual((self.used(), self.names()), ([60], ["a"]))
        self.now(self.put("b", 40))
        self.refused(UploadQuotaExceeded, self.master.allocate(self.request("c")))

    def test_of_two_that_end_together_both_count(self) -> None:
        self.limit(maxUploadBytes="100", uploadPeriod="1h")
        both = [self.now(self.master.allocate(self.request(name, size=60))) for name in "ab"]
        for each in both:
            self.now(self.master.stored(self.receipt(each, 60)))
        self.assertEqual(self.now(self.master.finish(both[0].id)).size, 60)
        self.refused(UploadQuotaExceeded, self.master.finish(both[1].id))

    def test_what_is_aborted_or_refused_does_not_count(self) -> None:
        self.limit(maxUploadBytes="100", uploadPeriod="1h")
        self.now(self.master.abandon(self.now(self.master.allocate(self.request("a", size=100))).id))
        self.now(self.put("x/a", 10))
        allocation = self.now(self.master.allocate(self.request("y", size=70)))
        self.now(self.master.make_directory(self.user, "demo", "y"))
        self.now(self.master.stored(self.receipt(allocation, 70)))
        self.refused(IsADirectory, self.master.finish(allocation.id))
        self.assertEqual(self.used(), [10])

    def test_bytes_leave_when_the_period_is_over(self) -> None:
        self.limit(maxUploadBytes="100", uploadPeriod="1h")
        self.now(self.put("a", 100))
        self.clock.advance(3599)
        self.refused(UploadQuotaExceeded, self.master.allocate(self.request("b", size=1)))
        self.clock.advance(62)
        self.now(self.put("b", 100))

    def test_without_a_period_it_is_a_day(self) -> None:
        self.limit(maxUploadBytes="1K")
        self.now(self.put("a", 1000))
        found = self.now(self.operations.quotas("joe", None))
        self.assertEqual(list(found), [QuotaUse("upload", 1000, 1024, 86400)])

    def test_a_policy_s_holds_for_each_of_its_users(self) -> None:
        self.now(self.operations.add_policy(Policy(0, "small", options={"portal.maxUploadBytes": "9"})))
        self.now(self.operations.change_user("joe", UserChange(policies=("small",))))
        self.now(self.put("a", 9))
        self.refused(UploadQuotaExceeded, self.master.allocate(self.request("b", size=1)))
        ann = self.now(self.operations.add_user(NewUser("ann", destinations=("demo",), policies=("small",)))).id
        self.now(self.put("b", 9, user_id=ann))

    def test_a_destination_s_is_all_its_users(self) -> None:
        self.limit_destination(maxUploadBytes="100", uploadPeriod="1h")
        ann = self.now(self.operations.add_user(NewUser("ann", destinations=("demo", "other")))).id
        self.now(self.put("a", 60))
        refusal = self.refused(UploadQuotaExceeded, self.master.allocate(self.request("b", size=41, user_id=ann)))
        self.assertIn("of this destination", str(refusal))
        self.now(self.put("b", 40, user_id=ann))
        self.assertEqual(self.used(None, "demo"), [100])

    def test_a_limit_that_is_taken_away_holds_no_more(self) -> None:
        self.limit(maxUploadBytes="5")
        self.now(self.put("a", 5))
        self.now(self.operations.change_user("joe", UserChange(unset=("portal.maxUploadBytes",))))
        self.now(self.put("b", 500))

    # In parts

    def part(self, upload: int, number: int, size: int) -> None:
        request = self.request("big", part=(upload, number), size=size)
        allocation = self.now(self.master.allocate(request))
        self.now(self.master.stored(self.receipt(allocation, size)))
        self.now(self.master.finish(allocation.id))

    def complete(self, upload: int) -> Any:
        parts = self.now(self.master.parts("demo", "big", upload, 0, 100))
        return self.master.complete_upload(self.user, "demo", "big", upload, Completion(tuple(parts), EMPTY), ANYTHING)

    def test_parts_count_once_when_they_are_a_file(self) -> None:
        self.limit(maxUploadBytes="100", uploadPeriod="1h")
        upload = self.now(self.master.create_upload(self.request("big")))
        self.part(upload, 1, 60)
        self.part(upload, 2, 40)
        self.assertEqual(self.used(), [0])
        completing = self.complete(upload)
        self.assertEqual(self.now(completing).size, 100)
        self.assertEqual(self.used(), [100])
        self.refused(UploadQuotaExceeded, self.master.create_upload(self.request("more")))

    def test_a_completion_that_is_repeated_counts_once(self) -> None:
        self.limit(maxUploadBytes="100", uploadPeriod="1h")
        upload = self.now(self.master.create_upload(self.request("big")))
        self.part(upload, 1, 60)
        first, again = self.complete(upload), self.complete(upload)
        self.assertEqual(self.now(first).file.id, self.now(again).file.id)
        self.assertEqual(self.used(), [60])

    def test_parts_that_are_too_many_are_given_up(self) -> None:
        self.limit(maxUploadBytes="100", uploadPeriod="1h")
        upload = self.now(self.master.create_upload(self.request("big")))
        self.part(upload, 1, 60)
        self.part(upload, 2, 60)
        self.refused(UploadQuotaExceeded, self.complete(upload))
        self.assertEqual((self.used(), self.names()), ([0], []))
        self.refused(NotFound, self.master.upload("demo", "big", upload))
        self.refused(UploadQuotaExceeded, self.master.allocate(self.request("a", size=101)))

    def test_what_is_kept_from_the_start_is_checked_by_the_size_that_is_announced(self) -> None:
        self.limit(maxUploadBytes="100", uploadPeriod="1h")
        self.refused(UploadQuotaExceeded, self.master.begin_partial(self.request("a", size=101)))
        self.now(self.master.begin_partial(self.request("a", size=100)))

    # Fetching

    def test_what_was_fetched_counts_also_where_it_was_cut(self) -> None:
        self.limit(maxDownloadBytes="100", downloadPeriod="1h")
        self.now(self.master.may_download(self.user, "demo"))
        self.transferred("download", 60, 60)
        self.transferred("download", 39, 500, "Stalled")
        self.transferred("download", 1000, login="ann")
        self.transferred("upload", 1000, 1000)
        self.now(self.master.may_download(self.user, "demo"))
        self.transferred("download", 1)
        refusal = self.refused(DownloadQuotaExceeded, self.master.may_download(self.user, "demo"))
        self.assertEqual(str(refusal), "Download quota exceeded (0 of 100 bytes in 3600 seconds are left)")
        self.clock.advance(3661)
        self.now(self.master.may_download(self.user, "demo"))

    def test_a_destination_s_downloads_are_all_its_users(self) -> None:
        self.limit_destination(maxDownloadBytes="100")
        self.now(self.master.may_download(VISITOR, "demo"))
        self.transferred("download", 50, login="ann")
        self.transferred("download", 50, login="joe")
        for user in (self.user, VISITOR):
            self.refused(DownloadQuotaExceeded, self.master.may_download(user, "demo"))
        self.now(self.master.may_download(self.user, "other"))

    def test_who_logs_in_is_told_what_counts(self) -> None:
        def metered() -> frozenset[str]:
            identity = self.now(self.master.login("joe", "secret", ORIGIN))
            found: frozenset[str] = identity.metered
            return found

        self.now(self.operations.change_user("joe", UserChange(destinations=("demo", "other"))))
        self.assertEqual(metered(), frozenset())
        self.limit_destination(maxDownloadBytes="100")
        self.assertEqual(metered(), {"demo"})
        self.limit(maxDownloadBytes="100")
        self.assertEqual(metered(), {"demo", "other"})

    # What was before

    def test_after_a_restart_the_history_tells_what_was(self) -> None:
        self.limit(maxUploadBytes="100", maxDownloadBytes="100")
        self.transferred("upload", 60, 60)
        self.transferred("upload", 500, 500, "Stalled")
        self.transferred("upload", 30)
        self.transferred("download", 70, 500, "Stalled")
        self.clock.advance(1)
        self.restart()
        self.assertEqual(self.used(), [60, 70])
        self.transferred("download", 30)
        self.assertEqual(self.used(), [60, 100])
        self.refused(DownloadQuotaExceeded, self.master.may_download(self.user, "demo"))

    def test_a_new_quota_counts_what_was_before_it(self) -> None:
        self.transferred("download", 70)
        self.clock.advance(50)
        self.transferred("download", 30)
        self.clock.advance(20)
        self.limit(maxDownloadBytes="100", downloadPeriod="60")
        self.assertEqual(self.used(), [30])
        self.limit(downloadPeriod="1h")
        self.assertEqual(self.used(), [100])
