"""A Master and movers as processes: files flow straight between them, and what each sees when another dies."""

from __future__ import annotations

import base64
import contextlib
import ftplib
import hashlib
import io
import os
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from twisted.trial.unittest import SynchronousTestCase

from ecpds.master.codes import STEP, code_of
from tests.real.clients import ClientFailed, Curl, authorization, https, path_of, vanish
from tests.real.fleet import Fleet, fleet
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Node, Options, until
from tests.real.test_start import run_to_its_end

A, B = "mover-a", "mover-b"
SIZE = 3_000_017

OPTIONS = {"limits": {"ticket_life": 2.0, "shutdown": 3.0, "master_wait": 60.0}}
"""A Master that is started again may take a while where much else runs; what waits for it must not give up first."""


class FleetCase(SynchronousTestCase):
    options: ClassVar[Options] = OPTIONS
    fleet: ClassVar[Fleet]
    _stack: ClassVar[ExitStack]

    @classmethod
    def setUpClass(cls) -> None:
        cls._stack = ExitStack()
        cls.fleet = cls._stack.enter_context(fleet(A, B, options=cls.options))

    @classmethod
    def tearDownClass(cls) -> None:
        cls._stack.close()

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.content = os.urandom(SIZE)
        self.source = self.folder / "source"
        self.source.write_bytes(self.content)
        for node in self.fleet.members.values():
            if node.process is None:
                node.start()
        self.fleet.wait_for("master", A, B)

    def tearDown(self) -> None:
        for node in (self.fleet.master, *self.fleet.members.values()):
            print(f"--- {node.folder.name}\n{node.log_end(3000)}")

    def node(self, name: str) -> Node:
        return self.fleet.master if name == "master" else self.fleet.members[name]

    def holder(self, name: str) -> str:
        """The mover that has a file."""
        shown = self.fleet.master.json("file", "show", f"/{DESTINATION}/{name}")
        self.assertEqual(shown["digests"]["sha256"], hashlib.sha256(self.content).hexdigest())
        mover: str = shown["copies"][0]["mover"]
        return mover

    def put_on(self, mover: str, through: str, door: str = "https") -> str:
        """A file that is stored on `mover`, whoever was asked to store it."""
        for number in range(30):
            name = f"{self.id().rpartition('.')[2]}-{door}-{through}-{number}"
            Curl(self.node(through), door).put(self.source, name)
            if self.holder(name) == mover:
                return name
        raise AssertionError(f"nothing is stored on {mover}")

    def get(self, name: str, through: str, door: str = "https") -> bytes:
        target = self.folder / "target"
        Curl(self.node(through), door).get(name, target)
        return target.read_bytes()


