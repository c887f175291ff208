"""How much those hold who have a quota of it, counted by triggers, each in the transaction of what it counts."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite

revision = "0013"
down_revision = "0012"

Number = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Name = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

ADD, TAKE = ("+", "NEW"), ("-", "OLD")


def upgrade() -> None:
    op.create_table(
        "holding",
        sa.Column("whose", Name, nullable=False),
        sa.Column("owner", Number, nullable=False),
        sa.Column("files", Number, nullable=False),
        sa.Column("size", Number, nullable=False),
        sa.PrimaryKeyConstraint("whose", "owner", name="pk_holding"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "owned",
        sa.Column("data_file", Number, nullable=False, autoincrement=False),
        sa.Column("user", Number, nullable=False),
        sa.PrimaryKeyConstraint("data_file", name="pk_owned"),
    )
    op.create_index("ix_owned_user", "owned", ["user"])
    triggers = _sqlite() if op.get_bind().dialect.name == "sqlite" else _postgresql()
    for statement in triggers:
        op.execute(statement)


def _name(sign: str, row: str) -> str:
    """A name of a file comes to a destination, or leaves it."""
    return (
        f"UPDATE holding SET files = files {sign} 1,"
        f" size = size {sign} (SELECT f.size FROM data_file f WHERE f.id = {row}.data_file)"
        f" WHERE whose = 'destination' AND owner = (SELECT d.destination FROM directory d WHERE d.id = {row}.directory);"
    )


OWNED = (
    "UPDATE holding SET files = files + 1, size = size + (SELECT f.size FROM data_file f WHERE f.id = NEW.data_file)"
    " WHERE whose = 'user' AND owner = NEW.\"user\";"
)
GONE = (
    "UPDATE holding SET files = files - 1, size = size - OLD.size"
    " WHERE whose = 'user' AND owner = (SELECT o.\"user\" FROM owned o WHERE o.data_file = OLD.id);"
    " DELETE FROM owned WHERE data_file = OLD.id;"
)
EVENTS = (("INSERT", (ADD,)), ("DELETE", (TAKE,)), ("UPDATE OF data_file", (TAKE, ADD)))


def _sqlite() -> Iterator[str]:
    some = "WHEN EXISTS (SELECT 1 FROM holding)"
    for table in ("entry", "standby"):
        for event, changes in EVENTS:
            body = " ".join(_name(*change) for change in changes)
            name = f"holding_{table}_{event.partition(' ')[0].lower()}"
            yield f"CREATE TRIGGER {name} AFTER {event} ON {table} {some} BEGIN {body} END"
    yield f"CREATE TRIGGER holding_owned AFTER INSERT ON owned BEGIN {OWNED} END"
    mine = "WHEN EXISTS (SELECT 1 FROM owned WHERE data_file = OLD.id)"
    yield f"CREATE TRIGGER holding_gone AFTER DELETE ON data_file {mine} BEGIN {GONE} END"


def _postgresql() -> Iterator[str]:
    some = "IF NOT EXISTS (SELECT 1 FROM holding) THEN RETURN NULL; END IF;"
    for event, changes in EVENTS:
        verb = event.partition(" ")[0].lower()
        body = " ".join(_name(*change) for change in changes)
        yield _function(f"holding_{verb}", f"{some} {body}")
        for table in ("entry", "standby"):
            yield _trigger(f"holding_{table}_{verb}", event, table, f"holding_{verb}")
    yield _function("holding_owned", OWNED)
    yield _trigger("holding_owned", "INSERT", "owned", "holding_owned")
    yield _function(
        "holding_gone", f"IF NOT EXISTS (SELECT 1 FROM owned WHERE data_file = OLD.id) THEN RETURN NULL; END IF; {GONE}"
    )
    yield _trigger("holding_gone", "DELETE", "data_file", "holding_gone")


def _function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$"


def _trigger(name: str, event: str, table: str, function: str) -> str:
    return f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()"
