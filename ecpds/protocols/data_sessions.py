"""Who has logged in with a browser: sessions by the cookie that the browser sends back.

Only a hash of a cookie is kept, in this process alone; a session ends when it is not used for a while, at its greatest age,
and when the portal no longer lets its user in. Requests that change anything must also carry the session's token, which no
other site can know (OWASP's Cross-Site Request Forgery cheat sheet).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from random import Random

from attrs import define

from ecpds.model import Identity

COOKIE = "__Host-ecpds"
"""A name that browsers take over HTTPS only, from this host alone, for all of its paths (RFC 6265bis section 4.1.3.2)."""

SESSIONS = 10_000
"""Sessions that are remembered at most; the one that was used least lately is forgotten first."""


@define
class Session:
    """One login of a browser. `token` must come along with what changes anything; times are those of the clock."""

    identity: Identity
    token: str
    begun: float
    used: float


class Sessions:
    """The sessions of a node. `random` must be unpredictable; `seconds` is a clock; `idle` and `life` are seconds."""

    def __init__(self, random: Random, seconds: Callable[[], float], idle: float, life: float, cookie: str = COOKIE) -> None:
        self._random = random
        self._seconds = seconds
        self._idle = idle
        self._life = life
        self._cookie = cookie
        self._sent = re.compile(rf"(?:^|; ?){cookie}=([A-Za-z0-9_-]{{43}})(?=;|$)")
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, identity: Identity, path: str = "/") -> str:
        """Remember a login; returns the Set-Cookie field for it (RFC 6265), for what is below `path`."""
        secret, now = self._secret(), self._seconds()
        self._sessions[_hash(secret)] = Session(identity, self._secret(), now, now)
        if len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return f"{self._cookie}={secret}; Path={path}; Secure; HttpOnly; SameSite=Strict"

    def find(self, cookies: str | None) -> Session | None:
        """The session of a request's Cookie field, if there is one that has not run out."""
        sent = self._sent.search(cookies or "")
        if sent is None:
            return None
        key = _hash(sent[1])
        session = self._sessions.get(key)
        if session is None:
            return None
        now = self._seconds()
        if now - session.used > self._idle or now - session.begun > self._life:
            del self._sessions[key]
            return None
        session.used = now
        self._sessions.move_to_end(key)
        return session

    def end(self, session: Session) -> str:
        """Forget a session; returns the Set-Cookie field that makes the browser forget it too."""
        for key in [key for key, found in self._sessions.items() if found is session]:
            del self._sessions[key]
        return f"{self._cookie}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"

    def _secret(self) -> str:
        return urlsafe_b64encode(self._random.randbytes(32)).decode("ascii").rstrip("=")


def same_token(session: Session, sent: str | None) -> bool:
    """Whether a request that changes something has the session's token."""
    return sent is not None and hmac.compare_digest(session.token.encode(), sent.encode())


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()
