"""AWS Signature Version 4 (docs.aws.amazon.com/IAM, "Signature Version 4 for API requests"; S3, "Authenticating requests").

Pure: what a request says of its signature, whether that may be at this time, and which signature it should have. A client
sends the same in a header or, presigned, in the query. Only the newest version is known, for the ones before it sign less
than the request. The key of a scope comes from the Master; the secret never does.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from attrs import frozen

from ecpds.wire.dates import parse_http_date
from ecpds.wire.fields import Fields

ALGORITHM = "AWS4-HMAC-SHA256"

SKEW = 900.0
"""Seconds that a client's clock may be wrong by."""

LONGEST = 604800
"""Seconds that a presigned request may be good for."""

UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_CHUNKS_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
STREAMING = (SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER)

EMPTY_SHA256 = hashlib.sha256().hexdigest()

PAYLOAD = "x-amz-content-sha256"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_CREDENTIAL = re.compile(r"([A-Za-z0-9_.=+@-]{1,128})/([0-9]{8})/([A-Za-z0-9-]{1,64})/([a-z0-9-]{1,32})/aws4_request")
_SIGNED_HEADERS = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+(?:;[a-z0-9!#$%&'*+.^_`|~-]+)*")
_FIELD = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]*)")
_USUAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,\s]*), ?SignedHeaders=([^,\s]*), ?Signature=([^,\s]*)")
"""How clients write the three; any other order and space is understood too."""

_SPACES = re.compile(r" +")
_PLAIN = re.compile(r"[A-Za-z0-9/._~-]*")


