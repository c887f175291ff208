"""The rules of FTP apart from the wire: parsing, the verb table, paths, replies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds import errors
from ecpds.model import PERMISSIONS
from ecpds.protocols.ftp_commands import HANDLERS
from ecpds.protocols.ftp_data import plain_address
from ecpds.protocols.ftp_replies import REFUSALS, quoted, refusal_reply, reply
from ecpds.protocols.ftp_session import VERBS, Command, Need, Session, State, is_http, parse, resolve

NAMES = st.text(st.characters(exclude_characters="/\0\r\n", exclude_categories=("Cs",)), min_size=1)


class Parsing(SynchronousTestCase):
    def test_verb_and_argument(self) -> None:
        self.assertEqual(parse(b"cwd a b "), Command("CWD", "a b "))
        self.assertEqual(parse(b"XPWD"), Command("PWD", ""))
        self.assertEqual(parse("STOR é".encode()), Command("STOR", "é"))

    def test_what_is_no_command(self) -> None:
        for line, code in (
            (b"", 500),
            (b"EHLO x", 500),
            (b"\xc3\xa9 x", 500),
            (b" USER x", 500),
            (b"CWD \xff\xfe", 501),
            (b"CWD \xe9", 501),
            (b"CWD a\xff\xf4b", 501),
            (b"CWD \xed\xa0\x80", 501),
            (b"CWD a\nDELE b", 501),
            (b"CWD a\rb", 501),
            (b"CWD a\0b", 501),
        ):
            problem = parse(line).problem
            self.assertIsNotNone(problem, line)
            self.assertEqual(problem and problem.code, code, line)

    def test_telnet_before_the_verb(self) -> None:
        for before in (b"\xff\xf4\xff\xf2", b"\xf2", b"\xff\xf4\xf2", b"\xff\xfb\x01", b"\xff\xfa\x18\x00\xff\xf0\xff\xf2"):
            self.assertEqual(parse(before + b"ABOR"), Command("ABOR"), before)

    def test_a_password_is_never_shown(self) -> None:
        self.assertNotIn("hush", repr(parse(b"PASS hush")))

    def test_http(self) -> None:
        for line in (
            b"GET / HTTP/1.1",
            b"POST /x HTTP/1.1",
            b"Host: a",
            b"PUT / HTTP/1.0",
            b"CONNECT a:1 HTTP/1.1",
            b"PRI * HTTP/2.0",
        ):
            self.assertTrue(is_http(line), line)
        for line in (b"USER Host: a", b"STOR GET", b"RETR a:"):
            self.assertFalse(is_http(line), line)

    @given(st.binary())
    def test_anything_is_a_command_or_has_a_reply(self, line: bytes) -> None:
        command = parse(line)
        self.assertEqual(command.verb in VERBS, command.problem is None)
        self.assertNotRegex(command.argument, "[\r\n\0]")

    @given(st.sampled_from(sorted(VERBS)), NAMES)
    def test_every_name_arrives_as_it_was_sent(self, verb: str, name: str) -> None:
        self.assertEqual(parse(f"{verb} {name}".encode()), Command(verb, name))


class Table(SynchronousTestCase):
    def test_every_implemented_verb_is_obeyed_and_no_other(self) -> None:
        self.assertEqual(set(HANDLERS), {verb.name for verb in VERBS.values() if verb.implemented})

    def test_permissions_are_the_portal_s(self) -> None:
        asked = {verb.permission for verb in VERBS.values()} - {None}
        self.assertEqual(asked, set(PERMISSIONS))

    def test_what_needs_a_permission_needs_a_login(self) -> None:
        for verb in VERBS.values():
            if verb.permission or verb.transfers:
                self.assertIn(verb.need, (Need.LOGIN, Need.RENAME), verb.name)

    def test_every_verb_has_help(self) -> None:
        for verb in VERBS.values():
            self.assertTrue(verb.help.startswith(verb.name), verb.name)


class Replies(SynchronousTestCase):
    def test_the_table_of_refusals_is_total(self) -> None:
        self.assertEqual(set(REFUSALS), set(errors.refusals()))
        self.assertTrue(all(400 <= code < 600 for code in REFUSALS.values()))

    def test_what_may_pass_is_4xx(self) -> None:
        for refusal in (errors.NoSpace, errors.Unavailable, errors.ConnectionLost, errors.Stalled, errors.TooManyConnections):
            self.assertEqual(REFUSALS[refusal] // 100, 4, refusal)

    def test_the_user_reads_the_sentence(self) -> None:
        self.assertEqual(refusal_reply(errors.NotFound()).encode(), b"550 There is no such file or directory.\r\n")

    def test_more_than_one_line(self) -> None:
        self.assertEqual(reply(211, "A:", "211 b", "C.").encode(), b"211-A:\r\n 211 b\r\n211 C.\r\n")

    @given(st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=1))
    def test_a_reply_never_has_more_lines_than_it_says(self, lines: list[str]) -> None:
        encoded = reply(250, *lines).encode()
        self.assertEqual(encoded.count(b"\n"), len(lines))
        self.assertEqual(encoded.count(b"\r"), len(lines))
        last = encoded.split(b"\r\n")[-2]
        self.assertTrue(last.startswith(b"250 "))

    @given(NAMES)
    def test_quotes_are_doubled(self, name: str) -> None:
        shown = quoted(name)
        self.assertEqual(shown[1:-1].replace('""', '"'), name)
        self.assertEqual(shown.count('"') % 2, 0)


class Paths(SynchronousTestCase):
    def test_resolving(self) -> None:
        for directory, path, expected in (
            ("/", "", "/"),
            ("/a", "", "/a"),
            ("/a", "b", "/a/b"),
            ("/a", "/b/", "/b"),
            ("/a/b", "../c/./d//e", "/a/c/d/e"),
            ("/a", "../../../..", "/"),
            ("/a", "../../etc/passwd", "/etc/passwd"),
            ("/a", "...", "/a/..."),
            ("/a", "%2e%2e/b", "/a/%2e%2e/b"),
            ("/a", "..\\b", "/a/..\\b"),
        ):
            self.assertEqual(resolve(directory, path), expected, (directory, path))

    @given(st.text(alphabet="./ab\\%", max_size=30), st.text(alphabet="./ab\\%", max_size=30))
    def test_nothing_leads_above_the_root(self, directory: str, path: str) -> None:
        here = resolve("/", directory)
        there = resolve(here, path)
        self.assertTrue(there.startswith("/"))
        self.assertFalse({"", ".", ".."} & set(there[1:].split("/")) and there != "/")
        self.assertEqual(resolve(there, "."), there)
        self.assertEqual(resolve("/", there), there)

    def test_a_file_s_name_that_says_directory_keeps_its_slash(self) -> None:
        session = Session(directory="/a")
        for path, expected in (("b", "/a/b"), ("b/", "/a/b/"), ("b/.", "/a/b/"), ("b/..", "/a/"), ("..", "/"), ("", "/a/")):
            self.assertEqual(session.resolve_file(path), expected, path)

    def test_a_second_user_starts_again(self) -> None:
        session = Session(State.LOGGED_IN, "alice", "/demo", restart=5, renaming="/demo/a")
        session.name("bob")
        self.assertEqual(session, Session(State.NAMED, "bob"))

    def test_addresses(self) -> None:
        for text, expected in (("::ffff:192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("192.0.2.1", "192.0.2.1"), ("x", "x")):
            self.assertEqual(plain_address(text), expected)
