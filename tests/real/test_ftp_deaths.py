"""Clients that are killed in the middle of an upload in clear text, whose end nothing marks: no half file has a name.

The client is a process of its own. It sends a part of a file and kills itself: its kernel then ends its connections one after
the other, the last opened first, and sends what had not been sent before. Nothing here waits for a time: whether the name is
there is asked when the door has recorded what became of the upload.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Collection, Mapping
from ftplib import FTP, error_perm
from typing import Any, ClassVar

import pytest

from tests.real.case import RealTestCase
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Options, until

BLOCK = 4096
WHOLE = bytes(range(256)) * 20_000


class DeathCase(RealTestCase):
    options: ClassVar[Options] = {"mover": {"sync": False}}

    def client(self) -> FTP:
        ftp = FTP()
        ftp.connect("127.0.0.1", self.node.ports["ftp"], timeout=30)
        ftp.login(LOGIN, PASSWORD)
        ftp.cwd(f"/{DESTINATION}")
        return ftp

    def die(self, name: str, size: int, control_first: bool) -> None:
        """Send `size` bytes of an upload, and be killed. Which connection a kernel ends first is its own affair."""
        child = os.fork()
        if not child:
            try:
                ftp = self.client()
                data: Any = ftp.transfercmd(f"STOR {name}")
                assert ftp.sock is not None
                data.sendall(WHOLE[:size])
                if control_first:
                    os.close(ftp.sock.detach())
                os.kill(os.getpid(), signal.SIGKILL)
            finally:
                os._exit(1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), -signal.SIGKILL)

    def outcomes(self, names: Collection[str]) -> Mapping[str, str]:
        """What the records say of the uploads of these names."""

        def find() -> Mapping[str, str] | None:
            lines = self.node.json_lines("events", "--type", "INH", "--limit", "1000")
            found = {line["FileName"]: line["Status"] for line in lines}
            return found if found.keys() >= set(names) else None

        return until(find, f"the records of {len(names)} uploads")

    def deaths(self, count: int, control_first: bool, chance: random.Random, size: Callable[[], int]) -> int:
        """How many of so many had their half published; the others have no name."""
        names = [f"{chance.getrandbits(40):x}" for _ in range(count)]
        for name in names:
            self.die(name, size(), control_first)
        published = [name for name, status in self.outcomes(names).items() if status == "done" and name in names]
        with self.client() as ftp:
            for name in set(names) - set(published):
                self.assertRaises(error_perm, ftp.voidcmd, f"MLST {name}")
        return len(published)


class DeathTests(DeathCase):
    def test_the_control_connection_ends_first(self) -> None:
        """Then the door can know, whatever the machine does meanwhile."""
        chance = random.Random(os.environ.get("ECPDS_TEST_SEED", "1"))
        for size in (0, 1, 1024, 50_000, len(WHOLE)):
            self.assertEqual(self.deaths(5, True, chance, lambda size=size: size), 0, size)  # type: ignore[misc]

    @pytest.mark.long
    def test_the_data_connection_ends_first(self) -> None:
        """As with most clients, by some microseconds where the machine is not busy: the door waits as long as it may."""
        chance = random.Random(os.environ.get("ECPDS_TEST_SEED", "1"))
        published = self.deaths(100, False, chance, lambda: BLOCK * chance.choice((0, 1, 2, 16, 1250)))
        print(f"{published} of 100 were published")
        self.assertLessEqual(published, 10)
