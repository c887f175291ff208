"""What conch 26.10 gets wrong in SFTP, each by its number in the project's list of them."""

from __future__ import annotations

import struct
from time import perf_counter

from twisted.conch.ssh.filetransfer import FX_FILE_ALREADY_EXISTS

from ecpds.protocols.sftp_packets import LARGEST_DATA, LARGEST_PACKET, Code, Open, Type, string
from tests.protocols.test_sftp import ATTRS, CREATE, DATA, HANDLE, NAME, NO_ATTRIBUTES, SftpTestCase, framed


class Defects(SftpTestCase):
    def test_5_the_length_of_a_packet_is_capped(self) -> None:
        """4 GiB were accepted, and kept."""
        self.wires.arrive(struct.pack(">L", LARGEST_PACKET + 1) + b"x" * 100)
        self.assertEqual(self.successResultOf(self.status), 1)

    def test_6_the_length_of_a_read_is_capped(self) -> None:
        """0xffffffff came through to the file."""
        self.tree.put("/demo/a", bytes(2 * LARGEST_PACKET))
        kind, body = self.one(Type.READ, self.open("/demo/a", Open.READ), struct.pack(">QL", 0, 0xFFFFFFFF))
        self.assertEqual((kind, len(body)), (DATA, 4 + LARGEST_DATA))

    def test_7_everything_is_answered(self) -> None:
        """What was malformed or unknown got no answer, and the client hung."""
        for type in (99, 255, Type.READLINK, Type.SYMLINK):
            self.assertEqual(self.code(type), Code.OP_UNSUPPORTED)
        for type in set(Type) - {Type.INIT, Type.READLINK, Type.SYMLINK}:
            self.assertEqual(self.code(type), Code.BAD_MESSAGE, type)
            self.assertEqual(self.code(type, b"\xff\xff\xff\xff"), Code.BAD_MESSAGE, type)
        self.assertEqual(self.code(Type.CLOSE, string(b"x" * 1000)), Code.BAD_MESSAGE)

    def test_8_extensions_are_answered_as_they_say(self) -> None:
        """All were answered with EXTENDED_REPLY, at which OpenSSH's client ends."""
        self.tree.put("/demo/a", b"x")
        names = string(b"/demo/a") + string(b"/demo/b")
        self.assertEqual(self.code(Type.EXTENDED, string(b"posix-rename@openssh.com"), names), Code.OK)
        self.assertEqual(self.code(Type.EXTENDED, string(b"fsync@openssh.com"), self.open("/demo/c", CREATE)), Code.OK)
        self.assertEqual(self.code(Type.EXTENDED, string(b"hardlink@openssh.com"), names), Code.OP_UNSUPPORTED)

    def test_9_links_are_refused_whatever_their_order(self) -> None:
        self.assertEqual(self.code(Type.SYMLINK, string(b"/demo/target"), string(b"/demo/link")), Code.OP_UNSUPPORTED)

    def test_10_no_status_is_none_of_version_3(self) -> None:
        """That a file was there was said with a code of a later version."""
        self.tree.put("/demo/a", b"x")
        flags = struct.pack(">L", CREATE | Open.EXCL)
        code = self.code(Type.OPEN, string(b"/demo/a"), flags, NO_ATTRIBUTES)
        self.assertEqual(code, Code.FAILURE)
        self.assertNotEqual(code, FX_FILE_ALREADY_EXISTS)
        self.assertEqual(self.code(Type.MKDIR, string(b"/demo"), NO_ATTRIBUTES), Code.FAILURE)

    def test_11_directories_are_read_from_what_answers_later(self) -> None:
        self.tree.put("/demo/a", b"x")
        kind, handle = self.one(Type.OPENDIR, string(b"/demo"))
        self.assertEqual(kind, HANDLE)
        self.assertEqual(self.one(Type.READDIR, handle)[0], NAME)
        self.assertEqual(self.code(Type.READDIR, handle), Code.EOF)

    def test_12_handles_are_counted_and_can_not_be_guessed(self) -> None:
        """100,001 could be open, each named by its address."""
        self.tree.put("/demo/a", b"x")
        handles = {self.open("/demo/a", Open.READ) for _ in range(4)}
        self.assertEqual({len(handle) for handle in handles}, {4 + 16})
        self.assertEqual(len(handles), 4)
        self.assertEqual(self.code(Type.OPEN, string(b"/demo/a"), struct.pack(">L", 1), NO_ATTRIBUTES), Code.FAILURE)

    def test_13_a_packet_that_comes_in_small_pieces_costs_no_more(self) -> None:
        """The time was quadratic in the length of a packet."""
        packet = framed(Type.STAT, struct.pack(">L", 7) + string(b"/" + b"x" * (LARGEST_PACKET - 100)))
        start = perf_counter()
        for at in range(0, len(packet), 16):
            self.wires.arrive(packet[at : at + 16])
        self.assertLess(perf_counter() - start, 5.0)
        self.assertEqual(self.wires.sent[4], 101)
        self.wires.sent.clear()
        self.assertEqual(self.one(Type.STAT, string(b"/"))[0], ATTRS)

    def test_13_data_that_come_in_small_pieces(self) -> None:
        handle = self.open("/demo/a", CREATE)
        data = bytes(range(256)) * 100
        packet = framed(Type.WRITE, struct.pack(">L", 7) + handle + struct.pack(">Q", 0) + string(data))
        for at in range(0, len(packet), 7):
            self.wires.arrive(packet[at : at + 7])
        self.wires.sent.clear()
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.content("demo/a"), data)

    def test_what_stands_behind_the_data_of_a_write_means_nothing(self) -> None:
        """Old versions of Go's pkg/sftp, and so of rclone, send packets that are longer than what is in them."""
        handle = self.open("/demo/a", CREATE)
        self.assertEqual(self.code(Type.WRITE, handle, struct.pack(">Q", 0), string(b"abc"), bytes(5000)), Code.OK)
        self.assertEqual(self.code(Type.CLOSE, handle), Code.OK)
        self.assertEqual(self.content("demo/a"), b"abc")
