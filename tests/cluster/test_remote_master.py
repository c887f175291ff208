"""The Master at the other end of a conversation keeps to the contract as it does in this process."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from ecpds.cluster.calls import calls, handlers
from ecpds.cluster.remote import RemoteMaster
from ecpds.interfaces import IMaster
from tests.cluster.support import Conversation
from tests.contracts.master import MasterContract
from tests.master.support import MasterCase


class RemoteMasterTests(MasterContract, MasterCase):
    """What `now`, `refused` and `begun` run is pumped over the wire."""

    talk: Conversation

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))

    def start(self) -> None:
        super().start()
        self.talk = Conversation(handlers(RemoteMaster, self.master))
        self.real, self.master = self.master, RemoteMaster(self.talk.near)  # type: ignore[assignment]

    def stop(self) -> None:
        self.master = self.real
        super().stop()

    def _pumped(self, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        done = ensureDeferred(work)
        if "talk" in vars(self):
            self.talk.pump()
        return done

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(self._pumped(work))

    def refused(self, refusal: type[Exception], work: Coroutine[Any, Any, Any]) -> Any:
        return self.failureResultOf(self._pumped(work), refusal).value

    def begun(self, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        waiting = self._pumped(work)
        self.assertNoResult(waiting)
        return waiting

    def test_every_call_of_the_interface_has_a_stub(self) -> None:
        self.assertEqual({name.removeprefix("master.") for name in calls(RemoteMaster)}, set(IMaster.names()))

    def test_a_page_that_is_too_long_for_one_message_is_a_shorter_page(self) -> None:
        names = [f"{n:04d}" for n in range(300)]
        for name in names:
            self.now(self.put(name, metadata={"text": "x" * 2000}))
        found, after, pages = [], None, 0
        while pages == 0 or after is not None:
            page = self.now(self.master.list("demo", "", after, 1000))
            found += [entry.name for entry in page.entries]
            after, pages = page.after, pages + 1
        self.assertEqual(found, names)
        self.assertGreater(pages, 1)
