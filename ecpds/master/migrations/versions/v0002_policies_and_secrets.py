"""Policies, given to many users; secrets that must be recovered; a table a day for the history."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite

revision = "0002"
down_revision = "0001"

Number = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Name = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


FIELDS = ("type", "user", "destination", "path", "status", "fields")


def upgrade() -> None:
    make_policies()
    make_secrets()
    divide_history()


def make_policies() -> None:
    op.create_table(
        "policy",
        sa.Column("id", Number, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_policy"),
        sa.UniqueConstraint("name", name="uq_policy_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "policy_destination",
        _part_of("policy"),
        sa.Column("destination", Number, nullable=False),
        _foreign("policy_destination", "policy"),
        _foreign("policy_destination", "destination"),
        sa.PrimaryKeyConstraint("policy", "destination", name="pk_policy_destination"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_policy_destination_destination", "policy_destination", ["destination"])
    op.create_table(
        "policy_option",
        _part_of("policy"),
        sa.Column("key", Name, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        _foreign("policy_option", "policy"),
        sa.PrimaryKeyConstraint("policy", "key", name="pk_policy_option"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "user_policy",
        _part_of("user"),
        sa.Column("policy", Number, nullable=False),
        sa.Column("position", Number, nullable=False),
        _foreign("user_policy", "user"),
        _foreign("user_policy", "policy"),
        sa.PrimaryKeyConstraint("user", "policy", name="pk_user_policy"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_user_policy_policy", "user_policy", ["policy"])


def make_secrets() -> None:
    op.create_table(
        "user_secret",
        sa.Column("id", Name, nullable=False),
        _part_of("user"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=True),
        sa.Column("permissions", sa.Text(), nullable=True),
        sa.Column("destinations", sa.Text(), nullable=True),
        _foreign("user_secret", "user"),
        sa.PrimaryKeyConstraint("id", name="pk_user_secret"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_user_secret_user", "user_secret", ["user"])


def divide_history() -> None:
    op.create_table(
        "history_day",
        sa.Column("day", Number, autoincrement=False, nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("day", name="pk_history_day"),
    )
    connection, old = op.get_bind(), sa.table("history", *map(sa.column, ("id", "time", *FIELDS)))
    days = sorted({int(time // 86400) for (time,) in connection.execute(sa.select(old.c.time))})
    for day in days:
        op.bulk_insert(sa.table("history_day", sa.column("day"), sa.column("gone")), [{"day": day, "gone": False}])
        new = sa.table(make_day(day), *map(sa.column, ("time", *FIELDS)))
        theirs = sa.select(*(old.c[name] for name in ("time", *FIELDS))).where(
            old.c.time >= day * 86400.0, old.c.time < (day + 1) * 86400.0
        )
        connection.execute(sa.insert(new).from_select(["time", *FIELDS], theirs.order_by(old.c.id)))
    op.drop_table("history")


def make_day(day: int) -> str:
    """The table of a day; returns its name."""
    name = f"history_{date.fromordinal(date(1970, 1, 1).toordinal() + day):%Y%m%d}"
    op.create_table(
        name,
        sa.Column("id", Number, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("user", Name, nullable=False),
        sa.Column("destination", Name, nullable=False),
        sa.Column("path", Name, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    for column in ("type", "user", "destination"):
        op.create_index(f"ix_{name}_{column}", name, [column, "id"])
    return name


def _part_of(table: str) -> sa.Column[int]:
    return sa.Column(table, Number, nullable=False)


def _foreign(table: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([other], [f"{other}.id"], name=f"fk_{table}_{other}", ondelete="CASCADE")
