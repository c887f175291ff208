"""Questions to the catalogue on a thread."""

from __future__ import annotations

from ecpds.errors import NotFound
from ecpds.master.sql import Session
from tests.contracts.master import Uploading
from tests.master.support import MasterCase


class Sessions(Uploading, MasterCase):
    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.opened: list[Session] = []
        session = self.engine.session

        def opening(wait: float = 5.0) -> Session:
            self.opened.append(session(wait))
            return self.opened[-1]

        self.patch(self.engine, "session", opening)

    def test_a_question_that_is_refused_costs_no_connection(self) -> None:
        for _ in range(10):
            self.refused(NotFound, self.master.list("demo", "not/there", None, 10))
            self.refused(NotFound, self.master.upload("demo", "a", 7))
        self.assertLessEqual(len(self.opened), 1)
