"""Logging in, and keeping records, in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zope.interface import implementer

from ecpds.errors import LoginFailed, NotPermitted, Refusal
from ecpds.events import Event, denial_event
from ecpds.interfaces import IEventSink
from ecpds.keys import signing_key
from ecpds.model import PERMISSIONS, Entry, Identity, Origin
from ecpds.portal_interfaces import IDownload, IFileSystem, IPortal
from ecpds.terms import NO_TERMS, Terms
from tests.doubles.files import MemoryFileSystem, MemoryTree


@implementer(IEventSink)
class RecordingSink:
    """Keeps every record."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        self.events.append(event)

    def of(self, type: str) -> list[dict[str, Any]]:
        """The fields of the records of one type, such as `INH`."""
        return [dict(event.fields) for event in self.events if event.type == type]


def make_identity(
    login: str = "alice", destinations: tuple[str, ...] = ("demo",), permissions: tuple[str, ...] = PERMISSIONS
) -> Identity:
    """A user who may do everything in `destinations`, unless told otherwise."""
    return Identity(1, login, frozenset(permissions), destinations)


@implementer(IPortal)
class MemoryPortal:
    """Logs in those of `users`: login -> (password, identity). Every destination an identity names is there.

    `keys` are public keys: login -> wire forms; `secrets` those of S3: access key id -> (login, secret). Set `broken` to
    have every login refused with it.
    """

    def __init__(self, users: Mapping[str, tuple[str, Identity]], tree: MemoryTree | None = None) -> None:
        self.users = dict(users)
        self.tree = tree or MemoryTree()
        self.sink = RecordingSink()
        self.keys: dict[str, set[bytes]] = {}
        self.secrets: dict[str, tuple[str, str]] = {}
        self.broken: Refusal | None = None
        for _, identity in self.users.values():
            for destination in identity.destinations:
                self.tree.add_destination(destination)

    async def login(self, login: str, password: str, origin: Origin) -> IFileSystem:
        known = self.users.get(login)
        return self._enter(login, known is not None and known[0] == password, "Password authentication failed", origin)

    async def login_with_key(self, login: str, key: bytes, origin: Origin) -> IFileSystem:
        return self._enter(login, key in self.keys.get(login, ()), "Public key authentication failed", origin)

    async def login_with_certificate(self, login: str, origin: Origin) -> IFileSystem:
        return self._enter(login, True, "", origin)

    async def login_with_signature(
        self, access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[IFileSystem, bytes]:
        login, secret = self.secrets.get(access_key_id, ("", ""))
        files = self._enter(login or access_key_id, bool(login), "Not found", origin)
        return files, signing_key(secret, date, region, service)

    async def visit(self, destination: str, origin: Origin, login: str = "") -> IFileSystem:
        self.refused(login, f"{destination} is not open", origin)
        raise NotPermitted

    async def login_with_share(self, token: str, password: str, origin: Origin) -> IFileSystem:
        """Passwords, and the folder that is shared, are not told apart here."""
        user, share = self.tree.shares.get(token, (0, None))
        if share is None:
            self.refused("", "Share link not found", origin)
            raise LoginFailed
        identity = Identity(user, share.login, frozenset(share.permissions), (share.destination,), share=share.id)
        return MemoryFileSystem(self.tree, identity, origin, self.sink)

    async def resume(self, identity: Identity, origin: Origin) -> IFileSystem:
        known = self.users.get(identity.login)
        if known is None:
            self.refused(identity.login, "Not found", origin)
            raise NotPermitted
        return MemoryFileSystem(self.tree, known[1], origin, self.sink)

    def _enter(self, login: str, right: bool, reason: str, origin: Origin) -> IFileSystem:
        known = self.users.get(login)
        if self.broken is not None:
            self.refused(login, self.broken.sentence, origin)
            raise self.broken
        if known is None or not right:
            self.refused(login, "Not found" if known is None else reason, origin)
            raise LoginFailed
        return MemoryFileSystem(self.tree, known[1], origin, self.sink)

    def look_again(self, files: IFileSystem, path: str, suits: Callable[[Entry], bool]) -> Entry | None:
        """Nothing is remembered here."""

    def read_again(self, files: IFileSystem, path: str) -> IDownload | None:
        """Nothing is remembered here."""

    def put_again(
        self, files: IFileSystem, path: str, data: memoryview, terms: Terms = NO_TERMS, alone: bool = False
    ) -> Entry | None:
        """Nothing is remembered here."""

    def refused(self, login: str, message: str, origin: Origin) -> None:
        context = origin.context(login)
        self.sink.record(denial_event(self.tree.now, login, message, context, origin.address, origin.protocol))


def make_portal(login: str = "alice", password: str = "secret", destinations: tuple[str, ...] = ("demo",)) -> MemoryPortal:
    """A portal with one user who may do everything."""
    return MemoryPortal({login: (password, make_identity(login, destinations))})
