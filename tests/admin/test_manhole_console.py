"""The console in memory: what is typed, what is shown, what the log has."""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from ecpds.admin.manhole_console import Console, columns, without_secrets
from ecpds.admin.manhole_output import harmless
from ecpds.admin.manhole_verbs import secrets_of
from ecpds.interfaces import IThreads
from ecpds.limits import Limits
from ecpds.threads import InlineThreads, LooseThreads
from tests.admin.manhole_support import HandReactor, InlineReactor, MemoryTerminal, RecordingOperator

WHO = "ann@laptop SHA256:x at ::1"


class InMemory(SynchronousTestCase):
    LIMITS = evolve(Limits(), console_output=5000, console_line=500, console_rows=10)

    def setUp(self) -> None:
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)
        self.operator = RecordingOperator()
        self.terminal = MemoryTerminal()
        self.console = self.make_console(InlineThreads(), InlineReactor())

    def make_console(self, threads: Any, reactor: Any) -> Console:
        return Console(WHO, self.terminal, self.operator, {"answer": 42}, threads, reactor, self.LIMITS, "hello")

    def _observe(self, event: Any) -> None:
        self.logged.append(formatEvent(event))

    def type(self, text: str) -> str:
        """Type, and say what is shown for it."""
        self.terminal.written = b""
        self.console.data_received(text.encode())
        return self.terminal.text


class Commands(InMemory):
    def test_the_last_value(self) -> None:
        self.assertIn("\n43\n", self.type("answer + 1\r"))
        self.assertIn("\n86\n", self.type("_ * 2\r"))
        self.assertNotIn("None", self.type("None\r").replace(">>> None", ""))

    def test_blocks_take_lines_until_an_empty_one(self) -> None:
        self.assertIn("... ", self.type("for i in range(3):\r"))
        self.assertIn("\n0\n1\n2\n", self.type("  print(i)\r\r"))

    def test_tables(self) -> None:
        self.assertRegex(self.type("users()\r"), "login +mode.*\nann +standard +yes")
        self.assertIn("(the first 10; there are more)", self.type("events()\r"))
        self.assertIn("\x1b[1;36mType", self.terminal.written.decode())

    def test_a_terminal_without_colours(self) -> None:
        self.terminal = MemoryTerminal("dumb", 40)
        self.console = self.make_console(InlineThreads(), InlineReactor())
        for typed in ("users()\r", 'file("/demo/a")\r'):
            self.type(typed)
            self.assertNotIn(b"m", b"".join(re.findall(rb"\x1b\[[0-9;]*([A-Za-z])", self.terminal.written)))
            self.assertLessEqual(max(map(len, self.terminal.text.split("\n"))), 80)

    def test_help(self) -> None:
        shown = self.type("help()\r")
        self.assertIn("add_user(login, *, password=None", shown)
        self.assertIn("Ctrl-C", shown)
        self.assertIn("Add a user.", self.type("help(add_user)\r"))
        self.assertIn("class int", self.type("help(int)\r"))

    def test_a_refusal_is_a_sentence(self) -> None:
        shown = self.type('file("/demo/a")\r')
        self.assertIn("There is no such file or directory: /demo/a\n", shown)
        self.assertNotIn("Traceback", shown)

    def test_a_traceback_begins_with_the_operator_s_code(self) -> None:
        shown = self.type("1 / 0\r")
        self.assertIn('Traceback (most recent call last):\n  File "<console>", line 1, in <module>\nZeroDivisionError', shown)
        self.assertIn("SyntaxError", self.type("1 +* 2\r"))

    def test_what_must_be_waited_for(self) -> None:
        self.type("async def later(): return 6 * 7\r\r")
        self.assertIn("\n42\n", self.type("later()\r"))
        self.assertIn("\n'node-1'\n", self.type("in_reactor(lambda: status()['node'])\r"))

    def test_nothing_that_a_terminal_obeys_is_shown(self) -> None:
        for typed in ("print('\\x1b[2J\\x9b\\x07')\r", "status()\r", "'\\x1b[2J'\r", "raise ValueError('\\x1b[2J')\r"):
            self.type(typed)
            self.assertNotIn(b"\x1b[2J", self.terminal.written.replace(b"\\x1b[2J", b""))
            self.assertIn(b"x1b[2J", self.terminal.written)

    def test_output_is_bounded(self) -> None:
        shown = self.type("print('x' * 100_000)\r")
        self.assertIn("... cut off after 5000 characters\n>>> ", shown)
        self.assertLess(len(shown), 6000)
        self.assertIn("\n2\n", self.type("1 + 1\r"))

    def test_there_is_no_input(self) -> None:
        for name in ("input", "breakpoint"):
            self.assertIn("the console has no input", self.type(f"{name}()\r"))

    def test_too_long(self) -> None:
        self.type("'''\r")
        for _ in range(10):
            shown = self.type("x" * 100 + "\r")
            if "longer than" in shown:
                return
        self.fail("a block without end")


class Leaving(InMemory):
    def test_control_d_on_an_empty_line(self) -> None:
        self.type("ab\x01\x04\x04")
        self.assertIsNone(self.terminal.status)
        self.type("\x04")
        self.assertEqual(self.terminal.status, 0)
        self.assertEqual(self.type("1\r"), "")

    def test_exit_and_end_of_input(self) -> None:
        for leave in (lambda: self.type("exit()\r"), lambda: self.type("quit()\r"), lambda: self.console.eof_received()):
            self.terminal.status = None
            self.console = self.make_console(InlineThreads(), InlineReactor())
            leave()
            self.assertEqual(self.terminal.status, 0)

    def test_closed(self) -> None:
        self.console.closed()
        self.assertIn(f"{WHO} has left", self.logged)
        self.assertEqual(self.type("1 + 1\r"), "")


