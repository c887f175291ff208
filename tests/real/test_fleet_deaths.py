"""What a client of a fleet sees when the Master freezes, its node or the source dies, or a file goes while it is read."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import boto3
import paramiko
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from twisted.trial.unittest import SynchronousTestCase

from tests.real.clients import Curl, authorization, https, path_of
from tests.real.fleet import fleet
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Node, Options, until
from tests.real.test_fleet import SIZE, A, B, FleetCase

LARGE = 40_000_000
"""More than what sockets hold by themselves, wherever it is."""

BROKEN = (OSError, EOFError, http.client.HTTPException, BotoCoreError, paramiko.SSHException)


class DoorsCase(FleetCase):
    """A has every door."""

    key: ClassVar[dict[str, str]]

    @classmethod
    def setUpClass(cls) -> None:
        cls._stack = contextlib.ExitStack()
        doors: Options = {
            "node": {"roles": ["mover", "ftp", "https", "s3", "ssh"]},
            "s3": {"port": 0, "plain_port": 0},
            "ssh": {"port": 0},
        }
        cls.fleet = cls._stack.enter_context(fleet(A, B, options=cls.options, own={A: doors}))
        cls.key = cls.fleet.master.json("user", "s3key", LOGIN, "add")

    # What is put

    def large_on(self, mover: str) -> str:
        """A large file on a mover, put through A."""
        self.content = os.urandom(LARGE)
        self.source.write_bytes(self.content)
        return self.put_on(mover, A)

    @contextmanager
    def nothing_new_on(self, *names: str) -> Iterator[None]:
        for name in names:
            self.fleet.master.ecpds("mover", "drain", name)
        try:
            yield
        finally:
            for name in names:
                self.fleet.master.ecpds("mover", "undrain", name)

    def begin_upload(self, name: str) -> socket.socket:
        """Half of an upload through A."""
        connection = socket.create_connection(("127.0.0.1", self.node(A).ports["https_plain"]), 60)
        lines = [f"PUT {path_of(name)} HTTP/1.1", "Host: x", f"Content-Length: {SIZE}"]
        lines += [f"{field}: {value}" for field, value in authorization().items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + self.content[: SIZE // 2])
        return connection

    def begin_download(self, name: str) -> http.client.HTTPResponse:
        """Of what is on B, through A; a little of it was read."""
        connection = https(self.node(A))
        connection.request("GET", path_of(name), headers=authorization())
        return connection.getresponse()

    @contextmanager
    def frozen(self, node: Node) -> Iterator[None]:
        assert node.process is not None
        node.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            node.process.send_signal(signal.SIGCONT)


class Dying(DoorsCase):
    # The Master

    def test_transfers_go_on_while_the_Master_is_frozen_and_what_it_is_asked_waits(self) -> None:
        name = self.large_on(B)
        stored = len(self.node(B).stored_files())
        with self.nothing_new_on("master", A):
            answer = self.begin_download(name)
            got = answer.read(100_000)
            with self.begin_upload("frozen") as upload:
                until(lambda: len(self.node(B).stored_files()) > stored, "the upload to begin")
                with self.frozen(self.fleet.master):
                    until(lambda: "the link is cut" in self.node(A).log_end(), "A to find that the Master is silent")
                    got += answer.read()
                    upload.sendall(self.content[SIZE // 2 : SIZE])
                status = upload.recv(65536).split(b" ")[1]
        self.assertEqual(got, self.content)
        self.assertEqual(status, b"201")
        self.fleet.wait_for(A, B)
        self.assertEqual(self.get("frozen", B), self.content[:SIZE])

    # The client's node

    def test_a_node_that_dies_in_an_upload_by_https_leaves_nothing(self) -> None:
        """That protocol can't go on elsewhere, so the target gives the bytes back as soon as its stream is cut."""
        stored = len(self.node(B).stored_files())
        with self.nothing_new_on("master", A), self.begin_upload("gone"):
            until(lambda: len(self.node(B).stored_files()) > stored, "the upload to begin")
            self.node(A).kill()
            until(lambda: len(self.node(B).stored_files()) == stored, "what came to be given back")
        self.assertNotIn("gone", Curl(self.node(B), "https").list())

    # The source

    def test_a_source_that_dies_is_no_end_of_a_file_at_any_door(self) -> None:
        """HTTPS and FTP are in `test_fleet`."""
        name = self.large_on(B)
        for door in (self.s3, self.sftp):
            with self.subTest(door.__name__):
                got = bytearray()
                with contextlib.closing(door(name)) as pieces, self.assertRaises(BROKEN):
                    got += next(pieces)
                    self.node(B).kill()
                    for piece in pieces:
                        got += piece
                    if len(got) < LARGE:
                        raise AssertionError(f"{len(got)} bytes looked like all")
                self.assertLess(len(got), LARGE)
                self.assertEqual(bytes(got), self.content[: len(got)])
                self.node(B).start()
                self.fleet.wait_for(B)

    def s3(self, name: str) -> Iterator[bytes]:
        """The pieces of an object."""
        client: Any = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.node(A).ports['s3_plain']}",
            aws_access_key_id=self.key["access_key_id"],
            aws_secret_access_key=self.key["secret_access_key"],
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 0}, read_timeout=60),
        )
        yield from client.get_object(Bucket=DESTINATION, Key=name)["Body"].iter_chunks(100_000)

    def sftp(self, name: str) -> Iterator[bytes]:
        """The pieces of a file."""
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            where = {"port": self.node(A).ports["ssh"], "timeout": 60.0, "look_for_keys": False, "allow_agent": False}
            client.connect("127.0.0.1", username=LOGIN, password=PASSWORD, **where)  # type: ignore[arg-type]
            with client.open_sftp().open(f"/{DESTINATION}/{name}", "rb") as file:
                while piece := file.read(100_000):
                    yield piece

    # Names

    def test_what_is_deleted_or_replaced_while_it_is_read_elsewhere_is_read_to_its_end(self) -> None:
        """Its bytes are unlinked after that."""
        for change in (self.delete, self.replace):
            with self.subTest(change.__name__):
                name, before = self.large_on(B), len(self.node(B).stored_files())
                answer = self.begin_download(name)
                got = answer.read(100_000)
                with self.nothing_new_on("master", B):
                    change(name)
                self.assertEqual(got + answer.read(), self.content)
                until(lambda: len(self.node(B).stored_files()) < before, "the bytes to be deleted")  # noqa: B023

    def delete(self, name: str) -> None:
        connection = https(self.node(B))
        connection.request("DELETE", path_of(name), headers=authorization())
        self.assertEqual(connection.getresponse().status, 204)

    def replace(self, name: str) -> None:
        self.source.write_bytes(b"another")
        Curl(self.node(B), "https").put(self.source, name)

    def test_puts_of_one_name_at_two_nodes_at_once(self) -> None:
        """Each is acknowledged; one of them is what is there, whole, and of the other nothing stays."""
        until(lambda: not self.fleet.master.json("status")["reclaim"], "what was replaced to be deleted")
        names = [f"both-{number}" for number in range(8)]
        for name in names:
            contents = {node: os.urandom(200_000) for node in (A, B)}
            self.together(*(partial(self.put, node, name, data) for node, data in contents.items()))
            found = {self.get(name, reader) for reader in ("master", A, B)}
            self.assertEqual(len(found), 1)
            self.assertIn(found.pop(), contents.values())
        nodes = (self.fleet.master, *self.fleet.members.values())
        named = len([each for each in self.fleet.master.json_lines("file", "ls", f"/{DESTINATION}/") if each["id"]])
        until(lambda: sum(len(node.stored_files()) for node in nodes) == named, "what was replaced to be deleted")

    def put(self, node: str, name: str, data: bytes) -> None:
        connection = https(self.node(node))
        connection.request("PUT", path_of(name), data, authorization())
        self.assertIn(connection.getresponse().status, (200, 201, 204))

    def together(self, *works: Callable[[], None]) -> None:
        failures: list[BaseException] = []

        def run(work: Callable[[], None]) -> None:
            try:
                work()
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


