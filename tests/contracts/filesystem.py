"""What every `IFileSystem` keeps to: the façade over a Master and stores, and its twin in memory."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Coroutine
from typing import Any
from unittest import SkipTest

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.errors import (
    AlreadyExists,
    ConnectionLost,
    CrossesDestinations,
    DigestMismatch,
    DirectoryNotEmpty,
    Incomplete,
    InvalidName,
    IsADirectory,
    NotADirectory,
    NotFound,
    NotPermitted,
    NotSupported,
    PreconditionFailed,
    Refusal,
)
from ecpds.model import PERMISSIONS, Condition, Entry
from ecpds.portal_interfaces import IDownload, IFileSystem, IUpload
from ecpds.terms import IF_ABSENT, NO_TERMS, Terms
from tests.doubles import MemoryChannel, MemorySink, MemorySource, RecordingSink

DESTINATIONS = ("demo", "other", "private")
"""What a maker has; users see the first two."""

HOSTILE = ("/demo/../private/a", "/demo/./a", "/demo//a", "//demo/a", "/demo/a\x00b", "/demo/a\nb", "/demo/a\x85", "demo/a", "")


class FileSystemContract(SynchronousTestCase):
    """A subclass of a mixin class defines `make`, and says where records go."""

    sink: RecordingSink

    def make(self, permissions: tuple[str, ...], destinations: tuple[str, ...]) -> IFileSystem:
        """One user's view; every view of one test stands on the same files."""
        raise SkipTest("only its subclasses make something")

    def setUp(self) -> None:
        self.sink = RecordingSink()
        self.files = self.make(PERMISSIONS, DESTINATIONS[:2])

    def run_now(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(ensureDeferred(work))

    def refuse(self, refusal: type[Refusal], work: Coroutine[Any, Any, Any]) -> Refusal:
        """It is refused so, and one record says it."""
        before = len(self.sink.events)
        failure = self.failureResultOf(ensureDeferred(work), refusal)
        self.assertEqual(len(self.sink.events), before + 1, "one record for each refusal")
        self.assertEqual(self.sink.events[-1].fields["UserId"], self.files.identity.login)
        found: Refusal = failure.value
        return found

    async def store(self, path: str, data: bytes, terms: Terms = NO_TERMS, **announced: Any) -> Entry:
        upload = await self.files.open_write(path, terms=terms, **announced)
        await upload.receive(MemorySource(data, piece=7))
        entry: Entry = await upload.commit()
        return entry

    def put(self, path: str, data: bytes = b"content", **named: Any) -> Entry:
        entry: Entry = self.run_now(self.store(path, data, **named))
        return entry

    def get(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        download = self.run_now(self.files.open_read(path))
        sink = MemorySink()
        self.run_now(download.send(sink, offset, length))
        download.close()
        return sink.value

    def names(self, path: str) -> list[str]:
        return [entry.name for entry in self.run_now(self.files.list(path)).entries]

    def absent(self, path: str) -> None:
        self.failureResultOf(ensureDeferred(self.files.stat(path)), NotFound)


class ReadAndWrite(FileSystemContract):
    def test_interfaces(self) -> None:
        self.assertTrue(verifyObject(IFileSystem, self.files))
        self.assertTrue(verifyObject(IUpload, self.run_now(self.files.open_write("/demo/a"))))
        self.put("/demo/b")
        self.assertTrue(verifyObject(IDownload, self.run_now(self.files.open_read("/demo/b"))))

    def test_what_goes_in_comes_out(self) -> None:
        data = bytes(range(256)) * 1000
        entry = self.put("/demo/folder/file", data)
        self.assertEqual((entry.path, entry.size), ("/demo/folder/file", len(data)))
        assert entry.file is not None
        self.assertEqual(entry.file.digests["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual(self.get("/demo/folder/file"), data)
        self.assertEqual(self.get("/demo/folder/file", 1000, 7), data[1000:1007])
        self.assertEqual(self.get("/demo/folder/file", len(data) - 3), data[-3:])
        self.assertEqual(self.get("/demo/folder/file", len(data)), b"")

    def test_an_empty_file(self) -> None:
        entry = self.put("/demo/empty", b"")
        assert entry.file is not None
        self.assertEqual(entry.file.digests["sha256"], hashlib.sha256(b"").hexdigest())
        self.assertEqual(self.get("/demo/empty"), b"")

    def test_several_receives_make_one_file(self) -> None:
        upload = self.run_now(self.files.open_write("/demo/a"))
        self.assertEqual(self.run_now(upload.receive(MemorySource(b"abcdef"), limit=4)), 4)
        self.assertEqual(self.run_now(upload.receive(MemorySource(b"gh"))), 2)
        self.run_now(upload.commit())
        self.assertEqual(self.get("/demo/a"), b"abcdgh")

    def test_nothing_is_seen_before_the_commit(self) -> None:
        upload = self.run_now(self.files.open_write("/demo/folder/a"))
        self.run_now(upload.receive(MemorySource(b"half")))
        self.absent("/demo/folder/a")
        self.absent("/demo/folder")
        self.assertEqual(self.names("/demo/"), [])
        self.run_now(upload.commit())
        self.assertEqual(self.names("/demo/folder"), ["a"])

    def test_a_replacement_is_whole_and_readers_keep_the_old(self) -> None:
        old = self.put("/demo/a", b"old content")
        reading = self.run_now(self.files.open_read("/demo/a"))
        writing = self.run_now(self.files.open_write("/demo/a"))
        self.run_now(writing.receive(MemorySource(b"new")))
        self.assertEqual(self.get("/demo/a"), b"old content")
        new = self.run_now(writing.commit())
        self.assertNotEqual(new.file.id, old.file.id if old.file else None)
        self.assertEqual((old.replaced, new.replaced), (False, True))
        self.assertEqual(self.get("/demo/a"), b"new")
        sink = MemorySink()
        self.run_now(reading.send(sink))
        self.assertEqual(sink.value, b"old content")
        reading.close()

    def test_an_open_file_survives_its_deletion(self) -> None:
        self.put("/demo/a", b"content")
        reading = self.run_now(self.files.open_read("/demo/a"))
        self.run_now(self.files.delete("/demo/a"))
        sink = MemorySink()
        self.run_now(reading.send(sink))
        reading.close()
        self.assertEqual(sink.value, b"content")

    def test_a_cut_upload_leaves_nothing_and_one_record(self) -> None:
        upload = self.run_now(self.files.open_write("/demo/folder/a", size=100))
        self.failureResultOf(ensureDeferred(upload.receive(MemorySource(b"12345", failure=ConnectionLost()))), ConnectionLost)
        self.run_now(upload.abort(ConnectionLost()))
        self.run_now(upload.abort())
        self.absent("/demo/folder")
        (record,) = self.sink.of("INH")
        self.assertEqual((record["Status"], record["Action"], record["BytesSent"]), ("failed", "upload", 5))
        self.assertEqual((record["FileName"], record["FileSize"]), ("folder/a", 100))
        self.assertEqual(record["Message"], str(ConnectionLost()))

    def test_an_abort_ends_a_waiting_receive(self) -> None:
        upload = self.run_now(self.files.open_write("/demo/a"))
        channel = MemoryChannel()
        channel.feed(b"some")
        receiving = ensureDeferred(upload.receive(channel))
        channel.abort()
        self.failureResultOf(receiving, ConnectionLost)
        self.run_now(upload.abort(ConnectionLost()))
        self.failureResultOf(ensureDeferred(upload.commit()), Incomplete)
        self.failureResultOf(ensureDeferred(upload.receive(MemorySource(b"x"))), Refusal)
        self.absent("/demo/a")

    def test_fewer_or_more_bytes_than_announced(self) -> None:
        self.put("/demo/a", b"old")
        for data in (b"123", b"12345", b""):
            upload = self.run_now(self.files.open_write("/demo/a", size=4))
            came = self.failed_receive(upload, data)
            self.refuse(Incomplete, upload.commit()) if came else None
            self.assertEqual(self.get("/demo/a"), b"old")

    def failed_receive(self, upload: IUpload, data: bytes) -> bool:
        """Bytes beyond the announced size may be refused as they come, or at the commit."""
        receiving = ensureDeferred(upload.receive(MemorySource(data)))
        outcome: list[Any] = []
        receiving.addBoth(outcome.append)
        if isinstance(outcome[0], int):
            return True
        self.assertIsInstance(outcome[0].value, Refusal)
        self.run_now(upload.abort(outcome[0].value))
        return False

    def test_announced_digests(self) -> None:
        right = hashlib.sha256(b"content").hexdigest()
        self.put("/demo/a", b"content", terms=Terms(expected={"sha256": right}))
        upload = self.run_now(self.files.open_write("/demo/a", terms=Terms(expected={"sha256": right})))
        self.run_now(upload.receive(MemorySource(b"contents")))
        self.refuse(DigestMismatch, upload.commit())
        self.assertEqual(self.get("/demo/a"), b"content")
        self.assertEqual(self.sink.of("INH")[-2]["Status"], "failed")

    def test_metadata_is_kept(self) -> None:
        entry = self.put("/demo/a", terms=Terms(metadata={"origin": "radar ü"}))
        found = self.run_now(self.files.stat("/demo/a"))
        for shown in (entry, found):
            self.assertEqual(dict(shown.file.metadata), {"origin": "radar ü"})

    def test_what_is_whole_in_memory(self) -> None:
        for name, data in (("/demo/a", b"content"), ("/demo/folder/b", b""), ("/demo/c", bytes(range(256)) * 1000)):
            entry = self.run_now(self.files.write_whole(name, data, terms=Terms(metadata={"key": "value"})))
            assert entry.file is not None
            self.assertEqual((entry.path, entry.size, entry.replaced), (name, len(data), False))
            self.assertEqual(entry.file.digests["sha256"], hashlib.sha256(data).hexdigest())
            self.assertEqual(self.run_now(self.files.stat(name)).file.metadata, {"key": "value"})
            self.assertEqual(self.get(name), data)
        again = self.run_now(self.files.write_whole("/demo/a", memoryview(b"other")))
        self.assertTrue(again.replaced)
        self.assertEqual(self.get("/demo/a"), b"other")

    def test_what_is_put_and_read_at_once(self) -> None:
        """It is as `write_whole` and `open_read` do it, or not done."""
        entry = self.files.put_now("/demo/a", b"content", terms=Terms(metadata={"key": "value"}))
        if entry is None:
            entry = self.run_now(self.files.write_whole("/demo/a", b"content", terms=Terms(metadata={"key": "value"})))
        found = self.run_now(self.files.stat("/demo/a"))
        self.assertEqual((entry.path, entry.size, found.file.metadata), ("/demo/a", 7, {"key": "value"}))
        self.assertEqual(self.get("/demo/a"), b"content")
        for path in ("/demo/none", "/demo", "/private/a", *HOSTILE):
            self.assertIsNone(self.files.read_again(path))
        download = self.files.read_again("/demo/a")
        if download is not None:
            self.assertEqual(bytes(download.held(1, 3)), b"ont")
            download.close()

    def test_what_is_whole_in_memory_is_refused_as_any_upload(self) -> None:
        self.put("/demo/a", b"old")
        for path, refusal, terms in (
            ("/demo/a", PreconditionFailed, IF_ABSENT),
            ("/demo", IsADirectory, NO_TERMS),
            ("/demo/a/b", NotADirectory, NO_TERMS),
            ("/private/a", NotFound, NO_TERMS),
            ("/demo/../a", InvalidName, NO_TERMS),
        ):
            self.refuse(refusal, self.files.write_whole(path, b"new", terms))
        failed = self.files.write_whole("/demo/a", b"new", terms=Terms(expected={"sha256": "0" * 64}))
        self.failureResultOf(ensureDeferred(failed), DigestMismatch)
        self.assertEqual(self.sink.of("INH")[-1]["Status"], "failed")
        self.assertEqual(self.get("/demo/a"), b"old")

    def test_a_commit_ends_an_upload(self) -> None:
        upload = self.run_now(self.files.open_write("/demo/a"))
        self.run_now(upload.commit())
        self.run_now(upload.abort())
        self.failureResultOf(ensureDeferred(upload.commit()), Incomplete)
        self.assertEqual(self.names("/demo"), ["a"])
        self.assertEqual([record["Status"] for record in self.sink.of("INH")], ["done"])


class Conditions(FileSystemContract):
    def test_only_if_absent(self) -> None:
        absent = Condition(absent=True)
        self.put("/demo/a", b"first", terms=Terms(absent))
        self.refuse(PreconditionFailed, self.files.open_write("/demo/a", terms=Terms(absent)))
        self.assertEqual(self.get("/demo/a"), b"first")

    def test_only_if_it_is_still_this_one(self) -> None:
        first = self.put("/demo/a", b"first")
        assert first.file is not None
        match = Condition(match=frozenset({first.file.id}))
        self.put("/demo/a", b"second", terms=Terms(match))
        self.refuse(PreconditionFailed, self.files.open_write("/demo/a", terms=Terms(match)))
        self.refuse(PreconditionFailed, self.files.open_write("/demo/b", terms=Terms(Condition(exists=True))))
        self.refuse(PreconditionFailed, self.files.open_write("/demo/b", terms=Terms(match)))
        self.put("/demo/a", b"third", terms=Terms(Condition(exists=True)))

    def test_conditions_are_asked_again_at_the_commit(self) -> None:
        upload = self.run_now(self.files.open_write("/demo/a", terms=IF_ABSENT))
        self.run_now(upload.receive(MemorySource(b"late")))
        self.put("/demo/a", b"early")
        self.refuse(PreconditionFailed, upload.commit())
        self.assertEqual(self.get("/demo/a"), b"early")

    def test_a_directory_in_the_way_at_the_commit(self) -> None:
        upload = self.run_now(self.files.open_write("/demo/a"))
        self.put("/demo/a/b")
        self.refuse(IsADirectory, upload.commit())
        above = self.run_now(self.files.open_write("/demo/c/d"))
        self.put("/demo/c")
        self.refuse(NotADirectory, above.commit())
        self.assertEqual(self.names("/demo"), ["a", "c"])

    def test_delete_only_if_it_is_this_one(self) -> None:
        entry = self.put("/demo/a")
        assert entry.file is not None
        self.refuse(PreconditionFailed, self.files.delete("/demo/a", Condition(match=frozenset({entry.file.id + 1}))))
        self.run_now(self.files.delete("/demo/a", Condition(match=frozenset({entry.file.id}))))
        self.absent("/demo/a")


class Directories(FileSystemContract):
    def test_the_root_lists_what_the_user_sees(self) -> None:
        self.assertEqual(self.names("/"), ["demo", "other"])
        self.assertTrue(self.run_now(self.files.stat("/")).is_directory)
        self.assertEqual(self.run_now(self.files.stat("/demo/")).path, "/demo")
        first = self.run_now(self.files.list("/", limit=1))
        self.assertEqual(([entry.path for entry in first.entries], first.after), (["/demo"], "demo"))
        second = self.run_now(self.files.list("/", first.after, 1))
        self.assertEqual(([entry.path for entry in second.entries], second.after), (["/other"], None))

    def test_pages_are_in_the_byte_order_of_names(self) -> None:
        names = ["B", "a", "a-", "a.b", "a0", "aa", "a%2F", "a\\b", "e\u0301", "é", "日本", "🌊", "~"]
        for name in names:
            self.put(f"/demo/{name}")
        self.put("/demo/folder/inside")
        self.put("/demo/folder0")
        expected = sorted([*names, "folder", "folder0"], key=str.encode)
        found: list[str] = []
        after: str | None = None
        for _ in range(20):
            page = self.run_now(self.files.list("/demo", after, 2))
            self.assertLessEqual(len(page.entries), 2)
            found += [entry.name for entry in page.entries]
            after = page.after
            if after is None:
                break
        self.assertEqual(found, expected)
        self.assertEqual(self.run_now(self.files.list("/demo/folder")).entries[0].path, "/demo/folder/inside")

    def test_a_page_may_start_after_a_name_that_is_gone(self) -> None:
        for name in "ace":
            self.put(f"/demo/{name}")
        page = self.run_now(self.files.list("/demo", "b"))
        self.assertEqual(([entry.name for entry in page.entries], page.after), (["c", "e"], None))

    def test_directories_appear_with_files_and_go_when_empty(self) -> None:
        self.put("/demo/a/b/c")
        self.assertEqual(self.names("/demo/a"), ["b"])
        self.run_now(self.files.delete("/demo/a/b/c"))
        self.assertEqual(self.names("/demo"), [])

    def test_a_made_directory_stays(self) -> None:
        entry = self.run_now(self.files.make_directory("/demo/a"))
        self.assertEqual((entry.path, entry.is_directory), ("/demo/a", True))
        self.put("/demo/a/b")
        self.run_now(self.files.delete("/demo/a/b"))
        self.assertEqual(self.names("/demo"), ["a"])
        self.run_now(self.files.remove_directory("/demo/a/"))
        self.assertEqual(self.names("/demo"), [])

    def test_what_make_directory_refuses(self) -> None:
        self.put("/demo/file")
        self.run_now(self.files.make_directory("/demo/a"))
        for path in ("/demo/a", "/demo/file", "/demo", "/"):
            self.refuse(AlreadyExists, self.files.make_directory(path))
        self.refuse(NotPermitted, self.files.make_directory("/new"))
        self.refuse(NotFound, self.files.make_directory("/demo/missing/b"))
        for path in ("/demo/file/b", "/demo/file/b/c", "/demo/file/b/c/d/"):
            self.refuse(NotADirectory, self.files.make_directory(path))

    def test_what_remove_directory_refuses(self) -> None:
        self.put("/demo/a/b")
        self.refuse(DirectoryNotEmpty, self.files.remove_directory("/demo/a"))
        self.refuse(NotADirectory, self.files.remove_directory("/demo/a/b"))
        self.refuse(NotFound, self.files.remove_directory("/demo/c"))
        self.refuse(NotPermitted, self.files.remove_directory("/demo"))
        self.refuse(NotPermitted, self.files.remove_directory("/"))

    def test_files_are_not_directories_nor_the_other_way_round(self) -> None:
        self.put("/demo/a/b")
        self.refuse(NotADirectory, self.files.list("/demo/a/b"))
        self.refuse(NotADirectory, self.files.stat("/demo/a/b/"))
        self.refuse(NotADirectory, self.files.open_write("/demo/a/b/c"))
        for path in ("/demo/a", "/demo/a/", "/demo/a/b/", "/demo/new/", "/demo/", "/demo", "/"):
            self.refuse(IsADirectory, self.files.open_read(path))
            self.refuse(IsADirectory, self.files.open_write(path))
            self.refuse(IsADirectory, self.files.delete(path))
        for work in (self.files.stat, self.files.list, self.files.open_read, self.files.delete):
            self.refuse(NotFound, work("/demo/missing"))
        self.refuse(NotFound, self.files.list("/demo/missing/too"))

    def test_who_only_looks_leaves_no_record(self) -> None:
        entry = self.put("/demo/a/b")
        before = len(self.sink.events)
        for path in ("/demo/missing", "/demo/missing/too", "/demo/a/b/c", "/demo/a/b/", "/private", "/private/a", "/new"):
            self.assertIsNone(self.run_now(self.files.find(path)), path)
        found = self.run_now(self.files.find("/demo/a/b", "get"))
        self.assertEqual((found.path, found.file.id), (entry.path, entry.file.id if entry.file else None))
        for path in ("/", "/demo", "/demo/a/"):
            self.assertTrue(self.run_now(self.files.find(path)).is_directory)
        self.assertEqual(len(self.sink.events), before)
        self.refuse(InvalidName, self.files.find("/demo/../a"))
        self.files = self.make(("dir",), ("demo",))
        self.refuse(NotPermitted, self.files.find("/demo/missing", "get"))


class Renaming(FileSystemContract):
    def test_a_file(self) -> None:
        entry = self.put("/demo/a/b", b"content")
        self.run_now(self.files.rename("/demo/a/b", "/demo/c"))
        self.assertEqual(self.names("/demo"), ["c"])
        self.assertEqual(self.get("/demo/c"), b"content")
        found = self.run_now(self.files.stat("/demo/c"))
        self.assertEqual(found.file.id, entry.file.id if entry.file else None)

    def test_a_file_over_a_file(self) -> None:
        self.put("/demo/a", b"new")
        self.put("/demo/b", b"old")
        self.run_now(self.files.rename("/demo/a", "/demo/b"))
        self.assertEqual((self.names("/demo"), self.get("/demo/b")), (["b"], b"new"))

    def test_only_to_a_name_that_is_free(self) -> None:
        self.put("/demo/a", b"new")
        self.put("/demo/b", b"old")
        self.put("/demo/d/e")
        for source, target in (("/demo/a", "/demo/b"), ("/demo/a", "/demo/a"), ("/demo/a", "/demo/d"), ("/demo/d", "/demo/b")):
            self.refuse(AlreadyExists, self.files.rename(source, target, replace=False))
        self.refuse(NotFound, self.files.rename("/demo/missing", "/demo/b", replace=False))
        self.assertEqual((self.get("/demo/a"), self.get("/demo/b")), (b"new", b"old"))
        self.run_now(self.files.rename("/demo/a", "/demo/c", replace=False))
        self.assertEqual(self.names("/demo"), ["b", "c", "d"])

    def test_a_directory_takes_everything_below_and_nothing_beside(self) -> None:
        for path in ("/demo/a/1", "/demo/a/b/2", "/demo/a-b", "/demo/a0/3"):
            self.put(path, path.encode())
        self.run_now(self.files.make_directory("/demo/a/empty"))
        self.run_now(self.files.rename("/demo/a", "/demo/z"))
        self.assertEqual(self.names("/demo"), ["a-b", "a0", "z"])
        self.assertEqual(self.names("/demo/z"), ["1", "b", "empty"])
        self.assertEqual(self.get("/demo/z/b/2"), b"/demo/a/b/2")

    def test_what_is_refused(self) -> None:
        self.put("/demo/a/b")
        self.put("/demo/c")
        self.run_now(self.files.make_directory("/demo/d"))
        self.refuse(NotFound, self.files.rename("/demo/missing", "/demo/x"))
        self.refuse(AlreadyExists, self.files.rename("/demo/c", "/demo/d"))
        self.refuse(AlreadyExists, self.files.rename("/demo/a", "/demo/d"))
        self.refuse(AlreadyExists, self.files.rename("/demo/a", "/demo/c"))
        self.refuse(InvalidName, self.files.rename("/demo/a", "/demo/a/e"))
        self.refuse(NotADirectory, self.files.rename("/demo/a", "/demo/c/e"))
        self.refuse(NotADirectory, self.files.rename("/demo/c/", "/demo/e"))
        self.refuse(CrossesDestinations, self.files.rename("/demo/c", "/other/c"))
        self.refuse(NotPermitted, self.files.rename("/demo", "/other"))
        self.refuse(NotFound, self.files.rename("/demo/c", "/private/c"))
        self.assertEqual(self.names("/demo"), ["a", "c", "d"])


class Rights(FileSystemContract):
    def test_what_may_not_be_seen_is_not_there(self) -> None:
        self.files = self.make(PERMISSIONS, DESTINATIONS)
        self.put("/private/secret")
        self.files = self.make(PERMISSIONS, DESTINATIONS[:2])
        for hidden, missing in (("/private", "/nowhere"), ("/private/secret", "/nowhere/secret")):
            for method in (self.files.stat, self.files.list, self.files.open_read, self.files.open_write):
                self.assertEqual(self.answer(method(hidden)), self.answer(method(missing)))
            for method in (self.files.delete, self.files.make_directory, self.files.remove_directory):
                self.assertEqual(self.answer(method(hidden)), self.answer(method(missing)))
            self.assertEqual(
                self.answer(self.files.rename(hidden, "/demo/a")), self.answer(self.files.rename(missing, "/demo/a"))
            )

    def answer(self, work: Coroutine[Any, Any, Any]) -> str:
        return self.refuse(Refusal, work).sentence

    def test_each_permission_is_needed(self) -> None:
        self.put("/demo/a/b", b"content")
        self.run_now(self.files.make_directory("/demo/empty"))
        needs = {
            "get": lambda: self.files.open_read("/demo/a/b"),
            "put": lambda: self.files.open_write("/demo/a/c"),
            "mkdir": lambda: self.files.make_directory("/demo/new"),
            "rename": lambda: self.files.rename("/demo/a/b", "/demo/a/c"),
            "delete": lambda: self.files.delete("/demo/a/c"),
            "rmdir": lambda: self.files.remove_directory("/demo/empty"),
            "dir": lambda: self.files.list("/demo"),
        }
        for permission, work in needs.items():
            everything_else = tuple(other for other in PERMISSIONS if other != permission)
            self.files = self.make(everything_else, ("demo",))
            self.refuse(NotPermitted, work())
        for permission, work in needs.items():
            self.files = self.make((permission,), ("demo",))
            self.run_now(work())

    def test_to_replace_a_file_by_a_rename_needs_put_or_delete(self) -> None:
        self.put("/demo/a", b"new")
        self.put("/demo/b", b"old")
        self.run_now(self.files.make_directory("/demo/d"))
        self.files = self.make(tuple(other for other in PERMISSIONS if other not in ("put", "delete")), ("demo",))
        self.refuse(NotPermitted, self.files.rename("/demo/a", "/demo/b"))
        self.assertEqual((self.get("/demo/a"), self.get("/demo/b")), (b"new", b"old"))
        for source, target in (("/demo/a", "/demo/d"), ("/demo/d", "/demo/b")):
            self.refuse(AlreadyExists, self.files.rename(source, target))  # as anybody: nothing would be replaced
        self.run_now(self.files.rename("/demo/a", "/demo/a"))
        self.refuse(AlreadyExists, self.files.rename("/demo/a", "/demo/b", replace=False))
        self.run_now(self.files.rename("/demo/a", "/demo/free"))
        for permission, source in (("put", "/demo/free"), ("delete", "/demo/b")):
            target = "/demo/b" if permission == "put" else "/demo/free"
            self.files = self.make(PERMISSIONS, ("demo",))
            self.put(target, b"old")
            self.files = self.make(("get", "rename", permission), ("demo",))
            self.run_now(self.files.rename(source, target))
            self.assertEqual(self.get(target), b"new")

    def test_a_missing_directory_needs_mkdir(self) -> None:
        self.files = self.make(("put",), ("demo",))
        self.refuse(NotPermitted, self.files.open_write("/demo/a/b"))
        self.put("/demo/b")

    def test_hostile_names_are_refused_everywhere(self) -> None:
        self.put("/demo/fine")
        for path in (*HOSTILE, "/demo/" + "x" * 256, "/demo" + "/x" * 600, "/demo/\ud800"):
            for method in (self.files.stat, self.files.list, self.files.open_read, self.files.open_write):
                self.refuse(InvalidName, method(path))
            for method in (self.files.delete, self.files.make_directory, self.files.remove_directory):
                self.refuse(InvalidName, method(path))
            self.refuse(InvalidName, self.files.rename(path, "/demo/b"))
            self.refuse(InvalidName, self.files.rename("/demo/fine", path))
        self.assertEqual(self.names("/demo"), ["fine"])


class Records(FileSystemContract):
    def test_a_push_and_a_pull(self) -> None:
        entry = self.put("/demo/folder/a", b"0123456789")
        self.get("/demo/folder/a", 2, 3)
        push, pull = self.sink.of("INH")
        for record, action, sent in ((push, "upload", 10), (pull, "download", 3)):
            self.assertEqual((record["Action"], record["Status"], record["BytesSent"]), (action, "done", sent))
            self.assertEqual((record["DestinationName"], record["FileName"]), ("demo", "folder/a"))
            self.assertEqual((record["FileSize"], record["DataTransferId"]), (10, entry.file.id if entry.file else None))
            self.assertEqual((record["UserId"], record["HostAddress"]), (self.files.identity.login, self.files.origin.address))
            self.assertEqual((record["TransferProtocol"], record["FileSystem"]), (self.files.origin.protocol, 0))
        self.assertEqual(self.sink.of("DEA"), [])

    def test_a_cut_pull(self) -> None:
        self.put("/demo/a", b"x" * 10)
        download = self.run_now(self.files.open_read("/demo/a"))
        self.failureResultOf(ensureDeferred(download.send(MemorySink(room=4))), ConnectionLost)
        download.close(ConnectionLost())
        download.close()
        record = self.sink.of("INH")[-1]
        self.assertEqual((record["Action"], record["Status"]), ("download", "failed"))
        self.assertLessEqual(record["BytesSent"], 4)
        self.assertEqual(len(self.sink.of("INH")), 2)

    def test_a_slow_reader_holds_the_download(self) -> None:
        self.put("/demo/a", b"x" * 10)
        download = self.run_now(self.files.open_read("/demo/a"))
        channel = MemoryChannel(window=4)
        sending: Deferred[None] = ensureDeferred(download.send(channel))
        self.assertNoResult(sending)
        while channel.take():
            pass
        self.successResultOf(sending)
        self.assertEqual(channel.all_written, b"x" * 10)
        download.close()

    def test_a_denial_names_what_was_asked(self) -> None:
        self.refuse(NotFound, self.files.open_read("/demo/missing"))
        (record,) = self.sink.of("DEA")
        self.assertIn(NotFound().sentence.rstrip("."), record["Message"])
        self.assertIn(f"Using {self.files.origin.protocol} on DataMover=", record["Context"])


SUITES = (ReadAndWrite, Conditions, Directories, Renaming, Rights, Records)
"""Each is to be joined with a maker: `class MyRights(MyMaker, Rights)`."""


class Keeping(FileSystemContract):
    """Uploads that break off and are gone on with."""

    def break_off(self, upload: IUpload, data: bytes) -> None:
        lost = ConnectionLost()
        self.failureResultOf(ensureDeferred(upload.receive(MemorySource(data, 7, lost))), ConnectionLost)
        self.run_now(upload.keep(lost))

    def begin(self, path: str, data: bytes) -> None:
        self.break_off(self.run_now(self.files.open_write(path)), data)

    def resume(self, path: str, offset: int, data: bytes) -> Entry:
        upload = self.run_now(self.files.resume_write(path, offset))
        self.run_now(upload.receive(MemorySource(data, 5)))
        entry: Entry = self.run_now(upload.commit())
        return entry

    def test_going_on(self) -> None:
        self.begin("/demo/d/a", b"hello ")
        self.assertEqual(self.run_now(self.files.kept("/demo/d/a")), 6)
        entry = self.resume("/demo/d/a", 6, b"world")
        self.assertEqual((entry.path, entry.size, self.get("/demo/d/a")), ("/demo/d/a", 11, b"hello world"))
        self.assertEqual(entry.file and entry.file.digests["sha256"], hashlib.sha256(b"hello world").hexdigest())
        self.assertEqual(self.get("/demo/d/a", 4, 4), b"o wo")
        self.assertEqual(self.run_now(self.files.kept("/demo/d/a")), 0)
        self.assertEqual([record["Status"] for record in self.sink.of("INH")[:2]], ["failed", "done"])

    def test_what_was_settled_is_kept(self) -> None:
        upload = self.run_now(self.files.open_write("/demo/a"))
        self.run_now(upload.receive(MemorySource(b"hello ")))
        self.run_now(upload.settle())
        self.absent("/demo/a")
        self.run_now(upload.keep(ConnectionLost()))
        self.absent("/demo/a")
        self.resume("/demo/a", 6, b"world")
        self.assertEqual(self.get("/demo/a"), b"hello world")

    def test_nobody_sees_it(self) -> None:
        self.begin("/demo/a", b"half")
        self.refuse(NotFound, self.files.stat("/demo/a"))
        self.refuse(NotFound, self.files.open_read("/demo/a"))
        self.assertEqual(self.run_now(self.files.list("/demo")).entries, ())
        self.files = self.make(PERMISSIONS, DESTINATIONS[:2])
        self.assertEqual(self.run_now(self.files.kept("/demo/a")), 0)
        self.refuse(NotFound, self.files.resume_write("/demo/a", 4))

    def test_only_from_where_it_ends(self) -> None:
        self.refuse(NotFound, self.files.resume_write("/demo/a", 1))
        self.begin("/demo/a", b"half")
        for offset in (1, 5):
            self.refuse(PreconditionFailed, self.files.resume_write("/demo/a", offset))
        self.refuse(NotFound, self.files.resume_write("/demo/b", 4))

    def test_breaking_off_again(self) -> None:
        self.begin("/demo/a", b"one ")
        self.break_off(self.run_now(self.files.resume_write("/demo/a", 4)), b"two ")
        self.assertEqual(self.run_now(self.files.kept("/demo/a")), 8)
        self.resume("/demo/a", 8, b"three")
        self.assertEqual(self.get("/demo/a"), b"one two three")

    def test_giving_up_the_rest_leaves_what_was_kept(self) -> None:
        self.begin("/demo/a", b"one ")
        upload = self.run_now(self.files.resume_write("/demo/a", 4))
        self.run_now(upload.receive(MemorySource(b"rest")))
        self.run_now(upload.abort())
        self.assertEqual(self.run_now(self.files.kept("/demo/a")), 4)
        self.resume("/demo/a", 4, b"")
        self.assertEqual(self.get("/demo/a"), b"one ")

    def test_a_younger_file_takes_its_place(self) -> None:
        self.begin("/demo/a", b"old")
        self.put("/demo/a", b"new")
        self.assertEqual(self.run_now(self.files.kept("/demo/a")), 0)

    def test_a_younger_partial_takes_its_place(self) -> None:
        self.begin("/demo/a", b"old")
        self.begin("/demo/a", b"younger")
        self.assertEqual(self.run_now(self.files.kept("/demo/a")), 7)
        self.resume("/demo/a", 7, b"!")
        self.assertEqual(self.get("/demo/a"), b"younger!")

    def piece(self, upload: int, offset: int, data: bytes, **named: Any) -> None:
        """Add a piece to an upload of `/demo/a` that comes in pieces."""
        writing = self.run_now(self.files.resume_write("/demo/a", offset, upload, **named))
        self.run_now(writing.receive(MemorySource(data)))
        self.run_now(writing.pause())

    def test_piece_by_piece(self) -> None:
        upload = self.run_now(self.files.begin_partial("/demo/a", 11))
        self.assertEqual(self.run_now(self.files.kept("/demo/a", upload)), 0)
        self.piece(upload, 0, b"hello ", expected={"sha1": hashlib.sha1(b"hello ").hexdigest()})
        self.assertEqual(self.run_now(self.files.kept("/demo/a", upload)), 6)
        self.refuse(NotFound, self.files.stat("/demo/a"))
        self.refuse(PreconditionFailed, self.files.resume_write("/demo/a", 5, upload))
        entry = self.resume("/demo/a", 6, b"world")
        self.assertEqual(self.get("/demo/a"), b"hello world")
        self.assertEqual(entry.file and entry.file.digests["sha256"], hashlib.sha256(b"hello world").hexdigest())
        self.assertEqual(entry.file and entry.file.id, upload)
        self.refuse(NotFound, self.files.kept("/demo/a", upload))

    def test_a_piece_that_is_not_what_was_announced(self) -> None:
        upload = self.run_now(self.files.begin_partial("/demo/a"))
        self.piece(upload, 0, b"one ")
        writing = self.run_now(self.files.resume_write("/demo/a", 4, upload, expected={"sha256": "0" * 64}))
        self.run_now(writing.receive(MemorySource(b"two ")))
        self.failureResultOf(ensureDeferred(writing.pause()), DigestMismatch)
        self.assertEqual(self.run_now(self.files.kept("/demo/a", upload)), 4)
        self.piece(upload, 4, b"two ")
        self.resume("/demo/a", 8, b"three")
        self.assertEqual(self.get("/demo/a"), b"one two three")

    def test_anothers_pieces_are_not_ours(self) -> None:
        upload = self.run_now(self.files.begin_partial("/demo/a"))
        self.piece(upload, 0, b"mine")
        self.files = self.make(PERMISSIONS, DESTINATIONS[:2])
        self.refuse(NotFound, self.files.kept("/demo/a", upload))
        self.refuse(NotFound, self.files.resume_write("/demo/a", 4, upload))
        self.refuse(NotFound, self.files.give_up("/demo/a", upload))

    def test_a_younger_upload_takes_its_place(self) -> None:
        old = self.run_now(self.files.begin_partial("/demo/a"))
        self.piece(old, 0, b"old")
        new = self.run_now(self.files.begin_partial("/demo/a"))
        self.refuse(NotFound, self.files.kept("/demo/a", old))
        self.assertEqual(self.run_now(self.files.kept("/demo/a", new)), 0)

    def test_pieces_that_are_given_up(self) -> None:
        upload = self.run_now(self.files.begin_partial("/demo/a"))
        self.piece(upload, 0, b"never")
        self.refuse(NotFound, self.files.give_up("/demo/b", upload))
        self.run_now(self.files.give_up("/demo/a", upload))
        self.refuse(NotFound, self.files.resume_write("/demo/a", 5, upload))
        self.refuse(NotFound, self.files.give_up("/demo/a", upload))

    def test_the_condition_of_pieces_is_that_of_the_commit(self) -> None:
        absent = Condition(absent=True)
        upload = self.run_now(self.files.begin_partial("/demo/a", condition=absent))
        writing = self.run_now(self.files.resume_write("/demo/a", 0, upload, absent))
        self.run_now(writing.receive(MemorySource(b"late")))
        self.put("/demo/a", b"first")
        self.failureResultOf(ensureDeferred(writing.commit()), PreconditionFailed)
        self.assertEqual(self.get("/demo/a"), b"first")
        self.refuse(PreconditionFailed, self.files.begin_partial("/demo/a", condition=absent))

    def test_of_two_pieces_at_one_place_the_first_counts(self) -> None:
        upload = self.run_now(self.files.begin_partial("/demo/a"))
        late = self.run_now(self.files.resume_write("/demo/a", 0, upload))
        self.piece(upload, 0, b"first")
        self.run_now(late.receive(MemorySource(b"late")))
        self.failureResultOf(ensureDeferred(late.pause()), PreconditionFailed)
        self.assertEqual(self.run_now(self.files.kept("/demo/a", upload)), 5)

    def test_nothing_came(self) -> None:
        self.begin("/demo/a", b"")
        self.assertEqual(self.run_now(self.files.kept("/demo/a")), 0)

    def test_keeping_after_the_end(self) -> None:
        upload = self.run_now(self.files.open_write("/demo/a"))
        self.run_now(upload.receive(MemorySource(b"whole")))
        self.run_now(upload.commit())
        self.run_now(upload.keep(ConnectionLost()))
        self.assertEqual((self.get("/demo/a"), self.run_now(self.files.kept("/demo/a"))), (b"whole", 0))


class Facts(FileSystemContract):
    """Digests and times of what is stored, and the room for more."""

    def test_room(self) -> None:
        for path in ("/", "/demo", "/demo/not/there"):
            found = self.run_now(self.files.room(path))
            self.assertTrue(0 < found.free <= found.total, found)
        self.refuse(NotFound, self.files.room("/private"))
        self.refuse(InvalidName, self.files.room("/demo/../private"))

    def test_usage(self) -> None:
        self.put("/demo/a", b"12345")
        self.put("/demo/b/c", b"6")
        for path in ("/demo", "/demo/b/", "/demo/not/there"):
            found = self.run_now(self.files.usage(path))
            self.assertEqual((found.files, found.size), (2, 6), path)
        self.assertIsNone(self.run_now(self.files.usage("/")))
        self.refuse(NotFound, self.files.usage("/private"))

    def test_digests(self) -> None:
        self.put("/demo/a", b"content")
        for name in ("sha256", "sha1", "md5", "sha512"):
            for _ in range(2):
                self.assertEqual(self.run_now(self.files.digest("/demo/a", name)), hashlib.new(name, b"content").hexdigest())
        self.assertEqual(self.run_now(self.files.digest("/demo/a", "crc32")), f"{zlib.crc32(b'content'):08x}")

    def test_digests_of_a_part(self) -> None:
        self.put("/demo/a", b"content")
        for offset, length in ((0, 3), (2, 2), (2, None), (5, 100), (7, None), (9, 1)):
            part = b"content"[offset:] if length is None else b"content"[offset : offset + length]
            found = self.run_now(self.files.digest("/demo/a", "sha256", offset, length))
            self.assertEqual(found, hashlib.sha256(part).hexdigest(), (offset, length))

    def test_what_has_no_digest(self) -> None:
        self.put("/demo/d/a", b"content")
        self.refuse(IsADirectory, self.files.digest("/demo/d", "sha256"))
        self.refuse(NotFound, self.files.digest("/demo/none", "sha256"))
        self.refuse(NotSupported, self.files.digest("/demo/d/a", "sha3"))

    def test_times(self) -> None:
        self.put("/demo/d/a", b"content")
        self.assertEqual(self.run_now(self.files.set_mtime("/demo/d/a", 86400.0)).path, "/demo/d/a")
        self.assertEqual(self.run_now(self.files.stat("/demo/d/a")).mtime, 86400.0)
        self.assertEqual(self.get("/demo/d/a"), b"content")
        self.refuse(IsADirectory, self.files.set_mtime("/demo/d", 0.0))
        self.refuse(NotFound, self.files.set_mtime("/demo/none", 0.0))

    def test_permissions(self) -> None:
        self.put("/demo/a", b"content")
        self.files = self.make(("put",), DESTINATIONS[:2])
        self.refuse(NotPermitted, self.files.digest("/demo/a", "sha256"))
        self.refuse(NotPermitted, self.files.set_mtime("/demo/a", 0.0))
        self.files = self.make(("get", "mtime"), DESTINATIONS[:2])
        self.refuse(NotPermitted, self.files.kept("/demo/a"))
        self.refuse(NotPermitted, self.files.resume_write("/demo/a", 0))
