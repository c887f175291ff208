"""The holes that caught the peers, each a test by name: what was possible there must not be here."""

from __future__ import annotations

import random
import socket
import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from ecpds.config import Ftp
from ecpds.protocols.ftp_session import VERBS
from tests.protocols.ftp_support import PEER, Client, FtpTestCase, House, codes, credentials
from tests.protocols.test_ftp_sockets import socket_factory

CONTENT = bytes(range(256)) * 4


class Holes(FtpTestCase):
    def setUp(self) -> None:
        self.house = self.new_house()
        self.house.tree.put("/demo/a", CONTENT)
        self.client = self.house.log_in()

    def test_bounce(self) -> None:
        """PORT to a third host, or to a service's port (CA-1997-27)."""
        for line in ("PORT 192,0,2,8,200,1", "PORT 192,0,2,7,0,22", "EPRT |1|192.0.2.8|50000|", "EPRT |1|192.0.2.7|25|"):
            self.assertEqual(codes(self.client.say(line, "RETR /demo/a", "LIST")), ["504", "425", "425"], line)
        self.assertEqual(self.house.listeners.connected, [])

    def test_bounce_after_an_allowed_port(self) -> None:
        """A refused PORT does not leave an earlier one's place to be mistaken for its own."""
        self.client.say("PORT 192,0,2,7,200,1", "PORT 192,0,2,8,200,1", "RETR /demo/a")
        self.assertEqual([where for where, _ in self.house.listeners.connected], [("192.0.2.1", PEER, 51201)])

    def test_pasv_theft(self) -> None:
        """Another host that is first at a passive port gets nothing, and takes nothing from who it was opened for."""
        self.client.say("EPSV")
        listener = self.house.listeners.made[-1]
        thief = listener.connect("203.0.113.5")
        mine = listener.connect()
        self.assertEqual(codes(self.client.say("RETR /demo/a")), ["150", "226"])
        self.assertEqual((thief.all_written, mine.all_written), (b"", CONTENT))
        self.assertTrue(thief.aborted)

    def test_starttls_injection(self) -> None:
        """What stands in clear text behind AUTH TLS is not obeyed under TLS (CVE-2011-0411 and its kin)."""
        client = self.house.connect()
        client.write(b"AUTH TLS\r\nUSER alice\r\nPASS secret\r\nDELE /demo/a\r\n")
        client.turn()
        self.assertEqual(codes(client.heard()), ["234"])
        self.assertEqual(codes(client.say("PASS secret")), ["503"])
        self.assertEqual(self.house.tree.read("/demo/a"), CONTENT)

    def test_alpaca_http_words(self) -> None:
        """A browser that was led here reveals nothing and gets nothing back (CVE-2021-3618); its names are refused by TLS."""
        for line in (b"GET /?USER%20alice HTTP/1.1", b"POST / HTTP/1.1", b"Host: x", b"Cookie: session=1"):
            client = self.house.connect()
            client.write(line + b"\r\nUSER alice\r\nPASS secret\r\n")
            client.turn()
            self.assertEqual((client.heard(), client.closed), ([], True), line)

    def test_abor_at_every_turn(self) -> None:
        """ABOR races (ProFTPD CVE-2020-9273): wherever it comes, nothing leaks and nothing half is published."""
        for line in ("RETR /demo/a", "STOR /demo/new", "LIST", "APPE /demo/new"):
            for turns in range(12):
                channel = self.client.passive()
                self.client.write(f"{line}\r\n".encode())
                channel.feed(b"half")
                self.client.turn(turns)
                self.client.write(b"\xff\xf4\xff\xf2ABOR\r\n")
                self.client.turn()
                self.assertIn(codes(self.client.heard())[-1], ("226", "225"), (line, turns))
                self.assertTrue(channel.closed, (line, turns))
        self.assertEqual((self.house.listeners.open, self.house.tree.uploads, self.house.tree.downloads), ([], [], []))
        self.assertNotIn(("demo", "new"), self.house.tree.files)

    def test_abor_while_a_transfer_is_about_to_begin(self) -> None:
        """APPE first asks what is kept: what said ABOR meanwhile was published, empty, when its client was gone."""
        for end in (lambda: self.client.write(b"ABOR\r\n"), self.client.lose):
            held = self.house.tree.hold_kept = Deferred()
            channel = self.client.passive()
            self.client.say("APPE /demo/new")
            end()
            held.callback(None)
            self.client.turn()
            channel.feed_end()
            self.client.turn()
            self.assertIn(self.client.heard(), (["426 The transfer was aborted.", "226 Nothing is being transferred now."], []))
            self.assertEqual((self.house.listeners.open, self.house.tree.uploads), ([], []))
            self.assertNotIn(("demo", "new"), self.house.tree.files)

    def test_glob_cost(self) -> None:
        """A pattern made to backtrack (CVE-2011-0418) costs no more than a listing."""
        self.house.tree.put("/demo/" + "a" * 255, b"x")
        said, listed, _ = self.client.download("NLST /demo/" + "*a" * 60 + "*b")
        self.assertEqual((codes(said), listed), (["150", "226"], b""))

    def test_lines_made_to_take_long(self) -> None:
        """Each of these took seconds of the reactor, for that grew with the square of the line; the first needs no login."""
        client = self.new_house(limits={"command_line": 50_000, "unknown_commands": 0}).log_in()
        client.passive()
        spaces = b" " * 24_000
        for line, code in (
            (b"\xff\xfa" * 20_000, "500"),
            (b"XMD5 " + spaces + b"x", "553"),
            (b"SITE UTIME x" + spaces + b"x", "501"),
            (b"NLST " + b"[" * 12_000, "553"),
        ):
            began = time.thread_time()
            client.write(line + b"\r\n")
            self.assertLess(time.thread_time() - began, 1.0, line[:10])
            client.turn()
            self.assertEqual(codes(client.heard()), [code], line[:10])

    def test_recursive_listing(self) -> None:
        """LIST -R lists one directory (pure-ftpd CVE-2019-20176 ran out of stack)."""
        self.house.tree.put("/demo/" + "d/" * 300 + "deep", b"x")
        said, listed, _ = self.client.download("LIST -R /demo")
        self.assertEqual((codes(said), listed.count(b"\r\n")), (["150", "226"], 2))

    def test_globs_in_directories_are_not_expanded(self) -> None:
        self.assertEqual(codes(self.client.download("NLST /*/*/*/../*/*")[0])[0], "550")

    def test_over_long_commands(self) -> None:
        """ProFTPD CVE-2019-18217, CVE-2023-51713: a line without end, an argument that ends in a quote."""
        client = self.new_house(limits={"command_line": 1000}).log_in()
        for _ in range(20):
            client.write(b"STOR " + b"A" * 100_000)
        client.write(b'\r\nCWD "\r\nMKD "\\"\r\nNOOP\r\n')
        client.turn()
        self.assertEqual(codes(client.heard())[0], "500")
        self.assertEqual(codes(client.say("NOOP")), ["200"])

    def test_copying_before_the_login(self) -> None:
        """SITE CPFR and CPTO (ProFTPD CVE-2015-3306, CVE-2019-12815)."""
        client = self.house.connect()
        self.assertEqual(codes(client.say("SITE CPFR /demo/a", "SITE CPTO /demo/b", "SITE HELP")), ["530", "530", "530"])

    def test_a_verb_in_the_wrong_state(self) -> None:
        client = self.house.connect()
        for verb in VERBS.values():
            if verb.permission or verb.transfers:
                self.assertEqual(codes(client.say(f"{verb.name} /demo/a")), ["530"], verb.name)
        self.assertEqual(self.house.tree.read("/demo/a"), CONTENT)


