"""Requests of small files that are answered where they lie, and what of them goes the long way."""

from __future__ import annotations

import struct
from collections.abc import Coroutine
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from ecpds.errors import NoSpace
from ecpds.limits import Limits
from ecpds.model import Origin
from ecpds.protocols.scp import copy
from ecpds.protocols.sftp import SftpMeans, SftpSession
from ecpds.protocols.sftp_packets import Code, Open, Type, string
from ecpds.ssh.streams import Asked, Stream
from tests.doubles.files import MemoryFileSystem
from tests.doubles.portal import MemoryPortal, make_identity
from tests.protocols.test_sftp import CREATE, DATA, HANDLE, NO_ATTRIBUTES, STATUS, SftpTestCase, framed, never, packets_of
from tests.ssh.support import AT_ONCE
from tests.ssh.test_streams import StreamCase

NUMBER = struct.pack(">L", 7)


class AtOnceCase(SftpTestCase):
    def begin(self) -> None:
        super().begin()
        self.tree.takes_now = True
        self.long: list[int] = []
        self.patch(SftpSession, "_answer", self.counted(SftpSession._answer))

    def counted(self, answer):  # type: ignore[no-untyped-def]
        def count(session, packet, reader):  # type: ignore[no-untyped-def]
            self.long.append(packet[0])
            return answer(session, packet, reader)

        return count


class AtOnce(AtOnceCase):
    def test_a_small_file_both_ways(self) -> None:
        handle = self.open("/demo/a", CREATE)
        self.assertEqual(self.write(handle, 0, b"hello"), Code.OK)
        self.assertIsNone(self.content("demo/a"))
        self.assertTrue(self.wires.is_busy)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.content("demo/a"), b"hello")
        self.assertFalse(self.wires.is_busy)
        handle = self.open("/demo/a", Open.READ)
        kind, body = self.one(Type.READ, handle, struct.pack(">QL", 1, 100))
        self.assertEqual((kind, body[4:]), (DATA, b"ello"))
        self.assertEqual(self.code(Type.READ, handle, struct.pack(">QL", 5, 100)), Code.EOF)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertFalse(self.wires.is_busy)
        self.assertEqual(self.long, [])
        self.assertEqual([record["Status"] for record in self.portal.sink.of("INH")], ["done", "done"])

    def test_all_that_came_in_one_piece(self) -> None:
        """With what goes the long way between, and the end behind it."""
        self.tree.put("/demo/a", b"hello")
        handle = self.open("/demo/a", Open.READ)
        read = framed(Type.READ, NUMBER + handle + struct.pack(">QL", 0, 5))
        stat = framed(Type.STAT, NUMBER + string(b"/demo/a"))
        close = framed(Type.CLOSE, NUMBER + handle)
        self.wires.ended = True
        self.wires.arrive(read + stat + read + close)
        self.assertEqual([kind for kind, _ in packets_of(self.wires.sent)], [DATA, 105, DATA, STATUS])
        self.assertEqual(self.long, [Type.STAT])
        self.assertEqual(self.successResultOf(self.status), 0)

    def test_a_commit_that_waits(self) -> None:
        handle = self.open("/demo/a", CREATE)
        self.write(handle, 0, b"hello")
        self.tree.hold = Deferred()
        self.assertEqual(self.ask(Type.CLOSE, handle), [])
        self.tree.hold.callback(None)
        self.assertEqual([kind for kind, _ in packets_of(self.wires.sent)], [STATUS])
        self.assertEqual((self.content("demo/a"), self.long), (b"hello", []))

    def test_times_are_kept(self) -> None:
        times = struct.pack(">3L", 8, 5, 1_600_000_000)
        kind, handle = self.one(Type.OPEN, string(b"/demo/a"), struct.pack(">L", CREATE), times)
        self.assertEqual(kind, HANDLE)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.long, [])
        self.assertEqual(self.tree.files["demo", "a"].mtime, 1_600_000_000)

    def test_what_comes_alone_is_committed_by_itself(self) -> None:
        """And what comes beside another session's files with those: nobody is told before."""
        for others, by_itself in (((), True), ((object(),), False)):
            self.means.sessions.update(others)
            handle = self.open("/demo/a", CREATE)
            self.write(handle, 0, b"hello")
            put: list[str] = []
            for name in ("put_now", "write_whole"):
                self.patch(type(self.files), name, self.noted(put, name))
            self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
            self.assertEqual((put[0], self.long), ("put_now" if by_itself else "write_whole", []))
            self.assertFalse(self.wires.is_busy)
            self.assertEqual(self.content("demo/a"), b"hello")

    def noted(self, calls: list[str], name: str) -> Any:
        way = getattr(type(self.files), name)

        def note(*words: Any) -> Any:
            calls.append(name)
            return way(*words)

        return note

    def test_an_answer_that_has_to_wait(self) -> None:
        """What comes behind it waits too."""
        self.tree.put("/demo/a", b"hello")
        handle = self.open("/demo/a", Open.READ)
        room: Deferred[None] = Deferred()
        sent: list[bytes] = []

        async def write(data: bytes | memoryview) -> None:
            await room
            sent.append(bytes(data[9:10]))

        self.wires.full = True
        self.patch(self.wires, "write", write)
        read = framed(Type.READ, NUMBER + handle + struct.pack(">QL", 0, 5))
        self.wires.ended = True
        self.wires.arrive(read + framed(Type.CLOSE, NUMBER + handle))
        self.assertEqual((sent, self.long), ([], [Type.CLOSE]))
        self.assertNoResult(self.status)
        room.callback(None)
        self.assertEqual(len(sent), 2)
        self.assertEqual(self.successResultOf(self.status), 0)


