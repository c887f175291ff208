"""An SFTP session, packet by packet, over the file system in memory."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import ConnectionLost, Unavailable, refusals
from ecpds.held import SMALL_FILE
from ecpds.limits import Limits
from ecpds.model import Origin
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols.sftp import SftpMeans, SftpSession
from ecpds.protocols.sftp_files import REORDER
from ecpds.protocols.sftp_packets import LARGEST_PACKET, Code, Open, Type, code_of, string
from ecpds.transports.buffers import BufferPool
from tests.doubles.portal import MemoryPortal, make_identity
from tests.doubles.streams import MemoryStream
from tests.ssh.support import AT_ONCE

CREATE = Open.WRITE | Open.CREAT | Open.TRUNC
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED_REPLY = 101, 102, 103, 104, 105, 201
NO_ATTRIBUTES = bytes(4)


def framed(type: int, body: bytes = b"") -> bytes:
    return struct.pack(">LB", len(body) + 1, type) + body


async def never(fd: int, offset: int, views: Sequence[memoryview]) -> None:
    raise AssertionError("nothing is a file here")


def packets_of(sent: bytearray) -> list[tuple[int, bytes]]:
    """What was sent since it was asked for last: types and the rest."""
    found = []
    while sent:
        size = int.from_bytes(sent[:4], "big")
        found.append((sent[4], bytes(sent[5 : 4 + size])))
        del sent[: 4 + size]
    return found


class SftpTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.portal = MemoryPortal({"alice": ("pw", make_identity())})
        self.tree = self.portal.tree
        self.open_session()
        self.ask(Type.INIT, struct.pack(">L", 3), number=False)

    def open_session(self) -> None:
        login = self.portal.login("alice", "pw", Origin("sftp", "192.0.2.7"))
        self.files: IFileSystem = self.successResultOf(Deferred.fromCoroutine(login))
        self.wires = MemoryStream()
        self.means = SftpMeans(Limits(sftp_handles=4), Random(1), lambda: 1.7e9, never, BufferPool(1 << 20), AT_ONCE)
        self.status = Deferred.fromCoroutine(SftpSession(self.files, self.wires, self.means).run())

    def ask(self, type: int, body: bytes = b"", number: bool = True) -> list[tuple[int, bytes]]:
        self.wires.arrive(framed(type, (struct.pack(">L", 7) if number else b"") + body))
        return packets_of(self.wires.sent)

    def one(self, type: int, *parts: bytes) -> tuple[int, bytes]:
        """The one answer to a request, whose number it must have."""
        answers = self.ask(type, b"".join(parts))
        self.assertEqual([body[:4] for _, body in answers], [struct.pack(">L", 7)])
        return answers[0][0], answers[0][1][4:]

    def code(self, type: int, *parts: bytes) -> int:
        kind, body = self.one(type, *parts)
        self.assertEqual(kind, STATUS, body)
        return int.from_bytes(body[:4], "big")

    def open(self, path: str, flags: int) -> bytes:
        kind, body = self.one(Type.OPEN, string(path.encode()), struct.pack(">L", flags), NO_ATTRIBUTES)
        self.assertEqual(kind, HANDLE, body)
        return body

    def write(self, handle: bytes, offset: int, data: bytes) -> int:
        return self.code(Type.WRITE, handle, struct.pack(">Q", offset), string(data))

    def content(self, path: str) -> bytes | None:
        file = self.tree.files.get(tuple(path.split("/")))
        return self.tree.contents[file.id] if file is not None else None


class Room(SftpTestCase):
    """statvfs and fstatvfs."""

    def facts(self, name: bytes, what: bytes) -> tuple[int, ...]:
        kind, body = self.one(Type.EXTENDED, string(name), what)
        self.assertEqual(kind, EXTENDED_REPLY)
        return struct.unpack(">11Q", body)

    def test_what_is_left(self) -> None:
        self.tree.space = 10 << 20
        self.tree.put("/demo/a", bytes(1 << 20))
        handle = self.open("/demo/b", CREATE)
        answers = [self.facts(b"statvfs@openssh.com", string(path)) for path in (b"/", b"demo", b"/demo/a/..")]
        answers.append(self.facts(b"fstatvfs@openssh.com", handle))
        self.assertEqual(set(answers), {(4096, 4096, 2560, 2304, 2304, 0, 0, 0, 0, 2, 255)})

    def test_refusals(self) -> None:
        self.assertEqual(self.code(Type.EXTENDED, string(b"statvfs@openssh.com"), string(b"/none")), Code.NO_SUCH_FILE)
        self.assertEqual(self.code(Type.EXTENDED, string(b"statvfs@openssh.com")), Code.BAD_MESSAGE)
        self.assertEqual(self.code(Type.EXTENDED, string(b"fstatvfs@openssh.com"), string(b"none")), Code.BAD_MESSAGE)


class Writes(SftpTestCase):
    def test_nothing_is_seen_before_the_close(self) -> None:
        handle = self.open("/demo/a", CREATE)
        self.assertEqual(self.write(handle, 0, b"hello"), Code.OK)
        self.assertIsNone(self.content("demo/a"))
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.content("demo/a"), b"hello")

    def test_the_close_waits_for_the_commit(self) -> None:
        handle = self.open("/demo/a", CREATE)
        self.write(handle, 0, b"hello")
        self.tree.hold = Deferred()
        self.assertEqual(self.ask(Type.CLOSE, handle), [])
        self.tree.hold.callback(None)
        self.assertEqual([kind for kind, _ in packets_of(self.wires.sent)], [STATUS])

    def test_writes_out_of_order(self) -> None:
        handle = self.open("/demo/a", CREATE)
        for offset, data in ((4, b"e"), (2, b"cd"), (0, b"ab")):
            self.assertEqual(self.write(handle, offset, data), Code.OK)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.content("demo/a"), b"abcde")

    def test_a_gap_publishes_nothing(self) -> None:
        handle = self.open("/demo/a", CREATE)
        self.write(handle, 0, b"ab")
        self.write(handle, 3, b"d")
        self.assertEqual(self.code(Type.CLOSE, handle), Code.FAILURE)
        self.assertIsNone(self.content("demo/a"))
        self.assertEqual(self.tree.uploads, [])

    def test_what_is_too_far_ahead_is_refused_and_so_is_the_close(self) -> None:
        handle, piece = self.open("/demo/a", CREATE), bytes(1 << 17)
        for number in range(REORDER // len(piece)):
            self.assertEqual(self.write(handle, 1 + number * len(piece), piece), Code.OK)
        self.assertEqual(self.write(handle, 1 + REORDER, piece), Code.OP_UNSUPPORTED)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OP_UNSUPPORTED)
        self.assertIsNone(self.content("demo/a"))

    def test_bytes_that_were_written_stay(self) -> None:
        handle = self.open("/demo/a", CREATE)
        self.write(handle, 0, b"abc")
        self.assertEqual(self.write(handle, 1, b"X"), Code.OP_UNSUPPORTED)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OP_UNSUPPORTED)
        self.assertIsNone(self.content("demo/a"))

    def test_a_write_that_says_more_than_it_brings_publishes_nothing(self) -> None:
        handle = self.open("/demo/a", CREATE)
        self.write(handle, 0, b"ab")
        more = struct.pack(">QL", 2, 9) + b"cd"
        self.assertEqual(self.code(Type.WRITE, handle, more), Code.BAD_MESSAGE)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.BAD_MESSAGE)
        self.assertIsNone(self.content("demo/a"))
        self.assertEqual(self.tree.uploads, [])

    def test_a_write_that_can_not_be_read_publishes_nothing(self) -> None:
        for rest in (b"", struct.pack(">Q", 2), struct.pack(">QH", 2, 0)):
            handle = self.open("/demo/a", CREATE)
            self.write(handle, 0, b"ab")
            self.assertEqual(self.code(Type.WRITE, handle, rest), Code.BAD_MESSAGE)
            self.assertNotEqual(self.code(Type.CLOSE, handle), Code.OK)
            self.assertIsNone(self.content("demo/a"))
            self.assertEqual(self.tree.uploads, [])

    def test_a_write_that_can_not_be_read_where_nothing_was_begun_is_told_by_the_close(self) -> None:
        self.tree.put("/demo/a", b"old")
        handle = self.open("/demo/a", Open.WRITE)
        self.assertEqual(self.code(Type.WRITE, handle, b""), Code.BAD_MESSAGE)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.FAILURE)
        self.assertEqual(self.content("demo/a"), b"old")

    def test_a_write_that_fails_by_our_fault_publishes_nothing(self) -> None:
        handle = self.open("/demo/a", Open.WRITE | Open.CREAT)
        self.write(handle, 0, b"ab")

        async def broken(*_: object) -> int:
            raise ZeroDivisionError

        self.patch(type(self.tree.uploads[0]), "receive", broken)
        self.assertEqual(self.write(handle, 2, b"cd"), Code.FAILURE)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.FAILURE)
        self.assertIsNone(self.content("demo/a"))

    def test_without_trunc_a_shorter_file_is_no_replacement(self) -> None:
        self.tree.put("/demo/a", b"a long old file")
        handle = self.open("/demo/a", Open.WRITE | Open.CREAT)
        self.write(handle, 0, b"new")
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OP_UNSUPPORTED)
        self.assertEqual(self.content("demo/a"), b"a long old file")

    def test_unless_the_client_cuts_the_rest_off(self) -> None:
        """As OpenSSH's scp does."""
        self.tree.put("/demo/a", b"a long old file")
        handle = self.open("/demo/a", Open.WRITE | Open.CREAT)
        self.write(handle, 0, b"new")
        self.assertEqual(self.code(Type.FSETSTAT, handle, struct.pack(">LQ", 1, 3)), Code.OK)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.content("demo/a"), b"new")

    def test_an_untouched_handle_changes_nothing(self) -> None:
        self.tree.put("/demo/a", b"old")
        self.assertEqual(self.code(Type.CLOSE, self.open("/demo/a", Open.WRITE | Open.CREAT)), Code.OK)
        self.assertEqual(self.content("demo/a"), b"old")

    def test_the_end_of_the_session_publishes_nothing(self) -> None:
        for lost in (False, True):
            self.begin()
            handle = self.open("/demo/a", CREATE)
            self.write(handle, 0, b"half")
            self.wires.ended, self.wires.lost = True, lost
            self.wires.arrive()
            self.assertIsNone(self.content("demo/a"))
            self.assertEqual(self.tree.uploads, [])
            if lost:
                self.failureResultOf(self.status, ConnectionLost)
            else:
                self.assertEqual(self.successResultOf(self.status), 0)
            self.assertEqual(self.means.sessions, set(), "who comes next would never be alone")

    def test_a_connection_that_ends_during_a_commit_ends_the_session(self) -> None:
        """Nobody can be told of the commit; the other files are given up all the same, and the session is left."""
        first, second = self.open("/demo/a", CREATE), self.open("/demo/b", CREATE)
        self.write(first, 0, b"hello")
        self.write(second, 0, b"half")
        self.tree.hold = Deferred()
        self.assertEqual(self.ask(Type.CLOSE, first), [])
        self.wires.ended = self.wires.lost = True
        self.wires.arrive()
        self.assertNoResult(self.status)
        self.tree.hold.callback(None)
        self.failureResultOf(self.status, ConnectionLost)
        self.assertEqual((self.content("demo/a"), self.content("demo/b")), (b"hello", None))
        self.assertEqual(self.tree.uploads, [])

    def test_what_is_kept_is_seen_by_name_and_gone_on_with(self) -> None:
        """The size that is told lacks a byte, so that nobody takes it for the whole; that byte may come again."""
        anew, append = Open.WRITE | Open.CREAT, Open.WRITE | Open.CREAT | Open.APPEND
        for flags, offset, data, code in (
            (anew, 3, b"f more", Code.OK),
            (anew, 4, b" more", Code.OK),
            (anew, 2, b"lf more", Code.OP_UNSUPPORTED),
            (append, 3, b"f more", Code.OK),
            (append, 4, b" more", Code.OK),
            (append, 0, b" more", Code.OK),
        ):
            self.begin()
            self.write(self.open("/demo/a", CREATE), 0, b"half")
            self.wires.ended = self.wires.lost = True
            self.wires.arrive()
            self.failureResultOf(self.status, ConnectionLost)
            self.open_session()
            self.ask(Type.INIT, struct.pack(">L", 3), number=False)
            kind, body = self.one(Type.STAT, string(b"/demo/a"))
            self.assertEqual((kind, struct.unpack(">LQ", body[:12])[1]), (ATTRS, 3))
            _, folder = self.one(Type.OPENDIR, string(b"/demo"))
            self.assertEqual(self.code(Type.READDIR, folder), Code.EOF)
            self.assertEqual(self.code(Type.OPEN, string(b"/demo/a"), struct.pack(">L", Open.READ), NO_ATTRIBUTES), 2)
            handle = self.open("/demo/a", flags)
            self.assertEqual(self.write(handle, offset, data[:3]), code)
            self.write(handle, offset + 3, data[3:])
            self.code(Type.CLOSE, handle)
            self.assertEqual(self.content("demo/a"), b"half more" if code == Code.OK else None)

    def test_exclusive(self) -> None:
        self.tree.put("/demo/a", b"old")
        self.assertEqual(
            self.code(Type.OPEN, string(b"/demo/a"), struct.pack(">L", CREATE | Open.EXCL), NO_ATTRIBUTES), Code.FAILURE
        )


