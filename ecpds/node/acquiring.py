"""Acquisition in a node, composed: mechanisms that lead to the world only, the portal's push, and the schedule."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import DeferredSemaphore

from ecpds.interfaces import IEventSink
from ecpds.master.acquisition_store import AcquisitionStore
from ecpds.master.operations import Operations
from ecpds.node.means import Means
from ecpds.portal_interfaces import IPortal
from ecpds.sources.acquire.acquirer import Acquirer
from ecpds.sources.acquire.fetcher import Fetcher
from ecpds.sources.acquire.shelf import PortalShelf
from ecpds.sources.acquire.visit import Around
from ecpds.sources.fetch.means import Means as FetchMeans
from ecpds.sources.fetch.settings import Settings

STAGING = "acquiring"
"""The folder of the home that files come to."""


class Acquiring:
    """What a Master's node acquires with."""

    def __init__(self, means: Means, remote: FetchMeans, storage: Any, portal: IPortal, sink: IEventSink) -> None:
        config, limits = means.config, means.config.limits
        fetcher = Fetcher(
            remote.tools(Settings()),
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
        """Break off what is under way."""
        await self.acquirer.stop()
