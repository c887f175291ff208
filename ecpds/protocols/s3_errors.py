"""How S3 words what is refused: one table from refusals to codes and statuses, and the reply that carries them."""

from __future__ import annotations

from collections.abc import Sequence

from ecpds import errors
from ecpds.errors import Refusal
from ecpds.http.message import HttpError, Response
from ecpds.wire import s3xml
from ecpds.wire.sigv4 import SignatureError

Header = tuple[str, str]


class S3Error(Exception):
    """An answer of S3's own: its code, its status, one sentence, headers that it needs, and what else is to be said."""

    def __init__(
        self, code: str, status: int, sentence: str, headers: Sequence[Header] = (), detail: str | None = None
    ) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.status = status
        self.sentence = sentence
        self.headers = tuple(headers)
        self.detail = detail


TABLE: dict[type[Refusal], tuple[str, int]] = {
    Refusal: ("AccessDenied", 403),
    errors.LoginFailed: ("InvalidAccessKeyId", 403),
    errors.CodeNeeded: ("AccessDenied", 403),
    errors.NotPermitted: ("AccessDenied", 403),
    errors.NotFound: ("NoSuchKey", 404),
    errors.AlreadyExists: ("OperationAborted", 409),
    errors.IsADirectory: ("OperationAborted", 409),
    errors.NotADirectory: ("OperationAborted", 409),
    errors.DirectoryNotEmpty: ("OperationAborted", 409),
    errors.InvalidName: ("InvalidURI", 400),
    errors.InvalidRequest: ("InvalidRequest", 400),
    errors.PreconditionFailed: ("PreconditionFailed", 412),
    errors.DigestMismatch: ("BadDigest", 400),
    errors.Incomplete: ("IncompleteBody", 400),
    errors.Stalled: ("RequestTimeout", 400),
    errors.ConnectionLost: ("IncompleteBody", 400),
    errors.TooLarge: ("EntityTooLarge", 400),
    errors.NoSpace: ("InsufficientStorage", 507),
    errors.UploadQuotaExceeded: ("QuotaExceeded", 403),
    errors.StorageQuotaExceeded: ("QuotaExceeded", 403),
    errors.DownloadQuotaExceeded: ("QuotaExceeded", 403),
    errors.TooManyConnections: ("SlowDown", 503),
    errors.TooManyFailures: ("SlowDown", 503),
    errors.CrossesDestinations: ("InvalidRequest", 400),
    errors.NotSupported: ("NotImplemented", 501),
    errors.Unavailable: ("ServiceUnavailable", 503),
    errors.Corrupt: ("InternalError", 500),
}

SIGNATURE_STATUS = {
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "InvalidArgument": 400,
    "InvalidRequest": 400,
    "InvalidToken": 400,
    "InvalidURI": 400,
}
"""Of the codes of `SignatureError`; every other one is 403."""

NO_URI = "Couldn't parse the specified URI."
"""What S3 says of a key that it doesn't take ("Error responses", InvalidURI); why stands behind it, as the detail."""

HTTP_CODES = {400: "InvalidURI", 404: "NoSuchKey", 405: "MethodNotAllowed", 501: "NotImplemented"}


def not_implemented(what: str) -> S3Error:
    return S3Error("NotImplemented", 501, f"A header or parameter implies functionality that is not implemented: {what}")


def invalid_argument(sentence: str) -> S3Error:
    return S3Error("InvalidArgument", 400, sentence)


def malformed_xml(detail: str = "") -> S3Error:
    sentence = "The XML you provided was not well-formed or did not validate against our published schema"
    return S3Error("MalformedXML", 400, f"{sentence}: {detail}" if detail else sentence)


def as_s3(error: Exception) -> S3Error:
    """What S3 calls a refusal of another room."""
    if isinstance(error, S3Error):
        return error
    if isinstance(error, SignatureError):
        return S3Error(error.code, SIGNATURE_STATUS.get(error.code, 403), error.sentence)
    if isinstance(error, HttpError):
        return S3Error(HTTP_CODES.get(error.status, "InvalidRequest"), error.status, error.text, error.headers)
    assert isinstance(error, Refusal)
    code, status = TABLE[type(error)]
    if isinstance(error, errors.InvalidName):
        return S3Error(code, status, NO_URI, detail=error.sentence)
    return S3Error(code, status, error.sentence)


def error_response(error: S3Error, resource: str, request_id: str) -> Response:
    """The reply that says so."""
    if error.status == 304:
        return Response(304, list(error.headers))
    body = s3xml.document(
        "Error",
        [
            ("Code", error.code),
            ("Message", error.sentence),
            ("Detail", error.detail),
            ("Resource", resource),
            ("RequestId", request_id),
        ],
        namespace="",
    )
    return Response(error.status, [s3xml.TYPE, *error.headers], body)