class WritesInOneStep(Writes):
    """The same, where what is small is put when it is closed."""

    def begin(self) -> None:
        super().begin()
        self.tree.takes_now = True


class SmallWrites(SftpTestCase):
    """What is small is put as a whole when it is closed, where that can be done in one step."""

    def begin(self) -> None:
        super().begin()
        self.tree.takes_now = True

    def begun(self) -> int:
        return len(self.tree.uploads)

    def test_nothing_is_begun_before_the_close(self) -> None:
        handle = self.open("/demo/a", CREATE)
        for offset, data in ((0, b"hel"), (3, b""), (3, b"lo")):
            self.assertEqual(self.write(handle, offset, data), Code.OK)
        self.assertEqual(self.begun(), 0)
        _, body = self.one(Type.FSTAT, handle)
        self.assertEqual(struct.unpack(">LQ", body[:12])[1], 5)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.content("demo/a"), b"hello")
        self.assertEqual([record["Status"] for record in self.portal.sink.of("INH")], ["done"])

    def test_an_empty_file(self) -> None:
        self.assertEqual(self.code(Type.CLOSE, self.open("/demo/a", CREATE)), Code.OK)
        self.assertEqual(self.content("demo/a"), b"")

    def test_what_grows(self) -> None:
        handle, piece = self.open("/demo/a", CREATE), bytes(range(250)) * 20
        for number in range(3):
            self.assertEqual(self.write(handle, number * 5000, piece), Code.OK)
            self.assertEqual(self.begun(), 0)
        self.assertEqual(self.write(handle, 15000, piece), Code.OK)
        self.assertEqual(self.begun(), 1)
        self.assertEqual(self.write(handle, 20000, piece), Code.OK)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.content("demo/a"), piece * 5)

    def test_one_that_is_just_small(self) -> None:
        for size, begun in ((SMALL_FILE - 1, 0), (SMALL_FILE, 1)):
            handle = self.open("/demo/a", CREATE)
            self.assertEqual(self.write(handle, 0, bytes(size)), Code.OK)
            self.assertEqual(self.begun(), begun)
            self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
            self.assertEqual(self.content("demo/a"), bytes(size))

    def test_what_is_refused_by_then_is_told_by_the_close(self) -> None:
        self.tree.put("/demo/a", b"old")
        handle = self.open("/demo/a", CREATE)
        self.assertEqual(self.write(handle, 0, b"new bytes"), Code.OK)
        self.tree.space = 3
        self.assertEqual(self.code(Type.CLOSE, handle), Code.FAILURE)
        self.assertEqual((self.content("demo/a"), self.begun()), (b"old", 0))
        self.assertEqual(self.code(Type.CLOSE, handle), Code.BAD_MESSAGE)

    def test_what_would_be_refused_is_refused_by_the_open(self) -> None:
        self.tree.put("/demo/a", b"x")
        for path in ("/demo", "/demo/a/b", "/none/a", "/"):
            kind, _ = self.one(Type.OPEN, string(path.encode()), struct.pack(">L", CREATE), NO_ATTRIBUTES)
            self.assertEqual(kind, STATUS)
        self.assertEqual(len(self.portal.sink.of("DEA")), 4)

    def test_a_size_that_was_announced(self) -> None:
        for size, code in ((5, Code.OK), (6, Code.FAILURE)):
            handle = self.open(f"/demo/{size}", CREATE)
            self.assertEqual(self.code(Type.FSETSTAT, handle, struct.pack(">LQ", 1, size)), Code.OK)
            self.assertEqual(self.write(handle, 0, b"hello"), Code.OK)
            self.assertEqual(self.code(Type.CLOSE, handle), code)
            self.assertEqual(self.content(f"demo/{size}"), b"hello" if code == Code.OK else None)
        self.assertEqual([record["Status"] for record in self.portal.sink.of("INH")], ["done", "failed"])
        self.assertEqual(self.begun(), 0)

    def test_a_copy_behind_what_was_written(self) -> None:
        self.tree.put("/demo/a", b"hello world")
        source, target = self.open("/demo/a", Open.READ), self.open("/demo/b", CREATE)
        self.write(target, 0, b"say: ")
        parts = (source, struct.pack(">2Q", 0, 0), target, struct.pack(">Q", 5))
        self.assertEqual(self.code(Type.EXTENDED, string(b"copy-data"), *parts), Code.OK)
        self.assertEqual(self.code(Type.CLOSE, target), Code.OK)
        self.assertEqual(self.content("demo/b"), b"say: hello world")

    def test_a_session_that_ends_is_recorded(self) -> None:
        """With nothing written too: it was begun, and never came to be."""
        for data in (b"", b"half"):
            self.begin()
            self.write(self.open("/demo/a", CREATE), 0, data)
            self.wires.ended = self.wires.lost = True
            self.wires.arrive()
            self.failureResultOf(self.status, ConnectionLost)
            records = self.portal.sink.of("INH")
            self.assertEqual([(record["Status"], record["BytesSent"]) for record in records], [("failed", len(data))])

    def test_what_can_t_be_kept_is_no_failure_of_ours(self) -> None:
        self.write(self.open("/demo/a", CREATE), 0, b"half")
        self.tree.broken = Unavailable()
        self.wires.ended = True
        self.wires.arrive()
        self.assertEqual(self.successResultOf(self.status), 0)

    def test_writes_with_more_behind_the_data(self) -> None:
        """Old pkg/sftp sends such packets."""
        handle = self.open("/demo/a", CREATE)
        self.assertEqual(self.code(Type.WRITE, handle, struct.pack(">Q", 0), string(b"hello"), b"beyond"), Code.OK)
        self.assertEqual(self.write(handle, 5, b"!"), Code.OK)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.content("demo/a"), b"hello!")

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.integers(0, 9000), max_size=6),
        st.lists(st.integers(1, 6000), min_size=1, max_size=10),
        st.booleans(),
    )
    def test_however_it_comes(self, sizes: list[int], cuts: list[int], in_one_step: bool) -> None:
        """WRITEs of any sizes, in packets that are cut anywhere."""
        self.tree.takes_now = in_one_step
        handle, wanted, sent = self.open("/demo/a", CREATE), b"", b""
        for number, size in enumerate(sizes):
            data = bytes([number + 1]) * size
            sent += framed(Type.WRITE, struct.pack(">L", 7) + handle + struct.pack(">Q", len(wanted)) + string(data))
            wanted += data
        sent += framed(Type.CLOSE, struct.pack(">L", 7) + handle)
        answers = []
        for cut in [*cuts, len(sent)]:
            piece, sent = sent[:cut], sent[cut:]
            if piece:
                self.wires.arrive(piece)
            answers += packets_of(self.wires.sent)
        self.assertEqual([body[4:8] for _, body in answers], [struct.pack(">L", Code.OK)] * (len(sizes) + 1))
        self.assertEqual(self.content("demo/a"), wanted)


