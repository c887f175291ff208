"""What operators see of the transfers that are under way at one node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Set
from typing import Any

from ecpds.events import timestamp
from ecpds.portal.journal import TransferRecord


class TransfersOperator:
    """A part of `Operator`, and the whole of it that a node which is no Master answers by itself."""

    def __init__(self, running: Set[TransferRecord]) -> None:
        self._running = running

    async def list_transfers(self) -> AsyncIterator[dict[str, Any]]:
        """The transfers that this node's clients have under way, the oldest first."""
        for record in sorted(self._running, key=lambda each: each.started):
            yield shown_transfer(record)


def shown_transfer(record: TransferRecord) -> dict[str, Any]:
    """`size` is null where a client has not said how long its file is; `sent` is what has crossed."""
    journal = record.journal
    return {
        "user": journal.login,
        "action": record.action,
        "path": str(record.path),
        "sent": record.sent,
        "size": record.size,
        "started": timestamp(record.started),
        "protocol": journal.origin.protocol,
        "address": journal.origin.address,
        "mover": record.place.mover,
    }
