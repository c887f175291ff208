"""Directories as JSON, text and HTML: which form, which entries, and that no name can act."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost, Unavailable
from ecpds.http.message import HttpError, IBody
from ecpds.protocols.data_html import crumbs, human_size
from ecpds.protocols.data_listing import AT_A_TIME, asked
from ecpds.protocols.data_place import Place
from tests.doubles import MemorySink
from tests.protocols.data_support import DoorTestCase

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

HOSTILE = [
    "<script>alert(1)<",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "'&amp;\"",
    "{{ 7*7 }}{% raw %}",
    "a?b#c%2e",
    "\u202egnp.exe",
    "\u2028line",
    "\\\\evil.example",
]


class Reader(HTMLParser):
    """What a browser makes of a page: its tags, its links and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "href":
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


class FormTests(DoorTestCase):
    def test_rows(self) -> None:
        rows = [
            ("", "*/*", "text/plain"),
            ("", None, "text/html"),
            ("?format=links", BROWSER, "text/html"),
            ("", BROWSER, "text/html"),
            ("", "application/json", "application/json"),
            ("", "text/html;q=0.5, application/json", "application/json"),
            ("", "image/png", "text/plain"),
            ("?format=json", BROWSER, "application/json"),
            ("?format=html", "*/*", "text/html"),
            ("?format=text", BROWSER, "text/plain"),
            ("?format=", BROWSER, "text/html"),
            ("?unknown=1&format=json", None, "application/json"),
        ]
        for query, accept, kind in rows:
            for method in ("GET", "HEAD"):
                with self.subTest(query=query, accept=accept, method=method):
                    fields = {} if accept is None else {"Accept": accept}
                    seen = self.ask(method, f"/data/demo/{query}", fields)
                    self.assertEqual((seen.status, seen.headers.get("content-type")), (200, f"{kind}; charset=utf-8"))
                    self.assertEqual(seen.headers.get("vary"), "Accept")
                    self.assertEqual(seen.headers.get("x-content-type-options"), "nosniff")

    def test_refused(self) -> None:
        for query in (
            "format=xml",
            "limit=0",
            "limit=-1",
            "limit=x",
            "limit=1e9",
            "limit=%B2",
            "after=%FF",
            "limit=" + "9" * 10,
            "a&" * 99,
        ):
            with self.subTest(query=query):
                self.assertEqual(self.ask("GET", f"/data/demo/?{query}").status, 400)

    @given(st.text(), st.text())
    def test_any_query_is_read_or_refused(self, query: str, accept: str) -> None:
        try:
            asked(query, accept)
        except HttpError as error:
            self.assertEqual(error.status, 400)

    def test_what_is_no_directory(self) -> None:
        self.tree.put("/demo/f", b"")
        for target, status in (
            ("/data/demo/f/", 409),
            ("/data/demo/none/", 404),
            ("/data/none/", 404),
            ("/data//", 400),
            ("/data/demo//", 400),
        ):
            for form in ("json", "text", "html"):
                with self.subTest(target=target, form=form):
                    self.portal.sink.events.clear()
                    self.assertEqual(self.ask("GET", f"{target}?format={form}").status, status)
                    self.assertEqual(len(self.denials()), 1)

    def test_without_the_right(self) -> None:
        name, (password, identity) = "carol", self.portal.users["bob"]
        self.portal.users[name] = (password, type(identity)(3, name, frozenset(("get",)), ("demo",)))
        self.assertEqual(self.ask("GET", "/data/demo/", login=name).status, 403)


