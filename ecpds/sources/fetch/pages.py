"""What is a file, and what is a server's excuse for one. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath

SMALL = 1 << 20
"""Bytes of a file that is fetched and stored in one go."""

PAGES = frozenset({"text/html", "application/xhtml+xml"})

PAGE_NAMES = frozenset({"", ".html", ".htm", ".xhtml", ".shtml", ".php", ".asp", ".aspx", ".jsp", ".cgi"})
"""Endings of names under which a page may be the file itself, rather than a server's excuse."""


def is_excuse(media: str, name: str) -> bool:
    """Whether what comes for a file of that name is a page that tells that there is none."""
    return media in PAGES and PurePosixPath(name).suffix.lower() not in PAGE_NAMES
