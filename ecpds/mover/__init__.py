"""Holds bytes: volumes, staging, sync, digests as the bytes arrive, and the sweep that leaves no orphan."""
