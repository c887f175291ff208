"""check-file (draft-ietf-secsh-filexfer-extensions-00, section 3): digests of files and of their blocks."""

from __future__ import annotations

from ecpds.errors import InvalidRequest, NotSupported
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols import sftp_packets as packets
from ecpds.ssh.fields import Fields

DIGESTS = {"md5": "md5", "sha1": "sha1", "sha256": "sha256", "sha512": "sha512", "crc32": "crc32"}
"""The names that draft-ietf-secsh-filexfer-extensions-00, section 3, has for digests, and the catalogue's."""

SMALLEST_BLOCK, MOST_BLOCKS = 256, 256
"""Bytes of a block of check-file, and how many of them one request may ask for."""


async def check_file(files: IFileSystem, path: str, fields: Fields) -> tuple[str, bytes]:
    """The digest that was chosen, and its values one after the other; that of a whole file is in the catalogue.

    Raises `NotSupported`, `InvalidRequest`, and what the file system does.
    """
    wanted, start, length, block = fields.text().split(","), packets.offset(fields), packets.offset(fields), fields.number()
    name = next((name for name in wanted if name in DIGESTS), None)
    if name is None:
        raise NotSupported(f"digests other than {', '.join(DIGESTS)}")
    size = (await files.stat(path)).size
    end = min(start + length, size) if length else size
    if start > end or (block and (block < SMALLEST_BLOCK or end - start > block * MOST_BLOCKS)):
        raise InvalidRequest(f"bytes {start} to {end} of {size} in blocks of {block}")
    found = b""
    for at in range(start, end, block) if block else (start,):
        span = min(block, end - at) if block else end - at
        found += bytes.fromhex(await files.digest(path, DIGESTS[name], at, span))
    return name, found
