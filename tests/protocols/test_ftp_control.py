"""The control connection: login, order, limits, hostile lines, and how it ends."""

from __future__ import annotations

import random
from typing import ClassVar

from twisted.internet.defer import Deferred

from ecpds.errors import ConnectionLost, TooManyConnections, Unavailable
from ecpds.model import PERMISSIONS, Origin
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols.ftp import BURST
from ecpds.protocols.ftp_session import SYNONYMS, VERBS, Argument, Need, Verb
from tests.doubles import MemoryPortal, make_identity
from tests.protocols.ftp_support import LOCAL, PEER, Client, FtpTestCase, codes


class SlowPortal(MemoryPortal):
    """Its logins wait for the test."""

    def __init__(self) -> None:
        super().__init__({"alice": ("secret", make_identity())})
        self.gate: Deferred[None] = Deferred()

    async def login(self, login: str, password: str, origin: Origin) -> IFileSystem:
        await self.gate
        return await super().login(login, password, origin)


class VerbWalk(FtpTestCase):
    """Every verb in every state, against the table."""

    ARGUMENTS: ClassVar[dict[str, str]] = {
        "USER": "alice",
        "TYPE": "I",
        "MODE": "S",
        "STRU": "F",
        "REST": "0",
        "ALLO": "1",
        "OPTS": "UTF8 ON",
        "CWD": "demo",
        "AUTH": "TLS",
        "PBSZ": "0",
        "PROT": "P",
        "PORT": "192,0,2,7,200,1",
        "EPRT": "|1|192.0.2.7|50000|",
        "LANG": "EN",
        "HOST": "localhost",
        "MFMT": "20200101000000 demo/x",
        "MFF": "modify=20200101000000; demo/x",
        "SITE": "HELP",
        "RANG": "0 9",
    }

    def line(self, verb: Verb) -> str:
        argument = self.ARGUMENTS.get(verb.name, "demo/x")
        return f"{verb.name} {argument}" if verb.argument is Argument.REQUIRED else verb.name

    def test_before_user(self) -> None:
        for verb in VERBS.values():
            code = codes(self.new_house().connect().say(self.line(verb)))[0]
            if not verb.implemented:
                self.assertEqual(code, "502", verb.name)
            elif verb.need is Need.NOTHING:
                self.assertIn(code[0], "23", verb.name)
            else:
                self.assertEqual(code, "503" if verb.need in (Need.NAME, Need.SECURE) else "530", verb.name)

    def test_after_user(self) -> None:
        for verb in VERBS.values():
            client = self.new_house().connect()
            client.say("USER alice")
            code = codes(client.say(self.line(verb)))[0]
            if verb.implemented and verb.need in (Need.LOGIN, Need.RENAME):
                self.assertEqual(code, "530", verb.name)

    def test_after_the_login(self) -> None:
        for verb in VERBS.values():
            code = codes(self.new_house().log_in().say(self.line(verb)))[0]
            if not verb.implemented:
                self.assertEqual(code, "502", verb.name)
            elif verb.need in (Need.NAME, Need.RENAME, Need.SECURE) or verb.name == "HOST":
                self.assertEqual(code, "503", verb.name)
            elif verb.transfers:
                self.assertEqual(code, "425", verb.name)
            else:
                self.assertNotIn(code, ("500", "501", "502", "503", "530"), verb.name)

    def test_after_auth(self) -> None:
        """As before it; who was logged in is no longer."""
        for verb in VERBS.values():
            client = self.new_house().log_in()
            client.say("AUTH TLS")
            code = codes(client.say(self.line(verb)))[0]
            if not verb.implemented:
                self.assertEqual(code, "502", verb.name)
            elif verb.name == "REIN":
                self.assertEqual(code, "502")
            elif verb.need is Need.NAME or verb.name in ("AUTH", "PROT"):
                self.assertEqual(code, "503", verb.name)
            elif verb.need in (Need.NOTHING, Need.SECURE):
                self.assertIn(code[0], "23", verb.name)
            else:
                self.assertEqual(code, "530", verb.name)

    def test_during_a_transfer(self) -> None:
        """ABOR and STAT are answered at once; whatever else there is waits for its turn."""
        for verb in VERBS.values():
            client = self.new_house().log_in()
            channel = client.passive()
            client.say("STOR /demo/waiting")
            said = codes(client.say(self.line(verb)))
            if verb.name == "ABOR":
                self.assertEqual(said, ["426", "226"])
            elif verb.name == "STAT":
                self.assertEqual(said, ["211"])
            else:
                self.assertEqual(said, [], verb.name)
                channel.feed(b"x")
                channel.feed_end()
                client.turn()
                self.assertEqual(codes(client.heard())[0], "226", verb.name)

    def test_arguments(self) -> None:
        for verb in VERBS.values():
            if not verb.implemented or verb.need in (Need.RENAME, Need.NAME, Need.SECURE):
                continue
            if verb.argument is Argument.REQUIRED:
                self.assertEqual(codes(self.new_house().log_in().say(verb.name)), ["501"], verb.name)
                self.assertEqual(codes(self.new_house().log_in().say(f"{verb.name} ")), ["501"], verb.name)
            elif verb.argument is Argument.NONE:
                self.assertEqual(codes(self.new_house().log_in().say(f"{verb.name} x")), ["501"], verb.name)

    def test_permissions(self) -> None:
        for verb in VERBS.values():
            if verb.permission is None or verb.need is Need.RENAME:
                continue
            house = self.new_house(permissions=tuple(permission for permission in PERMISSIONS if permission != verb.permission))
            house.tree.put("/demo/x", b"1")
            client = house.log_in()
            client.say("EPSV")
            self.assertEqual(codes(client.say(f"{verb.name} /demo/x")), ["550"], verb.name)
            self.assertEqual(len(house.portal.sink.of("DEA")), 1, verb.name)
            self.assertEqual(house.listeners.open, [] if verb.transfers else house.listeners.made, verb.name)
            self.assertEqual(house.tree.read("/demo/x"), b"1")

    def test_synonyms(self) -> None:
        for synonym, name in SYNONYMS.items():
            self.assertIn(name, VERBS)
            self.assertNotIn(codes(self.new_house().log_in().say(f"{synonym} demo"))[0], ("500", "502"), synonym)


