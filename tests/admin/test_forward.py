"""What operators ask at a node that is no Master: as if they had asked the Master, whose refusals are raised here anew."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.admin.api import Api
from ecpds.admin.forward import ANSWER, answered, operator_elsewhere, passing_on, refusal_that_says
from ecpds.admin.verb import ARGUMENTS
from ecpds.admin.verbs import VERBS
from ecpds.errors import AlreadyExists, NotFound, Refusal, TooLarge
from ecpds.http.replies import STATUS
from tests.portal.house import House


class Here:
    """What the node says by itself."""

    async def list_transfers(self) -> AsyncIterator[dict[str, Any]]:
        yield {"user": "ann"}


class Elsewhere(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.asked: list[str] = []
        self.operator = operator_elsewhere(self.operate, Here())

    async def operate(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked.append(path)
        return await answered(Api(self.house.operator).handle, path, body)

    def wait(self, asked: Awaitable[Any]) -> Any:
        return self.successResultOf(ensureDeferred(asked))  # type: ignore[arg-type]

    def test_every_verb_has_its_method(self) -> None:
        self.assertEqual(len(vars(self.operator)), len(VERBS))
        for verb in VERBS:
            self.assertTrue(callable(verb.method(self.operator)), verb.name)

    def test_one_and_many(self) -> None:
        made = self.wait(self.operator.add_destination(name="charts", options={"digests": "md5"}))
        self.assertEqual((made["name"], made["digests"]), ("charts", ["md5"]))
        self.assertLessEqual(made.items(), self.wait(self.house.operator.show_destination("charts")).items())
        self.assertIn(made, self.wait(self.listed()))
        self.assertEqual(self.asked, ["/api/v1/destination/add", "/api/v1/destination/list"])

    def test_a_refusal_is_the_master_s(self) -> None:
        self.wait(self.operator.add_destination(name="charts"))
        again = self.failureResultOf(ensureDeferred(self.operator.add_destination(name="charts")), AlreadyExists).value
        own = self.failureResultOf(ensureDeferred(self.house.operator.add_destination(name="charts")), AlreadyExists).value
        self.assertEqual(again.sentence, own.sentence)
        self.failureResultOf(ensureDeferred(self.operator.show_destination(name="nowhere")), NotFound)

    def test_what_is_too_long_says_where_to_ask(self) -> None:
        asking = self.operator.import_sources(configuration="x" * ARGUMENTS)
        refused = self.failureResultOf(ensureDeferred(asking), TooLarge).value
        self.assertIn("ask at the Master", refused.sentence)
        self.assertEqual(self.asked, [])
        for number in range(ANSWER // 4000 + 1):
            self.wait(self.operator.add_destination(name=f"d{number}", options={"incoming.metadata": "x" * 4000}))
        listing = self.failureResultOf(ensureDeferred(self.listed()), TooLarge).value
        self.assertIn("ask at the Master", listing.sentence)

    def test_what_is_the_node_s_own_is_asked_here(self) -> None:
        async def said() -> list[Any]:
            return [each async for each in self.operator.list_transfers()]

        self.assertEqual(self.wait(said()), [{"user": "ann"}])
        handle = passing_on(self.operate, Api(self.operator).handle)
        status, body = self.wait(answered(handle, "/api/v1/transfer/list", b"{}"))
        self.assertEqual((status, json.loads(body)), (200, {"user": "ann"}))
        self.assertEqual(self.asked, [])
        self.wait(answered(handle, "/api/v1/user/list", b"{}"))
        self.assertEqual(self.asked, ["/api/v1/user/list"])

    async def listed(self) -> list[Any]:
        return [each async for each in self.operator.list_destinations()]


class Sentences(SynchronousTestCase):
    def test_of_every_refusal(self) -> None:
        for kind in STATUS:
            for refusal in (kind(), kind("this one"), kind("/demo/this one")):
                found = refusal_that_says(refusal.sentence)
                self.assertEqual((type(found), found.sentence), (kind, refusal.sentence))

    def test_of_none(self) -> None:
        self.assertEqual(refusal_that_says("It is so.").sentence, Refusal("It is so.").sentence)
