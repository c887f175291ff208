"""What the options of users and of destinations say of quotas: of bytes that cross within a while, and of what is held."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from ecpds.options import in_seconds
from ecpds.rates import in_bytes

QUOTA_PERIOD = 86400
"""Seconds that a quota is for where no period is set."""

_QUOTAS = {
    (of, direction.lower()): (f"{of}.max{direction}Bytes", f"{of}.{direction.lower()}Period")
    for of in ("portal", "incoming")
    for direction in ("Upload", "Download")
}


@frozen
class Quota:
    """At most `most` bytes may be put, or fetched, within any `period` seconds."""

    most: int
    period: int


def quota(options: Mapping[str, str], of: str, direction: str) -> Quota | None:
    """What options say; None where no limit is set. `of` is `portal` or `incoming`, `direction` `upload` or `download`."""
    limit, span = _QUOTAS[of, direction]
    most = options.get(limit)
    if most is None:
        return None
    period = options.get(span)
    return Quota(in_bytes(most), QUOTA_PERIOD if period is None else max(1, in_seconds(period)))


@frozen
class StorageQuota:
    """At most so many files, and so many bytes, may be held; None: any number."""

    files: int | None
    size: int | None


def storage_quota(options: Mapping[str, str], of: str) -> StorageQuota | None:
    """What options say; None where no limit is set. `of` is `portal` or `incoming`."""
    files, size = options.get(f"{of}.maxHeldFiles"), options.get(f"{of}.maxHeldBytes")
    if files is None and size is None:
        return None
    return StorageQuota(None if files is None else int(files), None if size is None else in_bytes(size))
