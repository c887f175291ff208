"""Acquisition: remote folders that are watched, and what became of their files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite

revision = "0007"
down_revision = "0006"

Number = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Name = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "acquisition",
        sa.Column("name", Name, nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.Column("visited", sa.Double(), nullable=True),
        sa.Column("failures", Number, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_acquisition"),
    )
    op.create_table(
        "acquired",
        sa.Column("acquisition", Name, nullable=False),
        sa.Column("url", Name, nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("path", Name, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("size", Number, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("tries", Number, nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["acquisition"], ["acquisition.name"], name="fk_acquired_acquisition", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("acquisition", "url", name="pk_acquired"),
        sqlite_with_rowid=False,
    )