class Flowing(FleetCase):
    def test_stored_on_one_through_another_read_by_a_third(self) -> None:
        for door in ("https", "ftp", "https_plain"):
            name = self.put_on(B, A, door)
            for reader in ("master", A, B):
                self.assertEqual(self.get(name, reader, door), self.content)

    def test_a_range_of_a_file_that_is_elsewhere(self) -> None:
        name = self.put_on(B, A)
        part = subprocess.run(
            ["curl", "-sSkf", "-r", "1000000-1999999", "-u", f"{LOGIN}:{PASSWORD}", self.node(A).url("https", name)],
            capture_output=True,
            check=True,
        ).stdout
        self.assertEqual(part, self.content[1_000_000:2_000_000])

    def test_the_small_and_the_empty(self) -> None:
        for size in (0, 1, 70_000):
            self.source.write_bytes(self.content[:size])
            for number in range(4):
                name = f"small-{size}-{number}"
                Curl(self.node(A), "https").put(self.source, name)
                self.assertEqual(self.get(name, B), self.content[:size])

    def test_the_Master_sees_control_bytes_alone(self) -> None:
        """Heartbeats and all: less than 20 KiB a file, though each has 3 MB."""
        self.fleet.master.ecpds("mover", "drain", "master")
        try:
            before = self.fleet.relay.count
            for number in range(10):
                Curl(self.node(A), "https").put(self.source, f"counted-{number}")
            crossed = self.fleet.relay.count - before
        finally:
            self.fleet.master.ecpds("mover", "undrain", "master")
        self.assertGreater(crossed, 0)
        self.assertLess(crossed / 10, 20 * 1024)

    def test_operators_may_ask_any_node(self) -> None:
        name = self.put_on(B, A)
        shown = [self.node(asked).json("file", "show", f"/{DESTINATION}/{name}") for asked in ("master", A, B)]
        self.assertEqual(shown[0], shown[1])
        self.assertEqual(shown[0], shown[2])
        refused = self.node(A).try_ecpds("file", "show", "/none/x")
        self.assertEqual((refused.returncode, len(refused.stderr.splitlines())), (1, 1))

    def test_a_quota_is_for_all_nodes_together(self) -> None:
        limits = ["--option", f"portal.maxUploadBytes={SIZE}", "--option", "portal.maxDownloadBytes=1"]
        words = ["user", "add", "limited", "--password-stdin", "--destination", DESTINATION, *limits]
        self.fleet.master.ecpds(*words, stdin=PASSWORD + "\n")
        self.assertEqual(self.asked(A, "PUT", "limited", self.content), 201)
        self.assertEqual(self.asked(B, "PUT", "limited-2", b"x"), 507)
        self.assertEqual(self.asked(A, "GET", "limited"), 200)
        until(lambda: self.asked(B, "GET", "limited") == 429, "the record to be at the Master")

    def asked(self, node: str, method: str, name: str, body: bytes | None = None) -> int:
        connection = https(self.node(node))
        with contextlib.closing(connection):
            connection.request(method, path_of(name), body, authorization("limited"))
            answer = connection.getresponse()
            answer.read()
            return answer.status

    def test_what_only_passes_through_obeys_bandwidth_too(self) -> None:
        """To a client in clear text and to one with TLS, and from them; at the node that they are connected to."""
        name = self.put_on(B, A)
        rates = [f"portal.maxBytesPerSecFor{each}={SIZE}" for each in ("Input", "Output")]
        words = ["user", "add", "slow", "--password-stdin", "--destination", DESTINATION]
        self.fleet.master.ecpds(*words, "--option", rates[0], "--option", rates[1], stdin=PASSWORD + "\n")
        self.fleet.master.ecpds("mover", "drain", A)
        try:
            for door in ("https", "https_plain"):
                node, target = self.node(A), self.folder / "target"
                slow = partial(Curl(node, door), "--user", f"slow:{PASSWORD}")
                start = time.monotonic()
                slow("-o", str(target), node.url(door, name))
                middle = time.monotonic()
                slow("-T", str(self.source), node.url(door, f"slow-{door}"))
                self.assertGreater(min(middle - start, time.monotonic() - middle), 0.85)
                self.assertEqual(target.read_bytes(), self.content)
                self.assertNotEqual(self.holder(f"slow-{door}"), A)
        finally:
            self.fleet.master.ecpds("mover", "undrain", A)

    def test_a_one_time_code_is_taken_by_one_node(self) -> None:
        words = ["user", "add", "coded", "--password-stdin", "--destination", DESTINATION]
        self.fleet.master.ecpds(*words, stdin=PASSWORD + "\n")
        uri = self.node(A).json("user", "totp", "coded", "enrol")["uri"]
        secret = base64.b32decode(parse_qs(urlsplit(uri).query)["secret"][0])
        code = code_of(secret, int(time.time()) // STEP + 1)
        said = [self.by_ftp(through, "coded", PASSWORD + behind) for through, behind in ((A, ""), (A, code), (B, code))]
        self.assertEqual([each[:3] for each in said], ["530", "230", "530"])
        self.assertIn("A one-time code is needed", said[0])

    def by_ftp(self, through: str, login: str, password: str) -> str:
        """What a node says to a login."""
        with ftplib.FTP(timeout=30) as client:
            client.connect("127.0.0.1", self.node(through).ports["ftp"])
            try:
                return client.login(login, password)
            except ftplib.error_perm as error:
                return str(error)

    def test_every_transfer_is_in_the_history(self) -> None:
        name = self.put_on(B, A, "ftp")
        events = until(
            lambda: [each for each in self.fleet.master.json_lines("events", "--type", "INH") if each["FileName"] == name],
            "the record",
        )
        self.assertEqual((events[0]["Status"], events[0]["TransferServer"]), ("done", B))

    def test_a_draining_mover_gets_nothing_new(self) -> None:
        self.fleet.master.ecpds("mover", "drain", B)
        try:
            for number in range(8):
                Curl(self.node(A), "https").put(self.source, f"drained-{number}")
                self.assertNotEqual(self.holder(f"drained-{number}"), B)
        finally:
            self.node(A).ecpds("mover", "undrain", B)
        self.put_on(B, A)


class Straight(FleetCase):
    """Large files between movers without TLS: from stream to client on a thread, wherever both keep up."""

    options: ClassVar[Options] = {**OPTIONS, "cluster": {"plain_stream": True}}

    def setUp(self) -> None:
        super().setUp()
        self.content = os.urandom(40_000_017)
        self.source.write_bytes(self.content)

    def test_to_clients_that_keep_up(self) -> None:
        name = self.put_on(B, A)
        for door in ("https_plain", "ftp", "https"):
            self.assertEqual(self.get(name, A, door), self.content, door)

    def test_to_one_that_does_not_and_to_one_that_goes(self) -> None:
        """Beside others; the one that reads on gets all of it."""
        name = self.put_on(B, A)
        with self.asked(name) as slow, self.asked(name) as gone:
            came = slow.recv(100_000)
            gone.recv(100_000)
            vanish(gone)
            self.assertEqual(self.get(name, A, "https_plain"), self.content)
            while piece := slow.recv(100_000):
                came += piece
        self.assertEqual(came.partition(b"\r\n\r\n")[2], self.content)

    def asked(self, name: str) -> socket.socket:
        """A connection on which the file was asked for, with little room for it on our side."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", self.node(A).ports["https_plain"]))
        lines = [f"GET {path_of(name)} HTTP/1.1", "Host: x", "Connection: close"]
        lines += [f"{field}: {value}" for field, value in authorization().items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection


class Failing(FleetCase):
    def begin_upload(self, through: str, name: str) -> socket.socket:
        """Half of an upload."""
        connection = socket.create_connection(("127.0.0.1", self.node(through).ports["https_plain"]), 30)
        lines = [f"PUT {path_of(name)} HTTP/1.1", "Host: x", f"Content-Length: {SIZE}"]
        lines += [f"{field}: {value}" for field, value in authorization().items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + self.content[: SIZE // 2])
        return connection

    def look_at(self, *names: str) -> None:
        """Know the files of these movers, of which some may still go that earlier tests left."""
        self.known = {name: set(self.node(name).stored_files()) for name in names}

    def writing(self, name: str) -> bool:
        """Whether a mover has a file of an upload in its hands: one that no name has yet."""
        return not self.known[name].issuperset(self.node(name).stored_files())

    def test_the_target_dies_in_the_middle_of_an_upload(self) -> None:
        self.look_at("master", A, B)
        for number in range(20):
            name = f"cut-{number}"
            with self.begin_upload(A, name) as connection:
                until(lambda: self.started(), "the upload to begin somewhere")
                if self.writing(B):
                    self.node(B).kill()
                    connection.sendall(self.content[SIZE // 2 :])
                    status = connection.recv(65536).split(b" ")[1]
                    self.assertEqual(status, b"503")
                    break
            until(lambda: not self.started(), "the cut upload to be given back")
        else:
            raise AssertionError("no upload went to the other mover")
        self.assertNotIn(name, Curl(self.node(A), "https").list())
        self.node(B).start()
        until(lambda: not self.writing(B), "the sweep to take what was left")

    def started(self) -> bool:
        return any(self.writing(name) for name in self.known)

    def test_a_target_that_is_dead_is_not_missed(self) -> None:
        """Killed a moment ago: the Master may still believe in it, but the client does not see that."""
        self.node(B).kill()
        for number in range(6):
            Curl(self.node(A), "https").put(self.source, f"after-{number}")
            self.assertEqual(self.get(f"after-{number}", A), self.content)

    def test_the_source_dies_in_the_middle_of_a_download(self) -> None:
        self.content = os.urandom(40_000_000)
        self.source.write_bytes(self.content)
        name = self.put_on(B, A)
        connection = https(self.node(A))
        connection.request("GET", path_of(name), headers=authorization())
        answer = connection.getresponse()
        got = answer.read(100_000)
        self.node(B).kill()
        with self.assertRaises(Exception) as caught:
            while piece := answer.read(1 << 20):
                got += piece
            if len(got) < len(self.content):
                raise EOFError("it ended too early, and said so by its length")
        self.assertTrue(caught.exception)
        self.assertEqual(got, self.content[: len(got)])
        with self.assertRaises(ClientFailed):
            self.get(name, A)
        self.node(B).start()
        self.fleet.wait_for(B)
        self.assertEqual(self.get(name, A), self.content)

    def test_the_master_is_killed_and_started_again(self) -> None:
        name = self.put_on(B, A)
        self.fleet.master.kill()
        self.fleet.master.start()
        self.fleet.wait_for(A, B)
        self.assertEqual(self.get(name, A), self.content)
        self.assertEqual(self.get(self.put_on(B, A), A), self.content)

    def test_an_upload_goes_on_while_the_master_is_killed_and_started_again(self) -> None:
        """To another mover than the client's: the bytes go on, and the name appears once."""
        self.goes_on(B, A)

    def test_an_upload_to_the_node_itself_goes_on_too(self) -> None:
        self.goes_on(A, B)

    def goes_on(self, mover: str, other: str) -> None:
        """What is drained is so, too, after the Master was killed."""
        name = f"goes-on-{mover}"
        for each in ("master", other):
            self.fleet.master.ecpds("mover", "drain", each)
            self.addCleanup(self.fleet.master.ecpds, "mover", "undrain", each)
        self.look_at(mover)
        with self.begin_upload(A, name) as connection:
            until(lambda: self.writing(mover), "the upload to begin")
            self.fleet.master.kill()
            self.fleet.master.start()
            self.assertNotIn(name, Curl(self.node(A), "https").list())
            connection.sendall(self.content[SIZE // 2 :])
            answer = connection.recv(65536)
            self.assertEqual(answer.split(b" ")[1], b"201", answer)
        self.assertEqual(self.holder(name), mover)
        self.assertEqual(self.get(name, "master"), self.content)

    def login(self, through: str) -> ftplib.FTP:
        """An FTP client in the destination."""
        client = ftplib.FTP(timeout=60)
        client.connect("127.0.0.1", self.node(through).ports["ftp"])
        client.login(LOGIN, PASSWORD)
        client.cwd(f"/{DESTINATION}")
        return client

    def test_an_upload_is_resumed_at_another_node_when_the_client_s_dies(self) -> None:
        """What had come is on another mover, and is kept there for its user."""
        self.is_resumed(lambda: None)

    def test_it_is_where_the_Master_is_killed_as_well_and_started_again(self) -> None:
        """The one that is asked to keep what came has never heard of it."""
        self.is_resumed(self.fleet.master.kill)

    def is_resumed(self, happens: Callable[[], None]) -> None:
        """An upload to B is cut by the death of A, through which it comes; before that, something `happens` to the Master."""
        name = f"goes-elsewhere-{self.id().rpartition('.')[2][-10:]}"
        for each in ("master", A):
            self.fleet.master.ecpds("mover", "drain", each)
        self.look_at(B)
        client = self.login(A)
        with client.transfercmd(f"STOR {name}") as data:
            data.sendall(self.content[: SIZE // 2])
            until(lambda: self.writing(B), "the upload to begin")
            happens()
            self.node(A).kill()
        client.close()
        if self.fleet.master.process is None:
            self.fleet.master.start()
        for each in ("master", A):
            self.fleet.master.ecpds("mover", "undrain", each)
        with self.login("master") as other:

            def kept() -> int:
                with contextlib.suppress(ftplib.error_perm):
                    return other.size(name) or 0
                return 0

            came = until(kept, "what came to be kept")
            self.assertLessEqual(came, SIZE // 2)
            self.assertNotIn(name, other.nlst())
            other.storbinary(f"STOR {name}", io.BytesIO(self.content[came:]), rest=came)
        for reader in ("master", B):
            self.assertEqual(self.get(name, reader), self.content)
        shown = self.fleet.master.json("file", "show", f"/{DESTINATION}/{name}")
        self.assertEqual(shown["digests"]["sha256"], hashlib.sha256(self.content).hexdigest())

    def test_the_source_of_an_ftp_download_dies(self) -> None:
        """The reply says so, and it never looks whole."""
        self.content = os.urandom(40_000_000)
        self.source.write_bytes(self.content)
        name = self.put_on(B, A)
        client = self.login(A)
        client.voidcmd("TYPE I")
        got = b""
        with client.transfercmd(f"RETR {name}") as data:
            got += data.recv(100_000)
            self.node(B).kill()
            with contextlib.suppress(ConnectionError):
                while piece := data.recv(1 << 20):
                    got += piece
        with self.assertRaises(ftplib.Error) as refused:
            client.voidresp()
        self.assertIn(str(refused.exception)[:3], ("426", "451"))
        self.assertLess(len(got), len(self.content))
        self.assertEqual(got, self.content[: len(got)])

    def test_a_node_that_is_stopped_ends_well(self) -> None:
        self.assertEqual(self.node(B).stop(), 0, self.node(B).log_end())


class Refusals(FleetCase):
    def stranger(self, secret: str | None) -> str:
        """What a node says that may not join."""
        port = self.fleet.master.ports["cluster"]
        options = {
            "node": {"name": "stranger", "roles": ["mover", "ftp"]},
            "cluster": {"masters": [f"tls:127.0.0.1:{port}"], "listen": 0, "stream": 0},
        }
        node = Node(self.folder / "stranger", options)
        if secret is not None:
            node.home.mkdir()
            (node.home / "cluster.secret").write_text(secret)
            (node.home / "cluster.secret").chmod(0o600)
        done = run_to_its_end(node)
        self.assertNotEqual(done.returncode, 0)
        self.assertIsNone(node.ports_file())
        return done.stdout + done.stderr

    def test_without_the_secret(self) -> None:
        self.assertIn("secret_file", self.stranger(None))

    def test_with_another_secret(self) -> None:
        self.assertIn("does not know the fleet's secret", self.stranger("x" * 43 + "\n"))
        self.assertNotIn("stranger", [mover["name"] for mover in self.fleet.master.json_lines("mover", "list")])
