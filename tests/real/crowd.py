"""A crowd at the FTP door: sessions that are idle, and beside them transfers that all run at once.

The transfers run in a process of their own (`python -m tests.real.crowd PORT COUNT SECONDS FOLDER FILE`), half of them
downloads of the file and half uploads, each as fast as it can until the time is over; it prints the bytes that each one
moved. Meanwhile the caller says NOOP on idle sessions, one after the other, and takes the time of each answer.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from statistics import median, quantiles

from attrs import frozen

from tests.real.clients import LIMIT
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, ROOT, Node, environment
from tests.real.slow_clients import resident

PIECE = 1 << 16


@frozen
class Figures:
    """Bytes that an idle session costs, seconds that answers to NOOP took, and bytes that each transfer moved."""

    idle_bytes: float
    answers: Sequence[float]
    moved: Sequence[int]

    @property
    def p99(self) -> float:
        return quantiles(self.answers, n=100)[98]

    @property
    def least(self) -> float:
        """The slowest transfer's share of what one in the middle moved in its direction."""
        half = len(self.moved) // 2
        return min(min(part) / median(part) for part in (self.moved[:half], self.moved[half:]))


def measure(node: Node, idle: int, transfers: int, seconds: float, file: str) -> Figures:
    """`file` is the harness's name of one that is there, too large to be fetched in that time."""
    with ExitStack() as stack:
        sessions = [stack.enter_context(session(node.ports["ftp"]))]
        before = resident(node.pid)
        sessions += [stack.enter_context(session(node.ports["ftp"])) for _ in range(idle - 1)]
        each = (resident(node.pid) - before) / max(1, idle - 1)
        command = [sys.executable, "-m", "tests.real.crowd", str(node.ports["ftp"]), str(transfers), str(seconds)]
        crowd = subprocess.Popen(
            [*command, f"/{DESTINATION}/", file], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert crowd.stdout is not None
        crowd.stdout.readline()
        answers = list(timed(sessions, seconds))
        told, _ = crowd.communicate(timeout=LIMIT + seconds)
        return Figures(each, answers, json.loads(told))


def timed(sessions: Sequence[Session], seconds: float) -> Iterator[float]:
    """How long each answer took, on all sessions in turns."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for each in sessions:
            start = time.monotonic()
            each.say("NOOP", b"200")
            yield time.monotonic() - start
            if start > end:
                return
            time.sleep(0.002)


class Session:
    """A control connection that is logged in."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._replies = connection.makefile("rb")

    def say(self, command: str, expected: bytes) -> None:
        """Raises `ValueError` for any other reply."""
        if command:
            self._connection.sendall(command.encode() + b"\r\n")
        line = self._replies.readline()
        if not line.startswith(expected):
            raise ValueError(f"{command}: {line!r}")


@contextmanager
def session(port: int) -> Iterator[Session]:
    with closing(socket.create_connection(("127.0.0.1", port), LIMIT)) as connection:
        entered = Session(connection)
        entered.say("", b"220")
        entered.say(f"USER {LOGIN}", b"331")
        entered.say(f"PASS {PASSWORD}", b"230")
        yield entered


async def _transfer(port: int, command: str, counts: list[int], begun: list[asyncio.Event], number: int) -> None:
    """Begin one transfer, and move bytes for ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def say(text: str, expected: bytes) -> bytes:
        if text:
            writer.write(text.encode() + b"\r\n")
        line = await reader.readline()
        if not line.startswith(expected):
            raise ValueError(f"{text}: {line!r}")
        return line

    await say("", b"220")
    await say(f"USER {LOGIN}", b"331")
    await say(f"PASS {PASSWORD}", b"230")
    await say("TYPE I", b"200")
    data_port = int((await say("EPSV", b"229")).split(b"|||")[1].split(b"|")[0])
    source, sink = await asyncio.open_connection("127.0.0.1", data_port)
    await say(command, b"150")
    block = bytes(PIECE)
    while True:
        if command.startswith("RETR"):
            piece = await source.read(PIECE)
            if not piece:
                raise ValueError(f"{command} ended before its time")
            counts[number] += len(piece)
        else:
            sink.write(block)
            await sink.drain()
            counts[number] += PIECE
        begun[number].set()


async def _crowd(port: int, count: int, seconds: float, folder: str, file: str) -> None:
    counts, begun = [0] * count, [asyncio.Event() for _ in range(count)]
    commands = [f"RETR {folder}{file}"] * (count // 2) + [f"STOR {folder}up-{number}" for number in range(count - count // 2)]
    running = [asyncio.create_task(_transfer(port, command, counts, begun, number)) for number, command in enumerate(commands)]
    await asyncio.wait_for(asyncio.gather(*(each.wait() for each in begun)), LIMIT)
    print("running", flush=True)
    before = list(counts)
    ended, _ = await asyncio.wait(running, timeout=seconds)
    for each in ended:
        each.result()
    print(json.dumps([now - then for now, then in zip(counts, before, strict=True)]), flush=True)


if __name__ == "__main__":
    asyncio.run(_crowd(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5]))