class SignatureError(ValueError):
    """A signature that is malformed, of another time, or wrong: S3's code for it, and a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@frozen
class Scope:
    """What a signing key is good for."""

    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


@frozen
class Signed:
    """What a request says of its signature. `expires` (seconds) is that of a presigned one."""

    access_key: str
    scope: Scope
    stamp: str
    headers: tuple[str, ...]
    signature: str
    payload: str
    expires: int | None = None


Query = Sequence[tuple[str, str]]


def parse_query(query: str) -> Query:
    """The parameters of a raw query in their order, decoded; `+` is a plus sign. Raises `SignatureError`."""
    found = []
    for part in query.split("&") if query else ():
        name, _, text = part.partition("=")
        if part:
            found.append((_decoded(name), _decoded(text)))
    return found


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise SignatureError("InvalidURI", "The query is not UTF-8.") from None


def signed_by(fields: Fields, query: Query) -> Signed | None:
    """What the request says of its signature; None when it says nothing. Raises `SignatureError`."""
    parameters = dict(query)
    header = fields.get("authorization")
    presigned = "X-Amz-Signature" in parameters or "X-Amz-Algorithm" in parameters
    if "Signature" in parameters or (header or "").startswith("AWS "):
        raise SignatureError("InvalidRequest", "Only Signature Version 4 is accepted here.")
    if header is not None and presigned:
        raise SignatureError("InvalidArgument", "The request is signed in two ways; only one is allowed.")
    if fields.get("x-amz-security-token") or "X-Amz-Security-Token" in parameters:
        raise SignatureError("InvalidToken", "There are no temporary credentials here.")
    if header is not None:
        return _in_header(header, fields)
    return _in_query(parameters, len(query), fields) if presigned else None


def _in_header(header: str, fields: Fields) -> Signed:
    if not header:
        raise SignatureError("AccessDenied", "The Authorization is empty.")
    credential, names, proof = _authorization(header)
    access_key, scope = credential_of(credential, "AuthorizationHeaderMalformed")
    headers = _names(names, "AuthorizationHeaderMalformed")
    stamp = fields.get("x-amz-date")
    if stamp is None and "date" in headers:
        stamp = _stamp_of(fields.get("date") or "")
    if stamp is None or not _STAMP.fullmatch(stamp):
        raise SignatureError("AccessDenied", "The request needs a valid X-Amz-Date header.")
    payload = fields.get(PAYLOAD)
    if payload is None:
        raise SignatureError("InvalidRequest", "The request lacks the header x-amz-content-sha256.")
    return Signed(access_key, scope, stamp, headers, proof, _payload(payload))


def _stamp_of(date: str) -> str | None:
    """The stamp of a request that is signed by its `Date` instead: the same time, written as X-Amz-Date is.

    boto3 writes that as mail does (RFC 5322 section 3.3), with a zone that is a number.
    """
    time = parse_http_date(date.removesuffix(" -0000") + " GMT" if date.endswith(" -0000") else date)
    return None if time is None else datetime.fromtimestamp(time, UTC).strftime("%Y%m%dT%H%M%SZ")


def _authorization(header: str) -> tuple[str, str, str]:
    """The credential, the names of the signed headers, and the signature."""
    usual = _USUAL.fullmatch(header)
    if usual is not None:
        return usual[1], usual[2], usual[3]
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise SignatureError("InvalidArgument", "The Authorization is of a kind that is not known here.")
    parts = [_FIELD.fullmatch(part.strip(" \t")) for part in rest.split(",")]
    found = {part[1]: part[2] for part in parts if part}
    if None in parts or len(parts) != 3 or len(found) != 3:
        raise SignatureError("AuthorizationHeaderMalformed", "The Authorization header is malformed.")
    return found["Credential"], found["SignedHeaders"], found["Signature"]


def _in_query(found: Mapping[str, str], count: int, fields: Fields) -> Signed:
    code = "AuthorizationQueryParametersError"
    needed = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature")
    if len(found) != count or any(name not in found for name in needed):
        raise SignatureError(code, "A presigned request needs each X-Amz- parameter of its signature, once.")
    if found["X-Amz-Algorithm"] != ALGORITHM:
        raise SignatureError(code, "The X-Amz-Algorithm is not known here.")
    access_key, scope = credential_of(found["X-Amz-Credential"], code)
    if not _STAMP.fullmatch(found["X-Amz-Date"]):
        raise SignatureError(code, "The X-Amz-Date is malformed.")
    expires = found["X-Amz-Expires"]
    if not re.fullmatch(r"[0-9]{1,6}", expires) or int(expires) > LONGEST:
        raise SignatureError("AccessDenied", f"X-Amz-Expires is a number of seconds, at most {LONGEST}.")
    payload = fields.get(PAYLOAD) or found.get("X-Amz-Content-Sha256") or UNSIGNED
    headers = _names(found["X-Amz-SignedHeaders"], code)
    return Signed(access_key, scope, found["X-Amz-Date"], headers, found["X-Amz-Signature"], _payload(payload), int(expires))


@lru_cache(256)
def credential_of(text: str, code: str) -> tuple[str, Scope]:
    """The access key and the scope of a Credential. Raises `SignatureError` with that code."""
    match = _CREDENTIAL.fullmatch(text)
    if match is None:
        raise SignatureError(code, "The Credential is malformed; it is KEY/DATE/REGION/SERVICE/aws4_request.")
    if match[4] != "s3":
        raise SignatureError(code, "The Credential is for another service than s3.")
    return match[1], Scope(match[2], match[3], match[4])


@lru_cache(256)
def _names(text: str, code: str) -> tuple[str, ...]:
    if not _SIGNED_HEADERS.fullmatch(text):
        raise SignatureError(code, "The list of signed headers is malformed.")
    return tuple(text.split(";"))


def signed_again(signed: Signed, header: str, stamp: str) -> Signed | None:
    """What a later request of the same fields says of its signature, where but time and signature are as in `signed`.

    `header` is its Authorization, in the usual form; None: it says something else. Raises `SignatureError`.
    """
    usual = _USUAL.fullmatch(header)
    if usual is None or not _STAMP.fullmatch(stamp):
        return None
    if credential_of(usual[1], "AuthorizationHeaderMalformed") != (signed.access_key, signed.scope):
        return None
    if usual[2] != ";".join(signed.headers):
        return None
    return Signed(signed.access_key, signed.scope, stamp, signed.headers, usual[3], signed.payload)


def _payload(text: str) -> str:
    if text != UNSIGNED and text not in STREAMING and not _SHA256.fullmatch(text):
        raise SignatureError("InvalidRequest", "The x-amz-content-sha256 is neither a SHA-256 nor a mode that is known here.")
    return text


@lru_cache(256)
def seconds(stamp: str) -> float:
    """The time of a stamp such as `20261121T235959Z`, in seconds since the epoch. Raises `SignatureError`."""
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise SignatureError("AccessDenied", "The X-Amz-Date is no time.") from None


def check_time(signed: Signed, now: float) -> None:
    """Raises `SignatureError` unless the signature is of now, and of the day that its key is for."""
    made = seconds(signed.stamp)
    if signed.scope.date != signed.stamp[:8]:
        raise SignatureError("AuthorizationHeaderMalformed", "The date of the Credential is not that of the request.")
    if made > now + SKEW or (signed.expires is None and made < now - SKEW):
        raise SignatureError("RequestTimeTooSkewed", "The time of the request and the time here differ too much.")
    if signed.expires is not None and now > made + signed.expires:
        raise SignatureError("AccessDenied", "Request has expired")


def check_headers(signed: Signed, names: Sequence[str]) -> None:
    """Raises `SignatureError` unless the host and every `x-amz-` header of the request (lower case) were signed."""
    unsigned = [name for name in names if name.startswith("x-amz-") and name not in signed.headers]
    if signed.expires is not None and PAYLOAD in unsigned:
        # Some clients sign UNSIGNED-PAYLOAD and send the header beside it; it is in the canonical request either way.
        unsigned.remove(PAYLOAD)
    if "host" not in signed.headers or unsigned:
        raise SignatureError("AccessDenied", "There were headers present in the request which were not signed")


def canonical_request(method: str, path: str, query: Query, fields: Mapping[str, str], signed: Signed) -> str:
    """The canonical request. `path` is as it came; `fields` holds the signed headers by name, lines joined by commas."""
    lines = [f"{name}:{_squeezed(fields.get(name, ''))}\n" for name in signed.headers]
    parts = sorted((_encoded(name), _encoded(text)) for name, text in query if name != "X-Amz-Signature")
    return "\n".join(
        (
            method,
            path if _PLAIN.fullmatch(path) else quote(unquote_to_bytes(path), safe="/-_.~"),
            "&".join(f"{name}={text}" for name, text in parts),
            "".join(lines),
            ";".join(signed.headers),
            signed.payload,
        )
    )


def _squeezed(value: str) -> str:
    # Of white space only what HTTP calls so: other bytes are some of a character in UTF-8, as the last one of "à" is.
    value = value.strip(" \t")
    return _SPACES.sub(" ", value) if "  " in value else value


def _encoded(text: str) -> str:
    return quote(text.encode("utf-8"), safe="-_.~")


def unsigned(fields: Fields) -> Signed:
    """What a request without a signature says of its body. Raises `SignatureError` where that needs one."""
    payload = _payload(fields.get(PAYLOAD) or UNSIGNED)
    if payload in (SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER):
        raise SignatureError("AccessDenied", "The body of a request without a signature can't be signed.")
    return Signed("", Scope("", "us-east-1", "s3"), "", (), "", payload)


def signature(key: bytes, signed: Signed, canonical: str) -> str:
    """The signature that the request should have. `key` is its scope's signing key."""
    digest = hashlib.sha256(canonical.encode("latin-1", "replace")).hexdigest()
    return sign(key, "\n".join((ALGORITHM, signed.stamp, str(signed.scope), digest)))


def sign(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


def agree(one: str, other: str) -> bool:
    """Whether two signatures are the same, in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


class ChunkSigner:
    """The chain of signatures of a streamed body: each chunk's holds that of the one before ("Signature calculations for
    the Authorization header: transferring payload in multiple chunks")."""

    def __init__(self, key: bytes, signed: Signed) -> None:
        self._key = key
        self._context = f"{signed.stamp}\n{signed.scope}"
        self._last = signed.signature

    def chunk(self, digest: str) -> str:
        """The signature of the next chunk, whose SHA-256 is `digest`."""
        self._last = sign(self._key, f"{ALGORITHM}-PAYLOAD\n{self._context}\n{self._last}\n{EMPTY_SHA256}\n{digest}")
        return self._last

    def trailer(self, lines: Sequence[tuple[str, str]]) -> str:
        """The signature of the trailer."""
        text = "".join(f"{name}:{value}\n" for name, value in lines)
        digest = hashlib.sha256(text.encode("latin-1", "replace")).hexdigest()
        return sign(self._key, f"{ALGORITHM}-TRAILER\n{self._context}\n{self._last}\n{digest}")
