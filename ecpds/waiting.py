"""Work that is finished although the one who asked for it is gone."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred

T = TypeVar("T")


async def detached(work: Coroutine[Any, Any, T]) -> T:
    """Wait for `work`, which goes on to its end when the one who waits is cancelled."""
    waiter: Deferred[T] = Deferred()
    ensureDeferred(work).addCallbacks(waiter.callback, waiter.errback)
    return await waiter
