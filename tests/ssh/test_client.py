"""The SSH client: what it tells a server whose key it doesn't take."""

from __future__ import annotations

from pathlib import Path

from twisted.conch.ssh.transport import DISCONNECT_HOST_KEY_NOT_VERIFIABLE
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ecpds.ssh.client import KnownHosts, SshClient


class Disconnecting(SynchronousTestCase):
    def test_a_server_hears_nothing_of_our_insides(self) -> None:
        wire = StringTransport()
        client = SshClient("server.example", 22, KnownHosts(Path("known_hosts")), "ann", (), None)
        client.makeConnection(wire)
        client.sendDisconnect(DISCONNECT_HOST_KEY_NOT_VERIFIABLE, b"bad host key [ecdh] [Failure instance: Traceback")
        self.assertIn(b"the host key is not known here", wire.value())
        self.assertNotIn(b"Failure", wire.value())