class LoggingIn(FtpTestCase):
    def test_a_wrong_password_and_an_unknown_user_look_the_same(self) -> None:
        replies = []
        for name in ("alice", "nobody"):
            client = self.new_house().connect()
            replies.append(client.say(f"USER {name}") + client.say("PASS wrong"))
        self.assertEqual(replies[0], replies[1])
        self.assertEqual(codes(replies[0]), ["331", "530"])

    def test_pass_needs_user_each_time(self) -> None:
        client = self.new_house().connect()
        self.assertEqual(
            codes(client.say("PASS secret", "USER alice", "PASS wrong", "PASS secret")), ["503", "331", "530", "503"]
        )

    def test_too_many_tries(self) -> None:
        house = self.new_house(limits={"login_tries": 2})
        client = house.connect()
        self.assertEqual(
            codes(client.say("USER alice", "PASS a", "USER alice", "PASS b", "USER alice")), ["331", "530", "331", "530", "421"]
        )
        self.assertTrue(client.closed)

    def test_the_login_takes_too_long(self) -> None:
        client = self.new_house(limits={"login_time": 5.0}).connect()
        client.house.clock.advance(7)
        self.assertEqual((codes(client.heard()), client.closed), (["421"], True))

    def test_who_is_logged_in_is_not_hurried(self) -> None:
        client = self.new_house(limits={"login_time": 5.0}).log_in()
        client.house.clock.advance(7)
        self.assertFalse(client.closed)

    def test_a_second_user_begins_again(self) -> None:
        client = self.new_house().log_in()
        client.say("CWD demo")
        self.assertEqual(codes(client.say("USER alice", "PWD", "PASS secret", "PWD")), ["331", "530", "230", "257"])
        self.assertIn('"/"', client.say("PWD")[0])

    def test_a_second_user_closes_the_data_port(self) -> None:
        client = self.new_house().log_in()
        client.say("EPSV", "USER alice")
        self.assertEqual(client.house.listeners.open, [])

    def test_too_many_connections_is_421_and_the_end(self) -> None:
        house = self.new_house()
        house.portal.broken = TooManyConnections()
        client = house.connect()
        self.assertEqual(codes(client.say("USER alice", "PASS secret", "PWD")), ["331", "421"])
        self.assertTrue(client.closed)

    def test_a_portal_that_cannot_just_now(self) -> None:
        house = self.new_house()
        house.portal.broken = Unavailable()
        self.assertEqual(codes(house.connect().say("USER alice", "PASS secret")), ["331", "451"])

    def test_commands_wait_for_the_login(self) -> None:
        house = self.new_house()
        house.portal = portal = SlowPortal()
        object.__setattr__(house.factory._door, "portal", portal)
        client = house.connect()
        self.assertEqual(codes(client.say("USER alice", "PASS secret", "PWD", "QUIT")), ["331"])
        portal.gate.callback(None)
        self.assertEqual(codes(client.heard()), ["230", "257", "221"])

    def test_a_client_that_leaves_during_the_login(self) -> None:
        house = self.new_house()
        house.portal = portal = SlowPortal()
        object.__setattr__(house.factory._door, "portal", portal)
        client = house.connect()
        client.say("USER alice", "PASS secret")
        client.lose()
        self.assertEqual(len(house.factory.sessions), 1)
        portal.gate.callback(None)
        self.assertEqual(house.factory.sessions, set())
        self.assertEqual(house.factory._door.users.total, 0)


