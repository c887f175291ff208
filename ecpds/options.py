"""The options of users, policies and destinations: one table of names, types and meanings, checked when one is set.

`docs/options.md` is made from it (`python -m ecpds.options`). Those that change nothing yet are known so that accounts
can be brought over from OpenECPDS, whose names these are; they are marked as kept.

Path patterns are RE2's (github.com/google/re2/wiki/Syntax), whose time to match is linear in the path whatever the
pattern; back-references and look-around, which could not be, do not exist there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import re2
from attrs import frozen

from ecpds.errors import InvalidRequest
from ecpds.events import UNITS
from ecpds.grants import MOST, RIGHTS
from ecpds.model import PERMISSIONS, Destination
from ecpds.people import LOGIN
from ecpds.rates import BY_NETWORK, is_by_network

PATTERN_LENGTH = 500
"""Characters of one pattern at most."""

PATTERN_MEMORY = 1 << 20
"""Bytes that one compiled pattern may take; one that would need more is refused when it is set."""

TEXT_LENGTH = 4096
"""Characters of any option's value."""

MAKES_BUCKETS = "portal.makesBuckets"
"""The option of users who may make destinations as S3's buckets."""

S3_ETAG = "s3.etag"
BUCKET_ACL, BUCKET_OBJECTS, BUCKET_LOCATION, BUCKET_TAGS = "s3.acl", "s3.objects", "s3.location", "s3.tagging"
BUCKET_GRANTS, BUCKET_OWNER = "s3.grants", "s3.owner"
BUCKET_SETTINGS = frozenset((BUCKET_ACL, BUCKET_GRANTS, BUCKET_OBJECTS, BUCKET_LOCATION, BUCKET_TAGS))
"""The options of destinations that S3's clients set, of those that they made."""

EDITS_SOURCES = "repository.edit"
"""The option of users who may change data sources."""

ONE_TIME_CODES = "portal.totp"
"""The option of users who may log in by nothing less than a password with a one-time code."""

SSH_NEEDS_BOTH = "portal.sshNeedsBoth"
"""The option of users who log in over SSH with a key and a password."""

MOST_SESSIONS, MOST_SESSIONS_BY_TIME = "portal.maxConnections", "portal.maxConnectionsSchedule"
"""The options that say how many sessions of FTP and SSH a user may have at a time."""

MOST_FETCHED, MOST_FETCHED_OF_DESTINATION = "portal.maxDownloadBytes", "incoming.maxDownloadBytes"
"""The options that make the Master be asked before a file is fetched."""

ALLOW_ORIGIN = "portal.corsAllowOrigin"
ORIGIN_OF_DESTINATION = "https.corsAllowOrigin"
"""The options of users and of destinations that let pages of other sites read answers of the HTTPS door."""

LIFETIME = "incoming.lifetime"
"""The option of destinations that says what `--lifetime` does, by the ancestor's name."""

EVER = 1e10
"""Seconds, three hundred years: what is kept so long is kept for ever, and no time behind that has to be written down."""

DESTINATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)

_RULE = re.compile(r" *\((==|!=|\.=|=\.) +([^()]{1,255})\) *([ !#-'*-~]+?)(?= *\(| *$)")
_SETTABLE = re.compile(
    "Content-(?:Type|Language|Disposition)|Cache-Control|Expires|Link|X-(?!Content-Type-Options)[A-Z0-9-]{1,60}", re.I
)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TIMES = r"([01][0-9]|2[0-3]):[0-5][0-9]"


@frozen
class Type:
    """What the text of an option may be."""

    name: str
    allowed: str
    fits: Callable[[str], object]


@frozen
class Option:
    """One option. `acts` says whether this release does what it says, or only keeps it."""

    name: str
    type: Type
    help: str
    acts: bool = False


def pattern_name(permission: str) -> str:
    """The option that narrows a permission by the path, such as `portal.getPathPermRegex`."""
    return f"portal.{permission}PathPermRegex"


