"""Tags: of an object (ten, noted with it) and of a bucket (fifty, an option of the destination).

Wherever they are kept they have the form of the header that brings them: `key=value` pairs as in a URL's query.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, unquote_plus

from ecpds.http.message import Response
from ecpds.model import Condition
from ecpds.options import BUCKET_TAGS
from ecpds.protocols import s3_headers
from ecpds.protocols.s3_buckets import exists
from ecpds.protocols.s3_call import Call, xml_of, xml_response
from ecpds.protocols.s3_errors import S3Error, malformed_xml
from ecpds.protocols.s3_read import found
from ecpds.wire import s3xml
from ecpds.wire.s3xml import Node

OF_OBJECT, OF_BUCKET = 10, 50
KEY, VALUE = 128, 256
"""Characters of a tag."""

Tags = Sequence[tuple[str, str]]


def invalid_tag(sentence: str = "The tag provided was not a valid tag.") -> S3Error:
    return S3Error("InvalidTag", 400, sentence)


def parsed(text: str) -> Tags:
    """The tags of a header. Raises `S3Error` when they are not UTF-8."""
    pairs = [pair.partition("=") for pair in text.split("&") if pair]
    try:
        return [(unquote_plus(key, errors="strict"), unquote_plus(value, errors="strict")) for key, _, value in pairs]
    except UnicodeDecodeError:
        raise invalid_tag() from None


def checked(tags: Tags, most: int = OF_OBJECT) -> str:
    """Tags as they are kept. Raises `S3Error` when they are too many or too long, or a key stands twice."""
    if len(tags) > most:
        raise invalid_tag(f"Tags cannot be more than {most}.")
    if len({key for key, _ in tags}) != len(tags):
        raise invalid_tag("Cannot provide multiple Tags with the same key")
    if any(not 0 < len(key) <= KEY or len(value) > VALUE for key, value in tags):
        raise invalid_tag()
    return "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in tags)


def of_headers(call: Call) -> dict[str, str]:
    """What is kept of the tags that an object comes with."""
    text = call.header(s3_headers.TAGGING)
    return {s3_headers.TAGGING: checked(parsed(text))} if text else {}


def of_document(root: s3xml.Element) -> Tags:
    """The tags of a Tagging document. Raises `S3Error`."""
    sets = root.all("TagSet")
    if len(sets) != 1:
        raise malformed_xml("there is no TagSet")
    tags = []
    for each in sets[0].all("Tag"):
        key, value = each.text("Key"), each.text("Value")
        if key is None or value is None:
            raise malformed_xml("a Tag needs a Key and a Value")
        tags.append((key, value))
    return tags


def document(text: str) -> Response:
    """Tags as they are shown: by their keys, whatever order they came in."""
    tags: list[Node] = [("Tag", [("Key", key), ("Value", value)]) for key, value in sorted(parsed(text))]
    return xml_response("Tagging", [("TagSet", tags)])


async def get_tags(call: Call) -> Response:
    """Answer GetObjectTagging."""
    file = (await found(call)).file
    assert file is not None
    return document(file.metadata.get(s3_headers.TAGGING, ""))


async def put_tags(call: Call) -> Response:
    """Answer PutObjectTagging: the tags take the place of all that were there."""
    tags = checked(of_document(await xml_of(call, "Tagging")))
    await _note(call, tags or None)
    return Response(200)


async def delete_tags(call: Call) -> Response:
    """Answer DeleteObjectTagging."""
    await _note(call, None)
    return Response(204)


async def _note(call: Call, tags: str | None) -> None:
    file = (await found(call)).file
    assert file is not None
    await call.objects.annotate(call.path, {s3_headers.TAGGING: tags}, Condition(match=frozenset((file.id,))))


async def get_bucket_tags(call: Call) -> Response:
    """Answer GetBucketTagging."""
    await exists(call)
    tags = (await call.objects.bucket(call.bucket)).get(BUCKET_TAGS)
    if tags is None:
        raise S3Error("NoSuchTagSet", 404, "The TagSet does not exist")
    return document(tags)


async def put_bucket_tags(call: Call) -> Response:
    """Answer PutBucketTagging."""
    tags = checked(of_document(await xml_of(call, "Tagging")), OF_BUCKET)
    await call.objects.set_bucket(call.bucket, {BUCKET_TAGS: tags or None})
    return Response(204)


async def delete_bucket_tags(call: Call) -> Response:
    """Answer DeleteBucketTagging."""
    await call.objects.set_bucket(call.bucket, {BUCKET_TAGS: None})
    return Response(204)
