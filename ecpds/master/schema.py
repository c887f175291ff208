"""The tables of the catalogue. The migrations make them; a test holds both to the same shape.

A path in here is relative to its destination, without a leading slash; the destination's own directory has the empty
path. Names and paths compare as bytes: SQLite's BINARY on UTF-8 text, PostgreSQL's "C". Times are seconds since the
epoch; digests, metadata and the fields of a record are JSON objects in text, for no query looks into them.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.dialects import postgresql, sqlite

Number = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Name = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
Json = Text()

EPOCH = date(1970, 1, 1).toordinal()

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# The next DataFileID (and segment id) that has not been reserved yet: one row a name.
sequence = Table(
    "sequence",
    metadata,
    Column("name", Name, primary_key=True),
    Column("next", Number, nullable=False),
    sqlite_with_rowid=False,
)

destination = Table(
    "destination",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("copies", Number, nullable=False),
    Column("transfer_group", Text),
    Column("lifetime", Double),
    Column("digests", Text, nullable=False),
    Column("digest_when", Text, nullable=False),
    Column("created", Double, nullable=False),
    sqlite_autoincrement=True,
)

destination_option = Table(
    "destination_option",
    metadata,
    Column("destination", Number, ForeignKey("destination.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Name, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

user = Table(
    "user",
    metadata,
    Column("id", Number, primary_key=True),
    Column("login", Name, nullable=False, unique=True),
    Column("password", Text),
    Column("mode", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("permissions", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("last_login", Double),
    sqlite_autoincrement=True,
)

user_destination = Table(
    "user_destination",
    metadata,
    Column("user", Number, ForeignKey("user.id", ondelete="CASCADE"), primary_key=True),
    Column("destination", Number, ForeignKey("destination.id", ondelete="CASCADE"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

user_option = Table(
    "user_option",
    metadata,
    Column("user", Number, ForeignKey("user.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Name, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

# `blob` is the key's own base64 form; a key belongs to a user once, and may belong to several users.
user_key = Table(
    "user_key",
    metadata,
    Column("user", Number, ForeignKey("user.id", ondelete="CASCADE"), primary_key=True),
    Column("blob", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("added", Double, nullable=False),
    sqlite_with_rowid=False,
)

# A policy without permissions (NULL) leaves what its users may do in its destinations to their own.
policy = Table(
    "policy",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("enabled", Boolean, nullable=False),
    Column("permissions", Text),
    Column("comment", Text, nullable=False),
    Column("created", Double, nullable=False),
    sqlite_autoincrement=True,
)

policy_destination = Table(
    "policy_destination",
    metadata,
    Column("policy", Number, ForeignKey("policy.id", ondelete="CASCADE"), primary_key=True),
    Column("destination", Number, ForeignKey("destination.id", ondelete="CASCADE"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

policy_option = Table(
    "policy_option",
    metadata,
    Column("policy", Number, ForeignKey("policy.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Name, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

# `position` is the order in which a user's policies were given: of two that set an option the first one's counts.
user_policy = Table(
    "user_policy",
    metadata,
    Column("user", Number, ForeignKey("user.id", ondelete="CASCADE"), primary_key=True),
    Column("policy", Number, ForeignKey("policy.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("position", Number, nullable=False),
    sqlite_with_rowid=False,
)

# Secrets that must be recovered, sealed (`keys.Vault`). An `s3` one's id is the access key id; where its permissions or
# destinations are NULL it has its user's.
user_secret = Table(
    "user_secret",
    metadata,
    Column("id", Name, primary_key=True),
    Column("user", Number, ForeignKey("user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("permissions", Text),
    Column("destinations", Text),
    sqlite_with_rowid=False,
)

# Of whose passwords one-time codes are a part: the secret, sealed, and the last time step of which a code was taken.
user_totp = Table(
    "user_totp",
    metadata,
    Column("user", Number, ForeignKey("user.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("used", Number, nullable=False),
    sqlite_with_rowid=False,
)

# The root of a destination has no parent and the empty name and path. An implicit directory came with a file and goes
# when it is empty.
directory = Table(
    "directory",
    metadata,
    Column("id", Number, primary_key=True),
    Column("destination", Number, ForeignKey("destination.id"), nullable=False),
    Column("parent", Number, ForeignKey("directory.id")),
    Column("name", Name, nullable=False),
    Column("path", Name, nullable=False),
    Column("implicit", Boolean, nullable=False),
    Column("created", Double, nullable=False),
    UniqueConstraint("destination", "path"),
    Index(None, "parent", "name"),
)

data_file = Table(
    "data_file",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("size", Number, nullable=False),
    Column("mtime", Double, nullable=False),
    Column("created", Double, nullable=False),
    Column("digests", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    Index(None, "created", "id"),
)

# The index on `data_file` is for the foreign key: without it each removed data file would cost a scan of all entries.
entry = Table(
    "entry",
    metadata,
    Column("directory", Number, ForeignKey("directory.id"), primary_key=True),
    Column("name", Name, primary_key=True),
    Column("data_file", Number, ForeignKey("data_file.id"), nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Files that wait to be released: who may put where they are sees them, everybody else the entry of that name, if there is one.
# `release` is `releases.NEVER` where that takes somebody. The destination is its directory's.
standby = Table(
    "standby",
    metadata,
    Column("directory", Number, ForeignKey("directory.id"), primary_key=True),
    Column("name", Name, primary_key=True),
    Column("destination", Number, ForeignKey("destination.id"), nullable=False, index=True),
    Column("data_file", Number, ForeignKey("data_file.id"), nullable=False, index=True),
    Column("release", Double, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# A segment without a data file is a part of an upload that is still to be completed. What came as a part has digests of its
# own; of what is all of a file the file's are those.
segment = Table(
    "segment",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("data_file", Number, ForeignKey("data_file.id")),
    Column("number", Number, nullable=False),
    Column("length", Number, nullable=False),
    Column("digests", Json),
    Index(None, "data_file", "number"),
)

# `damage` is what is wrong with a copy, where that is known since `found`: nobody is given it. Others have NULL.
copy = Table(
    "copy",
    metadata,
    Column("segment", Number, ForeignKey("segment.id"), primary_key=True),
    Column("mover", Name, primary_key=True),
    Column("volume", Number, primary_key=True),
    Column("found", Double),
    Column("damage", Text),
    sqlite_with_rowid=False,
)
Index(
    "ix_copy_damaged",
    copy.c.segment,
    copy.c.mover,
    copy.c.volume,
    sqlite_where=copy.c.damage.is_not(None),
    postgresql_where=copy.c.damage.is_not(None),
)

# Kept partials and multipart uploads only: an ordinary upload is in memory until its commit.
upload = Table(
    "upload",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("user", Number, ForeignKey("user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("destination", Number, ForeignKey("destination.id"), nullable=False),
    Column("path", Name, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False, index=True),
    Column("metadata", Json, nullable=False),
    Index(None, "destination", "path"),
)

upload_part = Table(
    "upload_part",
    metadata,
    Column("upload", Number, ForeignKey("upload.id"), primary_key=True),
    Column("number", Number, primary_key=True),
    Column("segment", Number, ForeignKey("segment.id"), nullable=False, index=True),
    Column("size", Number, nullable=False),
    Column("digests", Json, nullable=False),
    Column("created", Double),
    sqlite_with_rowid=False,
)

# `token` is the SHA-256 of a share link's; `path` ends in a slash, or is empty, where it is a folder's.
share = Table(
    "share",
    metadata,
    Column("id", Number, primary_key=True),
    Column("token", Name, nullable=False, unique=True),
    Column("user", Number, ForeignKey("user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("destination", Number, ForeignKey("destination.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("path", Name, nullable=False),
    Column("permissions", Text, nullable=False),
    Column("password", Text),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("most", Number),
    Column("used", Number, nullable=False),
    sqlite_autoincrement=True,
)

# Copies that nothing points at any more, to be deleted from `due` on.
reclaim = Table(
    "reclaim",
    metadata,
    Column("segment", Number, primary_key=True, autoincrement=False),
    Column("mover", Name, primary_key=True),
    Column("volume", Number, primary_key=True),
    Column("due", Double, nullable=False),
    Index(None, "mover", "due"),
    sqlite_with_rowid=False,
)

# Digests that are computed after the commit, by their names with commas. A file that is gone leaves its row until then.
owed = Table(
    "owed",
    metadata,
    Column("data_file", Number, primary_key=True, autoincrement=False),
    Column("digests", Text, nullable=False),
)

# What those hold who have a quota of it (`whose` is `user` or `destination`), counted by the triggers of migration 0013; a
# row is made by the first commit that needs it. And whose files are, of users with such a quota.
holding = Table(
    "holding",
    metadata,
    Column("whose", Name, primary_key=True),
    Column("owner", Number, primary_key=True),
    Column("files", Number, nullable=False),
    Column("size", Number, nullable=False),
    sqlite_with_rowid=False,
)
owned = Table(
    "owned",
    metadata,
    Column("data_file", Number, primary_key=True, autoincrement=False),
    Column("user", Number, nullable=False, index=True),
)

# Segments that a sweep may have unlinked: a late commit of one is refused.
dead = Table("dead", metadata, Column("segment", Number, primary_key=True, autoincrement=False))

# The movers that were ever heard of: one that is away is known, and what operators said of it outlives the Master.
mover = Table(
    "mover", metadata, Column("name", Name, primary_key=True), Column("duty", Text, nullable=False), sqlite_with_rowid=False
)

# The history has a table a day, `history_20261121`, which is made when its first record is written and dropped whole:
# these are the days there are, since 1970-01-01. One that is `gone` is no longer read, and dropped at the next look.
history_day = Table(
    "history_day",
    metadata,
    Column("day", Number, primary_key=True, autoincrement=False),
    Column("gone", Boolean, nullable=False),
)


def day_table(day: int, metadata: MetaData) -> Table:
    """The table of one day's records."""
    name = f"history_{date.fromordinal(EPOCH + day):%Y%m%d}"
    return Table(
        name,
        metadata,
        Column("id", Number, primary_key=True),
        Column("time", Double, nullable=False),
        Column("type", Text, nullable=False),
        Column("user", Name, nullable=False),
        Column("destination", Name, nullable=False),
        Column("path", Name, nullable=False),
        Column("status", Text, nullable=False),
        Column("fields", Json, nullable=False),
        Index(f"ix_{name}_type", "type", "id"),
        Index(f"ix_{name}_user", "user", "id"),
        Index(f"ix_{name}_destination", "destination", "id"),
        sqlite_autoincrement=True,
    )
