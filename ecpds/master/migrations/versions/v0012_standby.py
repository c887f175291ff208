"""Files that wait to be released."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite

revision = "0012"
down_revision = "0011"

Number = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Name = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "standby",
        sa.Column("directory", Number, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("destination", Number, nullable=False),
        sa.Column("data_file", Number, nullable=False),
        sa.Column("release", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("directory", "name", name="pk_standby"),
        sa.ForeignKeyConstraint(["directory"], ["directory.id"], name="fk_standby_directory"),
        sa.ForeignKeyConstraint(["destination"], ["destination.id"], name="fk_standby_destination"),
        sa.ForeignKeyConstraint(["data_file"], ["data_file.id"], name="fk_standby_data_file"),
        sqlite_with_rowid=False,
    )
    for column in ("destination", "data_file", "release"):
        op.create_index(f"ix_standby_{column}", "standby", [column])