class Refused(AtOnceCase):
    def test_by_the_commit(self) -> None:
        handle = self.open("/demo/a", CREATE)
        self.write(handle, 0, b"hello")
        self.tree.broken = NoSpace()
        self.assertEqual(self.code(Type.CLOSE, handle), Code.FAILURE)
        self.tree.broken = None
        self.assertEqual(self.code(Type.CLOSE, handle), Code.BAD_MESSAGE, "the handle has gone")
        self.assertEqual((self.tree.uploads, dict(self.tree.files)), ([], {}))
        self.assertFalse(self.wires.is_busy)

    def test_what_fails_is_told_and_ends_nothing(self) -> None:
        def broken(*_: object) -> bool:
            raise ZeroDivisionError

        self.patch(MemoryFileSystem, "takes_now", broken)
        code = self.code(Type.OPEN, string(b"/demo/a"), struct.pack(">L", CREATE), NO_ATTRIBUTES)
        self.assertEqual(code, Code.FAILURE)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNoResult(self.status)

    def test_what_can_not_be_read(self) -> None:
        self.assertEqual(self.code(Type.OPEN, string(b"/demo/a")), Code.BAD_MESSAGE)
        self.assertEqual(self.code(Type.OPEN, string(b"\xff"), struct.pack(">L", CREATE), NO_ATTRIBUTES), Code.FAILURE)
        for type in (Type.READ, Type.WRITE, Type.CLOSE):
            self.assertEqual(self.code(type, string(b"none")), Code.BAD_MESSAGE)

    def test_a_packet_without_a_number(self) -> None:
        self.wires.arrive(framed(Type.OPEN, b"\0\0"))
        self.assertEqual(self.successResultOf(self.status), 1)

    def test_before_the_version(self) -> None:
        self.tree.put("/demo/a", b"hello")
        self.open_session()
        self.wires.arrive(framed(Type.OPEN, NUMBER + string(b"/demo/a") + struct.pack(">L", Open.READ) + NO_ATTRIBUTES))
        self.assertEqual(self.successResultOf(self.status), 1)
        self.assertEqual(self.wires.sent, b"")

    def test_too_many(self) -> None:
        for number in range(4):
            self.open(f"/demo/{number}", CREATE)
        code = self.code(Type.OPEN, string(b"/demo/a"), struct.pack(">L", CREATE), NO_ATTRIBUTES)
        self.assertEqual((code, self.long), (Code.FAILURE, [Type.OPEN]))


