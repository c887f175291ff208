"""What operators can do with the repository of data sources: a part of the table of verbs."""

from __future__ import annotations

from ecpds.admin.kinds import FILE, FLAG, NUMBER, PAIRS, SECONDS, TEXT, WORDS
from ecpds.admin.verb import Argument, Verb, named

CONFIGURATION = 1 << 24
"""Bytes that a configuration to import may have."""

_DESTINATION = Argument("destination", TEXT, "the label of where data is going to")

SOURCE_VERBS = (
    Verb(
        ("source", "import"),
        "Take in a configuration of data sources, all of it or nothing.",
        lambda operator: operator.import_sources,
        (
            Argument("configuration", FILE, "a configuration in JSON, as `source export` writes it", True, "file"),
            Argument("mode", TEXT, "what to do with labels that exist", choices=("add", "merge", "replace")),
            Argument("dry_run", FLAG, "only say what would be done", flag="dry-run"),
        ),
        most=CONFIGURATION,
    ),
    Verb(("source", "export"), "Write the configuration of all data sources.", lambda operator: operator.export_sources),
    Verb(
        ("source", "list"),
        "List the data sources.",
        lambda operator: operator.list_sources,
        (Argument("search", TEXT, "only those with this in their label, in any case"),),
        many=True,
        columns=("label", "mechanism", "enabled", "url_matchers", "rate", "works", "description"),
    ),
    Verb(
        ("source", "show"),
        "Show one data source.",
        lambda operator: operator.show_source,
        (named("label", "the source's label"),),
    ),
    Verb(
        ("source", "explain"),
        "Show from where, and how, a URL's file would be fetched, and why.",
        lambda operator: operator.explain_url,
        (
            named("url", "the URL"),
            _DESTINATION,
            Argument("mechanisms", WORDS, "what the client can run; all if not given", flag="mechanism"),
            Argument("address", TEXT, "the client's address, by which its destination may be found"),
            Argument("size", NUMBER, "bytes that the file has"),
        ),
    ),
    Verb(
        ("source", "add"),
        "Add a data source.",
        lambda operator: operator.add_source,
        (
            named("label", "the source's label"),
            Argument("mechanism", TEXT, "how to retrieve from it; http if not given"),
            Argument("options", PAIRS, "an option of the mechanism", flag="option"),
            Argument("hosts", WORDS, "SCHEME://HOST[:PORT] whose URLs are the source's", flag="host"),
            Argument("pattern", TEXT, "a regular expression with which the source's URLs begin"),
            Argument("description", TEXT, "what people are told"),
        ),
    ),
    Verb(
        ("source", "rm"),
        "Remove a data source, with its reports and the transforms that lead to it.",
        lambda operator: operator.remove_source,
        (named("label", "the source's label"),),
    ),
    Verb(
        ("source", "enable"),
        "Let a data source be offered again.",
        lambda operator: operator.enable_source,
        (named("label", "the source's label"),),
    ),
    Verb(
        ("source", "disable"),
        "Offer a data source no more; what is known of it stays.",
        lambda operator: operator.disable_source,
        (named("label", "the source's label"),),
    ),
    Verb(
        ("source", "rank"),
        "Show the transforms of a data source as the reports would have them.",
        lambda operator: operator.rank_source,
        (
            named("label", "the source's label"),
            Argument("apply", FLAG, "make that the order of preference"),
        ),
        many=True,
        columns=("place", "preferred", "target", "transform", "rate", "works", "reports"),
    ),
    Verb(
        ("source", "probe"),
        "Have movers measure how fast each candidate is.",
        lambda operator: operator.probe_sources,
        (
            Argument("urls", WORDS, "URLs to measure, in the place of the sources' test files", flag="url"),
            Argument("movers", WORDS, "the movers that measure; all if not given", flag="on"),
            _DESTINATION,
            Argument("most", NUMBER, "bytes of each file at most", flag="bytes"),
            Argument("longest", SECONDS, "for each candidate at most", flag="seconds"),
        ),
        many=True,
        columns=("mover", "source", "mechanism", "rate", "size", "seconds", "reason", "url"),
        live=True,
    ),
    Verb(
        ("source", "audit"),
        "Show who changed what of the data sources, the newest first.",
        lambda operator: operator.audit_sources,
        (Argument("limit", NUMBER, "at most so many; 100 if not given"),),
        many=True,
        columns=("time", "who", "action", "kind", "label"),
    ),
)