class Fuzzing(FtpTestCase):
    """Anything at all on the control channel, while transfers run: nothing leaks, and nothing half is published."""

    def test_the_control_channel_during_transfers(self) -> None:
        chance = random.Random(20261121)
        for _ in range(150):
            house = self.new_house(limits={"unknown_commands": 0, "login_tries": 1000, "command_line": 600})
            house.tree.put("/demo/a", CONTENT)
            client = house.log_in(secure=chance.random() < 0.3)
            for _ in range(chance.randrange(1, 25)):
                self.disturb(chance, house, client)
            client.lose()
            client.turn()
            self.check(house)

    def disturb(self, chance: random.Random, house: House, client: Client) -> None:
        """One thing that a client may do, in whatever state it is."""
        kind = chance.randrange(6)
        if client.closed:
            return
        if kind == 0:
            client.write(bytes(chance.choices(range(256), k=chance.randrange(1, 400))) + b"\r\n" * chance.randrange(2))
        elif kind == 1:
            argument = chance.choice(
                ("", " /demo/a", " /demo/new", " x" * 300, " 0", " ALL", ' "', " /demo/*", " 192,0,2,7,200,1")
            )
            client.write(f"{chance.choice(list(VERBS))}{argument}\r\n".encode())
        elif kind == 2:
            client.write(
                b"EPSV\r\n" + chance.choice((b"STOR /demo/new", b"RETR /demo/a", b"LIST", b"APPE /demo/new")) + b"\r\n"
            )
        elif kind == 3:
            client.write(b"\xff\xf4\xff\xf2ABOR\r\n"[chance.randrange(5) :])
        elif house.listeners.open:
            channel = house.listeners.open[-1].connect(chance.choice((PEER, "203.0.113.5")))
            channel.feed(b"half")
            chance.choice((lambda: None, channel.feed_loss))()
        client.turn(chance.randrange(4))

    def check(self, house: House) -> None:
        self.assertEqual(house.listeners.open, [])
        self.assertEqual((house.tree.uploads, house.tree.downloads), ([], []))
        self.assertEqual((house.factory.sessions, house.admission.total), (set(), 0))
        self.assertNotIn(("demo", "new"), house.tree.files)
        self.assertTrue(all(channel.closed for _, channel in house.listeners.connected))


class RealTheft(TestCase):
    """PASV theft over real sockets: loopback has many addresses."""

    async def test_pasv_theft(self) -> None:
        factory, portal = socket_factory(Ftp(), credentials())
        portal.tree.put("/demo/a", CONTENT)
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")

        async def stop() -> None:
            await maybeDeferred(port.stopListening)
            await factory.drain()

        self.addCleanup(stop)
        self.assertEqual(await deferToThread(self.steal, port.getHost().port), (b"", CONTENT))

    def steal(self, port: int) -> tuple[bytes, bytes]:
        """What a thief and the client get of a passive port."""
        with socket.create_connection(("127.0.0.1", port), 20) as control, control.makefile("rwb", 0) as lines:
            self.say(lines, "USER alice", "PASS secret", "TYPE I")
            number = int(self.say(lines, "EPSV").split("|")[3])
            with socket.create_connection(("127.0.0.1", number), 20, ("127.0.0.2", 0)) as thief:
                with socket.create_connection(("127.0.0.1", number), 20) as mine:
                    self.say(lines, "RETR /demo/a")
                    return self.read(thief), self.read(mine)

    def say(self, lines: Any, *commands: str) -> str:
        answer = ""
        for command in commands:
            lines.write(f"{command}\r\n".encode())
            answer = lines.readline().decode()
            if answer.startswith("220"):
                answer = lines.readline().decode()
        return answer

    def read(self, connection: socket.socket) -> bytes:
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            return b""
