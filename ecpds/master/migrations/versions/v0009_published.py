"""Files by the time they were published, for what leaves when its lifetime is over."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_index("ix_data_file_created_id", "data_file", ["created", "id"])
