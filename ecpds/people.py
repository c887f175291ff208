"""Who may use the portal, and how that is said and changed: users, policies, access keys, share links."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from ecpds.model import EMPTY, PERMISSIONS

LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,62}", re.ASCII)
"""What a user may be called."""


@frozen
class UserRecord:
    """A Data User as operators see it: never the password, whether it has one. `totp`: one-time codes stand behind that."""

    id: int
    login: str
    mode: str
    enabled: bool
    has_password: bool
    permissions: tuple[str, ...]
    destinations: tuple[str, ...]
    options: Mapping[str, str] = EMPTY
    keys: tuple[str, ...] = ()
    created: float = 0.0
    last_login: float | None = None
    policies: tuple[str, ...] = ()
    comment: str = ""
    totp: bool = False


@frozen
class NewUser:
    """What an operator says of a user to be added. No permissions named means all of them."""

    login: str
    password: str | None = field(default=None, repr=False)
    mode: str = "standard"
    destinations: tuple[str, ...] = ()
    permissions: tuple[str, ...] = PERMISSIONS
    options: Mapping[str, str] = EMPTY
    policies: tuple[str, ...] = ()
    comment: str = ""


@frozen
class Policy:
    """A named set of destinations, permissions and options that is given to many users.

    Its permissions hold in its own destinations; None means whatever the user itself holds.
    """

    id: int
    name: str
    enabled: bool = True
    permissions: tuple[str, ...] | None = None
    destinations: tuple[str, ...] = ()
    options: Mapping[str, str] = EMPTY
    comment: str = ""
    created: float = 0.0


@frozen
class AccessKey:
    """An S3 access key of a user, without its secret. None in `permissions` or `destinations`: all that the user has."""

    id: str
    login: str
    created: float
    expires: float | None = None
    permissions: tuple[str, ...] | None = None
    destinations: tuple[str, ...] | None = None


@frozen
class NewShare:
    """A share link to be made: to a file, or to a folder (its path, relative to the destination, ends in a slash or is empty).

    It is good for `life` seconds and `most` uses, each the beginning of an upload or a download; None: no end.
    """

    destination: str
    path: str
    permissions: tuple[str, ...]
    life: float | None = None
    most: int | None = None
    password: str | None = field(default=None, repr=False)


@frozen
class Share:
    """A share link, without its token. `login` is whose it is, and in whose name those act who have it."""

    id: int
    login: str
    destination: str
    path: str
    permissions: tuple[str, ...]
    created: float
    expires: float | None = None
    most: int | None = None
    used: int = 0
    has_password: bool = False


@frozen
class UserChange:
    """What an operator changes of a user or a policy; None leaves a thing as it is.

    Lists replace the old ones, `options` are added to those that are set, and `unset` are the options that go. Of a user
    `password` may be unset too, and of a policy `permissions`: then its users' own hold in its destinations.
    """

    mode: str | None = None
    enabled: bool | None = None
    destinations: tuple[str, ...] | None = None
    permissions: tuple[str, ...] | None = None
    policies: tuple[str, ...] | None = None
    options: Mapping[str, str] = EMPTY
    unset: tuple[str, ...] = ()
    comment: str | None = None
