"""S3's XML: replies are built by the standard library, requests are read by defusedxml (no DTD, no entities), bounded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Union
from xml.etree import ElementTree

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

TYPE = ("Content-Type", "application/xml")

Node = tuple[str, Union[str, int, bool, "Sequence[Node]", None]]
"""An element: its name, and its text, a number, or its children. None: the element is left out."""


def document(name: str, children: Sequence[Node], namespace: str = NAMESPACE) -> bytes:
    """A whole document, with its declaration."""
    root = ElementTree.Element(name, {"xmlns": namespace} if namespace else {})
    _add(root, children)
    return _written(root)


def text_document(name: str, text: str) -> bytes:
    """A document whose root holds text alone."""
    root = ElementTree.Element(name, {"xmlns": NAMESPACE})
    root.text = text
    return _written(root)


def _written(root: ElementTree.Element) -> bytes:
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=False)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text


def _add(parent: ElementTree.Element, children: Sequence[Node]) -> None:
    for name, content in children:
        if content is None:
            continue
        child = ElementTree.SubElement(parent, name)
        if isinstance(content, bool):
            child.text = "true" if content else "false"
        elif isinstance(content, str | int):
            child.text = str(content)
        else:
            _add(child, content)


def timestamp(seconds: float) -> str:
    """A time as S3 writes it: UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(seconds * 1000) % 1000:03d}Z"


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
