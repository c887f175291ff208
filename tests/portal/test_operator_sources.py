"""Operators and the repository of data sources: the verbs, over a repository in memory."""

from __future__ import annotations

import json
from typing import Any

from ecpds.datasources import MECHANISMS, Question
from ecpds.errors import AlreadyExists, InvalidRequest, NotFound, NotSupported
from ecpds.portal.operator_sources import SourcesOperator
from tests.contracts.sources import now
from tests.sources.test_exchange import ancestors
from tests.sources.test_repository import FILE, MB, RepositoryCase


async def listed(objects: Any) -> list[Any]:
    return [each async for each in objects]


class Operators(RepositoryCase):
    def setUp(self) -> None:
        super().setUp()
        self.operator = SourcesOperator(self.repository)

    def labels(self, **asked: Any) -> list[str]:
        return [each["label"] for each in now(listed(self.operator.list_sources(**asked)))]

    def test_a_list_and_a_search_without_case(self) -> None:
        self.assertEqual(self.labels(), ["net", "org", "origin"])
        self.assertEqual(self.labels(search="OR"), ["org", "origin"])

    def test_one_source_is_json(self) -> None:
        shown = now(self.operator.show_source("origin"))
        self.assertEqual(json.loads(json.dumps(shown)), shown)
        self.assertEqual([each["target"] for each in shown["transforms"]], ["org", "net"])
        self.assertEqual(shown["transforms"][1]["for_destinations"], ["D"])
        self.assertRaises(NotFound, now, self.operator.show_source("nobody"))

    def test_an_import_a_dry_run_and_what_is_wrong(self) -> None:
        text = json.dumps(ancestors())
        said = now(self.operator.import_sources(text, "merge", True))
        self.assertEqual((said["added"], said["dry_run"]), (["A", "B", "C", "E"], True))
        self.assertEqual(len(self.labels()), 3)
        now(self.operator.import_sources(text, "merge"))
        self.assertEqual(len(self.labels()), 6)
        self.assertRaises(AlreadyExists, now, self.operator.import_sources(text))
        for wrong in ("", "[" * 100_000, "7", "{}"):
            self.assertRaises(InvalidRequest, now, self.operator.import_sources(wrong))

    def test_an_export_can_be_imported(self) -> None:
        exported = now(self.operator.export_sources())
        said = now(self.operator.import_sources(json.dumps(exported), "replace"))
        self.assertEqual((said["added"], said["changed"], said["removed"]), ([], [], []))

    def test_why(self) -> None:
        self.reported(self.org, 8 * MB, 4)
        shown = now(self.operator.explain_url(FILE, "D", ["curl"]))
        self.assertEqual(json.loads(json.dumps(shown)), shown)
        self.assertEqual({each["source"] for each in shown["candidates"]}, {"org", "net", "origin"})
        self.assertIn("measured", shown["candidates"][0]["reason"])
        self.assertEqual(now(self.operator.explain_url(FILE, mechanisms=["scp"]))["candidates"], [])
        self.assertIn("not known", now(self.operator.explain_url(FILE, "typo"))["warnings"][0])
        self.assertRaises(InvalidRequest, now, self.operator.explain_url("nothing"))

    def test_a_source_with_its_matchers_or_nothing(self) -> None:
        made = now(
            self.operator.add_source(
                "new", "gridftp_lite", {"parallelism": "4", "fast_mode": "true"}, ["sshftp://h:2"], "sshftp://g/", "said"
            )
        )
        self.assertEqual((made["options"], len(made["url_matchers"])), ({"parallelism": 4, "fast_mode": True}, 2))
        for arguments in (
            ("x", "pigeon"),
            ("x", "gridftp_lite", {"parallelism": "many"}),
            ("x", "gridftp_lite", {"fast_mode": "maybe"}),
            ("x", "http", None, ["h"]),
            ("x", "http", None, [], "("),
        ):
            self.assertRaises(InvalidRequest, now, self.operator.add_source(*arguments))
        self.assertRaises(AlreadyExists, now, self.operator.add_source("new"))
        self.assertEqual(self.labels(), ["net", "new", "org", "origin"])

    def test_off_and_on_and_gone(self) -> None:
        now(self.operator.disable_source("org"))
        self.assertEqual(self.ids(), [self.origin])
        now(self.operator.enable_source("org"))
        self.assertEqual(self.ids(), [self.org, self.origin])
        self.assertEqual(now(self.operator.remove_source("org"))["label"], "org")
        self.assertEqual(self.ids(), [self.origin])

    def test_the_order_that_reports_suggest(self) -> None:
        for source, rate in ((self.org, MB), (self.net, 20 * MB)):
            self.reported(source, rate, 6, site="D")
        shown = now(listed(self.operator.rank_source("origin")))
        self.assertEqual([(each["target"], each["preferred"]) for each in shown], [("net", 2), ("org", 1)])
        self.assertTrue(18 * MB < shown[0]["rate"] < 22 * MB, shown[0])
        now(listed(self.operator.rank_source("origin", apply=True)))
        self.assertEqual([each.target for each in self.repository.source(self.origin).transforms], [self.net, self.org])

    def test_the_audit(self) -> None:
        now(self.operator.disable_source("org"))
        entry = now(listed(self.operator.audit_sources(1)))[0]
        self.assertEqual((entry["who"], entry["label"], entry["after"]["enabled"]), ("operator", "org", False))

    def test_a_node_without_a_repository_says_so(self) -> None:
        self.assertRaises(NotSupported, now, SourcesOperator(None).export_sources())

    def test_a_question_of_an_unknown_mechanism_breaks_nothing(self) -> None:
        question = Question(frozenset({"curl", "newer than we"}), explore=False)
        self.assertEqual(len(self.repository.resolve(FILE, question).candidates), 2)
        self.assertNotIn("newer than we", MECHANISMS)
