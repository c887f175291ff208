"""The canonicaliser: what it refuses, what it keeps, and that nothing gets past it."""

from __future__ import annotations

import os.path
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidName
from ecpds.portal.paths import PATH_BYTES, SEGMENT_BYTES, canonical

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)

PIECES = st.sampled_from(["/", "..", ".", "//", "a", "%2e%2e", "\\", "..\\", "%2F", "\u2215", "\x00", "é", "e\u0301", "~", " "])
PATH_LIKE = st.lists(PIECES, max_size=12).map("".join) | ANY_TEXT


def accepted(text: str) -> bool:
    try:
        canonical(text)
    except InvalidName:
        return False
    return True


class CanonicalTests(SynchronousTestCase):
    def test_what_is_refused(self) -> None:
        for text in (
            *("", "a", "a/b", "//", "//a", "/a//b", "/a//", "/.", "/..", "/./a", "/../a", "/a/..", "/a/.", "/a/../b", "/a/./b"),
            *(f"/a{chr(code)}b" for code in (*range(0x20), *range(0x7F, 0xA0))),
            *("/\ud800", "/a\udfff/b", "/" + "x" * (SEGMENT_BYTES + 1), "/" + "é" * 128, "/" + "/".join(["x"] * 513)),
        ):
            self.assertFalse(accepted(text), repr(text))

    def test_what_is_kept(self) -> None:
        for text, segments in (
            ("/", ()),
            ("/a", ("a",)),
            ("/a/b", ("a", "b")),
            ("/...", ("...",)),
            ("/.a/..b/c..", (".a", "..b", "c..")),
            ("/%2e%2e/%2F/%00", ("%2e%2e", "%2F", "%00")),
            ("/..\\..\\a", ("..\\..\\a",)),
            ("/ / a ", (" ", " a ")),
            ("/日本/\U0001f30a\u202e", ("日本", "\U0001f30a\u202e")),
        ):
            self.assertEqual(canonical(text).segments, segments)

    def test_the_limits_are_in_bytes(self) -> None:
        self.assertTrue(accepted("/" + "x" * SEGMENT_BYTES))
        self.assertTrue(accepted("/" + "é" * 127))
        longest = ("/" + "x" * 127) * 8
        self.assertEqual(len(longest), PATH_BYTES)
        self.assertTrue(accepted(longest))
        self.assertFalse(accepted(longest + "/"))

    def test_nothing_is_normalised(self) -> None:
        for form in ("NFC", "NFD"):
            name = unicodedata.normalize(form, "é")
            self.assertEqual(canonical(f"/{name}").segments, (name,))

    def test_a_trailing_slash_says_directory(self) -> None:
        for text, directory in (("/", True), ("/a", False), ("/a/", True)):
            self.assertEqual(canonical(text).directory, directory)

    def test_the_parts(self) -> None:
        for text, destination, inside in (("/", "", ""), ("/a/", "a", ""), ("/a/b/c", "a", "b/c")):
            found = canonical(text)
            self.assertEqual((found.destination, found.inside), (destination, inside))

    def test_a_refusal_repeats_nothing_of_the_name(self) -> None:
        self.assertNotIn("secret", str(self.assertRaises(InvalidName, canonical, "/secret/../x")))

    @given(PATH_LIKE)
    def test_canonical_twice_is_canonical_once(self, text: str) -> None:
        if accepted(text):
            once = canonical(text)
            self.assertEqual(canonical(str(once)).segments, once.segments)

    @given(PATH_LIKE)
    def test_what_is_accepted_is_what_is_stored(self, text: str) -> None:
        if accepted(text):
            found = canonical(text)
            self.assertEqual(str(found), text.rstrip("/") or "/")
            self.assertEqual(str(found).encode().decode(), str(found))

    @given(PATH_LIKE)
    def test_nothing_leads_out(self, text: str) -> None:
        if accepted(text):
            self.assertEqual(os.path.normpath("/root" + str(canonical(text))), ("/root" + str(canonical(text))).rstrip("/"))

    @given(st.lists(st.sampled_from(["a", "b", "é", "%2e"]), max_size=4), st.sampled_from([".", "..", ""]), st.integers(0, 4))
    def test_every_spelling_with_traversal_is_refused(self, names: list[str], dots: str, position: int) -> None:
        names.insert(min(position, len(names)), dots)
        text = "/" + "/".join(names)
        self.assertEqual(accepted(text), dots == "" and (names == [""] or (names[-1] == "" and "" not in names[:-1])))
