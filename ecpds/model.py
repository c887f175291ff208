"""The things the portal speaks of, as frozen records. Nothing here touches a disk, a socket or a clock.

Times are seconds since the epoch (float, UTC), sizes are bytes, digests are lower-case hexadecimal by algorithm name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from ecpds.rates import Rates

PERMISSIONS = ("get", "put", "delete", "dir", "mkdir", "rmdir", "rename", "size", "mtime")
REPLACING = ("put", "delete")
"""Who holds one of these at a path may replace its file by a rename: it could do away with it anyhow."""
MODES = ("standard", "open", "self-service")

DIGESTS = ("sha256", "md5", "sha1", "sha512", "crc64nvme", "crc32", "crc32c")
"""The digests a destination can keep. CRC-64/NVME is always kept; the others when the destination asks for them."""

IF_SMALL = "?"
"""Behind the name of a digest of an allocation: it is wanted of a file that fits into a mover's first buffer. To digest that
while it is there costs less than to do it afterwards."""

EMPTY: Mapping[str, str] = MappingProxyType({})
NO_RIGHTS: Mapping[str, frozenset[str]] = MappingProxyType({})
NO_RATES: Mapping[str, Rates] = MappingProxyType({})


@frozen
class Origin:
    """Where a request comes from: the door's protocol name, the client's address, and the node it is connected to."""

    protocol: str
    address: str
    node: str = ""

    def context(self, login: str) -> str:
        """The sentence that denials carry, as the ancestor words it."""
        return f"Using {self.protocol} on DataMover={self.node} from {login}@{self.address}"


@frozen
class Destination:
    """An S3 bucket and, normally, the first element of a path; it owns lifetime, copies, transfer group and digests."""

    id: int
    name: str
    copies: int = 1
    group: str | None = None
    lifetime: float | None = None
    digests: tuple[str, ...] = ("sha256",)
    digest_when: str = "inline"
    options: Mapping[str, str] = EMPTY
    created: float = 0.0


@frozen
class Identity:
    """A Data User who has logged in: what it may do, and where.

    `permissions` are those that it holds anywhere. `rights` says which it holds in a destination, where that is not all
    of them. `names` are the first elements of paths that are not the destination's own name: element -> destination.
    `access_key` is what it logged in with, where that may do less than its user; `credential` is a mark of the password or
    public key that it logged in with, by which the Master knows whether that is still one of the user's. `share` is the
    number of the share link that it came by, and `within` is all that it sees then: the real path of a file, or of a folder,
    which ends in a slash. `sites` are the web sites whose pages may read what is in a destination: destination -> site.
    Who `visits` has no right of its own there, but those of everybody, of every user, and what was granted to it alone.
    `metered` are the destinations from which what it fetches counts for a quota: the Master is asked before. `rates` are
    those at which one transfer may go, of destinations that have any.
    """

    user_id: int
    login: str
    permissions: frozenset[str]
    destinations: tuple[str, ...]
    options: Mapping[str, str] = EMPTY
    comment: str = ""
    rights: Mapping[str, frozenset[str]] = NO_RIGHTS
    names: Mapping[str, str] = EMPTY
    access_key: str = ""
    credential: str = field(default="", repr=False)
    share: int = 0
    within: str = ""
    sites: Mapping[str, str] = EMPTY
    visits: bool = False
    metered: frozenset[str] = frozenset()
    rates: Mapping[str, Rates] = NO_RATES

    def may(self, permission: str, destination: str | None = None) -> bool:
        """Whether the user holds `permission`: anywhere, or in `destination`, where one is named."""
        if destination is None:
            return permission in self.permissions
        return destination in self.destinations and permission in self.rights.get(destination, self.permissions)


VISITOR = 0
"""The id of who visits and has not said who it is: there is no such user."""

ANYBODY = "anonymous"
"""What records call who has not said who it is."""

OBJECT_ACL = "s3-acl"
"""Where the metadata of a file says whom besides its users it is open to: one of S3's canned ACLs."""

OBJECT_GRANTS = "s3-grants"
"""And to which single users, by which rights (`grants`)."""

ACL_NOTES = frozenset((OBJECT_ACL, OBJECT_GRANTS))
"""What of the metadata says whom a file is open to, and nothing else."""

INITIATOR = "s3-initiator"
"""Where the metadata of an upload in parts says who began it."""


@frozen
class Copy:
    """One place where a segment is stored: a mover's name and the index of the volume in that mover's list.

    `ticket` is leave to read it there, for a node that is another.
    """

    mover: str
    volume: int
    ticket: bytes = field(default=b"", eq=False, repr=False)


@frozen
class Segment:
    """A span of a data file's content, stored under its own id; a file that came whole has one, with the file's id."""

    id: int
    length: int
    copies: tuple[Copy, ...] = ()


@frozen
class DataFile:
    """Immutable stored content. The segments are in the order of the content, and their lengths add up to the size."""

    id: int
    size: int
    mtime: float
    created: float
    digests: Mapping[str, str] = EMPTY
    metadata: Mapping[str, str] = EMPTY
    segments: tuple[Segment, ...] = ()

    @property
    def etag(self) -> str:
        """The strong entity tag that HTTP shows (RFC 9110 section 8.8.3), with its quotes."""
        return f'"{self.id}"'