class Copies(SftpTestCase):
    """copy-data, as the command `cp` of OpenSSH's sftp asks for it."""

    def setUp(self) -> None:
        super().setUp()
        self.tree.put("/demo/a", b"hello world")
        self.source, self.target = self.open("/demo/a", Open.READ), self.open("/demo/b", CREATE)

    def copy(self, start: int, length: int, place: int, target: bytes | None = None) -> int:
        parts = (self.source, struct.pack(">2Q", start, length), target or self.target, struct.pack(">Q", place))
        return self.code(Type.EXTENDED, string(b"copy-data"), *parts)

    def check_nothing_is_published(self, code: Code) -> None:
        self.assertEqual(self.code(Type.CLOSE, self.target), code)
        self.assertIsNone(self.content("demo/b"))
        self.assertEqual(self.tree.uploads, [])

    def test_a_whole_file(self) -> None:
        self.assertEqual(self.copy(0, 0, 0), Code.OK)
        self.assertIsNone(self.content("demo/b"))
        self.assertEqual(self.code(Type.CLOSE, self.target), Code.OK)
        self.assertEqual(self.content("demo/b"), b"hello world")

    def test_parts_between_what_is_written(self) -> None:
        self.assertEqual(self.copy(6, 5, 0), Code.OK)
        self.assertEqual(self.write(self.target, 5, b", "), Code.OK)
        self.assertEqual(self.copy(0, 5, 7), Code.OK)
        self.assertEqual(self.copy(11, 0, 12), Code.OK)
        self.code(Type.CLOSE, self.target)
        self.assertEqual(self.content("demo/b"), b"world, hello")

    def test_more_than_there_is(self) -> None:
        for start, length in ((0, 12), (11, 1), (1 << 63, 1)):
            self.assertEqual(self.copy(start, length, 0), Code.BAD_MESSAGE)
        self.check_nothing_is_published(Code.BAD_MESSAGE)

    def test_out_of_order_nothing_is_published(self) -> None:
        self.assertEqual(self.copy(0, 5, 3), Code.OP_UNSUPPORTED)
        self.check_nothing_is_published(Code.OP_UNSUPPORTED)

    def test_what_fails_by_our_fault_publishes_nothing(self) -> None:
        async def broken(*_: object) -> int:
            raise ZeroDivisionError

        self.write(self.target, 0, b"ab")
        self.patch(type(self.tree.uploads[0]), "receive", broken)
        self.assertEqual(self.copy(0, 0, 2), Code.FAILURE)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.check_nothing_is_published(Code.FAILURE)

    def test_handles_of_another_kind(self) -> None:
        self.assertEqual(self.copy(0, 0, 0, self.source), Code.OP_UNSUPPORTED)
        self.assertEqual(self.copy(0, 0, 0, string(b"none")), Code.BAD_MESSAGE)

    def test_one_that_can_not_be_read_publishes_nothing(self) -> None:
        self.write(self.target, 0, b"ab")
        half = (self.source, struct.pack(">2Q", 0, 0), self.target)
        self.assertEqual(self.code(Type.EXTENDED, string(b"copy-data"), *half), Code.BAD_MESSAGE)
        self.assertNotEqual(self.code(Type.CLOSE, self.target), Code.OK)
        self.assertIsNone(self.content("demo/b"))

    def test_one_from_what_is_not_open_publishes_nothing(self) -> None:
        self.write(self.target, 0, b"ab")
        self.source = string(b"none")
        self.assertEqual(self.copy(0, 0, 2), Code.BAD_MESSAGE)
        self.check_nothing_is_published(Code.BAD_MESSAGE)

    def test_one_from_what_is_not_read_publishes_nothing(self) -> None:
        self.source = self.open("/demo/c", CREATE)
        self.assertEqual(self.copy(0, 0, 0), Code.OP_UNSUPPORTED)
        self.assertEqual(self.code(Type.CLOSE, self.target), Code.OP_UNSUPPORTED)
        self.assertIsNone(self.content("demo/b"))


