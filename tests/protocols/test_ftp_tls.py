"""FTPS: what is dropped, refused and proved, with TLS taken for granted here and done by OpenSSL in the last class."""

from __future__ import annotations

import ftplib
import io
import socket
import ssl
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from ecpds.config import Ftp
from ecpds.protocols.ftp import ImplicitFactory
from ecpds.protocols.ftp_tls import is_named
from tests.protocols.ftp_support import FtpTestCase, codes, credentials
from tests.protocols.test_ftp_sockets import CONTENT, socket_factory


class Negotiation(FtpTestCase):
    def test_plain_bytes_behind_auth_are_dropped(self) -> None:
        """STARTTLS injection: who sits on the line puts commands behind AUTH that would be obeyed under TLS."""
        client = self.new_house().connect()
        client.write(b"AUTH TLS\r\nUSER alice\r\nPASS secret\r\nPW")
        client.turn()
        self.assertEqual(codes(client.heard()), ["234"])
        client.write(b"D\r\n")
        self.assertEqual(codes(client.heard()), ["500"])
        self.assertEqual(codes(client.say("PWD")), ["530"])

    def test_plain_bytes_that_wait_behind_auth_are_dropped(self) -> None:
        """Also when AUTH waits in the queue, the queue is full, and an over-long line is being dropped."""
        client = self.new_house(limits={"command_queue": 6, "command_line": 100}).log_in()
        channel = client.passive()
        client.say("STOR /demo/a")
        client.write(b"NOOP\r\nAUTH TLS\r\nUSER alice\r\nPASS secret\r\nNOOP\r\n" + b"x" * 5000)
        channel.feed(b"x")
        channel.feed_end()
        client.turn()
        self.assertEqual(codes(client.heard()), ["426", "200", "234"])  # what a full queue hides may be ABOR
        self.assertEqual(client.transport.producerState, "producing")
        self.assertEqual(codes(client.say("PWD")), ["530"])

    def test_the_reply_to_auth_is_the_last_in_clear_text(self) -> None:
        client = self.new_house().connect()
        client.say("AUTH TLS")
        [(before, creator)] = client.transport.secured
        self.assertTrue(before.startswith(b"234 "))
        self.assertTrue(before.endswith(b"\r\n"))
        self.assertIs(creator._context, client.protocol._interpreter.context)

    def test_each_control_connection_has_a_context_of_its_own(self) -> None:
        house = self.new_house()
        contexts = {id(house.log_in(secure=True).protocol._interpreter.context) for _ in range(3)}
        self.assertEqual(len(contexts), 3)

    def test_mechanisms(self) -> None:
        client = self.new_house().connect()
        self.assertEqual(codes(client.say("AUTH KERBEROS_V4", "PBSZ 0", "PROT P")), ["504", "503", "503"])
        self.assertEqual(codes(client.say("AUTH TLS-C")), ["234"])
        self.assertEqual(
            codes(client.say("AUTH TLS", "CCC", "PROT P", "PBSZ x", "PBSZ 0")), ["503", "502", "503", "501", "200"]
        )
        self.assertEqual(
            codes(client.say("PROT S", "PROT E", "PROT Q", "PROT C", "PROT P")), ["536", "536", "504", "200", "200"]
        )

    def test_auth_ends_the_login_but_not_the_count_of_wrong_passwords(self) -> None:
        client = self.new_house(limits={"login_tries": 2}).log_in()
        client.say("CWD demo", "USER alice", "PASS wrong", "AUTH TLS")
        self.assertEqual(codes(client.say("PWD", "USER alice", "PASS wrong")), ["530", "331", "530", "421"])

    def test_features_tell_the_truth(self) -> None:
        house = self.new_house()
        clear = house.connect().say("FEAT")
        secure = house.log_in(secure=True).say("FEAT")
        off = self.new_house(tls=False).connect().say("FEAT")
        shown = [{word for word in ("AUTH TLS", "PBSZ", "PROT", "CCC") if f" {word}" in said} for said in (clear, secure, off)]
        self.assertEqual(shown, [{"AUTH TLS", "PBSZ", "PROT"}, {"PBSZ", "PROT"}, set()])

    def test_switched_off(self) -> None:
        client = self.new_house(tls=False, options={"tls": "off"}).connect()
        self.assertEqual(codes(client.say("AUTH TLS", "USER alice", "PASS secret")), ["534", "331", "230"])

    def test_required_for_control(self) -> None:
        client = self.new_house(options={"tls": "required"}).connect()
        self.assertEqual(codes(client.say("USER alice", "PASS secret", "FEAT")), ["530", "503", "211"])
        self.assertEqual(codes(client.say("AUTH TLS")), ["234"])
        self.assertEqual(codes(client.say("USER alice", "PASS secret")), ["331", "230"])

    def test_implicit(self) -> None:
        client = self.new_house(options={"tls": "required"}).connect(implicit=True)
        self.assertEqual(client.transport.secured[0][0], b"")
        self.assertEqual(codes(client.greeting), ["220"])
        self.assertEqual(
            codes(client.say("AUTH TLS", "PBSZ 0", "PROT P", "USER alice", "PASS secret")), ["503", "200", "200", "331", "230"]
        )


