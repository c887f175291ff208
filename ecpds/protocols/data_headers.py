"""What the data door's replies say about a file, so that nothing that a user has stored can act in the portal's name.

The content type comes from the name's extension and a fixed table, never from the bytes. Only types that can't run
anything are shown in a browser; every other is a download. Either way the page has no origin and may load nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from ecpds.http.message import Handler, Request, Response
from ecpds.model import DataFile
from ecpds.wire.conditions import last_modified
from ecpds.wire.digests import digest_field, old_digest_field
from ecpds.wire.fields import Fields

PREFIX = "/data"

Header = tuple[str, str]

SAFE: tuple[Header, ...] = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "private, no-cache"),
)
"""For every reply: don't guess the type, don't let other sites use it, and ask again before using it again."""

SCRIPT: tuple[Header, ...] = (
    ("Content-Type", "text/javascript; charset=utf-8"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "public, max-age=31536000, immutable"),
)
"""For the page's script, whose name changes with it."""

SANDBOX: Header = ("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")

OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

SHOWN = {
    "csv": "text/csv; charset=utf-8",
    "geojson": "application/geo+json",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "log": TEXT,
    "md": TEXT,
    "png": "image/png",
    "txt": TEXT,
    "webp": "image/webp",
}
"""By extension, what a browser may show: nothing of it can hold a script that runs."""

DOWNLOADED = {
    "avi": "video/x-msvideo",
    "bz2": "application/x-bzip2",
    "gz": "application/gzip",
    "h5": "application/x-hdf5",
    "hdf5": "application/x-hdf5",
    "htm": "text/html",
    "html": "text/html",
    "mp4": "video/mp4",
    "nc": "application/x-netcdf",
    "nc4": "application/x-netcdf",
    "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf",
    "svg": "image/svg+xml",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "xml": "application/xml",
    "xz": "application/x-xz",
    "zip": "application/zip",
    "zst": "application/zstd",
}
"""By extension, what is only saved; among it all that browsers would run."""

_ATTR_CHARS = "!#$&+-.^_`|~"
_NOT_QUOTED = re.compile(r"[^ !#$&-\[\]-~]")


def media_type(name: str) -> tuple[str, bool]:
    """The content type of a file of that name, and whether a browser may show it."""
    _, dot, end = name.rpartition(".")
    extension = end.lower() if dot else ""
    if extension in SHOWN:
        return SHOWN[extension], True
    return DOWNLOADED.get(extension, OCTETS), False


def disposition(name: str, shown: bool) -> str:
    """A Content-Disposition (RFC 6266): the name in ASCII for all clients, and exactly for those that read RFC 8187."""
    kind = "inline" if shown else "attachment"
    plain = _NOT_QUOTED.sub("_", name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"
    return f'{kind}; filename="{plain}"{exact}'


def validators(file: DataFile) -> list[Header]:
    """What a client may ask about later, and what every reply says of a file, 304 included."""
    return [("ETag", file.etag), ("Last-Modified", last_modified(file)), *SAFE]


def digests(file: DataFile, fields: Fields) -> list[Header]:
    """What is known of a file's digests, in the fields that the request knows.

    Repr-Digest always is of the whole file, whatever the range (RFC 9530 section 3). Content-Digest is sent with a whole
    file only, where it is the same, and Digest (RFC 3230) only to who asks for it: both are of older or other clients.
    """
    found = [("Repr-Digest", digest_field(file.digests, fields.get("want-repr-digest")))]
    content = fields.get("want-content-digest")
    if content is not None and fields.get("range") is None:
        found.append(("Content-Digest", digest_field(file.digests, content)))
    old = fields.get("want-digest")
    if old is not None:
        found.append(("Digest", old_digest_field(file.digests, old)))
    return [(name, field) for name, field in found if field is not None]


def representation(name: str, file: DataFile) -> list[Header]:
    """All that a 200 or 206 says of a file, but for its digests."""
    return [*_of_name(name), ("Accept-Ranges", "bytes"), SANDBOX, *validators(file)]


@lru_cache(1024)
def _of_name(name: str) -> tuple[Header, ...]:
    kind, shown = media_type(name)
    return ("Content-Type", kind), ("Content-Disposition", disposition(name, shown))


STRICT: Header = ("Strict-Transport-Security", "max-age=31536000")


def strict_transport(handler: Handler) -> Handler:
    """A handler whose answers tell browsers never to come without TLS again (RFC 6797).

    Only for a certificate that browsers trust: they would not let a user pass one that nobody has signed after that.
    """

    async def answer(request: Request) -> Response:
        response = await handler(request)
        if request.secure:
            response.headers.append(STRICT)
        return response

    return answer
