"""The dialogue of scp, over the file system in memory."""

from __future__ import annotations

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidName, InvalidRequest, NoSpace, NotSupported, Refusal
from ecpds.held import SMALL_FILE
from ecpds.limits import Limits
from ecpds.model import Origin
from ecpds.protocols.scp import DEEPEST, LONGEST_LINE, copy
from ecpds.protocols.scp_lines import Announced, Options, parse_announcement, parse_options, parse_times
from ecpds.protocols.sftp import SftpMeans
from ecpds.transports.buffers import BufferPool
from tests.doubles.portal import MemoryPortal, make_identity
from tests.doubles.streams import MemoryStream
from tests.protocols.test_sftp import never
from tests.ssh.support import AT_ONCE


class Lines(SynchronousTestCase):
    def test_options(self) -> None:
        self.assertEqual(parse_options(["-t", "/a"]), Options(True, False, False, False, ("/a",)))
        self.assertEqual(parse_options(["-rp", "-f", "--", "-a", "b"]), Options(False, True, True, False, ("-a", "b")))
        for words in ([], ["-t"], ["/a"], ["-t", "-f", "/a"], ["-t", "/a", "/b"]):
            self.assertRaises(InvalidRequest, parse_options, words)
        self.assertRaises(NotSupported, parse_options, ["-tS", "/bin/sh", "/a"])

    def test_announcements(self) -> None:
        self.assertEqual(parse_announcement(b"C0644 12 a b"), Announced(False, 12, "a b"))
        self.assertEqual(parse_announcement("D0755 0 ü".encode()), Announced(True, 0, "ü"))
        for line in (b"", b"C", b"C0644 12", b"C0644 -1 a", b"C0644 " + b"9" * 19 + b" a", b"X0644 1 a", b"C0988 1 a"):
            self.assertRaises(InvalidRequest, parse_announcement, line)
        for name in (b".", b"..", b"../a", b"/etc/passwd", b"a/b", b"\xff"):
            self.assertRaises(InvalidName, parse_announcement, b"C0644 1 " + name)

    def test_times(self) -> None:
        self.assertEqual(parse_times(b"T1600000000 0 1600000001 0"), 1_600_000_000)
        for line in (b"T", b"T1 2 3", b"Tx 0 1 0", b"T1 0 1 0 1", b"T-1 0 1 0"):
            self.assertRaises(InvalidRequest, parse_times, line)

    @given(st.binary(max_size=80))
    @example(b"C0644 1 a\nb")
    def test_any_line(self, line: bytes) -> None:
        for parse in (parse_announcement, parse_times):
            try:
                parse(line)
            except Refusal:
                continue


class ScpCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.portal = MemoryPortal({"alice": ("pw", make_identity())})
        self.tree = self.portal.tree

    def run_scp(self, *words: str) -> None:
        files = self.successResultOf(Deferred.fromCoroutine(self.portal.login("alice", "pw", Origin("scp", "192.0.2.7"))))
        self.stream = MemoryStream()
        means = SftpMeans(Limits(listing_page=2), Random(1), lambda: 1.7e9, never, BufferPool(1 << 20), AT_ONCE)
        self.status = Deferred.fromCoroutine(copy(files, self.stream, words, means))

    def say(self, data: bytes) -> bytes:
        """What is answered to `data`."""
        self.stream.arrive(data)
        answer = bytes(self.stream.sent)
        self.stream.sent.clear()
        return answer

    def end(self) -> int:
        self.stream.ended = True
        self.stream.arrive()
        status: int = self.successResultOf(self.status)
        return status

    def content(self, path: str) -> bytes | None:
        file = self.tree.files.get(tuple(path.split("/")))
        return self.tree.contents[file.id] if file is not None else None