@lru_cache(1000)
def pattern(text: str) -> Any:
    """A compiled pattern. Raises `InvalidRequest`, one sentence that says what is wrong with it."""
    if len(text) > PATTERN_LENGTH:
        raise InvalidRequest(f"a pattern of {len(text)} characters; allowed: {PATTERN_LENGTH} at most")
    wanted = re2.Options()
    wanted.log_errors = False
    wanted.never_capture = True
    wanted.max_mem = PATTERN_MEMORY
    try:
        return re2.compile(text, wanted)
    except (re2.error, UnicodeEncodeError) as error:
        # What RE2 says ends in a part of the pattern, unescaped.
        reason = error.args[0].partition(b":")[0].decode("ascii") if isinstance(error, re2.error) else "not valid Unicode"
        raise InvalidRequest(f"pattern {text!a}: {reason}; allowed: the syntax of RE2") from error


def path_allowed(options: Mapping[str, str], permission: str, path: object) -> bool:
    """Whether the options leave a permission for `path`, whose text is `/DESTINATION/PATH` whatever its user calls it.

    A pattern must match the whole path. Without one every path is allowed, and none is asked for its text.
    """
    text = options.get(pattern_name(permission))
    return text is None or pattern(text).fullmatch(str(path)) is not None


@frozen
class HeaderRule:
    """Header fields of files whose names fit."""

    operator: str
    text: str
    fields: tuple[tuple[str, str], ...]

    def fits(self, name: str) -> bool:
        if self.operator == ".=":
            return name.startswith(self.text)
        if self.operator == "=.":
            return name.endswith(self.text)
        return (name == self.text) is (self.operator == "==")


@lru_cache(1000)
def header_rules(text: str) -> tuple[HeaderRule, ...]:
    """The rules of a `portal.headerRegistry`; none where they can't be read, or name a field that is not a user's to set."""
    found, end = [], 0
    while (match := _RULE.match(text, end)) is not None:
        pairs = tuple((name.strip(), value.strip()) for name, _, value in (each.partition("=") for each in match[3].split(";")))
        if not all(_SETTABLE.fullmatch(name) and value for name, value in pairs):
            return ()
        found.append(HeaderRule(match[1], match[2], pairs))
        end = match.end()
    return tuple(found) if end == len(text) else ()


def registered(options: Mapping[str, str], name: str) -> Mapping[str, str]:
    """The header fields that a user's options give to a file of that name; of several rules the last one counts."""
    text = options.get("portal.headerRegistry")
    if text is None:
        return {}
    return dict(pair for rule in header_rules(text) if rule.fits(name) for pair in rule.fields)


def kept_for(lifetime: float | None, option: str | None) -> float | None:
    """Seconds that a destination keeps files; None: for ever. Its own lifetime counts before the option, whose 0 is none."""
    life = lifetime if lifetime is not None or option is None else in_seconds(option)
    return life if life and life < EVER else None


def lifetime_of(destination: Destination) -> float | None:
    """As `kept_for`."""
    return kept_for(destination.lifetime, destination.options.get(LIFETIME))


def in_seconds(text: str) -> int:
    """What a `PERIOD` says."""
    digits = text.rstrip("smhdw")
    return int(digits) * UNITS[text[len(digits) :] or "s"]


def _is_pattern(text: str) -> bool:
    return pattern(text) is not None


def _is_segment(text: str) -> bool:
    text = text.strip("/")
    return 0 < len(text.encode("utf-8")) <= 255 and "/" not in text and text not in (".", "..")


def _choice(*words: str) -> Type:
    return Type("choice", " or ".join(words), words.__contains__)


def _matching(name: str, allowed: str, expression: str) -> Type:
    return Type(name, allowed, re.compile(expression, re.ASCII).fullmatch)