class DataConnections(FtpTestCase):
    def protected(self, **options: str) -> Any:
        client = self.new_house(options=options).log_in(secure=True)
        client.house.tree.put("/demo/a", b"x")
        client.say("PBSZ 0", "PROT P")
        return client

    def test_prot_decides(self) -> None:
        client = self.protected()
        client.say("EPSV", "PROT C", "EPSV")
        first, second = client.house.listeners.made
        self.assertIs(first.context, client.protocol._interpreter.context)
        self.assertEqual((first.closed, second.context), (True, None))
        client.say("PROT P", "PORT 192,0,2,7,200,1", "RETR /demo/a")
        self.assertTrue(client.house.listeners.connected[0][1].secure)

    def test_required(self) -> None:
        client = self.new_house(options={"tls_data": "required"}).log_in(secure=True)
        self.assertEqual(
            codes(client.say("EPSV", "LIST", "PBSZ 0", "PROT C", "PROT P", "EPSV")), ["229", "521", "200", "534", "200", "229"]
        )
        self.assertEqual(codes(self.new_house(options={"tls_data": "required"}).log_in().say("EPSV", "LIST")), ["229", "521"])

    def test_off(self) -> None:
        client = self.new_house(options={"tls_data": "off"}).log_in(secure=True)
        self.assertEqual(codes(client.say("PBSZ 0", "PROT P", "PROT C")), ["200", "534", "200"])

    def transfer(self, client: Any, resumed: bool, line: str) -> tuple[list[str], Any]:
        client.say("EPSV")
        channel = client.house.listeners.made[-1].connect(secure=True)
        channel.resumed = resumed
        channel.feed_end()
        return codes(client.say(line)), channel

    def test_reuse_required(self) -> None:
        client = self.protected(tls_session_reuse="required")
        for line in ("RETR /demo/a", "STOR /demo/b", "LIST /demo", "MLSD /demo"):
            said, channel = self.transfer(client, False, line)
            self.assertEqual((said, channel.aborted, channel.all_written), (["150", "522"], True, b""), line)
            self.assertEqual(self.transfer(client, True, line)[0], ["150", "226"], line)
        self.assertEqual(len(client.house.portal.sink.of("DEA")), 4)
        self.assertEqual(client.house.tree.uploads, [])

    def test_reuse_preferred(self) -> None:
        self.assertEqual(self.transfer(self.protected(), False, "RETR /demo/a")[0], ["150", "226"])


class Names(FtpTestCase):
    def test_whose_certificate_it_is(self) -> None:
        names = frozenset({"localhost", "*.example.org"})
        for name, ours in (
            ("localhost", True),
            ("LOCALHOST.", True),
            ("a.example.org", True),
            ("example.org", False),
            ("a.b.example.org", False),
            ("evil.test", False),
            ("192.0.2.1", True),
            ("::1", True),
            ("", False),
        ):
            self.assertEqual(is_named(name, names), ours, name)
        self.assertTrue(is_named("anything", frozenset()))


class Resuming(ftplib.FTP_TLS):
    """ftplib, whose data connections resume a session: its control connection's, or a stolen one."""

    stolen: ssl.SSLSession | None = None

    def ntransfercmd(self, cmd: str, rest: Any = None) -> Any:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        session = self.stolen or self.sock.session  # type: ignore[union-attr]
        return self.context.wrap_socket(connection, server_hostname="localhost", session=session), size


