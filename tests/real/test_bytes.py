"""Bytes through the real reactor: loopback, threads, files, TLS. Python's own sockets and ssl are the clients."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from ecpds.errors import ConnectionLost, Incomplete
from ecpds.interfaces import IChannel
from ecpds.limits import Limits
from ecpds.model import Copy, Receipt
from ecpds.mover.store import LocalStore
from ecpds.threads import PoolThreads
from ecpds.timeouts import Timeouts
from ecpds.transports.buffers import BufferPool
from ecpds.transports.channel import Surroundings
from ecpds.transports.listeners import serve
from ecpds.transports.pages import Pages
from ecpds.transports.stretches import MOST, Stretches
from tests.transports.pump import server_context

CONTENT = os.urandom(12_345_678)


class BytesTests(TestCase):
    timeout = 60
    context: Any = None

    def setUp(self) -> None:
        self.threads = PoolThreads(reactor, "disk", 4)
        self.digest_threads = PoolThreads(reactor, "digest", 2)
        for pool in (self.threads, self.digest_threads):
            pool.start()
            self.addCleanup(pool.stop)
        limits = Limits()
        pool = BufferPool(limits.buffers)
        self.around = Surroundings(reactor, Timeouts(reactor), limits, pool, Pages(self.threads), self.make_stretches(pool))
        self.root = Path(self.mktemp()).absolute()
        self.store = LocalStore(
            "m", [self.root], self.stored, self.threads, self.digest_threads, self.around.pool, limits, True, reactor
        )
        self.gone: list[Deferred[None]] = []
        self.server = serve(self.around, "127.0.0.1", 0, self.on_channel, context=self.context)
        self.addCleanup(self.all_gone)

    def make_stretches(self, pool: BufferPool) -> Stretches | None:
        return None

    async def all_gone(self) -> None:
        self.server.stop_listening()
        await gatherResults(self.gone)
        while self.server.connections:
            turn: Deferred[None] = Deferred()
            reactor.callLater(0, turn.callback, None)
            await turn
        for call in reactor.getDelayedCalls():
            if call.func.__name__ == "_look":
                call.cancel()  # A watch looks for the last time long after its channel is gone.

    async def stored(self, receipt: Receipt) -> None:
        pass

    def on_channel(self, channel: IChannel) -> None:
        self.gone.append(Deferred.fromCoroutine(self.answer(channel, len(self.gone) + 1)))

    async def answer(self, channel: IChannel, number: int) -> None:
        """`P` and the content stores it, the first as segment 1; `G` gives that back."""
        verb = memoryview(bytearray(1))
        await channel.read_into(verb)
        if bytes(verb) == b"P":
            upload = await self.store.write(number, 0, ("sha256",))
            try:
                await upload.receive(channel, len(CONTENT))
            except ConnectionLost:
                await upload.abort()
                raise
            receipt = await upload.finish(len(CONTENT))
            await channel.write(receipt.digests["sha256"].encode())
        else:
            download = await self.store.read(1, Copy("m", 0), len(CONTENT))
            await download.send(channel, 0, len(CONTENT))
            download.close()
        await channel.finish()

    def ask(self, talk: Callable[[socket.socket], bytes]) -> Deferred[bytes]:
        def in_thread() -> bytes:
            with socket.create_connection(("127.0.0.1", self.server.port)) as sock:
                sock.settimeout(30)
                return talk(self.wrap(sock))

        return deferToThread(in_thread)

    def wrap(self, sock: socket.socket) -> Any:
        return sock

    @staticmethod
    def upload(sock: Any) -> bytes:
        sock.sendall(b"P" + CONTENT)
        return read_all(sock)

    @staticmethod
    def download(sock: Any) -> bytes:
        sock.sendall(b"G")
        return read_all(sock)

    async def test_round_trips(self) -> None:
        digest = hashlib.sha256(CONTENT).hexdigest()
        self.assertEqual((await self.ask(self.upload)).decode(), digest)
        answers = await gatherResults([self.ask(self.download), self.ask(self.download), self.ask(self.upload)])
        self.assertEqual([len(answer) for answer in answers], [len(CONTENT), len(CONTENT), 64])
        self.assertEqual(answers[:2], [CONTENT, CONTENT])
        self.assertEqual(answers[2].decode(), digest)
        self.assertEqual(self.around.pool.lent, 0)


class TlsBytesTests(BytesTests):
    def setUp(self) -> None:
        self.context = server_context()
        super().setUp()

    def wrap(self, sock: socket.socket) -> Any:
        return ssl._create_unverified_context().wrap_socket(sock)


class CountingStretches(Stretches):
    """Counts the threads that were asked for and had."""

    seized = 0

    def seize(self) -> bool:
        had = super().seize()
        self.seized += had
        return had


class FloodedBytesTests(BytesTests):
    """Uploads that take a thread when they are fast."""

    def make_stretches(self, pool: BufferPool) -> Stretches | None:
        threads = PoolThreads(reactor, "relay", MOST)
        threads.start()
        self.addCleanup(threads.stop)
        self.stretches = CountingStretches(threads, pool, time.monotonic)
        return self.stretches

    async def test_round_trips(self) -> None:
        await super().test_round_trips()
        self.assertGreater(self.stretches.seized, 0)

    async def test_a_client_that_goes_in_the_middle(self) -> None:
        """It fails as ever, nothing stays, and the next one is served."""
        self.assertEqual(await self.ask(self.go), b"")
        failures = await gatherResults([each.addErrback(lambda failure: failure.type) for each in self.gone])
        self.gone.clear()
        self.assertIn(failures[0], (ConnectionLost, Incomplete))
        self.assertEqual([path for path in self.root.rglob("*") if path.is_file()], [])
        self.assertEqual(self.around.pool.lent, 0)
        self.assertEqual((await self.ask(self.upload)).decode(), hashlib.sha256(CONTENT).hexdigest())

    def go(self, sock: Any) -> bytes:
        sock.sendall(b"P" + CONTENT[:9_000_000])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return b""


class FloodedTlsTests(FloodedBytesTests, TlsBytesTests):
    pass


def read_all(sock: Any) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 20), b""))
