"""What one entry looks like to `ls -l` readers, to MLSD, in plain text and in JSON."""

from __future__ import annotations

import csv
import io
import json
import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.model import PERMISSIONS, DataFile, Entry
from ecpds.releases import NEVER
from ecpds.wire.listings import csv_line, json_entry, json_line, marked_name, mlsd_facts, text_line, time_value, unix_line

NOW = 1795300000.0  # 2026-11-21T22:26:40Z
FILE = Entry("/demo/a b.grib", NOW - 3600, DataFile(7, 1234, NOW - 3600, NOW - 3600, {"sha256": "ab"}))
FOLDER = Entry("/demo/2026", NOW - 400 * 86400)


class UnixLineTests(SynchronousTestCase):
    def test_file(self) -> None:
        expected = "-rw-r--r--   1 demo     demo              1234 Nov 21 21:26 a b.grib"
        self.assertEqual(unix_line(FILE, NOW, "demo"), expected)

    def test_old_directory_shows_the_year(self) -> None:
        expected = "drwxr-xr-x   2 demo     demo                 0 Oct 17  2025 2026"
        self.assertEqual(unix_line(FOLDER, NOW, "demo"), expected)

    def test_time_to_come_shows_the_year(self) -> None:
        line = unix_line(Entry("/demo/f", NOW + 40 * 86400, FILE.file), NOW, "demo")
        self.assertIn("Dec 31  2026 f", line)

    def test_owner_is_one_column(self) -> None:
        for owner in ("a b", "a\tb", "", " "):
            with self.subTest(owner=owner):
                self.assertEqual(len(unix_line(FOLDER, NOW, owner).split()), 9)

    @given(st.integers(0, 2**53), st.floats(0, 4e9), st.floats(0, 4e9))
    def test_what_clients_parse_is_there(self, size: int, mtime: float, now: float) -> None:
        line = unix_line(Entry("/d/n", mtime, DataFile(1, size, mtime, mtime)), now, "me")
        pattern = r"-rw-r--r-- +1 me +me +(\d+) [A-Z][a-z]{2} [ \d]\d (?:\d\d:\d\d| \d{4}) n"
        match = re.fullmatch(pattern, line)
        assert match is not None, line
        self.assertEqual(int(match[1]), size)


class FactsTests(SynchronousTestCase):
    def test_file(self) -> None:
        facts = "type=file;size=1234;modify=20261121212640;perm=dfrw;unique=7;"
        self.assertEqual(mlsd_facts(FILE, PERMISSIONS), facts)

    def test_directory(self) -> None:
        self.assertEqual(mlsd_facts(FOLDER, PERMISSIONS), "type=dir;modify=20251017222640;perm=cdeflmp;")

    def test_permissions_of_a_reader(self) -> None:
        self.assertIn("perm=r;", mlsd_facts(FILE, {"get", "dir"}))
        self.assertIn("perm=el;", mlsd_facts(FOLDER, {"get", "dir"}))

    def test_only_the_wanted(self) -> None:
        self.assertEqual(mlsd_facts(FILE, PERMISSIONS, {"size", "nonsense"}), "size=1234;")
        self.assertEqual(mlsd_facts(FILE, PERMISSIONS, ()), "")

    def test_time_value(self) -> None:
        self.assertEqual(time_value(0.9), "19700101000000")


class TextAndJsonTests(SynchronousTestCase):
    def test_text(self) -> None:
        self.assertEqual(text_line(FILE), "2026-11-21T21:26:40.000Z          1234 a b.grib")
        self.assertEqual(text_line(FOLDER), "2025-10-17T22:26:40.000Z             - 2026/")

    def test_marked_name(self) -> None:
        self.assertEqual((marked_name(FILE), marked_name(FOLDER)), ("a b.grib", "2026/"))

    def test_json(self) -> None:
        expected = {
            "name": "a b.grib",
            "path": "/demo/a b.grib",
            "directory": False,
            "size": 1234,
            "mtime": "2026-11-21T21:26:40.000Z",
            "id": 7,
            "digests": {"sha256": "ab"},
        }
        self.assertEqual(json_entry(FILE), expected)
        self.assertEqual(json.loads(json.dumps(json_entry(FOLDER)))["directory"], True)
        self.assertEqual(json_line(FOLDER), json.dumps(json_entry(FOLDER)))

    @given(st.text(), st.floats(-1e10, 1e11), st.integers(0, 2**63), st.dictionaries(st.text(max_size=9), st.text(max_size=9)))
    def test_a_line_of_json_is_what_json_makes_of_it(self, path: str, mtime: float, size: int, digests: dict[str, str]) -> None:
        entry = Entry(f"/{path}", mtime, DataFile(7, size, mtime, 0.0, digests))
        self.assertEqual(json_line(entry), json.dumps(json_entry(entry)))

    @given(st.text(), st.sampled_from(["", "=", "+", "-", "@", "\t", '"']))
    def test_a_line_of_csv_is_read_as_it_was_meant(self, rest: str, first: str) -> None:
        name = (first + rest).replace("/", "")
        line = csv_line(Entry(f"/demo/{name}", 0.0, DataFile(7, 5, 0.0, 0.0)))
        (row,) = csv.reader(io.StringIO(line, newline=""))
        shown = f"'{name}" if name.startswith(("=", "+", "-", "@", "\t")) else name
        self.assertEqual(row, [shown, "file", "5", "1970-01-01T00:00:00.000Z", ""])

    def test_json_of_what_waits(self) -> None:
        found = [json_entry(Entry("/demo/a", NOW, FILE.file, waits=waits)) for waits in (NOW, NEVER)]
        states = [(each["state"], each["release"]) for each in found]
        self.assertEqual(states, [("standby", "2026-11-21T22:26:40.000Z"), ("standby", None)])
        self.assertNotIn("state", json_entry(FILE))
        self.assertIn('"state": "standby"', json_line(Entry("/demo/a", NOW, FILE.file, waits=NEVER)))