TEXT = Type("text", f"text, at most {TEXT_LENGTH} characters", lambda text: True)
PATTERN = Type("pattern", "a regular expression of RE2's syntax", _is_pattern)
SEGMENT = Type("name", "one element of a path", _is_segment)
DESTINATION = Type("destination", "a destination's name", DESTINATION_NAME.fullmatch)
BOOLEAN = _choice("true", "false")
NUMBER = _matching("number", "a whole number, 0 or more", "[0-9]{1,15}")
SIZE = _matching("size", "bytes, such as 1000000, 500M or 2G (K is 1024)", "[0-9]{1,15}[kKMGT]?")
RATES = Type("rates", "NETWORK=DOWNLOAD/UPLOAD,…, each a size, as in 192.0.2.0/24=10M/1M; 0: any number", is_by_network)
PERIOD = _matching("period", "a time such as 30d, 12h, 45m or 90 (seconds)", r"[0-9]{1,9}[smhdw]?")
WORDS = _matching("words", "words, separated by commas", r"[\w .-]{1,64}(,[\w .-]{1,64}){0,99}")
SCHEDULE = _matching("schedule", "HH:MM-HH:MM=N,… in UTC", rf"{_TIMES}-{_TIMES}=[0-9]{{1,9}}(,{_TIMES}-{_TIMES}=[0-9]{{1,9}})*")
OPENNESS = _choice("private", "public-read", "public-read-write", "authenticated-read")
OBJECTS = _choice("bucket", "own")
_GRANT = rf"({'|'.join(RIGHTS)})={LOGIN.pattern}"
GRANTS = _matching("grants", f"RIGHT=LOGIN,…, each right one of {', '.join(RIGHTS)}", rf"{_GRANT}(,{_GRANT}){{0,{MOST - 1}}}")
LOCATION = _matching("location", "letters, digits and hyphens, at most 64", "[A-Za-z0-9-]{1,64}")
ETAG = _choice("md5", "opaque")
HEADERS = Type(
    "headers",
    "(OP TEXT) NAME=VALUE;NAME=VALUE, several one after the other; OP is ==, !=, .= (begins) or =. (ends)",
    lambda text: bool(header_rules(text)),
)
ORDER = _choice("asc", "desc")
COLOR = _matching("colour", "a colour such as #14507f or navy", "#[0-9A-Fa-f]{3}|#[0-9A-Fa-f]{6}|[a-z]{3,20}")
SORT = _choice("name", "size", "target", "time")

