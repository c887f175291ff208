"""What operators can do with acquisition: a part of the table of verbs."""

from __future__ import annotations

from ecpds.admin.kinds import NUMBER, PAIRS, SECONDS, TEXT, WORDS
from ecpds.admin.verb import Argument, Verb, named

_NAME = named("name", "the acquisition's name")

ACQUIRE_VERBS = (
    Verb(
        ("acquire", "add"),
        "Watch a remote folder, and put what is new in it into a destination.",
        lambda operator: operator.add_acquisition,
        (
            _NAME,
            named("url", "the folder, of ftp, ftps, http, https, sftp or s3; {%Y%m%d} and {-1d:%Y%m%d} are dates"),
            Argument("destination", TEXT, "the destination that its files go to; needed"),
            Argument("user", TEXT, "the user who puts them there; needed"),
            Argument("folder", TEXT, "the folder in the destination; dates as in the URL"),
            Argument("names", WORDS, "only files of such names, such as *.grib", flag="match"),
            Argument("pattern", TEXT, "only files whose whole name this RE2 expression matches"),
            Argument("rename", TEXT, "the name here, with \\1 for the pattern's first group"),
            Argument("every", SECONDS, "the time between two visits; 1h if not given"),
            Argument("min_age", SECONDS, "only files that were not changed for so long", flag="min-age"),
            Argument("max_age", SECONDS, "only files that were changed since then", flag="max-age"),
            Argument("min_size", NUMBER, "only files of so many bytes at least", flag="min-size"),
            Argument("max_size", NUMBER, "only files of so many bytes at most", flag="max-size"),
            Argument("options", PAIRS, "an option of the mechanism, such as endpoint, region, profile of s3", flag="option"),
        ),
    ),
    Verb(
        ("acquire", "list"),
        "List the acquisitions.",
        lambda operator: operator.list_acquisitions,
        many=True,
        columns=("name", "url", "destination", "enabled", "due", "visited", "failures", "message"),
    ),
    Verb(("acquire", "show"), "Show one acquisition.", lambda operator: operator.show_acquisition, (_NAME,)),
    Verb(
        ("acquire", "files"),
        "List what became of the files of an acquisition.",
        lambda operator: operator.list_acquired,
        (_NAME,),
        many=True,
        columns=("path", "status", "size", "time", "tries", "reason"),
    ),
    Verb(
        ("acquire", "rm"),
        "Watch a folder no more, and forget what came of it; the files stay.",
        lambda operator: operator.remove_acquisition,
        (_NAME,),
    ),
    Verb(
        ("acquire", "run"),
        "Visit a folder now, and say what came.",
        lambda operator: operator.run_acquisition,
        (_NAME,),
    ),
    Verb(
        ("acquire", "fetch"),
        "Fetch one file now, and put it into the portal; say what became of it.",
        lambda operator: operator.acquire_file,
        (
            named("url", "the file, of ftp, ftps, http, https, sftp, s3 or ecpds"),
            Argument("path", TEXT, "its path in the portal, /DESTINATION/NAME; needed"),
            Argument("user", TEXT, "the user who puts it there; needed"),
            Argument("mirrors", WORDS, "other URLs of the same file", flag="mirror"),
            Argument("size", NUMBER, "how many bytes it must have"),
            Argument("digests", PAIRS, "what it must be, such as sha256=…", flag="digest"),
            Argument("destination", TEXT, "the label of where data is going to, for the repository"),
        ),
    ),
    Verb(("acquire", "enable"), "Visit a folder again.", lambda operator: operator.enable_acquisition, (_NAME,)),
    Verb(("acquire", "disable"), "Visit a folder no more.", lambda operator: operator.disable_acquisition, (_NAME,)),
)
