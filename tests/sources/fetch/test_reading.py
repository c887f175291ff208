"""Names, side-cars and manifests: what is read, and what is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidName, InvalidRequest
from ecpds.sources.fetch.manifest import parse_manifest
from ecpds.sources.fetch.names import checked_path, name_of
from ecpds.sources.fetch.sidecar_forms import digest_in, sidecar_url
from ecpds.sources.fetch.wishes import named
from ecpds.sources.mechanisms.base import shown

SHA, MD5 = "ab" * 32, "cd" * 16


class Names(SynchronousTestCase):
    def test_of_urls(self) -> None:
        self.assertEqual(name_of("ftp://h/a/b.grib?x=/y"), "b.grib")
        self.assertEqual(name_of("http://h/a%20b"), "a b")

    def test_what_leads_elsewhere_is_refused(self) -> None:
        for url in (
            "http://h/",
            "http://h",
            "http://h/..",
            "http://h/a/%2e%2e",
            "http://h/..%2f..%2fetc%2fpasswd",
            "http://h/a%5cb",
            "http://h/a%00b",
            "http://h/a%0ab",
            "http://h/" + "a" * 256,
            "http://h/.x.ecpds-part",
        ):
            with self.assertRaises(InvalidName, msg=url):
                name_of(url)

    def test_paths_of_manifests(self) -> None:
        self.assertEqual(checked_path("a/b/c"), "a/b/c")
        for path in ("/etc/passwd", "../x", "a/../../x", "a//b", "a/.", ""):
            with self.assertRaises(InvalidName, msg=path):
                checked_path(path)

    @given(st.text(max_size=40))
    def test_any_path_stays_below(self, text: str) -> None:
        try:
            path = checked_path(text)
        except InvalidName:
            return
        self.assertFalse(path.startswith("/") or ".." in path.split("/"))


class SideCars(SynchronousTestCase):
    def test_urls(self) -> None:
        self.assertEqual(sidecar_url("http://h/f?a=b#c", ".md5"), "http://h/f.md5?a=b#c")

    def test_forms(self) -> None:
        for text in (SHA, f"{SHA}\n", f"{SHA}  f\n", f"{SHA.upper()} *f", f"SHA256 (f) = {SHA}", f"{SHA}  dir/f"):
            self.assertEqual(digest_in(text, "sha256", "f"), SHA, text)

    def test_of_several_names_ours(self) -> None:
        self.assertEqual(digest_in(f"{'00' * 32}  e\n{SHA}  f\n", "sha256", "f"), SHA)
        self.assertIsNone(digest_in(f"{SHA}  e\n{SHA}  g\n", "sha256", "f"))

    def test_what_is_none(self) -> None:
        for text in ("", "<html>", "g" * 64, SHA[:-1], f"{SHA}{SHA}", MD5, f"{SHA}\n{SHA}\n", f"{SHA}  other"):
            self.assertIsNone(digest_in(text, "sha256", "f"), text)

    @given(st.text(max_size=200))
    def test_any_text(self, text: str) -> None:
        found = digest_in(text, "md5", "f")
        self.assertTrue(found is None or len(found) == 32)


class Manifests(SynchronousTestCase):
    def test_list(self) -> None:
        wishes = parse_manifest("# a comment\nhttp://h/a\n\n  ftp://h/b\thttp://i/b\n")
        self.assertEqual([each.urls for each in wishes], [("http://h/a",), ("ftp://h/b", "http://i/b")])

    def test_csv(self) -> None:
        wish = parse_manifest(f"url,name,size,md5\nhttp://h/a,x/y,12,{MD5}\n")[0]
        self.assertEqual((wish.urls, wish.path, wish.size, wish.digests), (("http://h/a",), "x/y", 12, {"md5": MD5}))

    def test_metalink(self) -> None:
        wish = parse_manifest(
            '<?xml version="1.0" encoding="UTF-8"?><metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="f">'
            f'<size>7</size><hash type="sha-256">{SHA}</hash><pieces length="4" type="sha-256"><hash>{SHA}</hash><hash>{SHA}'
            '</hash></pieces><url priority="2">http://b/f</url><url priority="1">ftp://a/f</url></file></metalink>'
        )[0]
        self.assertEqual((wish.urls, named(wish), wish.size), (("ftp://a/f", "http://b/f"), "f", 7))
        assert wish.pieces is not None
        self.assertEqual((wish.pieces.length, len(wish.pieces.digests)), (4, 2))

    def test_refusals(self) -> None:
        for text in (
            "<metalink/>",
            "<nothing",
            '<!DOCTYPE a [<!ENTITY b "c">]><metalink xmlns="urn:ietf:params:xml:ns:metalink"/>',
            "url,size\nhttp://h/a,many\n",
            "url,md5\nhttp://h/a,xyz\n",
            "url,name\n,x\n",
        ):
            with self.assertRaises(InvalidRequest, msg=text):
                parse_manifest(text)

    def test_names_that_lead_elsewhere(self) -> None:
        for name in ("../x", "/etc/passwd"):
            with self.assertRaises(InvalidName):
                parse_manifest(f"url,name\nhttp://h/a,{name}\n")

    def test_what_is_shown_has_no_secrets(self) -> None:
        self.assertEqual(shown("ftp://ann:secret@h/f"), "ftp://ann@h/f")
        self.assertEqual(shown("https://h/f?a=b&X-Amz-Signature=c"), "https://h/f?a=b")
