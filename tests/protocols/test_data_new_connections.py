"""The first request of a connection, with fields that were sent on another: what comes at once, and what must not.

Each way in which something kept becomes untrue (`test_data_at_once`) is tried here once more, with a new connection a request.
"""

from __future__ import annotations

from typing import Any

from ecpds.http import connection
from ecpds.limits import Limits
from tests.http.support import Answer, parse_answer
from tests.protocols import test_data_at_once as at_once
from tests.protocols.data_support import basic


class NewConnectionTests(at_once.Case):
    """The first request of a connection, with fields that were sent on another."""

    def setUp(self) -> None:
        super().setUp()
        self.ask()

    def at_first(self, secure: bool = True, peer: str = "127.0.0.1", **named: Any) -> Answer | None:
        return self.at_once(channel=self.connect(secure, peer), **named)

    def test_it_comes_at_once_and_is_the_same(self) -> None:
        long = self.ask(channel=self.connect(), fields=f"{self.fields}X-Other: 1\r\n")
        short = self.at_first()
        assert short is not None
        self.assertEqual((short.status, short.body), (long.status, long.body))
        self.assertEqual(sorted(short.headers.items()), sorted(long.headers.items()))
        self.assertEqual(self.transfers()[-1], self.transfers()[-2])

    def test_and_so_do_the_next_ones(self) -> None:
        channel = self.connect()
        for _ in range(3):
            self.assertIsNotNone(self.at_once(channel=channel))

    def test_fields_that_change_back_and_forth(self) -> None:
        others = f"{self.fields}X-Other: 1\r\n"
        self.ask(fields=others)
        for fields in (self.fields, others, self.fields):
            self.assertIsNotNone(self.at_once(fields=fields))

    def test_a_head(self) -> None:
        self.assertIsNotNone(self.at_first(method="HEAD"))

    def test_it_leaves_a_record_with_its_address(self) -> None:
        self.assertIsNotNone(self.at_first())
        self.assertEqual(self.transfers()[-1], ("download", "f", "done", 5, "alice", 0, "127.0.0.1"))

    def test_what_was_said_before_tells_nothing_at_another_address(self) -> None:
        self.assertIsNone(self.at_first(peer="192.0.2.9"))
        self.assertEqual(self.transfers()[-1][-1], "192.0.2.9")

    def test_nor_without_tls(self) -> None:
        self.assertIsNone(self.at_first(secure=False))
        self.assertIsNotNone(self.at_first(secure=False))

    def test_a_wrong_password_is_another_field(self) -> None:
        fields = self.fields.replace(basic("alice", "secret"), basic("alice", "wrong"))
        for _ in range(2):
            self.assertEqual(self.ask(channel=self.connect(), fields=fields).status, 401)

    def test_who_has_shown_a_certificate_is_asked_as_always(self) -> None:
        self.patch(connection, "_shown_by", lambda channel: object())
        self.assertIsNone(self.at_once(channel=self.connect()))

    def test_conditions_are_read_each_time(self) -> None:
        etag = self.ask().headers.get("etag")
        fields = f"{self.fields}If-None-Match: {etag}\r\n"
        self.ask(fields=fields)
        self.assertIsNone(self.at_first(fields=fields))

    def test_a_second_request_behind_the_first(self) -> None:
        channel = self.connect()
        one = f"GET /data/demo/f HTTP/1.1\r\n{self.fields}\r\n"
        channel.feed((one + one).encode())
        answer, rest = parse_answer(channel.take())
        self.assertEqual((answer.body, parse_answer(rest)[0].body), (b"first", b"first"))
        self.assertEqual(self.server.answered_at_once, 0)

    def test_a_head_in_pieces(self) -> None:
        whole = f"GET /data/demo/f HTTP/1.1\r\n{self.fields}\r\n".encode()
        for cut in range(1, len(whole)):
            channel = self.connect()
            channel.feed(whole[:cut])
            channel.feed(whole[cut:])
            self.assertEqual(parse_answer(channel.take())[0].body, b"first", cut)
        self.assertEqual(self.server.answered_at_once, 0)

    def test_too_many_wrong_passwords_from_the_address(self) -> None:
        self.guess(self.limits.login_failures)
        self.assertEqual(self.ask(channel=self.connect()).status, 429)
        self.assertEqual(self.ask().status, 429)
        self.assertEqual(self.ask(channel=self.connect(peer="192.0.2.9")).status, 200)

    def test_others_guesses_do_not_keep_out_who_was_let_in(self) -> None:
        self.guess(self.limits.login_failures, "bob")
        self.assertIsNotNone(self.at_first())

    def guess(self, times: int, login: str = "alice") -> None:
        for number in range(times):
            guessed = self.fields.replace(basic("alice", "secret"), basic(login, f"wrong {number}"))
            self.assertEqual(self.ask(channel=self.connect(), fields=guessed).status, 401)

    def test_it_is_not_believed_for_long(self) -> None:
        self.house.clock.advance(at_once.LIFE)
        self.assertIsNone(self.at_first())
        self.assertIsNotNone(self.at_first())

    def test_nothing_that_was_sent_is_kept(self) -> None:
        ((mark, kept),) = self.familiar._known.items()
        self.assertEqual((len(mark), list(kept.like.headers.items()), kept.like.target), (32, [], b""))
        self.assertNotIn(basic("alice", "secret").split()[1].encode(), mark)


class UnfamiliarTests(at_once.Case):
    limits = Limits(credential_life=at_once.LIFE, kept_fields=0)

    def test_with_no_memory_each_connection_begins_anew(self) -> None:
        self.warm()
        self.assertIsNone(self.at_once(channel=self.connect()))
        self.assertEqual(len(self.familiar), 0)


class UntrueElsewhereTests(at_once.UntrueTests):
    def ask(self, *args: Any, **named: Any) -> Answer:
        return super().ask(*args, **{"channel": self.connect(), **named})


class TokenElsewhereTests(at_once.TokenTests):
    def ask(self, *args: Any, **named: Any) -> Answer:
        return super().ask(*args, **{"channel": self.connect(), **named})
