"""The disk that power cuts are tried on: what a cut may take from it and what not, and what strace's lines are."""

from __future__ import annotations

import random
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.real.disk import BLOCK, Disk
from tests.real.strace import Call, calls, until

ROOT = "/disk"


class CaseOfDisk(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = Disk(ROOT)

    def found(self, luck: float = 0.0, seed: int = 1) -> dict[str, bytes]:
        """The files after a cut."""
        target = Path(self.mktemp())
        self.disk.cut(target, luck, random.Random(seed))
        return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}

    def make(self, name: str, data: bytes) -> None:
        """A file that is on the disk."""
        self.disk.open(1, f"{ROOT}/{name}", False)
        self.disk.write(1, f"{ROOT}/{name}", 0, data)
        self.disk.sync(1, f"{ROOT}/{name}")
        self.disk.sync(1, ROOT)


class Cuts(CaseOfDisk):
    def test_what_was_synced_stays(self) -> None:
        self.make("a", b"whole")
        self.assertEqual(self.found(), {"a": b"whole"})

    def test_a_name_needs_its_folder_s_sync(self) -> None:
        self.disk.open(1, f"{ROOT}/a", False)
        self.disk.write(1, f"{ROOT}/a", 0, b"x")
        self.disk.sync(1, f"{ROOT}/a")
        self.assertEqual(self.found(), {})
        self.assertEqual(self.found(luck=1.0), {"a": b"x"})

    def test_bytes_need_the_file_s_sync(self) -> None:
        self.disk.open(1, f"{ROOT}/a", False)
        self.disk.write(1, f"{ROOT}/a", 0, b"x")
        self.disk.sync(1, ROOT)
        self.assertEqual(self.found(), {"a": b""})

    def test_a_sync_is_of_what_had_ended_when_it_began(self) -> None:
        self.make("a", b"")
        self.disk.write(2.0, f"{ROOT}/a", 0, b"old")
        self.disk.write(4.0, f"{ROOT}/a", None, b"new")
        self.disk.sync(3.0, f"{ROOT}/a")
        self.assertEqual(self.found(), {"a": b"old"})

    def test_blocks_come_by_themselves(self) -> None:
        self.make("a", b"")
        self.disk.write(2, f"{ROOT}/a", 0, b"x" * BLOCK * 8)
        contents = {self.found(0.5, seed)["a"] for seed in range(20)}
        self.assertTrue(any(b"\0" * BLOCK in each for each in contents))
        self.assertGreater(len(contents), 10)

    def test_a_rename_is_one_step(self) -> None:
        self.make("old", b"x")
        self.disk.rename(2, f"{ROOT}/old", f"{ROOT}/new")
        for seed in range(20):
            self.assertIn(self.found(0.5, seed), ({"old": b"x"}, {"new": b"x"}))

    def test_what_was_unlinked_may_come_back(self) -> None:
        self.make("a", b"x")
        self.disk.remove(2, f"{ROOT}/a")
        self.assertEqual((self.found(0.0), self.found(1.0)), ({"a": b"x"}, {}))

    def test_folders_in_folders(self) -> None:
        self.disk.make_folder(1, f"{ROOT}/d")
        self.disk.open(1, f"{ROOT}/d/a", False)
        self.disk.sync(1, f"{ROOT}/d")
        self.assertEqual(self.found(), {})
        self.disk.sync(1, ROOT)
        self.assertEqual(self.found(), {"d/a": b""})

    def test_sizes(self) -> None:
        self.make("a", b"12345")
        self.disk.truncate(2, f"{ROOT}/a", 2)
        self.disk.sync(2, f"{ROOT}/a")
        self.assertEqual(self.found(), {"a": b"12"})
        self.disk.open(3, f"{ROOT}/a", True)
        self.assertEqual((self.found(0.0), self.found(1.0)), ({"a": b"12"}, {"a": b""}))


def coded(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


class Lines(CaseOfDisk):
    def read(self, *lines: str) -> list[Call]:
        file = Path(self.mktemp())
        file.write_text("".join(f"{line}\n" for line in lines))
        return list(calls(file))

    def test_a_call_in_two_pieces(self) -> None:
        path, data = coded("/disk/a"), coded("x,y")
        (one, two) = self.read(
            f'7 1.5 pwrite64(3<{path}>, "{data}", 3, 10 <unfinished ...>',
            f"8 1.6 fsync(3<{path}>) = 0",
            "7 1.7 <... pwrite64 resumed>) = 3",
        )
        self.assertEqual(one, Call(1.6, 1.6, "fsync", (b"/disk/a",), 0))
        self.assertEqual(two, Call(1.5, 1.7, "pwrite64", (b"/disk/a", b"x,y", b"3", b"10"), 3))

    def test_one_that_the_kill_cut_short(self) -> None:
        path = coded("/disk/a")
        begun = self.read(f"7 1.5 fdatasync(3<{path}> <unfinished ...>", f"8 1.6 fsync(3<{path}>) = ?")
        self.assertEqual([each.result for each in begun], [None, None])
        for end in (") = ?", ")         = ?", ") = ? <unavailable>"):
            (write,) = self.read(f'7 1.5 pwrite64(3<{path}>, "{coded("x")}", 1, 10{end}')
            self.assertEqual((write.words, write.result), ((b"/disk/a", b"x", b"1", b"10"), None))

    def test_bytes_that_were_left_out(self) -> None:
        self.assertRaises(ValueError, self.read, '7 1.5 write(3, "\\x00"..., 10) = 10')

    def test_on_a_disk(self) -> None:
        a, new, root = coded("/disk/a"), coded("/disk/new"), coded("/disk")
        seen = self.read(
            f'7 1.0 openat(AT_FDCWD<{root}>, "{a}", O_WRONLY|O_CREAT, 0600) = 3<{a}>',
            f'7 2.0 write(3<{a}>, "{coded("hello")}", 5) = 4',
            f"7 3.0 fsync(3<{a}>) = 0",
            f'7 4.0 rename("{a}", "{new}") = 0',
            f"7 5.0 fsync(4<{root}>) = 0",
            f'7 6.0 unlink("{new}") = -1 ENOENT (No such file or directory)',
        )
        until(seen, 4.5, self.disk)
        self.assertEqual((self.found(), self.found(1.0)), ({}, {"new": b"hell"}))
        self.disk = Disk(ROOT)
        until(seen, 9.0, self.disk)
        self.assertEqual(self.found(), {"new": b"hell"})

    def test_a_call_that_nobody_has_thought_of(self) -> None:
        seen = self.read(f'7 1.0 link("{coded("/disk/a")}", "{coded("/disk/b")}") = 0')
        self.assertRaises(ValueError, until, seen, 2.0, self.disk)
