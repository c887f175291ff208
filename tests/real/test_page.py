"""The page in real Chromium: log in, browse, sort, find, upload, make, rename, delete, and be refused in plain words."""

from __future__ import annotations

import ftplib
import json
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import pytest

from tests.real.case import RealTestCase, sha256
from tests.real.harness import DESTINATION, LOGIN, PASSWORD
from tests.real.relay import relay

browser = pytest.importorskip("tests.real.browser")

HOME = f"/data/{DESTINATION}/"

TAKEN_MEANWHILE = """
const real = send;
window.send = async (method, path, ...more) => {
  if (method === "PATCH") {
    window.send = real;
    await real("PUT", path.split("?")[0], "another's", headers());
  }
  return real(method, path, ...more);
};
"""
"""Somebody puts a file of the same name, just before the page sends the first bytes."""


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

    def test_a_name_that_is_taken_while_an_upload_runs_is_asked_about(self) -> None:
        """Of a long file, which the last piece publishes; the upload that is made then may replace."""
        self.browser.log_in()
        self.browser.one("#tools")
        path = Path(self.folder) / "contested.dat"
        path.write_bytes(bytes(range(256)) * 4 * 6144)
        self.browser.driver.execute_script(TAKEN_MEANWHILE)
        self.browser.drop([path])
        self.browser.one("#uploads .failed button").click()
        digest = sha256(path)
        self.browser.wait(
            lambda: self.node.json("file", "show", f"/{DESTINATION}/contested.dat")["digests"]["sha256"] == digest, "our bytes"
        )

    def test_what_is_refused_is_not_tried_again(self) -> None:
        self.browser.log_in()
        self.browser.one("#make").click()
        self.answer("a folder")
        self.arrived("a folder")
        self.browser.drop(self.files("a folder"))
        self.assertIn("directory", self.browser.one("#uploads .failed").text)

    def test_a_session_that_has_ended_is_told(self) -> None:
        self.browser.log_in()
        self.browser.one("#tools")
        self.browser.driver.delete_all_cookies()
        self.browser.one("#make").click()
        self.answer("never")
        self.browser.wait(lambda: "session has ended" in self.browser.one("#said").text, "a word about the session")

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
        self.browser.wait(lambda: self.browser.one("#ask").get_attribute("open") is not None, "the question")
        if text is not None:
            field = self.browser.one("#ask-text")
            field.clear()
            field.send_keys(text)
        self.browser.one("#ask-yes").click()

    def test_a_broken_connection_is_gone_on_with(self) -> None:
        path = Path(self.folder) / "broken off.dat"
        path.write_bytes(bytes(range(256)) * 4 * 12288)
        with relay(self.node.ports["https"], 5 << 20) as line:
            self.browser.driver.get(f"https://127.0.0.1:{line.port}{HOME}")
            self.browser.log_in()
            self.browser.drop([path])
            self.browser.wait(
                lambda: "connection broke" in self.browser.one("#said, #uploads li span").text or line.broken, "a break"
            )
            self.arrived("broken off.dat")
        shown = self.node.json("file", "show", f"/{DESTINATION}/broken off.dat")
        self.assertEqual((line.broken, shown["digests"]["sha256"]), (1, sha256(path)))
        records = [each for each in self.node.json_lines("events", "--type", "INH") if "broken off" in each["FileName"]]
        pieces = [int(each["BytesSent"]) for each in records]
        self.assertEqual((sum(pieces), len(pieces)), (path.stat().st_size, 2), "each byte was stored once")

    def test_a_link_is_shared_and_opened_by_a_stranger(self) -> None:
        self.browser.log_in()
        self.browser.drop(self.files("for you.txt"))
        self.arrived("for you.txt")
        self.browser.one("button[aria-label='Share for you.txt']").click()
        self.browser.one("#sharing input[name=uses]").send_keys("1")
        self.browser.one("#sharing button.main").click()
        self.browser.wait(lambda: self.browser.one("#link").get_attribute("value"), "the link")
        url = self.browser.one("#link").get_attribute("value")
        self.browser.driver.delete_all_cookies()
        self.browser.driver.get(url)
        self.assertEqual(self.browser.names(), ["for you.txt"])
        self.assertIn("Shared by", self.browser.one(".who").text)
        self.assertFalse(self.browser.one("#make").is_displayed())
        fetch = "return fetch('for%20you.txt').then(async (got) => [got.status, (await got.text()).slice(0, 7)])"
        self.assertEqual(self.browser.driver.execute_script(fetch), [200, "for you"])
        self.assertEqual(self.browser.driver.execute_script(fetch)[0], 403)
        self.node.ecpds("share", "rm", str(self.node.json_lines("share", "list")[-1]["id"]))
        self.browser.driver.get(url)
        self.assertIn("There is no such link, or it was taken back.", self.browser.one("[role=alert]").text)

    def test_a_folder_that_takes_files_from_strangers(self) -> None:
        words = ("share", "add", LOGIN, f"/{DESTINATION}", "--permission", "put,mkdir", "--password-stdin", "--json")
        made = json.loads(self.node.ecpds(*words, stdin="in\n"))
        self.browser.open(self.node, made["url"])
        self.browser.one("input[name=password]").send_keys("out")
        self.browser.one("main button").click()
        self.assertIn("The password is wrong.", self.browser.one("[role=alert]").text)
        self.browser.one("input[name=password]").send_keys("in")
        self.browser.one("main button").click()
        self.browser.one("#tools")
        self.assertEqual(self.browser.names(), [])
        path = self.files("brought.txt")[0]
        self.browser.drop([path])
        self.browser.wait(
            lambda: (
                "1 uploaded" in self.browser.one("#said").text
                or not self.browser.driver.find_elements("css selector", "#uploads li")
            ),
            "the upload",
        )
        self.browser.wait(lambda: self.there("brought.txt") == sha256(path), "the file")

    def there(self, name: str) -> str | None:
        found = {each["path"]: each["digests"] for each in self.node.json_lines("file", "ls", f"/{DESTINATION}/")}
        digests = found.get(f"/{DESTINATION}/{name}") or {}
        return digests.get("sha256")

    def test_a_big_folder_goes_by_pages_and_is_searched_whole(self) -> None:
        for number in range(300):
            self.node_put(f"many/f{number:04}.dat")
        self.browser.log_in()
        self.arrived("many")
        self.browser.open(self.node, f"{HOME}many/")
        self.browser.wait(lambda: len(self.browser.names()) == 250, "the first page")
        self.browser.one("a[rel=next]").click()
        self.browser.wait(lambda: self.browser.names() and self.browser.names()[-1] == "f0299.dat", "the second page")
        field = self.browser.one("#find")
        field.send_keys("0123")
        field.submit()
        self.browser.wait(lambda: self.browser.names() == ["f0123.dat"], "what was searched for")

    def node_put(self, name: str) -> None:
        if not hasattr(self, "ftp"):
            self.ftp = ftplib.FTP(timeout=30)
            self.ftp.connect("127.0.0.1", self.node.ports["ftp"])
            self.ftp.login(LOGIN, PASSWORD)
            self.addCleanup(self.ftp.close)
        self.ftp.storbinary(f"STOR /{DESTINATION}/{name}", BytesIO(b"x"))

    def test_a_card(self) -> None:
        self.browser.log_in()
        (path,) = self.files("carded.txt")
        self.browser.drop([path])
        self.arrived("carded.txt")
        self.browser.one("a[aria-label='About carded.txt']").click()
        self.assertIn(sha256(path), self.browser.one(".facts").text)
        self.assertIn("curl --user ann", self.browser.one("pre").text)
        self.assertEqual(self.browser.complaints(), [])

    def test_what_waits_is_released(self) -> None:
        self.node.ecpds("destination", "set", DESTINATION, "--option", "incoming.tmpDetect=true")
        self.node.ecpds("user", "set", LOGIN, "--option", "portal.releases=true")
        self.browser.log_in()
        self.browser.one("#files")
        with ftplib.FTP() as client:
            client.connect("127.0.0.1", self.node.ports["ftp"])
            client.login(LOGIN, PASSWORD)
            for name in ("one.tmp", "two.tmp", "below/three.tmp"):
                client.storbinary(f"STOR /{DESTINATION}/waiting/{name}", BytesIO(b"x"))
        self.browser.open(self.node, f"{HOME}waiting/")
        self.arrived("one.tmp", "two.tmp")
        self.browser.one("[aria-label='Release one.tmp']").click()
        self.browser.wait(lambda: not self.waits("one.tmp"), "the release of one file")
        self.assertTrue(self.waits("two.tmp"))
        self.browser.one("#release").click()
        self.browser.one("#ask-yes").click()
        self.browser.wait(lambda: not self.waits("below/three.tmp"), "the release of all")
        self.assertFalse(self.waits("two.tmp"))
        self.assertEqual(self.browser.complaints(), [])

    def waits(self, name: str) -> bool:
        return "state" in self.node.json("file", "show", f"/{DESTINATION}/waiting/{name}")

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
