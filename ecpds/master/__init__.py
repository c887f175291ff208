"""Decides: who may, where a file goes, when a name exists. It owns the catalogue and never sees a byte of a file."""
