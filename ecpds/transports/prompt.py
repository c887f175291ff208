"""A channel whose reader may be called where bytes have come, and may answer there and then.

To wake who waits, and to go through the calls that could wait, costs more than many an answer: so who reads short requests
says what to try first. It takes what is there (`receive`) and hands over an answer (`send`), and neither ever waits. What
can't be done so is done as always by who waits, which is woken for it.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from ecpds.interfaces import IPromptChannel
from ecpds.transports.activity import Use
from ecpds.transports.channel import Channel
from ecpds.transports.links import Need


@implementer(IPromptChannel)
class PromptChannel(Channel):
    """Bytes that go through the prompt calls count as nobody's share of a turn: they are a few at a time."""

    async def attend(self, attempt: Callable[[], bool]) -> None:
        if self._needs_more:
            await self.handshake()
        with Use(self.abort, self._reading, writing=False) as activity:
            if self._live.pending():
                return
            activity.attempt = attempt
            try:
                await self._wait(activity, Need.READABLE)
            finally:
                activity.attempt = None

    def wake(self) -> None:
        if self._reading.attempt is not None:
            self._reading.wake()

    def receive(self, view: memoryview) -> int:
        count = self._live.receive(view, once=True)
        return 0 if isinstance(count, Need) else count

    def send(self, data: bytes) -> int:
        count = self._live.send(data)
        return 0 if isinstance(count, Need) else count

    async def go_on(self, rest: memoryview) -> None:
        await self._write(rest, len(rest))
