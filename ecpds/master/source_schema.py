"""The tables of the repository of data sources, and of acquisition; see `schema` for what holds of all.

Ids of what is curated come from one row of `sequence`, `data_source`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Table, Text

from ecpds.master.schema import Json, Name, Number, metadata


def _curated(name: str, *columns: Column[Any]) -> Table:
    """A table of labelled things, with who made and changed each."""
    return Table(
        name,
        metadata,
        Column("id", Number, primary_key=True, autoincrement=False),
        Column("label", Name, nullable=False, unique=True),
        Column("description", Text),
        *columns,
        *(Column(verb, Double, nullable=False) for verb in ("created", "changed")),
        *(Column(f"{verb}_by", Text, nullable=False) for verb in ("created", "changed")),
    )


def _of_source(name: str, *columns: Column[Any]) -> Table:
    """A table of what belongs to a source, in an order."""
    return Table(
        name,
        metadata,
        Column("id", Number, primary_key=True, autoincrement=False),
        Column("source", Number, ForeignKey("data_source.id", ondelete="CASCADE"), nullable=False, index=True),
        Column("position", Number, nullable=False),
        *columns,
    )


data_source = _curated(
    "data_source",
    Column("mechanism", Text, nullable=False),
    Column("options", Json, nullable=False),
    Column("enabled", Boolean, nullable=False),
)
site = _curated("site", Column("networks", Json, nullable=False))
url_matcher = _of_source("url_matcher", Column("type", Text, nullable=False), Column("options", Json, nullable=False))
test_file = _of_source("test_file", Column("url", Text, nullable=False))
source_transform = _of_source(
    "source_transform",
    Column("target", Number, ForeignKey("data_source.id"), nullable=False, index=True),
    Column("type", Text, nullable=False),
    Column("options", Json, nullable=False),
    Column("description", Text),
    Column("conditional", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
)
source_transform_site = Table(
    "source_transform_site",
    metadata,
    Column("transform", Number, ForeignKey("source_transform.id", ondelete="CASCADE"), primary_key=True),
    Column("site", Number, ForeignKey("site.id"), primary_key=True, index=True),
    Column("position", Number, nullable=False),
    sqlite_with_rowid=False,
)

# A report outlives the site that it is of.
source_report = Table(
    "source_report",
    metadata,
    Column("id", Number, primary_key=True),
    Column("time", Double, nullable=False, index=True),
    Column("source", Number, ForeignKey("data_source.id", ondelete="CASCADE"), nullable=False),
    Column("site", Number),
    Column("url", Text, nullable=False),
    Column("mechanism", Text, nullable=False),
    *(Column(name, Boolean, nullable=False) for name in ("success", "wrong")),
    Column("size", Number, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("digests", Json, nullable=False),
    Column("error", Text, nullable=False),
    Column("output", Text, nullable=False),
    Column("weight", Double, nullable=False),
    Column("address", Text, nullable=False),
    Index(None, "source", "id"),
    sqlite_autoincrement=True,
)

# What the reports of a source, for a site and a class of sizes, have come to (0: any).
source_rate = Table(
    "source_rate",
    metadata,
    Column("source", Number, ForeignKey("data_source.id", ondelete="CASCADE"), primary_key=True),
    Column("site", Number, primary_key=True),
    Column("size_class", Number, primary_key=True),
    *(Column(name, Double, nullable=False) for name in ("time", "done", "failed")),
    Column("rates", Json, nullable=False),
    sqlite_with_rowid=False,
)

source_audit = Table(
    "source_audit",
    metadata,
    Column("id", Number, primary_key=True),
    Column("time", Double, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("who", "action", "kind")),
    Column("subject", Number, nullable=False),
    Column("label", Text, nullable=False),
    *(Column(name, Json) for name in ("before", "after")),
    sqlite_autoincrement=True,
)

# Remote folders that are watched, and what became of their files.
acquisition = Table(
    "acquisition",
    metadata,
    Column("name", Name, primary_key=True),
    Column("definition", Json, nullable=False),
    Column("due", Double, nullable=False),
    Column("visited", Double),
    Column("failures", Number, nullable=False),
    Column("message", Text, nullable=False),
)
acquired = Table(
    "acquired",
    metadata,
    Column("acquisition", Name, ForeignKey("acquisition.name", ondelete="CASCADE"), primary_key=True),
    Column("url", Name, primary_key=True),
    Column("mark", Text, nullable=False),
    Column("path", Name, nullable=False),
    Column("time", Double, nullable=False),
    Column("size", Number, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("tries", Number, nullable=False),
    Column("due", Double, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)
