"""What fetches stand on, composed: connections from `transports`, mechanisms from `sources`. For `ecpds fetch`, which has a
reactor of its own, and for a node, whose movers fetch what they acquire."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Awaitable, Callable
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.defer import Deferred

from ecpds.interfaces import IThreads, ITimeouts
from ecpds.limits import Limits
from ecpds.node.process import batched_timer, raise_descriptor_limit
from ecpds.sources.fetch.command import FetchOptions
from ecpds.sources.fetch.credentials import Ask, Wallet
from ecpds.sources.fetch.means import Means
from ecpds.sources.mechanisms.base import Credentials
from ecpds.threads import PoolThreads
from ecpds.timeouts import Timeouts
from ecpds.transports.buffers import BufferPool
from ecpds.transports.channel import Surroundings
from ecpds.transports.outgoing import Outgoing, Reach
from ecpds.transports.pages import Pages

if TYPE_CHECKING:  # `ecpds fetch` has no node, and is to start quickly
    from ecpds.node.means import Means as NodeMeans

PATIENT = evolve(Limits(), stall=30.0, handshake=15.0, header_bytes=65536)
"""How long a server may take, and what its heads may be; another source may be waiting."""

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread must let the reactor have the interpreter: it waits for that at every turn otherwise."""

THREADS = 8


def make_means(
    around: Surroundings,
    threads: IThreads,
    credentials: Credentials,
    *,
    verify: bool = True,
    authorities: str | None = None,
    private: bool = True,
    inside: bool = True,
    programs: bool = True,
) -> Means:
    """`inside`: whether URLs themselves may lead to this machine and private networks; `private`: whether redirects may."""
    reach = Reach.ANYWHERE if inside else Reach.PUBLIC
    outgoing: Any = Outgoing(around, threads, verify, reach, authorities)
    timeouts: ITimeouts = around.timeouts
    return Means(
        around.reactor,
        threads,
        timeouts,
        around.pool,
        outgoing,
        around.limits,
        credentials,
        SystemRandom(),
        time.time,
        private,
        programs,
        strangers=not verify,
    )


def means_of_a_node(node: NodeMeans) -> Means:
    """What a node fetches with, for acquisition and to measure: it goes to the world only, unless `[acquire] private`."""
    private = node.config.acquire.private
    return make_means(
        evolve(node.around, limits=PATIENT),
        node.threads,
        Wallet(node.threads, None),
        private=private,
        inside=private,
        # No other program is started here: where those connect to, nobody could say.
        programs=False,
    )


def launch(options: FetchOptions, work: Callable[[Means, Any], Awaitable[int]], ask: Ask | None) -> int:
    """Run a fetch in a reactor of its own; the exit status."""
    from twisted.internet.task import react

    status = [1]
    # What was imported stays to the end: a tenth of a second goes by when the collector looks through it all.
    gc.freeze()

    async def main(reactor: Any) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL)
        raise_descriptor_limit()
        threads = PoolThreads(reactor, "fetch", THREADS)
        threads.start()
        pool = BufferPool(PATIENT.buffers)
        around = Surroundings(reactor, Timeouts(reactor, batched_timer(reactor)), PATIENT, pool, Pages(threads))
        means = make_means(
            around,
            threads,
            Wallet(threads, ask),
            verify=not options.insecure,
            authorities=options.authorities,
            private=options.private,
        )
        try:
            status[0] = await work(means, reactor)
        finally:
            means.close()
            threads.stop()

    try:
        react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
    except SystemExit as end:
        if end.code:
            return int(end.code) if isinstance(end.code, int) else 1
    return status[0]
