"""PUT of small files without waiting, for who has just been let in on the same connection with the same fields.

What came of the fields is remembered on the request (`Putting`): the user's view, and what the commit is to check. The login
itself is not remembered: the portal logs the user in anew, and does all that it does for any upload (`IPortal.put_again`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ecpds.errors import Refusal
from ecpds.http.message import HttpError, Ready, Request, Response
from ecpds.http.replies import refusal_response
from ecpds.http.reply import unfinished_head
from ecpds.http.routing import decode_path
from ecpds.model import Condition, Entry
from ecpds.portal_interfaces import IPortal
from ecpds.protocols.data_headers import PREFIX, Header
from ecpds.protocols.data_login import Visitor
from ecpds.protocols.data_place import Place
from ecpds.protocols.data_write import stored
from ecpds.terms import Terms
from ecpds.wire.conditions import asked_condition, needs_current
from ecpds.wire.digests import announced

PECULIAR = ("content-range", "content-encoding", "tus-resumable")
"""Fields for which a PUT is something else, or refused."""


@frozen(eq=False)
class Putting:
    """What came of the fields of a PUT."""

    visitor: Visitor
    terms: Terms


class AtOnceWriter:
    """`always` are header fields that every reply over TLS has. `alone` says whether there is no other connection."""

    def __init__(self, portal: IPortal, always: Sequence[Header] = (), alone: Callable[[], bool] = lambda: False) -> None:
        self._portal = portal
        self._alone = alone
        self._always = tuple(always)

    def remember(self, request: Request, visitor: Visitor) -> None:
        """A visitor was let in by these fields."""
        fields = request.headers
        if visitor.session is not None or "authorization" not in fields or any(name in fields for name in PECULIAR):
            return
        try:
            if not needs_current(fields):
                request.memory = Putting(visitor, Terms(asked_condition(fields), announced(fields)))
        except ValueError:
            pass  # it is refused, and the next one will be

    def answer(self, path: str, like: Request, body: memoryview) -> Deferred[Ready] | None:
        """As `http.message.AtOnce`."""
        known = like.memory
        if not isinstance(known, Putting) or not path.startswith(f"{PREFIX}/"):
            return None
        try:
            inside = decode_path(path[len(PREFIX) :])
        except HttpError:
            return None
        named = self._portal.put_again(known.visitor.files, inside, body, known.terms, self._alone())
        if named is None:
            return None
        told = (like, Place(PREFIX, inside), known.terms.condition)
        return named.addCallbacks(self._stored, self._refused, told, {}, (like,))

    def _stored(self, entry: Entry, like: Request, place: Place, condition: Condition) -> Ready:
        return self._ready(stored(like, place, entry, condition), like)

    def _refused(self, failure: Failure, like: Request) -> Ready | Failure:
        refusal = failure.value
        return self._ready(refusal_response(refusal), like) if isinstance(refusal, Refusal) else failure

    def _ready(self, response: Response, like: Request) -> Ready:
        if like.secure:
            response.headers.extend(self._always)
        text = response.body
        assert isinstance(text, bytes)
        return Ready(unfinished_head(response), text)
