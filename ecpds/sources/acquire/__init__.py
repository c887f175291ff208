"""Acquisition: remote folders watched on a schedule, and what is new in them put into the portal."""
