"""The SSH host key, and threads that nobody waits for."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.config import Config, ConfigError, Node
from ecpds.errors import Unavailable
from ecpds.interfaces import IThreads
from ecpds.keys import HOST_KEY_FILES, HostKey, ssh_host_key, ssh_host_keys
from ecpds.threads import LooseThreads
from tests.admin.manhole_support import HandReactor


class HostKeys(SynchronousTestCase):
    def setUp(self) -> None:
        self.config = Config(node=Node(name="n1", home=str(Path(self.mktemp()).resolve())))
        self.path = self.config.path("keys/ssh_host_ed25519_key")

    def public(self, key: HostKey) -> bytes:
        return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)

    def test_made_once_for_its_owner_alone(self) -> None:
        first = ssh_host_key(self.config)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(self.public(ssh_host_key(self.config)), self.public(first))
        beside = load_ssh_public_key(self.path.with_name("ssh_host_ed25519_key.pub").read_bytes())
        self.assertEqual(beside.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH), self.public(first))

    def test_what_can_not_be_used_stops_the_start(self) -> None:
        ssh_host_key(self.config)
        whole = self.path.read_bytes()
        for content, mode in ((b"", 0o600), (whole[:100], 0o600), (b"\xff", 0o600), (whole, 0o640), (whole, 0o604)):
            self.path.write_bytes(content)
            self.path.chmod(mode)
            refused = self.assertRaises(ConfigError, ssh_host_key, self.config)
            self.assertEqual(len(str(refused).splitlines()), 1)

    def test_one_of_each_kind(self) -> None:
        keys = ssh_host_keys(self.config)
        self.assertEqual([type(key) for key in keys], [type(key) for key in ssh_host_keys(self.config)])
        self.assertEqual(sorted(path.name for path in self.path.parent.iterdir()), sorted(HOST_KEY_FILES))
        self.path.with_name("ssh_host_rsa_key").write_bytes(self.path.read_bytes())
        self.assertRaises(ConfigError, ssh_host_keys, self.config)


class Loose(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = HandReactor()
        self.threads = LooseThreads(self.reactor, "test", 1)
        verifyObject(IThreads, self.threads)

    def start(self, function: object) -> list[object]:
        found: list[object] = []
        Deferred.fromCoroutine(self.threads.run(function)).addBoth(found.append)
        return found

    def test_values_and_exceptions(self) -> None:
        def leave() -> None:
            raise SystemExit(3)

        first = self.start(lambda: 7)
        self.reactor.turn_until(lambda: first)
        second = self.start(leave)
        self.reactor.turn_until(lambda: second)
        self.assertEqual(first, [7])
        self.assertIsInstance(second[0].value, SystemExit)  # type: ignore[attr-defined]

    def test_no_more_than_so_many(self) -> None:
        first, second = self.start(lambda: 1), self.start(lambda: 2)
        assert isinstance(second[0], Failure)
        self.assertTrue(second[0].check(Unavailable))
        self.reactor.turn_until(lambda: first)
        third = self.start(lambda: 3)
        self.reactor.turn_until(lambda: third)
        self.assertEqual((first, third), ([1], [3]))
