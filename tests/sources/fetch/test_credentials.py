"""Whose password is tried where."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.sources.fetch.credentials import Wallet
from ecpds.sources.mechanisms.base import Secret
from ecpds.threads import InlineThreads


class OneHost(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(mkdtemp(prefix="ecpds-wallet-"))
        self.addCleanup(rmtree, folder, True)
        (folder / "netrc").write_text("machine host login ann password secret\n")
        (folder / "netrc").chmod(0o600)
        self.wallet = Wallet(InlineThreads(), None, folder / "netrc")

    def found(self, scheme: str, refused: int = 0) -> Secret | None:
        return self.successResultOf(Deferred.fromCoroutine(self.wallet.find(scheme, "host", "", refused)))

    def test_what_one_service_refuses_is_still_offered_to_another(self) -> None:
        self.assertEqual(self.found("ftp"), Secret("ann", "secret"))
        self.assertIsNone(self.found("ftp", refused=1))
        self.assertIsNone(self.found("ftp"))
        self.assertEqual(self.found("https"), Secret("ann", "secret"))
