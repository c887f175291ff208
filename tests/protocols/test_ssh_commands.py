"""The commands that an SSH client may run, over the file system in memory."""

from __future__ import annotations

import hashlib
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.limits import Limits
from ecpds.model import Origin
from ecpds.protocols.sftp import SftpMeans
from ecpds.protocols.ssh_commands import UNKNOWN, run_command, words_of
from ecpds.transports.buffers import BufferPool
from tests.doubles.portal import MemoryPortal, make_identity
from tests.doubles.streams import MemoryStream
from tests.protocols.test_sftp import never
from tests.ssh.support import AT_ONCE


class Commands(SynchronousTestCase):
    def setUp(self) -> None:
        self.portal = MemoryPortal({"alice": ("pw", make_identity())})
        self.portal.tree.put("/demo/a b", b"hello")

    def run_line(self, line: str, *said: bytes) -> tuple[int, str, str]:
        """The status, the output and the error output."""
        files = self.successResultOf(Deferred.fromCoroutine(self.portal.login("alice", "pw", Origin("ssh", "192.0.2.7"))))
        stream = MemoryStream()
        means = SftpMeans(Limits(), Random(1), lambda: 1.7e9, never, BufferPool(1 << 20), AT_ONCE)
        done = Deferred.fromCoroutine(run_command(files, stream, line, means))
        for piece in said:
            stream.arrive(piece)
        stream.ended = True
        stream.arrive()
        return self.successResultOf(done), stream.sent.decode(), stream.complaints.decode()

    def test_digests_come_from_the_catalogue_as_coreutils_print_them(self) -> None:
        for name in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(name, b"hello").hexdigest()
            self.assertEqual(self.run_line(f"{name}sum '/demo/a b'"), (0, f"{digest}  /demo/a b\n", ""))

    def test_one_that_is_not_there_beside_one_that_is(self) -> None:
        status, out, said = self.run_line("sha256sum -- /demo/none '/demo/a b'")
        self.assertEqual((status, len(out.splitlines()), len(said.splitlines())), (1, 1, 1))
        self.assertTrue(said.startswith("sha256sum: /demo/none: "))

    def test_an_empty_input(self) -> None:
        self.assertEqual(self.run_line("md5sum"), (0, f"{hashlib.md5(b'').hexdigest()}  -\n", ""))
        status, out, _ = self.run_line("md5sum", b"something")
        self.assertEqual((status, out), (1, ""))

    def test_a_backslash_is_escaped(self) -> None:
        self.portal.tree.put("/demo/a\\b", b"x")
        _, out, _ = self.run_line("md5sum '/demo/a\\b'")
        self.assertEqual(out, f"\\{hashlib.md5(b'x').hexdigest()}  /demo/a\\\\b\n")

    def test_df(self) -> None:
        """In the order in which rclone and POSIX have the columns."""
        self.portal.tree.space = 10 << 20
        head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        for line in ("df", "df -k /", "df -P -k /", "df -Pk '/'"):
            self.assertEqual(self.run_line(line), (0, f"{head}ecpds 10240 1 10239 1% /\n", ""), line)
        self.assertEqual(self.run_line("df -k /none /demo")[:2], (1, f"{head}ecpds 10240 1 10239 1% /demo\n"))
        self.assertEqual(self.run_line("df -h")[:2], (1, ""))

    def test_nothing_else(self) -> None:
        for line in ("", "id", "sh -c id", "md5sum; id", "'", "scp2", "/usr/bin/scp -t /", "$(scp)", "rsync --server"):
            status, out, said = self.run_line(line)
            self.assertEqual((status, out), (UNKNOWN, ""), line)
            self.assertIn("There is no shell here", said)

    def test_no_word_is_expanded(self) -> None:
        status, out, said = self.run_line("md5sum $HOME `id` /demo/* ; id")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("$HOME", said)

    @given(st.text(max_size=60))
    def test_any_line(self, line: str) -> None:
        words_of(line)
        status, _, _ = self.run_line(line)
        self.assertIn(status, (0, 1, UNKNOWN))
