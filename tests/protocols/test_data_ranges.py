"""Several ranges in one reply: multipart/byteranges, read back by Python's own parser of MIME."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from ecpds.wire.ranges import NEAR, Span, coalesced, spans
from tests.protocols.data_support import PASSWORD, DoorTestCase, Seen

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
FIRST, SECOND, LAST = "0-9", "1000-1009", f"{SIZE - 10}-{SIZE - 1}"


class PartsTests(DoorTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.file = self.tree.put("/demo/f.txt", CONTENT)

    def get(self, ranges: str, **fields: str) -> Seen:
        return self.ask("GET", "/data/demo/f.txt", {"Range": f"bytes={ranges}", **fields})

    def parts(self, seen: Seen) -> list[tuple[str, bytes]]:
        """The Content-Range and the bytes of each part."""
        head = f"Content-Type: {seen.headers.get('content-type')}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + seen.body)
        self.assertTrue(message.is_multipart() and not message.defects)
        found = []
        for part in message.iter_parts():
            self.assertEqual(part.get_content_type(), "text/plain")
            # The parser takes the line that ends a part off by itself, and holds bytes as surrogates.
            found.append((part["Content-Range"], part.get_payload(decode=True)))
        return found

    def test_two_far_apart(self) -> None:
        self.tree.put("/demo/f.txt", b"a" * 500 + b"b" * 500)
        seen = self.get("0-1,600-603")
        self.assertEqual(seen.status, 206)
        self.assertNotIn("content-range", seen.headers, "RFC 9110 section 15.3.7.2")
        self.assertEqual(self.parts(seen), [("bytes 0-1/1000", b"aa"), ("bytes 600-603/1000", b"bbbb")])

    def test_in_the_order_in_which_they_were_asked_for(self) -> None:
        self.tree.put("/demo/f.txt", b"".join(b"%04d" % number for number in range(1000)))
        found = self.parts(self.get("2000-2003,-4,0-3"))
        self.assertEqual([text for _, text in found], [b"0500", b"0999", b"0000"])

    def test_what_overlaps_is_sent_once(self) -> None:
        seen = self.get("0-99,50-149,100-")
        self.assertEqual((seen.status, seen.body), (206, CONTENT))
        self.assertEqual(seen.headers.get("content-range"), f"bytes 0-{SIZE - 1}/{SIZE}")

    def test_what_cannot_be_met_is_left_out(self) -> None:
        seen = self.get(f"{SIZE}-,5-6")
        self.assertEqual((seen.body, seen.headers.get("content-range")), (CONTENT[5:7], f"bytes 5-6/{SIZE}"))

    def test_the_headers_of_the_whole_stay(self) -> None:
        whole, seen = self.ask("GET", "/data/demo/f.txt"), self.get(f"{FIRST},{LAST}")
        for name in ("etag", "last-modified", "repr-digest", "cache-control", "content-disposition", "x-content-type-options"):
            self.assertEqual(seen.headers.get(name), whole.headers.get(name), name)
        self.assertEqual(len(seen.headers.get_all("content-type")), 1)

    def test_boundaries_differ(self) -> None:
        kinds = {self.get(f"{FIRST},{LAST}").headers.get("content-type") for _ in range(5)}
        self.assertEqual(len(kinds), 5, "who stores files must not foresee them")

    def test_at_most_so_many(self) -> None:
        self.assertEqual(self.get(",".join(f"{200 * number}-{200 * number}" for number in range(40))).status, 206)
        seen = self.get(",".join("0-0" for _ in range(101)))
        self.assertEqual((seen.status, seen.body), (200, CONTENT))

    def test_at_most_so_many_for_this_user(self) -> None:
        password, alice = self.portal.users["alice"]
        self.portal.users["alice"] = (PASSWORD, evolve(alice, options={"portal.maxRangesAllowed": "2"}))
        self.assertEqual(password, PASSWORD)
        self.assertEqual(self.get(f"{FIRST},{LAST}").status, 206)
        self.assertEqual(self.get(f"{FIRST},{SECOND},{LAST}").status, 200)

    def test_if_range(self) -> None:
        self.assertEqual(self.get(f"{FIRST},{LAST}", **{"If-Range": self.file.etag}).status, 206)
        self.assertEqual(self.get(f"{FIRST},{LAST}", **{"If-Range": '"999"'}).body, CONTENT)

    def test_one_pull_on_record(self) -> None:
        self.get(f"{FIRST},{SECOND},{LAST}")
        self.assertEqual(self.transfers(), [("download", "done", 30)])
        self.assertEqual(self.tree.downloads, [])

    @given(st.lists(st.tuples(st.integers(0, SIZE + 10), st.integers(0, 600)), min_size=1, max_size=12))
    def test_every_byte_that_was_asked_for_comes_once(self, wanted: list[tuple[int, int]]) -> None:
        ranges = [(first, first + length) for first, length in wanted]
        seen = self.get(",".join(f"{first}-{last}" for first, last in ranges))
        asked = {at for first, last in ranges for at in range(first, min(last + 1, SIZE))}
        if seen.status == 416:
            self.assertEqual(asked, set())
        elif "content-range" in seen.headers:
            self.assertLessEqual(asked, set(self.positions(str(seen.headers.get("content-range")))))
        else:
            came = [at for said, _ in self.raw_parts(seen) for at in self.positions(said)]
            self.assertEqual(len(came), len(set(came)))
            self.assertLessEqual(asked, set(came))
            for said, data in self.raw_parts(seen):
                self.assertEqual(data, bytes(CONTENT[at] for at in self.positions(said)))

    def positions(self, said: str) -> range:
        first, last = said.removeprefix("bytes ").partition("/")[0].split("-")
        return range(int(first), int(last) + 1)

    def raw_parts(self, seen: Seen) -> list[tuple[str, bytes]]:
        boundary = str(seen.headers.get("content-type")).partition("boundary=")[2].encode()
        before, *parts, end = seen.body.split(b"\r\n--" + boundary)
        self.assertEqual((before, end), (b"", b"--\r\n"))
        found = []
        for part in parts:
            head, _, data = part.partition(b"\r\n\r\n")
            found.append((head.rpartition(b"Content-Range: ")[2].decode(), data))
        return found


class CoalescingTests(DoorTestCase):
    def test_rows(self) -> None:
        rows = [
            ("one", [(0, 5)], [(0, 5)]),
            ("touching", [(0, 5), (5, 5)], [(0, 10)]),
            ("overlapping", [(0, 5), (3, 5)], [(0, 8)]),
            ("inside", [(0, 50), (3, 5)], [(0, 50)]),
            ("the same twice", [(7, 5), (7, 5)], [(7, 5)]),
            ("near", [(0, 5), (5 + NEAR, 5)], [(0, 10 + NEAR)]),
            ("not near", [(0, 5), (6 + NEAR, 5)], [(0, 5), (6 + NEAR, 5)]),
            ("order is kept", [(900, 5), (0, 5)], [(900, 5), (0, 5)]),
            ("the first place is kept", [(900, 5), (0, 5), (890, 5)], [(890, 15), (0, 5)]),
        ]
        for rule, wanted, expected in rows:
            with self.subTest(rule=rule):
                found = coalesced([Span(*each) for each in wanted])
                self.assertEqual([(span.offset, span.length) for span in found], expected)

    def test_quick_for_hostile_ones(self) -> None:
        found = spans("bytes=" + ",".join("0-" for _ in range(100)), 10**15)
        assert found is not None
        self.assertEqual(coalesced(found), [Span(0, 10**15)])
