"""Quotas at every door: what fits comes in and goes out, what doesn't is told in the protocol's own words."""

from __future__ import annotations

import ftplib
import io
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from paramiko.sftp import CMD_CLOSE

from tests.real.clients import ClientFailed
from tests.real.harness import DESTINATION, LOGIN, until
from tests.real.ssh_clients import remote
from tests.real.test_every_door import DOORS, Doors

SIZE = 60_000
MUCH = 1 << 40


class Quotas(Doors):
    """Each door by itself: what was used before is allowed for."""

    def used(self, direction: str) -> int:
        shown = self.node.json("user", "show", LOGIN)["quotas"]
        found: int = next(each["used"] for each in shown if each["of"] == direction)
        return found

    def leave(self, direction: str, left: int) -> None:
        """Let so many bytes be left."""
        option = f"portal.max{direction.capitalize()}Bytes"
        self.node.ecpds("user", "set", LOGIN, "--option", f"{option}={MUCH}")
        self.node.ecpds("user", "set", LOGIN, "--option", f"{option}={self.used(direction) + left}")

    def words(self, refused: Callable[[], Any]) -> str:
        """What a client is told, with the code that its protocol has for it."""
        with self.assertRaises((ftplib.error_perm, OSError, ClientFailed, ClientError)) as caught:
            refused()
        return str(caught.exception)

    def test_puts(self) -> None:
        held = len(self.node.stored_files())
        expected = {"ftp": "552 Upload quota", "s3": "(QuotaExceeded)"}
        for door in DOORS:
            with self.subTest(door=door):
                self.leave("upload", 2 * SIZE - 1)
                self.put(door, f"{door}-1", bytes(SIZE))
                if door == "https":
                    answer, content = self.http("PUT", f"{door}-2", bytes(SIZE))
                    self.assertEqual(answer.status, 507)
                    said = content.decode()
                elif door == "sftp":
                    said = self.words(self.put_by_sftp)
                else:
                    said = self.words(lambda door=door: self.put(door, f"{door}-2", bytes(SIZE)))
                self.assertIn(f"Upload quota exceeded ({SIZE - 1} of ", said)
                self.assertIn(expected.get(door, ""), said)
                self.assertEqual(self.there(), sorted(f"{each}-1" for each in DOORS[: DOORS.index(door) + 1]))
        self.assertEqual(len(self.node.stored_files()), held + len(DOORS))

    def put_by_sftp(self) -> None:
        """paramiko's own `close` hears of no refusal."""
        with self.sftp() as sftp, sftp.open(remote("sftp-2"), "w") as file:
            file.write(bytes(SIZE))
            file.flush()
            sftp._request(CMD_CLOSE, file.handle)

    def there(self) -> list[str]:
        """The names that are seen."""
        shown = self.node.json_lines("file", "ls", f"/{DESTINATION}/")
        return sorted(each["path"].rpartition("/")[2] for each in shown if each["path"].endswith(("-1", "-2")))

    def test_gets(self) -> None:
        self.node.ecpds("user", "set", LOGIN, "--option", f"portal.maxUploadBytes={MUCH}")
        self.put("https", "fetched", bytes(SIZE))
        for door in DOORS:
            with self.subTest(door=door):
                self.leave("download", 1)
                before = self.used("download")
                self.assertEqual(len(self.get(door, "fetched")), SIZE)
                until(lambda before=before: self.used("download") >= before + SIZE, "the record of the download")
                self.check_refused(door)

    def check_refused(self, door: str) -> None:
        if door == "https":
            answer, content = self.http("GET", "fetched")
            self.assertEqual((answer.status, answer.headers["Retry-After"]), (429, "600"))
            said = content.decode()
        elif door == "sftp":
            said = self.words(self.open_by_sftp)
        elif door == "s3":
            said = self.words(lambda: self.s3.get_object(Bucket=DESTINATION, Key="fetched"))
            self.assertIn("(QuotaExceeded)", said)
        else:
            said = self.words(lambda: self.get(door, "fetched"))
        self.assertIn("Download quota exceeded (0 of ", said)
        self.assertIn("552 " if door == "ftp" else "", said)

    def open_by_sftp(self) -> None:
        with self.sftp() as sftp:
            sftp.getfo(remote("fetched"), io.BytesIO())
