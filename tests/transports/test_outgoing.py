"""Which addresses are the world's: what a redirect may not lead to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ecpds.transports.outgoing import is_public


class PublicAddresses(SynchronousTestCase):
    def test_the_worlds(self) -> None:
        for address in ("8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"):
            self.assertTrue(is_public(address), address)

    def test_our_own_and_nobodys(self) -> None:
        for address in (
            "127.0.0.1",
            "127.8.9.1",
            "::1",
            "0.0.0.0",
            "::",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "fe80::1%eth0",
            "fd00::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "ff02::1",
        ):
            self.assertFalse(is_public(address), address)