NAMES = st.sampled_from((b"/demo/a", b"/demo/b", b"/demo/none/c", b"/demo", b"/demo/../x"))
FLAGS = st.sampled_from(
    (CREATE, CREATE, Open.READ, Open.READ, CREATE | Open.EXCL, Open.WRITE | Open.CREAT, Open.WRITE | Open.APPEND)
)
WHICH = st.integers(0, 3)
REQUESTS = st.one_of(
    st.builds(lambda name, flags: (Type.OPEN, None, string(name) + struct.pack(">LL", flags, 0)), NAMES, FLAGS),
    st.builds(lambda name, type: (type, None, string(name)), NAMES, st.sampled_from((Type.STAT, Type.REMOVE))),
    st.builds(
        lambda which, offset, size: (Type.WRITE, which, struct.pack(">Q", offset) + string(bytes([size % 256]) * size)),
        WHICH,
        st.sampled_from((0, 0, 0, 5, 9000)),
        st.sampled_from((0, 5, 5, 9000)),
    ),
    st.builds(
        lambda which, offset, size: (Type.READ, which, struct.pack(">QL", offset, size)),
        WHICH,
        st.integers(0, 10),
        st.integers(0, 20000),
    ),
    st.builds(lambda which, type: (type, which, b""), WHICH, st.sampled_from((Type.CLOSE, Type.CLOSE, Type.FSTAT))),
    st.builds(lambda which: (Type.FSETSTAT, which, struct.pack(">3L", 8, 5, 1_600_000_000)), WHICH),
)
"""A type, the number of the handle that it is of, and what follows."""


class AsTheLongWay(SftpTestCase):
    def answers(self, at_once: bool, requests: list[tuple[int, int | None, bytes]]) -> tuple[object, ...]:
        """What is answered, what is there then, and what is on record."""
        self.begin()
        self.tree.takes_now = at_once
        handles, said = [string(b"none")], []
        for type, which, rest in requests:
            handle = b"" if which is None else handles[which % len(handles)]
            [(kind, body)] = self.ask(type, handle + rest)
            said.append((kind, body))
            if kind == HANDLE:
                handles.append(body[4:])
        content = {name: self.tree.contents[file.id] for name, file in self.tree.files.items()}
        records = [[record["Status"] for record in self.portal.sink.of("INH")], len(self.portal.sink.of("DEA"))]
        return said, content, {name: file.mtime for name, file in self.tree.files.items()}, records

    @settings(max_examples=300, deadline=None)
    @given(st.lists(REQUESTS, max_size=14))
    def test_whatever_is_asked(self, requests: list[tuple[int, int | None, bytes]]) -> None:
        self.assertEqual(self.answers(True, requests), self.answers(False, requests))


class WhenTheNodeEnds(StreamCase):
    """What is under way is let end, and its client is told so."""

    def setUp(self) -> None:
        super().setUp()
        self.portal = MemoryPortal({"alice": ("pw", make_identity())})
        login = self.portal.login("alice", "pw", Origin("sftp", "192.0.2.7"))
        self.files = self.successResultOf(Deferred.fromCoroutine(login))

    def serve(self, login: Any, asked: Asked, stream: Stream) -> Coroutine[Any, Any, int] | None:
        means = SftpMeans(Limits(), Random(1), lambda: 1.7e9, never, self.pool, AT_ONCE)
        if asked.text == "scp":
            return copy(self.files, stream, ["-t", "/demo/a"], means)
        return SftpSession(self.files, stream, means).run()

    def last(self, data: bytes) -> bytes:
        """What is answered to the last that was under way when the node ended."""
        self.connection.finish()
        self.assertFalse(self.wire.disconnecting)
        answer = self.data(data)
        self.assertTrue(self.wire.disconnecting)
        self.assertEqual(self.portal.tree.read("/demo/a"), b"hello")
        return answer

    def ask(self, type: int, *parts: bytes) -> list[tuple[int, bytes]]:
        return packets_of(bytearray(self.data(framed(type, NUMBER + b"".join(parts)))))

    def close_the_last(self) -> None:
        self.start()
        self.data(framed(Type.INIT, struct.pack(">L", 3)))
        [(_, body)] = self.ask(Type.OPEN, string(b"/demo/a"), struct.pack(">L", CREATE), NO_ATTRIBUTES)
        self.ask(Type.WRITE, body[4:], struct.pack(">Q", 0), string(b"hello"))
        self.assertEqual(self.last(framed(Type.CLOSE, NUMBER + body[4:]))[4], STATUS)

    def test_a_close_that_is_answered_at_once(self) -> None:
        self.portal.tree.takes_now = True
        self.close_the_last()

    def test_one_that_goes_the_long_way(self) -> None:
        self.close_the_last()

    def test_scp(self) -> None:
        self.start(what=b"scp")
        self.data(b"C0644 5 a\nhel")
        self.assertEqual(self.last(b"lo\0"), b"\0")
