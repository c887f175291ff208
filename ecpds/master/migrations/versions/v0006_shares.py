"""Share links."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite

revision = "0006"
down_revision = "0005"

Number = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Name = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "share",
        sa.Column("id", Number, nullable=False),
        sa.Column("token", Name, nullable=False),
        sa.Column("user", Number, nullable=False),
        sa.Column("destination", Number, nullable=False),
        sa.Column("path", Name, nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=True),
        sa.Column("most", Number, nullable=True),
        sa.Column("used", Number, nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name="fk_share_user", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["destination"], ["destination.id"], name="fk_share_destination", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_share"),
        sa.UniqueConstraint("token", name="uq_share_token"),
        sqlite_autoincrement=True,
    )
    for column in ("user", "destination"):
        op.create_index(f"ix_share_{column}", "share", [column])
