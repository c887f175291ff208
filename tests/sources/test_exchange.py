"""Export and import: the ancestor's shape comes back as it was; all or nothing."""

from __future__ import annotations

import copy
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ecpds.datasources import MECHANISMS
from ecpds.errors import AlreadyExists, InvalidRequest, NotFound, Refusal
from ecpds.sources.book import Book
from ecpds.sources.exchange import Outcome, exported, imported

JGI = {
    "auth_url": "https://signon.example/create",
    "username_field": "login",
    "password_field": "password",
    "username_prompt": "User",
    "password_prompt": "Password",
}


def a_source(label: str, host: str, **more: Any) -> dict[str, Any]:
    return {
        "label": label,
        "description": None,
        "transfer_mechanism": {"type": "curl", "options": {}},
        "test_files": [],
        "transforms": [],
        "url_matchers": [{"type": "scheme_and_host", "options": {"scheme": "http", "host": host}}],
        **more,
    }


def ancestors() -> dict[str, Any]:
    """An export in the ancestor's shape, with one of each thing it has."""
    first = a_source(
        "A",
        "example.com",
        description="where it began",
        url_matchers=[{"type": "regular_expression", "options": {"pattern": r"^ftp://example\.com/sra"}}],
        test_files=["ftp://example.com/sra/file.txt", "ftp://example.com/sra/other.txt"],
        transforms=[
            {
                "target": "C",
                "for_destinations": ["D"],
                "type": "change_scheme_and_host",
                "options": {"new_scheme": "http", "new_host": "example.net"},
            },
            {"target": "B", "for_destinations": [], "type": "change_scheme", "options": {"new_scheme": "aspera"}},
            {
                "target": "C",
                "for_destinations": ["E", "D"],
                "type": "regex_replace",
                "options": {"pattern": r"^ftp://example\.com/(.*)", "repl": r"http://example.net/\1"},
            },
        ],
    )
    aspera = {"type": "aspera", "options": {"username": "anonftp", "disable_encryption": True}}
    return {
        "data_sources": [
            first,
            a_source(
                "B",
                "",
                transfer_mechanism=aspera,
                url_matchers=[{"type": "regular_expression", "options": {"pattern": "^aspera://"}}],
            ),
            a_source("C", "example.net", transfer_mechanism={"type": "session_authenticated_curl", "options": JGI}),
        ],
        "destinations": [{"label": "D", "description": None}, {"label": "E", "description": "elsewhere"}],
    }