class Lines(FtpTestCase):
    def test_the_greeting(self) -> None:
        self.assertEqual(codes(self.new_house().connect().greeting), ["220"])

    def test_answers_come_in_order_however_the_bytes_come(self) -> None:
        data = "".join(f"MKD /demo/{number}\r\nPWD\r\n" for number in range(100)).encode()
        random_cuts = random.Random(7)
        client = self.new_house().log_in()
        while data:
            size = random_cuts.randint(1, 700)
            client.write(data[:size])
            data = data[size:]
        client.turn(40)
        self.assertEqual(codes(client.heard()), ["257"] * 200)

    def test_the_queue_is_bounded_and_reading_pauses(self) -> None:
        house = self.new_house(limits={"command_queue": 4})
        house.tree.hold = Deferred()
        client = house.log_in()
        client.upload("STOR /demo/a", b"x")
        client.say(*["NOOP"] * 10)
        self.assertEqual(client.transport.producerState, "paused")
        self.assertEqual(len(client.protocol._queue), 4)
        house.tree.hold.callback(None)
        client.turn()
        self.assertEqual(codes(client.heard()), ["226"] + ["200"] * 10)
        self.assertEqual(client.transport.producerState, "producing")

    def test_many_commands_at_once_leave_the_reactor_its_turns(self) -> None:
        client = self.new_house().log_in()
        client.write(b"NOOP\r\n" * 40)
        self.assertLess(len(client.heard()), 40)
        client.turn(10)
        self.assertFalse(client.protocol._queue)

    def test_a_client_that_does_not_read_its_replies_is_not_obeyed(self) -> None:
        client = self.new_house().log_in()
        client.transport.producer.pauseProducing()
        self.assertEqual(len(client.say("PWD", "PWD", "PWD")), 1)
        client.transport.producer.resumeProducing()
        self.assertEqual(len(client.heard()), 2)

    def test_an_over_long_line_is_answered_and_dropped(self) -> None:
        house = self.new_house(limits={"command_line": 100})
        client = house.log_in()
        self.assertEqual(codes(client.say("CWD " + "x" * 500, "NOOP")), ["500", "200"])
        for piece in (b"CWD " + b"y" * 200, b"y" * 70_000, b"y\r", b"\nPWD\r\n"):
            client.write(piece)
            self.assertLess(len(client.protocol._buffer), 1000)
        client.turn()
        self.assertEqual(codes(client.heard()), ["500", "257"])
        self.assertEqual(len(house.portal.sink.of("DEA")), 2)

    def test_a_line_of_just_the_limit(self) -> None:
        client = self.new_house(limits={"command_line": 100}).log_in()
        self.assertEqual(codes(client.say("CWD " + "x" * 96, "CWD " + "x" * 97)), ["550", "500"])

    def test_http_closes_at_once(self) -> None:
        house = self.new_house()
        client = house.connect()
        self.assertEqual(client.say("POST / HTTP/1.1", "Host: x", "", "USER alice"), [])
        self.assertTrue(client.closed)
        self.assertEqual(len(house.portal.sink.of("DEA")), 1)

    def test_http_in_a_transfer_publishes_nothing(self) -> None:
        house = self.new_house()
        client = house.log_in()
        channel = client.passive()
        client.say("STOR /demo/a")
        channel.feed(b"half")
        client.say("Cookie: x")
        self.assertTrue(channel.aborted)
        self.assertEqual((house.tree.uploads, house.tree.files), ([], {}))

    def test_unknown_commands_in_a_row_close(self) -> None:
        client = self.new_house(limits={"unknown_commands": 3}).log_in()
        self.assertEqual(codes(client.say("FOO", "BAR", "NOOP", "FOO", "BAR")), ["500", "500", "200", "500", "500"])
        self.assertEqual(codes(client.say("FOO", "NOOP")), ["500", "421"])
        self.assertTrue(client.closed)

    def test_hostile_names(self) -> None:
        client = self.new_house().log_in()
        for line in (b"CWD \xff\xff", b"CWD a\0b", b"CWD a\rb", b"CWD a\nb", b"MKD \xc0\xae\xc0\xae"):
            client.write(line + b"\r\n")
            self.assertEqual(codes(client.heard()), ["501"], line)
        for name in ("/demo/\x01", "/demo/" + "x" * 256, "/demo/\x7f"):
            self.assertEqual(codes(client.say(f"MKD {name}")), ["553"], name)


