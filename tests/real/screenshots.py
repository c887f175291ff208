"""`python -m tests.real.screenshots FOLDER`: the page as it looks, wide and on a phone, light and dark. For eyes only."""

from __future__ import annotations

import sys
import tempfile
from itertools import product
from pathlib import Path

from tests.real.browser import chromium
from tests.real.clients import Curl
from tests.real.harness import DESTINATION, Node

SIZES = {"desktop": (1280, 900), "phone": (390, 800)}
NAMES = ("forecast 2026-11-21.grib2", "Übersicht.csv", "analysis/t850.nc", "analysis/z500.nc", "README.md", "a" * 60 + ".bin")


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ecpds-page-") as name:
        node = Node(Path(name))
        node.start()
        try:
            node.populate()
            fill(node, Path(name) / "source")
            for (kind, (width, height)), dark in product(SIZES.items(), (False, True)):
                take(node, Path(name), target / f"{kind}-{'dark' if dark else 'light'}", width, height, dark)
        finally:
            node.stop()


def fill(node: Node, source: Path) -> None:
    """Some files of different sizes."""
    for number, name in enumerate(NAMES):
        source.write_bytes(b"x" * 1234 ** min(number, 2))
        Curl(node, "https").put(source, name)


def take(node: Node, folder: Path, target: Path, width: int, height: int, dark: bool) -> None:
    """The form, and the page behind it."""
    with tempfile.TemporaryDirectory(dir=folder) as profile, chromium(Path(profile), width, height, dark) as browser:
        browser.open(node, f"/data/{DESTINATION}/")
        browser.one("input[name=login]")
        browser.driver.save_screenshot(f"{target}-login.png")
        browser.log_in()
        browser.one("#tools")
        browser.driver.save_screenshot(f"{target}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
