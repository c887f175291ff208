"""Which other web sites' pages may use the data door: CORS (https://fetch.spec.whatwg.org/#http-cors-protocol).

Who tells whom: a browser asks first (OPTIONS with Access-Control-Request-Method, without credentials, so nobody is known
yet), then sends the request itself with the user's credentials. So the first answer only says what this door can do, and
the second whether the page may read it: by the user's `portal.corsAllowOrigin`, or by the `https.corsAllowOrigin` of the
destination that the path is in. Cookies never count: a session is for our own page, and its cookie isn't sent from other sites.
"""

from __future__ import annotations

from ecpds.http.message import Headers, HttpError, Request, Response
from ecpds.model import Identity
from ecpds.options import ALLOW_ORIGIN
from ecpds.portal.namespace import destination_at
from ecpds.protocols.data_headers import Header
from ecpds.protocols.data_place import place_of

EXPOSED = (
    "ETag, Content-Range, Content-Disposition, Repr-Digest, Content-Digest, Digest, Location, "
    "Tus-Resumable, Upload-Expires, Upload-Length, Upload-Offset"
)
ACCEPTED = (
    "Authorization, Content-Type, Range, If-Match, If-None-Match, If-Range, If-Modified-Since, If-Unmodified-Since, "
    "Content-Digest, Repr-Digest, Want-Repr-Digest, Depth, Destination, Overwrite, "
    "Tus-Resumable, Upload-Checksum, Upload-Length, Upload-Metadata, Upload-Offset"
)

SIMPLE = ("", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded")
"""Kinds of what a browser sends for any page without asking first
(https://fetch.spec.whatwg.org/#cors-safelisted-request-header), with a password that it knows."""

PREFLIGHT_LIFE = 600
"""Seconds that a browser may remember what it was told."""


def preflight(fields: Headers, methods: str) -> list[Header]:
    """What an OPTIONS says to a browser that asks for another site's page; nothing to any other."""
    origin = fields.get("origin")
    if origin is None or "access-control-request-method" not in fields:
        return []
    return [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Methods", methods),
        ("Access-Control-Allow-Headers", ACCEPTED),
        ("Access-Control-Max-Age", str(PREFLIGHT_LIFE)),
        ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]


def let_read(request: Request, mount: str, identity: Identity, response: Response) -> None:
    """Add to an answer that the page which asked may read it, where its user or the destination allows that page's site."""
    allowed = _allowed(request, mount, identity)
    if not allowed:
        return
    response.headers.append(("Vary", "Origin"))
    origin = request.headers.get("origin")
    if origin is None or allowed.isdisjoint(("*", origin)):
        return
    response.headers[:] = [header for header in response.headers if header[0] != "Cross-Origin-Resource-Policy"]
    response.headers += [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", EXPOSED),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
    ]


def may_post(request: Request, mount: str, identity: Identity) -> bool:
    """Whether a POST is of another site's page that may read what is answered, and its browser had to ask first.

    Asked, we never let a browser add the credentials that it knows itself, so they are the page's own.
    """
    origin = request.headers.get("origin")
    if origin is None or not request.path.startswith(f"{mount}/") or _is_simple(request.headers):
        return False
    return not _allowed(request, mount, identity).isdisjoint(("*", origin))


def _is_simple(fields: Headers) -> bool:
    kind = (fields.get("content-type") or "").partition(";")[0].strip().lower()
    return kind in SIMPLE and "tus-resumable" not in fields


def _allowed(request: Request, mount: str, identity: Identity) -> set[str]:
    """The sites whose pages may read the answer to a request."""
    by_user = identity.options.get(ALLOW_ORIGIN)
    if by_user is None and not identity.sites:
        return set()
    return {site for site in (by_user, _by_destination(request, mount, identity)) if site is not None}


def _by_destination(request: Request, mount: str, identity: Identity) -> str | None:
    if not identity.sites:
        return None
    try:
        path = place_of(request, mount).path
    except HttpError:
        return None  # no path of any destination; what is wrong with it is the answer already
    return identity.sites.get(destination_at(identity, path))
