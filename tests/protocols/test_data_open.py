"""What everybody may read: open users by path and by host, and who comes by a share link, at the door."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from ecpds.http.routing import Routes
from ecpds.model import Identity
from ecpds.protocols.data_open import OpenDoor, led_by_host, open_hosts
from ecpds.protocols.data_shares import ShareDoor, share_sessions
from tests.protocols.data_support import DoorTestCase, Seen


class Open(DoorTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.portal.users["public"] = ("", Identity(7, "public", frozenset(("get", "dir", "put")), ("demo",)))
        self.tree.put("/demo/a.txt", b"for all")
        self.routes = Routes()
        self.door.add_to(self.routes)
        OpenDoor(self.door, self.portal).add_to(self.routes)
        ShareDoor(self.door, self.portal, share_sessions(Random(1), self.clock.seconds, 60, 600)).add_to(self.routes)
        self.handler: Any = led_by_host(self.routes, open_hosts(("Open.example=public",)))

    def say(
        self, method: str, target: str, fields: dict[str, str] | None = None, login: str | None = None, body: bytes = b""
    ) -> Seen:
        request = self.request(method, target, fields, body, login=login)
        return self.finish(Deferred.fromCoroutine(self.handler(request)), method == "HEAD")

    def test_without_a_login(self) -> None:
        self.assertEqual(self.say("GET", "/open/public/demo/a.txt").body, b"for all")
        self.assertIn("a.txt", self.say("GET", "/open/public/demo/").text)
        seen = self.say("GET", "/open/public/demo/", {"Accept": "text/html"})
        self.assertIn('href="/open/public/demo/a.txt"', seen.text)
        self.assertIn("open to everybody", seen.text)
        self.assertEqual(self.say("GET", "/open/public/demo").headers.get("location"), "/open/public/demo/")

    def test_only_to_read(self) -> None:
        for method in ("PUT", "DELETE", "POST", "MKCOL"):
            self.assertEqual(self.say(method, "/open/public/demo/b", body=b"x").status, 405)
        self.assertEqual(list(self.tree.files), [("demo", "a.txt")])

    def test_nobody_learns_who_there_is(self) -> None:
        seen = [self.say("GET", path) for path in ("/open/alice/demo/", "/open/nobody/demo/", "/open/", "/open/%61lice/")]
        self.assertEqual({each.status for each in seen}, {404})

    def test_by_host(self) -> None:
        seen = self.say("GET", "/", {"Host": "open.example:8443"})
        self.assertEqual((seen.status, seen.headers.get("location")), (302, "/open/public/"))
        self.assertEqual(self.say("GET", "/", {"Host": "other.example"}).headers.get("location"), "/data/")

    def share(self, **fields: str) -> dict[str, Any]:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = "&".join(f"{name}={value}" for name, value in {"path": "/demo/", **fields}.items()).encode()
        seen = self.say("POST", "/shares", form, "alice", body)
        self.assertEqual(seen.status, 201, seen.body)
        made: dict[str, Any] = json.loads(seen.text)
        return made

    def test_links_are_made_listed_and_taken_back(self) -> None:
        made = self.share(days="7", uses="3")
        listed = json.loads(self.say("GET", "/shares", login="alice").text)
        self.assertEqual([(each["id"], each["uses"]) for each in listed], [(made["id"], 3)])
        self.assertNotIn("url", listed[0])
        self.assertEqual(self.say("GET", f"{made['url']}demo/a.txt").body, b"for all")
        self.assertEqual(self.say("DELETE", f"/shares/{made['id']}", login="alice").status, 204)
        self.assertEqual(self.say("GET", made["url"]).status, 404)
        self.assertEqual(self.say("DELETE", f"/shares/{made['id']}", login="alice").status, 404)

    def test_a_link_is_no_login(self) -> None:
        url = self.share()["url"]
        self.assertEqual(self.say("PATCH", f"{url}demo/a?upload=1&length=3", {"Tus-Resumable": "1.0.0"}).status, 405)
        begin = {"Tus-Resumable": "1.0.0", "Upload-Length": "3", "Content-Type": "multipart/form-data; boundary=x"}
        self.assertEqual(self.say("POST", f"{url}demo/a", begin).status, 405)
        self.assertEqual(self.say("DELETE", f"{url}demo/a.txt").status, 405)
        self.assertEqual(self.say("PUT", f"{url}demo/b", body=b"x").status, 403)
        self.assertEqual(self.say("GET", "/shares").status, 401)
        self.assertEqual(self.say("GET", "/share/short/").status, 404)

    def test_what_is_no_link(self) -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for body in (b"path=/demo/&for=all", b"path=/demo/&days=0", b"path=/demo/&uses=x"):
            self.assertEqual(self.say("POST", "/shares", form, "alice", body).status, 400, body)
        self.assertEqual(self.say("POST", "/shares", form, "alice", b"path=/none/").status, 404)
        self.assertEqual(self.say("POST", "/shares", form, "bob", b"path=/demo/").status, 403)
