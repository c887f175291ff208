"""Where in the data door a request points: the same verbs answer below `/data`, a share link and an open user's name."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from attrs import frozen

from ecpds.http.message import HttpError, Request, Response, text_response
from ecpds.http.routing import decode_path
from ecpds.protocols.data_headers import SAFE


@frozen
class Place:
    """`mount` is the part of the URL that says whose files these are, as it came; `path` is theirs, decoded."""

    mount: str
    path: str

    def href(self, path: str) -> str:
        """A path as a reference that stays on this server: it always begins with the mount, which begins with one slash."""
        return self.mount + quote(path)

    def at(self, path: str) -> Place:
        """Another path under the same mount."""
        return Place(self.mount, path)

    def redirect(self, path: str, query: str = "", status: int = 301) -> Response:
        """Send the client to another path of the mount, with the query as it came."""
        return redirect(self.href(path) + (f"?{query}" if query else ""), status)

    def target(self, request: Request) -> Place:
        """The place that a Destination field names (RFC 4918 section 10.3): here, and under the same mount."""
        field = request.headers.get("destination")
        if not field:
            raise HttpError(400, "A Destination field must say where to.", SAFE)
        try:
            parts = urlsplit(field)
        except ValueError:
            raise HttpError(400, "The destination is malformed.", SAFE) from None
        if parts.netloc and parts.netloc != request.headers.get("host"):
            raise HttpError(502, "The destination is on another server.", SAFE)
        if parts.query or parts.fragment or not parts.path.startswith(f"{self.mount}/"):
            raise HttpError(400, "The destination is not a path of this door.", SAFE)
        return self.at(decode_path(parts.path.removeprefix(self.mount)))


def place_of(request: Request, mount: str) -> Place:
    """Where a request points below a mount. Raises `HttpError` 400."""
    return Place(mount, decode_path(request.path.removeprefix(mount)))


def redirect(location: str, status: int = 301) -> Response:
    """Send the client elsewhere on this server."""
    return text_response(status, f"It is at {location}", [("Location", location), *SAFE])