class WholeTests(DoorTestCase):
    """Pages of three: what has more is sent in pieces, and is the same to the client."""

    def test_json(self) -> None:
        for count in (0, 1, 2, 3, 4, 6, 7, 20):
            with self.subTest(count=count):
                names = [f"f{number:02}" for number in range(count)]
                self.tree.files.clear()
                for name in names:
                    self.tree.put(f"/demo/{name}", name.encode())
                seen = self.ask("GET", "/data/demo/?format=json")
                listing = json.loads(seen.body)
                self.assertEqual((listing["path"], listing["after"]), ("/demo", None))
                self.assertEqual([entry["name"] for entry in listing["entries"]], names)
                self.assertEqual("content-length" in seen.headers, count <= self.listing_page)

    def test_json_entry(self) -> None:
        file = self.tree.put("/demo/sub/f", b"abc")
        listing = json.loads(self.ask("GET", "/data/demo/sub/?format=json").body)
        expected = {
            "name": "f",
            "path": "/demo/sub/f",
            "directory": False,
            "size": 3,
            "mtime": "2023-11-14T22:13:20.000Z",
            "id": file.id,
            "digests": dict(file.digests),
        }
        self.assertEqual(listing["entries"], [expected])

    def test_destinations(self) -> None:
        listing = json.loads(self.ask("GET", "/data/?format=json").body)
        self.assertEqual(listing["path"], "/")
        self.assertEqual(
            [(entry["name"], entry["path"]) for entry in listing["entries"]], [("demo", "/demo"), ("other", "/other")]
        )

    def test_text(self) -> None:
        for number in range(7):
            self.tree.put(f"/demo/file {number}", b"x" * number)
        self.tree.put("/demo/sub/f", b"")
        lines = self.ask("GET", "/data/demo/?format=text").text.splitlines()
        self.assertEqual(
            [line.split(maxsplit=2)[1:] for line in lines], [[str(n), f"file {n}"] for n in range(7)] + [["-", "sub/"]]
        )

    def test_all_links_for_who_says_nothing(self) -> None:
        for number in range(7):
            self.tree.put(f"/demo/a:b <{number}", b"")
        self.tree.put("/demo/sub/f", b"")
        reader = Reader(self.ask("GET", "/data/demo/").text)
        names = [f"a:b <{number}" for number in range(7)]
        self.assertEqual(
            [unquote(urljoin("/data/demo/", link)) for link in reader.links], [f"/data/demo/{n}" for n in (*names, "sub/")]
        )
        self.assertNotIn("script", reader.tags)

    def test_any_names(self) -> None:
        for name in HOSTILE:
            self.tree.files["demo", name] = self.tree.put("/demo/f", b"")
        listing = json.loads(self.ask("GET", "/data/demo/?format=json").body)
        self.assertEqual({entry["name"] for entry in listing["entries"]}, {*HOSTILE, "f"})

    def test_head_reads_no_further_than_the_first_page(self) -> None:
        for number in range(7):
            self.tree.put(f"/demo/{number}", b"")
        seen = self.ask("HEAD", "/data/demo/")
        self.assertEqual((seen.status, seen.body), (200, b""))

    def test_pages(self) -> None:
        names = [f"f{number:02}" for number in range(11)]
        for name in names:
            self.tree.put(f"/demo/{name}", b"")
        for limit in (1, 2, 3, 5, 11, 100):
            with self.subTest(limit=limit):
                found, after = [], ""
                while after is not None:
                    listing = json.loads(self.ask("GET", f"/data/demo/?format=json&limit={limit}&after={after}").body)
                    self.assertLessEqual(len(listing["entries"]), limit)
                    found += [entry["name"] for entry in listing["entries"]]
                    after = listing["after"]
                self.assertEqual(found, names)

    def test_text_pages(self) -> None:
        for number in range(9):
            self.tree.put(f"/demo/{number}", b"")
        lines = self.ask("GET", "/data/demo/?format=text&after=2&limit=4").text.splitlines()
        self.assertEqual([line[-1] for line in lines], ["3", "4", "5", "6"])


