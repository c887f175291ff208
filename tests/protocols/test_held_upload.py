"""Uploads that are held in memory as long as they are small."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost, DigestMismatch, Incomplete, NoSpace, NotPermitted
from ecpds.held import SMALL_FILE
from ecpds.model import Origin
from ecpds.portal_interfaces import IFileSystem, IUpload
from ecpds.protocols.held_upload import HeldUpload
from ecpds.terms import Terms
from tests.doubles import MemoryChannel, MemoryPortal, make_identity

ORIGIN = Origin("ftp", "192.0.2.7", "node-1")


class HeldUploads(SynchronousTestCase):
    def setUp(self) -> None:
        self.portal = MemoryPortal({"alice": ("secret", make_identity())})
        self.tree = self.portal.tree
        self.files: IFileSystem = self.finish(self.portal.login("alice", "secret", ORIGIN))
        self.upload = HeldUpload(self.files, "/demo/a")

    def finish(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def receive(self, data: bytes, limit: int | None = None) -> int:
        channel = MemoryChannel("192.0.2.7")
        channel.feed(data)
        channel.feed_end()
        count: int = self.finish(self.upload.receive(channel, limit))
        return count

    def transfers(self) -> list[str]:
        return [record["Status"] for record in self.portal.sink.of("INH")]

    def test_provides(self) -> None:
        verifyObject(IUpload, self.upload)

    def test_what_is_small_is_begun_when_all_of_it_is_there(self) -> None:
        self.assertEqual(self.receive(b"abc"), 3)
        self.assertEqual(self.receive(b"def"), 3)
        self.finish(self.upload.settle())
        self.assertEqual(self.tree.uploads, [])
        self.assertEqual(self.finish(self.upload.commit()).size, 6)
        self.assertEqual(self.tree.read("/demo/a"), b"abcdef")
        self.assertEqual(self.transfers(), ["done"])

    def test_committed_at_once(self) -> None:
        self.receive(b"abc")
        self.assertIsNone(self.upload.commit_now())
        self.tree.takes_now = True
        entry = self.upload.commit_now()
        assert entry is not None
        self.assertEqual((entry.size, self.tree.read("/demo/a"), self.transfers()), (3, b"abc", ["done"]))
        self.assertIsNone(self.upload.commit_now())
        self.failureResultOf(Deferred.fromCoroutine(self.upload.commit()), Incomplete)

    def test_what_is_begun_is_not_committed_at_once(self) -> None:
        self.tree.takes_now = True
        self.receive(bytes(SMALL_FILE))
        self.assertIsNone(self.upload.commit_now())
        self.finish(self.upload.commit())
        self.assertEqual(self.tree.read("/demo/a"), bytes(SMALL_FILE))

    def test_nor_is_what_was_announced_and_has_not_come(self) -> None:
        self.tree.takes_now = True
        self.upload = HeldUpload(self.files, "/demo/a", 4)
        self.receive(b"abc")
        self.assertIsNone(self.upload.commit_now())

    def test_what_is_refused_at_once_has_ended(self) -> None:
        self.tree.takes_now = True
        self.receive(b"abc")
        self.tree.broken = NotPermitted()
        self.assertRaises(NotPermitted, self.upload.commit_now)
        self.finish(self.upload.abort(NotPermitted()))
        self.assertEqual((len(self.portal.sink.of("DEA")), self.transfers(), self.tree.uploads), (1, [], []))

    def test_digests_of_the_beginning_and_of_the_end_are_both_held_to(self) -> None:
        wrong, right = hashlib.md5(b"abd").hexdigest(), hashlib.md5(b"abc").hexdigest()
        sha256 = hashlib.sha256(b"abc").hexdigest()
        for md5 in (wrong, right):
            self.upload = HeldUpload(self.files, "/demo/a", terms=Terms(expected={"md5": md5}))
            self.receive(b"abc")
            done = Deferred.fromCoroutine(self.upload.commit({"sha256": sha256}))
            if md5 == wrong:
                self.failureResultOf(done, DigestMismatch)
                self.assertEqual(dict(self.tree.files), {})
            else:
                self.assertEqual(self.successResultOf(done).size, 3)

    def test_what_is_larger_is_begun_as_always(self) -> None:
        data = bytes(range(256)) * 65
        self.assertEqual(self.receive(data), len(data))
        self.assertEqual(len(self.tree.uploads), 1)
        self.finish(self.upload.commit())
        self.assertEqual(self.tree.read("/demo/a"), data)

    @given(st.lists(st.integers(0, 2 * SMALL_FILE), max_size=4), st.one_of(st.none(), st.integers(0, 3 * SMALL_FILE)))
    def test_no_byte_is_lost(self, sizes: list[int], limit: int | None) -> None:
        self.upload, sent = HeldUpload(self.files, "/demo/a"), b""
        for number, size in enumerate(sizes):
            piece = bytes([number + 1]) * size
            count = self.receive(piece, limit)
            self.assertEqual(count, size if limit is None else min(size, limit))
            sent += piece[:count]
        self.finish(self.upload.commit())
        self.assertEqual(self.tree.read("/demo/a"), sent)

    def test_what_came_before_a_loss_is_kept(self) -> None:
        channel = MemoryChannel("192.0.2.7")
        channel.feed(b"abc")
        channel.feed_loss()
        self.failureResultOf(Deferred.fromCoroutine(self.upload.receive(channel)), ConnectionLost)
        self.finish(self.upload.keep(ConnectionLost()))
        self.assertEqual([bytes(kept.data) for kept in self.tree.partials.values()], [b"abc"])
        self.assertEqual((self.transfers(), self.tree.uploads), (["failed"], []))

    def test_pause(self) -> None:
        self.receive(b"abc")
        self.finish(self.upload.pause())
        self.assertEqual([bytes(kept.data) for kept in self.tree.partials.values()], [b"abc"])

    def test_what_is_given_up_leaves_a_record_and_nothing_else(self) -> None:
        self.receive(b"abc")
        for _ in range(2):
            self.finish(self.upload.abort(NoSpace()))
        self.assertEqual((self.transfers(), self.tree.uploads, dict(self.tree.files)), (["failed"], [], {}))
        self.failureResultOf(Deferred.fromCoroutine(self.upload.commit()), Incomplete)

    def test_a_refusal_is_recorded_once(self) -> None:
        self.receive(b"abc")
        self.tree.broken = NotPermitted()
        self.failureResultOf(Deferred.fromCoroutine(self.upload.commit()), NotPermitted)
        self.finish(self.upload.abort(NotPermitted()))
        self.assertEqual((len(self.portal.sink.of("DEA")), self.transfers()), (1, []))

    def test_so_is_one_of_what_is_large(self) -> None:
        self.tree.broken = NotPermitted()
        channel = MemoryChannel("192.0.2.7")
        channel.feed(bytes(SMALL_FILE))
        self.failureResultOf(Deferred.fromCoroutine(self.upload.receive(channel)), NotPermitted)
        self.finish(self.upload.abort(NotPermitted()))
        self.assertEqual((len(self.portal.sink.of("DEA")), self.transfers()), (1, []))

    def test_leave_that_is_gone_when_a_loss_comes(self) -> None:
        self.receive(b"abc")
        self.tree.broken = NotPermitted()
        self.finish(self.upload.keep(ConnectionLost()))
        self.assertEqual((len(self.portal.sink.of("DEA")), self.tree.partials), (1, {}))
