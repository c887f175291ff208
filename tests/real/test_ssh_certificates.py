"""Certificates that ssh-keygen makes, shown by OpenSSH's clients."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from tests.real.case import RealTestCase
from tests.real.clients import ClientFailed, run
from tests.real.harness import LOGIN, Options
from tests.real.ssh_clients import UNKNOWN_HOST, remote

KINDS = (("ed25519", "256"), ("ecdsa", "256"), ("ecdsa", "521"), ("rsa", "3072"))


class Certificates(RealTestCase):
    options: ClassVar[Options] = {
        "node": {"roles": ["master", "mover", "ftp", "https", "ssh"]},
        "ssh": {"port": 0, "trusted_user_ca_keys": "user_ca.keys", "revoked_keys": "revoked.keys"},
    }

    def setUp(self) -> None:
        super().setUp()
        self.home = self.node.home
        self.made = 0
        self.write("revoked.keys", "")

    def write(self, name: str, text: str) -> None:
        file = self.home / name
        file.write_text(text)
        file.chmod(0o600)

    def key(self, kind: str = "ed25519", bits: str = "256") -> Path:
        self.made += 1
        file = self.folder / f"key-{self.made}"
        run(["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", str(file)])
        return file

    def authority(self, kind: str = "ed25519", bits: str = "256") -> Path:
        """One that the node trusts, it alone."""
        file = self.key(kind, bits)
        self.write("user_ca.keys", file.with_suffix(".pub").read_text())
        return file

    def certify(self, authority: Path, key: Path, *words: str, names: str = LOGIN) -> None:
        command = ["ssh-keygen", "-q", "-s", str(authority), "-I", "someone@laptop", "-n", names, *words]
        run([*command, str(key.with_suffix(".pub"))])

    def enter(self, key: Path, *options: str) -> str:
        words = ["sftp", *UNKNOWN_HOST, "-i", str(key), "-oIdentitiesOnly=yes", "-oBatchMode=yes", *options]
        return run([*words, "-P", str(self.node.ports["ssh"]), "-b", "-", f"{LOGIN}@127.0.0.1"], "pwd\n")

    def refuses(self, key: Path, reason: str) -> None:
        with self.assertRaises(ClientFailed):
            self.enter(key)
        told = [record["Message"] for record in self.node.json_lines("events", "--json", "--type", "DEA")]
        self.assertTrue(any(reason in message for message in told), (reason, told))

    def test_of_every_kind(self) -> None:
        for kind, bits in KINDS:
            key = self.key(kind, bits)
            self.certify(self.authority(kind, bits), key, "-V", "+1h", "-z", "7", "-O", "source-address=127.0.0.0/8,::1/128")
            self.assertIn("Remote working directory: /", self.enter(key), kind)

    def test_rsa_with_sha_256(self) -> None:
        key, authority = self.key("rsa", "3072"), self.authority("rsa", "3072")
        self.certify(authority, key, "-t", "rsa-sha2-256")
        self.assertIn("Remote", self.enter(key, "-oPubkeyAcceptedAlgorithms=rsa-sha2-256-cert-v01@openssh.com"))

    def test_what_does_not_let_in(self) -> None:
        key, authority = self.key(), self.authority()
        for words, reason in (
            (("-V", "-2h:-1h"), "no longer valid"),
            (("-V", "+1h:+2h"), "not valid yet"),
            (("-O", "force-command=ls"), "force-command"),
            (("-O", "source-address=192.0.2.0/24"), "source-address"),
        ):
            self.certify(authority, key, *words)
            self.refuses(key, reason)
        self.certify(authority, key, names="somebody")
        self.refuses(key, "it is of somebody")
        self.certify(self.key(), key)
        self.refuses(key, "not trusted")

    def test_revoked(self) -> None:
        key, authority = self.key(), self.authority()
        self.certify(authority, key, "-z", "7")
        self.assertIn("Remote", self.enter(key))
        for line in ("serial: 7", "id: someone@laptop", key.with_suffix(".pub").read_text()):
            self.write("revoked.keys", line)
            self.refuses(key, "Revoked")

    def test_a_file_goes_in_by_scp(self) -> None:
        key = self.key()
        self.certify(self.authority(), key)
        source, digest = self.random_file(100_000)
        for mode in ("-s", "-O"):
            words = ["scp", mode, *UNKNOWN_HOST, "-i", str(key), "-oIdentitiesOnly=yes", "-P", str(self.node.ports["ssh"])]
            run([*words, str(source), f"{LOGIN}@127.0.0.1:{remote(f'by{mode}')}"])
            self.assertEqual(self.node.json("file", "show", remote(f"by{mode}"))["digests"]["sha256"], digest)

    def test_a_key_without_its_certificate(self) -> None:
        key = self.key()
        self.certify(self.authority(), key)
        shutil.move(f"{key}-cert.pub", f"{key}-elsewhere.pub")
        with self.assertRaises(ClientFailed):
            self.enter(key)