class BusyTests(DoorTestCase):
    """However much the catalogue gives at a time, no more is written down in one turn than a turn has time for."""

    listing_page = 1000

    def test_many(self) -> None:
        names = [f"{number:03}" for number in range(2 * AT_A_TIME + 1)]
        for name in names:
            self.tree.put(f"/demo/{name}", b"")
        listing = json.loads(self.ask("GET", "/data/demo/?format=json").body)
        self.assertEqual([entry["name"] for entry in listing["entries"]], names)
        page = Reader(self.ask("GET", "/data/demo/?format=html").text)
        self.assertEqual(page.tags.count("time"), AT_A_TIME)


class LongListingTests(DoorTestCase):
    def body(self) -> IBody:
        for number in range(10):
            self.tree.put(f"/demo/{number}", b"")
        body = self.successResultOf(self.start(self.request("GET", "/data/demo/"))).body
        assert not isinstance(body, bytes)
        return body

    def test_body(self) -> None:
        self.assertTrue(verifyObject(IBody, self.body()))

    def test_what_fails_in_the_middle_fails(self) -> None:
        body = self.body()
        self.tree.broken = Unavailable()
        self.failureResultOf(Deferred.fromCoroutine(body.send(MemorySink())), Unavailable)

    def test_no_page_is_read_before_the_last_one_is_taken(self) -> None:
        body = self.body()
        self.failureResultOf(Deferred.fromCoroutine(body.send(MemorySink(room=10))), ConnectionLost)
        self.tree.broken = Unavailable()
        body.close(ConnectionLost())
        self.assertEqual(self.denials(), [])


