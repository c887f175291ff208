"""The repository in a running node: the command line, the ancestor's forms by curl, aria2 by Metalink, and a restart."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.real.browser import chromium, missing
from tests.real.case import RealTestCase
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, environment
from tests.sources.test_exchange import a_source, ancestors


class RepositoryTests(RealTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.web = f"http://127.0.0.1:{self.node.ports['https_plain']}"

    def curl(self, *words: str) -> str:
        command = ["curl", "--silent", "--show-error", "--noproxy", "*", *words]
        return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=30, check=True).stdout

    def configure(self, configuration: Any) -> Any:
        file = self.folder / "sources.json"
        file.write_text(json.dumps(configuration))
        return self.node.json("source", "import", str(file), "--mode", "replace")

    def mirrors(self) -> None:
        """The node's own files as two sources: one that has nothing, and leads to one that has."""
        host = self.web.removeprefix("http://")
        link = {
            "target": "mirror",
            "type": "regex_replace",
            "options": {"pattern": "^http://nowhere.invalid", "repl": self.web},
        }
        first = a_source("origin", "nowhere.invalid", transforms=[{**link, "for_destinations": []}])
        self.configure({"data_sources": [first, a_source("mirror", host)], "destinations": []})

    def test_an_export_of_the_ancestor_goes_in_and_comes_out_equal(self) -> None:
        outcome = self.configure(ancestors())
        self.assertEqual(outcome["dry_run"], False)
        self.assertEqual(self.node.json("source", "export"), ancestors())
        refused = self.node.try_ecpds("source", "import", str(self.folder / "sources.json"))
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("labels that are in use", refused.stderr)
        self.assertEqual(self.node.json_lines("source", "list")[0]["label"], "A")
        why = self.node.json("source", "explain", "ftp://example.com/sra/file.txt", "--destination", "D")
        self.assertEqual([each["source"] for each in why["candidates"]], ["C", "B", "A"])

    def test_a_client_of_the_ancestor_asks_and_reports(self) -> None:
        self.mirrors()
        url = "http://nowhere.invalid/data/f"
        said = json.loads(self.curl(f"{self.web}/repository/transfers", "-d", f"url={url}", "-d", "available_mechanisms=curl"))
        self.assertEqual([each["url"] for each in said["transfers"]], [f"{self.web}/data/f", url])
        report = {"url": url, "is_success": "False", "file_size_bytes": "0", "transfer_duration_seconds": "0.5"}
        sent = [word for name, text in report.items() for word in ("-d", f"{name}={text}")]
        self.assertEqual(
            json.loads(self.curl(f"{self.web}/repository/transfer_reports", *sent)), {"success": True, "error": None}
        )
        why = self.node.json("source", "explain", url)
        self.assertIn("0.1 reports", why["candidates"][1]["reason"])

    def test_aria2_follows_a_metalink_answer(self) -> None:
        if shutil.which("aria2c") is None:
            raise SkipTest("no aria2c")
        self.mirrors()
        source, _ = self.random_file(300_000)
        self.curl("-T", str(source), "--user", f"{LOGIN}:{PASSWORD}", f"{self.web}/data/{DESTINATION}/from-aria2")
        url = f"http://nowhere.invalid/data/{DESTINATION}/from-aria2"
        answer = self.folder / "answer.meta4"
        answer.write_text(self.curl(f"{self.web}/api/v1/sources/resolve?url={url}", "-H", "Accept: application/metalink4+xml"))
        credentials = [f"--http-user={LOGIN}", f"--http-passwd={PASSWORD}"]
        command = ["aria2c", "--no-conf", "-q", "-d", str(self.folder), *credentials, "-M", str(answer)]
        subprocess.run(command, env=environment(), capture_output=True, timeout=60, check=True)
        self.assertEqual((self.folder / "from-aria2").read_bytes(), source.read_bytes())

    def test_only_users_who_may_edit_do(self) -> None:
        self.configure(ancestors())
        add = [
            f"{self.web}/api/v1/sources",
            "-H",
            "Content-Type: application/json",
            "-d",
            '{"label": "N", "mechanism": "http"}',
        ]
        codes = ["-o", "/dev/null", "-w", "%{http_code}"]
        credentials = ["--user", f"{LOGIN}:{PASSWORD}"]
        self.assertEqual(self.curl(*add, *codes), "401")
        self.assertEqual(self.curl(*add, *codes, *credentials), "403")
        self.node.ecpds("user", "set", LOGIN, "--option", "repository.edit=true")
        self.assertEqual(self.curl(*add, *codes, *credentials), "201")
        self.assertEqual(self.node.json_lines("source", "audit", "--limit", "1")[0]["who"], LOGIN)

    def test_reports_and_sources_are_there_after_a_restart(self) -> None:
        self.mirrors()
        url = "http://nowhere.invalid/data/f"
        for _ in range(3):
            answer = json.loads(self.curl(f"{self.web}/api/v1/sources/resolve?url={url}"))
            first = next(each for each in answer["candidates"] if each["source"] == "mirror")
            time.sleep(0.01)
            report = {"url": first["url"], "success": False, "source_id": first["source_id"], "token": answer["token"]}
            self.curl(f"{self.web}/api/v1/sources/reports", "-H", "Content-Type: application/json", "-d", json.dumps(report))
        before = self.node.json("source", "explain", url)
        self.assertEqual([each["source"] for each in before["candidates"]], ["origin", "mirror"])
        self.node.stop()
        self.node.start()
        after = self.node.json("source", "explain", url)
        self.assertEqual([each["source"] for each in after["candidates"]], ["origin", "mirror"])


class PageTests(RealTestCase):
    """The pages in a browser: by a stranger, then by one who may edit."""

    def setUp(self) -> None:
        super().setUp()
        if (reason := missing()) is not None:
            raise SkipTest(reason)

    def test_a_stranger_looks_and_an_editor_moves_and_adds(self) -> None:
        file = self.folder / "sources.json"
        file.write_text(json.dumps(ancestors()))
        self.node.ecpds("source", "import", str(file))
        self.node.ecpds("user", "set", LOGIN, "--option", "repository.edit=true")
        with chromium(self.folder) as browser:
            browser.open(self.node, "/repository/data_sources")
            self.assertEqual(len(browser.driver.find_elements("css selector", "tbody tr")), 3)
            self.assertEqual(browser.driver.find_elements("css selector", "a[href$='/new']"), [])
            browser.open(self.node, "/repository/data_sources/new")
            browser.log_in()
            browser.one("input[name=label]").send_keys("<made> here")
            browser.one("main button").click()
            browser.wait(lambda: browser.one("h1").text == "<made> here", "the new source")
            source = next(each["id"] for each in self.node.json_lines("source", "list") if each["label"] == "A")
            browser.open(self.node, f"/repository/data_sources/{source}")
            first = browser.one("tbody tr form button")
            self.assertEqual(first.text, "Down")
            first.click()
            targets = [each["target"] for each in self.node.json("source", "show", "A")["transforms"]]
            self.assertEqual(targets, ["B", "C", "C"])
            for path in ("data_sources/relations", f"data_sources/{source}/transfer_reports", "transfers", "changes"):
                browser.open(self.node, f"/repository/{path}")
                browser.one("h1")
            self.assertEqual(browser.complaints(), [])
