"""What the codecs need of a request's header fields."""

from __future__ import annotations

from typing import Protocol


class Fields(Protocol):
    """Header fields by name, in any case; several lines of one are joined by commas (RFC 9110 section 5.3)."""

    def get(self, name: str) -> str | None: ...