class PageTests(DoorTestCase):
    def page(self, target: str = "/data/demo/?format=html") -> Reader:
        return Reader(self.ask("GET", target).text)

    def test_links_of_hostile_names(self) -> None:
        self.listing_page = 100
        self.setUp()
        for name in HOSTILE:
            self.tree.files["demo", name] = self.tree.put("/demo/f", b"")
            self.tree.directories["demo", name + " folder"] = False
        reader = self.page()
        expected = {"/data/demo/" + name for name in HOSTILE} | {f"/data/demo/{name} folder/" for name in HOSTILE}
        targets = {urljoin("https://host/data/demo/", link) for link in reader.links}
        self.assertTrue(all(target.startswith("https://host/data/") for target in targets), targets)
        self.assertLessEqual(expected, {unquote(link) for link in reader.links})
        self.assertEqual(reader.tags.count("script"), 1, "our own, by its place")
        self.assertNotIn("img", reader.tags)
        self.assertEqual([name for name in reader.attributes if name.startswith("on") or name == "style"], [])
        self.assertLessEqual(set(HOSTILE), set(reader.words))

    def test_hostile_directory_and_login(self) -> None:
        name = "<b>\"'&"
        self.portal.users["<i>x"] = self.portal.users["alice"]
        password, identity = self.portal.users["alice"]
        self.portal.users["<i>x"] = (password, type(identity)(9, "<i>x", identity.permissions, identity.destinations))
        self.tree.directories["demo", name] = False
        seen = self.ask("GET", "/data/demo/%3Cb%3E%22'%26/?format=html", login="<i>x")
        reader = Reader(seen.text)
        self.assertFalse({"b", "i"} & set(reader.tags))
        self.assertLessEqual({name, "<i>x"}, set(reader.words))

    def test_policy_lets_in_this_style_and_nothing_else(self) -> None:
        seen = self.ask("GET", "/data/demo/?format=html")
        style = re.search(r"<style>(.*)</style>", seen.text, re.DOTALL)
        assert style is not None
        fingerprint = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        policy = (seen.headers.get("content-security-policy") or "").split("; ")
        self.assertEqual(policy[:2], ["default-src 'none'", f"style-src 'sha256-{fingerprint}'"])
        self.assertIn("frame-ancestors 'none'", policy)
        self.assertIn("script-src 'self'", policy)
        self.assertNotIn("unsafe", " ".join(policy))

    def test_the_script_is_there_under_a_name_of_its_own(self) -> None:
        source = re.search(r'<script src="([^"]+)"', self.ask("GET", "/data/demo/?format=html").text)
        assert source is not None
        answer = self.successResultOf(Deferred.fromCoroutine(self.door.script(self.request("GET", source[1]))))
        self.assertIn(("Content-Type", "text/javascript; charset=utf-8"), answer.headers)
        self.failureResultOf(Deferred.fromCoroutine(self.door.script(self.request("GET", "/assets/x.js"))), HttpError)

    def test_a_table_for_spreadsheets(self) -> None:
        self.tree.put("/demo/=1+1", b"abc")
        self.tree.put('/demo/a "b",c', b"")
        self.tree.put("/demo/sub/x", b"")
        seen = self.ask("GET", "/data/demo/?format=csv")
        self.assertEqual(seen.headers.get("content-type"), "text/csv; charset=utf-8")
        rows = list(csv.reader(seen.text.splitlines()))
        self.assertEqual(
            [row[:3] for row in rows[1:]], [["'=1+1", "file", "3"], ['a "b",c', "file", "0"], ["sub", "directory", ""]]
        )

    def test_every_page_is_reached(self) -> None:
        names = [f"f {number:02}+" for number in range(11)]
        for name in names:
            self.tree.put(f"/demo/{name}", b"")
        target: str | None = "/data/demo/?format=html&limit=2"
        found = []
        while target:
            reader = self.page(target)
            found += [word for word in reader.words if word in names]
            target = next((link for link in reader.links if "after=" in link), None)
        self.assertEqual(found, names)

    def test_a_page_is_never_longer_than_the_limit(self) -> None:
        for number in range(9):
            self.tree.put(f"/demo/{number}", b"")
        self.assertEqual(self.page("/data/demo/?format=html&limit=1000").tags.count("time"), self.listing_page)

    def test_what_the_destination_holds(self) -> None:
        self.tree.space = 5000
        self.tree.put("/demo/a", b"x" * 1000)
        self.tree.put("/demo/b/c", b"x")
        for path in ("/data/demo/", "/data/demo/b/"):
            told = next(word for word in self.page(f"{path}?format=html").words if "whole" in word)
            self.assertEqual(told, "The whole destination holds 2 files, 1001 B, and has room for 3.9 KiB.")
        for path in ("/data/?format=html", "/data/demo/?format=html&find=a"):
            self.assertNotIn("whole destination", self.ask("GET", path).text)

    def test_what_the_destination_holds_is_for_who_may_know(self) -> None:
        self.tree.put("/demo/a", b"x")
        password, identity = self.portal.users["alice"]
        for options, permissions, told in (
            ({}, ("get", "dir"), "The whole destination holds 1 file, 1 B."),
            ({"portal.trafficStats": "false"}, ("get", "put", "dir"), ""),
        ):
            who = evolve(identity, options=options, permissions=permissions)
            self.portal.users["alice"] = (password, who)
            words = self.page().words
            self.assertEqual([word for word in words if "whole destination" in word], [told] if told else [])

    def test_empty(self) -> None:
        self.assertIn("There is nothing here.", self.page().words)

    def test_top(self) -> None:
        reader = self.page("/data/?format=html")
        self.assertIn("/data/demo/", reader.links)
        self.assertIn("data", reader.words)

    def test_crumbs(self) -> None:
        found = [(link.name, link.href) for link in crumbs(Place("/data", "/demo/a b"))]
        self.assertEqual(found, [("data", "/data/"), ("demo", "/data/demo/"), ("a b", "/data/demo/a%20b/")])
        self.assertEqual([link.href for link in crumbs(Place("/data", "/"))], ["/data/"])

    def test_human_sizes(self) -> None:
        rows = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (2**20 - 1, "1.0 MiB"),
            (2**30, "1.0 GiB"),
            (2**60, "1.0 EiB"),
        ]
        for size, expected in [*rows, (2**70, "1024.0 EiB")]:
            with self.subTest(size=size):
                self.assertEqual(human_size(size), expected)
