"""GET and HEAD of small files without waiting, for who has just been let in on the same connection with the same fields;
PUT has a module of its own (`data_put_at_once`).

What came of the fields is remembered on the request (`Known`): the user's view, and whether they ask for anything but a file as
it is. The login itself is not remembered: the portal logs the user in anew (`IPortal.look_again`). What a reply says of a file,
all but its date, is made once for each version and name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred

from ecpds.http.message import HttpError, Ready, Request, Response
from ecpds.http.reply import unfinished_head
from ecpds.http.routing import decode_path
from ecpds.model import DataFile, Entry
from ecpds.options import ALLOW_ORIGIN
from ecpds.portal_interfaces import IPortal
from ecpds.protocols.data_headers import PREFIX, Header, digests, representation, validators
from ecpds.protocols.data_login import Gate, Visitor
from ecpds.protocols.data_put_at_once import AtOnceWriter
from ecpds.protocols.data_read import UnsentBody
from ecpds.protocols.ready_heads import ReadyHeads
from ecpds.wire.conditions import Verdict, verdict

CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
PECULIAR = ("range", "want-repr-digest", "want-content-digest", "want-digest")
"""Fields for which the reply is made as always."""


@frozen(eq=False)
class Known:
    """What came of the fields of a request."""

    visitor: Visitor
    conditional: bool


class AtOnceReader:
    """`always` are header fields that every reply over TLS has. `alone` says whether there is no other connection."""

    def __init__(
        self, portal: IPortal, gate: Gate, always: Sequence[Header] = (), alone: Callable[[], bool] = lambda: False
    ) -> None:
        self._portal = portal
        self._gate = gate
        self._always = tuple(always)
        self._writer = AtOnceWriter(portal, always, alone)
        self._heads = ReadyHeads()

    def remember(self, request: Request, visitor: Visitor) -> None:
        """A visitor was let in by these fields."""
        identity, fields = visitor.files.identity, request.headers
        shaped = identity.sites or ALLOW_ORIGIN in identity.options or "portal.headerRegistry" in identity.options
        if request.method == "PUT" and not shaped:
            self._writer.remember(request, visitor)
        if shaped or request.method not in ("GET", "HEAD") or any(name in fields for name in PECULIAR):
            return
        if "metalink" not in (fields.get("accept") or ""):
            conditional = any(name in fields for name in CONDITIONS)
            request.memory = Known(visitor, conditional)
            # The other fields are read for each request: a session's cookie, and conditions.
            request.anywhere = "authorization" in fields and visitor.session is None and not conditional

    def answer(self, method: str, path: str, like: Request, body: memoryview) -> Ready | Deferred[Ready] | None:
        """As `http.message.AtOnce`."""
        if method == "PUT":
            return self._writer.answer(path, like, body)
        known = like.memory
        if not isinstance(known, Known) or not path.startswith(f"{PREFIX}/"):
            return None
        visitor = known.visitor
        if visitor.session is not None and self._gate.session(like) is not visitor.session:
            return None
        try:
            inside = decode_path(path[len(PREFIX) :])
        except HttpError:
            return None
        if known.conditional:
            return self._unchanged(visitor, inside, like)
        return self._head(visitor, inside, like) if method == "HEAD" else self._whole(visitor, inside, like)

    def _whole(self, visitor: Visitor, path: str, like: Request) -> Ready | None:
        download = self._portal.read_again(visitor.files, path)
        if download is None:
            return None
        data = download.held(0, download.entry.size)
        assert data is not None
        return Ready(self._head_of(download.entry, like.secure), data, download.close)

    def _head(self, visitor: Visitor, path: str, like: Request) -> Ready | None:
        entry = self._portal.look_again(visitor.files, path, lambda _: True)
        return None if entry is None else Ready(self._head_of(entry, like.secure), b"")

    def _unchanged(self, visitor: Visitor, path: str, like: Request) -> Ready | None:
        entry = self._portal.look_again(visitor.files, path, lambda entry: _is_unchanged(like, entry))
        if entry is None or entry.file is None:
            return None
        response = Response(304, [*validators(entry.file), *self._added(like.secure)])
        return Ready(unfinished_head(response), b"")

    def _head_of(self, entry: Entry, secure: bool) -> bytes:
        file = entry.file
        assert file is not None
        return self._heads.get((file.id, entry.name, secure), file, lambda: self._unfinished(entry.name, file, secure))

    def _unfinished(self, name: str, file: DataFile, secure: bool) -> bytes:
        headers = [*representation(name, file), *digests(file, {}), *self._added(secure)]
        return unfinished_head(Response(200, headers, UnsentBody(file.size)))

    def _added(self, secure: bool) -> tuple[Header, ...]:
        return self._always if secure else ()


def _is_unchanged(request: Request, entry: Entry) -> bool:
    """Whether the conditions of a request are answered by 304."""
    try:
        return verdict(request.headers, entry.file) is Verdict.NOT_MODIFIED
    except ValueError:
        return False
