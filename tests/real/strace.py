"""What a process asked of its disk, as strace saw it: who began and ended which call when.

strace stops a thread at the end of each call that it watches, and writes the line before the thread goes on. So whatever a
client was told before a time has its calls in the lines before that time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psutil
from attrs import frozen

from tests.real.disk import Disk

CALLS = (
    "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,"
    "rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,copy_file_range,splice,sendfile"
)

LINE = re.compile(r"(\d+) +(\d+\.\d+) (?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))", re.DOTALL)
ENDED = re.compile(r"(.*)\) += (-?\d+)(?:<.*>)?(?: E\w+ .*)?", re.DOTALL)
CUT = re.compile(r"\) += \?.*", re.DOTALL)
"""How a call ends in which the process was killed: nobody knows what it did."""
UNFINISHED = " <unfinished ...>"
WORD = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?|[^,\s<"]*<((?:\\x[0-9a-f]{2})*)>[^,\s]*|[^,\s]+')


def traced(file: Path) -> list[str]:
    """What to put before a command: its process stays the child of who starts it, strace stands beside, and ends after it."""
    options = ["-DDD", "-f", "--seccomp-bpf", "-ttt", "-y", "-xx", "-s", "16000000", "-e", "signal=KILL"]
    return ["strace", *options, "-o", str(file), "-e", f"trace={CALLS}"]


@frozen
class Call:
    """One system call. `words` are its arguments: paths and data decoded, descriptors as their paths, others as they stand.

    `result` is None for one that had not ended when the process did.
    """

    began: float
    ended: float
    name: str
    words: tuple[bytes, ...]
    result: int | None


def calls(file: Path) -> Iterator[Call]:
    """Every call in the order in which they ended; those that never did come last."""
    begun: dict[str, tuple[float, str, str]] = {}
    with file.open(encoding="ascii", errors="backslashreplace") as lines:
        for line in lines:
            found = LINE.fullmatch(line.rstrip("\n"))
            if found is None:
                continue
            thread, time, resumed, rest, name, text = found.groups()
            if resumed:
                began, name, text = begun.pop(thread)
                text += rest
            else:
                began = float(time)
            if text.endswith(UNFINISHED):
                begun[thread] = (began, name, text.removesuffix(UNFINISHED))
            else:
                yield _call(began, float(time), name, text)
    for began, name, text in begun.values():
        yield Call(began, float("inf"), name, _words(text), None)


def _call(began: float, time: float, name: str, text: str) -> Call:
    ended = ENDED.fullmatch(text)
    if ended is None:
        return Call(began, float("inf"), name, _words(CUT.sub("", text)), None)
    return Call(began, time, name, _words(ended[1]), int(ended[2]))


def _words(text: str) -> tuple[bytes, ...]:
    return tuple(_word(each) for each in WORD.finditer(text))


def _word(found: re.Match[str]) -> bytes:
    if found[2]:
        raise ValueError("strace left bytes out")
    for coded in (found[1], found[3]):
        if coded is not None:
            return bytes.fromhex(coded.replace("\\x", ""))
    return found[0].encode()


def until(seen: list[Call], time: float, disk: Disk) -> None:
    """Do to a disk what had been asked of it by `time`. A call that was under way then may have done its work, not its sync."""
    for call in seen:
        if call.began <= time and (call.result is None or call.result >= 0):
            _do(call, time, disk)


def _do(call: Call, time: float, disk: Disk) -> None:
    ended = call.ended if call.ended <= time else float("inf")
    words = call.words
    match call.name:
        case "fsync" | "fdatasync":
            if call.ended <= time:
                disk.sync(call.began, words[0].decode())
        case "write":
            disk.write(ended, words[0].decode(), None, words[1][: call.result])
        case "pwrite64":
            disk.write(ended, words[0].decode(), int(words[3]), words[1][: call.result])
        case "ftruncate":
            disk.truncate(ended, words[0].decode(), int(words[1]))
        case "openat" if b"O_CREAT" in words[2]:
            disk.open(ended, _at(words[0], words[1]), b"O_TRUNC" in words[2])
        case _:
            _do_with_names(call, ended, disk)


def _do_with_names(call: Call, ended: float, disk: Disk) -> None:
    words = call.words
    match call.name:
        case "mkdir":
            disk.make_folder(ended, words[0].decode())
        case "unlink" | "rmdir":
            disk.remove(ended, words[0].decode())
        case "unlinkat":
            disk.remove(ended, _at(words[0], words[1]))
        case "rename":
            disk.rename(ended, words[0].decode(), words[1].decode())
        case "renameat":
            disk.rename(ended, _at(words[0], words[1]), _at(words[2], words[3]))
        case "openat":
            pass
        case _ if any(word.startswith(disk.root.encode()) for word in words):
            raise ValueError(f"a call that this disk does not know: {call.name} {words[0]!r}")


def _at(folder: bytes, path: bytes) -> str:
    return path.decode() if path.startswith(b"/") else f"{folder.decode()}/{path.decode()}"


def has_ended(file: Path) -> bool:
    """Whether the traced process and all that it started have ended, and strace has written all of it."""
    return not any(str(file) in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
