"""What becomes of a connection that we begin, in the kernel's words."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.error import ConnectionLost as TwistedConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import ConnectionLost, Stalled
from ecpds.transports.dialing import Connector
from tests.transports.pump import HandReactor


class Dialled:
    """A socket whose connection came to `error`, which the kernel tells once."""

    def __init__(self, error: int) -> None:
        self._error = error

    def getsockopt(self, level: int, option: int) -> int:
        error, self._error = self._error, 0
        return error

    def fileno(self) -> int:
        return 99


class Connectors(SynchronousTestCase):
    def connector(self, error: int = 0) -> Connector:
        sock: Any = Dialled(error)
        return Connector(HandReactor(), sock)

    def test_a_refusal_is_told_however_the_reactor_calls_it(self) -> None:
        for tell in (lambda made: made.doWrite(), lambda made: made.connectionLost(Failure(TwistedConnectionLost()))):
            made = self.connector(errno.ECONNREFUSED)
            tell(made)
            lost = self.failureResultOf(made.done, ConnectionLost).value
            self.assertEqual(lost.sentence, "The connection was lost: Connection refused")

    def test_the_first_word_counts(self) -> None:
        made = self.connector()
        made.doWrite()
        made.connectionLost(Failure(TwistedConnectionLost()))
        made.expire()
        self.assertIsNone(self.successResultOf(made.done))

    def test_what_the_kernel_has_no_reason_for(self) -> None:
        made = self.connector()
        made.connectionLost(Failure(TwistedConnectionLost()))
        self.assertEqual(self.failureResultOf(made.done, ConnectionLost).value.detail, "")

    def test_too_late(self) -> None:
        made = self.connector()
        made.expire()
        self.failureResultOf(made.done, Stalled)
