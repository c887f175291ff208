"""Cookies of a login by a form (RFC 6265): kept in memory, sent back to the hosts that they are for."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

MOST = 64
"""Cookies that are kept; what comes after them is not."""

LONGEST = 4096


@frozen
class Cookie:
    """`whole` cookies go to the domain's hosts too, others to the host that set them alone."""

    name: str
    value: str
    domain: str
    whole: bool
    path: str
    secure: bool

    def fits(self, host: str, path: str, secure: bool) -> bool:
        at_home = host == self.domain or (self.whole and host.endswith(f".{self.domain}"))
        below = path == self.path or path.startswith(self.path if self.path.endswith("/") else f"{self.path}/")
        return at_home and below and (secure or not self.secure)


class Cookies:
    """What servers have set."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str, str], Cookie] = {}

    def take(self, lines: Sequence[str], host: str) -> None:
        """Keep what the Set-Cookie lines of a reply of `host` set, as far as it may."""
        for line in lines:
            cookie = _parse(line, host)
            if cookie is None:
                continue
            key = (cookie.name, cookie.domain, cookie.path)
            if key in self._held or len(self._held) < MOST:
                self._held[key] = cookie

    def field(self, host: str, path: str, secure: bool) -> str:
        """The Cookie field of a request, empty where there is nothing to say."""
        return "; ".join(f"{each.name}={each.value}" for each in self._held.values() if each.fits(host, path, secure))


def _parse(line: str, host: str) -> Cookie | None:
    first, *rest = line.split(";")
    name, equals, value = (part.strip() for part in first.partition("="))
    if not (equals and name) or len(line) > LONGEST or not line.isprintable():
        return None
    said = {key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)}
    domain = said.get("domain", "").lstrip(".").lower()
    # A host may speak for its own domain, but not for a whole top-level one.
    whole = bool(domain) and "." in domain and (host == domain or host.endswith(f".{domain}"))
    if domain and not whole:
        return None
    path = said.get("path", "/")
    return Cookie(name, value, domain if whole else host, whole, path if path.startswith("/") else "/", "secure" in said)