class Passive(FtpTestCase):
    def test_pasv_tells_the_address_that_the_client_came_to(self) -> None:
        house = self.new_house()
        said = house.log_in().say("PASV")
        listener = house.listeners.made[0]
        self.assertEqual((listener.address, listener.peer), (LOCAL, PEER))
        self.assertEqual(said, [f"227 Entering Passive Mode (192,0,2,1,{listener.port >> 8},{listener.port & 255})."])

    def test_pasv_tells_the_configured_address_but_listens_on_ours(self) -> None:
        house = self.new_house(options={"passive_address": "203.0.113.9", "passive_ports": "30000-30001"})
        self.assertIn("(203,0,113,9,117,48)", house.log_in().say("PASV")[0])
        self.assertEqual(house.listeners.made[0].address, LOCAL)

    def test_pasv_over_ipv6_points_to_epsv(self) -> None:
        house = self.new_house()
        client = house.log_in(peer="2001:db8::7", local="2001:db8::1")
        self.assertEqual(codes(client.say("PASV", "EPSV 1", "EPSV 2", "EPSV")), ["522", "522", "229", "229"])
        self.assertEqual(house.listeners.made[0].address, "2001:db8::1")

    def test_an_ipv4_client_on_an_ipv6_socket(self) -> None:
        house = self.new_house()
        self.assertEqual(codes(house.log_in(peer="::ffff:192.0.2.7", local="::ffff:192.0.2.1").say("PASV")), ["227"])
        self.assertEqual((house.listeners.made[0].address, house.listeners.made[0].peer), (LOCAL, PEER))

    def test_epsv(self) -> None:
        client = self.new_house().log_in()
        self.assertEqual(
            codes(client.say("EPSV 1", "EPSV 2", "EPSV x", "EPSV ALL", "PASV", "EPSV")),
            ["229", "522", "501", "200", "503", "229"],
        )

    def test_a_new_port_closes_the_earlier_one_and_its_connection(self) -> None:
        house = self.new_house()
        client = house.log_in()
        channel = client.passive()
        client.say("EPSV")
        self.assertTrue(channel.aborted)
        client.say("PASV")
        self.assertEqual(house.listeners.open, [house.listeners.made[-1]])

    def test_no_port_is_free(self) -> None:
        house = self.new_house()
        house.listeners.full = True
        self.assertEqual(codes(house.log_in().say("PASV", "EPSV")), ["425", "425"])

    def test_nothing_leaks(self) -> None:
        house = self.new_house()
        house.tree.put("/demo/a", b"x")
        channels = []
        for ending in (
            "QUIT",
            "USER alice",
            "EPSV",
            "ABOR",
            "RETR /demo/none",
            "RETR /demo/a",
            "LIST",
            "STOR /",
            "MLSD /demo/a",
            "GET / x",
        ):
            for connected in (True, False):
                client = house.log_in()
                client.say("EPSV")
                if connected:
                    channels.append(house.listeners.made[-1].connect())
                client.say(ending)
                client.lose()
        self.assertEqual(house.listeners.open, [])
        self.assertTrue(all(channel.closed for channel in channels))
        self.assertEqual((house.factory.sessions, house.admission.total), (set(), 0))


