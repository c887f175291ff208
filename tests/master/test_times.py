"""When a user may log in, by the time of day."""

from __future__ import annotations

from typing import Any

from ecpds.errors import LoginFailed, NotPermitted
from ecpds.model import Origin
from ecpds.people import UserChange
from tests.contracts.master import Uploading
from tests.master.support import MasterCase

HOUR, DAY = 3600, 86400


class TimesOfDay(Uploading, MasterCase):
    """Nobody is let in by night, and two by day."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        options = {"portal.maxConnectionsSchedule": "22:00-06:00=0,06:00-22:00=2"}
        self.now(self.operations.change_user("joe", UserChange(options=options)))
        self.key, _ = self.now(self.operations.add_access_key("joe", None, None, None))

    def turn_to(self, hour: float) -> None:
        """The next time that it is so late."""
        self.clock.advance((hour * HOUR - self.clock.seconds()) % DAY)

    def ways(self, protocol: str) -> list[Any]:
        origin = Origin(protocol, "192.0.2.1", "node")
        return [
            self.master.login("joe", "secret", origin),
            self.master.login_with_certificate("joe", origin),
            self.master.login_with_signature(self.key.id, "20261122", "eu", "s3", origin),
        ]

    def test_by_day(self) -> None:
        for hour in (6, 21.9):
            self.turn_to(hour)
            for protocol in ("http", "https", "s3", "ftp", "sftp"):
                for way in self.ways(protocol):
                    self.now(way)

    def test_by_night(self) -> None:
        for hour in (22, 5.9):
            self.turn_to(hour)
            for protocol in ("http", "https", "s3"):
                for way in self.ways(protocol):
                    self.assertEqual(self.refused(NotPermitted, way).detail, "Not at this time")

    def test_doors_with_sessions_count_for_themselves(self) -> None:
        self.turn_to(23)
        for protocol in ("ftp", "sftp"):
            for way in self.ways(protocol):
                self.now(way)

    def test_who_guesses_hears_nothing_of_it(self) -> None:
        self.turn_to(23)
        self.refused(LoginFailed, self.master.login("joe", "wrong", Origin("https", "192.0.2.1", "node")))
