"""Ranges and conditions of the data door, a request and what it must come to in each row, by the section of RFC 9110.

In the fields `TAG` stands for the file's entity tag, `THEN`, `BEFORE` and `AFTER` for its time and a second before and
after. What is said of GET is also said of HEAD, which has no ranges and no body; each row begins on a fresh portal.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ecpds.wire.dates import http_date
from tests.protocols.data_support import DoorTestCase, Seen

CONTENT = bytes(range(256)) * 4
FILE, ABSENT, EMPTY, FOLDER, UNMADE = "/demo/f.bin", "/demo/none", "/demo/empty", "/demo/sub/", "/demo/new/file"

M, N, U, S, V, R = "If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since", "If-Range", "Range"

Fields = dict[str, str]

# (section, fields, status, Content-Range or None); the bytes that come must be those that it says.
GETS: list[tuple[str, Fields, int, str | None]] = [
    ("14.2", {}, 200, None),
    ("14.1.2", {R: "bytes=0-0"}, 206, "0-0/1024"),
    ("14.1.2", {R: "bytes=0-1023"}, 206, "0-1023/1024"),
    ("14.1.2", {R: "bytes=0-1024"}, 206, "0-1023/1024"),
    ("14.1.2", {R: "bytes=1-"}, 206, "1-1023/1024"),
    ("14.1.2", {R: "bytes=1023-"}, 206, "1023-1023/1024"),
    ("14.1.2", {R: "bytes=1023-1023"}, 206, "1023-1023/1024"),
    ("14.1.2", {R: "bytes=-1"}, 206, "1023-1023/1024"),
    ("14.1.2", {R: "bytes=-1024"}, 206, "0-1023/1024"),
    ("14.1.2", {R: "bytes=-1025"}, 206, "0-1023/1024"),
    ("14.1.2", {R: "bytes=007-0009"}, 206, "7-9/1024"),
    ("14.1.2", {R: "bytes=0-" + "9" * 30}, 206, "0-1023/1024"),
    ("14.1.2", {R: "bytes=1024-"}, 416, "*/1024"),
    ("14.1.2", {R: "bytes=1024-1024"}, 416, "*/1024"),
    ("14.1.2", {R: "bytes=-0"}, 416, "*/1024"),
    ("14.1.2", {R: "bytes=2000-,3000-"}, 416, "*/1024"),
    ("14.1.2", {R: "bytes=" + "9" * 30 + "-"}, 416, "*/1024"),
    ("14.1.1", {R: "bytes=2-1"}, 200, None),
    ("14.1.1", {R: "bytes="}, 200, None),
    ("14.1.1", {R: "bytes=-"}, 200, None),
    ("14.1.1", {R: "bytes=a-b"}, 200, None),
    ("14.1.1", {R: "bytes=1-2-3"}, 200, None),
    ("14.1.1", {R: "bytes=--1"}, 200, None),
    ("14.1.1", {R: "bytes=0x0-0x1"}, 200, None),
    ("14.1.1", {R: "bytes=1.0-2"}, 200, None),
    ("14.1.1", {R: "bytes 0-1"}, 200, None),
    ("14.1.1", {R: "0-1"}, 200, None),
    ("14.1.1", {R: "=0-1"}, 200, None),
    ("14.1.1", {R: "bytes=0-1,x"}, 200, None),
    ("14.1", {R: "BYTES=0-1"}, 206, "0-1/1024"),
    ("14.1", {R: "octets=0-1"}, 200, None),
    ("14.1", {R: "none=0-1"}, 200, None),
    ("5.6.1", {R: "bytes= 0-1 , "}, 206, "0-1/1024"),
    ("5.6.1", {R: "bytes=,,0-1"}, 206, "0-1/1024"),
    ("15.3.7.2", {R: "bytes=0-1,2-3"}, 206, "0-3/1024"),
    ("15.3.7.2", {R: "bytes=0-9,5-14"}, 206, "0-14/1024"),
    ("15.3.7.2", {R: "bytes=5-14,0-9"}, 206, "0-14/1024"),
    ("15.3.7.2", {R: "bytes=0-1,0-1,0-1"}, 206, "0-1/1024"),
    ("15.3.7.2", {R: "bytes=0-,-1"}, 206, "0-1023/1024"),
    ("15.3.7.2", {R: "bytes=4-5,9999-"}, 206, "4-5/1024"),
    ("15.3.7.2", {R: "bytes=0-1,500-501"}, 206, None),
    ("15.3.7.2", {R: "bytes=-1,0-0"}, 206, None),
    ("14.2", {R: "bytes=" + ",".join(["0-0"] * 101)}, 200, None),
    ("13.1.5", {R: "bytes=0-1", V: "TAG"}, 206, "0-1/1024"),
    ("13.1.5", {R: "bytes=0-1", V: " TAG "}, 206, "0-1/1024"),
    ("13.1.5", {R: "bytes=0-1", V: "W/TAG"}, 200, None),
    ("13.1.5", {R: "bytes=0-1", V: '"other"'}, 200, None),
    ("13.1.5", {R: "bytes=0-1", V: "*"}, 200, None),
    ("13.1.5", {R: "bytes=0-1", V: 'TAG, "other"'}, 200, None),
    ("13.1.5", {R: "bytes=0-1", V: "THEN"}, 206, "0-1/1024"),
    ("13.1.5", {R: "bytes=0-1", V: "BEFORE"}, 200, None),
    ("13.1.5", {R: "bytes=0-1", V: "AFTER"}, 200, None),
    ("13.1.5", {R: "bytes=0-1", V: "yesterday"}, 200, None),
    ("13.1.5", {R: "bytes=9999-", V: '"other"'}, 200, None),
    ("13.1.5", {R: "bytes=9999-", V: "TAG"}, 416, "*/1024"),
    ("13.1.5", {V: '"other"'}, 200, None),
    ("13.1.1", {M: "TAG"}, 200, None),
    ("13.1.1", {M: "*"}, 200, None),
    ("13.1.1", {M: '"a", TAG'}, 200, None),
    ("13.1.1", {M: '"a",TAG,"b"'}, 200, None),
    ("13.1.1", {M: "W/TAG"}, 412, None),
    ("13.1.1", {M: '"a"'}, 412, None),
    ("13.1.1", {M: '"a, b"'}, 400, None),
    ("13.1.1", {M: '""'}, 412, None),
    ("13.1.1", {M: "seven"}, 400, None),
    ("13.1.1", {M: '"a" "b"'}, 400, None),
    ("13.1.1", {M: ""}, 400, None),
    ("13.1.1", {M: '*, "a"'}, 400, None),
    ("13.1.2", {N: "TAG"}, 304, None),
    ("13.1.2", {N: "W/TAG"}, 304, None),
    ("13.1.2", {N: "*"}, 304, None),
    ("13.1.2", {N: '"a", W/TAG'}, 304, None),
    ("13.1.2", {N: '"a"'}, 200, None),
    ("13.1.2", {N: 'W/"a", "b"'}, 200, None),
    ("13.1.2", {N: "w/TAG"}, 400, None),
    ("13.1.2", {N: "seven"}, 400, None),
    ("13.1.3", {S: "THEN"}, 304, None),
    ("13.1.3", {S: "AFTER"}, 304, None),
    ("13.1.3", {S: "BEFORE"}, 200, None),
    ("13.1.3", {S: "yesterday"}, 200, None),
    ("13.1.3", {S: ""}, 200, None),
    ("13.1.3", {S: "THEN", N: '"a"'}, 200, None),
    ("13.1.3", {S: "BEFORE", N: "TAG"}, 304, None),
    ("13.1.4", {U: "THEN"}, 200, None),
    ("13.1.4", {U: "AFTER"}, 200, None),
    ("13.1.4", {U: "BEFORE"}, 412, None),
    ("13.1.4", {U: "yesterday"}, 200, None),
    ("13.1.4", {U: "BEFORE", M: "TAG"}, 200, None),
    ("13.1.4", {U: "AFTER", M: '"a"'}, 412, None),
    ("13.2.2", {M: "TAG", N: "TAG"}, 304, None),
    ("13.2.2", {M: '"a"', N: "TAG"}, 412, None),
    ("13.2.2", {U: "BEFORE", S: "THEN"}, 412, None),
    ("13.2.2", {U: "THEN", S: "THEN"}, 304, None),
    ("13.2.2", {N: "TAG", R: "bytes=0-1"}, 304, None),
    ("13.2.2", {N: '"a"', R: "bytes=0-1"}, 206, "0-1/1024"),
    ("13.2.2", {M: '"a"', R: "bytes=9999-"}, 412, None),
    ("13.2.2", {M: "TAG", R: "bytes=9999-"}, 416, "*/1024"),
    ("13.2.2", {M: "TAG", R: "bytes=0-1", V: "TAG"}, 206, "0-1/1024"),
    ("13.2.2", {M: "TAG", R: "bytes=0-1", V: '"a"'}, 200, None),
    ("13.2.2", {S: "THEN", R: "bytes=0-1"}, 304, None),
    ("13.2.2", {S: "BEFORE", R: "bytes=-1"}, 206, "1023-1023/1024"),
]

# (section, path, fields, status)
OTHERS: list[tuple[str, str, Fields, int]] = [
    ("14.1.2", EMPTY, {}, 200),
    ("14.1.2", EMPTY, {R: "bytes=0-"}, 416),
    ("14.1.2", EMPTY, {R: "bytes=-1"}, 200),
    ("13.1.2", ABSENT, {N: "*"}, 404),
    ("13.1.1", ABSENT, {M: "*"}, 404),
    ("13.1.3", ABSENT, {S: "AFTER"}, 404),
    ("14.2", ABSENT, {R: "bytes=0-1"}, 404),
    ("13.2.1", "/demo/sub", {N: "*"}, 301),
    ("14.2", FOLDER, {R: "bytes=0-1"}, 200),
]

# (section, method, path, fields, status); a refused one changes nothing.
CHANGES: list[tuple[str, str, str, Fields, int]] = [
    ("9.3.4", "PUT", ABSENT, {}, 201),
    ("9.3.4", "PUT", FILE, {}, 204),
    ("9.3.4", "PUT", UNMADE, {}, 201),
    ("14.5", "PUT", FILE, {"Content-Range": "bytes 0-3/1024"}, 400),
    ("14.5", "PUT", FILE, {"Content-Range": "bytes */1024"}, 400),
    ("14.2", "PUT", FILE, {R: "bytes=0-1"}, 204),
    ("8.4", "PUT", FILE, {"Content-Encoding": "gzip"}, 415),
    ("8.4", "PUT", FILE, {"Content-Encoding": "identity"}, 204),
    ("13.1.1", "PUT", FILE, {M: "TAG"}, 204),
    ("13.1.1", "PUT", FILE, {M: "*"}, 204),
    ("13.1.1", "PUT", FILE, {M: '"999"'}, 412),
    ("13.1.1", "PUT", FILE, {M: "W/TAG"}, 412),
    ("13.1.1", "PUT", FILE, {M: "seven"}, 400),
    ("13.1.1", "PUT", ABSENT, {M: "*"}, 412),
    ("13.1.1", "PUT", ABSENT, {M: "TAG"}, 412),
    ("13.1.2", "PUT", ABSENT, {N: "*"}, 201),
    ("13.1.2", "PUT", ABSENT, {N: "TAG"}, 201),
    ("13.1.2", "PUT", FILE, {N: "*"}, 412),
    ("13.1.2", "PUT", FILE, {N: "TAG"}, 412),
    ("13.1.2", "PUT", FILE, {N: "W/TAG"}, 412),
    ("13.1.2", "PUT", FILE, {N: '"999"'}, 204),
    ("13.1.2", "PUT", FILE, {N: "seven"}, 400),
    ("13.1.3", "PUT", FILE, {S: "AFTER"}, 204),
    ("13.1.4", "PUT", FILE, {U: "THEN"}, 204),
    ("13.1.4", "PUT", FILE, {U: "BEFORE"}, 412),
    ("13.1.4", "PUT", FILE, {U: "yesterday"}, 204),
    ("13.2.2", "PUT", FILE, {M: "TAG", U: "BEFORE"}, 204),
    ("13.2.2", "PUT", FILE, {M: "TAG", N: "*"}, 412),
    ("9.3.5", "DELETE", FILE, {}, 204),
    ("9.3.5", "DELETE", ABSENT, {}, 404),
    ("13.1.1", "DELETE", FILE, {M: "TAG"}, 204),
    ("13.1.1", "DELETE", FILE, {M: "*"}, 204),
    ("13.1.1", "DELETE", FILE, {M: '"999"'}, 412),
    ("13.1.1", "DELETE", FILE, {M: "seven"}, 400),
    ("13.1.2", "DELETE", FILE, {N: "*"}, 412),
    ("13.1.2", "DELETE", FILE, {N: '"999"'}, 204),
    ("13.1.4", "DELETE", FILE, {U: "BEFORE"}, 412),
    ("13.1.4", "DELETE", FILE, {U: "AFTER"}, 204),
]


class TableTests(DoorTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.fresh()

    def fresh(self) -> None:
        """What every row begins with."""
        self.file = self.tree.put(FILE, CONTENT)
        self.tree.put(EMPTY, b"")
        self.tree.put(f"{FOLDER}x", b"")

    def meant(self, fields: Fields) -> Fields:
        modified = int(self.file.mtime)
        words = {"TAG": self.file.etag, "THEN": http_date(modified), "BEFORE": http_date(modified - 1)}
        words["AFTER"] = http_date(modified + 1)
        found = {}
        for name, value in fields.items():
            for word, meaning in words.items():
                value = value.replace(word, meaning)
            found[name] = value
        return found

    def test_gets(self) -> None:
        for section, fields, status, said in GETS:
            with self.subTest(section=section, fields=fields):
                seen = self.ask("GET", f"/data{FILE}", self.meant(fields))
                self.assertEqual(seen.status, status)
                self.assertEqual(seen.headers.get("content-range"), f"bytes {said}" if said else None)
                self.check_body(seen, said)

    def check_body(self, seen: Seen, said: str | None) -> None:
        if seen.status == 200:
            self.assertEqual(seen.body, CONTENT)
        elif seen.status == 206 and said:
            first, last = said.partition("/")[0].split("-")
            self.assertEqual(seen.body, CONTENT[int(first) : int(last) + 1])
        elif seen.status == 206:
            self.assertTrue(str(seen.headers.get("content-type")).startswith("multipart/byteranges; boundary="))
        elif seen.status == 304:
            self.assertEqual((seen.body, seen.headers.get("etag")), (b"", self.file.etag))

    def test_heads(self) -> None:
        """As GET without a Range, field for field (section 9.3.2)."""
        for section, fields, status, _ in GETS:
            with self.subTest(section=section, fields=fields):
                head = self.ask("HEAD", f"/data{FILE}", self.meant(fields))
                get = self.ask("GET", f"/data{FILE}", self.meant({name: fields[name] for name in fields if name != R}))
                self.assertEqual((head.status, head.body), (get.status, b""))
                self.assertEqual(dict(head.headers.items()), dict(get.headers.items()))
                self.assertEqual(head.status, 200 if status in (206, 416) else status)

    def test_other_files(self) -> None:
        for section, path, fields, status in OTHERS:
            with self.subTest(section=section, path=path, fields=fields):
                self.assertEqual(self.ask("GET", f"/data{path}", self.meant(fields)).status, status)

    def test_changes(self) -> None:
        for section, method, path, fields, status in CHANGES:
            with self.subTest(section=section, method=method, path=path, fields=fields):
                self.setUp()
                before = dict(self.tree.files)
                body = b"new" if method == "PUT" else b""
                self.assertEqual(self.ask(method, f"/data{path}", self.meant(fields), body).status, status)
                self.assertEqual(self.tree.files == before, status >= 400)


class RowsTests(SynchronousTestCase):
    def test_there_are_many_and_none_stands_twice(self) -> None:
        rows = [repr(row[1:]) for table in (GETS, OTHERS, CHANGES) for row in table]  # type: ignore[attr-defined]
        self.assertEqual(len(set(rows)), len(rows))
        self.assertGreaterEqual(len(rows), 145)