class Active(FtpTestCase):
    def test_where_the_client_said(self) -> None:
        house = self.new_house()
        house.tree.put("/demo/a", b"content")
        client = house.log_in()
        for line in ("PORT 192,0,2,7,200,1", "EPRT |1|192.0.2.7|51201|"):
            self.assertEqual(codes(client.say(line)), ["200"])
            self.assertEqual(house.listeners.connected, [])
            self.assertEqual(codes(client.say("RETR /demo/a")), ["150", "226"])
            where, channel = house.listeners.connected.pop()
            self.assertEqual((where, channel.all_written), ((LOCAL, PEER, 51201), b"content"))

    def test_over_ipv6(self) -> None:
        house = self.new_house()
        client = house.log_in(peer="2001:db8::7", local="2001:db8::1")
        self.assertEqual(
            codes(client.say("EPRT |2|2001:DB8:0::7|50000|", "PORT 1,2,3,4,200,1", "EPRT |1|1.2.3.4|50000|")),
            ["200", "504", "522"],
        )

    def test_an_address_of_nobody(self) -> None:
        """lftp 4.9 names `::` over IPv6; that leads to who speaks, and never to a service of ours."""
        house = self.new_house()
        house.tree.put("/demo/a", b"content")
        client = house.log_in(peer="2001:db8::7", local="2001:db8::1")
        self.assertEqual(codes(client.say("EPRT |2|::|50000|", "RETR /demo/a")), ["200", "150", "226"])
        self.assertEqual(house.listeners.connected.pop()[0], ("2001:db8::1", "2001:db8::7", 50000))
        self.assertEqual(codes(client.say("EPRT |2|::|25|", "EPRT |2|::1|50000|")), ["504", "504"])
        self.assertEqual(codes(house.log_in().say("EPRT |1|0.0.0.0|50000|", "PORT 0,0,0,0,200,1")), ["504", "504"])

    def test_bounce(self) -> None:
        """Neither to a third host, nor to a port that belongs to a service (RFC 2577)."""
        house = self.new_house()
        house.tree.put("/demo/a", b"content")
        client = house.log_in()
        lines = (
            "PORT 192,0,2,8,200,1",
            "PORT 127,0,0,1,200,1",
            "PORT 192,0,2,7,0,25",
            "PORT 192,0,2,7,3,255",
            "EPRT |1|192.0.2.8|50000|",
            "EPRT |1|192.0.2.7|1023|",
        )
        for line in lines:
            self.assertEqual(codes(client.say(line, "RETR /demo/a")), ["504", "425"], line)
        self.assertEqual(house.listeners.connected, [])
        self.assertEqual(len(house.portal.sink.of("DEA")), len(lines))

    def test_nonsense(self) -> None:
        client = self.new_house().log_in()
        for argument in ("1,2,3,4,5", "1,2,3,4,5,256", "a,b,c,d,e,f", "1,2,3,4,5,6,7", "-1,2,3,4,5,6", "x" * 5000):
            self.assertEqual(codes(client.say(f"PORT {argument}")), ["501"], argument)
        for argument in ("|1|192.0.2.7|50000", "|1|192.0.2.7|x|", "|1|192.0.2.7|65536|", "||||", "|1|1.2.3|50000|", "1"):
            self.assertEqual(codes(client.say(f"EPRT {argument}")), ["501"], argument)

    def test_after_epsv_all(self) -> None:
        client = self.new_house().log_in()
        self.assertEqual(
            codes(client.say("EPSV ALL", "PORT 192,0,2,7,200,1", "EPRT |1|192.0.2.7|50000|")), ["200", "503", "503"]
        )

    def test_nobody_answers(self) -> None:
        house = self.new_house()
        house.listeners.refusal = ConnectionLost("Connection refused")
        client = house.log_in()
        self.assertEqual(codes(client.say("PORT 192,0,2,7,200,1", "STOR /demo/a")), ["200", "150", "425"])
        self.assertEqual(house.tree.uploads, [])

    def test_each_replaces_the_other(self) -> None:
        house = self.new_house()
        client = house.log_in()
        client.say("EPSV", "PORT 192,0,2,7,200,1")
        self.assertEqual(house.listeners.open, [])
        client.say("EPSV", "LIST")
        self.assertEqual(house.listeners.connected, [])


