"""What is asked beside an object's content: its tags, as they came with it, and its ACL."""

from __future__ import annotations

from urllib.parse import unquote_plus

from ecpds.http.message import Response
from ecpds.protocols import s3_buckets, s3_headers
from ecpds.protocols.s3_call import Call, xml_response
from ecpds.protocols.s3_read import found
from ecpds.wire.s3xml import Node


async def get_tags(call: Call) -> Response:
    """Answer GetObjectTagging."""
    file = (await found(call)).file
    assert file is not None
    pairs = [pair.partition("=") for pair in file.metadata.get(s3_headers.TAGGING, "").split("&") if pair]
    tags: list[Node] = [("Tag", [("Key", unquote_plus(key)), ("Value", unquote_plus(value))]) for key, _, value in pairs]
    return xml_response("Tagging", [("TagSet", tags)])


async def object_acl(call: Call) -> Response:
    """Answer GetObjectAcl."""
    await found(call)
    return await s3_buckets.acl(call)