class Completing(InMemory):
    def test_one_name(self) -> None:
        self.assertIn(">>> add_user", self.type("add_u\t"))

    def test_attributes(self) -> None:
        self.assertIn(">>> answer.bit_length", self.type("answer.bit_l\t"))
        self.assertIn(">>> str.upper", self.type("\x15str.up\t"))

    def test_several(self) -> None:
        self.assertRegex(self.type("add_\t"), "add_destination +add_user|add_[a-z]+ +add_")

    def test_none(self) -> None:
        for text in ("nonsense.a\t", "\x15answer.nonsense\t", "\x15(((\t", "\x15\t"):
            self.type(text)
            self.assertNotIn(b"Traceback", self.terminal.written)

    def test_an_object_that_does_not_say(self) -> None:
        self.type("class Bad:\r  def __dir__(self): 1/0\r\r")
        self.type("bad = Bad()\r")
        self.type("bad.x\t")
        self.assertIn(b"\a", self.terminal.written)

    def test_columns(self) -> None:
        self.assertEqual(columns(["a", "bb", "ccc"], 10), "a    bb\nccc\n")


class Logged(InMemory):
    def test_who_typed_what(self) -> None:
        self.type("answer\r")
        self.assertIn(f"{WHO} typed 'answer'", self.logged)

    def test_no_line_can_be_forged(self) -> None:
        self.type('x = """\rann typed nothing\u2028\x85"""\r')
        typed = [line for line in self.logged if " typed " in line]
        self.assertEqual(typed, [f'{WHO} typed \'x = """\\nann typed nothing"""\''])
        self.assertTrue(all(len(line.splitlines()) == 1 for line in self.logged))

    def test_before_it_runs(self) -> None:
        self.type("1/0\r")
        self.assertIn(f"{WHO} typed '1/0'", self.logged)

    def test_a_verb_s_secrets_are_left_out(self) -> None:
        self.type('add_user("bob", password="hush", mode="open")\r')
        self.assertIn("password='***'", "".join(self.logged))
        self.assertNotIn("hush", "".join(self.logged))

    def test_secrets_of_what_can_not_run(self) -> None:
        self.type('add_user("bob", password="hush"))\r')
        self.assertNotIn("hush", "".join(self.logged))

    def test_a_secret_in_the_place_of_another_argument(self) -> None:
        """It is refused, for a password is named; it was typed all the same."""
        for typed in ('passwd_user("bob", "hush")', 'add_share("bob", "/x", "hush")', 'passwd_user("bob", "hush'):
            self.type(f"{typed}\r")
        self.assertNotIn("hush", "".join(self.logged))
        self.assertIn("passwd_user('bob', '***')", "".join(self.logged))
        self.assertIn("add_share('bob', '/x', '***')", "".join(self.logged))

    def test_nothing_else_can_hide(self) -> None:
        for source in ("eval(dict(password='evil()')['password'])", "print(password='x')", "x = 'password'"):
            self.assertEqual(without_secrets(source, secrets_of()), source)


class Busy(InMemory):
    """With real threads, and a reactor that the test turns."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = HandReactor()
        threads = LooseThreads(self.reactor, "test", 2)
        verifyClass(IThreads, LooseThreads)
        self.console = self.make_console(threads, self.reactor)

    def turn_until_shown(self, text: str) -> None:
        self.reactor.turn_until(lambda: text in self.terminal.text)

    def test_typed_ahead(self) -> None:
        self.type("1 + 1\r2 + 2\r")
        self.turn_until_shown("\n4\n")
        self.assertIn("\n2\n", self.terminal.text)

    def test_an_interrupt(self) -> None:
        self.type("while True: print('on', end=' ')\r\r1\r")
        self.turn_until_shown("on on")
        self.type("\x03")
        self.turn_until_shown("Interrupted.\n>>> ")
        self.type("6 * 7\r")
        self.turn_until_shown("\n42\n")
        self.assertNotIn("typed '1'", "".join(self.logged), "what was typed ahead is forgotten")

    def test_an_interrupt_of_a_verb(self) -> None:
        self.type("movers()\r")
        self.reactor.turn_until(lambda: self.operator.never.called or self.console._runner._questions)
        self.type("\x03")
        self.turn_until_shown("Interrupted.\n>>> ")

    def test_idle_it_clears_the_line(self) -> None:
        self.assertIn("^C\n>>> ", self.type("abc\x03"))
        self.type("1\r")
        self.turn_until_shown("\n1\n")

    def test_a_closed_terminal_stops_what_runs(self) -> None:
        self.type("while True: pass\r\r")
        self.reactor.turn_until(lambda: any("typed" in line for line in self.logged))
        self.console.closed()
        self.reactor.turn_until(lambda: not self.console._busy)

    def test_too_many_at_once(self) -> None:
        self.console = self.make_console(LooseThreads(self.reactor, "test", 0), self.reactor)
        self.assertIn("The portal can't do that just now", self.type("1\r"))


class Output(SynchronousTestCase):
    def test_harmless(self) -> None:
        self.assertEqual(harmless("a\tb\r\nc\rd\x1b\x00\x9b"), "a\tb\nc\\x0dd\\x1b\\x00\\x9b")