class Talking(FtpTestCase):
    """What single verbs answer."""

    def setUp(self) -> None:
        self.house = self.new_house()
        self.client = self.house.log_in()

    def test_features(self) -> None:
        said = self.client.say("FEAT")
        self.assertEqual((said[0][:4], said[-1][:4]), ("211-", "211 "))
        self.assertIn(" MLST type*;size*;modify*;perm*;unique*;", said)
        self.assertIn(" UTF8", said)
        self.client.say("OPTS MLST type")
        self.assertIn(" MLST type*;size;modify;perm;unique;", self.client.say("FEAT"))

    def test_help(self) -> None:
        self.assertEqual(codes(self.client.say("HELP", "HELP xmkd", "HELP NONE")), ["214", "214", "501"])

    def test_types(self) -> None:
        lines = ("TYPE I", "TYPE A", "TYPE a n", "TYPE L 8", "TYPE A T", "TYPE E", "TYPE L 7", "TYPE Q", "MODE B", "STRU R")
        self.assertEqual(codes(self.client.say(*lines)), ["200"] * 4 + ["504"] * 3 + ["501", "504", "504"])

    def test_directories(self) -> None:
        self.assertEqual(codes(self.client.say('MKD /demo/a"b', "CWD /demo", 'CWD a"b')), ["257", "250", "250"])
        self.assertEqual(self.client.say("PWD"), ['257 "/demo/a""b" is the working directory.'])
        self.assertEqual(codes(self.client.say("CDUP", "CDUP", "CDUP", "CWD none")), ["250", "250", "250", "550"])
        self.assertEqual(self.client.say("PWD")[0], '257 "/" is the working directory.')
        self.assertEqual(codes(self.client.say('RMD demo/a"b', 'RMD demo/a"b')), ["250", "550"])

    def test_a_file_is_no_working_directory(self) -> None:
        self.house.tree.put("/demo/a", b"x")
        self.assertEqual(codes(self.client.say("CWD /demo/a")), ["550"])

    def test_renaming(self) -> None:
        self.house.tree.put("/demo/a", b"x")
        self.assertEqual(
            codes(self.client.say("RNFR /demo/a", "RNTO /demo/b", "RNTO /demo/c", "RNFR /demo/a")), ["350", "250", "503", "550"]
        )
        self.assertEqual(codes(self.client.say("RNFR /demo/b", "NOOP", "RNTO /demo/c")), ["350", "200", "503"])
        self.assertEqual(self.house.tree.read("/demo/b"), b"x")

    def test_facts(self) -> None:
        self.house.tree.put("/demo/a b", b"xyz", mtime=0.0)
        self.assertEqual(self.client.say("SIZE /demo/a b", "MDTM /demo/a b"), ["213 3", "213 19700101000000"])
        said = self.client.say("MLST /demo/a b")
        self.assertEqual(said[1], " type=file;size=3;modify=19700101000000;perm=dfrw;unique=1; /demo/a b")
        self.assertEqual(codes(self.client.say("SIZE /demo", "SIZE /demo/none", "SIZE /demo/a b/")), ["550", "550", "550"])

    def test_deleting(self) -> None:
        self.house.tree.put("/demo/a", b"x")
        self.assertEqual(
            codes(self.client.say("DELE /demo", "DELE /demo/a/", "DELE /demo/a", "DELE /demo/a")), ["550", "550", "250", "550"]
        )

    def test_restart_offsets(self) -> None:
        self.assertEqual(
            codes(self.client.say("REST -1", "REST x", "REST ٣", "REST 99999999999999999999", "REST 7")), ["501"] * 4 + ["350"]
        )

    def test_status_stands_in_a_transfer_and_outside(self) -> None:
        self.assertEqual(codes(self.client.say("STAT")), ["211"])
        self.client.passive()
        self.client.say("STOR /demo/a")
        said = self.client.say("STAT")
        self.assertEqual(codes(said), ["211"])
        self.assertTrue(any("Receiving /demo/a" in line for line in said))

    def test_status_of_a_path_is_its_first_page(self) -> None:
        for name in ("a", "b", "c"):
            self.house.tree.put(f"/demo/{name}", b"x")
        said = self.client.say("STAT -l /demo")
        self.assertEqual((len(said), said[0], said[-1]), (5, "213-Status:", "213 End."))
        client = self.new_house(limits={"listing_page": 2}).log_in()
        client.house.tree = client.house.portal.tree
        for name in ("a", "b", "c"):
            client.house.tree.put(f"/demo/{name}", b"x")
        self.assertEqual(client.say("STAT /demo")[-1], "213 There is more: use LIST.")
        self.assertEqual(codes(client.say("STAT /none")), ["550"])

    def test_others_have_a_turn_after_each_page_of_a_status(self) -> None:
        self.client.write(b"STAT /demo\r\n" * 3)
        for _ in range(3):
            self.assertEqual(codes(self.client.heard()), [])
            self.client.turn(1)
            self.assertEqual(codes(self.client.heard()), ["213"])

    def test_status_waits_for_its_turn_and_for_a_client_that_reads(self) -> None:
        channel = self.client.passive()
        self.assertEqual(codes(self.client.say("STOR /demo/a", "NOOP", "STAT")), ["150"])
        channel.feed(b"x")
        channel.feed_end()
        self.client.turn()
        self.assertEqual(codes(self.client.heard()), ["226", "200", "211"])
        channel = self.client.passive()
        self.client.say("STOR /demo/a")
        self.client.transport.producer.pauseProducing()
        self.assertEqual(self.client.say("STAT"), [])

    def test_many_questions_for_the_status_in_one_piece_let_others_have_turns(self) -> None:
        self.client.passive()
        self.client.say("STOR /demo/a")
        self.assertEqual(codes(self.client.say(*["STAT"] * (3 * BURST))), ["211"] * BURST)
        self.assertEqual(codes(self.client.say("ABOR")), ["426", *["211"] * 2 * BURST, "226"])

    def test_questions_for_the_status_that_come_one_by_one_are_all_answered(self) -> None:
        self.client.passive()
        self.client.say("STOR /demo/a")
        for _ in range(3 * BURST):
            self.assertEqual(codes(self.client.say("STAT")), ["211"])

    def test_noop_and_quit_wait_for_the_transfer(self) -> None:
        channel = self.client.passive()
        self.assertEqual(codes(self.client.say("STOR /demo/a", "NOOP", "QUIT")), ["150"])
        channel.feed(b"x")
        channel.feed_end()
        self.client.turn()
        self.assertEqual(codes(self.client.heard()), ["226", "200", "221"])
        self.assertEqual(self.house.tree.read("/demo/a"), b"x")

    def test_abort(self) -> None:
        self.assertEqual(codes(self.client.say("ABOR")), ["226"])
        channel = self.client.passive()
        self.assertEqual(codes(self.client.say("STOR /demo/a")), ["150"])
        self.assertEqual(codes(self.client.say("ABOR")), ["426", "226"])
        self.assertTrue(channel.aborted)

    def test_abort_closes_the_data_port(self) -> None:
        channel = self.client.passive()
        self.assertEqual(codes(self.client.say("ABOR", "LIST")), ["226", "425"])
        self.assertTrue(channel.aborted)

    def test_commands_that_come_in_one_piece_let_others_have_turns(self) -> None:
        self.client.write(b"NOOP\r\n" * (BURST + 1))
        self.assertEqual(len(self.client.heard()), BURST)
        self.client.turn()
        self.assertEqual(len(self.client.heard()), 1)

    def test_commands_that_come_one_by_one_wait_for_nobody(self) -> None:
        for _ in range(3 * BURST):
            self.client.write(b"NOOP\r\n")
            self.assertEqual(codes(self.client.heard()), ["200"])

    def test_abort_directly_behind_the_transfer(self) -> None:
        channel = self.client.passive()
        answers = self.client.say(*["NOOP"] * BURST, "STOR /demo/a", "ABOR")
        self.assertEqual(codes(answers)[BURST:], ["426", "226"])
        self.assertTrue(channel.aborted)


