"""Files that are answered from memory: that they are, and every way in which what is kept becomes untrue.

The whole node but its sockets: door, portal, Master and store. Each test first shows that an answer came at once.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.http.familiar import Familiar
from ecpds.http.routing import Routes
from ecpds.http.server import HttpServer
from ecpds.limits import Limits
from ecpds.master.codes import STEP, code_of
from ecpds.model import Copy, DestinationChange, Origin
from ecpds.people import NewShare, UserChange
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols.data import DataDoor
from ecpds.protocols.data_headers import STRICT
from ecpds.protocols.data_shares import ShareDoor, share_sessions
from ecpds.timeouts import Timeouts
from tests.doubles import MemoryChannel, MemorySource
from tests.http.support import Answer, parse_answer
from tests.portal.house import NODE, House
from tests.protocols.data_support import basic

ORIGIN = Origin("https", "127.0.0.1", NODE)
LIFE = 60.0


class Case(SynchronousTestCase):
    limits = Limits(credential_life=LIFE, login_failures=3)

    def setUp(self) -> None:
        self.house = House(self, limits=self.limits)
        self.house.add_destination("demo")
        self.house.add_user("alice", ("demo",), password="secret")
        self.files = self.login()
        self.serve()
        self.put("/demo/f", b"first")
        self.fields = f"Host: node\r\nAuthorization: {basic('alice', 'secret')}\r\n"
        self.channel = self.connect()

    def serve(self, **named: Any) -> None:
        house, seconds = self.house, self.house.clock.seconds
        threads, random = house.master.reader._threads, house.master.random
        self.door = DataDoor(house.portal, NODE, self.limits, seconds, threads, random, **named)
        routes = Routes()
        self.door.add_to(routes)
        ShareDoor(self.door, house.portal, share_sessions(random, seconds, 60.0, 60.0)).add_to(routes)
        self.familiar = Familiar(b"k" * 32, self.limits.kept_fields, self.limits.credential_life, seconds)
        self.server = HttpServer(
            routes, self.limits, Timeouts(house.clock), seconds, at_once=self.door.at_once.answer, familiar=self.familiar
        )

    def connect(self, secure: bool = True, peer: str = "127.0.0.1") -> MemoryChannel:
        channel = MemoryChannel(secure=secure, peer=peer)
        self.server.serve(channel)
        return channel

    def login(self, login: str = "alice", password: str = "secret") -> IFileSystem:
        files: IFileSystem = self.house.now(self.house.portal.login(login, password, ORIGIN))
        return files

    def put(self, path: str, content: bytes, files: IFileSystem | None = None) -> None:
        async def put() -> None:
            upload = await (files or self.files).open_write(path)
            await upload.receive(MemorySource(content))
            await upload.commit()

        self.house.now(put())

    def ask(self, path: str = "/demo/f", method: str = "GET", fields: str = "", channel: MemoryChannel | None = None) -> Answer:
        channel = channel or self.channel
        channel.feed(f"{method} /data{path} HTTP/1.1\r\n{fields or self.fields}\r\n".encode())
        answer, rest = parse_answer(channel.take(), method)
        self.assertEqual(rest, b"")
        return answer

    def at_once(self, *args: Any, **named: Any) -> Answer | None:
        """The answer to a request, if it came at once; it is asked for anyhow."""
        before = self.server.answered_at_once
        answer = self.ask(*args, **named)
        return answer if self.server.answered_at_once > before else None

    def warm(self, path: str = "/demo/f", content: bytes = b"first", **named: Any) -> None:
        """Have an answer come at once, and be right."""
        self.ask(path, **named)
        answer = self.at_once(path, **named)
        assert answer is not None, "it did not come at once"
        self.assertEqual((answer.status, answer.body), (200, content))

    def transfers(self) -> list[tuple[Any, ...]]:
        names = ("Action", "FileName", "Status", "BytesSent", "UserId", "FileSystem", "HostAddress")
        return [tuple(fields[name] for name in names) for fields in self.house.sink.of("INH")]


class SameAnswerTests(Case):
    """What comes at once is what would have come anyhow."""

    def both(self, **named: Any) -> None:
        """The long way, then the short one: the same to the byte."""
        long = self.ask(**named)
        short = self.at_once(**named)
        assert short is not None
        self.assertEqual((short.status, short.body), (long.status, long.body))
        self.assertEqual(sorted(short.headers.items()), sorted(long.headers.items()))

    def test_get(self) -> None:
        self.both()

    def test_head(self) -> None:
        self.both(method="HEAD")

    def test_a_name_with_other_letters(self) -> None:
        self.put("/demo/é x.txt", b"text")
        self.both(path="/demo/%C3%A9%20x.txt")

    def test_an_unchanged_file(self) -> None:
        etag = self.ask().headers.get("etag")
        self.both(fields=f"{self.fields}If-None-Match: {etag}\r\n")
        self.both(fields=f"{self.fields}If-None-Match: {etag}\r\n", method="HEAD")
        self.both(fields=f"{self.fields}If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n")

    def test_with_strict_transport_security(self) -> None:
        self.serve(always=(STRICT,))
        for secure in (True, False):
            self.channel = self.connect(secure)
            self.ask()
            answer = self.at_once()
            assert answer is not None
            self.assertEqual(answer.headers.get("strict-transport-security"), STRICT[1] if secure else None)

    def test_the_record_is_the_same(self) -> None:
        self.ask()
        self.assertIsNotNone(self.at_once())
        long, short = self.transfers()[-2:]
        self.assertEqual(short, long)
        self.assertEqual(short, ("download", "f", "done", 5, "alice", 0, "127.0.0.1"))

    def test_head_and_304_leave_no_record(self) -> None:
        self.ask(method="HEAD")
        before = self.transfers()
        self.assertIsNotNone(self.at_once(method="HEAD"))
        fields = f"{self.fields}If-None-Match: *\r\n"
        self.ask(fields=fields)
        answer = self.at_once(fields=fields)
        assert answer is not None
        self.assertEqual((answer.status, self.transfers()), (304, before))

    def test_a_file_that_was_not_read_before(self) -> None:
        self.put("/demo/g", b"other")
        self.ask()
        answer = self.at_once("/demo/g")
        assert answer is not None
        self.assertEqual(answer.body, b"other")

    def test_kept_bytes_serve_without_the_disk(self) -> None:
        self.warm()
        hits = self.house.backing.kept.hits
        for path in self.house.stored():
            path.unlink()
        self.assertIsNotNone(self.at_once())
        self.assertEqual(self.house.backing.kept.hits, hits + 1)


class LongWayTests(Case):
    """What is never answered at once."""

    def longs(self, *args: Any, **named: Any) -> Answer:
        self.ask(*args, **named)
        self.assertIsNone(self.at_once(*args, **named))
        return self.ask(*args, **named)

    def test_ranges_and_wishes(self) -> None:
        self.warm()
        ranged = self.longs(fields=f"{self.fields}Range: bytes=1-2\r\n")
        self.assertEqual((ranged.status, ranged.body), (206, b"ir"))
        self.assertEqual(self.longs(fields=f"{self.fields}Range: bytes=9-\r\n").status, 416)
        wished = self.longs(fields=f"{self.fields}Want-Content-Digest: sha-256=1\r\n")
        self.assertIn("content-digest", wished.headers)
        self.assertIn("link", self.longs(fields=f"{self.fields}Accept: application/metalink4+xml\r\n").headers)

    def test_conditions_that_are_not_answered_by_304(self) -> None:
        self.warm()
        self.assertEqual(self.longs(fields=f'{self.fields}If-Match: "9999"\r\n').status, 412)
        self.assertEqual(self.longs(fields=f"{self.fields}If-Match: nonsense\r\n").status, 400)
        self.assertEqual(self.longs(fields=f'{self.fields}If-None-Match: "9999"\r\n').body, b"first")

    def test_folders_and_what_is_not_there(self) -> None:
        self.warm()
        self.assertEqual(self.longs("/demo/").status, 200)
        self.assertEqual(self.longs("/demo").status, 301)
        self.assertEqual(self.longs("/demo/none").status, 404)
        self.assertEqual(self.longs("/other/f").status, 404)
        self.assertEqual(self.longs("/demo/%zz").status, 400)
        self.assertEqual(self.longs("/demo/../demo/f").status, 400)

    def test_large_files(self) -> None:
        for size, quick in ((16384, True), (16385, False)):
            self.put("/demo/g", bytes(size))
            self.ask()
            self.assertEqual(self.at_once("/demo/g") is not None, quick, size)

    def test_an_empty_file(self) -> None:
        self.put("/demo/g", b"")
        self.assertEqual(self.ask("/demo/g").body, b"")
        self.assertEqual(self.ask("/demo/g").body, b"")

    def test_a_wrong_password_on_a_connection_that_was_let_in(self) -> None:
        self.warm()
        fields = self.fields.replace(basic("alice", "secret"), basic("alice", "wrong"))
        self.assertEqual(self.longs(fields=fields).status, 401)

    def test_who_has_header_fields_of_its_own(self) -> None:
        self.change(options={"portal.headerRegistry": "(.= f) X-Mine=1"})
        self.assertEqual(self.longs().status, 200)

    def test_who_may_be_read_by_other_sites(self) -> None:
        self.change(options={"portal.corsAllowOrigin": "https://app.example"})
        answer = self.longs(fields=f"{self.fields}Origin: https://app.example\r\n")
        self.assertEqual(answer.headers.get("access-control-allow-origin"), "https://app.example")

    def change(self, **named: Any) -> None:
        self.house.now(self.house.operations.change_user("alice", UserChange(**named)))


class NothingKeptTests(Case):
    limits = Limits(kept_bytes=0)

    def test_nothing_is_kept(self) -> None:
        self.ask()
        self.assertIsNone(self.at_once())
        self.assertEqual(self.house.backing.kept.size, 0)


class UntrueTests(Case):
    """Every way in which what is kept becomes untrue."""

    def setUp(self) -> None:
        super().setUp()
        self.warm()

    def change(self, **named: Any) -> None:
        self.house.now(self.house.operations.change_user("alice", UserChange(**named)))

    def test_overwritten(self) -> None:
        etag = self.ask().headers.get("etag")
        self.put("/demo/f", b"second")
        answer = self.at_once()
        assert answer is not None
        self.assertEqual((answer.body, answer.headers.get("content-length")), (b"second", "6"))
        self.assertNotEqual(answer.headers.get("etag"), etag)

    def test_overwritten_by_what_is_as_long(self) -> None:
        self.put("/demo/f", b"other")
        self.assertEqual(self.ask().body, b"other")

    def test_overwritten_and_asked_with_the_old_tag(self) -> None:
        fields = f"{self.fields}If-None-Match: {self.ask().headers.get('etag')}\r\n"
        self.assertEqual([self.ask(fields=fields).status for _ in range(2)], [304, 304])
        self.put("/demo/f", b"second")
        self.assertEqual((self.ask(fields=fields).status, self.ask(fields=fields).body), (200, b"second"))

    def test_deleted(self) -> None:
        self.house.now(self.files.delete("/demo/f"))
        self.assertEqual(self.ask().status, 404)
        self.assertEqual(self.ask(method="HEAD").status, 404)

    def test_deleted_and_put_again(self) -> None:
        self.house.now(self.files.delete("/demo/f"))
        self.put("/demo/f", b"again")
        self.assertEqual(self.ask().body, b"again")

    def test_renamed(self) -> None:
        self.house.now(self.files.rename("/demo/f", "/demo/g.txt"))
        self.assertEqual(self.ask().status, 404)
        answer = self.ask("/demo/g.txt")
        self.assertEqual((answer.body, answer.headers.get("content-type")), (b"first", "text/plain; charset=utf-8"))

    def test_another_renamed_over_it(self) -> None:
        self.put("/demo/g", b"other")
        self.house.now(self.files.rename("/demo/g", "/demo/f"))
        self.assertEqual(self.ask().body, b"other")

    def test_a_folder_above_it_renamed(self) -> None:
        self.put("/demo/a/b/f", b"deep")
        self.warm("/demo/a/b/f", b"deep")
        self.house.now(self.files.rename("/demo/a", "/demo/c"))
        self.assertEqual(self.ask("/demo/a/b/f").status, 404)
        self.assertEqual(self.ask("/demo/c/b/f").body, b"deep")

    def test_another_time_of_modification(self) -> None:
        self.house.now(self.files.set_mtime("/demo/f", 1_000_000_000.0))
        self.ask()
        answer = self.at_once()
        assert answer is not None
        self.assertEqual(answer.headers.get("last-modified"), "Sun, 09 Sep 2001 01:46:40 GMT")

    def test_another_digest_known(self) -> None:
        before = self.ask().headers.get("repr-digest")
        wanted = self.house.now(self.files.digest("/demo/f", "sha512"))
        fields = f"{self.fields}Want-Repr-Digest: sha-512=5\r\n"
        self.assertTrue(wanted)
        self.assertIn("sha-512", self.ask(fields=fields).headers.get("repr-digest") or "")
        self.assertEqual(self.ask().headers.get("repr-digest"), before)

    def test_a_right_taken(self) -> None:
        self.change(permissions=("dir", "put"))
        self.assertEqual(self.ask().status, 403)

    def test_a_pattern_set(self) -> None:
        self.change(options={"portal.getPathPermRegex": "/demo/other.*"})
        self.assertEqual(self.ask().status, 403)

    def test_a_destination_taken(self) -> None:
        self.house.add_destination("other")
        self.change(destinations=("other",))
        self.assertEqual(self.ask().status, 404)

    def test_disabled(self) -> None:
        self.change(enabled=False)
        self.assertEqual(self.ask().status, 403)

    def test_a_one_time_code_whose_time_is_over(self) -> None:
        """Whoever sends it again is asked for a new one, as late as the long way would, and no later."""
        uri = urlsplit(self.house.now(self.house.operations.enrol_totp("alice")))
        secret = base64.b32decode(parse_qs(uri.query)["secret"][0])
        code = code_of(secret, int(self.house.clock.seconds()) // STEP)
        self.fields = f"Host: node\r\nAuthorization: {basic('alice', 'secret' + code)}\r\n"
        self.assertEqual([self.ask().body for _ in range(2)], [b"first"] * 2)
        self.house.clock.advance(self.limits.code_life - 1.0)
        self.channel = self.connect()
        self.assertEqual([self.ask().body for _ in range(2)], [b"first"] * 2)
        self.house.clock.advance(1.0)
        self.assertEqual(self.ask().status, 401)
        self.assertEqual(self.ask(channel=self.connect()).status, 401)

    def test_removed(self) -> None:
        self.house.now(self.house.operations.remove_user("alice"))
        self.assertEqual(self.ask().status, 401)

    def test_another_password(self) -> None:
        self.house.now(self.house.operations.set_password("alice", "other"))
        self.assertEqual(self.ask().status, 401)

    def test_kept_out_of_this_door(self) -> None:
        self.change(options={"portal.excludeProtocols": "https"})
        self.assertEqual(self.ask().status, 403)

    def test_a_schedule_that_says_none_from_now_on(self) -> None:
        # 22:13:20 by the house's clock
        self.change(options={"portal.maxConnectionsSchedule": "22:14-23:00=0"})
        self.assertEqual([self.ask().status for _ in range(2)], [200, 200])
        self.assertIsNone(self.at_once())
        self.house.clock.advance(45.0)
        self.assertEqual(self.ask().status, 403)

    def test_one_time_codes_asked_for(self) -> None:
        self.change(options={"portal.totp": "required"})
        self.assertIsNone(self.at_once())

    def test_the_destination_named_otherwise(self) -> None:
        change = DestinationChange(options={"incoming.rootdir": "shown"})
        self.house.now(self.house.operations.change_destination("demo", change))
        self.assertEqual(self.ask().status, 404)
        self.assertEqual(self.ask("/shown/f").body, b"first")

    def test_the_destination_removed(self) -> None:
        self.house.now(self.house.operations.remove_destination("demo", True))
        self.assertEqual(self.ask().status, 403)

    def test_the_login_is_older_than_is_believed(self) -> None:
        self.house.clock.advance(LIFE)
        self.assertIsNone(self.at_once())
        self.assertIsNotNone(self.at_once())

    def test_too_many_wrong_passwords(self) -> None:
        wrong = self.fields.replace(basic("alice", "secret"), basic("alice", "wrong"))
        for _ in range(self.limits.login_failures):
            self.assertEqual(self.ask(fields=wrong, channel=self.connect()).status, 401)
        self.assertEqual(self.ask().status, 429)

    def test_the_copy_is_another(self) -> None:
        kept = self.house.backing.kept
        entry = self.house.now(self.house.master.resolve("demo", "f"))
        (segment,) = entry.file.segments
        self.assertIsNotNone(kept.get(segment))
        moved = type(segment)(segment.id, segment.length, (Copy("elsewhere", 0),))
        self.assertIsNone(kept.get(moved))

    def test_every_answer_costs_a_login_and_a_record(self) -> None:
        before = len(self.transfers())
        for _ in range(3):
            self.ask()
        self.assertEqual(len(self.transfers()), before + 3)


class TokenTests(Case):
    """Who comes with an access key as a bearer token."""

    def setUp(self) -> None:
        super().setUp()
        self.key, secret = self.house.now(self.house.operations.add_access_key("alice", 100.0, ("get",), ("demo",)))
        self.fields = f"Host: node\r\nAuthorization: Bearer {self.key.id}.{secret}\r\n"
        self.warm()

    def test_taken_back(self) -> None:
        self.house.now(self.house.operations.remove_access_key("alice", self.key.id))
        self.assertEqual(self.ask().status, 401)

    def test_expired(self) -> None:
        self.house.clock.advance(50.0)
        self.assertIsNotNone(self.at_once())
        self.house.clock.advance(50.0)
        self.assertEqual(self.ask().status, 401)

    def test_its_user_disabled(self) -> None:
        self.house.now(self.house.operations.change_user("alice", UserChange(enabled=False)))
        self.assertEqual(self.ask().status, 403)


class SessionTests(Case):
    """Who comes with a browser's cookie."""

    def setUp(self) -> None:
        super().setUp()
        cookie = self.door.gate._sessions.begin(self.files.identity).partition(";")[0]
        self.fields = f"Host: node\r\nCookie: {cookie}\r\n"
        self.warm()

    def test_logged_out(self) -> None:
        sessions = self.door.gate._sessions
        sessions.end(next(iter(sessions._sessions.values())))
        self.assertEqual(self.ask().status, 401)

    def test_not_used_for_too_long(self) -> None:
        self.house.clock.advance(self.limits.session_idle + 1)
        self.channel = self.connect()
        self.assertEqual(self.ask().status, 401)

    def test_another_password(self) -> None:
        self.house.now(self.house.operations.set_password("alice", "other"))
        self.assertEqual(self.ask().status, 403)

    def test_a_cookie_is_looked_at_on_each_connection(self) -> None:
        self.assertIsNone(self.at_once(channel=self.connect()))
        self.assertEqual(len(self.familiar), 0)


class ShareTests(Case):
    def test_a_link_counts_each_use(self) -> None:
        share = NewShare("", "", ("get",), None, 2, None)
        _, token = self.house.now(self.files.add_share("/demo/f", share))
        statuses = []
        for _ in range(3):
            self.channel.feed(f"GET /share/{token}/f HTTP/1.1\r\nHost: node\r\n\r\n".encode())
            answer, _ = parse_answer(self.channel.take())
            statuses.append(answer.status)
        self.assertEqual((statuses[:2], statuses[2] != 200), ([200, 200], True))
        self.assertEqual(self.server.answered_at_once, 0)


class OtherDoorsTests(Case):
    def test_kept_bytes_serve_every_door(self) -> None:
        self.warm()
        for path in self.house.stored():
            path.unlink()

        async def read() -> memoryview | None:
            download = await self.files.open_read("/demo/f")
            data = download.held(0, 5)
            download.close()
            return data

        self.assertEqual(self.successResultOf(ensureDeferred(read())), b"first")

    def test_what_another_door_has_read_is_kept(self) -> None:
        async def read() -> None:
            (await self.files.open_read("/demo/f")).close()

        self.house.now(read())
        self.assertGreater(self.house.backing.kept.size, 0)
