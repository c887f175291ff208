"""When each part of an upload came; of those that were there before nothing is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("upload_part", sa.Column("created", sa.Double(), nullable=True))
