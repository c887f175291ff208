"""Channels that carry bytes for a service, with conch's client at the other end."""

from __future__ import annotations

import struct
from collections.abc import Coroutine, Sequence
from typing import Any

from twisted.conch.ssh.common import NS, getNS
from twisted.internet.defer import Deferred

from ecpds.errors import ConnectionLost
from ecpds.ssh.channels import Session
from ecpds.ssh.streams import PIECES, Asked, Stream, StreamChannel
from ecpds.transports.buffers import BufferPool
from tests.ssh.support import SshTestCase

OPEN, ADJUST, DATA, EOF, CLOSE, REQUEST, SUCCESS, FAILURE = 90, 93, 94, 96, 97, 98, 99, 100
WINDOW = 4096


class StreamCase(SshTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pool = BufferPool(1 << 21)
        self.streams: list[Stream] = []
        self.ended: list[object] = []
        self.log_in()

    def open_channel(self, login: Any, window: int, packet: int) -> Session:
        return StreamChannel(login, self.serve, self.pool, WINDOW, window, packet)

    def serve(self, login: Any, asked: Asked, stream: Stream) -> Coroutine[Any, Any, int] | None:
        self.streams.append(stream)
        return self.work(stream) if asked.text == "go" else None

    async def work(self, stream: Stream) -> int:
        """Give back what comes, as it comes."""
        try:
            while data := await stream.read():
                await stream.write(data)
        except ConnectionLost as failure:
            self.ended.append(failure)
            raise
        self.ended.append(None)
        return 0

    def start(self, window: int = 1 << 20, packet: int = 32768, what: bytes = b"go") -> list[int]:
        self.send(OPEN, NS(b"session") + struct.pack(">3L", 5, window, packet))
        return [message for message, _ in self.send(REQUEST, struct.pack(">L", 0) + NS(b"exec") + b"\1" + NS(what))]

    def data(self, *pieces: bytes) -> bytes:
        """Send each piece as a message, all in one go; what comes back as data."""
        self.client.got = []
        for piece in pieces:
            self.client.sendPacket(DATA, struct.pack(">L", 0) + NS(piece))
        self.pump()
        return self.came()

    def came(self) -> bytes:
        return b"".join(getNS(body[4:])[0] for message, body in self.client.got if message == DATA)

    def messages(self) -> list[int]:
        return [message for message, _ in self.client.got]


class Both(StreamCase):
    def test_what_came_at_once_is_answered_in_one_message(self) -> None:
        self.assertEqual(self.start(), [SUCCESS])
        self.assertEqual(self.data(b"one", b"two", b"three"), b"onetwothree")
        self.assertEqual(self.messages().count(DATA), 1)

    def test_others_are_refused(self) -> None:
        self.assertEqual(self.start(what=b"other"), [FAILURE])

    def test_the_window_is_given_anew_as_it_is_used(self) -> None:
        self.start()
        for _ in range(10):
            self.assertEqual(len(self.data(b"x" * 1000)), 1000)
        self.assertFalse(self.wire.disconnecting)
        self.assertIn(ADJUST, self.messages())

    def test_more_than_the_window(self) -> None:
        self.start()
        self.data(b"x" * (WINDOW + 1))
        self.assertClosed("message 94 can't be read")

    def test_a_length_that_is_not_the_message_s(self) -> None:
        for body in (struct.pack(">2L", 0, 5) + b"four", struct.pack(">2L", 0, 3) + b"four", struct.pack(">L", 0), b""):
            self.connection, self.wire = self.connect()
            self.log_in()
            self.start()
            self.send(DATA, body)
            self.assertClosed("message 94 can't be read")
            self.lose()

    def test_room_that_can_t_be_read(self) -> None:
        for body in (struct.pack(">2L", 7, 5), struct.pack(">L", 0), b""):
            self.connection, self.wire = self.connect()
            self.log_in()
            self.start()
            self.send(ADJUST, body)
            self.assertClosed("message 93 can't be read")
            self.lose()

    def test_the_end(self) -> None:
        self.start()
        self.send(EOF, struct.pack(">L", 0))
        self.assertEqual([message for message in self.messages() if message != ADJUST], [REQUEST, EOF, CLOSE])
        self.assertEqual(self.ended, [None])

    def test_the_connection_ends(self) -> None:
        self.start()
        self.data(b"x")
        self.lose()
        self.assertIsInstance(self.ended[0], ConnectionLost)


class Held(StreamCase):
    """What comes while nobody reads."""

    async def work(self, stream: Stream) -> int:
        self.ended.append(bytes(await stream.read()))
        self.go_on: Deferred[None] = Deferred()
        await self.go_on
        while data := stream.read_now():
            self.ended.append(bytes(data))
        return 0

    def test_a_window_of_single_bytes_is_held_in_few_pieces(self) -> None:
        """Each is three objects, which take hundreds of bytes: a window of 2 MiB of them took 800 MB."""
        self.start()
        sent = bytes(number % 251 for number in range(WINDOW - 1))
        self.data(*(sent[at : at + 1] for at in range(len(sent))))
        self.go_on.callback(None)
        self.assertEqual(b"".join(piece for piece in self.ended if isinstance(piece, bytes)), sent)
        self.assertLessEqual(len(self.ended), PIECES)


class Shown(StreamCase):
    """What comes is shown before it is read, and may be used where it lies."""

    def setUp(self) -> None:
        super().setUp()
        self.most = 1000
        self.shown: list[bytes] = []
        self.read: list[bytes] = []

    async def work(self, stream: Stream) -> int:
        while data := await stream.read(self.use):
            self.read.append(bytes(data))
        return 0

    def use(self, piece: memoryview) -> int:
        self.shown.append(bytes(piece))
        self.assertTrue(self.streams[0].write_now(b"seen"))
        return min(len(piece), self.most)

    def test_what_is_used_is_not_read(self) -> None:
        self.start()
        self.assertEqual(self.data(b"one", b"two"), b"seenseen")
        self.assertEqual(self.messages().count(DATA), 1)
        self.assertEqual((self.shown, self.read), ([b"one", b"two"], []))

    def test_what_is_left_is_read(self) -> None:
        self.start()
        self.most = 2
        self.data(b"one", b"three")
        self.assertEqual(b"".join(self.read), b"ree", "each piece is shown again as long as some of it is used")

    def test_nothing_is_used(self) -> None:
        self.start()
        self.most = 0
        self.data(b"one", b"two")
        self.assertEqual(self.read, [b"one", b"two"])

    def test_the_window_is_given_anew(self) -> None:
        self.start()
        for _ in range(10):
            self.data(b"x" * 1000)
        self.assertEqual((len(self.shown), self.read), (10, []))
        self.assertFalse(self.wire.disconnecting)

    def test_the_end_behind_it(self) -> None:
        self.start()
        self.client.sendPacket(DATA, struct.pack(">L", 0) + NS(b"last"))
        self.send(EOF, struct.pack(">L", 0))
        self.assertEqual((b"".join(self.shown), self.read), (b"last", []))
        self.assertIn(CLOSE, self.messages())


class Afterwards(StreamCase):
    """What the client need not wait for."""

    def setUp(self) -> None:
        super().setUp()
        self.sent: list[int] = []

    async def work(self, stream: Stream) -> int:
        while await stream.read():
            stream.afterwards(lambda: self.sent.append(len(self.wire.value())))
            stream.afterwards(self.fail_there)
            self.assertTrue(stream.write_now(b"answer"))
            stream.afterwards(lambda: self.sent.append(len(self.wire.value())))
        stream.afterwards(lambda: self.sent.append(0))
        return 0

    def fail_there(self) -> None:
        raise ZeroDivisionError

    def test_it_is_done_once_the_answer_has_left(self) -> None:
        self.start()
        self.wire.clear()
        self.client.sendPacket(DATA, struct.pack(">L", 0) + NS(b"x"))
        self.connection.dataReceived(self.client_wire.value())
        self.client_wire.clear()
        self.assertEqual(self.sent, [len(self.wire.value())] * 2)
        self.assertGreater(self.sent[0], len(b"answer"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_it_is_done_at_the_end_too(self) -> None:
        self.start()
        self.send(EOF, struct.pack(">L", 0))
        self.assertEqual(self.sent, [0])


class Slow(StreamCase):
    """A client that gives little room."""

    async def work(self, stream: Stream) -> int:
        self.stream = stream
        await stream.read()
        await stream.write(b"abcdefghij")
        self.ended.append("written")
        return 0

    def test_a_write_waits_for_room(self) -> None:
        self.start(window=4)
        self.assertEqual(self.data(b"x"), b"abcd")
        self.assertEqual(self.ended, [])
        self.send(ADJUST, struct.pack(">2L", 0, 3))
        self.assertEqual(self.came(), b"efg")
        self.send(ADJUST, struct.pack(">2L", 0, 100))
        self.assertEqual(self.came(), b"hij")
        self.assertEqual(self.ended, ["written"])

    def test_a_client_that_closes_ends_the_wait(self) -> None:
        self.start(window=4)
        self.data(b"x")
        self.send(CLOSE, struct.pack(">L", 0))
        self.assertEqual(self.ended, [])
        self.assertEqual(len(self.connection.service.channels), 0)


class Bulk(StreamCase):
    CONTENT = bytes(range(256)) * 800

    async def work(self, stream: Stream) -> int:
        await stream.read()
        await stream.send(b"head", len(self.CONTENT), self.fill)
        return 0

    async def fill(self, offset: int, views: Sequence[memoryview]) -> None:
        for view in views:
            view[:] = self.CONTENT[offset : offset + len(view)]
            offset += len(view)

    def test_it_arrives_and_the_buffers_come_back(self) -> None:
        self.start()
        self.assertEqual(self.data(b"x"), b"head" + self.CONTENT)
        self.assertEqual(self.pool.lent, 0)

    def test_in_small_windows(self) -> None:
        self.start(window=5000, packet=1000)
        found = self.data(b"x")
        self.assertEqual(len(found), 5000)
        while len(found) < len(self.CONTENT) + 4:
            self.send(ADJUST, struct.pack(">2L", 0, 7777))
            found += self.came()
        self.assertEqual(found, b"head" + self.CONTENT)
        self.assertEqual(self.pool.lent, 0)

    def test_new_keys_while_it_is_being_filled(self) -> None:
        """The keys must be those of the moment in which it is sent."""
        filling: Deferred[None] = Deferred()
        fill = self.fill

        async def slowly(offset: int, views: Sequence[memoryview]) -> None:
            if not offset:
                await filling
            await fill(offset, views)

        self.fill = slowly  # type: ignore[method-assign]
        self.start()
        self.assertEqual(self.data(b"x"), b"")
        self.connection.sendKexInit()
        filling.callback(None)
        self.assertTrue(self.connection.blocked)
        self.client.got = []
        self.pump()
        self.assertEqual(self.came(), b"head" + self.CONTENT)
        self.assertEqual(self.pool.lent, 0)

    def test_a_failure_gives_the_buffer_back(self) -> None:
        async def fail(offset: int, views: Sequence[memoryview]) -> None:
            raise ConnectionLost

        self.fill = fail  # type: ignore[method-assign]
        self.start()
        self.data(b"x")
        self.assertEqual(self.pool.lent, 0)

    def test_while_the_client_does_not_read_the_buffer_is_kept(self) -> None:
        self.start()
        write = self.wire.write

        def full(data: bytes | memoryview) -> None:
            write(bytes(data))
            self.connection.pauseProducing()

        self.patch(self.wire, "write", full)
        self.data(b"x")
        self.assertGreater(self.pool.lent, 0)
        self.connection.resumeProducing()
        self.assertEqual(self.pool.lent, 0)


class Lumps(StreamCase):
    """Answers to a client with a window of 80,000 bytes, an eighth of which is worth waiting for."""

    CONTENT = bytes(200_000)

    async def work(self, stream: Stream) -> int:
        while await stream.read():
            await stream.send(b"head", len(self.CONTENT), self.fill)
        return 0

    async def fill(self, offset: int, views: Sequence[memoryview]) -> None:
        for view in views:
            view[:] = bytes(len(view))

    def adjust(self, size: int) -> int:
        """Give room for `size` bytes; how many come."""
        self.client.got = []
        self.client.sendPacket(ADJUST, struct.pack(">2L", 0, size))
        self.pump()
        return len(self.came())

    def test_a_client_that_gives_room_early_is_answered_in_lumps(self) -> None:
        self.CONTENT = bytes(10_000)
        self.start(window=80_000)
        self.assertEqual(len(self.data(b"x")), 10_004)
        self.assertEqual(self.adjust(10_004), 0)
        self.CONTENT = bytes(120_000)
        self.assertEqual(len(self.data(b"x")), 80_000)
        self.assertEqual([self.adjust(3_000) for _ in range(5)], [0, 0, 0, 12_000, 0])
        self.assertEqual(self.adjust(7_000), 10_000)

    def test_the_end_of_an_answer_is_not_kept_waiting(self) -> None:
        self.test_a_client_that_gives_room_early_is_answered_in_lumps()
        self.assertEqual([self.adjust(9_999), self.adjust(1)], [0, 10_000])
        self.assertEqual([self.adjust(8_000), self.adjust(4), self.adjust(1)], [0, 8_004, 0])

    def test_a_client_that_gives_room_when_there_is_none_gets_all_of_it(self) -> None:
        self.start(window=80_000)
        self.assertEqual(len(self.data(b"x")), 80_000)
        self.assertEqual([self.adjust(1), self.adjust(3_000), self.adjust(50)], [1, 3_000, 50])

    def test_so_does_one_that_made_its_window_larger_before(self) -> None:
        self.start(window=1_000)
        self.assertEqual(self.adjust(79_000), 0)
        self.assertEqual(len(self.data(b"x")), 80_000)
        self.assertEqual([self.adjust(1), self.adjust(3_000)], [1, 3_000])
