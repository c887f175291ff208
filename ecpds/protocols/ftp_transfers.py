"""The verbs that move bytes: RETR, STOR, and the listings (RFC 959 section 4.1.3, RFC 3659 section 7).

Each of them: find out whether it can be done at all (550 and the like), say 150, wait for the client's data connection
(425), move the bytes (426 and the like), close the connection, say 226. Whatever fails resets the data connection, so
that no client takes a part for the whole.
"""

from __future__ import annotations

from collections.abc import Callable

from ecpds.errors import InvalidRequest, NotADirectory
from ecpds.model import Entry
from ecpds.protocols import ftp_replies as replies
from ecpds.protocols.ftp_data import DataConnection
from ecpds.protocols.ftp_interpreter import EarlyReply, Handler, Interpreter
from ecpds.protocols.ftp_listings import Listing, any_listing, directory_listing, without_options
from ecpds.protocols.ftp_replies import Reply, reply
from ecpds.wire.listings import mlsd_facts, unix_line

Line = Callable[[Entry, str], str]
"""An entry and the prefix of its listing, as one line."""


async def retrieve(pi: Interpreter, argument: str) -> Reply:
    """RETR, from where REST said. The bytes are the stored ones in any TYPE, so SIZE is true in any TYPE."""
    offset = pi.session.take_restart()
    path = pi.session.resolve_file(argument)
    with pi.transferring(f"Sending {path}") as data:
        download = await pi.files.open_read(path)
        try:
            size = download.entry.size
            if offset > size:
                raise EarlyReply(replies.RESTART_BEYOND_END)
            channel = await pi.connect(data, f"Sending the file ({size} bytes).")
            await download.send(channel, offset)
            await data.finish()
        except BaseException as failure:
            download.close(failure)
            raise
        download.close()
    return reply(226, f"{size - offset} bytes sent.")


async def store(pi: Interpreter, argument: str) -> Reply:
    """STOR. The file is there when 226 is said, and not before."""
    offset = pi.session.take_restart()
    path = pi.session.resolve_file(argument)
    if offset:
        return replies.NO_RESUMED_STOR
    with pi.transferring(f"Receiving {path}") as data:
        upload = await pi.files.open_write(path)
        try:
            channel = await pi.connect(data, "Waiting for the bytes.")
            began = pi.door.clock.seconds()
            count = await upload.receive(channel)
            await data.finish_received()
            await pi.heard_out(data, began)
            await upload.commit()
        except BaseException as failure:
            await upload.abort(failure)
            raise
    return reply(226, f"{count} bytes stored.")


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
    "LIST": list_lines,
    "NLST": list_names,
    "MLSD": list_facts,
}
