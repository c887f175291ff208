"""`ecpds fetch --to`: what the node is asked, and what its answers become."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from twisted.trial.unittest import SynchronousTestCase

from ecpds.sources.fetch.command import portal_option
from ecpds.sources.fetch.into import Refused, into_portal
from ecpds.sources.fetch.outcomes import Outcome, Task
from ecpds.sources.fetch.wanted import Right

DONE: Mapping[str, Any] = {
    "status": "done",
    "reason": "",
    "sha256": "ab" * 32,
    "size": 3,
    "seconds": 0.5,
    "attempts": [{"url": "http://b/f", "mechanism": "http", "ok": True, "reason": ""}],
}


class IntoPortal(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.answers: dict[str, Mapping[str, Any] | Exception] = {}

    def ask(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(arguments)
        answer = self.answers.get(arguments["url"], DONE)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def fetch(self, *tasks: Task) -> dict[str, Outcome]:
        outcomes: list[Outcome] = []
        into_portal(tasks, "ann", self.ask, 3, outcomes.append)
        return {each.url: each for each in outcomes}

    def test_what_is_asked(self) -> None:
        task = Task("http://a/f", Path("/archive/in/f"), site="bologna", mirrors=("http://a/f", "http://b/f"))
        task.wanted.size = 3
        task.wanted.say(Right.MANIFEST, {"sha256": "ab" * 32}, "the manifest")
        outcome = self.fetch(task)["http://a/f"]
        self.assertEqual((outcome.done, outcome.size, outcome.sha256), (True, 3, "ab" * 32))
        self.assertEqual([(each.url, each.ok) for each in outcome.attempts], [("http://b/f", True)])
        self.assertEqual(
            self.asked,
            [
                {
                    "url": "http://a/f",
                    "path": "/archive/in/f",
                    "user": "ann",
                    "mirrors": ["http://b/f"],
                    "size": 3,
                    "digests": {"sha256": "ab" * 32},
                    "destination": "bologna",
                }
            ],
        )

    def test_each_file_has_its_own_answer(self) -> None:
        tasks = [Task(f"http://a/{number}", Path(f"/archive/{number}")) for number in range(20)]
        self.answers["http://a/3"] = Refused("No node is running.")
        self.answers["http://a/4"] = {**DONE, "status": "failed", "reason": "no such file"}
        self.answers["http://a/5"] = {"status": "done"}
        found = self.fetch(*tasks)
        failed = {url: each.reason for url, each in found.items() if not each.done}
        self.assertEqual(
            failed,
            {
                "http://a/3": "No node is running.",
                "http://a/4": "no such file",
                "http://a/5": "The node's answer makes no sense.",
            },
        )
        self.assertEqual(len(found), 20)

    def test_the_option(self) -> None:
        self.assertIsNone(portal_option(None, None, None, False))
        self.assertEqual(portal_option("portal:/archive/in/", "ann", None, False), Path("/archive/in"))
        for given in (
            (None, "ann", None, False),
            ("portal:/archive", None, None, False),
            ("portal:/archive", "ann", "http://r", False),
            ("portal:/archive", "ann", None, True),
            ("portal:archive", "ann", None, False),
            ("portal:/", "ann", None, False),
            ("/archive", "ann", None, False),
        ):
            with self.assertRaises(click.UsageError):
                portal_option(*given)
