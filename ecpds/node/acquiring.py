"""Acquisition in a node, composed: mechanisms that lead to the world only, the portal's push, and the schedule."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import DeferredSemaphore

from ecpds.interfaces import IEventSink
from ecpds.master.acquisition_store import AcquisitionStore
from ecpds.master.operations import Operations
from ecpds.node.fetching import PATIENT, make_means
from ecpds.node.means import Means
from ecpds.portal_interfaces import IPortal
from ecpds.sources.acquire.acquirer import Acquirer
from ecpds.sources.acquire.fetcher import Fetcher
from ecpds.sources.acquire.shelf import PortalShelf
from ecpds.sources.acquire.visit import Around
from ecpds.sources.fetch.credentials import Wallet
from ecpds.sources.fetch.settings import Settings

STAGING = "acquiring"
"""The folder of the home that files come to."""


class Acquiring:
    """What a Master's node acquires with."""

    def __init__(self, means: Means, storage: Any, portal: IPortal, sink: IEventSink) -> None:
        config, limits = means.config, means.config.limits
        private = config.acquire.private
        self._remote = make_means(
            evolve(means.around, limits=PATIENT),
            means.threads,
            Wallet(means.threads, None),
            private=private,
            inside=private,
            # No other program is started here: where those connect to, nobody could say.
            programs=False,
        )
        fetcher = Fetcher(
            self._remote.tools(Settings()),
            storage.repository,
            means.threads,
            config.path(STAGING),
            limits.partial_life,
            means.reactor.seconds,
        )
        operations = Operations(storage.master)

        async def user_id(login: str) -> int:
            return int((await operations.user(login)).id)

        around = Around(
            AcquisitionStore(storage.master.reader, storage.master.writer),
            fetcher,
            PortalShelf(portal, user_id, means.threads, config.node.name),
            sink,
            limits,
            DeferredSemaphore(limits.acquire_files),
            means.reactor.seconds,
            config.node.name,
        )
        self.acquirer = Acquirer(around, means.reactor)

    async def stop(self) -> None:
        """Break off what is under way, and end every connection."""
        await self.acquirer.stop()
        self._remote.close()
