"""Keys and lines of the console."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from twisted.trial.unittest import SynchronousTestCase

from ecpds.admin.manhole_editor import NAMED, REMEMBERED, Keys, Line


def keys_of(data: bytes) -> list[str]:
    return list(Keys().feed(data))


def typed(*keys: str, longest: int = 1000) -> Line:
    line = Line(longest)
    for key in keys:
        line.press(key)
    return line


class KeysOfATerminal(SynchronousTestCase):
    def test_characters_and_sequences(self) -> None:
        self.assertEqual(keys_of("aé\r".encode()), ["a", "é", "\r"])
        self.assertEqual(keys_of(b"\x1b[A\x1bOB\x1b[3~\x1b[1;5Dx"), ["up", "down", "delete", "word-left", "x"])

    def test_what_means_nothing_is_dropped(self) -> None:
        self.assertEqual(keys_of(b"\x1b[200~a\x1bqb\x1b[12;3xc"), ["a", "b", "c"])

    @given(st.sampled_from(sorted(NAMED)), st.text(), st.data())
    def test_however_it_is_cut(self, sequence: str, text: str, data: st.DataObject) -> None:
        raw = ("x\x1b" + sequence + text.replace("\x1b", "")).encode("utf-8", "replace")
        cut = data.draw(st.integers(0, len(raw)))
        keys = Keys()
        self.assertEqual([*keys.feed(raw[:cut]), *keys.feed(raw[cut:])], keys_of(raw))

    @given(st.binary(max_size=200))
    def test_any_bytes_are_keys(self, raw: bytes) -> None:
        self.assertLessEqual(len(keys_of(raw)), len(raw))

    def test_a_sequence_without_an_end_is_not_kept(self) -> None:
        keys = Keys()
        self.assertEqual(len(list(keys.feed(b"\x1b[" + b"1" * 100))), 101)


class Typing(SynchronousTestCase):
    def test_moving_and_cutting(self) -> None:
        self.assertEqual(typed(*"acd", "left", "left", "b").text, "abcd")
        self.assertEqual(typed(*"abc", "home", "delete", "end", "\x7f").text, "b")
        self.assertEqual(typed(*"one two", "\x17").text, "one ")
        self.assertEqual(typed(*"one two", "word-left", "\x0b").text, "one ")
        self.assertEqual(typed(*"one two", "home", "word-right", "\x15").text, " two")
        self.assertEqual(typed("\x7f", "left", "delete", "\x1d").text, "")

    def test_it_has_an_end(self) -> None:
        self.assertEqual(typed(*"abcdef", longest=4).text, "abcd")

    def test_history(self) -> None:
        line = typed(*"one")
        line.take()
        for key in [*"two"]:
            line.press(key)
        self.assertEqual(line.take(), "two")
        for key in [*"new", "up"]:
            line.press(key)
        self.assertEqual(line.text, "two")
        for key, shown in (("up", "one"), ("up", "one"), ("down", "two"), ("down", "new"), ("down", "new")):
            line.press(key)
            self.assertEqual(line.text, shown)

    def test_history_has_an_end_and_nothing_twice_in_a_row(self) -> None:
        line = Line(100)
        for number in [*range(REMEMBERED + 10), REMEMBERED + 9]:
            line.insert(str(number))
            line.take()
        line.press("up")
        self.assertEqual(line.text, str(REMEMBERED + 9))
        for _ in range(2 * REMEMBERED):
            line.press("up")
        self.assertEqual(line.text, "10")

    @given(st.lists(st.sampled_from([*"ab 漢é", *NAMED.values(), "\x7f", "\x17", "\x0b", "\x15"])), st.integers(4, 30))
    def test_what_is_shown_fits_and_holds_the_cursor(self, keys: list[str], width: int) -> None:
        line = typed(*keys)
        shown, column = line.view(width)
        self.assertLessEqual(cell_len(shown), width)
        self.assertTrue(0 <= column <= cell_len(shown))
        self.assertIn(shown, line.text)
        self.assertTrue(0 <= line.cursor <= len(line.text))
