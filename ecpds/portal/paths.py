"""The one canonicaliser: from the text that a door has decoded to the segments that everything behind it uses.

What is refused here can't be stored, listed or asked for anywhere. What is accepted is kept as it came: nothing is
normalised, folded or unescaped, so two spellings are two names, and `%` and a backslash are ordinary characters.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

from attrs import frozen

from ecpds.errors import InvalidName

SEGMENT_BYTES = 255
"""What a segment may have at most, in UTF-8: the limit of the file systems that users copy trees from and to."""

PATH_BYTES = 1024
"""What a whole path may have at most, in UTF-8, from its leading slash: S3's limit for a key."""

_NO_NAMES = frozenset(("", ".", ".."))
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


@frozen
class CanonicalPath:
    """An absolute path: its segments, and whether a trailing slash said that a directory is meant."""

    segments: tuple[str, ...]
    directory: bool = False

    def __str__(self) -> str:
        return "/" + "/".join(self.segments)

    @property
    def destination(self) -> str:
        """The first segment, or nothing for the root."""
        return self.segments[0] if self.segments else ""

    @cached_property
    def inside(self) -> str:
        """The path relative to its destination, as the Master knows it; empty for the destination itself."""
        return "/".join(self.segments[1:])


def mark_of(folder: CanonicalPath) -> CanonicalPath:
    """Where the bytes are that an object store's client put as a folder's own key: in a file without a name in it."""
    return CanonicalPath((*folder.segments, ""))


@lru_cache(4096)
def canonical(text: str) -> CanonicalPath:
    """The canonical form of an absolute path. Raises `InvalidName`, which says what is wrong but repeats nothing of it.

    Remembered for a while: one request asks for the same path two times and more.
    """
    if not text.startswith("/"):
        raise InvalidName("a path begins with a slash")
    if _CONTROL.search(text):
        raise InvalidName("a control character")
    size = len(_utf8(text))
    if size > PATH_BYTES:
        raise InvalidName(f"a path has at most {PATH_BYTES} bytes")
    body = text[1:]
    directory = not body or body.endswith("/")
    segments = tuple(body.removesuffix("/").split("/")) if body else ()
    if size > SEGMENT_BYTES or not _NO_NAMES.isdisjoint(segments):
        for segment in segments:
            _check(segment)
    return CanonicalPath(segments, directory)


def _check(segment: str) -> None:
    if not segment:
        raise InvalidName("an empty segment")
    if segment in _NO_NAMES:
        raise InvalidName("a segment of dots")
    if len(_utf8(segment)) > SEGMENT_BYTES:
        raise InvalidName(f"a segment has at most {SEGMENT_BYTES} bytes")


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidName("not valid Unicode") from error
