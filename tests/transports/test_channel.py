"""Channels, plain and TLS: every byte, held back as the peer is slow, and every way to end."""

from __future__ import annotations

import os
import socket
import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReadWriteDescriptor
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost, Corrupt, Stalled
from ecpds.interfaces import IChannel, IPromptChannel
from ecpds.transports import channel as channel_module
from ecpds.transports import turns
from ecpds.transports.farewell import LINGER_BYTES, LINGER_TIME
from ecpds.transports.making import make_channel
from tests.transports.pump import ChannelCase, server_context

CONTENT = os.urandom(1_300_007)


class Both:
    """What plain and TLS channels have in common."""

    def setUp(self: Any) -> None:
        super().setUp()
        self.file = tempfile.TemporaryFile()
        self.addCleanup(self.file.close)
        self.file.write(CONTENT)
        self.file.flush()

    def test_provides(self: Any) -> None:
        channel, _ = self.pair()
        verifyObject(IChannel, channel)
        verifyObject(IReadWriteDescriptor, channel)

    def test_says_who_and_how(self: Any) -> None:
        channel, _ = self.pair()
        self.assertEqual((channel.peer, channel.secure), ("198.51.100.7", self.tls))

    def test_both_ways_at_once(self: Any) -> None:
        here, there = self.channels()
        readers = [self.begin(self.read_all(channel)) for channel in (here, there)]
        writers = [self.begin(here.write(CONTENT)), self.begin(there.write(memoryview(CONTENT)[::1]))]
        for each in writers:
            self.finish(each)
        ends = [self.begin(channel.finish()) for channel in (here, there)]
        for each in ends:
            self.finish(each)
        # Who says its end stops reading, so both ends come when all is there, or the reader is told.
        for reader in readers:
            self.reactor.until(lambda reader=reader: reader.called)
            reader.addErrback(lambda failure: failure.trap(ConnectionLost))

    def test_upload(self: Any) -> None:
        here, there = self.channels()
        reader = self.begin(self.read_all(here))
        self.finish(there.write(CONTENT))
        self.finish(there.finish())
        self.assertEqual(self.finish(reader), CONTENT)
        self.finish(here.finish())
        self.reactor.until(lambda: len(self.gone) == 2)
        self.assertEqual(self.reactor.removeAll(), [])

    def test_a_file_by_spans(self: Any) -> None:
        here, there = self.channels()
        reader = self.begin(self.read_all(there, 4000))

        async def send() -> None:
            for offset, length in ((0, 1), (1, 500_000), (500_001, 0), (500_001, len(CONTENT) - 500_001)):
                await here.send_file(self.file.fileno(), offset, length)
            await here.finish()

        self.finish(send())
        self.assertEqual(self.finish(reader), CONTENT)
        self.assertEqual(self.around.pool.lent, 0)

    def test_a_file_that_is_shorter(self: Any) -> None:
        here, there = self.channels()
        reader = self.begin(self.read_all(there))
        self.refuse(here.send_file(self.file.fileno(), 1_000_000, 400_000), Corrupt)
        here.abort()
        self.refuse(reader, ConnectionLost) if self.tls else self.finish(reader)
        self.assertEqual(self.around.pool.lent, 0)

    def test_a_peer_that_does_not_read_holds_the_writer(self: Any) -> None:
        here, there = self.channels()
        writer = self.begin(here.write(CONTENT))
        self.reactor.until(lambda: not here_is_ready(here), 50)
        self.assertNoResult(writer)
        reader = self.begin(self.read_all(there))
        self.finish(writer)
        self.finish(here.finish())
        self.assertEqual(self.finish(reader), CONTENT)

    def test_a_write_that_waits_goes_on_when_many_have_become_busy(self: Any) -> None:
        """Each has a smaller share then, but OpenSSL wants to be given again all that it was given before."""
        here, there = self.channels()
        writer = self.begin(here.write(CONTENT))
        self.reactor.until(lambda: not here_is_ready(here), 50)
        self.make_busy(100)
        reader = self.begin(self.read_all(there))
        self.finish(writer)
        self.finish(here.finish())
        self.assertEqual(self.finish(reader), CONTENT)

    def test_a_file_that_waits_goes_on_when_many_have_become_busy(self: Any) -> None:
        here, there = self.channels()
        sender = self.begin(here.send_file(self.file.fileno(), 0, len(CONTENT)))
        for _ in range(20):
            self.reactor.turn()
        self.assertNoResult(sender)
        self.make_busy(100)
        reader = self.begin(self.read_all(there))
        self.finish(sender)
        self.finish(here.finish())
        self.assertEqual(self.finish(reader), CONTENT)

    def make_busy(self: Any, count: int) -> None:
        for _ in range(count):
            self.around.turns.moved(object(), turns.LEAST)

    def test_a_slow_download_holds_no_buffer(self: Any) -> None:
        here, _ = self.channels()
        sender = self.begin(here.send_file(self.file.fileno(), 0, len(CONTENT)))
        for _ in range(20):
            self.reactor.turn()
        self.assertNoResult(sender)
        self.assertEqual(self.around.pool.lent, 0)
        here.abort()
        self.refuse(sender, ConnectionLost)

    def test_a_peer_that_never_reads_is_given_up(self: Any) -> None:
        here, _ = self.channels()
        sender = self.begin(here.send_file(self.file.fileno(), 0, len(CONTENT)))
        for _ in range(20):
            self.reactor.turn()
        self.reactor.pump([1] * 59)
        self.assertNoResult(sender)
        self.reactor.pump([1] * 3)
        self.refuse(sender, Stalled)
        self.assertIn(here, self.gone)

    def test_a_peer_that_never_sends_is_given_up(self: Any) -> None:
        here, _ = self.channels()
        reader = self.begin(self.read_all(here))
        self.reactor.pump([1] * 62)
        self.refuse(reader, Stalled)

    def test_progress_pushes_back(self: Any) -> None:
        here, there = self.channels()
        reader = self.begin(self.read_all(here))
        for _ in range(5):
            self.reactor.pump([1] * 50)
            self.finish(there.write(b"x"))
            self.reactor.turn()
        self.assertNoResult(reader)
        self.finish(there.finish())
        self.assertEqual(self.finish(reader), b"xxxxx")

    def test_nothing_is_timed_while_nothing_is_waited_for(self: Any) -> None:
        here, there = self.channels()
        self.finish(there.write(b"x"))
        self.finish(here.read_into(memoryview(bytearray(1))))
        self.reactor.pump([1] * 500)
        self.finish(there.write(b"y"))
        self.assertEqual(self.finish(here.read_into(memoryview(bytearray(1)))), 1)

    def test_patience_can_be_changed(self: Any) -> None:
        here, _ = self.channels()
        here.patience = 200.0
        reader = self.begin(self.read_all(here))
        self.reactor.pump([1] * 190)
        self.assertNoResult(reader)
        self.reactor.pump([1] * 20)
        self.refuse(reader, Stalled)

    def test_patience_without_an_end(self: Any) -> None:
        here, there = self.channels()
        here.patience = float("inf")
        waiter = self.begin(here.readable())
        self.reactor.pump([100] * 100)
        self.assertNoResult(waiter)
        self.finish(there.write(b"x"))
        self.finish(waiter)
        here.patience = 30.0
        reader = self.begin(here.read_into(memoryview(bytearray(1))))
        self.assertEqual(self.finish(reader), 1)
        reader = self.begin(self.read_all(here))
        self.reactor.pump([1] * 40)
        self.refuse(reader, Stalled)

    def test_to_wait_for_bytes_takes_none(self: Any) -> None:
        here, there = self.channels()
        waiter = self.begin(here.readable())
        self.reactor.turn()
        self.assertNoResult(waiter)
        self.finish(there.write(b"abc"))
        self.finish(waiter)
        view = memoryview(bytearray(2))
        self.assertEqual((self.finish(here.read_into(view)), bytes(view)), (2, b"ab"))
        # Under TLS the last byte is here already, and the socket will not tell of it.
        self.finish(here.readable())
        self.assertEqual((self.finish(here.read_into(view)), bytes(view[:1])), (1, b"c"))
        end = self.begin(there.finish())
        self.finish(here.readable())
        self.assertEqual(self.finish(here.read_into(view)), 0)
        self.finish(here.finish())
        self.finish(end)

    def test_what_nobody_waits_for_is_told_of_once(self: Any) -> None:
        here, there = self.channels()
        view = memoryview(bytearray(1))
        reader = self.begin(here.read_into(view))
        self.finish(there.write(b"a"))
        self.finish(reader)
        self.assertIn(here, self.reactor.getReaders())
        self.finish(there.write(b"b"))
        self.reactor.until(lambda: here not in self.reactor.getReaders())
        self.finish(here.read_into(view))
        self.assertEqual(bytes(view), b"b")

    def test_what_is_short_is_answered_without_waking_who_waits(self: Any) -> None:
        here, there = self.channels()
        verifyObject(IPromptChannel, here)
        view = memoryview(bytearray(100))
        tried: list[bytes] = []

        def attempt() -> bool:
            tried.append(bytes(view[: here.receive(view)]))
            return tried[-1] != b"last" and here.send(b"<" + tried[-1]) == len(tried[-1]) + 1

        waiter = self.begin(here.attend(attempt))
        answer = memoryview(bytearray(100))
        for word in (b"one", b"two"):
            self.finish(there.write(word))
            count = self.finish(there.read_into(answer))
            self.assertEqual(bytes(answer[:count]), b"<" + word)
            self.assertNoResult(waiter)
        self.finish(there.write(b"last"))
        self.finish(waiter)
        self.assertEqual([each for each in tried if each], [b"one", b"two", b"last"])
        self.assertEqual((here.receive(view), len(tried[-1])), (0, 4))

    def test_who_attends_gets_what_the_attempt_raises(self: Any) -> None:
        here, there = self.channels()

        def attempt() -> bool:
            raise ConnectionLost("the answer")

        waiter = self.begin(here.attend(attempt))
        self.finish(there.write(b"a"))
        self.refuse(waiter, ConnectionLost)

    def test_an_attempt_counts_as_progress(self: Any) -> None:
        here, there = self.channels()
        here.patience = 30.0
        view = memoryview(bytearray(10))
        came: list[int] = []

        def attempt() -> bool:
            came.append(here.receive(view))
            return True

        waiter = self.begin(here.attend(attempt))
        for number in range(3):
            self.reactor.pump([1] * 20)
            self.finish(there.write(b"a"))
            self.reactor.until(lambda number=number: sum(came) > number)
        self.assertNoResult(waiter)
        self.reactor.pump([1] * 50)
        self.refuse(waiter, Stalled)

    def test_an_answer_for_which_there_is_no_room_goes_on_later(self: Any) -> None:
        here, there = self.channels()
        reader = self.begin(self.read_all(there))
        sent = here.send(CONTENT)
        self.assertLess(sent, len(CONTENT))
        self.finish(here.go_on(memoryview(CONTENT)[sent:]))
        self.finish(here.finish())
        self.assertEqual(self.finish(reader), CONTENT)

    def test_abort_wakes_who_waits_for_bytes(self: Any) -> None:
        here, _ = self.channels()
        waiter = self.begin(here.readable())
        self.reactor.turn()
        here.abort()
        self.refuse(waiter, ConnectionLost)

    def test_abort_wakes_whoever_waits(self: Any) -> None:
        here, _ = self.channels()
        reader = self.begin(self.read_all(here))
        writer = self.begin(here.write(CONTENT))
        here.abort()
        here.abort()
        self.refuse(reader, ConnectionLost)
        self.refuse(writer, ConnectionLost)
        self.refuse(here.read_into(memoryview(bytearray(1))), ConnectionLost)
        self.refuse(here.write(b"x"), ConnectionLost)
        self.refuse(here.send_file(self.file.fileno(), 0, 1), ConnectionLost)
        self.refuse(here.finish(), ConnectionLost)
        self.assertEqual(self.gone.count(here), 1)
        self.assertEqual(here.fileno(), -1)

    def test_abort_between_two_turns(self: Any) -> None:
        here, _ = self.channels()
        here._reading.room = here._writing.room = 0
        here.abort()
        self.refuse(here.read_into(memoryview(bytearray(1))), ConnectionLost)
        self.refuse(here.write(b"x"), ConnectionLost)
        self.assertNotIn(here, self.reactor.getReaders() + self.reactor.getWriters())

    def test_a_peer_that_vanishes(self: Any) -> None:
        here, there = self.channels()
        writer = self.begin(here.write(CONTENT))
        there.abort()
        self.refuse(writer, ConnectionLost)
        self.assertIn(here, self.gone)

    def test_one_reader_and_one_writer(self: Any) -> None:
        here, _ = self.channels()
        self.begin(self.read_all(here)).addErrback(lambda _: None)
        self.begin(here.write(CONTENT)).addErrback(lambda _: None)
        self.refuse(here.read_into(memoryview(bytearray(1))), RuntimeError)

    def test_a_read_that_is_given_up_loses_nothing(self: Any) -> None:
        here, there = self.channels()
        reader = self.begin(self.read_all(here))
        reader.cancel()
        self.failureResultOf(reader, CancelledError)
        reader = self.begin(self.read_all(here))
        self.finish(there.write(b"abc"))
        self.finish(there.finish())
        self.assertEqual(self.finish(reader), b"abc")

    def test_a_write_that_is_given_up_ends_the_channel(self: Any) -> None:
        here, _ = self.channels()
        writer = self.begin(here.write(CONTENT))
        writer.cancel()
        self.failureResultOf(writer, CancelledError)
        self.assertIn(here, self.gone)

    def test_after_the_end_what_comes_is_discarded(self: Any) -> None:
        here, there = self.channels()
        self.finish(here.write(b"the last"))
        self.finish(here.finish())
        here.abort()
        self.finish(there.write(b"more" * 1000))
        self.assertEqual(self.finish(self.read_all(there)), b"the last")
        self.assertNotIn(here, self.gone)
        self.finish(there.finish())
        self.reactor.until(lambda: here in self.gone)

    def test_who_was_read_to_the_end_is_not_lingered_for(self: Any) -> None:
        here, there = self.channels()
        self.finish(there.finish())
        self.assertEqual(self.finish(self.read_all(here)), b"")
        self.finish(here.finish())
        self.assertIn(here, self.gone)
        self.assertNotIn(here, self.reactor.removeAll())

    def test_who_sends_nothing_need_not_be_lingered_for(self: Any) -> None:
        """It has all that was written all the same, and then the end."""
        here, there = self.channels()
        self.finish(here.write(b"content"))
        self.finish(here.finish(linger=False))
        self.assertEqual(here in self.gone, not self.tls)
        self.assertEqual(here in self.reactor.removeAll(), self.tls)
        self.assertEqual(self.finish(self.read_all(there)), b"content")

    def test_who_has_sent_something_after_all_is_lingered_for(self: Any) -> None:
        here, there = self.channels()
        self.finish(there.write(b"unexpected"))
        self.finish(here.write(b"content"))
        self.finish(here.finish(linger=False))
        self.assertNotIn(here, self.gone)
        self.assertEqual(self.finish(self.read_all(there)), b"content")
        self.finish(there.finish())
        self.reactor.until(lambda: here in self.gone)

    def test_lingering_is_bounded_in_time(self: Any) -> None:
        here, _ = self.channels()
        self.finish(here.finish())
        self.finish(here.finish())
        self.reactor.pump([1] * (int(LINGER_TIME) + 2))
        self.assertIn(here, self.gone)
        self.refuse(here.read_into(memoryview(bytearray(1))), ConnectionLost)

    def test_lingering_is_bounded_in_bytes(self: Any) -> None:
        here, there = self.channels()
        self.finish(here.finish())
        self.refuse(there.write(bytes(2 * LINGER_BYTES)), ConnectionLost)
        self.assertIn(here, self.gone)

    def test_the_end_wakes_the_reader_and_resets_nothing(self: Any) -> None:
        here, there = self.channels()
        reader = self.begin(self.read_all(here))
        self.finish(here.write(b"whole"))
        self.finish(here.finish())
        self.refuse(reader, ConnectionLost)
        self.assertEqual(self.finish(self.read_all(there)), b"whole")

    def test_a_fast_peer_lets_others_have_their_turn(self: Any) -> None:
        here, there = self.channels()
        self.finish(there.write(bytes(1000)))
        self.patch(turns, "TURN", 100)
        here._reading.room = 100
        before = self.reactor.turns
        view = memoryview(bytearray(10))

        async def read_hundred_times() -> None:
            for _ in range(100):
                assert await here.read_into(view) == 10

        self.finish(read_hundred_times())
        self.assertGreaterEqual(self.reactor.turns - before, 9)

    def test_a_fast_reader_lets_others_have_their_turn(self: Any) -> None:
        here, there = self.channels()
        reader = self.begin(self.read_all(there))
        self.patch(turns, "TURN", 100)
        here._writing.room = 100
        before = self.reactor.turns
        self.finish(here.write(bytes(1000)))
        self.assertGreaterEqual(self.reactor.turns - before, 9)
        before = self.reactor.turns
        self.patch(channel_module, "SPAN", 50)
        self.finish(here.send_file(self.file.fileno(), 0, 1000))
        self.assertGreaterEqual(self.reactor.turns - before, 9)
        self.finish(here.finish())
        self.assertEqual(self.finish(reader), bytes(1000) + CONTENT[:1000])

    def test_many_busy_channels_share_a_turn(self: Any) -> None:
        here, there = self.channels()
        around = here._around
        for number in range(15):
            around.turns.moved(number, turns.LEAST)
        reader = self.begin(self.read_all(there))
        self.finish(here.write(CONTENT))
        self.assertIn(here, around.turns._busy)
        self.assertIn(here._writing.share, [turns.FEW * turns.TURN // busy for busy in (16, 17)])
        self.finish(here.finish())
        self.finish(reader)
        self.assertEqual(around.turns._busy - {there}, set(range(15)))
        there.abort()
        self.assertEqual(around.turns._busy, set(range(15)))

    def test_an_idle_channel_costs_the_reactor_nothing(self: Any) -> None:
        here, there = self.channels()
        self.finish(there.write(b"ab"))
        self.finish(here.read_into(memoryview(bytearray(1))))
        told: list[None] = []
        tell = here.doRead
        here.doRead = lambda: (told.append(None), tell())
        for _ in range(5):
            self.reactor.turn()
        self.assertLessEqual(len(told), 1)


def here_is_ready(channel: Any) -> bool:
    return channel._writing.waiter is None


class PlainChannelTests(Both, ChannelCase):
    def test_the_end(self) -> None:
        channel, peer = self.pair()
        peer.send(b"abc")
        peer.shutdown(socket.SHUT_WR)
        self.assertEqual(self.finish(self.read_all(channel)), b"abc")
        self.assertEqual(self.finish(channel.read_into(memoryview(bytearray(1)))), 0)

    def test_a_reset_is_no_end(self) -> None:
        channel, peer = self.pair()
        self.finish(channel.write(b"never read"))
        peer.close()
        self.refuse(self.read_all(channel), ConnectionLost)
        self.assertIn(channel, self.gone)


class TlsChannelTests(Both, ChannelCase):
    tls = True

    def test_a_cut_connection_is_no_end(self) -> None:
        here, there = self.channels()
        self.finish(there.write(b"half a f"))
        there._socket.shutdown(socket.SHUT_WR)
        found = memoryview(bytearray(100))
        self.assertEqual(self.finish(here.read_into(found)), 8)
        refusal = self.refuse(here.read_into(found), ConnectionLost)
        self.assertIn("without the end of TLS", refusal.sentence)

    def test_a_cut_connection_may_be_allowed(self) -> None:
        here, there = self.channels(ragged_eof_ok=True)
        self.finish(there.write(b"half a f"))
        there._socket.shutdown(socket.SHUT_WR)
        self.assertEqual(self.finish(self.read_all(here)), b"half a f")

    def test_a_silent_peer_is_given_up_in_the_handshake(self) -> None:
        channel, _ = self.pair()
        greeting = self.begin(channel.handshake())
        self.reactor.pump([1] * 19)
        self.assertNoResult(greeting)
        self.reactor.pump([1] * 3)
        self.refuse(greeting, Stalled)
        self.assertIn(channel, self.gone)

    def test_a_dribbling_handshake_is_given_up_all_the_same(self) -> None:
        channel, peer = self.pair()
        greeting = self.begin(channel.handshake())
        peer.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        for _ in range(19):
            peer.send(b"x")
            self.reactor.turn()
            self.reactor.advance(1)
        self.assertNoResult(greeting)
        self.reactor.pump([1, 1, 1])
        self.refuse(greeting, Stalled)

    def test_no_tls_at_all(self) -> None:
        channel, peer = self.pair()
        peer.send(b"GET / HTTP/1.1\r\n\r\n")
        refusal = self.refuse(channel.read_into(memoryview(bytearray(10))), ConnectionLost)
        self.assertIn("http request", refusal.sentence)
        self.assertIn(channel, self.gone)

    def test_a_spoilt_record_spoils_no_other_connection(self) -> None:
        here, there = self.channels()
        other, friend = self.channels()
        there._socket.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        self.refuse(self.read_all(here), ConnectionLost)
        self.finish(friend.write(b"fine"))
        self.finish(friend.finish())
        self.assertEqual(self.finish(self.read_all(other)), b"fine")

    def test_bytes_that_openssl_holds_are_not_forgotten(self) -> None:
        here, there = self.channels()
        self.finish(there.write(b"0123456789"))
        view = memoryview(bytearray(1))
        for expected in b"0123456789":
            self.assertEqual(self.finish(here.read_into(view)), 1)
            self.assertEqual(view[0], expected)

    def test_who_is_cut_off_while_others_have_their_turn_is_busy_no_more(self) -> None:
        """Bytes that OpenSSL holds wait for a turn of their own. Who counted for ever would make all others wait."""
        here, there = self.channels()
        self.finish(there.write(bytes(200)))
        self.finish(here.read_into(memoryview(bytearray(100))))
        here._reading.room = 0
        reader = self.begin(here.read_into(memoryview(bytearray(100))))
        self.assertNoResult(reader)
        here.abort()
        self.refuse(reader, ConnectionLost)
        self.assertNotIn(here, self.around.turns._busy)

    def test_an_end_that_openssl_has_told_of_is_not_waited_for(self) -> None:
        """It comes with the last bytes, and nothing after it: the socket is never readable again."""
        here, there = self.channels()
        view = memoryview(bytearray(100))
        self.finish(there.write(b"all"))
        self.assertIsNone(there._link.say_end())
        self.assertEqual(self.finish(here.read_into(view)), 3)
        self.finish(here.readable())
        self.around.turns._until = self.reactor.seconds()  # the next read is put off to another turn
        self.assertEqual(self.finish(here.read_into(view)), 0)


class AnyPieces(ChannelCase):
    """Whatever the sizes of writes and reads, plain and TLS."""

    def check(self, writes: list[int], read: int) -> None:
        here, there = self.channels()
        sent = [os.urandom(size) for size in writes]

        async def write() -> None:
            for piece in sent:
                await there.write(piece)
            await there.finish()

        reader = self.begin(self.read_all(here, read))
        self.finish(write())
        self.assertEqual(self.finish(reader), b"".join(sent))
        self.finish(here.finish())

    @settings(max_examples=25)
    @given(st.lists(st.integers(0, 70_000), max_size=6), st.integers(200, 100_000), st.booleans())
    def test_arrive(self, writes: list[int], read: int, tls: bool) -> None:
        self.tls = tls
        self.setUp()
        self.check(writes, read)


class HastyTests(ChannelCase):
    """An upload whose client has closed when the server's last word of the handshake comes."""

    tls = True

    def test_nothing_is_lost(self) -> None:
        """Its tickets, sent then, would be answered with RST, and what the client's kernel still holds would not come."""
        data = os.urandom(50_000)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            theirs = socket.create_connection(listening.getsockname())
            ours, _ = listening.accept()
        theirs.setblocking(False)
        ours.setblocking(False)
        channel = make_channel(self.around, ours, "127.0.0.1", server_context(), closed=self.gone.append)
        reading = self.begin(self.read_all(channel))
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), theirs)
        client.set_connect_state()
        self.assertRaises(SSL.WantReadError, client.do_handshake)
        while not agreed(client):
            self.reactor.turn()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(data))
        sent = 0
        while sent < len(data):
            sent += client.send(data[sent:])
        client.shutdown()
        theirs.close()
        self.assertEqual(self.finish(reading), data)
        channel.abort()


def agreed(client: SSL.Connection) -> bool:
    """Go on with the handshake; whether the client's part is done."""
    try:
        client.do_handshake()
    except SSL.WantReadError:
        return False
    return True
