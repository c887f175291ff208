"""Objects that are answered where the request is read: that they are, only where the signature is right, and as always.

The requests are signed by `test_s3_matrix`'s signer, which was written from the specification.
"""

from __future__ import annotations

from typing import Any

from ecpds.http.server import HttpServer
from ecpds.model import ANYTHING
from ecpds.people import UserChange
from ecpds.timeouts import Timeouts
from tests.doubles import MemoryChannel, MemorySource
from tests.http.support import Answer, parse_answer
from tests.protocols.test_s3_holes import Holes


class Case(Holes):
    def setUp(self) -> None:
        super().setUp()
        clock = self.house.clock
        self.server = HttpServer(
            self.door.handle, self.house.limits, Timeouts(clock), clock.seconds, at_once=self.door.at_once.answer
        )
        self.channel = self.connect()
        self.ids = 0

    def connect(self) -> MemoryChannel:
        channel = MemoryChannel(peer="192.0.2.7")
        self.server.serve(channel)
        return channel

    def signed(self, path: str, method: str, more: dict[str, str], **signing: Any) -> bytes:
        """A request as an SDK sends it: with a number that no other has, which is not signed."""
        signer = self.signer(signing.pop("secret", self.secret), **signing)
        request = signer.request("get" if method == "GET" else "head", "UNSIGNED-PAYLOAD", "header", path, **more)
        self.ids += 1
        fields = [*request.headers.items(), ("amz-sdk-invocation-id", f"{self.ids:032}")]
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")

    def ask(self, path: str = "/d/other", method: str = "GET", more: dict[str, str] | None = None, **signing: Any) -> Answer:  # type: ignore[override]
        return self.say(self.signed(path, method, more or {}, **signing), method)

    def say(self, data: bytes, method: str = "GET") -> Answer:
        self.channel.feed(data)
        answer, rest = parse_answer(self.channel.take(), method)
        self.assertEqual(rest, b"")
        return answer

    def at_once(self, *args: Any, **named: Any) -> Answer | None:
        """The answer to a request, if it came at once; it is asked for anyhow."""
        before = self.server.answered_at_once
        answer = self.ask(*args, **named)
        return answer if self.server.answered_at_once > before else None

    def warm(self) -> None:
        """Have an answer come at once, and be right."""
        self.ask()
        self.later(1.0)
        answer = self.at_once()
        assert answer is not None, "it did not come at once"
        self.assertEqual((answer.status, answer.body), (200, b"old"))

    def later(self, seconds: float) -> None:
        self.house.clock.advance(seconds)

    def longs(self, *args: Any, **named: Any) -> Answer:
        before = self.server.answered_at_once
        answer = self.ask(*args, **named)
        self.assertEqual(self.server.answered_at_once, before, "it came at once")
        return answer

    def put(self, name: str, content: bytes) -> None:
        async def put() -> None:
            upload = await self.files.open_write(f"/d/{name}")
            await upload.receive(MemorySource(content))
            await upload.commit()

        self.house.now(put())


class SameAnswers(Case):
    def both(self, **named: Any) -> Answer:
        """The long way, then the short one: the same to the byte, but for the number of the reply."""
        long = self.ask(**named)
        self.later(1.0)
        short = self.at_once(**named)
        assert short is not None
        self.assertEqual((short.status, short.body), (long.status, long.body))
        numbered = ("x-amz-request-id", "date")
        told = [sorted(pair for pair in each.headers.items() if pair[0].lower() not in numbered) for each in (short, long)]
        self.assertEqual(told[0], told[1])
        numbers = [each.headers.get("x-amz-request-id") or "" for each in (long, short)]
        self.assertLess(numbers[0], numbers[1])
        return short

    def test_get_and_head(self) -> None:
        self.assertEqual(self.both().body, b"old")
        self.assertEqual(self.both(method="HEAD").headers.get("content-length"), "3")

    def test_after_another_object(self) -> None:
        self.ask()
        answer = self.at_once("/d/there%20%C3%BC")
        assert answer is not None
        self.assertEqual(answer.body, b"old")

    def test_with_checksums(self) -> None:
        answer = self.both(more={"x_amz_checksum_mode": "ENABLED"})
        self.assertIn("x-amz-checksum-crc64nvme", answer.headers)
        self.assertNotIn("x-amz-checksum-crc64nvme", self.both().headers)

    def test_the_record_is_the_same(self) -> None:
        self.ask()
        self.assertIsNotNone(self.at_once())
        names = ("Action", "FileName", "Status", "BytesSent", "UserId", "FileSystem", "HostAddress")
        long, short = [tuple(fields[name] for name in names) for fields in self.sink.of("INH")][-2:]
        self.assertEqual(short, long)
        self.assertEqual(short, ("download", "other", "done", 3, "ann", 0, "192.0.2.7"))

    def test_a_host_that_begins_with_the_bucket(self) -> None:
        self.door._addresses._suffix = ".s3.example.org"
        self.ask("/other", host="d.s3.example.org")
        answer = self.at_once("/other", host="d.s3.example.org")
        assert answer is not None
        self.assertEqual(answer.body, b"old")


