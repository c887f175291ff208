"""Quotas as a user meets them: what is refused, what stays of it, what is recorded, and that no way goes round them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import DownloadQuotaExceeded, Refusal, UploadQuotaExceeded
from ecpds.events import Event
from ecpds.master import quotas as quotas_module
from ecpds.people import NewShare, UserChange
from ecpds.portal.filesystem import FileSystem
from tests.doubles import MemorySink, MemorySource, RecordingSink
from tests.portal.house import ORIGIN, House


class ToldToTheMaster(RecordingSink):
    """Keeps records, and hands them on as a node does."""

    house: House

    def record(self, event: Event) -> None:
        super().record(event)
        self.house.master.history.record(event)


class Limited(SynchronousTestCase):
    """Joe has put 60 bytes, and may put and fetch 100 in an hour."""

    def setUp(self) -> None:
        self.sink = ToldToTheMaster()
        self.house = self.sink.house = House(self, self.sink)
        self.house.add_destination("demo")
        self.house.add_user("joe", ("demo",), password="secret")
        limits = {"maxUploadBytes": "100", "uploadPeriod": "1h", "maxDownloadBytes": "100", "downloadPeriod": "1h"}
        options = {f"portal.{name}": text for name, text in limits.items()}
        self.house.now(self.house.operations.change_user("joe", UserChange(options=options)))
        self.files = self.login()
        self.house.now(self.put("/demo/a", bytes(60)))

    def login(self) -> Any:
        files = self.house.now(self.house.portal.login("joe", "secret", ORIGIN))
        assert isinstance(files, FileSystem)
        return files

    async def put(self, path: str, data: bytes, **more: Any) -> None:
        upload = await self.files.open_write(path, **more)
        await upload.receive(MemorySource(data))
        await upload.commit()

    async def get(self, path: str, length: int | None = None) -> int:
        download, sink = await self.files.open_read(path), MemorySink()
        await download.send(sink, 0, length)
        download.close()
        return len(sink.value)

    def refused(self, kind: type[Refusal], work: Any) -> str:
        return str(self.failureResultOf(ensureDeferred(work), kind).value)

    def test_an_upload_that_can_t_fit_is_denied(self) -> None:
        said = self.refused(UploadQuotaExceeded, self.put("/demo/b", bytes(41), size=41))
        (denial,) = self.sink.of("DEA")
        self.assertEqual(denial["Message"], f"put /demo/b: {said}")
        self.assertEqual(len(self.sink.of("INH")), 1)

    def test_an_upload_that_turns_out_too_long_leaves_nothing(self) -> None:
        said = self.refused(UploadQuotaExceeded, self.put("/demo/b", bytes(41)))
        self.house.clock.advance(1)
        self.assertEqual((len(self.house.stored()), self.sink.of("DEA")), (1, []))
        failed = self.sink.of("INH")[-1]
        self.assertEqual((failed["Status"], failed["Message"], failed["BytesSent"]), ("failed", said, 41))
        self.house.now(self.put("/demo/b", bytes(40)))

    def test_what_broke_off_counts_once(self) -> None:
        upload = self.house.now(self.files.open_write("/demo/b"))
        self.house.now(upload.receive(MemorySource(bytes(30))))
        self.house.now(upload.keep(Refusal()))
        upload = self.house.now(self.files.resume_write("/demo/b", 30))
        self.house.now(upload.receive(MemorySource(bytes(10))))
        self.assertEqual(self.house.now(upload.commit()).size, 40)
        self.assertEqual(self.used(), [100, 0])
        self.house.clock.advance(1)
        self.forget()
        self.assertEqual(self.used(), [100, 0])

    def test_what_broke_off_and_is_too_long_is_given_up(self) -> None:
        upload = self.house.now(self.files.open_write("/demo/b"))
        self.house.now(upload.receive(MemorySource(bytes(30))))
        self.house.now(upload.keep(Refusal()))
        upload = self.house.now(self.files.resume_write("/demo/b", 30))
        self.house.now(upload.receive(MemorySource(bytes(11))))
        self.refused(UploadQuotaExceeded, upload.commit())
        self.assertEqual(self.house.now(self.files.kept("/demo/b")), 0)
        self.house.clock.advance(1)
        self.assertEqual((len(self.house.stored()), self.used()), (1, [60, 0]))

    def used(self) -> list[int]:
        return [each.used for each in self.house.now(self.house.operations.quotas("joe", None))]

    def forget(self) -> None:
        """Have what there was read from the history, as after a restart of the Master."""
        self.patch(quotas_module, "REMEMBERED", 0)

    def test_a_download_begins_while_anything_is_left(self) -> None:
        self.assertEqual(self.house.now(self.get("/demo/a")), 60)
        self.assertEqual(self.house.now(self.get("/demo/a", 39)), 39)
        self.assertEqual(self.house.now(self.get("/demo/a")), 60)
        said = self.refused(DownloadQuotaExceeded, self.get("/demo/a"))
        self.assertEqual(self.sink.of("DEA")[-1]["Message"], f"get /demo/a: {said}")
        self.assertEqual(self.used(), [60, 159])
        self.house.clock.advance(1)
        self.forget()
        self.assertEqual(self.used(), [60, 159])
        self.assertEqual(self.house.now(self.files.stat("/demo/a")).size, 60)

    def test_what_is_at_hand_is_counted_and_refused_too(self) -> None:
        self.house.now(self.files.stat("/demo/a"))
        self.assertIsNotNone(self.house.portal.look_again(self.files, "/demo/a", lambda _: True))
        self.assertIsNone(self.house.portal.read_again(self.files, "/demo/a"), "it is to be asked for as always")
        unset = ("portal.maxDownloadBytes",)
        self.house.now(self.house.operations.change_user("joe", UserChange(unset=unset)))
        self.files = self.login()
        self.house.now(self.files.stat("/demo/a"))
        self.assertIsNotNone(download := self.house.portal.read_again(self.files, "/demo/a"))
        download.close()

    def test_who_comes_by_a_link_spends_its_maker_s(self) -> None:
        _, token = self.house.now(self.files.add_share("/demo/a", NewShare("", "", ("get", "dir"))))
        self.house.now(self.get("/demo/a"))
        self.files = self.house.now(self.house.portal.login_with_share(token, "", ORIGIN))
        (shown,) = self.house.now(self.files.list("/")).entries
        self.house.now(self.get(shown.path))
        self.refused(DownloadQuotaExceeded, self.get(shown.path))
        self.assertEqual(self.used(), [60, 120])