USER_OPTIONS = (
    Option("portal.destination", DESTINATION, "this destination is the root: paths begin inside it, no other is seen", True),
    Option("portal.domain", _choice("DATA"), "the level that OpenECPDS has above the destinations; it is left out", True),
    *(
        Option(pattern_name(permission), PATTERN, f"`{permission}` only where the whole `/DESTINATION/PATH` matches", True)
        for permission in PERMISSIONS
    ),
    Option("portal.excludeProtocols", WORDS, "doors that the user may not come in by, such as `ftp,s3`", True),
    Option("portal.updateLastLoginInformation", BOOLEAN, "whether the last login is noted; `true` unless set", True),
    Option(MAKES_BUCKETS, BOOLEAN, "whether S3's CreateBucket and DeleteBucket make and remove destinations", True),
    Option(EDITS_SOURCES, BOOLEAN, "whether the user may change data sources, and see reports of single transfers", True),
    Option(SSH_NEEDS_BOTH, BOOLEAN, "whether SSH asks for a key and for the password, not for one of them", True),
    Option(
        ONE_TIME_CODES,
        _choice("required", "only"),
        "`required`: no password lets in without a one-time code; `only`: nor does anything else, such as keys",
        True,
    ),
    Option(MOST_SESSIONS, NUMBER, "sessions of FTP and SSH at a time on a node; `0`: any number", True),
    Option(
        MOST_SESSIONS_BY_TIME,
        SCHEDULE,
        "the same by the time of day, where a span holds it; `0`: no login then, at any door",
        True,
    ),
    Option("portal.maxUploadBytes", SIZE, "bytes that may be put within any `portal.uploadPeriod`", True),
    Option("portal.uploadPeriod", PERIOD, "over which uploads are counted; `1d` unless set", True),
    Option("portal.maxDownloadBytes", SIZE, "bytes that may be fetched within any `portal.downloadPeriod`", True),
    Option("portal.downloadPeriod", PERIOD, "over which downloads are counted; `1d` unless set", True),
    Option("portal.maxHeldBytes", SIZE, "bytes that files may have together that the user has put since this was set", True),
    Option("portal.maxHeldFiles", NUMBER, "and how many there may be", True),
    Option("portal.maxBytesPerSecForInput", SIZE, "of all downloads of the user on a node together; `0`: no limit", True),
    Option("portal.maxBytesPerSecForOutput", SIZE, "of all its uploads", True),
    Option(BY_NETWORK, RATES, "both, for who comes from there, instead of those; the first network that fits counts", True),
    Option("portal.maxRangesAllowed", NUMBER, "ranges of one HTTP request; of more the whole file is sent", True),
    Option("portal.geoblocking", WORDS, "the only continents, countries and cities to come from"),
    Option("portal.sort", SORT, "by what listings are sorted", True),
    Option("portal.order", ORDER, "and which way", True),
    Option("portal.simpleList", BOOLEAN, "listings in plain text", True),
    Option("portal.headerRegistry", HEADERS, "what answers with a file carry besides, by its name", True),
    Option(ALLOW_ORIGIN, TEXT, "the site, such as `https://maps.example`, whose pages may read; `*`: any", True),
    Option("portal.releases", BOOLEAN, "whether the user may release and hold files, where it may put them", True),
    Option("portal.shareLinks", BOOLEAN, "whether the user may make share links; `true` unless set", True),
    Option("portal.mqttPermission", TEXT, "what may be subscribed to"),
    Option("portal.recordHistory", BOOLEAN, "whether transfers go to the history"),
    Option("portal.recordSplunk", BOOLEAN, "whether transfers go to the records"),
    Option("portal.triggerEvent", BOOLEAN, "whether transfers are told of"),
    Option("portal.triggerLastRangeOnly", BOOLEAN, "of downloads in ranges, only the last"),
    Option("portal.registrationAutoApprove", BOOLEAN, "who registers may come in at once"),
    Option("portal.registrationAdminEmail", TEXT, "who is asked otherwise"),
    Option("portal.registrationEmailExtraVerify", TEXT, "text of the mail that verifies"),
    Option("portal.registrationEmailExtraAccess", TEXT, "text of the mail that lets in"),
    Option("portal.color", COLOR, "of the pages", True),
    Option("portal.accessGuide", BOOLEAN, "shown on pages", True),
    Option("portal.loginButton", BOOLEAN, "shown on pages", True),
    Option("portal.trafficStats", BOOLEAN, "shown on pages", True),
    *(
        Option(f"portal.{name}", TEXT, "shown on pages", True)
        for name in ("title", "tab", "footer", "warning", "welcome", "msgTop", "msgDown")
    ),
)

