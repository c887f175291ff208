"""The shipped configuration: it loads, it names every option there is, and the defaults that it tells are the code's."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from attrs import Attribute, Factory, fields
from twisted.trial.unittest import SynchronousTestCase

from ecpds import config

SHIPPED = Path(__file__).parents[2] / "conf" / "ecpds.toml"
SECTION = re.compile(r"(?:# )?\[(\w+)\]")
OPTION = re.compile(r"(# )?(\w+) = (.+?)(?:\s+# default: (.+))?")


def shown() -> Iterator[tuple[str, str, bool, Any, str | None]]:
    """Each option as (section, key, whether it is set, its value, the default told in words), in the file's order."""
    section = ""
    for line in SHIPPED.read_text("utf-8").splitlines():
        if found := SECTION.fullmatch(line):
            section = found[1]
        elif option := OPTION.fullmatch(line):
            yield section, option[2], not option[1], tomllib.loads(f"value = {option[3]}")["value"], option[4]


def default_of(attribute: Attribute[Any]) -> Any:
    """A class's default as TOML shows it; None where it is not set or made when asked for."""
    default = attribute.default
    if isinstance(default, type(Factory(list))):
        return None
    return list(default) if isinstance(default, tuple) else default


class ShippedConfiguration(SynchronousTestCase):
    def test_it_loads(self) -> None:
        loaded = config.load(SHIPPED)
        self.assertEqual(loaded.home, (SHIPPED.parent / "../var").resolve())
        self.assertEqual(loaded.node.roles, ("master", "mover", "ftp", "ssh", "https", "s3", "manhole"))
        self.assertEqual(loaded.node.interface, ("127.0.0.1",))
        self.assertIsNone(loaded.cluster)

    def test_it_names_every_option_once_and_in_order(self) -> None:
        options = [(name, attribute.name) for name, kind in config.SECTIONS.items() for attribute in fields(kind)]
        self.assertEqual([(section, key) for section, key, *_ in shown()], options)

    def test_its_defaults_are_the_code_s(self) -> None:
        for section, key, is_set, value, words in shown():
            attribute = getattr(fields(config.SECTIONS[section]), key)
            default = default_of(attribute)
            if default is None:
                self.assertIsNotNone(words, f"[{section}] {key} has no plain default; say so")
            elif not is_set:
                self.assertEqual((section, key, value), (section, key, default))

    def test_every_option_stands_below_a_sentence(self) -> None:
        lines = SHIPPED.read_text("utf-8").splitlines()
        for above, line in pairwise(lines):
            if OPTION.fullmatch(line) and "certificate" not in above:
                self.assertRegex(above, r"^# [A-Z].*\.$", line)

    def test_every_line_may_be_uncommented(self) -> None:
        lines = SHIPPED.read_text("utf-8").splitlines()
        live = [line.removeprefix("# ") if SECTION.fullmatch(line) or OPTION.fullmatch(line) else line for line in lines]
        everything = Path(self.mktemp())
        everything.write_text("\n".join(live), "utf-8")
        self.assertIsNotNone(config.load(everything).cluster)
