"""What every part of a node is given: threads, time-outs, buffers, the surroundings of channels, and what is counted."""

from __future__ import annotations

import sys
import time
from typing import Any

from ecpds.admin.metrics import Lag, Metrics
from ecpds.config import Config
from ecpds.node.home import Home
from ecpds.node.process import batched_timer, raise_descriptor_limit
from ecpds.ports import Ports
from ecpds.threads import PoolThreads
from ecpds.timeouts import Timeouts
from ecpds.transports.buffers import BufferPool
from ecpds.transports.channel import Surroundings
from ecpds.transports.pages import Pages
from ecpds.transports.stretches import MOST, Stretches

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread must let another have the interpreter: a busy reactor starves the catalogue's writer else."""


class Means:
    """Made once for a node. The threads run from `start` to `stop`. Raises `ConfigError` where the home can't be had."""

    def __init__(self, config: Config, reactor: Any) -> None:
        limits = config.limits
        sys.setswitchinterval(SWITCH_INTERVAL)
        raise_descriptor_limit()
        self.config, self.reactor = config, reactor
        self.home = Home(config)
        self.ports = Ports(config.path("ports.json"))
        self.threads = PoolThreads(reactor, "disk", limits.disk_threads)
        self.digest_threads = PoolThreads(reactor, "digest", limits.digest_threads)
        self.catalogue_threads = PoolThreads(reactor, "catalogue", limits.catalogue_threads)
        self.login_threads = PoolThreads(reactor, "login", limits.login_threads, limits.login_queue)
        self.timeouts = Timeouts(reactor, batched_timer(reactor))
        self.pool = BufferPool(limits.buffers)
        self.relay_threads = PoolThreads(reactor, "relay", MOST)
        self.scrub_threads = PoolThreads(reactor, "scrub", 1)
        stretches = Stretches(self.relay_threads, self.pool, time.monotonic)
        self.around = Surroundings(reactor, self.timeouts, limits, self.pool, Pages(self.threads), stretches)
        self.metrics = Metrics(time.perf_counter)
        self.lag = Lag(reactor, self.metrics.late)

    @property
    def _pools(self) -> tuple[PoolThreads, ...]:
        clients = (self.threads, self.digest_threads, self.catalogue_threads, self.login_threads, self.relay_threads)
        return (*clients, self.scrub_threads)

    def start(self) -> None:
        for pool in self._pools:
            pool.start()

    def stop(self) -> None:
        """Waits for what the threads are doing."""
        for pool in self._pools:
            pool.stop()
