"""The pages of docs/ that are made from the code: `bin/docs` writes them, and a test fails where one is out of date.

`docs/rooms.md` is the picture of the rooms, from the imports; `docs/configuration.md` is every option, from the classes of
`ecpds.config` (what is allowed, the default, the section's meaning) and from the sentences of `conf/ecpds.toml`.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator
from inspect import getdoc
from pathlib import Path
from typing import Any, get_type_hints

from attrs import Attribute, Factory, fields

from ecpds import checks, config

ROOT = Path(__file__).parents[2]

MADE = "<!-- Made from the code by bin/docs; edits here are lost. -->\n"

ORDER = ("protocols", "admin", "sources", "cluster", "portal", "master", "mover", "ssh", "http", "transports", "wire")
"""The rooms as they stand above one another."""

ROOTS = {"node"}
"""What composes, and so touches everything."""

HEADING = re.compile(r"(?:# )?\[(\w+)\]")
OPTION = re.compile(r"(?:# )?(\w+) = .+")


def rooms() -> str:
    """The rooms and the arrows that the imports draw between them; the ground floor, which all stand on, is left out."""
    package = ROOT / "ecpds"
    rooms = [room for room in ORDER if (package / room).is_dir()]
    strange = {each.parent.name for each in package.glob("*/__init__.py")} - {*ORDER, "node"}
    if strange:
        raise ValueError(f"rooms without a place in the picture: {', '.join(sorted(strange))}")
    lines = [f"    {room}[{room}<br/><small>{_purpose(package / room)}</small>]" for room in rooms]
    for room in rooms:
        lines += [f"    {room} --> {other}" for other in rooms if other in _used_by(package / room) - {room}]
    return "\n".join(
        [
            MADE,
            "# The rooms, as the imports have it",
            "",
            "Each box is a folder of `ecpds/`, each arrow an import. Two things are left out, for they touch everything:",
            "`tap` and `node`, which see all rooms and put the parts together, and the ground floor (`ecpds/*.py`: interfaces,",
            "model, errors, configuration), which all stand on. Rooms without an arrow between them know each other only by",
            "[`interfaces.py`](../ecpds/interfaces.py). [`tests/test_layers.py`](../tests/test_layers.py) fails on any other.",
            "",
            "```mermaid",
            "flowchart TD",
            *lines,
            "```",
            "",
        ]
    )


def _purpose(room: Path) -> str:
    """The first words of a room's docstring, up to a colon or the end of its sentence; its name where it has none."""
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    return re.split(r"[:;(\n]|\.(?=\s|$)", text)[0].strip().replace('"', "") or room.name


def _used_by(room: Path) -> set[str]:
    """The rooms whose modules a room imports."""
    used: set[str] = set()
    for file in room.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            used |= {name.split(".")[1] for name in names if name.startswith("ecpds.")}
    return used


def configuration() -> str:
    """A table for each section."""
    said = dict(sentences())
    blocks = [MADE, "# The configuration", "", *INTRODUCTION, ""]
    for section, kind in config.SECTIONS.items():
        blocks += [f"## [{section}]", "", _one_line(getdoc(kind) or ""), "", "| option | default | what is allowed | meaning |"]
        blocks += ["|---|---|---|---|"]
        hints = get_type_hints(kind)
        for attribute in fields(kind):
            cells = (
                f"`{attribute.name}`",
                _default(attribute),
                _allowed(attribute, hints),
                said.get((section, attribute.name), ""),
            )
            blocks.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        blocks.append("")
    return "\n".join(blocks)


INTRODUCTION = (
    "A node reads one TOML file: `twistd ecpds --config FILE`. [`conf/ecpds.toml`](../conf/ecpds.toml) shows every option with",
    "its default. An unknown section or option, a wrong type or a value that is not allowed stops the start with one line that",
    "names the file, the section, the option, what was found and what is allowed. `home` is relative to the file's folder,",
    "every other relative path to the home. Times are seconds, sizes bytes. Port 0 is any free port; `HOME/ports.json` tells",
    "which. A change takes effect at the next start.",
)


def sentences() -> Iterator[tuple[tuple[str, str], str]]:
    """What the shipped configuration says above each option, by section and option."""
    section, above = "", ""
    for line in (ROOT / "conf" / "ecpds.toml").read_text("utf-8").splitlines():
        if found := HEADING.fullmatch(line):
            section, above = found[1], ""
        elif option := OPTION.fullmatch(line):
            yield (section, option[1]), above
        elif not line:
            above = ""
        else:
            text = line.removeprefix("# ")
            goes_on = above and not above.endswith(".")
            above = f"{above} {text}" if goes_on else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _default(attribute: Attribute[Any]) -> str:
    default = attribute.default
    if isinstance(default, type(Factory(list))):
        return "see there"
    if default is None:
        return "not set"
    return f"`{json.dumps(default)}`"


def _allowed(attribute: Attribute[Any], hints: dict[str, Any]) -> str:
    check = attribute.validator
    return check.allowed if isinstance(check, checks.Check) else config.KINDS[config._kind(hints[attribute.name])]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {"rooms.md": rooms, "configuration.md": configuration}


def main() -> int:
    for name, make in PAGES.items():
        (ROOT / "docs" / name).write_text(make(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
