"""The movers that were heard of, and what each is to do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "mover",
        sa.Column("name", sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql"), nullable=False),
        sa.Column("duty", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_mover"),
        sqlite_with_rowid=False,
    )
