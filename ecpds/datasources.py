"""The things the repository of data sources speaks of, as frozen records: what curators keep, what clients ask and report.

Who asks whom: a client (the daemon's movers, `ecpds fetch`, any program over HTTP) hands the repository a URL and the
mechanisms it can run, and gets a `Resolution`: candidates in the order in which to try them, each with its reason. It tries
them, and sends one `TransferReport` for each it tried, failures too, with the resolution's token. Reports change the order
of later answers.

Ids are given once and never again. Times are seconds since the epoch (UTC), sizes bytes, rates bytes a second, digests
lower-case hexadecimal by algorithm name. "Site" is what is called destination outside (JSON, options, pages): where data is
going to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

Options = Mapping[str, Any]

NO_OPTIONS: Options = MappingProxyType({})
NO_DIGESTS: Mapping[str, str] = MappingProxyType({})

MATCHER_TYPES = {"scheme_and_host": ("scheme", "host"), "regular_expression": ("pattern",)}
"""The options of each type of URL matcher, all of them text that is required."""

TRANSFORM_TYPES = {
    "change_host": ("new_host",),
    "change_scheme": ("new_scheme",),
    "change_scheme_and_host": ("new_scheme", "new_host"),
    "regex_replace": ("pattern", "repl"),
}
"""The options of each type of transform, all of them text that is required."""


@frozen
class MechanismOption:
    """What a curator sets of a mechanism: `kind` is `text`, `number` or `flag`."""

    name: str
    kind: str = "text"
    required: bool = False


@frozen
class Mechanism:
    """A way to retrieve. `schemes` are those it is the first choice for where no source says better."""

    id: str
    label: str
    description: str
    options: tuple[MechanismOption, ...] = ()
    schemes: tuple[str, ...] = ()


def _texts(*names: str) -> tuple[MechanismOption, ...]:
    return tuple(MechanismOption(name, required=True) for name in names)


_FORM = _texts("auth_url", "username_field", "password_field", "username_prompt", "password_prompt")

MECHANISMS: Mapping[str, Mechanism] = MappingProxyType(
    {
        mechanism.id: mechanism
        for mechanism in (
            Mechanism("ftp", "FTP", "FTP and FTPS, by ecpds itself", schemes=("ftp", "ftps")),
            Mechanism("http", "HTTP", "HTTP and HTTPS, by ecpds itself", schemes=("http", "https")),
            Mechanism("http_session", "HTTP after a form", "HTTP and HTTPS by ecpds itself, after a login by a form", _FORM),
            Mechanism("sftp", "SFTP", "SFTP, by ecpds itself", schemes=("sftp",)),
            Mechanism(
                "s3",
                "S3",
                "S3, by ecpds itself",
                tuple(MechanismOption(name) for name in ("endpoint", "region", "profile")),
                ("s3",),
            ),
            Mechanism("ecpds", "ecpds", "Another ecpds, over HTTPS", schemes=("ecpds",)),
            Mechanism("curl", "curl", "The curl program"),
            Mechanism("session_authenticated_curl", "curl after a form", "The curl program, after a login by a form", _FORM),
            Mechanism(
                "aspera",
                "Aspera",
                "The ascp program",
                (*_texts("username"), MechanismOption("disable_encryption", "flag")),
                ("aspera",),
            ),
            Mechanism(
                "gridftp_lite",
                "GridFTP over SSH",
                "The globus-url-copy program",
                (
                    MechanismOption("fast_mode", "flag"),
                    *(MechanismOption(name, "number") for name in ("parallelism", "block_size", "tcp_buffer_size")),
                ),
                ("sshftp",),
            ),
            Mechanism(
                "anonymous_gridftp",
                "Anonymous GridFTP",
                "The globus-url-copy program",
                (MechanismOption("port", "number", required=True), *_texts("username")),
            ),
            Mechanism("scp", "SCP", "The scp program", schemes=("scp",)),
        )
    }
)
"""By id; those that the ancestor (BDSS) had keep its ids and options, so that its clients and configurations do."""


def default_mechanism(scheme: str, available: Collection[str] | None = None) -> str | None:
    """What retrieves a URL of that scheme where no source says: None when nothing that is `available` can (None: all are)."""
    own = [each.id for each in MECHANISMS.values() if scheme in each.schemes]
    fitting = [*own, "curl"] if scheme in ("ftp", "ftps", "http", "https") or not own else own
    return next((each for each in fitting if available is None or each in available), None)


@frozen
class Stamp:
    """Who made a thing and who changed it last, and when."""

    created: float = 0.0
    created_by: str = ""
    changed: float = 0.0
    changed_by: str = ""


UNSTAMPED = Stamp()


@frozen
class UrlMatcher:
    """Which URLs are a source's: `options` are those of `MATCHER_TYPES[type]`."""

    id: int
    type: str
    options: Mapping[str, str]


@frozen
class Transform:
    """How a URL of its source becomes one of another source, `target` (its id), that is likely faster.

    A source's transforms stand in the order of preference. A conditional one applies only for `sites` (ids); when the last
    of them has been removed it applies for nobody, rather than for all.
    """

    id: int
    target: int
    type: str
    options: Mapping[str, str]
    description: str | None = None
    sites: tuple[int, ...] = ()
    conditional: bool = False
    enabled: bool = True


@frozen
class TestFile:
    """A URL of a source that is known to be there, for probing it. It matches its source's matchers."""

    __test__ = False  # nothing for a collector of tests

    id: int
    url: str


