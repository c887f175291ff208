"""The secrets of users' one-time codes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0011"
down_revision = "0009"

Number = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "user_totp",
        sa.Column("user", Number, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("used", Number, nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name="fk_user_totp_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user", name="pk_user_totp"),
        sqlite_with_rowid=False,
    )
