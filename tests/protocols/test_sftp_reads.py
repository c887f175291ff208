"""READs that come together: each is answered with its own bytes, in its turn, however many are served as one."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from ecpds.errors import ConnectionLost, Unavailable
from ecpds.protocols.sftp_packets import LARGEST_DATA, Code, Open, Type
from ecpds.protocols.sftp_reads import RUN
from tests.doubles.files import MemoryDownload
from tests.protocols.test_sftp import DATA, STATUS, SftpTestCase, framed, packets_of

SIZE = 5 * LARGEST_DATA + 1000
CONTENT = bytes(range(251)) * (SIZE // 251 + 1)


class Together(SftpTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.tree.put("/demo/a", CONTENT[:SIZE])
        self.handle = self.open("/demo/a", Open.READ)
        self.asked: list[int] = []
        self.patch(MemoryDownload, "send", self.counted(MemoryDownload.send))

    def counted(self, send):  # type: ignore[no-untyped-def]
        def count(download, sink, offset=0, length=None):  # type: ignore[no-untyped-def]
            self.asked.append(length)
            return send(download, sink, offset, length)

        return count

    def read(self, number: int, offset: int, length: int, handle: bytes | None = None) -> bytes:
        fields = (struct.pack(">L", number), handle or self.handle, struct.pack(">QL", offset, length))
        return framed(Type.READ, b"".join(fields))

    def answers(self, *requests: bytes) -> list[tuple[int, int, bytes]]:
        """To requests that come in one piece: type, number, and data or status."""
        self.wires.arrive(b"".join(requests))
        return [
            (kind, int.from_bytes(body[:4], "big"), body[8:] if kind == DATA else body[4:8])
            for kind, body in packets_of(self.wires.sent)
        ]

    def test_one_behind_the_other_are_read_as_one(self) -> None:
        reads = [self.read(number, number * 1000, 1000) for number in range(9)]
        found = self.answers(*reads)
        self.assertEqual(found, [(DATA, number, CONTENT[number * 1000 :][:1000]) for number in range(9)])
        self.assertEqual(self.asked, [9000])

    def test_no_more_at_once_than_a_run(self) -> None:
        reads = [self.read(number, number * LARGEST_DATA, LARGEST_DATA + 1) for number in range(6)]
        found = self.answers(*reads)
        self.assertEqual(b"".join(data for _, _, data in found), CONTENT[:SIZE])
        self.assertEqual([len(data) for _, _, data in found], [LARGEST_DATA] * 5 + [1000])
        self.assertLessEqual(max(self.asked), RUN)

    def test_what_is_behind_the_end(self) -> None:
        eof = struct.pack(">L", Code.EOF)
        found = self.answers(self.read(1, SIZE - 10, 10), self.read(2, SIZE, 10), self.read(3, SIZE - 10, 20))
        self.assertEqual(found, [(DATA, 1, CONTENT[SIZE - 10 : SIZE]), (STATUS, 2, eof), (DATA, 3, CONTENT[SIZE - 10 : SIZE])])

    def test_a_handle_that_there_is_not(self) -> None:
        bad = struct.pack(">L", Code.BAD_MESSAGE)
        found = self.answers(self.read(1, 0, 10), self.read(2, 10, 10, struct.pack(">L", 16) + bytes(16)), self.read(3, 20, 10))
        self.assertEqual(found, [(DATA, 1, CONTENT[:10]), (STATUS, 2, bad), (DATA, 3, CONTENT[20:30])])

    def test_a_directory(self) -> None:
        _, body = self.one(Type.OPENDIR, struct.pack(">L", 5) + b"/demo")
        unsupported = struct.pack(">L", Code.OP_UNSUPPORTED)
        self.assertEqual(self.answers(self.read(1, 0, 10, body)), [(STATUS, 1, unsupported)])

    def test_where_the_file_can_t_be_read_each_is_told(self) -> None:
        async def refuse(*arguments: object) -> None:
            raise Unavailable("no copy can be read")

        self.patch(MemoryDownload, "send", refuse)
        failure = struct.pack(">L", Code.FAILURE)
        found = self.answers(*(self.read(number, number * 10, 10) for number in range(3)))
        self.assertEqual(found, [(STATUS, number, failure) for number in range(3)])

    def test_what_breaks_off_in_an_answer_ends_the_session(self) -> None:
        """What came behind it would be taken for the rest of its bytes."""
        self.tree.downloads[0].damaged = True
        self.wires.arrive(self.read(1, 0, 900) + self.read(2, 900, 1000))
        self.failureResultOf(self.status, ConnectionLost)

    def test_what_should_not_happen_ends_the_session(self) -> None:
        async def fail(*arguments: object) -> None:
            raise ZeroDivisionError

        self.patch(MemoryDownload, "send", fail)
        self.wires.arrive(self.read(1, 0, 900) + self.read(2, 900, 1000))
        self.failureResultOf(self.status, ConnectionLost)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_breaks_off_between_answers_is_told(self) -> None:
        self.tree.downloads[0].damaged = True
        found = self.answers(self.read(1, 0, 900), self.read(2, 900, 900))
        self.assertEqual(found, [(DATA, 1, CONTENT[:900]), (STATUS, 2, struct.pack(">L", Code.FAILURE))])

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40_000), st.integers(0, 300_000)), max_size=12),
        st.lists(st.integers(1, 400), max_size=12),
    )
    def test_however_they_come(self, jumps: list[tuple[int, int, int]], cuts: list[int]) -> None:
        """Some go on where the one before ended, and some don't; packets are cut anywhere."""
        place, reads, wanted = 0, b"", []
        for number, (goes_on, offset, length) in enumerate(jumps):
            place = place if goes_on else offset * 50
            reads += self.read(number, place, length)
            data = CONTENT[place : min(place + min(length, LARGEST_DATA), SIZE)]
            is_end = place >= SIZE and length > 0
            wanted.append((STATUS, number, struct.pack(">L", Code.EOF)) if is_end else (DATA, number, data))
            place += length
        found = []
        for cut in [*cuts, len(reads)]:
            piece, reads = reads[:cut], reads[cut:]
            found += self.answers(piece) if piece else []
        self.assertEqual(found, wanted)

    def test_a_file_that_was_closed_by_its_commit_answers_in_its_turn(self) -> None:
        """The answer to a CLOSE that waits comes between two answers, and not into one."""
        written = self.open("/demo/b", Open.WRITE | Open.CREAT | Open.TRUNC)
        self.write(written, 0, b"hello")
        self.tree.hold = Deferred()
        close = framed(Type.CLOSE, struct.pack(">L", 9) + written)
        found = self.answers(close, self.read(1, 0, 5000), self.read(2, 5000, 5000))
        self.assertEqual([number for _, number, _ in found], [1, 2])
        self.tree.hold.callback(None)
        self.assertEqual([kind for kind, _ in packets_of(self.wires.sent)], [STATUS])
