"""The signature of a resolution, which a report brings back: so that a report is of something that was answered, once.

A token says when it was made, for which site, and which candidates (their source, and a short hash of their URL) it is about;
all of it is signed (HMAC-SHA-256, RFC 2104), nothing of it is kept here. That a candidate has been reported is remembered for
as long as its token is good, `REMEMBERED` of them at most.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Sequence
from random import Random

from attrs import frozen

from ecpds.datasources import Candidate, TransferReport
from ecpds.errors import InvalidRequest

LIFE = 2 * 86400.0
"""Seconds that a token is good: the slowest transfer that is reported in full."""

REMEMBERED = 100_000
"""Reported candidates that are remembered."""

SLACK = 2.0
"""Seconds that clocks may differ."""

_HEAD = struct.Struct(">BdQI")
_CANDIDATE = struct.Struct(">Q8s")
_MAC = 16
_VERSION = 1
_LONGEST = 4096


@frozen
class Signed:
    """What a good token says: when it was made, and the site, None where that was not known."""

    made: float
    site: int | None


class Tokens:
    """`key` is secret; `random` must be unpredictable."""

    def __init__(self, key: bytes, random: Random) -> None:
        self._key = key
        self._random = random
        self._reported: OrderedDict[bytes, None] = OrderedDict()

    def sign(self, candidates: Sequence[Candidate], site: int | None, now: float) -> str:
        """The token of an answer."""
        parts = [_HEAD.pack(_VERSION, now, self._random.getrandbits(64), site or 0)]
        parts += [_CANDIDATE.pack(each.source_id, _hash(each.url)) for each in candidates if each.source_id is not None]
        text = b"".join(parts)
        return urlsafe_b64encode(text + self._mac(text)).decode("ascii").rstrip("=")

    def check(self, report: TransferReport, now: float) -> Signed:
        """What the report's token says of its candidate. Raises `InvalidRequest` for one that is not for it, or too late."""
        text = self._opened(report.token)
        _, made, nonce, site = _HEAD.unpack_from(text)
        if not made - SLACK <= now <= made + LIFE:
            raise InvalidRequest("the token is too old")
        entries = _CANDIDATE.iter_unpack(text[_HEAD.size :])
        if report.source_id is None or (report.source_id, _hash(report.url)) not in entries:
            raise InvalidRequest("the token is of another answer")
        if report.seconds > now - made + SLACK:
            raise InvalidRequest("the transfer would have begun before the answer")
        mark = struct.pack(">QQ", nonce, report.source_id) + _hash(report.url)
        if mark in self._reported:
            raise InvalidRequest("that transfer is reported already")
        self._reported[mark] = None
        if len(self._reported) > REMEMBERED:
            self._reported.popitem(last=False)
        return Signed(made, site or None)

    def _opened(self, token: str) -> bytes:
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4)) if len(token) <= _LONGEST else b""
        except ValueError:
            raw = b""
        text, mac = raw[:-_MAC], raw[-_MAC:]
        whole = len(text) >= _HEAD.size and not (len(text) - _HEAD.size) % _CANDIDATE.size
        if not whole or not hmac.compare_digest(mac, self._mac(text)):
            raise InvalidRequest("the token is not one of ours")
        return text

    def _mac(self, text: bytes) -> bytes:
        return hmac.digest(self._key, b"resolution" + text, "sha256")[:_MAC]


def _hash(url: str) -> bytes:
    return hashlib.blake2b(url.encode("utf-8", "replace"), digest_size=8).digest()
