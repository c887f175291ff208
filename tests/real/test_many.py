"""Very many small files: all are listed, once each, with right sizes and digests."""

from __future__ import annotations

import hashlib

import pytest

from tests.real.case import RealTestCase
from tests.real.clients import authorization, ftp, https, path_of
from tests.real.harness import DESTINATION
from tests.real.small_files import SIZE, content, get_by_ftp, get_by_http, put_by_ftp, put_by_http


class ManyFiles(RealTestCase):
    def check(self, prefix: str, count: int) -> None:
        """Put, list and get, half by each door."""
        names = [f"{prefix}-{number:05}" for number in range(count)]
        folder = path_of("")
        with ftp(self.node) as client:
            put_by_ftp(client, names[: count // 2])
            put_by_http(lambda: https(self.node), 8, folder, authorization(), names[count // 2 :])
            listed = [(name, int(facts["size"])) for name, facts in client.mlsd() if name.startswith(prefix)]
            self.assertEqual(sorted(listed), [(name, SIZE) for name in names])
            self.assertEqual(sorted(name for name in client.nlst() if name.startswith(prefix)), names)
            get_by_ftp(client, names[::10])
        get_by_http(lambda: https(self.node), 8, folder, authorization(), names[::10])
        self.check_catalogue(names)

    def check_catalogue(self, names: list[str]) -> None:
        shown = self.node.json_lines("file", "ls", f"/{DESTINATION}/")
        found = {file["path"]: (file["size"], file["digests"]["sha256"]) for file in shown}
        self.assertEqual(len(found), len(shown), "a name was listed twice")
        expected = {f"/{DESTINATION}/{name}": (SIZE, hashlib.sha256(content(name)).hexdigest()) for name in names}
        self.assertEqual({path: found.get(path) for path in expected}, expected)

    def test_some_hundreds(self) -> None:
        self.check("some", 600)

    @pytest.mark.long
    def test_ten_thousand_by_each_door(self) -> None:
        self.check("many", 20_000)
