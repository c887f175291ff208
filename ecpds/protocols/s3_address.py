"""Which bucket and which key a request is about, and whose the bucket is."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from ecpds.model import Identity
from ecpds.protocols.s3_errors import S3Error

FIXED = "portal.destination"
"""The option of users whose paths begin inside of one destination."""


class Addresses:
    """`domain` is the name below which a host's name begins with a bucket's; None: buckets are in the path only."""

    def __init__(self, domain: str | None = None) -> None:
        self._suffix = f".{domain.lower()}" if domain else None

    def of(self, host: str, path: str) -> tuple[str, str]:
        """The bucket and the key of a request, by its Host and its path as they came. Raises `S3Error`."""
        if self._suffix is not None:
            name = host.lower().partition(":")[0]
            if name.endswith(self._suffix) and len(name) > len(self._suffix):
                return name.removesuffix(self._suffix), decoded_path(path)
        bucket, _, key = decoded_path(path).partition("/")
        return bucket, key


def decoded_path(raw: str) -> str:
    """A path as it came, without its first slash: decoded once, as a whole, so that all who look see the same."""
    try:
        return unquote_to_bytes(raw).decode("utf-8").removeprefix("/")
    except UnicodeDecodeError:
        raise S3Error("InvalidURI", 400, "Couldn't parse the specified URI.") from None


def is_own(identity: Identity, bucket: str) -> bool:
    """Whether a user can see a bucket as its own."""
    return bucket in identity.destinations or bucket in identity.names or FIXED in identity.options