class Exchange(SynchronousTestCase):
    def test_an_export_of_the_ancestor_comes_back_equal(self) -> None:
        book, outcome = imported(Book(), ancestors(), "add")
        self.assertEqual(exported(book), ancestors())
        self.assertEqual(outcome, Outcome(("A", "B", "C", "D", "E")))
        transforms = book.labelled("A").transforms
        self.assertEqual([book.source(each.target).label for each in transforms], ["C", "B", "C"])
        self.assertEqual([len(each.sites) for each in transforms], [1, 0, 2])

    def test_what_the_ancestor_has_not_comes_back_too(self) -> None:
        ours = ancestors()
        ours["data_sources"][0]["enabled"] = False
        ours["data_sources"][0]["transforms"][1].update(description="faster", enabled=False, conditional=True)
        ours["destinations"][0]["networks"] = ["192.0.2.0/24"]
        self.assertEqual(exported(imported(Book(), ours, "add")[0]), ours)

    def test_the_same_again_changes_nothing_and_keeps_the_ids(self) -> None:
        book = imported(Book(), ancestors(), "add")[0]
        for mode in ("merge", "replace"):
            again, outcome = imported(book, ancestors(), mode)
            self.assertEqual(outcome, Outcome())
            self.assertEqual((again.sources, again.sites), (book.sources, book.sites))

    def test_labels_that_are_there_are_refused(self) -> None:
        book = imported(Book(), ancestors(), "add")[0]
        other = {"data_sources": [a_source("A", "x")], "destinations": [{"label": "new", "description": None}]}
        self.assertRaises(AlreadyExists, imported, book, other, "add")
        other = {"data_sources": [], "destinations": [{"label": "D", "description": None}]}
        self.assertRaises(AlreadyExists, imported, book, other, "add")

    def test_a_merge_changes_and_adds(self) -> None:
        book = imported(Book(), ancestors(), "add")[0]
        more = a_source("N", "n", transforms=[{"target": "B", "type": "change_scheme", "options": {"new_scheme": "aspera"}}])
        change = {"data_sources": [a_source("C", "c.example"), more], "destinations": []}
        merged, outcome = imported(book, change, "merge")
        self.assertEqual(outcome, Outcome(("N",), ("C",)))
        self.assertEqual(merged.labelled("C").id, book.labelled("C").id)
        self.assertEqual(merged.labelled("N").transforms[0].target, book.labelled("B").id)
        self.assertEqual(merged.labelled("A"), book.labelled("A"))

    def test_a_replacement_leaves_nothing_else(self) -> None:
        book = imported(Book(), ancestors(), "add")[0]
        only = {"data_sources": [a_source("C", "c.example"), a_source("N", "n")], "destinations": []}
        replaced, outcome = imported(book, only, "replace")
        self.assertEqual(exported(replaced), only)
        self.assertEqual(outcome, Outcome(("N",), ("C",), ("A", "B", "D", "E")))

    def test_all_or_nothing(self) -> None:
        def broken(change: Any) -> dict[str, Any]:
            configuration = copy.deepcopy(ancestors())
            change(configuration["data_sources"][0])
            return configuration

        def in_transform(**changes: Any) -> Any:
            return lambda source: source["transforms"][0].update(changes)

        for kind, change in (
            (InvalidRequest, lambda source: source.update(label="")),
            (InvalidRequest, lambda source: source.update(label=7)),
            (InvalidRequest, lambda source: source.pop("url_matchers")),
            (InvalidRequest, lambda source: source.update(transfer_mechanism={"type": "pigeon", "options": {}})),
            (InvalidRequest, lambda source: source.update(test_files=["http://elsewhere/"])),
            (InvalidRequest, lambda source: source.update(test_files=[7])),
            (InvalidRequest, lambda source: source.update(url_matchers=[7])),
            (InvalidRequest, lambda source: source["url_matchers"][0].update(options={"pattern": "("})),
            (InvalidRequest, lambda source: source["url_matchers"][0].update(type="glob")),
            (AlreadyExists, lambda source: source.update(label="B")),
            (InvalidRequest, in_transform(type="x")),
            (InvalidRequest, in_transform(options={})),
            (InvalidRequest, in_transform(target="A")),
            (NotFound, in_transform(target="Z")),
            (NotFound, in_transform(for_destinations=["Z"])),
            (NotFound, in_transform(for_destinations=[["D"]])),
        ):
            self.assertRaises(kind, imported, Book(), broken(change), "add")

    def test_what_is_no_configuration(self) -> None:
        for wrong in (None, 7, [], {}, {"data_sources": []}, {"data_sources": {}, "destinations": []}, {"data_sources": [7]}):
            self.assertRaises(Refusal, imported, Book(), wrong, "add")
        self.assertRaises(InvalidRequest, imported, Book(), ancestors(), "overwrite")

    def test_a_refusal_names_the_source(self) -> None:
        configuration = ancestors()
        configuration["data_sources"][2]["url_matchers"][0]["options"] = {"scheme": "http"}
        error = self.assertRaises(InvalidRequest, imported, Book(), configuration, "add")
        self.assertIn("data source 'C'", str(error))

    def test_every_mechanism_of_the_ancestor_is_known(self) -> None:
        for name in ("curl", "session_authenticated_curl", "aspera", "gridftp_lite", "anonymous_gridftp", "scp"):
            self.assertIn(name, MECHANISMS)
