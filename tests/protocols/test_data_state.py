"""Files that wait, by HTTPS: who may lets them be seen, and not any more."""

from __future__ import annotations

import json

from attrs import evolve

from tests.protocols.data_support import DoorTestCase


class StateTests(DoorTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.tree.put("/demo/a", b"x")

    def let(self, login: str) -> None:
        password, identity = self.portal.users[login]
        self.portal.users[login] = (password, evolve(identity, options={"portal.releases": "true"}))

    def test_who_may_releases_and_holds(self) -> None:
        self.assertEqual(self.ask("PATCH", "/data/demo/a?state=released").status, 403)
        self.let("alice")
        seen = self.ask("PATCH", "/data/demo/a?state=standby")
        self.assertEqual((seen.status, seen.headers.get("content-type")), (200, "application/json"))
        self.assertEqual(json.loads(seen.body)["state"], "standby")
        self.assertNotIn("state", json.loads(self.ask("PATCH", "/data/demo/a?state=released").body))

    def test_a_folder(self) -> None:
        self.assertEqual(self.ask("PATCH", "/data/demo/?state=released").status, 403)
        self.let("alice")
        self.assertEqual(json.loads(self.ask("PATCH", "/data/demo/?state=released").body), {"path": "/demo/", "released": 0})
        self.assertEqual(self.ask("PATCH", "/data/demo/none/?state=released").status, 404)
        self.assertNotEqual(self.ask("PATCH", "/data/demo/?state=standby").status, 200)

    def test_refused(self) -> None:
        for login in ("alice", "bob"):
            self.let(login)
        self.assertEqual(self.ask("PATCH", "/data/demo/none?state=released").status, 404)
        self.assertEqual(self.ask("PATCH", "/data/demo/a?state=other").status, 405)
        self.assertEqual(self.ask("PATCH", "/data/demo/a?state=released", login="bob").status, 403)
