"""Where doors log users in, and where they leave a record of what they refused by themselves."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ecpds.errors import LoginFailed, Refusal
from ecpds.events import denial_event
from ecpds.model import Entry, Identity, Origin
from ecpds.portal.again import Returning
from ecpds.portal.backing import Backing
from ecpds.portal.filesystem import FileSystem
from ecpds.portal.journal import printable
from ecpds.portal.objects import ObjectSpace
from ecpds.portal_interfaces import IDownload, IFileSystem, IPortal
from ecpds.terms import NO_TERMS, Terms


@implementer(IPortal)
class Portal:
    """Asks the Master who a user is, and gives that user a file system."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    async def login(self, login: str, password: str, origin: Origin) -> IFileSystem:
        try:
            identity = await self._backing.master.login(login, password, origin)
        except Refusal as refusal:
            self.refused(login, _reason(refusal), origin)
            raise
        return FileSystem(self._backing, identity, origin)

    async def login_with_key(self, login: str, key: bytes, origin: Origin) -> IFileSystem:
        try:
            identity = await self._backing.master.login_with_key(login, key, origin)
        except Refusal as refusal:
            self.refused(login, _reason(refusal), origin)
            raise
        return FileSystem(self._backing, identity, origin)

    async def login_with_certificate(self, login: str, origin: Origin) -> IFileSystem:
        try:
            identity = await self._backing.master.login_with_certificate(login, origin)
        except Refusal as refusal:
            self.refused(login, _reason(refusal), origin)
            raise
        return FileSystem(self._backing, identity, origin)

    async def login_with_signature(
        self, access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[IFileSystem, bytes]:
        try:
            identity, key = await self._backing.master.login_with_signature(access_key_id, date, region, service, origin)
        except Refusal as refusal:
            self.refused(access_key_id, _reason(refusal), origin)
            raise
        return ObjectSpace(self._backing, identity, origin), key

    async def visit(self, destination: str, origin: Origin, login: str = "") -> IFileSystem:
        try:
            identity = await self._backing.master.visit(destination, login)
        except Refusal as refusal:
            self.refused(login, f"{destination} is not open", origin)
            raise refusal
        return ObjectSpace(self._backing, identity, origin)

    async def login_with_share(self, token: str, password: str, origin: Origin) -> IFileSystem:
        try:
            identity = await self._backing.master.login_with_share(token, password, origin)
        except Refusal as refusal:
            self.refused("", _reason(refusal), origin)
            raise
        return FileSystem(self._backing, identity, origin)

    async def resume(self, identity: Identity, origin: Origin) -> IFileSystem:
        try:
            identity = await self._backing.master.renew(identity)
        except Refusal as refusal:
            self.refused(identity.login, _reason(refusal), origin)
            raise
        return FileSystem(self._backing, identity, origin)

    def look_again(self, files: IFileSystem, path: str, suits: Callable[[Entry], bool]) -> Entry | None:
        return files.look_again(path, suits) if isinstance(files, Returning) else None

    def read_again(self, files: IFileSystem, path: str) -> IDownload | None:
        return files.read_again(path) if isinstance(files, Returning) else None

    def put_again(
        self, files: IFileSystem, path: str, data: memoryview, terms: Terms = NO_TERMS, alone: bool = False
    ) -> Deferred[Entry] | None:
        return files.put_again(path, data, terms, alone) if isinstance(files, Returning) else None

    def refused(self, login: str, message: str, origin: Origin) -> None:
        login, message = printable(login), printable(message)
        event = denial_event(self._backing.now(), login, message, origin.context(login), origin.address, origin.protocol)
        self._backing.sink.record(event)


def _reason(refusal: Refusal) -> str:
    """Why a login was refused, as the ancestor words it; what operators may read and users may not."""
    if refusal.reason:
        return refusal.reason
    if isinstance(refusal, LoginFailed):
        return "Password authentication failed"
    return refusal.detail or refusal.sentence