class Reads(SftpTestCase):
    def test_at_any_offset(self) -> None:
        self.tree.put("/demo/a", bytes(range(100)))
        handle = self.open("/demo/a", Open.READ)
        for offset, length, found in ((0, 10, 10), (95, 10, 5), (50, 0, 0)):
            kind, body = self.one(Type.READ, handle, struct.pack(">QL", offset, length))
            self.assertEqual((kind, body[4:]), (DATA, bytes(range(100))[offset : offset + found]))
        for offset in (100, 1 << 63):
            self.assertEqual(self.code(Type.READ, handle, struct.pack(">QL", offset, 1)), Code.EOF)

    def test_what_was_read_is_put_away_with_the_close(self) -> None:
        self.tree.put("/demo/a", b"0123456789")
        handle = self.open("/demo/a", Open.READ)
        self.one(Type.READ, handle, struct.pack(">QL", 2, 5))
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.tree.downloads, [])
        self.assertEqual([record["BytesSent"] for record in self.portal.sink.of("INH")], [5])
        self.assertEqual(self.code(Type.READ, handle, struct.pack(">QL", 2, 5)), Code.BAD_MESSAGE)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.BAD_MESSAGE)

    def test_where_there_is_no_room_an_answer_waits(self) -> None:
        self.tree.put("/demo/a", b"0123456789")
        handle = self.open("/demo/a", Open.READ)
        self.wires.full = True
        kind, body = self.one(Type.READ, handle, struct.pack(">QL", 2, 5))
        self.assertEqual((kind, body[4:]), (DATA, b"23456"))
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)

    def test_the_length_is_capped(self) -> None:
        self.tree.put("/demo/a", bytes(LARGEST_PACKET * 2))
        kind, body = self.one(Type.READ, self.open("/demo/a", Open.READ), struct.pack(">QL", 0, 0xFFFFFFFF))
        self.assertEqual((kind, len(body) - 4), (DATA, LARGEST_PACKET - 1024))

    def test_handles_are_counted(self) -> None:
        self.tree.put("/demo/a", b"x")
        for _ in range(4):
            self.open("/demo/a", Open.READ)
        self.assertEqual(self.code(Type.OPENDIR, string(b"/")), Code.FAILURE)

    def test_a_foreign_handle(self) -> None:
        for type in (Type.CLOSE, Type.FSTAT, Type.READDIR):
            self.assertEqual(self.code(type, string(b"0")), Code.BAD_MESSAGE)


