"""New keys in the middle of large transfers, files over 4 GiB, many small ones in one session, and who never logs in."""

from __future__ import annotations

import selectors
import socket
import time
from typing import ClassVar

import psutil
import pytest

from tests.real.case import RealTestCase, sha256
from tests.real.harness import Options, until
from tests.real.ssh_clients import Sftp, remote

MIB = 1 << 20
LOGIN_TIME = 8.0
MANY = 500


def options(**limits: object) -> Options:
    return {"node": {"roles": ["master", "mover", "ftp", "https", "ssh"]}, "ssh": {"port": 0}, "limits": limits}


class NewKeys(RealTestCase):
    options: ClassVar[Options] = options(ssh_rekey_bytes=2 * MIB)
    SIZE = 24 * MIB
    CLIENT = "2M"

    def there_and_back(self, *words: str) -> None:
        source, digest = self.random_file(self.SIZE)
        client, target = Sftp(self.node, *words), self.folder / "back"
        client.put(source, "rekeyed")
        self.assertEqual(self.node.json("file", "show", remote("rekeyed"))["digests"]["sha256"], digest)
        client.get("rekeyed", target)
        self.assertEqual(sha256(target), digest)

    def test_that_we_ask_for(self) -> None:
        for cipher in ("aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"):
            self.there_and_back(f"-oCiphers={cipher}", "-oRekeyLimit=default")

    def test_that_both_ask_for(self) -> None:
        self.there_and_back(f"-oRekeyLimit={self.CLIENT}")


@pytest.mark.long
class NewKeysInAGiB(NewKeys):
    options: ClassVar[Options] = options(ssh_rekey_bytes=64 * MIB)
    SIZE = 1024 * MIB
    CLIENT = "64M"


class ClientsThatAsk(NewKeys):
    options: ClassVar[Options] = options()

    def test_that_we_ask_for(self) -> None:
        """We don't, here: only the client does."""
        self.there_and_back(f"-oRekeyLimit={self.CLIENT}")


@pytest.mark.long
class ClientsThatAskInAGiB(ClientsThatAsk):
    SIZE = 1024 * MIB
    CLIENT = "64M"


class Strangers(RealTestCase):
    options: ClassVar[Options] = options(login_time=LOGIN_TIME)

    def test_who_never_logs_in_is_closed_on_time_and_costs_little(self) -> None:
        """Half of them say nothing, the others their version and no more."""
        daemon = psutil.Process(self.node.pid)
        fds = daemon.num_fds()
        before, began = daemon.memory_info().rss, time.monotonic()
        waiting = selectors.DefaultSelector()
        for number in range(MANY):
            stranger = socket.create_connection(("127.0.0.1", self.node.ports["ssh"]))
            if number % 2:
                stranger.sendall(b"SSH-2.0-stranger\r\n")
            waiting.register(stranger, selectors.EVENT_READ)
        until(lambda: daemon.num_fds() >= fds + MANY, "all of them to be there")
        opened = time.monotonic() - began
        each = (daemon.memory_info().rss - before) / MANY
        while waiting.get_map() and time.monotonic() - began < opened + LOGIN_TIME + 15:
            for key, _ in waiting.select(1):
                stranger = key.fileobj
                assert isinstance(stranger, socket.socket)
                if not stranger.recv(65536):
                    waiting.unregister(stranger)
                    stranger.close()
        took = time.monotonic() - began
        print(f"{MANY} strangers: {each / 1024:.0f} KiB each, all closed {took:.1f} s after the first came")
        self.assertFalse(waiting.get_map(), "somebody is still there")
        self.assertGreaterEqual(took, LOGIN_TIME - 1)
        self.assertLess(each, 128 * 1024)
        self.assertEqual(self.node.json("status")["sessions"]["ssh"], 0)


class ManySmall(RealTestCase):
    options: ClassVar[Options] = options()
    COUNT = 300

    def test_in_one_session(self) -> None:
        source, target = self.folder / "many", self.folder / "back"
        source.mkdir()
        for number in range(self.COUNT):
            (source / f"ü{number:05}").write_bytes(f"{number}".encode() * 100)
        Sftp(self.node)(f'put -R "{source}" "{remote("many")}"\nget -R "{remote("many")}" "{target}"')
        self.assertEqual(
            {path.name: path.read_bytes() for path in target.iterdir()},
            {path.name: path.read_bytes() for path in source.iterdir()},
        )


@pytest.mark.long
class TenThousandSmall(ManySmall):
    COUNT = 10_000


@pytest.mark.long
class Large(RealTestCase):
    options: ClassVar[Options] = options()

    def test_a_file_over_4_gib(self) -> None:
        source, target, size = self.folder / "large", self.folder / "back", (4 << 30) + 12345
        with source.open("wb") as file:
            file.truncate(size)
            for at in (0, (4 << 30) - 3, size - 9):
                file.seek(at)
                file.write(b"something")
        Sftp(self.node).put(source, "large")
        self.assertEqual(self.node.json("file", "show", remote("large"))["size"], size)
        Sftp(self.node).get("large", target)
        self.assertEqual(sha256(target), sha256(source))
