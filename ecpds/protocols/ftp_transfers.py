"""The verbs that move bytes: RETR, STOR, and the listings (RFC 959 section 4.1.3, RFC 3659 section 7).

Each of them: find out whether it can be done at all (550 and the like), say 150, wait for the client's data connection
(425), move the bytes (426 and the like), close the connection, say 226. Whatever fails resets the data connection, so
that no client takes a part for the whole.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from ecpds.errors import ConnectionLost, InvalidRequest, NotADirectory, NotFound, PreconditionFailed, Stalled
from ecpds.model import Entry
from ecpds.portal_interfaces import IUpload
from ecpds.protocols import ftp_replies as replies
from ecpds.protocols.ftp_data import DataConnection
from ecpds.protocols.ftp_interpreter import EarlyReply, Handler, Interpreter, grace
from ecpds.protocols.ftp_listings import Listing, any_listing, directory_listing, without_options
from ecpds.protocols.ftp_replies import Reply, refusal_reply, reply
from ecpds.protocols.held_upload import HeldUpload
from ecpds.terms import IF_ABSENT
from ecpds.wire.listings import mlsd_facts, time_value, unix_line

Line = Callable[[Entry, str], str]
"""An entry and the prefix of its listing, as one line."""

Opening = Callable[[], Awaitable[IUpload]]
"""Begins an upload; not called when the transfer was aborted before."""


async def retrieve(pi: Interpreter, argument: str) -> Reply:
    """RETR, from where REST said. The bytes are the stored ones in any TYPE, so SIZE is true in any TYPE."""
    offset, span = pi.session.take_restart(), pi.session.take_span()
    path = pi.session.resolve_file(argument)
    if span is not None:
        offset = span[0]
    with pi.transferring(f"Sending {path}") as data:
        download = await pi.files.open_read(path)
        try:
            size = download.entry.size
            if offset > size:
                raise EarlyReply(replies.RESTART_BEYOND_END)
            length = size - offset if span is None else min(span[1], size - offset)
            channel = await pi.connect(data, f"Sending the file ({length} bytes).")
            await download.send(channel, offset, length)
            await data.finish()
        except BaseException as failure:
            download.close(failure)
            raise
        download.close()
    return reply(226, f"{length} bytes sent.")


async def store(pi: Interpreter, argument: str) -> Reply:
    """STOR, behind what is kept where REST said so. The file is there when 226 is said, and not before."""
    offset = pi.session.take_restart()
    path = pi.session.resolve_file(argument)
    opening = partial(_resume, pi, path, offset) if offset else partial(_put, pi, path)
    return await _receive(pi, path, opening, "Waiting for the bytes.", offset)


async def _put(pi: Interpreter, path: str) -> IUpload:
    """Where a small file would be put in one step now, it is seen when the bytes have come whether it is one."""
    if pi.files.takes_now(path):
        return HeldUpload(pi.files, path)
    upload: IUpload = await pi.files.open_write(path)
    return upload


async def append(pi: Interpreter, argument: str) -> Reply:
    """APPE: behind what is kept, if anything is. What is published is never changed, so nothing is appended to a file."""
    pi.session.take_restart()
    path = pi.session.resolve_file(argument)
    kept = await pi.files.kept(path)
    opening = partial(_resume, pi, path, kept) if kept else _new(pi, path)
    return await _receive(pi, path, opening, "Waiting for the bytes.", kept)


async def _resume(pi: Interpreter, path: str, offset: int) -> IUpload:
    """Go on behind what is kept; 554 where something else is (RFC 1123 section 4.1.3.4)."""
    try:
        upload: IUpload = await pi.files.resume_write(path, offset)
    except (NotFound, PreconditionFailed) as refusal:
        raise EarlyReply(refusal_reply(refusal, 554)) from refusal
    return upload


async def store_unique(pi: Interpreter, argument: str) -> Reply:
    """STOU: the name is told in the reply (RFC 1123 section 4.1.2.9)."""
    pi.session.take_restart()
    name = f"{argument.strip() or 'file'}.{time_value(pi.door.clock.seconds())}.{next(pi.door.serial)}"
    path = pi.session.resolve_file(name)
    return await _receive(pi, path, _new(pi, path), f"FILE: {name}")


def _new(pi: Interpreter, path: str) -> Opening:
    return partial(pi.files.open_write, path, terms=IF_ABSENT)


async def _receive(pi: Interpreter, path: str, opening: Opening, announcement: str, offset: int = 0) -> Reply:
    """Store what comes, behind `offset` bytes. What came before the connection broke off is kept, to be gone on with.

    The last look whether the client is there comes as late as it can: the bytes are on disk, and nobody has heard of them.
    """
    allocated = pi.session.take_allocated()
    with pi.transferring(f"Receiving {path}") as data:
        upload = await opening()
        try:
            channel = await pi.connect(data, announcement)
            began = pi.door.clock.seconds()
            count = await upload.receive(channel)
            ended = pi.door.clock.seconds()
            await data.finish_received()
            await upload.settle()
            short = offset + count < allocated
            doubt = 0.0 if channel.secure else grace(ended - began, count, short, pi.ends.is_here)
            await pi.heard_out(data, ended, doubt)
            await _publish(pi, upload)
        except (ConnectionLost, Stalled) as failure:
            await upload.keep(failure)
            raise
        except BaseException as failure:
            await upload.abort(failure)
            raise
    return reply(226, f"{count} bytes stored.")


async def _publish(pi: Interpreter, upload: IUpload) -> None:
    """Files of many clients are named together, at the end of the reactor's turn; one that comes alone waits for no others."""
    if isinstance(upload, HeldUpload) and len(pi.door.transferring) == 1 and upload.commit_now() is not None:
        return
    await upload.commit()