class Receiving(ScpCase):
    def test_a_file_is_there_when_its_answer_comes(self) -> None:
        self.run_scp("-t", "/demo/a")
        self.assertEqual(self.say(b""), b"\0")
        self.assertEqual(self.say(b"C0644 5 whatever\n"), b"\0")
        self.assertEqual(self.say(b"hel"), b"")
        self.assertTrue(self.stream.is_busy)
        self.tree.hold = Deferred()
        self.assertEqual(self.say(b"lo\0"), b"")
        self.tree.hold.callback(None)
        self.assertEqual(self.say(b""), b"\0")
        self.assertEqual((self.content("demo/a"), self.end()), (b"hello", 0))
        self.assertFalse(self.stream.is_busy)

    def test_into_a_directory(self) -> None:
        self.run_scp("-d", "-t", "/demo")
        self.say(b"C0644 1 a\nx\0C0644 2 b\nyy\0")
        self.assertEqual((self.content("demo/a"), self.content("demo/b"), self.end()), (b"x", b"yy", 0))

    def test_a_tree_with_times(self) -> None:
        self.run_scp("-rp", "-t", "/demo")
        answers = self.say(b"D0755 0 sub\nT1600000000 0 1 0\nC0644 1 a\nx\0E\nC0644 0 b\n\0")
        self.assertEqual(answers, b"\0" * 8)
        self.assertEqual((self.content("demo/sub/a"), self.content("demo/b"), self.end()), (b"x", b"", 0))
        self.assertEqual(self.tree.files["demo", "sub", "a"].mtime, 1_600_000_000)

    def test_a_cut_publishes_nothing(self) -> None:
        for lost in (False, True):
            self.run_scp("-t", "/demo/a")
            self.say(b"C0644 5 a\nhel")
            self.stream.lost = lost
            self.assertEqual(self.end(), 1)
            self.assertIsNone(self.content("demo/a"))
            self.assertEqual(self.tree.uploads, [])

    def test_a_client_that_could_not_read_its_file(self) -> None:
        self.run_scp("-t", "/demo/a")
        self.say(b"C0644 3 a\nabc\1")
        self.assertEqual(self.end(), 1)
        self.assertIsNone(self.content("demo/a"))

    def test_what_is_refused_goes_on_with_the_next(self) -> None:
        self.run_scp("-t", "/demo")
        self.tree.put("/demo/d/x", b"")
        self.assertEqual(self.say(b"")[:1], b"\0")
        self.assertEqual(self.say(b"C0644 1 d\n")[:1], b"\1")
        self.say(b"C0644 1 a\nx\0")
        self.assertEqual((self.content("demo/a"), self.end()), (b"x", 1))

    def test_what_is_refused_when_its_last_byte_is_here_goes_on_with_the_next(self) -> None:
        """The client's answer behind the bytes belongs to that file, and is no part of the next line."""
        self.run_scp("-t", "/demo")
        self.assertEqual(self.say(b"") + self.say(b"C0644 20000 big\n"), b"\0\0")
        self.tree.space = 0
        self.assertEqual(self.say(bytes(20000)), b"")
        self.assertEqual(self.say(b"\0")[:1], b"\1")
        self.tree.space = None
        self.assertEqual(self.say(b"C0644 1 a\n") + self.say(b"x\0"), b"\0\0")
        self.assertEqual((self.content("demo/a"), self.content("demo/big"), self.end()), (b"x", None, 1))

    def test_what_is_refused_behind_the_client_s_answer_goes_on_with_the_next(self) -> None:
        """That byte came, and there is no other: the next one begins a line."""
        self.run_scp("-t", "/demo")
        self.assertEqual(self.say(b"") + self.say(b"C0644 3 a\n"), b"\0\0")
        self.tree.hold = Deferred()
        self.assertEqual(self.say(b"abc\0"), b"")
        hold, self.tree.hold = self.tree.hold, None
        hold.errback(NoSpace())
        self.assertEqual(self.say(b"")[:1], b"\1")
        self.assertEqual(self.say(b"C0644 1 b\n") + self.say(b"x\0"), b"\0\0")
        self.assertEqual((self.content("demo/a"), self.content("demo/b"), self.end()), (None, b"x", 1))

    def test_hostile_names(self) -> None:
        for name in (b"..", b"../x", b"/etc/passwd", b"a/b"):
            self.run_scp("-t", "/demo")
            self.say(b"")
            self.assertEqual(self.say(b"C0644 1 " + name + b"\n")[:1], b"\2")
            self.assertEqual(self.end(), 1)

    def test_a_directory_that_was_not_asked_for_or_is_too_deep(self) -> None:
        self.run_scp("-t", "/demo")
        self.say(b"")
        self.assertEqual(self.say(b"D0755 0 sub\n")[:1], b"\1")
        self.run_scp("-r", "-t", "/demo")
        self.say(b"")
        answers = self.say(b"D0755 0 x\n" * (DEEPEST + 1))
        self.assertEqual((answers[:DEEPEST], answers[DEEPEST : DEEPEST + 1]), (b"\0" * DEEPEST, b"\1"))

    def test_lines_that_are_none(self) -> None:
        for line in (b"nonsense\n", b"E\n", b"x" * (LONGEST_LINE + 2)):
            self.run_scp("-r", "-t", "/demo")
            self.say(b"")
            self.assertEqual(self.say(line)[:1], b"\2")
            self.assertTrue(self.status.called)
            self.assertEqual(self.successResultOf(self.status), 1)


