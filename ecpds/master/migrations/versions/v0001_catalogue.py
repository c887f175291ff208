"""The catalogue's first shape."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite

revision = "0001"
down_revision = None

Number = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Name = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "data_file",
        sa.Column("id", Number, autoincrement=False, nullable=False),
        sa.Column("size", Number, nullable=False),
        sa.Column("mtime", sa.Double(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("digests", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_data_file"),
    )
    op.create_table(
        "dead",
        sa.Column("segment", Number, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("segment", name="pk_dead"),
    )
    op.create_table(
        "destination",
        sa.Column("id", Number, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("copies", Number, nullable=False),
        sa.Column("transfer_group", sa.Text(), nullable=True),
        sa.Column("lifetime", sa.Double(), nullable=True),
        sa.Column("digests", sa.Text(), nullable=False),
        sa.Column("digest_when", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_destination"),
        sa.UniqueConstraint("name", name="uq_destination_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "history",
        sa.Column("id", Number, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("user", Name, nullable=False),
        sa.Column("destination", Name, nullable=False),
        sa.Column("path", Name, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_history"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_history_time", "history", ["time"])
    op.create_index("ix_history_type_id", "history", ["type", "id"])
    op.create_table(
        "reclaim",
        sa.Column("segment", Number, autoincrement=False, nullable=False),
        sa.Column("mover", Name, nullable=False),
        sa.Column("volume", Number, nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("segment", "mover", "volume", name="pk_reclaim"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reclaim_mover_due", "reclaim", ["mover", "due"])
    op.create_table(
        "sequence",
        sa.Column("name", Name, nullable=False),
        sa.Column("next", Number, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sequence"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "user",
        sa.Column("id", Number, nullable=False),
        sa.Column("login", Name, nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("last_login", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
        sa.UniqueConstraint("login", name="uq_user_login"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "destination_option",
        sa.Column("destination", Number, nullable=False),
        sa.Column("key", Name, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["destination"], ["destination.id"], name="fk_destination_option_destination", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("destination", "key", name="pk_destination_option"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "directory",
        sa.Column("id", Number, nullable=False),
        sa.Column("destination", Number, nullable=False),
        sa.Column("parent", Number, nullable=True),
        sa.Column("name", Name, nullable=False),
        sa.Column("path", Name, nullable=False),
        sa.Column("implicit", sa.Boolean(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["destination"], ["destination.id"], name="fk_directory_destination"),
        sa.ForeignKeyConstraint(["parent"], ["directory.id"], name="fk_directory_parent"),
        sa.PrimaryKeyConstraint("id", name="pk_directory"),
        sa.UniqueConstraint("destination", "path", name="uq_directory_destination_path"),
    )
    op.create_index("ix_directory_parent_name", "directory", ["parent", "name"])
    op.create_table(
        "segment",
        sa.Column("id", Number, autoincrement=False, nullable=False),
        sa.Column("data_file", Number, nullable=True),
        sa.Column("number", Number, nullable=False),
        sa.Column("length", Number, nullable=False),
        sa.ForeignKeyConstraint(["data_file"], ["data_file.id"], name="fk_segment_data_file"),
        sa.PrimaryKeyConstraint("id", name="pk_segment"),
    )
    op.create_index("ix_segment_data_file_number", "segment", ["data_file", "number"])
    op.create_table(
        "upload",
        sa.Column("id", Number, autoincrement=False, nullable=False),
        sa.Column("user", Number, nullable=False),
        sa.Column("destination", Number, nullable=False),
        sa.Column("path", Name, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["destination"], ["destination.id"], name="fk_upload_destination"),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name="fk_upload_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_upload"),
    )
    op.create_index("ix_upload_destination_path", "upload", ["destination", "path"])
    op.create_index("ix_upload_expires", "upload", ["expires"])
    op.create_index("ix_upload_user", "upload", ["user"])
    op.create_table(
        "user_destination",
        sa.Column("user", Number, nullable=False),
        sa.Column("destination", Number, nullable=False),
        sa.ForeignKeyConstraint(
            ["destination"], ["destination.id"], name="fk_user_destination_destination", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name="fk_user_destination_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user", "destination", name="pk_user_destination"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_user_destination_destination", "user_destination", ["destination"])
    op.create_table(
        "user_key",
        sa.Column("user", Number, nullable=False),
        sa.Column("blob", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("added", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name="fk_user_key_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user", "blob", name="pk_user_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "user_option",
        sa.Column("user", Number, nullable=False),
        sa.Column("key", Name, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name="fk_user_option_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user", "key", name="pk_user_option"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "copy",
        sa.Column("segment", Number, nullable=False),
        sa.Column("mover", Name, nullable=False),
        sa.Column("volume", Number, nullable=False),
        sa.ForeignKeyConstraint(["segment"], ["segment.id"], name="fk_copy_segment"),
        sa.PrimaryKeyConstraint("segment", "mover", "volume", name="pk_copy"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entry",
        sa.Column("directory", Number, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("data_file", Number, nullable=False),
        sa.ForeignKeyConstraint(["data_file"], ["data_file.id"], name="fk_entry_data_file"),
        sa.ForeignKeyConstraint(["directory"], ["directory.id"], name="fk_entry_directory"),
        sa.PrimaryKeyConstraint("directory", "name", name="pk_entry"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_entry_data_file", "entry", ["data_file"])
    op.create_table(
        "upload_part",
        sa.Column("upload", Number, nullable=False),
        sa.Column("number", Number, nullable=False),
        sa.Column("segment", Number, nullable=False),
        sa.Column("size", Number, nullable=False),
        sa.Column("digests", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["segment"], ["segment.id"], name="fk_upload_part_segment"),
        sa.ForeignKeyConstraint(["upload"], ["upload.id"], name="fk_upload_part_upload"),
        sa.PrimaryKeyConstraint("upload", "number", name="pk_upload_part"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_upload_part_segment", "upload_part", ["segment"])
