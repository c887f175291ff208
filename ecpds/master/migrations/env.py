"""What Alembic runs: the connection comes from the engine that opens the catalogue."""

from __future__ import annotations

from alembic import context

from ecpds.master.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