DESTINATION_OPTIONS = (
    Option("incoming.rootdir", SEGMENT, "what users see as the destination's name", True),
    Option(LIFETIME, PERIOD, "how long files are kept, where `--lifetime` doesn't say; `0`: for ever", True),
    Option("incoming.delay", PERIOD, "how long files that are put wait until they are seen", True),
    Option(
        "incoming.standby", BOOLEAN, "whether files that are put wait until somebody releases them, whatever the delay", True
    ),
    Option("incoming.priority", NUMBER, "of transfers, 0 to 99"),
    Option("incoming.version", TEXT, "how versions of one name are told apart"),
    Option("incoming.dateformat", TEXT, "how dates are written in names"),
    Option("incoming.event", BOOLEAN, "whether what arrives is told of"),
    Option("incoming.tmpDetect", BOOLEAN, "whether files wait whose names say that they are not ready, until renamed", True),
    Option("incoming.tmpPattern", PATTERN, "which names do; `.tmp .part .partial .filepart` at the end unless set", True),
    Option("incoming.metadata", TEXT, "what is read out of names"),
    Option("incoming.failOnMetadataParsingError", BOOLEAN, "whether names must fit that"),
    Option("incoming.sort", SORT, "by what listings are sorted"),
    Option("incoming.order", ORDER, "and which way"),
    Option("incoming.maxBytesPerSecForInput", SIZE, "of one download; `0`: no limit", True),
    Option("incoming.maxBytesPerSecForOutput", SIZE, "of one upload", True),
    Option("incoming.maxUploadBytes", SIZE, "bytes that may be put within any `incoming.uploadPeriod`", True),
    Option("incoming.uploadPeriod", PERIOD, "over which uploads are counted; `1d` unless set", True),
    Option("incoming.maxDownloadBytes", SIZE, "bytes that may be fetched within any `incoming.downloadPeriod`", True),
    Option("incoming.downloadPeriod", PERIOD, "over which downloads are counted; `1d` unless set", True),
    Option("incoming.maxHeldBytes", SIZE, "bytes that all files in it may have together", True),
    Option("incoming.maxHeldFiles", NUMBER, "files that may be in it", True),
    Option(ORIGIN_OF_DESTINATION, TEXT, "as `portal.corsAllowOrigin`, for what is in here, whoever its user is", True),
    Option(BUCKET_ACL, OPENNESS, "who else may read, or read and write, over S3: everybody, or every user of the portal", True),
    Option(BUCKET_GRANTS, GRANTS, "which single users have which rights in it over S3, besides its own users", True),
    Option(BUCKET_OWNER, TEXT, "whom S3's ACLs and lists call its owner: who made it; nothing else follows from it", True),
    Option(
        BUCKET_OBJECTS,
        OBJECTS,
        "whom an object without an ACL is open to: who the destination is open to, or, `own`, its users alone, as in S3 and"
        " in what S3's clients make; `bucket` unless set",
        True,
    ),
    Option(BUCKET_LOCATION, LOCATION, "the location that S3's GetBucketLocation tells; nothing else follows from it", True),
    Option(S3_ETAG, ETAG, "S3's ETags of what it puts: the MD5, or, for the speed, one that is none; `md5` unless set", True),
    Option(BUCKET_TAGS, TEXT, "tags, `key=value&…`, for S3's GetBucketTagging", True),
)

_USER = {option.name: option for option in USER_OPTIONS}
_DESTINATION = {option.name: option for option in DESTINATION_OPTIONS}


def check_user_options(options: Mapping[str, str]) -> None:
    """Of a user or a policy. Raises `InvalidRequest`, one sentence that says what is allowed."""
    _check(options, _USER)


def check_destination_options(options: Mapping[str, str]) -> None:
    """Raises `InvalidRequest`, one sentence that says what is allowed."""
    _check(options, _DESTINATION)


def _check(options: Mapping[str, str], known: Mapping[str, Option]) -> None:
    for name, text in options.items():
        option = known.get(name)
        if option is None:
            raise InvalidRequest(f"option {name[:100]!a} is not known; `ecpds option list` shows those that are")
        if len(text) > TEXT_LENGTH or _UNPRINTABLE.search(text) or not option.type.fits(text):
            raise InvalidRequest(f"option {name} = {text[:100]!a}; allowed: {option.type.allowed}")


def table(title: str, options: Iterable[Option]) -> str:
    """A section of the page about options."""
    rows = [f"| `{each.name}` | {each.type.allowed} | {each.help} | {'yes' if each.acts else 'kept'} |" for each in options]
    return "\n".join([f"## {title}", "", "| option | allowed | meaning | acts |", "|---|---|---|---|", *rows, ""])


def page() -> str:
    """`docs/options.md`."""
    return "\n".join(
        [
            "# Options",
            "",
            "Made by `python -m ecpds.options` from the table in `ecpds/options.py`. `--option NAME=VALUE` sets one, `--unset",
            "NAME` takes it away. What a policy and its user both set is the user's: see [users.md](users.md). Options marked",
            "`kept` are stored and checked, and change nothing in this release.",
            "",
            table("Of users and policies", USER_OPTIONS),
            table("Of destinations", DESTINATION_OPTIONS),
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(page())
