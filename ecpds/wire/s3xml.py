"""S3's XML: replies are written by hand, their text escaped; requests are read by defusedxml (no DTD, no entities), bounded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Union
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

TYPE = ("Content-Type", "application/xml")

_MARKUP = re.compile("[&<>\r]")


class Written(str):
    """Elements that are XML already, their text escaped."""

    __slots__ = ()


Node = Written | tuple[str, Union[str, int, bool, "Sequence[Node]", None]]
"""An element: its name, and its text, a number, or its children. None: the element is left out. Or some that are ready."""


def document(name: str, children: Sequence[Node], namespace: str = NAMESPACE) -> bytes:
    """A whole document, with its declaration."""
    out = [DECLARATION, f'<{name} xmlns="{namespace}">' if namespace else f"<{name}>"]
    _add(out, children)
    out.append(f"</{name}>")
    return _encoded("".join(out))


def text_document(name: str, text: str) -> bytes:
    """A document whose root holds text alone."""
    return _encoded(f'{DECLARATION}<{name} xmlns="{NAMESPACE}">{escaped(text)}</{name}>')


def written(children: Sequence[Node]) -> Written:
    """Some elements as text."""
    out: list[str] = []
    _add(out, children)
    return Written("".join(out))


def _add(out: list[str], children: Sequence[Node]) -> None:
    """Written by hand: a page of a list has thousands of elements, and ElementTree takes three times as long for them."""
    for child in children:
        if isinstance(child, Written):
            out.append(child)
            continue
        name, content = child
        if isinstance(content, str):
            out.append(f"<{name}>{escaped(content)}</{name}>")
        elif isinstance(content, bool):
            out.append(f"<{name}>{'true' if content else 'false'}</{name}>")
        elif isinstance(content, int):
            out.append(f"<{name}>{content}</{name}>")
        elif content is not None:
            out.append(f"<{name}>")
            _add(out, content)
            out.append(f"</{name}>")


def escaped(text: str) -> str:
    """Text as it stands in an element. A carriage return that stands as it is is read as a line feed (XML 1.0 section 2.11)."""
    return escape(text, {"\r": "&#13;"}) if _MARKUP.search(text) else text


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "xmlcharrefreplace")


def timestamp(seconds: float) -> str:
    """A time as S3 writes it: UTC, with milliseconds."""
    return _to_the_second(int(seconds // 1)) + _MILLISECONDS[int(seconds * 1000) % 1000]


_MILLISECONDS = [f".{number:03d}Z" for number in range(1000)]


@lru_cache(4096)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Element:
    """An element of a request, by names without their namespace."""

    def __init__(self, element: ElementTree.Element) -> None:
        self._element = element
        self.name = element.tag.rpartition("}")[2]

    def all(self, name: str) -> list[Element]:
        """The children of that name."""
        return [child for each in self._element if (child := Element(each)).name == name]

    def text(self, name: str) -> str | None:
        """The text of the child of that name; None when there is none."""
        found = self.all(name)
        return (found[0]._element.text or "") if found else None


def parse(data: bytes, name: str) -> Element:
    """The document's root, which is called `name`. Raises `ValueError` for anything else."""
    try:
        root = Element(fromstring(data, forbid_dtd=True))
    except (ElementTree.ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise ValueError("the body is not XML that is accepted here") from error
    if root.name != name:
        raise ValueError(f"the body is not a {name}")
    return root
