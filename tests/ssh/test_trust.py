"""Whose certificates are taken, and what is revoked: the operator's two files."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.ssh.authorized import BadLine
from ecpds.ssh.certificates import offered_key
from ecpds.ssh.trust import Offered, Trust, parse_revoked
from tests.ssh.support import AT_ONCE, key_blob, key_line
from tests.ssh.test_certificates import AUTHORITY, DRAFT, HERE, KEY, STRANGER

CERTIFICATE, BARE = offered_key(DRAFT.blob()), offered_key(key_blob(KEY))


class Trusting(SynchronousTestCase):
    def setUp(self) -> None:
        self.authorities, self.revoked = Path(self.mktemp()), Path(self.mktemp())
        self.write(self.authorities, f"# ours\n{key_line(STRANGER)}\n{key_line(AUTHORITY, 'the office')}\n")
        self.write(self.revoked, "")

    def write(self, file: Path, text: str, mode: int = 0o600) -> None:
        file.write_text(text)
        file.chmod(mode)

    def ask(self, offered: Offered = CERTIFICATE, user: str = "ann") -> str | None:
        trust = Trust(self.authorities, self.revoked, AT_ONCE, lambda: 1500.0)
        return self.successResultOf(ensureDeferred(trust.refusal(offered, user, HERE)))

    def test_a_listed_authority_s(self) -> None:
        self.assertIsNone(self.ask())
        self.assertIsNone(self.ask(BARE))

    def test_what_the_certificate_says_counts(self) -> None:
        self.assertIn("it is of ann, bob", str(self.ask(user="joe")))

    def test_any_other_s(self) -> None:
        for text in ("", key_line(STRANGER), f"cert-authority {key_line(AUTHORITY)}", "nonsense"):
            self.write(self.authorities, text)
            self.assertIn("its authority is not trusted", str(self.ask()))
        self.flushLoggedErrors()

    def test_a_file_that_others_may_write(self) -> None:
        self.authorities.chmod(0o622)
        self.assertIn("not trusted", str(self.ask()))

    def test_without_files(self) -> None:
        trust = Trust(None, None, AT_ONCE, lambda: 1500.0)
        self.assertIsNone(self.successResultOf(ensureDeferred(trust.refusal(BARE, "ann", HERE))))
        said = self.successResultOf(ensureDeferred(trust.refusal(CERTIFICATE, "ann", HERE)))
        self.assertEqual(said, "Certificates are not accepted")

    def test_revoked(self) -> None:
        key, authority = key_line(KEY), key_line(AUTHORITY)
        for line in ("serial: 7", "serial: 3-9", "id: ann@laptop", f"key: {key}", key, authority):
            self.write(self.revoked, f"# gone\n\n{line}\n")
            self.assertIn("Revoked", str(self.ask()), line)
        self.write(self.revoked, f"serial: 8\nserial: 9-30\nid: ann\n{key_line(STRANGER)}\n")
        self.assertIsNone(self.ask())

    def test_a_revoked_key_alone(self) -> None:
        self.write(self.revoked, key_line(KEY))
        self.assertIn("Revoked", str(self.ask(BARE)))
        self.write(self.revoked, "serial: 7\nid: ann@laptop")
        self.assertIsNone(self.ask(BARE))

    def test_what_can_t_be_read_lets_nobody_in(self) -> None:
        for text in ("serial: seven", "serial: 1-", "hash: SHA256:x", "key:", "SSHKRL\n\0"):
            self.write(self.revoked, text)
            for offered in (CERTIFICATE, BARE):
                self.assertIn("Revoked", str(self.ask(offered)), text)
        self.revoked.unlink()
        self.assertIn("Revoked", str(self.ask(BARE)))

    def test_the_line_is_named(self) -> None:
        with self.assertRaisesRegex(BadLine, "^line 2: 'x' is no serial number"):
            parse_revoked("serial: 1\nserial: x\n")
