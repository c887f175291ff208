"""The page in real Chromium: log in, browse, sort, find, upload, make, rename, delete, and be refused in plain words."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.real.case import RealTestCase, sha256
from tests.real.harness import DESTINATION

browser = pytest.importorskip("tests.real.browser")

HOME = f"/data/{DESTINATION}/"


@pytest.mark.long
class Page(RealTestCase):
    def setUp(self) -> None:
        super().setUp()
        if reason := browser.missing():
            self.skipTest(reason)
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.browser = stack.enter_context(browser.chromium(Path(self.folder)))
        self.browser.open(self.node, HOME)

    def files(self, *names: str, size: int = 2000) -> list[Path]:
        found = []
        for name in names:
            path = Path(self.folder) / name
            path.write_bytes(name.encode() * size)
            found.append(path)
        return found

    def arrived(self, *names: str) -> None:
        """Wait until the page shows these names."""
        self.browser.wait(lambda: set(names) <= set(self.browser.names()), f"{names} on the page")

    def test_a_wrong_password_is_told(self) -> None:
        self.browser.log_in("wrong")
        self.assertIn("The user name or the password is wrong.", self.browser.one("[role=alert]").text)

    def test_files_dropped_on_the_page_are_stored(self) -> None:
        self.browser.log_in()
        dropped = self.files("one ä.txt", "two+%41.bin", "three.csv")
        self.browser.drop(dropped)
        self.arrived(*(path.name for path in dropped))
        for path in dropped:
            shown = self.node.json("file", "show", f"/{DESTINATION}/{path.name}")
            self.assertEqual(shown["digests"]["sha256"], sha256(path))
        self.assertEqual(self.browser.complaints(), [])

    def test_a_folder_of_fifty(self) -> None:
        self.browser.log_in()
        folder = Path(self.folder) / "batch"
        folder.mkdir()
        for number in range(50):
            (folder / f"{number:02}.dat").write_bytes(bytes([number]) * 500)
        self.browser.one("#chosen-folder")
        self.browser.driver.execute_script("document.getElementById('chosen-folder').hidden = false")
        self.browser.one("#chosen-folder").send_keys(str(folder))
        self.arrived("batch")
        self.assertEqual(len(self.node.json_lines("file", "ls", f"/{DESTINATION}/batch/")), 50)

    def test_a_name_that_is_taken_is_asked_about(self) -> None:
        self.browser.log_in()
        (path,) = self.files("taken")
        self.browser.drop([path])
        self.arrived("taken")
        path.write_bytes(b"other bytes")
        self.browser.drop([path])
        again = self.browser.one("#uploads .failed button")
        self.assertIn("There is already a file of that name.", self.browser.one("#uploads .failed").text)
        again.click()
        digest = sha256(path)
        self.browser.wait(
            lambda: self.node.json("file", "show", f"/{DESTINATION}/taken")["digests"]["sha256"] == digest, "the other bytes"
        )

    def test_new_folder_rename_delete_find_and_sort(self) -> None:
        self.browser.log_in()
        self.browser.drop(self.files("small", size=1) + self.files("large", size=900))
        self.arrived("small", "large")
        self.browser.one("#make").click()
        self.answer("made here")
        self.arrived("made here")
        self.browser.one("th[data-sort=size] button").click()
        names = self.browser.names()
        self.assertLess(names.index("small"), names.index("large"))
        self.browser.one("#find").send_keys("LARG")
        self.assertEqual(self.browser.names(), ["large"])
        self.browser.one("button[aria-label='Rename large']").click()
        self.answer("huge")
        self.arrived("huge")
        self.browser.one("button[aria-label='Delete huge']").click()
        self.answer()
        self.browser.wait(lambda: "huge" not in self.browser.names(), "huge to go")
        self.assertEqual(self.browser.complaints(), [])

    def answer(self, text: str | None = None) -> None:
        """Answer a question of the page, by a text or by yes."""
        question = self.browser.driver.switch_to.alert
        if text is not None:
            question.send_keys(text)
        question.accept()

    def test_without_rights_nothing_is_offered(self) -> None:
        self.node.ecpds("user", "set", "ann", "--permission", "get,dir")
        self.addCleanup(
            self.node.ecpds, "user", "set", "ann", "--permission", "get,put,delete,dir,mkdir,rmdir,rename,size,mtime"
        )
        self.browser.log_in()
        self.assertFalse(self.browser.one("#make").is_displayed())
        self.assertFalse(self.browser.one("#files").is_displayed())

    def test_logged_out_is_logged_out(self) -> None:
        self.browser.log_in()
        self.browser.one("form[action='/logout'] button").click()
        self.browser.one("input[name=login]")
        self.browser.open(self.node, HOME)
        self.browser.one("input[name=login]")
