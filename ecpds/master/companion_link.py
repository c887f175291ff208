"""The Master's end of its companion: starts it, gives it batches, and starts another when it has ended.

Who tells whom: see `companion`. What a companion that has ended had been given is settled when its process is gone, not
before: until then it might still commit.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

import ecpds
from ecpds.errors import Unavailable
from ecpds.master import shipping

SOCKET = 3
"""The companion's descriptor of its end."""

RETRY, LONGEST = 1.0, 60.0
"""Seconds until a companion that has ended is started again: after the first time, and after many."""

READ = 1 << 16
"""Bytes that are read at a time."""


def command(words: Sequence[str]) -> list[str]:
    """What starts a companion; the folder in which we happen to be has no say in what it imports."""
    return [sys.executable, "-P", "-m", "ecpds.master.companion", *words]


def environment() -> dict[str, str]:
    """Ours, and where this very program is."""
    ours = str(Path(ecpds.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))}


class Companion(ProcessProtocol):
    """A companion of this process, for the catalogue that `words` name (`Engine.companion`), and those that follow it."""

    log = Logger()

    def __init__(self, words: Sequence[str], reactor: Any) -> None:
        """The reactor has to do processes, descriptors and time."""
        self._words = words
        self._reactor = reactor
        self._line: Line | None = None
        self._answer: Deferred[shipping.Answer] | None = None
        self._ended: Deferred[None] | None = None
        self._pause = RETRY
        self._again: IDelayedCall | None = None
        self._stopping = False
        self.is_ready = False

    def start(self) -> None:
        self._again = None
        ours, its = socket.socketpair()
        with its, open(os.devnull, "r+b") as nothing:
            null = nothing.fileno()
            self._ended = Deferred()
            try:
                self._reactor.spawnProcess(
                    self,
                    sys.executable,
                    command(self._words),
                    environment(),
                    childFDs={0: null, 1: null, 2: 2, SOCKET: its.fileno()},
                )
            except OSError as error:
                ours.close()
                self._over(f"can't be started: {error}")
                return
        self._line = Line(ours, self._heard, self._deaf, self._reactor)
        self._line.startReading()  # type: ignore[no-untyped-call]

    async def commit(self, operations: Sequence[object]) -> list[Any]:
        """As `IsCompanion` has it."""
        data = shipping.batch(operations)
        if self._line is None or not self.is_ready:
            raise Unavailable("the catalogue's writer has ended")
        self._answer = Deferred()
        self._line.send(data)
        answer = await self._answer
        self._pause = RETRY
        return shipping.outcomes_of(operations, answer)

    async def stop(self) -> None:
        """Returns when it has ended; it is given nothing any more. One that has just been started is not waited for."""
        was_ready, self._stopping, self.is_ready = self.is_ready, True, False
        if not was_ready:
            self._kill()
        if self._again is not None:
            self._again.cancel()
        if self._line is not None:
            self._line.leave()
        if self._ended is not None:
            await self._ended

    def _heard(self, data: bytes) -> None:
        answer = shipping.answer_of(data)
        for line in answer.lines:
            self.log.error("the catalogue's companion: {line}", line=line)
        waiting, self._answer = self._answer, None
        if waiting is not None:
            waiting.callback(answer)
        elif not self._stopping:
            self.is_ready = True

    def _deaf(self) -> None:
        """It has closed its end, or says what nobody understands: it may not go on with what it does."""
        self.is_ready = False
        if not self._stopping:
            self._kill()

    def _kill(self) -> None:
        try:
            if self.transport is not None:
                self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            return

    def processEnded(self, reason: Failure) -> None:
        self._over(f"has ended: {reason.getErrorMessage()}")

    def _over(self, how: str) -> None:
        self.is_ready = False
        if self._line is not None:
            self._line.leave()
            self._line = None
        ended, self._ended = self._ended, None
        if not self._stopping:
            self.log.error("the catalogue's companion {how}; a thread does its work meanwhile", how=how)
            self._again = self._reactor.callLater(self._pause, self.start)
            self._pause = min(2 * self._pause, LONGEST)
        waiting, self._answer = self._answer, None
        if waiting is not None:
            waiting.errback(Unavailable("the catalogue's writer has ended"))
        if ended is not None:
            ended.callback(None)


class Line(FileDescriptor):
    """Our end of the pair of sockets. `heard` is called with each message, `deaf` when there will be no more."""

    def __init__(self, sock: socket.socket, heard: Any, deaf: Any, reactor: Any) -> None:
        super().__init__(reactor)
        sock.setblocking(False)
        self._socket = sock
        self._heard = heard
        self._deaf = deaf
        self._received = bytearray()
        self.connected = 1

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """At once, as far as the kernel takes it."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return
        if sent < len(data):
            self.write(data[sent:])

    def leave(self) -> None:
        """Close this end; nothing is heard any more."""
        if self.connected:
            self.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]

    def doRead(self) -> Exception | None:
        try:
            data = self._socket.recv(READ)
        except BlockingIOError:
            return None
        except OSError as error:
            return error
        if not data:
            return ConnectionDone()
        self._received += data
        try:
            for message in shipping.messages(self._received):
                self._heard(message)
        except (msgspec.DecodeError, ValueError) as error:
            return error
        return None

    def writeSomeData(self, data: bytes) -> int | Exception:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            return error

    def connectionLost(self, reason: Failure) -> None:
        if self.connected:
            super().connectionLost(reason)  # type: ignore[no-untyped-call]
            self._socket.close()
            self._deaf()
