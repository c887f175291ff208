"""The verbs as functions: named and shaped by the table, checked as everywhere."""

from __future__ import annotations

from inspect import signature
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.admin.kinds import FILE, PASSWORD, SECONDS
from ecpds.admin.manhole_verbs import Function, Record, Rows, function_name, functions, parameter_name, secrets_of
from ecpds.admin.verb import Argument
from ecpds.admin.verbs import VERBS
from ecpds.errors import AlreadyExists, InvalidRequest, NotFound, Refusal
from tests.admin.manhole_support import RecordingOperator


class Verbs(SynchronousTestCase):
    def setUp(self) -> None:
        self.operator = RecordingOperator()
        self.functions: dict[str, Function] = functions(self.operator, self.ask, rows=1000)

    def ask(self, ask: Any) -> Any:
        answer: Deferred[Any] = Deferred.fromCoroutine(ask())
        found: list[Any] = []
        answer.addBoth(found.append)
        if isinstance(getattr(found[0], "value", None), Refusal):
            raise found[0].value
        return found[0]

    def test_names(self) -> None:
        for words, name in (
            ("user add", "add_user"),
            ("user list", "users"),
            ("user show", "user"),
            ("file ls", "files"),
            ("policy list", "policies"),
            ("mover drain", "drain"),
            ("mover retire", "retire"),
            ("user key", "user_key"),
            ("user s3key", "user_s3key"),
            ("user totp", "user_totp"),
            ("status", "status"),
        ):
            self.assertEqual(function_name(words.split()), name)

    def test_every_verb_is_one_function(self) -> None:
        self.assertEqual(len(self.functions), len(VERBS))
        for name, function in self.functions.items():
            self.assertTrue(name.isidentifier(), name)
            self.assertIn(function.verb.help, function.__doc__ or "")
            self.assertEqual(len(signature(function).parameters), len(function.verb.arguments))

    def test_arguments_by_the_command_line_s_names(self) -> None:
        made = self.functions["add_user"]("bob", destination=("demo",), option={"portal.a": "b"}, permission="get,put")
        self.assertEqual(made, Record(login="bob", enabled=True))
        self.assertEqual(
            self.operator.calls,
            [
                (
                    "add_user",
                    {"login": "bob", "destinations": ["demo"], "permissions": ["get", "put"], "options": {"portal.a": "b"}},
                )
            ],
        )

    def test_a_flag_s_name_is_the_argument_s(self) -> None:
        self.assertEqual(parameter_name(Argument("life", SECONDS, flag="expires")), "expires")
        self.assertEqual(parameter_name(Argument("key", FILE, flag="pubkeyfile")), "key")
        self.assertEqual(parameter_name(Argument("password", PASSWORD, flag="password-stdin")), "password")

    def test_a_list_is_bounded(self) -> None:
        found = self.functions["events"](type="DEA")
        self.assertIsInstance(found, Rows)
        self.assertEqual((len(found), found.more), (1000, True))
        self.assertEqual(self.operator.calls, [("list_events", {"type": "DEA"})])
        self.assertFalse(self.functions["users"]().more)

    def test_refusals_come_through(self) -> None:
        with self.assertRaises(AlreadyExists):
            self.functions["add_user"]("ann")
        with self.assertRaises(NotFound):
            self.functions["file"]("/demo/a")

    def test_every_verb_refuses_bad_arguments_in_a_sentence(self) -> None:
        for function in self.functions.values():
            for args, kwargs in (
                ((1, 2, 3, 4, 5, 6, 7), {}),
                ((), {"nonsense": 1}),
                *(
                    ((object(),) * self._required(function), {parameter_name(each): object()})
                    for each in self._options(function)
                ),
            ):
                with self.assertRaises(InvalidRequest):
                    function(*args, **kwargs)
        self.assertEqual(self.operator.calls, [])

    def _options(self, function: Function) -> list[Any]:
        return [argument for argument in function.verb.arguments if not argument.positional]

    def _required(self, function: Function) -> int:
        return len(function.verb.arguments) - len(self._options(function))

    def test_text_that_is_not_of_the_kind(self) -> None:
        refused = self.assertRaises(InvalidRequest, self.functions["events"], limit="many")
        self.assertIn("limit 'many'; allowed: a whole number", str(refused))

    def test_secrets(self) -> None:
        secrets = secrets_of()
        self.assertEqual((secrets["add_user"].names, secrets["add_user"].taken), ({"password"}, 1))
        taking = {function_name(verb.words) for verb in VERBS for argument in verb.arguments if argument.kind is PASSWORD}
        self.assertEqual(set(secrets), taking)
