"""The repository of data sources: what is curated, its audit, and the reports."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite

revision = "0004"
down_revision = "0003"

Number = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Name = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    make_curated()
    make_parts()
    make_reports()
    make_audit()


def make_curated() -> None:
    mechanism = (_needed("mechanism", sa.Text()), _needed("options", sa.Text()), _needed("enabled", sa.Boolean()))
    for name, columns in (("data_source", mechanism), ("site", (_needed("networks", sa.Text()),))):
        op.create_table(
            name,
            sa.Column("id", Number, autoincrement=False, nullable=False),
            _needed("label", Name),
            sa.Column("description", sa.Text(), nullable=True),
            *columns,
            _needed("created", sa.Double()),
            _needed("created_by", sa.Text()),
            _needed("changed", sa.Double()),
            _needed("changed_by", sa.Text()),
            sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
            sa.UniqueConstraint("label", name=f"uq_{name}_label"),
        )


def make_parts() -> None:
    _make_part("url_matcher", _needed("type", sa.Text()), _needed("options", sa.Text()))
    _make_part("test_file", _needed("url", sa.Text()))
    _make_part(
        "source_transform",
        _needed("target", Number),
        _needed("type", sa.Text()),
        _needed("options", sa.Text()),
        sa.Column("description", sa.Text(), nullable=True),
        _needed("conditional", sa.Boolean()),
        _needed("enabled", sa.Boolean()),
        sa.ForeignKeyConstraint(["target"], ["data_source.id"], name="fk_source_transform_target"),
    )
    op.create_index("ix_source_transform_target", "source_transform", ["target"])
    op.create_table(
        "source_transform_site",
        _needed("transform", Number),
        _needed("site", Number),
        _needed("position", Number),
        sa.ForeignKeyConstraint(
            ["transform"], ["source_transform.id"], name="fk_source_transform_site_transform", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["site"], ["site.id"], name="fk_source_transform_site_site"),
        sa.PrimaryKeyConstraint("transform", "site", name="pk_source_transform_site"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_source_transform_site_site", "source_transform_site", ["site"])


def make_reports() -> None:
    op.create_table(
        "source_report",
        sa.Column("id", Number, nullable=False),
        _needed("time", sa.Double()),
        _needed("source", Number),
        sa.Column("site", Number, nullable=True),
        _needed("url", sa.Text()),
        _needed("mechanism", sa.Text()),
        _needed("success", sa.Boolean()),
        _needed("wrong", sa.Boolean()),
        _needed("size", Number),
        _needed("seconds", sa.Double()),
        _needed("digests", sa.Text()),
        _needed("error", sa.Text()),
        _needed("output", sa.Text()),
        _needed("weight", sa.Double()),
        _needed("address", sa.Text()),
        _source_of("source_report"),
        sa.PrimaryKeyConstraint("id", name="pk_source_report"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_source_report_time", "source_report", ["time"])
    op.create_index("ix_source_report_source_id", "source_report", ["source", "id"])
    op.create_table(
        "source_rate",
        _needed("source", Number),
        _needed("site", Number),
        _needed("size_class", Number),
        _needed("time", sa.Double()),
        _needed("done", sa.Double()),
        _needed("failed", sa.Double()),
        _needed("rates", sa.Text()),
        _source_of("source_rate"),
        sa.PrimaryKeyConstraint("source", "site", "size_class", name="pk_source_rate"),
        sqlite_with_rowid=False,
    )


def make_audit() -> None:
    op.create_table(
        "source_audit",
        sa.Column("id", Number, nullable=False),
        _needed("time", sa.Double()),
        *(_needed(name, sa.Text()) for name in ("who", "action", "kind")),
        _needed("subject", Number),
        _needed("label", sa.Text()),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_source_audit"),
        sqlite_autoincrement=True,
    )


def _make_part(name: str, *columns: Any) -> None:
    op.create_table(
        name,
        sa.Column("id", Number, autoincrement=False, nullable=False),
        _needed("source", Number),
        _needed("position", Number),
        *columns,
        _source_of(name),
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
    )
    op.create_index(f"ix_{name}_source", name, ["source"])


def _needed(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _source_of(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["source"], ["data_source.id"], name=f"fk_{table}_source", ondelete="CASCADE")