class SmallPuts(SynchronousTestCase):
    """Small objects are put at a second node by leave that it has ahead, while that node or its Master is killed."""

    def setUp(self) -> None:
        doors: Options = {"node": {"roles": ["master", "mover", "s3"]}, "s3": {"port": 0, "plain_port": 0}}
        options: Options = {**doors, "limits": {"near_file": 65536}, "mover": {"sync": False}}
        own: dict[str, Options] = {A: {"node": {"roles": ["mover", "s3"]}}}
        self.fleet = self.enterContext(fleet(A, options=options, own=own))
        self.key = self.fleet.master.json("user", "s3key", LOGIN, "add")

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.fleet.members[A].ports['s3_plain']}",
            aws_access_key_id=self.key["access_key_id"],
            aws_secret_access_key=self.key["secret_access_key"],
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
        )

    def writes(self, writer: int, over: threading.Event, done: dict[str, bytes]) -> None:
        """Put new objects until one fails behind the kill; note those that were acknowledged."""
        client = self.client()
        for number in range(100_000):
            name, content = f"w{writer}/{number}", os.urandom(1024)
            try:
                client.put_object(Bucket=DESTINATION, Key=name, Body=content)
            except (BotoCoreError, ClientError):
                if over.is_set():
                    return
            else:
                done[name] = content

    def check(self, victim: str) -> None:
        over, done = threading.Event(), [dict[str, bytes]() for _ in range(4)]
        threads = [threading.Thread(target=self.writes, args=(n, over, done[n])) for n in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: all(len(each) > 40 for each in done), "puts to be under way")
        node = self.fleet.master if victim == "master" else self.fleet.members[A]
        over.set()
        node.kill()
        for thread in threads:
            thread.join()
        node.start()
        self.fleet.wait_for(A)
        client = self.client()
        acknowledged = {name: content for each in done for name, content in each.items()}
        for name, content in acknowledged.items():
            self.assertEqual(client.get_object(Bucket=DESTINATION, Key=name)["Body"].read(), content, name)
        near = len(self.fleet.members[A].stored_files())
        self.assertGreater(near, len(acknowledged) // 2, "they did not go the way that this is about")

    def test_the_node_is_killed(self) -> None:
        self.check(A)

    def test_the_Master_is_killed(self) -> None:
        self.check("master")
