"""What operators ask of a Master: the command line, the page and the manhole, by way of `ecpds.portal.operator`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from zope.interface import Interface

from ecpds.events import Event
from ecpds.model import (
    Destination,
    DestinationChange,
    Entry,
    QuotaUse,
    RecordFilter,
)
from ecpds.people import AccessKey, NewUser, Policy, UserChange, UserRecord
from ecpds.scrubbing import Checked, DamagedCopy


class IOperations(Interface):
    """What operators ask of a Master. Names of destinations and users are checked here."""

    async def add_destination(destination: Destination) -> Destination:
        """`destination.id` is ignored. Raises `AlreadyExists`, `InvalidName`, `InvalidRequest`."""

    async def destinations() -> Sequence[Destination]: ...

    async def destination(name: str) -> Destination: ...

    async def change_destination(name: str, change: DestinationChange) -> Destination:
        """Raises `NotFound`, `InvalidRequest`."""

    async def remove_destination(name: str, force: bool) -> Destination:
        """Returns what it was. Raises `DirectoryNotEmpty` unless forced, `Unavailable` while uploads to it are kept."""

    async def add_user(user: NewUser) -> UserRecord:
        """Raises `AlreadyExists`, `InvalidName`, `NotFound` for an unknown destination or policy, `InvalidRequest`."""

    async def change_user(login: str, change: UserChange) -> UserRecord:
        """Raises `NotFound`, `InvalidRequest`."""

    async def set_password(login: str, password: str) -> UserRecord: ...

    async def remove_user(login: str) -> UserRecord:
        """Returns what it was. Raises `NotFound`, `Unavailable` while uploads of the user are kept."""

    async def users() -> Sequence[UserRecord]: ...

    async def user(login: str) -> UserRecord: ...

    async def quotas(login: str | None, destination: str | None) -> Sequence[QuotaUse]:
        """How far those of a user are used, or of a destination. Raises `NotFound`."""

    async def add_key(login: str, key: str) -> UserRecord:
        """Add an SSH public key, as one line of OpenSSH's form. Raises `AlreadyExists`, `InvalidRequest`."""

    async def remove_key(login: str, key: str) -> UserRecord:
        """The key is given as to `add_key`. Raises `NotFound`, `InvalidRequest`."""

    async def add_access_key(
        login: str,
        life: float | None,
        permissions: Collection[str] | None,
        destinations: Collection[str] | None,
    ) -> tuple[AccessKey, str]:
        """A new S3 access key, and its secret, which nobody is told again.

        It expires after `life` seconds, and may do less than its user. Raises `NotFound`, `InvalidRequest`.
        """

    async def enrol_totp(login: str) -> str:
        """From now on a one-time code stands behind the user's password: the `otpauth://` URI, which is told this once.

        Raises `NotFound`, `AlreadyExists`, and `InvalidRequest` for a user who has no password of its own.
        """

    async def remove_totp(login: str) -> UserRecord:
        """Raises `NotFound`, also where there are none."""

    async def access_keys(login: str) -> Sequence[AccessKey]:
        """The oldest first."""

    async def remove_access_key(login: str, access_key_id: str) -> AccessKey: ...

    async def add_policy(policy: Policy) -> Policy:
        """`policy.id` is ignored. Raises `AlreadyExists`, `InvalidName`, `NotFound`, `InvalidRequest`."""

    async def change_policy(name: str, change: UserChange) -> Policy:
        """Raises `NotFound`, `InvalidRequest`."""

    async def remove_policy(name: str, force: bool) -> Policy:
        """Returns what it was. Raises `NotPermitted` when users have it, unless forced."""

    async def policies() -> Sequence[Policy]: ...

    async def policy(name: str) -> Policy: ...

    async def remove_file(destination: str, path: str) -> Entry: ...

    async def release_file(destination: str, path: str) -> Entry:
        """Let a file that waits be seen by everybody. Raises `NotFound`, `IsADirectory`."""

    async def verify_file(destination: str, path: str) -> Sequence[Checked]:
        """Compare every copy of a file with its record now. Raises `NotFound`, `IsADirectory`."""

    async def damaged(after: tuple[int, str, int], limit: int) -> Sequence[DamagedCopy]:
        """Up to `limit` copies that are known to be damaged, behind one (its segment, mover and volume), in their order."""

    async def release_folder(destination: str, path: str) -> int:
        """Let everybody see what waits in a folder and below it; how many those were. Raises `NotFound`, `NotADirectory`."""

    async def hold_file(destination: str, path: str) -> Entry:
        """Let a file be seen only by who may put there, until it is released. Raises `NotFound`, `IsADirectory`."""

    async def history(wanted: RecordFilter, limit: int, before: int | None) -> Sequence[tuple[int, Event]]:
        """The newest records, with their numbers, newest first; those with numbers below `before`, where it is given."""

    async def history_after(wanted: RecordFilter, limit: int, after: int) -> Sequence[tuple[int, Event]]:
        """Records with numbers above `after`, oldest first."""

    async def drain_mover(name: str, draining: bool) -> None:
        """Give a mover nothing new, or something again. Raises `NotFound`."""

    async def retire_mover(name: str, wait: bool) -> None:
        """Move away what a mover holds, and forget it when nothing is left; begun on return, or with `wait` ended.

        It goes on over restarts until then, or until the mover is drained or undrained. Raises `NotFound`.
        """

    async def forget_mover(name: str) -> tuple[int, Sequence[str]]:
        """Retire a mover that is lost. Returns how many segments were on it alone, and some of the paths that need them.

        What the catalogue knows of them stays: should the mover come back, they can be read again. Raises `NotFound`, and
        `InvalidRequest` of one that is there.
        """

    async def movers() -> Sequence[str]:
        """Every mover that was heard of and not retired, in the order of names."""

    async def about_mover(name: str) -> Mapping[str, Any]:
        """Its group, standing (alive, suspect, gone), whether it drains or is retired, its reads, and how far it is moved away.

        Raises `NotFound`.
        """

    async def summary() -> Mapping[str, Any]:
        """Counts for `status`: users, destinations, files, bytes, uploads under way, segments to reclaim."""
