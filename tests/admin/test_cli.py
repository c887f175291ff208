"""The command line with a node that only remembers what it was asked: the forms of the contract, and its exit statuses."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from ecpds.admin import cli
from ecpds.admin.client import Failed
from ecpds.admin.verbs import VERBS

FILE = {"id": 7, "path": "/d/a", "size": 3, "mtime": "x", "digests": {"sha256": "00"}, "copies": [{"mover": "m", "volume": 0}]}


class Node:
    """Answers every question with `answers`, or `refusal`."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = [FILE]
        self.refusal: Failed | None = None
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.config: str | None = None

    def ask(self, verb: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        self.asked.append((verb, dict(arguments)))
        yield from self.answers
        if self.refusal is not None:
            raise self.refusal


class CommandCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()

    def run_command(self, line: str, input: str | bytes | None = None) -> Result:
        def connect(config: str | None) -> Node:
            self.node.config = config
            return self.node

        return CliRunner().invoke(cli.build(connect), shlex.split(line), input=input)

    def asks(self, line: str, verb: str, input: str | bytes | None = None, **arguments: Any) -> None:
        result = self.run_command(line, input)
        self.assertEqual((result.exit_code, result.stderr), (0, ""), line)
        self.assertEqual(self.node.asked.pop(), (verb, arguments))


class FormsTests(CommandCase):
    """The forms that the contract fixes."""

    def test_destinations(self) -> None:
        self.asks("-c FILE destination add demo", "destination/add", name="demo")
        self.assertEqual(self.node.config, "FILE")
        self.asks(
            "-c FILE destination add demo --copies 2 --group fast --lifetime 30d "
            "--option digests=sha256,md5 --option digest_when=after --option a=b=c",
            "destination/add",
            name="demo",
            copies=2,
            group="fast",
            lifetime=2592000.0,
            options={"digests": "sha256,md5", "digest_when": "after", "a": "b=c"},
        )
        self.asks("destination list --json", "destination/list")
        self.asks("destination show demo", "destination/show", name="demo")

    def test_users(self) -> None:
        self.asks("user add alice", "user/add", login="alice")
        self.asks(
            "-c FILE user add alice --password-stdin --mode standard --destination demo --destination other "
            "--permission get,put --permission dir --option portal.sort=name",
            "user/add",
            "päss wörd \nrest\n",
            login="alice",
            password="päss wörd ",
            mode="standard",
            destinations=["demo", "other"],
            permissions=["get", "put", "dir"],
            options={"portal.sort": "name"},
        )
        self.asks("user add alice --permission ''", "user/add", login="alice", permissions=[])
        self.asks("user add alice --password-stdin", "user/add", "\r\n", login="alice", password="")
        self.asks("user list", "user/list")
        self.asks("user show alice", "user/show", login="alice")

    def test_keys(self) -> None:
        file = Path(self.mktemp())
        file.write_text("ssh-ed25519 AAAA alice\n")
        self.asks(f"user key alice add {file}", "user/key", login="alice", action="add", key="ssh-ed25519 AAAA alice\n")
        self.assertEqual(self.run_command(f"user key alice remove {file}").exit_code, 2)
        self.assertEqual(self.run_command("user key alice add /missing").exit_code, 2)

    def test_files_and_the_rest(self) -> None:
        for name in ("show", "ls", "rm"):
            self.asks(f"file {name} '/demo/a b/ü'", f"file/{name}", path="/demo/a b/ü")
        self.asks("events --json --type INH --limit 5", "events", type="INH", limit=5)
        self.asks("events", "events")
        self.asks("status --json", "status")
        self.asks("mover list --json", "mover/list")

    def test_every_verb_is_there(self) -> None:
        for verb in VERBS:
            result = self.run_command(" ".join((*verb.words, "--help")))
            self.assertEqual(result.exit_code, 0)
            self.assertIn("--json", result.output)


class AnswersTests(CommandCase):
    def test_the_first_words_of_verbs_are_explained(self) -> None:
        firsts = {verb.words[0] for verb in VERBS if len(verb.words) > 1}
        self.assertLessEqual(firsts, set(cli.SUBJECTS))
        self.assertIn(cli.SUBJECTS["mover"], self.run_command("--help").output)

    def test_json_is_an_object_a_line(self) -> None:
        self.node.answers = [FILE, {**FILE, "path": "/d/\x9b"}]
        output = self.run_command("file ls /d/ --json").stdout
        self.assertEqual([json.loads(line) for line in output.splitlines()], self.node.answers)
        self.assertTrue(output.isascii())
        self.node.answers = []
        self.assertEqual(self.run_command("file ls /d/ --json").stdout, "")

    def test_people_get_tables(self) -> None:
        self.node.answers = [FILE, {**FILE, "path": "/d/" + "long" * 60 + "[bold]\x1b[2J", "digests": {}}]
        output = self.run_command("file ls /d/").stdout
        self.assertIn("long" * 60 + "[bold]\\x1b[2J", output)
        self.assertNotIn("\x1b", output)
        self.assertEqual(len(output.splitlines()), 3)
        self.node.answers = [FILE]
        output = self.run_command("file show /d/a").stdout
        self.assertIn("sha256=00", output)
        self.assertIn("mover=m volume=0", output)

    def test_an_empty_list_is_nothing(self) -> None:
        self.node.answers = []
        self.assertEqual(self.run_command("user list").stdout, "")

    def test_a_refusal_is_one_sentence_and_status_1(self) -> None:
        self.node.answers = []
        self.node.refusal = Failed("There is no such\nfile.")
        for form in ("file show /d/a", "file show /d/a --json", "file ls /d", "file ls /d --json"):
            result = self.run_command(form)
            self.assertEqual((result.exit_code, result.stdout, result.stderr), (1, "", "There is no such file.\n"), form)

    def test_wrong_usage_is_status_2(self) -> None:
        for form in (
            "nothing",
            "file",
            "file nothing",
            "file show",
            "file show a b",
            "status x",
            "destination add a --copies 0",
            "destination add a --copies many",
            "destination add a --lifetime 30x",
            "destination add a --option key",
            "user add a --mode closed",
            "events --limit -1",
            "-c",
            "--colour",
        ):
            result = self.run_command(form)
            self.assertEqual(result.exit_code, 2, form)
            self.assertEqual(self.node.asked, [])
            self.assertNotIn("Traceback", result.output)

    def test_passwords_are_asked_for_at_a_terminal_only(self) -> None:
        asked: list[str] = []

        def answer(question: str, *_: Any, **__: Any) -> str:
            asked.append(question)
            return "secret" if len(asked) == 1 else ""

        self.patch(click, "prompt", answer)
        for terminal, wanted, password in (
            (False, {}, None),
            (True, {"mode": "open"}, None),
            (True, {}, "secret"),
            (True, {"mode": "standard"}, None),
        ):
            self.patch(sys, "stdin", Terminal(terminal))
            self.assertEqual(cli.read_password(False, wanted), password)
        self.assertEqual(len(asked), 2)

    def test_a_password_that_is_no_text(self) -> None:
        result = self.run_command("user add a --password-stdin", b"\xff\n")
        self.assertEqual((result.exit_code, result.stderr), (1, "The password is not UTF-8.\n"))


class Terminal(io.StringIO):
    """A standard input that is a terminal, or is not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class ConfigTests(SynchronousTestCase):
    def test_which_configuration_is_meant(self) -> None:
        self.assertEqual(cli.find_config("some/file"), Path("some/file"))
        here = Path(self.mktemp())
        (here / "conf").mkdir(parents=True)
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(here)
        self.assertEqual(cli.find_config(None), cli.CHECKOUT / "conf/ecpds.toml")
        Path("conf/ecpds.toml").touch()
        self.assertEqual(cli.find_config(None), Path("conf/ecpds.toml"))

    def test_a_configuration_that_is_wrong_or_a_node_that_is_not_there(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        wrong, lonely = folder / "wrong.toml", folder / "lonely.toml"
        wrong.write_text("[colour]\n")
        lonely.write_text('[node]\nhome = "nowhere"\n')
        for file, said in ((folder / "missing", "can't be read"), (wrong, "[colour]"), (lonely, "No node is running")):
            result = CliRunner().invoke(cli.main, ["-c", str(file), "status"])
            self.assertEqual((result.exit_code, result.stdout), (1, ""))
            self.assertEqual(len(result.stderr.splitlines()), 1)
            self.assertIn(said, result.stderr)

    def test_answers_that_can_not_be_written(self) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        self.patch(cli, "show", full)
        result = CliRunner().invoke(cli.build(lambda config: Node()), ["status"])
        self.assertEqual((result.exit_code, result.stderr), (1, "The answer can't be written: No space left on device.\n"))


class FollowTests(CommandCase):
    """`events --follow`: the last few in the order in which they came, and then what comes."""

    def setUp(self) -> None:
        super().setUp()
        self.slept: list[float] = []
        self.patch(cli, "time", self)
        self.rounds = [[3, 2], [4], [], [5, 6]]
        self.ask, self.node.ask = self.node.ask, self.answer  # type: ignore[method-assign]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def answer(self, verb: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        self.node.answers = [{"Type": "INH", "Number": number} for number in self.rounds.pop(0)]
        self.node.refusal = None if self.rounds else Failed("No node is running.")
        return self.ask(verb, arguments)

    def test_what_comes_is_asked_for_by_number(self) -> None:
        result = self.run_command("events --follow --json --user joe")
        self.assertEqual((result.exit_code, result.stderr), (1, "No node is running.\n"))
        self.assertEqual([json.loads(line)["Number"] for line in result.stdout.splitlines()], [2, 3, 4])
        asked = [arguments for _, arguments in self.node.asked]
        joe = {"user": "joe"}
        self.assertEqual(asked, [{**joe, "limit": 10}, {**joe, "after": 3}, {**joe, "after": 4}, {**joe, "after": 4}])
        self.assertEqual(self.slept, [1.0] * 3)

    def test_from_a_time_on(self) -> None:
        self.run_command("events --follow --since 2h --limit 5")
        self.assertEqual(self.node.asked[0][1], {"since": "2h", "limit": 5})
        self.assertEqual(self.node.asked[1][1], {"since": "2h", "after": 3})

    def test_other_lists_are_not_followed(self) -> None:
        self.assertEqual(self.run_command("user list --follow").exit_code, 2)
