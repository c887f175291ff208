"""What conch logs of every message, with what was in it: nobody reads that, and it costs more than the message."""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import provider


@provider(ILogObserver)
def _unheard(event: LogEvent) -> None:
    """Goes nowhere."""


UNHEARD = Logger(observer=_unheard)
"""The logger of conch's parts of our classes; what matters is logged by ours."""
