"""An upload that is held in memory as long as it is small.

For doors that say yes before the bytes come, or before they know that these are all. Where it stays small it is put in one
step (`IFileSystem.write_whole`); what becomes larger, or ends in any other way, is begun as always with what came by then.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve
from zope.interface import implementer

from ecpds.errors import Incomplete, Refusal
from ecpds.held import SMALL_FILE
from ecpds.interfaces import IByteSource
from ecpds.model import EMPTY, Entry
from ecpds.portal.whole import BytesSource
from ecpds.portal_interfaces import IFileSystem, IUpload
from ecpds.terms import NO_TERMS, Terms


@implementer(IUpload)
class HeldUpload:
    """To be made where `files.takes_now(path)`. It is in no list of running transfers until it has `SMALL_FILE` bytes.

    The arguments are those of `IFileSystem.open_write`.
    """

    def __init__(self, files: IFileSystem, path: str, size: int | None = None, terms: Terms = NO_TERMS) -> None:
        self._files = files
        self._path = path
        self._size = size
        self._terms = terms
        self._held = memoryview(b"")
        self._begun: IUpload | None = None
        self._ended = False

    async def receive(self, source: IByteSource, limit: int | None = None) -> int:
        self._check_open()
        came = 0
        while self._begun is None and limit != came:
            room = self._room()
            count = await source.read_into(room if limit is None else room[: limit - came])
            if not count:
                return came
            came += count
            self._held = self._buffer[: len(self._held) + count]
            if len(self._held) == SMALL_FILE:
                await self._begin()
        if self._begun is not None:
            came += await self._begun.receive(source, limit if limit is None else limit - came)
        return came

    def hold(self, data: memoryview) -> bool:
        """As `receive`, of bytes that are here; False where they would not be held, and then nothing was taken."""
        if self._begun is not None or self._ended or len(self._held) + len(data) >= SMALL_FILE:
            return False
        room = self._room()
        room[: len(data)] = data
        self._held = self._buffer[: len(self._held) + len(data)]
        return True

    async def settle(self) -> None:
        if self._begun is not None:
            await self._begun.settle()

    async def commit(self, expected: Mapping[str, str] = EMPTY) -> Entry:
        self._check_open()
        if self._size is not None and self._size != len(self._held):
            await self._begin()  # That tells what is wrong with it.
        self._ended = True
        if self._begun is not None:
            entry: Entry = await self._begun.commit(expected)
        else:
            terms = evolve(self._terms, expected={**self._terms.expected, **expected}) if expected else self._terms
            entry = await self._files.write_whole(self._path, self._held, terms)
        return entry

    def commit_now(self) -> Entry | None:
        """As `commit`, where nothing has to be waited for; None: nothing was done. Raises what `commit` does."""
        if self._ended or self._begun is not None or self._size not in (None, len(self._held)):
            return None
        self._ended = True
        entry: Entry | None = self._files.put_now(self._path, self._held, self._terms)
        self._ended = entry is not None
        return entry

    async def pause(self) -> None:
        self._check_open()
        upload = await self._begin()
        self._ended = True
        await upload.pause()

    async def abort(self, reason: BaseException | None = None) -> None:
        upload = await self._begun_for_its_record()
        if upload is not None:
            await upload.abort(reason)

    async def keep(self, reason: BaseException) -> None:
        upload = await self._begun_for_its_record()
        if upload is not None:
            await upload.keep(reason)

    def _room(self) -> memoryview:
        """Where the next bytes go. There is no buffer before the first of them are waited for."""
        if not len(self._held):
            self._buffer = memoryview(bytearray(SMALL_FILE))
        return self._buffer[len(self._held) :]

    async def _begin(self) -> IUpload:
        if self._begun is None:
            try:
                upload = self._begun = await self._files.open_write(self._path, self._size, self._terms)
            except BaseException:
                self._ended = True
                raise
            await upload.receive(BytesSource(self._held))
            self._held = memoryview(b"")
        return self._begun

    async def _begun_for_its_record(self) -> IUpload | None:
        """What makes a record of its failure, and may keep what came. None where that is told already, or leave is refused."""
        if self._begun is not None or self._ended:
            return self._begun
        self._ended = True
        try:
            return await self._begin()
        except Refusal:
            return None  # That is the record.

    def _check_open(self) -> None:
        if self._ended:
            raise Incomplete("the upload has ended")
