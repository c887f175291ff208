"""Policies, given to many users; secrets that must be recovered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite

revision = "0002"
down_revision = "0001"

Number = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Name = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    make_policies()
    make_secrets()


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


def _part_of(table: str) -> sa.Column[int]:
    return sa.Column(table, Number, nullable=False)


def _foreign(table: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([other], [f"{other}.id"], name=f"fk_{table}_{other}", ondelete="CASCADE")