@frozen
class Entry:
    """A name in a directory: a file when it has a data file, otherwise a directory.

    `path` is what the asker calls it, absolute; from the Master it is relative to the destination, without a leading
    slash, and empty for the destination itself. `replaced` is said by a commit alone: the name pointed at a file before.
    `waits` is said of a file that is not released yet (`ecpds.releases`): when it will be.
    """

    path: str
    mtime: float
    file: DataFile | None = None
    replaced: bool = field(default=False, eq=False, repr=False)
    waits: float | None = None

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_directory(self) -> bool:
        return self.file is None

    @property
    def size(self) -> int:
        return self.file.size if self.file else 0


@frozen
class Page:
    """A part of a listing in the byte order of names. `after` continues it; None says that this was the last."""

    entries: tuple[Entry, ...]
    after: str | None = None


@frozen
class KeyPage:
    """A part of a destination's keys in their byte order, and the common prefixes of those that were folded.

    A key is an entry's path relative to the destination; a folder's own key ends in a slash. `after` continues it.
    """

    entries: tuple[Entry, ...]
    prefixes: tuple[str, ...] = ()
    after: str | None = None


@frozen
class MultipartUpload:
    """A file that comes in parts: until it is complete, nobody sees it. `path` is relative to the destination."""

    id: int
    path: str
    created: float
    metadata: Mapping[str, str] = EMPTY


@frozen
class UploadPart:
    """A part that is stored: its segment is a part of no file yet. `created` is None where that was not written down."""

    number: int
    segment: int
    size: int
    digests: Mapping[str, str] = EMPTY
    created: float | None = None


@frozen
class Partial:
    """What is kept of an upload that broke off, for its user alone: the parts in their order, and where each is stored."""

    id: int
    created: float
    parts: tuple[UploadPart, ...]
    segments: tuple[Segment, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@frozen
class Completion:
    """What an upload is to become: the parts in their order, and what is known of the whole."""

    parts: tuple[UploadPart, ...]
    digests: Mapping[str, str] = EMPTY
    metadata: Mapping[str, str] = EMPTY


@frozen
class Condition:
    """What must be true of a name at the moment of the commit: it is absent, or it points at one of `match`.

    `match` holds DataFileIDs; None asks nothing, an empty set can't be met. `exists` asks only that there be a file.
    """

    absent: bool = False
    exists: bool = False
    match: frozenset[int] | None = None

    def met_by(self, file_id: int | None) -> bool:
        """Whether a name that points at `file_id` (None: at nothing) satisfies this."""
        if self.absent and file_id is not None:
            return False
        if self.exists and file_id is None:
            return False
        return self.match is None or file_id in self.match


ANYTHING = Condition()


@frozen
class Placement:
    """Where one copy of an upload is to be stored. `ticket` is leave to write it there, for a node that is another."""

    mover: str
    volume: int
    ticket: bytes = field(default=b"", eq=False, repr=False)


@frozen
class Allocation:
    """The Master's leave to store one file: its DataFileID, where each copy goes, and the digests to compute."""

    id: int
    placements: tuple[Placement, ...]
    digests: tuple[str, ...]


@frozen
class Receipt:
    """A target mover's word that it holds one copy of a segment, synced: its size and digests."""

    segment: int
    mover: str
    volume: int
    size: int
    digests: Mapping[str, str] = EMPTY


@frozen
class StoredSegment:
    """A file that a mover finds on one of its volumes: the segment id that its path says, and its size."""

    segment: int
    volume: int
    size: int = 0


@frozen
class VolumeUse:
    """How full a volume is. `failed` says why it can't be used, if it can't."""

    index: int
    path: str
    total: int
    free: int
    failed: str | None = None


@frozen
class Room:
    """Bytes that some volumes hold together, and those that new files may take. Every copy of a file is allowed for."""

    total: int
    free: int


@frozen
class Usage:
    """What a destination holds: so many files, whose bytes are counted once, whatever their copies, at the time `counted`."""

    files: int
    size: int
    counted: float


@frozen
class QuotaUse:
    """How far a quota is used: `used` of `most` bytes within the last `period` seconds. `of` is `upload` or `download`, or
    `heldBytes` or `heldFiles`, which have no period: 0."""

    of: str
    used: int
    most: int
    period: int


@frozen
class DestinationChange:
    """What an operator changes of a destination; None leaves a thing as it is. `unset` as in `UserChange`.

    `lifetime` and `group` may be unset too.
    """

    copies: int | None = None
    group: str | None = None
    lifetime: float | None = None
    digests: tuple[str, ...] | None = None
    digest_when: str | None = None
    options: Mapping[str, str] = EMPTY
    unset: tuple[str, ...] = ()


@frozen
class RecordFilter:
    """Which records of the history are wanted: None asks nothing. Times are from `since` on and before `until`."""

    type: str | None = None
    user: str | None = None
    destination: str | None = None
    status: str | None = None
    since: float | None = None
    until: float | None = None

    def equal(self) -> dict[str, str]:
        """What has to be equal, by its name in the history."""
        asked = {"type": self.type, "user": self.user, "destination": self.destination, "status": self.status}
        return {name: text for name, text in asked.items() if text is not None}
