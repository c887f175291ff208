"""Every operator's verb with every kind of bad argument, and hostile names everywhere: the command line over the real API.

What is refused is one printable sentence and exit status 1 or 2, changes nothing, and leaves the node as it was. No line
of a record, an answer or the log can be forged by what anybody is called.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from click.testing import CliRunner, Result
from twisted.internet.defer import ensureDeferred
from twisted.logger import LogPublisher, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ecpds.admin import cli
from ecpds.admin.api import Api
from ecpds.admin.client import Failed
from ecpds.admin.kinds import FILE, FLAG, PASSWORD
from ecpds.admin.verb import Argument, Verb
from ecpds.admin.verbs import VERBS
from ecpds.errors import Refusal
from ecpds.portal.records import ancestor_line, json_line
from tests.admin.test_api import make_request
from tests.doubles import MemorySink, MemorySource
from tests.portal.house import ORIGIN, House

HOSTILE = [
    "",
    " ",
    "a b",
    "a\nINH;Monitored=false",
    "a;UserId=root",
    "a\r\nb",
    "\x1b[2J\x1b[31m",
    "a\x00b",
    "a\x7f\x85\u2028\u2029",
    "\u202egpj.exe",
    "../../etc/passwd",
    "/",
    "//",
    "%0aDEA",
    "{0}{login}",
    "%(login)s %s %n",
    "'; DROP TABLE user; --",
    '"quoted"',
    "a" * 5000,
    "-rf",
    "--help-me",
    "é\u0301\U0001f600",
    "\ud800",
    "[bold]x[/bold]",
    "NULL",
    "0",
    "1e999",
]


class HouseClient:
    """The command line's way to a node, without the socket."""

    def __init__(self, test: SynchronousTestCase, house: House) -> None:
        self._test = test
        self._house = house
        self._api = Api(house.operator)

    def ask(self, verb: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        request = make_request(f"/api/v1/{verb}", json.dumps(arguments).encode("ascii"))
        response: Any = self._test.successResultOf(ensureDeferred(self._api.handle(request)))
        body = response.body
        if not isinstance(body, bytes):
            sink = MemorySink()
            sending = ensureDeferred(body.send(sink))
            while not sending.called and self._house.clock.getDelayedCalls():
                self._house.clock.advance(0)
            self._test.successResultOf(sending)
            body = sink.value
        if response.status != 200:
            raise Failed(json.loads(body)["error"])
        for line in body.splitlines():
            yield json.loads(line)


class HostileCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.now = self.house.now
        self.house.add_destination("demo")
        self.user = self.house.add_user("joe", ("demo",), password="secret")
        self.now(self.putting("/demo/a"))
        self.logged: list[str] = []
        assert isinstance(globalLogPublisher, LogPublisher)
        globalLogPublisher.addObserver(self.log)
        self.addCleanup(globalLogPublisher.removeObserver, self.log)

    def log(self, event: Any) -> None:
        self.logged.append(formatEvent(event))

    async def putting(self, path: str) -> None:
        upload = await self.house.files_of(self.user).open_write(path)
        await upload.receive(MemorySource(b"hello"))
        await upload.commit()

    def outcome(self, work: Any) -> Refusal | None:
        """The refusal that `work` ends in, if it does; anything else that goes wrong is the test's failure."""

        async def tried() -> Refusal | None:
            try:
                await work
            except Refusal as refusal:
                return refusal
            return None

        found: Refusal | None = self.now(tried())
        return found

    def run_command(self, words: list[str], input: str | None = None) -> Result:
        client = HouseClient(self, self.house)
        return CliRunner().invoke(cli.build(lambda _: client), words, input=input)

    def is_one_sentence(self, result: Result, words: list[str]) -> None:
        """Refused in one printable line, or wrong usage, which click says in its own way."""
        self.assertIn(result.exit_code, (1, 2), (words, result.output))
        self.assertNotIn("Traceback", result.output)
        self.assertIsInstance(result.exception, SystemExit, words)
        if result.exit_code == 1:
            self.assertEqual(result.stdout, "", words)
            self.assertEqual(result.stderr.count("\n"), 1, (words, result.stderr))
            self.assertTrue(result.stderr[:-1].isprintable(), (words, result.stderr))

    def is_harmless(self, output: str, words: list[str]) -> None:
        """Nothing in what is shown obeys a terminal or begins a line of its own making."""
        for line in output.splitlines():
            self.assertTrue(line.isprintable(), (words, line))


def positional(verb: Verb) -> list[Argument]:
    return [argument for argument in verb.arguments if argument.positional]


def harmless(argument: Argument) -> str:
    """A value that is taken: of what may be chosen the last one, which only looks."""
    return argument.choices[-1] if argument.choices else "x"


def good_words(verb: Verb, bad: Argument | None = None, value: str = "") -> list[str]:
    """The verb as it is typed, with `value` for the argument `bad` and something that is there for the others."""
    there = {"name": "demo", "login": "joe", "path": "/demo/a"}
    words = list(verb.words)
    first = [argument for argument in positional(verb) if argument.required or argument is bad]
    if bad is not None and not bad.positional and bad.kind not in (PASSWORD, FLAG):
        words.append(f"{bad.option}={value}")
    return [*words, "--", *(value if argument is bad else there.get(argument.name, harmless(argument)) for argument in first)]


class BadArgumentTests(HostileCase):
    def test_every_verb_with_every_hostile_argument(self) -> None:
        before = self.state()
        refused = 0
        for verb in VERBS:
            changes = verb.words[-1] not in ("list", "show", "ls", "events", "status")
            for argument in verb.arguments:
                if argument.kind in (PASSWORD, FLAG, FILE):
                    continue
                for value in HOSTILE:
                    words = good_words(verb, argument, value)
                    result = self.run_command(words)
                    if result.exit_code == 0:
                        self.assertFalse(changes and self.state() != before and not self.undo(verb), words)
                        self.is_harmless(result.output, words)
                    else:
                        refused += 1
                        self.is_one_sentence(result, words)
        self.assertGreater(refused, 500)
        self.assertEqual(self.flushLoggedErrors(), [])
        for line in self.logged:
            self.assertEqual(len(line.splitlines()), 1, line)

    def test_what_is_missing_or_too_much(self) -> None:
        for verb in VERBS:
            if any(argument.required for argument in verb.arguments):
                self.assertEqual(self.run_command(list(verb.words)).exit_code, 2, verb.name)
            words = [*good_words(verb), "one", "more", "too", "many"]
            self.assertEqual(self.run_command(words).exit_code, 2, verb.name)
            words = [*verb.words, "--no-such-option", *good_words(verb)[len(verb.words) :]]
            self.assertEqual(self.run_command(words).exit_code, 2, verb.name)

    def test_what_is_not_there(self) -> None:
        for verb in VERBS:
            named = [argument for argument in positional(verb) if argument.name in ("name", "login", "path")]
            if not named or verb.words[-1] == "add":
                continue
            words = good_words(verb, named[0], "/demo/nothing" if named[0].name == "path" else "nobody")
            password = "secret\n" if verb.words[-1] == "passwd" else None
            if password:
                words.insert(len(verb.words), "--password-stdin")
            result = self.run_command(words, password)
            self.assertEqual(result.exit_code, 1, (words, result.output))
            self.is_one_sentence(result, words)

    def state(self) -> Any:
        """What operators could have changed."""
        users = self.now(self.house.operations.users())
        found = [
            [user.login, user.mode, user.permissions, user.destinations, dict(user.options), user.comment] for user in users
        ]
        places = [(each.name, each.group, dict(each.options)) for each in self.now(self.house.operations.destinations())]
        return found, places, [policy.name for policy in self.now(self.house.operations.policies())]

    def undo(self, verb: Verb) -> bool:
        """A harmless value that was taken is taken back, so that the next argument meets the same state."""
        run = self.house.operator
        self.now(
            run.set_user("joe", mode="standard", destinations=["demo"], permissions=list(self.user.permissions), comment="")
        )
        for user in self.now(self.house.operations.users()):
            if user.login != "joe":
                self.now(run.remove_user(user.login))
        for policy in self.now(self.house.operations.policies()):
            self.now(run.remove_policy(policy.name, force=True))
        for place in self.now(self.house.operations.destinations()):
            if place.name != "demo":
                self.now(run.remove_destination(place.name, force=True))
        if self.now(self.house.operations.destination("demo")).group is not None:
            self.now(run.set_destination("demo", unset=["group"]))
        return True


class HostileNameTests(HostileCase):
    """Names that users bring: logins that are tried, and paths."""

    def records_are_whole(self) -> None:
        events = self.house.sink.events
        self.assertTrue(events)
        for event in events:
            line = ancestor_line(event).decode("utf-8")
            self.assertTrue(line[:-1].isprintable() and line.endswith("\n"), line)
            code, *pairs = line[:-1].split(";")
            self.assertEqual((code, [pair.partition("=")[0] for pair in pairs]), (event.type, list(event.fields)))
            for name, text in (pair.split("=", 1) for pair in pairs):
                value = event.fields[name]
                if isinstance(value, str) and not value.endswith("Z"):
                    self.assertEqual(unquote(text, errors="surrogatepass"), value)
            self.assertEqual(len(json_line(event).splitlines()), 1)
            self.house.master.history.record(event)
        self.now(self.house.master.history.flush())

    def shown(self, *options: str) -> None:
        for form in ([], ["--json"]):
            result = self.run_command(["events", *options, *form])
            self.assertEqual(result.exit_code, 0, result.output)
            self.is_harmless(result.output, [*options, *form])

    def test_logins(self) -> None:
        for login in HOSTILE:
            for password in ("secret", login):
                self.refused(self.house.portal.login(login, password, ORIGIN))
            self.refused(self.house.portal.login_with_key(login, login.encode("utf-8", "surrogatepass"), ORIGIN))
            self.refused(self.house.portal.login_with_signature(login, login, login, login, ORIGIN))
            self.house.portal.refused(login, login, ORIGIN)
        self.records_are_whole()
        self.shown()
        self.shown("--type", "DEA")
        for login in HOSTILE:
            if login and "\0" not in login and login != "\ud800":
                self.shown(f"--user={login}")

    def refused(self, work: Any) -> None:
        error = self.failureResultOf(ensureDeferred(work), Refusal).value
        self.assertTrue(str(error).isprintable())

    def test_paths(self) -> None:
        files = self.house.files_of(self.user)
        kept = []
        for name in HOSTILE:
            path = f"/demo/{name}"
            refusal = self.outcome(self.putting(path))
            if refusal is None:
                kept.append(path)
            else:
                self.assertTrue(str(refusal).isprintable(), str(refusal))
            for work in (files.stat(path), files.open_read(path + "x"), files.rename(path + "x", path), files.list(path)):
                self.outcome(work)
        self.assertGreater(len(kept), 10)
        self.records_are_whole()
        self.shown()
        for words in (["file", "ls", "/demo/"], ["file", "ls", "/demo/", "--json"]):
            result = self.run_command(words)
            self.assertEqual(result.exit_code, 0)
            self.is_harmless(result.output, words)
        for path in kept:
            for form in ([], ["--json"]):
                result = self.run_command(["file", "show", *form, "--", path])
                self.assertEqual(result.exit_code, 0, (path, result.output))
                self.is_harmless(result.output, [path])
        for line in self.logged:
            self.assertEqual(len(line.splitlines()), 1, line)
