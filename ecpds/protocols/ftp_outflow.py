"""Back-pressure on a control connection: no command is obeyed while the client does not read its replies."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer


@implementer(IPushProducer)
class Outflow:
    """Knows whether the client reads its replies: the transport pauses us while too many bytes of them lie there."""

    def __init__(self) -> None:
        self._opened: Deferred[None] | None = None

    @property
    def clogged(self) -> bool:
        return self._opened is not None

    async def clear(self) -> None:
        """Wait until there is room."""
        if self._opened is not None:
            await self._opened

    def pauseProducing(self) -> None:
        if self._opened is None:
            self._opened = Deferred()

    def resumeProducing(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()