class Refused(Case):
    """What is not plainly signed, and of now, goes the long way, and is refused there."""

    def setUp(self) -> None:
        super().setUp()
        self.warm()

    def test_a_wrong_signature(self) -> None:
        answer = self.longs(secret="wrong")
        self.assertEqual((answer.status, b"SignatureDoesNotMatch" in answer.body), (403, True))
        self.assertIn("signature", self.sink.of("DEA")[-1]["Message"])

    def test_the_signature_of_another_path_or_method(self) -> None:
        good = self.signed("/d/other", "GET", {})
        self.assertEqual(self.say(good.replace(b"/d/other ", b"/d/there%20%C3%BC ")).status, 403)
        self.assertEqual(self.say(good.replace(b"GET ", b"HEAD "), "HEAD").status, 403)
        self.assertEqual(self.server.answered_at_once, 1)

    def test_any_changed_character_of_what_is_signed(self) -> None:
        good = self.signed("/d/other", "GET", {})
        for old, new in (
            (b"Signature=", b"Signaturf="),
            (b"host;", b"hosu;"),
            (b"UNSIGNED", b"UNSIGNEE"),
            (b"eu-west-9", b"eu-west-8"),
        ):
            self.assertIn(old, good)
            self.assertGreaterEqual(self.say(good.replace(old, new)).status, 400, new)
        stamp = good.index(b"x-amz-date: ") + len(b"x-amz-date: ")
        for place in range(stamp, stamp + 16):
            digit = good[place : place + 1]
            other = b"1" if digit != b"1" else b"2"
            self.assertGreaterEqual(self.say(good[:place] + other + good[place + 1 :]).status, 400, place - stamp)
        self.assertEqual(self.server.answered_at_once, 1)

    def test_one_that_is_too_old(self) -> None:
        self.assertIsNotNone(self.at_once(ago=800.0))
        self.assertEqual(self.longs(ago=1000.0).status, 403)
        self.assertEqual(self.longs(ago=-1000.0).status, 403)

    def test_another_access_key(self) -> None:
        self.assertEqual(self.longs(access_key="A" * len(self.access_key)).status, 403)

    def test_a_key_that_was_taken_away(self) -> None:
        self.house.now(self.house.operations.remove_access_key("ann", self.access_key))
        self.assertEqual(self.longs().status, 403)

    def test_a_key_that_has_expired(self) -> None:
        key, self.secret = self.house.now(self.house.operations.add_access_key("ann", 30.0, None, None))
        self.access_key = key.id
        self.warm()
        self.later(40.0)
        self.assertEqual(self.longs().status, 403)

    def test_a_user_that_is_disabled_or_may_no_more(self) -> None:
        self.house.now(self.house.operations.change_user("ann", UserChange(permissions=("dir",))))
        self.assertEqual(self.longs().status, 403)
        self.house.now(self.house.operations.change_user("ann", UserChange(enabled=False)))
        self.assertEqual(self.longs().status, 403)


class LongWay(Case):
    def setUp(self) -> None:
        super().setUp()
        self.warm()

    def test_what_asks_for_more(self) -> None:
        for more, status in (
            ({"range": "bytes=1-1"}, 206),
            ({"if_none_match": "*"}, 304),
            ({"if_match": '"x"'}, 412),
            ({"x_amz_expected_bucket_owner": "somebody"}, 403),
        ):
            for _ in range(2):
                self.assertEqual(self.longs(more=more).status, status)

    def test_what_is_no_object(self) -> None:
        for path, status in (
            ("/d/missing", 404),
            ("/d", 200),
            ("/nowhere/a", 404),
            ("/d/a//b", 400),
            ("/d/%FF", 400),
            ("/d/", 200),
        ):
            self.ask()
            self.assertEqual(self.longs(path).status, status, path)

    def test_an_overwritten_object(self) -> None:
        etag = self.ask().headers.get("etag")
        self.put("other", b"newer")
        self.ask()
        answer = self.at_once()
        assert answer is not None
        self.assertEqual((answer.body, answer.headers.get("content-length")), (b"newer", "5"))
        self.assertNotEqual(answer.headers.get("etag"), etag)

    def test_a_deleted_object(self) -> None:
        self.house.now(self.files.delete("/d/other"))
        self.assertEqual(self.longs().status, 404)

    def test_other_metadata(self) -> None:
        self.house.now(self.house.master.annotate(self.user.id, "d", "other", {"content-type": "text/x"}, ANYTHING))
        self.ask()
        answer = self.at_once()
        assert answer is not None
        self.assertEqual(answer.headers.get("content-type"), "text/x")

    def test_large_objects(self) -> None:
        self.put("other", bytes(16385))
        self.ask()
        self.assertEqual(len(self.longs().body), 16385)

    def test_another_connection_is_nobody_yet(self) -> None:
        self.channel = self.connect()
        self.assertEqual(self.longs().status, 200)