class ReceivingInOneStep(Receiving):
    """The same, where what is small is put when all of it is there."""

    def setUp(self) -> None:
        super().setUp()
        self.tree.takes_now = True

    def test_what_is_small_is_held(self) -> None:
        for size, begun in ((SMALL_FILE - 1, 0), (SMALL_FILE, 1)):
            self.run_scp("-t", "/demo/a")
            self.say(b"C0644 %d a\n" % size + bytes(size))
            self.assertEqual(len(self.tree.uploads), begun)
            self.say(b"\0")
            self.assertEqual((self.content("demo/a"), self.end()), (bytes(size), 0))


class Sending(ScpCase):
    def test_a_file(self) -> None:
        self.tree.put("/demo/a", b"hello")
        self.run_scp("-f", "/demo/a")
        self.assertEqual(self.say(b"\0"), b"C0644 5 a\n")
        self.assertEqual(self.say(b"\0"), b"hello\0")
        self.say(b"\0")
        self.assertEqual(self.successResultOf(self.status), 0)

    def test_a_tree_with_times(self) -> None:
        for name in ("a", "b", "c"):
            self.tree.put(f"/demo/d/{name}", name.encode())
        self.run_scp("-rpf", "/demo/d")
        said = self.say(b"\0")
        while not self.status.called:
            said += self.say(b"\0")
        begins = [line[:1] for line in said.replace(b"\0", b"\n").split(b"\n")]
        self.assertEqual(b"".join(begins), b"TDTCaTCbTCcE")
        self.assertEqual(self.successResultOf(self.status), 0)

    def test_a_pattern(self) -> None:
        for name in ("a.grib", "b.grib", "c.nc"):
            self.tree.put(f"/demo/{name}", b"")
        self.run_scp("-f", "/demo/*.grib")
        said = self.say(b"\0")
        while not self.status.called:
            said += self.say(b"\0")
        self.assertEqual(said.replace(b"\0", b"").splitlines(), [b"C0644 0 a.grib", b"C0644 0 b.grib"])

    def test_what_is_not_there(self) -> None:
        for path in ("/demo/nothing", "/demo/no*", "/demo"):
            self.run_scp("-f", path)
            self.assertEqual(self.say(b"\0")[:1], b"\1")
            self.assertEqual(self.successResultOf(self.status), 1)

    def test_a_client_that_does_not_want_it(self) -> None:
        self.tree.put("/demo/a", b"hello")
        self.run_scp("-f", "/demo/a")
        self.say(b"\0")
        self.assertEqual(self.say(b"\1no room\n"), b"")
        self.assertEqual(self.successResultOf(self.status), 1)


class AnyDialogue(ScpCase):
    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from([("-t", "/demo/x"), ("-rt", "/demo"), ("-f", "/demo/a"), ("-rf", "/demo")]),
        st.lists(
            st.one_of(
                st.binary(max_size=40),
                st.sampled_from([b"\0", b"C0644 3 n\n", b"D0755 0 d\n", b"E\n", b"T1 0 1 0\n", b"abc\0", b"\1x\n", b"\2x\n"]),
            ),
            max_size=12,
        ),
    )
    def test_it_comes_to_an_end_and_nothing_of_ours_fails(self, words: tuple[str, str], said: list[bytes]) -> None:
        self.setUp()
        self.tree.put("/demo/a", b"hello")
        self.run_scp(*words)
        for piece in said:
            self.say(piece)
        self.stream.ended = True
        self.stream.arrive()
        self.assertIn(self.successResultOf(self.status), (0, 1))
        self.assertEqual(self.tree.uploads, [])
        self.assertEqual(self.flushLoggedErrors(), [])
