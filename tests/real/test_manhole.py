"""The manhole with OpenSSH's own client, in a real terminal."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol, connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase

from ecpds.admin.manhole import Manhole
from ecpds.admission import Admission
from ecpds.config import Config, Node
from ecpds.keys import ssh_host_key
from ecpds.threads import InlineThreads, LooseThreads
from ecpds.timeouts import Timeouts
from tests.admin.manhole_support import RecordingOperator

reactor: Any = real_reactor

PATIENCE = 20
SSH = "/usr/bin/ssh"


class Client(ProcessProtocol):
    """One ssh in a terminal of its own: `expect` waits for what it shows, `ended` for its exit status."""

    def __init__(self) -> None:
        self.output = b""
        self.status: int | None = None
        self._change: Deferred[None] | None = None

    def outReceived(self, data: bytes) -> None:
        self.output += data
        self._changed()

    def processEnded(self, reason: Failure = connectionDone) -> None:
        self.status = 0 if reason.check(ProcessDone) else reason.value.exitCode
        self._changed()

    def _changed(self) -> None:
        change, self._change = self._change, None
        if change is not None:
            change.callback(None)

    @property
    def text(self) -> str:
        return re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", self.output.decode("utf-8", "replace")).replace("\r", "")

    async def until(self, done: Callable[[], object]) -> None:
        while not done():
            if self.status is not None:
                raise AssertionError(f"ssh ended with {self.status}: {self.text}")
            self._change = Deferred()
            self._change.addTimeout(PATIENCE, reactor, lambda *_: Failure(AssertionError(f"it only shows: {self.text!r}")))
            await self._change

    async def expect(self, pattern: str) -> None:
        """Wait until `pattern` is shown, and forget everything up to there."""
        await self.until(lambda: re.search(pattern, self.text, re.DOTALL))
        self.output = self.text[re.search(pattern, self.text, re.DOTALL).end() :].encode()  # type: ignore[union-attr]

    async def ended(self) -> int:
        while self.status is None:
            self._change = Deferred()
            await self._change.addTimeout(PATIENCE, reactor)
        return self.status

    def type(self, text: str) -> None:
        assert self.transport is not None
        self.transport.write(text.encode())


class RealManhole(TestCase):
    timeout = 120

    def setUp(self) -> None:
        if not os.access(SSH, os.X_OK):
            raise SkipTest("OpenSSH's client is not installed")
        self.home = Path(self.mktemp()).resolve()
        self.home.mkdir()
        self.listed, self.unlisted = (self._make_key(name) for name in ("listed", "unlisted"))
        shutil.copy(f"{self.listed}.pub", self.home / "manhole.keys")
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)
        self.operator = RecordingOperator()
        config = Config(node=Node(name="node-1", home=str(self.home)))
        config = evolve(config, limits=evolve(config.limits, console_output=10_000))
        threads = LooseThreads(reactor, "console", 4)
        self.manhole = Manhole(
            config,
            [ssh_host_key(config)],
            self.operator,
            {"answer": 42},
            InlineThreads(),
            threads,
            reactor,
            Timeouts(Clock()),
            Admission(10, 10),
        )
        self.port = reactor.listenTCP(0, self.manhole.server, interface="127.0.0.1")
        self.clients: list[Client] = []

    @inlineCallbacks
    def tearDown(self) -> Any:
        yield maybeDeferred(self.port.stopListening)
        yield Deferred.fromCoroutine(self.manhole.server.drain())
        for client in self.clients:
            yield Deferred.fromCoroutine(client.ended())

    def _observe(self, event: Any) -> None:
        self.logged.append(formatEvent(event))

    def _make_key(self, name: str) -> Path:
        path = self.home / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@laptop", "-f", path], check=True)
        return path

    def words(self, key: Path, *options: str) -> list[str]:
        known = ["-oStrictHostKeyChecking=no", f"-oUserKnownHostsFile={self.home}/known", "-oIdentitiesOnly=yes"]
        quiet = ["-F", "none", "-oLogLevel=ERROR", "-oNumberOfPasswordPrompts=1", "-oIdentityAgent=none"]
        return [SSH, *quiet, *known, "-i", str(key), "-p", str(self.port.getHost().port), *options]

    def connect(self, key: Path, *options: str) -> Client:
        client = Client()
        self.clients.append(client)
        environment = {"TERM": "xterm", "HOME": str(self.home), "PATH": os.environ["PATH"]}
        words = [*self.words(key, *options), "127.0.0.1"]
        reactor.spawnProcess(client, SSH, words, environment, usePTY=True)
        return client

    async def refused(self, *words: str, options: tuple[str, ...] = (), key: Path | None = None) -> str:
        """What ssh says when it is not let do this."""
        command = [*self.words(key or self.listed, *options), "127.0.0.1", *words]
        done = await deferToThread(
            subprocess.run, command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        self.assertNotEqual(done.returncode, 0)
        return str(done.stderr)

    # What is let in

    async def test_a_listed_key_opens_the_console(self) -> None:
        client = self.connect(self.listed)
        await client.expect("ecpds manhole on node-1.*>>> ")
        client.type("1 + answer\r")
        await client.expect("\n43\n")
        client.type("help()\r")
        await client.expect(r"add_user\(login, \*, password=None.*>>> ")
        client.type("users()\r")
        await client.expect(r"login +mode.*ann +standard")
        client.type('add_user("bob", password="secret", destination=["demo"])\r')
        await client.expect("login +bob")
        self.assertEqual(self.operator.calls, [("add_user", {"login": "bob", "password": "secret", "destinations": ["demo"]})])
        client.type("\x04")
        self.assertEqual(await client.ended(), 0)
        log = "\n".join(self.logged)
        self.assertRegex(log, r"listed@laptop SHA256:\S{43} at 127.0.0.1 logged in as '")
        self.assertRegex(log, r"listed@laptop SHA256:\S{43} at 127.0.0.1 typed '1 \+ answer'")
        self.assertIn("typed \"add_user('bob', password='***', destination=['demo'])\"", log)
        self.assertNotIn("secret", log)

    async def test_keys_do_what_they_do_in_a_terminal(self) -> None:
        client = self.connect(self.listed)
        await client.expect(">>> ")
        client.type("add_u\t")
        await client.expect("add_user")
        client.type("\x15answer.bit_l\t()\r")
        await client.expect("answer.bit_length.*\n6\n")
        client.type("\x1b[A\r")
        await client.expect(r"answer.bit_length\(\).*\n6\n")
        client.type("9\r\x1b[A\x1b[A\x1b[A\x1b[B\x01(\x05)*2\r")
        await client.expect(r"\n9\n.*\(9\)\*2.*\n18\n")
        client.type("for i in range(2):\r  print('é', i)\r\r")
        await client.expect(r"\né 0\né 1\n>>> ")
        client.type("\x04")
        self.assertEqual(await client.ended(), 0)

    async def test_what_runs_away_holds_nobody_and_is_interrupted(self) -> None:
        runaway, other = self.connect(self.listed), self.connect(self.listed)
        await runaway.expect(">>> ")
        await other.expect(">>> ")
        runaway.type("while True: pass\r\r")
        await runaway.expect("pass\n")
        other.type("6 * 7\r")
        await other.expect("\n42\n")
        await deferLater(reactor, 0.2)
        self.assertNotIn(">>> ", runaway.text)
        runaway.type("\x03")
        await runaway.expect("Interrupted.*>>> ")
        runaway.type("movers()\r")
        await runaway.expect(r"movers\(\)\n")
        await deferLater(reactor, 0.1)
        runaway.type("\x03")
        await runaway.expect("Interrupted.*>>> ")
        runaway.type("print('x' * 50000)\r")
        await runaway.expect("cut off after 10000 characters.*>>> ")
        runaway.type("exit()\r")
        self.assertEqual(await runaway.ended(), 0)
        other.type("\x04")
        self.assertEqual(await other.ended(), 0)

    # What is not

    async def test_an_unlisted_key(self) -> None:
        self.assertIn("Permission denied (publickey)", await self.refused("-t", key=self.unlisted))
        self.assertRegex("\n".join(self.logged), r"login refused: .*SHA256:\S{43}: not listed")

    async def test_a_password(self) -> None:
        options = ("-oPubkeyAuthentication=no", "-oPreferredAuthentications=password,keyboard-interactive")
        self.assertIn("Permission denied (publickey)", await self.refused(options=options))

    async def test_a_command_and_a_subsystem(self) -> None:
        self.assertIn("exec request failed", await self.refused("id"))
        self.assertIn("subsystem request failed", await self.refused("sftp", options=("-s",)))
        log = "\n".join(self.logged)
        self.assertIn("was refused b'exec'", log)
        self.assertIn("was refused b'subsystem'", log)

    async def test_a_shell_without_a_terminal(self) -> None:
        self.assertIn("shell request failed", await self.refused(options=("-T",)))

    async def test_forwarding(self) -> None:
        self.assertIn("stdio forwarding failed", await self.refused(options=("-W", "127.0.0.1:22")))
        self.assertIn("was refused a channel b'direct-tcpip'", "\n".join(self.logged))
        refused = await self.refused(options=("-N", "-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22"))
        self.assertIn("remote port forwarding failed", refused)
        self.assertIn("was refused b'tcpip-forward'", "\n".join(self.logged))

    async def test_no_key_file_lets_nobody_in(self) -> None:
        (self.home / "manhole.keys").unlink()
        self.assertIn("Permission denied (publickey)", await self.refused("-t"))