class Ending(FtpTestCase):
    def test_quit(self) -> None:
        client = self.new_house().connect()
        self.assertEqual((codes(client.say("QUIT", "NOOP")), client.closed), (["221"], True))

    def test_idle(self) -> None:
        client = self.new_house(limits={"idle": 5.0}).log_in()
        client.house.clock.advance(4)
        client.say("NOOP")
        client.house.clock.advance(4)
        self.assertFalse(client.closed)
        client.house.clock.advance(8)
        self.assertEqual((codes(client.heard()), client.closed), (["421"], True))

    def test_who_waits_for_a_slow_answer_is_not_idle(self) -> None:
        """The digest of a large file, or a copy, may take longer than a client may be silent."""
        client = self.new_house(limits={"idle": 5.0}).log_in()
        held = client.house.tree.hold_kept = Deferred()
        client.say("SIZE /demo/a")
        client.house.clock.pump([1] * 46)
        self.assertEqual((client.heard(), client.closed), ([], False))
        held.callback(None)
        self.assertEqual(codes(client.heard()), ["550"])
        client.house.clock.pump([1] * 12)
        self.assertEqual((codes(client.heard()), client.closed), (["421"], True))

    def test_who_does_not_read_its_replies_is_idle(self) -> None:
        client = self.new_house(limits={"idle": 5.0}).log_in()
        client.transport.producer.pauseProducing()
        client.say("NOOP")
        client.house.clock.pump([1] * 12)
        self.assertTrue(client.closed)

    def test_a_transfer_is_not_idle(self) -> None:
        client = self.new_house(limits={"idle": 5.0}).log_in()
        channel = client.passive()
        client.say("STOR /demo/a")
        client.house.clock.pump([1] * 46)
        self.assertFalse(client.closed)
        channel.feed_end()
        client.turn()
        client.house.clock.pump([0.5, 0.5, 1, 1, 1])
        self.assertFalse(client.closed)
        client.house.clock.pump([1, 1, 1, 1])
        self.assertTrue(client.closed)

    def test_a_client_that_does_not_take_the_last_reply_is_cut_off(self) -> None:
        client = self.new_house(limits={"stall": 5.0}).log_in()
        client.say("QUIT")
        self.assertFalse(getattr(client.transport, "aborting", False))
        client.house.clock.advance(7)
        self.assertTrue(client.transport.disconnected)

    def test_too_many_connections(self) -> None:
        house = self.new_house(limits={"connections_per_address": 1})
        first, second = house.connect(), house.connect()
        self.assertEqual((codes(second.greeting), second.closed), (["421"], True))
        second.lose()
        first.lose()
        self.assertEqual((house.admission.total, codes(house.connect().greeting)), (0, ["220"]))

    def test_draining(self) -> None:
        house = self.new_house()
        idle, busy = house.log_in(), house.log_in()
        channel = busy.passive()
        busy.say("STOR /demo/a", "NOOP")
        drained = Deferred.fromCoroutine(house.factory.drain())
        self.assertEqual((codes(idle.heard()), idle.closed), (["421"], True))
        late = house.connect()
        self.assertEqual((codes(late.greeting), late.closed), (["421"], True))
        self.assertFalse(busy.closed)
        channel.feed(b"x")
        channel.feed_end()
        busy.turn()
        self.assertEqual((codes(busy.heard()), busy.closed), (["226", "421"], True))
        self.assertNoResult(drained)
        for client in (idle, late, busy):
            client.lose()
        self.successResultOf(drained)

    def test_draining_an_empty_house(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.new_house().factory.drain()))

    def test_aborting_everything(self) -> None:
        house = self.new_house()
        client = house.log_in()
        client.passive()
        client.say("STOR /demo/a")
        house.factory.abort()
        self.assertTrue(client.transport.disconnected)


