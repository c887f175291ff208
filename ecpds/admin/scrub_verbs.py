"""What operators can do about stored bytes that are compared with their records: a part of the table of verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ecpds.admin.kinds import TEXT
from ecpds.admin.verb import Argument, Verb, named

_MOVER = (Argument("mover", TEXT, "only this mover", positional=True, optional=True),)
_COLUMNS = ("mover", "state", "started", "ended", "next", "copies", "bytes", "damaged", "unchecked", "reason")


def _of_movers(name: str, summary: str, run: Callable[[Any], Callable[..., Any]]) -> Verb:
    """What is said to one mover or to all, each of which answers how far it is."""
    return Verb(("scrub", name), summary, run, _MOVER, many=True, columns=_COLUMNS)


SCRUB_VERBS = (
    Verb(
        ("file", "verify"),
        "Compare every copy of a file with its digest now, or of all files in a folder and below it.",
        lambda operator: operator.verify_file,
        (named("path", "/DESTINATION/PATH"),),
        many=True,
        columns=("path", "state", "reason"),
        live=True,
    ),
    _of_movers("status", "Show how far movers are with comparing all that they store.", lambda operator: operator.scrub_status),
    _of_movers("start", "Begin a round now, or go on with one.", lambda operator: operator.start_scrub),
    _of_movers("stop", "Rest until told to start.", lambda operator: operator.stop_scrub),
    Verb(
        ("scrub", "report"),
        "List the copies that are known to be damaged.",
        lambda operator: operator.list_damaged,
        many=True,
        columns=("path", "mover", "volume", "segment", "found", "damage"),
    ),
)