class Names(SftpTestCase):
    def test_paths_resolve_and_stay_below_the_root(self) -> None:
        for said, found in (("", "/"), (".", "/"), ("../..", "/"), ("/demo/../demo/./x", "/demo/x")):
            _, body = self.one(Type.REALPATH, string(said.encode()))
            self.assertEqual(body[4:], string(found.encode()) * 2 + bytes(4))

    def test_renames(self) -> None:
        self.tree.put("/demo/a", b"a")
        self.tree.put("/demo/b", b"b")
        names = string(b"/demo/a") + string(b"/demo/b")
        self.assertEqual(self.code(Type.RENAME, names), Code.FAILURE)
        self.assertEqual(self.content("demo/b"), b"b")
        self.assertEqual(self.code(Type.EXTENDED, string(b"posix-rename@openssh.com"), names), Code.OK)
        self.assertEqual(self.content("demo/b"), b"a")

    def test_links_and_what_is_unknown(self) -> None:
        for type in (Type.SYMLINK, Type.READLINK, 99):
            self.assertEqual(self.code(type, string(b"/demo/a"), string(b"/demo/b")), Code.OP_UNSUPPORTED)
        for name in (b"hardlink@openssh.com", b"lsetstat@openssh.com", b"nonsense"):
            self.assertEqual(self.code(Type.EXTENDED, string(name), string(b"/demo/a")), Code.OP_UNSUPPORTED)

    def test_a_look_at_what_is_not_there_is_no_refusal_on_record(self) -> None:
        for type in (Type.STAT, Type.LSTAT):
            self.assertEqual(self.code(type, string(b"/demo/none")), Code.NO_SUCH_FILE)
        self.assertEqual(self.portal.sink.of("DEA"), [])

    def test_a_name_that_is_not_utf8(self) -> None:
        self.assertEqual(self.code(Type.STAT, string(b"/demo/\xff")), Code.FAILURE)

    def test_every_refusal_has_a_status_of_version_3(self) -> None:
        for refusal in refusals():
            self.assertIn(code_of(refusal()), set(Code))