async def list_lines(pi: Interpreter, argument: str) -> Reply:
    """LIST: the lines of `ls -l`."""
    now, owner = pi.door.clock.seconds(), pi.session.login

    def line(entry: Entry, prefix: str) -> str:
        return unix_line(entry, now, owner)

    return await _list(pi, argument, line)


async def list_names(pi: Interpreter, argument: str) -> Reply:
    """NLST: names that can be used as paths."""

    def line(entry: Entry, prefix: str) -> str:
        return prefix + entry.name

    return await _list(pi, argument, line)


async def _list(pi: Interpreter, argument: str, line: Line) -> Reply:
    said = without_options(argument)
    path = pi.session.resolve(said)
    with pi.transferring(f"Listing {path}") as data:
        listing = await any_listing(pi.files, path, said, pi.door.limits.listing_page)
        return await _send_listing(pi, data, listing, line)


async def list_facts(pi: Interpreter, argument: str) -> Reply:
    """MLSD: the facts of each name. What is not a directory is a wrong argument (RFC 3659 section 7.2.1)."""
    path = pi.session.resolve(argument)
    permissions, wanted = pi.files.identity.permissions, pi.session.facts

    def line(entry: Entry, prefix: str) -> str:
        return f"{mlsd_facts(entry, permissions, wanted)} {entry.name}"

    with pi.transferring(f"Listing {path}") as data:
        try:
            listing = await directory_listing(pi.files, path, pi.door.limits.listing_page)
        except NotADirectory as refusal:
            raise InvalidRequest("MLSD lists directories; MLST shows a file") from refusal
        return await _send_listing(pi, data, listing, line)


async def _send_listing(pi: Interpreter, data: DataConnection, listing: Listing, line: Line) -> Reply:
    """Send the lines, each with CRLF in any TYPE; one page is in memory at a time, and others get a turn after each."""
    channel = await pi.connect(data, "The listing follows.")
    count = 0
    async for entries in listing.pages():
        if entries:
            await channel.write("".join(f"{line(entry, listing.prefix)}\r\n" for entry in entries).encode())
        count += len(entries)
        await pi.door.turn()
    await data.finish()
    return reply(226, f"{count} names listed.")


HANDLERS: dict[str, Handler] = {
    "RETR": retrieve,
    "STOR": store,
    "STOU": store_unique,
    "APPE": append,
    "LIST": list_lines,
    "NLST": list_names,
    "MLSD": list_facts,
}
