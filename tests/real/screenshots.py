"""`python -m tests.real.screenshots FOLDER`: the pages as they look, wide and on a phone, light and dark. For eyes only."""

from __future__ import annotations

import sys
import tempfile
from itertools import product
from pathlib import Path

from tests.real.browser import Browser, chromium
from tests.real.clients import Curl
from tests.real.harness import DESTINATION, LOGIN, Node

SIZES = {"desktop": (1280, 900), "phone": (390, 800)}
NAMES = ("forecast 2026-11-21.grib2", "Übersicht.csv", "analysis/t850.nc", "analysis/z500.nc", "README.md", "a" * 60 + ".bin")


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ecpds-page-") as name:
        node = Node(
            Path(name),
            {"node": {"roles": ["master", "mover", "ftp", "ssh", "https", "s3"]}, "ssh": {"port": 0}, "s3": {"port": 0}},
        )
        node.start()
        try:
            node.populate()
            fill(node, Path(name) / "source")
            for (kind, (width, height)), dark in product(SIZES.items(), (False, True)):
                take(node, Path(name), target / f"{kind}-{'dark' if dark else 'light'}", width, height, dark)
        finally:
            node.stop()


def fill(node: Node, source: Path) -> None:
    """Some files of different sizes, and what an operator says on pages."""
    for number, name in enumerate(NAMES):
        source.write_bytes(b"x" * 1234 ** min(number, 2))
        Curl(node, "https").put(source, name)
    node.ecpds(
        "user",
        "set",
        LOGIN,
        "--option",
        "portal.title=Polar Data Centre",
        "--option",
        "portal.msgTop=New runs at 00 and 12 UTC.",
    )


def take(node: Node, folder: Path, target: Path, width: int, height: int, dark: bool) -> None:
    """The form, the page behind it, a file's card, and the dialogue about links."""
    with tempfile.TemporaryDirectory(dir=folder) as profile, chromium(Path(profile), width, height, dark) as browser:
        browser.open(node, f"/data/{DESTINATION}/")
        browser.one("input[name=login]")
        browser.driver.save_screenshot(f"{target}-login.png")
        browser.log_in()
        browser.one("#tools")
        browser.driver.save_screenshot(f"{target}.png")
        share(browser, target)
        browser.open(node, f"/data/{DESTINATION}/README.md?card")
        browser.one(".facts")
        browser.driver.save_screenshot(f"{target}-card.png")


def share(browser: Browser, target: Path) -> None:
    """Make a link."""
    browser.one("#share").click()
    browser.one("#sharing button.main").click()
    browser.wait(lambda: browser.one("#link").get_attribute("value"), "the link")
    browser.driver.save_screenshot(f"{target}-share.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