@frozen
class DataSource:
    """A location of files and the way to retrieve from it. `mechanism` is a key of `MECHANISMS`."""

    id: int
    label: str
    mechanism: str
    description: str | None = None
    options: Options = NO_OPTIONS
    enabled: bool = True
    matchers: tuple[UrlMatcher, ...] = ()
    transforms: tuple[Transform, ...] = ()
    test_files: tuple[TestFile, ...] = ()
    stamp: Stamp = field(default=UNSTAMPED, eq=False)


@frozen
class Site:
    """Where data is going to. A client says its label, or is found by its address in `networks` (CIDR)."""

    id: int
    label: str
    description: str | None = None
    networks: tuple[str, ...] = ()
    stamp: Stamp = field(default=UNSTAMPED, eq=False)


@frozen
class Candidate:
    """One way to get the file that was asked for. Without a source (None) it is the URL itself, as no source knows it.

    `options` are the mechanism's. `size` and `digests` are what the file must have, where that is known.
    """

    url: str
    mechanism: str
    options: Options = NO_OPTIONS
    source_id: int | None = None
    source: str | None = None
    reason: str = ""
    size: int | None = None
    digests: Mapping[str, str] = NO_DIGESTS


@frozen
class Drop:
    """One way that was thought of and is not offered, with the reason."""

    url: str
    reason: str
    source: str | None = None


@frozen
class Resolution:
    """Where from, and how, to get `url`: the candidates in the order to try them, and what was left out.

    `token` is the repository's signature; a report that carries it counts in full. `site` is the destination's label that
    was answered for, None where it is not known.
    """

    url: str
    candidates: tuple[Candidate, ...]
    drops: tuple[Drop, ...] = ()
    token: str = ""
    site: str | None = None
    warnings: tuple[str, ...] = ()


@frozen
class Question:
    """What a client asks with its URLs. `mechanisms` are those it can run; None means all of them.

    `site` is a destination's label; without it the client's `address` may tell. `size` is that of the file, where known.
    """

    mechanisms: frozenset[str] | None = None
    site: str | None = None
    address: str = ""
    size: int | None = None
    explore: bool = True


@frozen
class TransferReport:
    """What became of one candidate. `url` is the candidate's, `source_id` its source's, both as they were answered.

    `size` and `seconds` are of the bytes that came, also of a failed transfer. `wrong` says that the bytes came and were
    not the file (its digest or size differed), which counts for more than a failure.
    """

    url: str
    success: bool
    size: int = 0
    seconds: float = 0.0
    mechanism: str = ""
    digests: Mapping[str, str] = NO_DIGESTS
    error: str = ""
    wrong: bool = False
    source_id: int | None = None
    site: str | None = None
    token: str = ""
    output: str = ""


@frozen
class Measured:
    """What came of one candidate that was probed: bytes, and the seconds until they were here, the wait for the first of them
    included. `reason` is the sentence of why it counts as failed, empty where it does not."""

    size: int
    seconds: float
    reason: str = ""

    @property
    def rate(self) -> float:
        """Bytes a second; 0 where nothing was measured."""
        return self.size / self.seconds if self.seconds > 0 else 0.0


@frozen
class MoverProbe:
    """What one mover says of one candidate, whose `url` may be shown; without a URL, why the mover says nothing (more)."""

    mover: str
    url: str | None = None
    candidate: Candidate | None = None
    measured: Measured = Measured(0, 0.0)


@frozen
class StoredReport:
    """A report as it is kept: `source` and `site` are ids, `weight` is what it counted for."""

    id: int
    time: float
    source: int
    site: int | None
    report: TransferReport
    weight: float = 1.0
    address: str = ""

    @property
    def rate(self) -> float:
        """Bytes a second; 0 where nothing was measured."""
        return self.report.size / self.report.seconds if self.report.seconds > 0 else 0.0


NO_RATES: Mapping[int, float] = MappingProxyType({})


@frozen
class RateCell:
    """What reports say of a source, for a site and a class of sizes; 0 is any. Weights are as they were at `time`.

    `done` and `failed` are weights of reports; `rates` are those of successful ones by eighths of octaves: n is 2**(n / 8)
    bytes a second. So a cell is small however many reports it was made of, and one odd report moves its median little.
    """

    source: int
    site: int = 0
    size_class: int = 0
    time: float = 0.0
    done: float = 0.0
    failed: float = 0.0
    rates: Mapping[int, float] = NO_RATES


@frozen
class AuditEntry:
    """One change of a curated thing: who, when, what it was and what it became, as JSON objects (None: it was not there)."""

    id: int
    time: float
    who: str
    action: str
    kind: str
    subject: int
    label: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@frozen
class SourceChange:
    """What is saved in one go, all of it or nothing: things new or changed, ids that go, and the audit of it.

    `next_id` is the first id that has not been given away. `sites` and `sources` are whole: what a source had and has no
    more goes with the change.
    """

    next_id: int
    sources: tuple[DataSource, ...] = ()
    sites: tuple[Site, ...] = ()
    gone_sources: tuple[int, ...] = ()
    gone_sites: tuple[int, ...] = ()
    audit: tuple[AuditEntry, ...] = ()


@frozen
class Curated:
    """All that is curated, as a store keeps it: sources and sites by id, and the first id that is free."""

    sources: Mapping[int, DataSource]
    sites: Mapping[int, Site]
    next_id: int = 1