class Hostile(SftpTestCase):
    def test_lengths_that_no_packet_has(self) -> None:
        for size in (0, LARGEST_PACKET + 1, 0xFFFFFFFF):
            self.begin()
            self.wires.arrive(struct.pack(">L", size))
            self.assertEqual(self.successResultOf(self.status), 1)

    def test_something_else_than_init(self) -> None:
        self.open_session()
        self.wires.arrive(framed(Type.STAT, struct.pack(">L", 1) + string(b"/")))
        self.assertEqual(self.successResultOf(self.status), 1)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=6))
    def test_any_packets(self, requests: list[tuple[int, bytes]]) -> None:
        """Each is answered once, with its own number, or ends the session."""
        self.begin()
        for type, body in requests:
            if self.status.called:
                return
            answers: Any = self.ask(type, body, number=len(body) % 5 != 0)
            if not self.status.called:
                self.assertEqual(len(answers), 1)
        self.assertEqual(self.flushLoggedErrors(), [])


class Closing(SftpTestCase):
    """What follows a CLOSE that waits for its commit."""

    def begin_to_close(self) -> bytes:
        """A second file is open, too."""
        first, second = self.open("/demo/a", CREATE), self.open("/demo/b", CREATE)
        self.write(first, 0, b"hello")
        self.tree.hold = Deferred()
        self.assertEqual(self.ask(Type.CLOSE, first), [])
        self.assertTrue(self.wires.is_busy)
        return second

    def commit(self) -> list[int]:
        hold, self.tree.hold = self.tree.hold, None
        assert hold is not None
        hold.callback(None)
        return [kind for kind, _ in packets_of(self.wires.sent)]

    def test_other_files_go_on(self) -> None:
        second = self.begin_to_close()
        self.assertEqual(self.write(second, 0, b"meanwhile"), Code.OK)
        self.assertEqual(self.one(Type.FSTAT, second)[0], ATTRS)
        self.open("/demo/c", CREATE)
        self.assertEqual(self.commit(), [STATUS])
        self.assertEqual(self.code(Type.CLOSE, second), Code.OK)
        self.assertEqual(self.content("demo/b"), b"meanwhile")

    def test_what_names_a_path_finds_what_was_closed(self) -> None:
        self.begin_to_close()
        self.assertEqual(self.ask(Type.STAT, string(b"/demo/a")), [])
        self.assertEqual(self.commit(), [STATUS, ATTRS])

    def test_the_same_file_opened_again(self) -> None:
        self.begin_to_close()
        self.assertEqual(self.ask(Type.OPEN, string(b"/demo/a") + struct.pack(">L", Open.READ) + NO_ATTRIBUTES), [])
        self.assertEqual(self.commit(), [STATUS, HANDLE])

    def test_a_commit_that_fails_is_told(self) -> None:
        self.begin_to_close()
        hold, self.tree.hold = self.tree.hold, None
        assert hold is not None
        hold.errback(Unavailable())
        ((kind, body),) = packets_of(self.wires.sent)
        self.assertEqual((kind, body[4:8]), (STATUS, struct.pack(">L", Code.FAILURE)))

    def test_the_client_leaves(self) -> None:
        """It has said CLOSE, so the file is published all the same; the session ends after that."""
        self.begin_to_close()
        self.wires.ended = True
        self.wires.arrive()
        self.assertNoResult(self.status)
        self.commit()
        self.assertEqual(self.successResultOf(self.status), 0)
        self.assertEqual(self.content("demo/a"), b"hello")

    def test_owners(self) -> None:
        numbers = string(struct.pack(">2L", 0, 7)) + string(struct.pack(">L", 0))
        kind, body = self.one(Type.EXTENDED, string(b"users-groups-by-id@openssh.com"), numbers)
        self.assertEqual((kind, body), (201, string(string(b"alice") * 2) + string(string(b"alice"))))
