"""Copies on the server: SITE COPY, and SITE CPFR with SITE CPTO, as ProFTPD's mod_copy has them.

A copy is a file of its own: its bytes go from the stored ones through buffers into a new upload, so rights, conditions and
digests are those of any get and put, and the name is there when 250 is said.
"""

from __future__ import annotations

import re

from ecpds.model import EMPTY
from ecpds.protocols import ftp_replies as replies
from ecpds.protocols.copying import FromDownload
from ecpds.protocols.ftp_interpreter import Interpreter
from ecpds.protocols.ftp_replies import Reply, reply
from ecpds.terms import Terms
from ecpds.wire.ranges import Span

TWO_PATHS = re.compile(r'(?:"((?:[^"]|"")+)"|(\S+)) +(?:"((?:[^"]|"")+)"|(\S.*))')
"""Two paths; the first one stands in quotes where it has blanks."""


async def copy(pi: Interpreter, argument: str) -> Reply:
    """SITE COPY."""
    found = TWO_PATHS.fullmatch(argument)
    if found is None:
        return reply(501, 'SITE COPY takes two paths; the first stands in "quotes" where it has blanks.')
    source, target = (quoted.replace('""', '"') if quoted else bare for quoted, bare in (found.group(1, 2), found.group(3, 4)))
    return await _copy(pi, pi.session.resolve_file(source), target)


async def copy_from(pi: Interpreter, argument: str) -> Reply:
    """SITE CPFR: what is to be copied."""
    if not argument:
        return replies.ARGUMENT_NEEDED
    path = pi.session.resolve_file(argument)
    await pi.files.stat(path, "get")
    pi.session.copying = path
    return reply(350, "Say SITE CPTO.")


async def copy_to(pi: Interpreter, argument: str) -> Reply:
    """SITE CPTO: the copy's name."""
    source = pi.session.take_copying()
    if source is None:
        return replies.CPFR_FIRST
    return await _copy(pi, source, argument) if argument else replies.ARGUMENT_NEEDED


async def _copy(pi: Interpreter, source: str, target: str) -> Reply:
    failure: BaseException | None = None
    download = await pi.files.open_read(source)
    try:
        file = download.entry.file
        assert file is not None
        known = {"sha256": file.digests["sha256"]} if "sha256" in file.digests else EMPTY
        terms = Terms(expected=known, metadata=file.metadata)
        upload = await pi.files.open_write(pi.session.resolve_file(target), file.size, terms)
        try:
            await upload.receive(FromDownload(download, Span(0, file.size), pi.door.threads))
            await upload.commit()
        except BaseException as error:
            await upload.abort(error)
            raise
    except BaseException as error:
        failure = error
        raise
    finally:
        download.close(failure)
    return reply(250, f"Copied, {file.size} bytes.")
