"""What operators can do about stored bytes that are compared with their records: a part of the table of verbs."""

from __future__ import annotations

from ecpds.admin.kinds import TEXT
from ecpds.admin.verb import Argument, Verb, named

_MOVER = (Argument("mover", TEXT, "only this mover", positional=True, optional=True),)
_COLUMNS = ("mover", "state", "started", "ended", "next", "copies", "bytes", "damaged", "unchecked", "reason")

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
    Verb(
        ("scrub", "status"),
        "Show how far movers are with comparing all that they store.",
        lambda operator: operator.scrub_status,
        _MOVER,
        many=True,
        columns=_COLUMNS,
    ),
    Verb(
        ("scrub", "start"),
        "Begin a round now, or go on with one.",
        lambda operator: operator.start_scrub,
        _MOVER,
        many=True,
        columns=_COLUMNS,
    ),
    Verb(
        ("scrub", "stop"),
        "Rest until told to start.",
        lambda operator: operator.stop_scrub,
        _MOVER,
        many=True,
        columns=_COLUMNS,
    ),
    Verb(
        ("scrub", "report"),
        "List the copies that are known to be damaged.",
        lambda operator: operator.list_damaged,
        many=True,
        columns=("path", "mover", "volume", "segment", "found", "damage"),
    ),
)
