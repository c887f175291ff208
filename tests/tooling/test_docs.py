"""The docs: pages that are made from the code are up to date, and what pages point at is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.tooling.pages import PAGES, ROOT

LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?(?:\.(\w+))?`")


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


class Docs(SynchronousTestCase):
    def test_pages_made_from_the_code_are_up_to_date(self) -> None:
        for name, make in PAGES.items():
            self.assertEqual((ROOT / "docs" / name).read_text("utf-8"), make(), f"docs/{name} is old: run bin/docs")

    def test_links_lead_somewhere(self) -> None:
        for page in pages():
            for target in LINK.findall(page.read_text("utf-8")):
                self.assertTrue((page.parent / target).exists(), f"{page.name} points at {target}")

    def test_tests_that_are_named_are_there(self) -> None:
        for page in pages():
            for file, kind, name in TEST.findall(page.read_text("utf-8")):
                self.assertIn(name or kind or Path(file).name, names_in(ROOT / file), f"{page.name} names {file} {kind} {name}")

    def test_every_option_has_its_meaning(self) -> None:
        self.assertNotIn("|  |", PAGES["configuration.md"]())


def names_in(file: Path) -> set[str]:
    """A test file's name, its classes and the methods of these."""
    found = {file.name}
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found
