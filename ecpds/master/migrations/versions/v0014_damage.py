"""Copies that are known to be damaged, and the digests of segments that are not a whole file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("segment", sa.Column("digests", sa.Text()))
    op.add_column("copy", sa.Column("found", sa.Double()))
    op.add_column("copy", sa.Column("damage", sa.Text()))
    known = sa.text("damage IS NOT NULL")
    op.create_index("ix_copy_damaged", "copy", ["segment", "mover", "volume"], sqlite_where=known, postgresql_where=known)
    op.execute(
        "UPDATE segment SET digests = (SELECT upload_part.digests FROM upload_part WHERE upload_part.segment = segment.id)"
        " WHERE id IN (SELECT upload_part.segment FROM upload_part)"
    )
