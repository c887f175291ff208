"""The catalogue's schema, version by version (Alembic). A version that was released is never edited."""
