"""The table of verbs is whole: every verb fits the façade's method, and every bad argument gets one sentence."""

from __future__ import annotations

import inspect
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.admin.kinds import FILE, FLAG, NUMBER, PAIRS, PASSWORD, SECONDS, SWITCH, TEXT, WORDS, duration, pair, whole
from ecpds.admin.verb import Verb
from ecpds.admin.verbs import BY_PATH, VERBS
from ecpds.errors import InvalidRequest
from ecpds.portal.operator import Operator

GOOD: dict[str, Any] = {
    TEXT.name: "word",
    FILE.name: "text",
    PASSWORD.name: "secret",
    NUMBER.name: 3,
    SECONDS.name: 1.5,
    WORDS.name: ["a", "b"],
    PAIRS.name: {"key": "value"},
    SWITCH.name: False,
    FLAG.name: True,
}

BAD: dict[str, list[Any]] = {
    TEXT.name: [1, True, [], {}],
    FILE.name: [1, True, [], {}],
    PASSWORD.name: [1, True, [], {}],
    NUMBER.name: [0, -1, 1.5, True, "1", 10**18, [], {}],
    SECONDS.name: [0, -1, True, "30d", float("nan"), float("inf"), [], {}],
    WORDS.name: ["a,b", [1], {}, 1],
    PAIRS.name: [{"key": 1}, {"key": None}, [], "a=b"],
    SWITCH.name: [0, 1, "yes", [], {}],
    FLAG.name: [0, 1, "true", [], {}],
}


def good(verb: Verb) -> dict[str, Any]:
    return {argument.name: GOOD[argument.kind.name] for argument in verb.arguments}


class TableTests(SynchronousTestCase):
    def test_each_verb_fits_its_method(self) -> None:
        for verb in VERBS:
            method: Any = verb.method(Operator)  # type: ignore[arg-type]
            parameters = dict(list(inspect.signature(method).parameters.items())[1:])
            self.assertEqual([argument.name for argument in verb.arguments], list(parameters), verb.name)
            needed = [name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
            self.assertEqual([argument.name for argument in verb.arguments if argument.required], needed, verb.name)
            self.assertEqual(inspect.isasyncgenfunction(method), verb.many, verb.name)

    def test_each_is_there_once_and_has_help(self) -> None:
        self.assertEqual(len(BY_PATH), len(VERBS))
        for verb in VERBS:
            self.assertTrue(verb.help.endswith("."), verb.name)
            for argument in verb.arguments:
                self.assertTrue(argument.help, f"{verb.name} {argument.name}")

    def test_good_arguments_pass(self) -> None:
        for verb in VERBS:
            self.assertEqual(verb.arguments_of(good(verb)), good(verb))

    def test_every_bad_argument_of_every_verb_gets_one_sentence(self) -> None:
        for verb in VERBS:
            for argument in verb.arguments:
                for value in BAD[argument.kind.name]:
                    self.refuse(verb, {**good(verb), argument.name: value}, argument.name)

    def test_missing_and_unknown_arguments(self) -> None:
        for verb in VERBS:
            self.refuse(verb, {**good(verb), "colour": "red"}, "colour")
            for argument in verb.arguments:
                without = {name: value for name, value in good(verb).items() if name != argument.name}
                if argument.required:
                    self.refuse(verb, without, argument.name)
                    self.refuse(verb, {**without, argument.name: None}, argument.name)
                else:
                    self.assertEqual(verb.arguments_of({**without, argument.name: None}), without)

    def refuse(self, verb: Verb, given: dict[str, Any], named: str) -> None:
        sentence = str(self.assertRaises(InvalidRequest, verb.arguments_of, given))
        self.assertIn(named, sentence)
        self.assertNotIn("\n", sentence)


class KindTests(SynchronousTestCase):
    def test_durations(self) -> None:
        for text, seconds in (
            ("30d", 2592000),
            ("12h", 43200),
            ("45m", 2700),
            ("90", 90),
            ("90s", 90),
            ("1.5h", 5400),
            ("2w", 1209600),
        ):
            self.assertEqual(duration(text), seconds)
        for text in ("", "d", "-1d", "1 d", "30D", "1y", "0", "0d", "1e3", "٣d", "1d1h", "inf", "nan"):
            self.assertRaises(ValueError, duration, text)

    def test_numbers_and_pairs(self) -> None:
        self.assertEqual(whole("12"), 12)
        for text in ("", "0", "-1", "1.5", "x", "٣", "9" * 19):
            self.assertRaises(ValueError, whole, text)
        self.assertEqual(pair("key=a=b"), ("key", "a=b"))
        self.assertEqual(pair("key="), ("key", ""))
        for text in ("", "key", "=value"):
            self.assertRaises(ValueError, pair, text)

    @given(st.text(max_size=12))
    def test_any_text_is_a_positive_time_or_refused(self, text: str) -> None:
        try:
            self.assertGreater(duration(text), 0)
        except ValueError as error:
            self.assertIn("allowed", str(error))
