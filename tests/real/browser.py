"""Chromium, driven by its own protocol, against a real node. The node's certificate is its own, so it is not checked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.real.harness import LOGIN, PASSWORD, Node

PATIENCE = 20.0

DROP = """
const transfer = new DataTransfer();
for (const file of arguments[0].files) transfer.items.add(file);
document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
"""
"""Drops the files of an input on the page."""


def missing() -> str | None:
    """Why no browser can be driven here, if none can."""
    return next((f"no {name}" for name in ("chromium", "chromedriver") if shutil.which(name) is None), None)


@contextmanager
def chromium(folder: Path, width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Browser]:
    """A window of that size; what it downloads and remembers is in `folder`, for this time only."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    options.accept_insecure_certs = True
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(word)
    driver = webdriver.Chrome(options, Service(str(shutil.which("chromedriver")), env={**os.environ, "no_proxy": "*"}))
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """One window, by what a person sees and does."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, node: Node, path: str) -> None:
        self.driver.get(f"https://127.0.0.1:{node.ports['https']}{path}")

    def one(self, selector: str) -> Any:
        """The first element that a CSS selector finds, when there is one."""
        self.wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector), selector)
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def wait(self, probe: Callable[[], object], what: str) -> None:
        WebDriverWait(self.driver, PATIENCE).until(lambda _: probe(), what)

    def log_in(self, password: str = PASSWORD) -> None:
        self.one("input[name=login]").send_keys(LOGIN)
        self.one("input[name=password]").send_keys(password)
        self.one("main button").click()

    def names(self) -> list[str]:
        """The names that are shown, in their order."""
        script = "return [...document.querySelectorAll('tbody tr:not([hidden])')].map((row) => row.dataset.name)"
        found: list[str] = self.driver.execute_script(script)
        return found

    def drop(self, files: list[Path]) -> None:
        """Drop files on the page."""
        chosen = self.one("#chosen-files")
        # Taken away from the page's own listener, which would upload them as chosen rather than as dropped.
        spare = self.driver.execute_script(
            "const copy = arguments[0].cloneNode(); document.body.append(copy); return copy", chosen
        )
        self.driver.execute_script("arguments[0].hidden = false", spare)
        spare.send_keys("\n".join(map(str, files)))
        self.driver.execute_script(DROP, spare)

    def complaints(self) -> list[str]:
        """What the browser found wrong with the page: broken policies, scripts that fail."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