class RealTls(TestCase):
    """OpenSSL on both sides, over loopback."""

    options = Ftp()

    def setUp(self) -> None:
        self.serve(self.options)

    def serve(self, options: Ftp) -> None:
        self.factory, portal = socket_factory(options, credentials())
        self.tree = portal.tree
        self.port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.implicit = reactor.listenTCP(0, ImplicitFactory(self.factory), interface="127.0.0.1")
        self.addCleanup(self.stop)

    async def stop(self) -> None:
        for port in (self.port, self.implicit):
            await maybeDeferred(port.stopListening)
        await self.factory.drain()

    def context(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = version
        return context

    async def as_client(self, work: Callable[[Any], Any], context: ssl.SSLContext, kind: type = Resuming) -> Any:
        def talk() -> Any:
            with kind(timeout=20, context=context) as client:
                client.connect("localhost", self.port.getHost().port)
                client.login("alice", "secret")
                client.prot_p()
                client.cwd("/demo")
                return work(client)

        return await deferToThread(talk)

    async def test_there_and_back(self) -> None:
        def work(client: ftplib.FTP_TLS) -> bytes:
            back = io.BytesIO()
            for name in ("a", "é"):
                client.storbinary(f"STOR {name}", io.BytesIO(CONTENT))
            client.retrbinary("RETR é", back.write)
            return back.getvalue()

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(await self.as_client(work, self.context(version), ftplib.FTP_TLS), CONTENT)
        self.assertEqual(self.tree.read("/demo/a"), CONTENT)

    async def test_an_upload_that_ends_without_the_end_of_tls_is_not_published(self) -> None:
        def work(client: Any) -> str:
            data = client.transfercmd("STOR cut")
            data.sendall(CONTENT)
            data.shutdown(socket.SHUT_RDWR)
            data.close()
            try:
                return str(client.voidresp())
            except ftplib.error_temp as refused:
                return str(refused)[:3]

        self.assertEqual(await self.as_client(work, self.context()), "426")
        self.assertEqual((self.tree.files, self.tree.uploads), ({}, []))

    async def test_alpn(self) -> None:
        for offered, expected in ((["ftp"], "ftp"), (["http/1.1"], None), (["h2", "ftp"], "ftp")):
            self.assertEqual(await deferToThread(self.agreed, offered), expected, offered)

    async def test_a_wrong_name_is_refused(self) -> None:
        for name, agreed in (("localhost", True), ("evil.test", False)):
            self.assertEqual(await deferToThread(self.agreed, ["ftp"], name) is not None, agreed, name)

    def agreed(self, offered: list[str], name: str = "localhost") -> str | None:
        """The protocol that was agreed on at the implicit port, or None where TLS was refused."""
        context = self.context()
        context.set_alpn_protocols(offered)
        with socket.create_connection(("127.0.0.1", self.implicit.getHost().port), 20) as plain:
            try:
                with context.wrap_socket(plain, server_hostname=name) as secure:
                    return secure.selected_alpn_protocol() if secure.recv(3) == b"220" else None
            except (ssl.SSLError, ConnectionError):
                return None


class RealReuse(RealTls):
    """Where reuse is required, only who holds the control connection gets a data connection."""

    options = Ftp(tls_session_reuse="required")

    async def test_there_and_back(self) -> None:
        def work(client: Any) -> list[str]:
            client.storbinary("STOR a", io.BytesIO(CONTENT))
            client.retrbinary("RETR a", lambda data: None)
            return list(client.nlst())

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(await self.as_client(work, self.context(version)), ["a"], version)

    async def test_a_data_connection_that_resumes_nothing_is_refused(self) -> None:
        await self.as_client(self.expect_refusal, self.context(), ftplib.FTP_TLS)

    def expect_refusal(self, client: ftplib.FTP_TLS) -> None:
        """A listing is refused; the reset of the data connection may be seen before the reply is read."""
        with self.assertRaisesRegex(ftplib.error_perm, "^522 "):
            try:
                client.nlst()
            except OSError:
                client.voidresp()

    async def test_a_session_of_another_control_connection_is_no_proof(self) -> None:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context(version)

            def work(client: Any, context: ssl.SSLContext = context) -> None:
                with Resuming(timeout=20, context=context) as thief:
                    thief.connect("localhost", self.port.getHost().port)
                    thief.login("alice", "secret")
                    thief.prot_p()
                    client.stolen = thief.sock.session  # type: ignore[union-attr]
                    self.expect_refusal(client)

            await self.as_client(work, context)
