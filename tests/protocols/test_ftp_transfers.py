"""RETR, STOR and the listings: what crosses, what is published, and what is left open."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.defer import Deferred

from ecpds.errors import NoSpace, NotFound, Stalled
from ecpds.model import Entry
from ecpds.protocols.ftp import BURST
from ecpds.protocols.ftp_data import SOON
from ecpds.protocols.ftp_interpreter import BLOCK, GRACE, LEAST, LEAST_HERE, LITTLE, grace
from ecpds.timeouts import BUCKET
from tests.doubles import MemoryChannel
from tests.protocols.ftp_support import FtpTestCase, codes


class Retrieving(FtpTestCase):
    def setUp(self) -> None:
        self.house = self.new_house()
        self.file = self.house.tree.put("/demo/a.dat", b"0123456789")
        self.client = self.house.log_in()

    def test_the_bytes_cross_and_the_end_is_an_end(self) -> None:
        said, data, channel = self.client.download("RETR /demo/a.dat")
        self.assertEqual(data, b"0123456789")
        self.assertEqual(said, ["150 Sending the file (10 bytes).", "226 10 bytes sent."])
        self.assertTrue(channel.finished)
        self.assertEqual(self.house.tree.downloads, [])

    def test_what_is_complete_is_never_reset(self) -> None:
        channel = self.client.passive()
        resets: list[None] = []
        channel.abort = lambda: resets.append(None)  # type: ignore[method-assign]
        self.assertEqual(codes(self.client.say("RETR /demo/a.dat", "EPSV", "QUIT")), ["150", "226", "229", "221"])
        self.assertEqual(resets, [])

    def test_an_empty_file(self) -> None:
        self.house.tree.put("/demo/empty", b"")
        said, data, channel = self.client.download("RETR /demo/empty")
        self.assertEqual((codes(said), data, channel.finished), (["150", "226"], b"", True))

    def test_from_an_offset(self) -> None:
        self.assertEqual(self.client.say("REST 4")[0][:3], "350")
        said, data, _ = self.client.download("RETR /demo/a.dat")
        self.assertEqual((codes(said), data), (["150", "226"], b"456789"))
        self.assertEqual(self.client.download("RETR /demo/a.dat")[1], b"0123456789", "an offset is for one transfer")

    def test_what_was_said_for_a_refused_transfer_is_not_for_the_next_one(self) -> None:
        """The next file would be a part of itself, and its client would not know."""
        for said in ("REST 4", "RANG 4 5"):
            self.assertEqual(codes(self.client.say(said, "RETR /demo/a.dat")), ["350", "425"])
            self.assertEqual(self.client.download("RETR /demo/a.dat")[1], b"0123456789", said)
            answers = codes(self.client.say(*["NOOP"] * BURST, said, "EPSV", "RETR /demo/a.dat", "ABOR"))
            self.assertEqual(answers[-4:], ["350", "229", "426", "226"])
            self.assertEqual(self.client.download("RETR /demo/a.dat")[1], b"0123456789", said)

    def test_an_offset_at_the_end_sends_nothing_and_one_beyond_it_is_refused(self) -> None:
        self.client.say("REST 10")
        self.assertEqual(self.client.download("RETR /demo/a.dat")[1], b"")
        self.client.say("REST 11")
        said, data, channel = self.client.download("RETR /demo/a.dat")
        self.assertEqual((codes(said), data, channel.aborted), (["554"], b"", True))

    def test_a_missing_file_closes_the_data_connection(self) -> None:
        said, _, channel = self.client.download("RETR /demo/missing")
        self.assertEqual((codes(said), channel.aborted), (["550"], True))
        self.assertEqual(self.client.say("RETR /demo/a.dat"), ["425 Say EPSV, PASV, EPRT or PORT first."])

    def test_type_a_sends_the_stored_bytes_and_size_agrees(self) -> None:
        self.house.tree.put("/demo/text", b"a\nb\r\nc\n")
        for kind in ("A", "I"):
            self.client.say(f"TYPE {kind}")
            self.assertEqual(self.client.say("SIZE /demo/text"), ["213 7"])
            self.assertEqual(self.client.download("RETR /demo/text")[1], b"a\nb\r\nc\n")

    def test_damage_is_said_and_looks_like_no_end(self) -> None:
        channel = self.client.passive()
        opened = self.house.tree.downloads
        self.house.tree.put("/demo/b.dat", b"x" * 200_000)

        class Damaging(list):  # type: ignore[type-arg]
            def append(self, download: object) -> None:
                download.damaged = True  # type: ignore[attr-defined]
                super().append(download)

        self.house.tree.downloads = Damaging(opened)
        self.assertEqual(codes(self.client.say("RETR /demo/b.dat")), ["150", "451"])
        self.assertTrue(channel.aborted)
        self.assertEqual(self.house.portal.sink.of("INH")[-1]["Status"], "failed")

    def test_a_client_that_resets_the_data_connection_gets_426(self) -> None:
        self.house.listeners._window = 4
        channel = self.client.passive()
        self.assertEqual(codes(self.client.say("RETR /demo/a.dat")), ["150"])
        channel.feed_loss()
        self.client.turn()
        self.assertEqual(codes(self.client.heard()), ["426"])
        self.assertEqual(self.house.tree.downloads, [])

    def test_a_client_that_never_connects_gets_425(self) -> None:
        self.client.say("EPSV")
        self.assertEqual(codes(self.client.say("RETR /demo/a.dat")), ["150"])
        self.house.listeners.made[-1].expire()
        self.assertEqual(codes(self.client.heard()), ["425"])
        self.assertEqual(self.house.listeners.open, [])
        self.assertEqual(self.house.tree.downloads, [])

    def test_the_time_to_connect_runs_from_epsv_on(self) -> None:
        self.client.say("EPSV")
        self.assertFalse(self.house.listeners.made[-1].accepting)
        self.house.clock.advance(SOON + BUCKET)
        self.assertTrue(self.house.listeners.made[-1].accepting)
        self.house.listeners.made[-1].expire()
        self.assertEqual(self.house.listeners.open, [])
        self.assertEqual(codes(self.client.say("RETR /demo/a.dat")), ["150", "425"])


class Storing(FtpTestCase):
    def setUp(self) -> None:
        self.house = self.new_house()
        self.client = self.house.log_in()

    def absent(self, path: str) -> None:
        self.assertRaises((NotFound, KeyError), self.house.tree.read, path)
        self.assertEqual(self.house.tree.uploads, [])

    def begin(self) -> MemoryChannel:
        channel = self.client.passive()
        self.assertEqual(codes(self.client.say("STOR /demo/a")), ["150"])
        return channel

    def test_it_is_there_when_226_is_said(self) -> None:
        self.assertEqual(self.client.upload("STOR /demo/a", b"hello"), ["150 Waiting for the bytes.", "226 5 bytes stored."])
        self.assertEqual(self.house.tree.read("/demo/a"), b"hello")

    def test_both_ends_are_closed_before_226(self) -> None:
        channel = self.begin()
        channel.feed_end()
        self.assertTrue(channel.finished)
        self.assertEqual(self.client.heard(), [])

    def test_226_waits_for_the_commit(self) -> None:
        self.house.tree.hold = Deferred()
        self.assertEqual(codes(self.client.upload("STOR /demo/a", b"hello")), ["150"])
        self.house.tree.hold.callback(None)
        self.assertEqual(codes(self.client.heard()), ["226"])

    def test_an_empty_file(self) -> None:
        self.assertEqual(codes(self.client.upload("STOR /demo/empty", b"")), ["150"])
        self.house.clock.advance(LEAST)
        self.assertEqual(codes(self.client.heard()), ["226"])
        self.assertEqual(self.house.tree.read("/demo/empty"), b"")

    def test_a_reset_publishes_nothing(self) -> None:
        channel = self.begin()
        channel.feed(b"hel")
        channel.feed_loss()
        self.client.turn()
        self.assertEqual(codes(self.client.heard()), ["426"])
        self.absent("/demo/a")

    def test_a_stall_publishes_nothing(self) -> None:
        channel = self.begin()
        channel.feed_failure(Stalled())
        self.assertEqual(codes(self.client.heard()), ["426"])
        self.absent("/demo/a")

    def test_a_control_connection_lost_in_the_middle_publishes_nothing(self) -> None:
        channel = self.begin()
        channel.feed(b"hel")
        self.client.lose()
        self.client.turn()
        self.assertTrue(channel.aborted)
        self.absent("/demo/a")
        self.assertEqual(self.house.factory.sessions, set())

    def test_a_client_that_dies_sends_both_ends_and_nothing_is_published(self) -> None:
        # The kernel of a killed client ends both connections properly; the data connection's end may be seen first.
        channel = self.begin()
        channel.feed(b"hel")
        channel.feed_end()
        self.house.clock.turn()
        self.client.lose()
        self.client.turn()
        self.absent("/demo/a")

    def test_a_client_whose_control_connection_is_silent_waits_for_no_turn(self) -> None:
        channel, _ = self.begin_over_a_socket()
        channel.feed(b"x")
        channel.feed_end()
        self.assertEqual(codes(self.client.heard()), ["226"])

    def test_after_an_upload_that_was_not_quick_a_death_may_be_noticed_soon_after(self) -> None:
        for took, published in ((0.003, False), (0.001, True)):
            channel, _ = self.begin_over_a_socket()
            self.house.clock.advance(took)
            channel.feed(b"x")
            channel.feed_end()
            self.house.clock.advance(LEAST * 0.9)
            self.client.lose()
            self.client.turn()
            self.assertEqual(("demo", "a") in self.house.tree.files, published)

    def test_the_last_look_comes_when_all_is_on_disk(self) -> None:
        """A quick upload waits for nothing; but what ends while its bytes are written, digested and synced is seen."""
        for end in (lambda sock: sock.send(b"ABOR\r\n"), lambda sock: sock.close(), lambda sock: None):
            channel, there = self.begin_over_a_socket()
            self.house.tree.hold_settled = Deferred()
            channel.feed(b"hel")
            channel.feed_end()
            end(there)
            self.assertEqual(self.client.heard(), [])
            self.house.tree.hold_settled.callback(None)
            if self.client.heard():
                self.assertEqual(self.house.tree.read("/demo/a"), b"hel")
            else:
                self.client.lose()
                self.client.turn()
                self.absent("/demo/a")
                self.assertEqual([bytes(kept.data) for kept in self.house.tree.partials.values()], [b"hel"])

    def test_the_time_that_the_disk_takes_is_grace_too(self) -> None:
        for disk, wait in ((0.0, 0.25), (0.2, 0.05), (0.3, 0.0)):
            channel, _ = self.begin_over_a_socket()
            self.house.clock.advance(30)
            self.house.tree.hold_settled = Deferred()
            channel.feed_end()
            self.house.clock.advance(disk)
            self.house.tree.hold_settled.callback(None)
            if wait:
                self.house.clock.advance(wait - 0.001)
                self.assertEqual(self.client.heard(), [])
                self.house.clock.advance(0.002)
            self.assertEqual(codes(self.client.heard()), ["226"])

    def test_an_upload_of_fewer_bytes_than_allo_said_is_watched_longer(self) -> None:
        for said, later, published in ((3, 0.0, True), (2, 0.0, True), (4, 0.24, False), (4, 0.26, True)):
            self.client = self.house.log_in()
            self.client.say(f"ALLO {said}")
            channel = self.begin()
            channel.feed(b"hel")
            channel.feed_end()
            self.house.clock.advance(later)
            if not published:
                self.client.lose()
            self.client.turn()
            self.assertEqual(("demo", "a") in self.house.tree.files, published, (said, later))
            self.house.tree.files.pop(("demo", "a"), None)

    def test_what_ends_with_a_block_may_have_been_cut_there(self) -> None:
        for size, waits in ((0, True), (BLOCK, True), (3 * BLOCK, True), (1, False), (1024, False), (BLOCK + 1, False)):
            for later, published in ((LEAST * 0.9, not waits), (LEAST * 1.1, True)):
                channel, _ = self.begin_over_a_socket()
                channel.feed(bytes(size))
                channel.feed_end()
                self.house.clock.advance(later)
                self.client.lose()
                self.client.turn()
                self.assertEqual(("demo", "a") in self.house.tree.files, published, (size, later))
                self.house.tree.files.pop(("demo", "a"), None)

    def test_how_long_a_death_may_take(self) -> None:
        for took, count, short, here, seconds in (
            (0.0, 1023, False, True, 0.0),
            (0.0, 1023, False, False, 0.0),
            (0.0, LITTLE + 1, False, False, LEAST),
            (0.0, LITTLE + 1, False, True, LEAST_HERE),
            (0.0, 0, False, True, LEAST_HERE),
            (0.003, 1023, False, False, LEAST),
            (0.003, 1023, False, True, LEAST_HERE),
            (2.5, 1023, False, True, 0.1),
            (60.0, 1023, False, False, GRACE),
            (0.0, 1023, True, False, GRACE),
        ):
            self.assertEqual(grace(took, count, short, here), seconds, (took, count, short, here))

    def test_allo_is_for_one_upload(self) -> None:
        self.client.say("ALLO 9")
        for waits in (True, False):
            channel = self.begin()
            channel.feed(b"hel")
            channel.feed_end()
            self.client.turn()
            self.assertEqual(codes(self.client.heard()), [] if waits else ["226"])
            self.house.clock.advance(0.3)
            self.client.turn()
            self.client.heard()

    def test_allo_for_an_upload_that_is_refused_is_not_for_the_next_one(self) -> None:
        self.assertEqual(codes(self.client.say("ALLO 9", "STOR /demo/a")), ["200", "425"])
        channel = self.begin()
        channel.feed(b"hel")
        channel.feed_end()
        self.client.turn()
        self.assertEqual(codes(self.client.heard()), ["226"])

    def test_what_lies_unread_on_the_control_connection_is_heard_first(self) -> None:
        for end in (lambda sock: sock.send(b"ABOR\r\n"), lambda sock: sock.close()):
            channel, there = self.begin_over_a_socket()
            end(there)
            channel.feed(b"x")
            channel.feed_end()
            self.assertEqual(self.client.heard(), [])
            self.client.lose()
            self.client.turn()
            self.absent("/demo/a")

    def begin_over_a_socket(self) -> tuple[MemoryChannel, socket.socket]:
        """A STOR on a control connection that has a socket, and the client's end of that."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.addCleanup(here.close)
        self.addCleanup(there.close)
        self.client = self.house.log_in(sock=here)
        return self.begin(), there

    def test_after_a_long_upload_a_death_may_be_noticed_a_little_later(self) -> None:
        for later, published in ((0.24, False), (0.26, True)):
            client = self.client = self.house.log_in()
            channel = self.begin()
            self.house.clock.advance(30)
            channel.feed_end()
            self.house.clock.advance(later)
            client.lose()
            client.turn()
            self.assertEqual(("demo", "a") in self.house.tree.files, published)

    def test_a_clock_that_is_set_back_does_no_harm(self) -> None:
        channel = self.begin()
        self.house.clock.rightNow -= 3600
        channel.feed(b"x")
        channel.feed_end()
        self.client.turn()
        self.assertEqual(codes(self.client.heard()), ["226"])

    def test_nothing_is_published_while_commands_lie_unread(self) -> None:
        channel = self.begin()
        self.client.write(b"NOOP\r\n" * 1000)
        self.assertEqual(self.client.transport.producerState, "paused")
        channel.feed(b"x")
        channel.feed_end()
        self.client.turn(200)
        self.assertEqual(codes(self.client.heard()), ["426"] + ["200"] * 1000)
        self.absent("/demo/a")

    def test_an_abort_that_comes_with_the_end_wins(self) -> None:
        channel = self.begin()
        channel.feed(b"hel")
        channel.feed_end()
        self.client.write(b"\xff\xf4\xff\xf2ABOR\r\n")
        self.client.turn()
        self.assertEqual(codes(self.client.heard()), ["426", "226"])
        self.absent("/demo/a")

    def test_an_abort_that_comes_during_the_commit_does_not(self) -> None:
        self.house.tree.hold = Deferred()
        self.client.upload("STOR /demo/a", b"hello")
        self.client.say("ABOR")
        self.house.tree.hold.callback(None)
        self.assertEqual(codes(self.client.heard()), ["226", "226"])
        self.assertEqual(self.house.tree.read("/demo/a"), b"hello")

    def test_no_room_is_452_and_the_bytes_are_given_back(self) -> None:
        self.house.tree.space = 4
        self.assertEqual(codes(self.client.upload("STOR /demo/a", b"hello")), ["150", "452"])
        self.absent("/demo/a")

    def test_a_refused_commit_is_said(self) -> None:
        self.house.tree.hold = Deferred()
        self.client.upload("STOR /demo/a", b"hello")
        self.house.tree.hold.errback(NoSpace())
        self.assertEqual(codes(self.client.heard()), ["452"])
        self.absent("/demo/a")

    def test_nothing_is_kept_to_go_on_with(self) -> None:
        self.house.tree.put("/demo/a", b"hello")
        self.client.say("REST 3")
        self.assertEqual(codes(self.client.upload("STOR /demo/a", b"XY")), ["554"])
        self.assertEqual(self.house.tree.read("/demo/a"), b"hello")
        self.assertEqual(codes(self.client.upload("STOR /demo/a", b"XY")), ["150", "226"])

    def test_a_name_that_says_it_is_a_directory(self) -> None:
        for name in ("/demo/x/", "/demo/x/.", "/demo/x/..", "/demo", "/"):
            self.assertEqual(codes(self.client.upload(f"STOR {name}", b"hello")), ["550"], name)

    def test_before_the_client_has_connected_a_lost_control_connection_closes_the_port(self) -> None:
        self.client.say("EPSV")
        self.client.say("STOR /demo/a")
        self.client.lose()
        self.assertEqual(self.house.listeners.open, [])
        self.absent("/demo/a")

    def test_a_failure_that_nobody_expects_is_logged_and_publishes_nothing(self) -> None:
        self.house.tree.hold = Deferred()
        self.client.upload("STOR /demo/a", b"hello")
        self.house.tree.hold.errback(RuntimeError("a bug"))
        self.assertEqual(codes(self.client.heard()), ["451"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.absent("/demo/a")


class StoringInOneStep(Storing):
    """The same, where a small file is put in one step; so nothing of it is settled before the last look."""

    def setUp(self) -> None:
        super().setUp()
        self.house.tree.takes_now = True

    test_the_last_look_comes_when_all_is_on_disk = None  # type: ignore[assignment]
    test_the_time_that_the_disk_takes_is_grace_too = None  # type: ignore[assignment]

    def test_nothing_is_begun_before_the_end_of_a_small_file(self) -> None:
        channel, _ = self.begin_over_a_socket()
        channel.feed(b"small")
        self.assertEqual(self.house.tree.uploads, [])
        channel.feed_end()
        self.assertEqual(codes(self.client.heard()), ["226"])
        self.assertEqual(self.house.tree.read("/demo/a"), b"small")

    def test_who_is_alone_waits_for_nobody_and_others_go_together(self) -> None:
        at_once: list[str] = []
        files: Any = self.client.protocol._interpreter.files
        put_now = files.put_now

        def noted(path: str, *others: Any) -> Entry | None:
            at_once.append(path)
            return cast(Entry | None, put_now(path, *others))

        files.put_now = noted
        self.assertEqual(codes(self.client.upload("STOR /demo/alone", b"hello")), ["150", "226"])
        other = self.house.log_in()
        other.passive()
        other.say("STOR /demo/other")
        self.assertEqual(codes(self.client.upload("STOR /demo/together", b"hello")), ["150", "226"])
        other.say("ABOR")
        self.assertEqual(codes(self.client.upload("STOR /demo/again", b"hello")), ["150", "226"])
        self.assertEqual(at_once, ["/demo/alone", "/demo/again"])
        self.assertEqual(self.house.tree.read("/demo/together"), b"hello")

    def test_who_has_ended_before_the_step_publishes_nothing(self) -> None:
        for end in (lambda sock: sock.send(b"ABOR\r\n"), lambda sock: sock.close()):
            channel, there = self.begin_over_a_socket()
            channel.feed(b"hel")
            end(there)
            channel.feed_end()
            self.assertEqual(self.client.heard(), [])
            self.client.lose()
            self.client.turn()
            self.absent("/demo/a")
            self.assertEqual([bytes(kept.data) for kept in self.house.tree.partials.values()], [b"hel"])

    def test_where_it_may_be_refused_that_is_said_before_150(self) -> None:
        self.house.tree.put("/demo/folder/b", b"")
        for path in ("/demo/folder", "/demo/folder/b/c"):
            self.client.passive()
            self.assertEqual(codes(self.client.say(f"STOR {path}")), ["550"])


class Listing(FtpTestCase):
    def setUp(self) -> None:
        self.house = self.new_house(limits={"listing_page": 2})
        for name in ("a.dat", "b.dat", "c.txt", "sub/d", 'q"uote', "[x].dat", "é"):
            self.house.tree.put(f"/demo/{name}", b"123")
        self.client = self.house.log_in()
        self.client.say("CWD demo")

    def names(self, line: str) -> list[str]:
        said, data, channel = self.client.download(line)
        self.assertEqual(codes(said), ["150", "226"], line)
        self.assertTrue(channel.finished)
        self.assertTrue(data == b"" or data.endswith(b"\r\n"))
        return data.decode().split("\r\n")[:-1]

    def test_names_in_order_over_pages(self) -> None:
        everything = ["[x].dat", "a.dat", "b.dat", "c.txt", 'q"uote', "sub", "é"]
        for line in ("NLST", "NLST -la", "NLST ", "NLST ."):
            self.assertEqual([name.removeprefix("./") for name in self.names(line)], everything)

    def test_names_can_be_used_as_paths(self) -> None:
        self.assertEqual(self.names("NLST sub"), ["sub/d"])
        self.assertEqual(self.names("NLST /demo/sub/"), ["/demo/sub/d"])
        self.assertEqual(self.names("NLST sub/d"), ["sub/d"])
        self.assertEqual(self.names("NLST /"), ["/demo"])

    def test_wildcards(self) -> None:
        self.assertEqual(self.names("NLST *.dat"), ["[x].dat", "a.dat", "b.dat"])
        self.assertEqual(self.names("NLST /demo/?.txt"), ["/demo/c.txt"])
        self.assertEqual(self.names("NLST [ab].dat"), ["a.dat", "b.dat"])
        self.assertEqual(self.names("NLST *.none"), [])

    def test_a_name_that_looks_like_a_wildcard(self) -> None:
        self.assertEqual(self.names("NLST [x].dat"), ["[x].dat"])

    def test_long_lines(self) -> None:
        lines = self.names("LIST -l")
        self.assertEqual(len(lines), 7)
        self.assertTrue(all(line[0] in "d-" for line in lines))
        self.assertTrue(lines[1].endswith(" a.dat"))
        self.assertEqual(len(self.names("LIST a.dat")), 1)

    def test_facts(self) -> None:
        line = self.names("MLSD")[1]
        self.assertEqual(line, "type=file;size=3;modify=20231114221320;perm=dfrw;unique=1; a.dat")
        self.client.say("OPTS MLST size;nonsense;type;")
        self.assertEqual(self.names("MLSD sub"), ["type=file;size=3; d"])

    def test_mlsd_of_a_file_is_a_wrong_argument(self) -> None:
        said, _, channel = self.client.download("MLSD a.dat")
        self.assertEqual((codes(said), channel.aborted), (["501"], True))

    def test_what_is_not_there(self) -> None:
        for line in ("LIST missing", "NLST missing", "MLSD missing", "LIST missing/*.dat"):
            said, _, channel = self.client.download(line)
            self.assertEqual((codes(said), channel.aborted), (["550"], True), line)

    def test_a_client_that_stops_reading_costs_one_page(self) -> None:
        self.house.listeners._window = 1
        channel = self.client.passive()
        self.assertEqual(codes(self.client.say("LIST")), ["150"])
        while not self.client.transport.value():
            channel.take()
            self.client.turn()
        self.assertEqual(codes(self.client.heard()), ["226"])
        self.assertEqual(channel.all_written.count(b"\r\n"), 7)

    def test_others_have_a_turn_after_each_page(self) -> None:
        self.client.passive()
        self.client.write(b"LIST\r\n")
        turns = 0
        while "226" not in codes(self.client.heard()):
            self.client.turn(1)
            turns += 1
        self.assertEqual(turns, 4)

    def test_a_listing_that_is_cut_is_reset(self) -> None:
        self.house.listeners._window = 1
        channel = self.client.passive()
        self.client.say("LIST", "ABOR")
        self.assertTrue(channel.aborted)
