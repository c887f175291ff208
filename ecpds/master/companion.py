"""The companion: a process beside the Master's that commits to the catalogue, out of the way of the Master's interpreter.

Who tells whom: the Master starts `python -m ecpds.master.companion`, with one end of a pair of sockets as its descriptor 3. The
companion takes its lock on the catalogue, opens it and says that it is ready. Then the Master sends a batch of operations
(`shipping`), the companion commits it as one transaction and answers with the outcomes; then the next. It ends when the
Master has closed its end, or has ended: whatever it was told by then is committed, and nothing after.

It ignores the signals that end a daemon, for those come to all processes of a service or a terminal at once, and the
Master has batches for it until its own end.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections import deque
from pathlib import Path
from typing import BinaryIO

from twisted.logger import ILogObserver, LogEvent, eventAsText, globalLogBeginner
from zope.interface import provider

from ecpds.master import shipping
from ecpds.master.companion_link import SOCKET
from ecpds.master.engine import SYNCED, CatalogueError, Engine, head
from ecpds.master.engines import engine_of
from ecpds.master.writer import Checkpoints, Committer

LINES = 1000
"""Lines for the log that are kept until the next answer, at most."""


def serve(engine: Engine, asked: BinaryIO, answered: BinaryIO, lines: deque[str]) -> None:
    """Commit one batch after the other, until there are no more. Raises `EOFError` where one is cut off.

    `lines` are taken from as they come.
    """
    committer, checkpoints = Committer(engine), Checkpoints(engine)
    moving = threading.Thread(target=checkpoints.work, daemon=True, name="checkpoints")
    moving.start()
    try:
        _say(answered, shipping.answer([], [], []))
        while (data := _message(asked)) is not None:
            operations = shipping.operations_of(data)
            outcomes = committer.commit(operations)
            checkpoints.wanted.set()
            _say(answered, shipping.answer(operations, outcomes, _taken(lines)))
    finally:
        checkpoints.stop()
        moving.join()
        committer.close()


def _message(asked: BinaryIO) -> bytes | None:
    head = asked.read(shipping.PREFIX)
    if not head:
        return None
    size = int.from_bytes(head)
    data = asked.read(size)
    if len(head) < shipping.PREFIX or len(data) < size:
        raise EOFError("a batch was cut off")
    return data


def _say(answered: BinaryIO, data: bytes) -> None:
    answered.write(data)
    answered.flush()


def _taken(lines: deque[str]) -> list[str]:
    return [lines.popleft() for _ in range(len(lines))]


def _keeping(lines: deque[str]) -> None:
    """Keep what is logged for the Master to say: it knows where its own log is."""

    @provider(ILogObserver)
    def keep(event: LogEvent) -> None:
        lines.append(eventAsText(event, includeTimestamp=False, includeSystem=False))

    globalLogBeginner.beginLoggingTo([keep], redirectStandardIO=False, discardBuffer=True)


def joined(url: str, synced: str, schema: str) -> Engine:
    """The Master's catalogue. Raises `CatalogueError`.

    Where the program was replaced on the disk since the Master's start, and its schema with it, nobody is served: the thread
    that does a companion's work meanwhile knows the catalogue as it is.
    """
    if schema != head():
        raise CatalogueError(f"this program's schema is {head()} by now, that of its Master {schema}")
    engine = engine_of(url, Path("/"), synced == SYNCED)
    engine.accompany()
    return engine


def main(url: str, synced: str, schema: str) -> None:
    """Serve the Master that has started this process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lines: deque[str] = deque(maxlen=LINES)
    _keeping(lines)
    try:
        with socket.socket(fileno=SOCKET) as end, end.makefile("rb") as asked, end.makefile("wb") as answered:
            serve(joined(url, synced, schema), asked, answered, lines)
    except (CatalogueError, EOFError, ConnectionError) as error:
        sys.exit(f"the catalogue's companion: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