class Fuzz(FtpTestCase):
    """Anything on the control connection while a transfer runs: no crash, no leak, nothing half published."""

    PIECES = (
        *(f"{name} /demo/x\r\n".encode() for name in VERBS if name not in ("STOR", "APPE")),
        *(f"{name}\r\n".encode() for name in VERBS),
        b"\xff\xf4\xff\xf2ABOR\r\n",
        b"\xff" * 40,
        b"\r\n",
        b"\r",
        b"\0\r\n",
        b"GARBAGE\r\n",
        b"x" * 9000,
    )

    def test_while_a_file_comes_in(self) -> None:
        outcomes = {self.run_one(random.Random(seed)) for seed in range(150)}
        self.assertEqual(outcomes, {b"old", b"new content"})

    def run_one(self, chance: random.Random) -> bytes:
        house = self.new_house(limits={"unknown_commands": 5, "command_queue": 8, "idle": 50.0})
        house.tree.put("/demo/a", b"old")
        client = house.log_in()
        channel = client.passive()
        client.say("STOR /demo/a")
        channel.feed(b"new co")
        for _ in range(chance.randint(1, 12)):
            self.step(chance, client)
        channel.feed(b"ntent")
        channel.feed_end()
        house.clock.advance(1)
        client.turn(50)
        client.lose()
        self.assertEqual((house.listeners.open, house.tree.uploads, house.tree.downloads), ([], [], []))
        self.assertEqual((house.factory.sessions, house.admission.total, channel.closed), (set(), 0, True))
        return house.tree.read("/demo/a")

    def step(self, chance: random.Random, client: Client) -> None:
        piece = chance.choice(self.PIECES)
        cut = chance.randint(0, len(piece)) if chance.random() < 0.3 else len(piece)
        if client.transport.producerState == "producing" and not client.closed:
            client.write(piece[:cut])
        if chance.random() < 0.3:
            client.turn()
        if chance.random() < 0.1:
            client.house.clock.advance(20)
