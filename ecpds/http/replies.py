"""How HTTP words the portal's refusals. A test checks that the table is total."""

from __future__ import annotations

from ecpds import errors
from ecpds.errors import Refusal
from ecpds.http.message import Response, text_response

RETRY_AFTER = 5
"""Seconds after which a client that came at a bad moment may try again."""

QUOTA_RETRY_AFTER = 600
"""The same for one whose quota is used up: it has bytes left only when those of long ago no longer count."""

STATUS: dict[type[Refusal], int] = {
    Refusal: 403,
    errors.LoginFailed: 401,
    errors.CodeNeeded: 401,
    errors.NotPermitted: 403,
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.IsADirectory: 409,
    errors.NotADirectory: 409,
    errors.DirectoryNotEmpty: 409,
    errors.InvalidName: 400,
    errors.InvalidRequest: 400,
    errors.PreconditionFailed: 412,
    errors.DigestMismatch: 400,
    errors.Incomplete: 400,
    errors.Stalled: 408,
    errors.ConnectionLost: 400,
    errors.TooLarge: 413,
    errors.NoSpace: 507,
    errors.UploadQuotaExceeded: 507,
    errors.StorageQuotaExceeded: 507,
    errors.DownloadQuotaExceeded: 429,
    errors.TooManyConnections: 503,
    errors.TooManyFailures: 429,
    errors.CrossesDestinations: 409,
    errors.NotSupported: 501,
    errors.Unavailable: 503,
    errors.Corrupt: 500,
}

_HEADERS: dict[int, tuple[tuple[str, str], ...]] = {
    401: (("WWW-Authenticate", 'Basic realm="ecpds", charset="UTF-8"'),),
    429: (("Retry-After", str(RETRY_AFTER)),),
    503: (("Retry-After", str(RETRY_AFTER)),),
}


def refusal_response(refusal: Refusal) -> Response:
    """The refusal's sentence as plain text, with the status and the headers that belong to it."""
    status = STATUS[type(refusal)]
    headers = _HEADERS.get(status, ())
    if isinstance(refusal, errors.DownloadQuotaExceeded):
        headers = (("Retry-After", str(QUOTA_RETRY_AFTER)),)
    return text_response(status, refusal.sentence, headers)
