"""Single files that are ordered into the portal: what comes, what is refused, and that nothing half is seen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from ecpds.acquisitions import Order
from ecpds.errors import InvalidName, InvalidRequest, NotFound, NotSupported, Unavailable
from ecpds.portal.operator_acquisitions import AcquisitionsOperator
from tests.sources.acquire.test_acquirer import AcquirerCase

BODY = b"x" * 3_000_000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Orders(AcquirerCase):
    def order(self, url: str = "http://A/in/a", path: str = "/archive/new/a", **more: Any) -> Mapping[str, Any]:
        """What became of it."""
        found: Mapping[str, Any] = self.wait(self.acquirer.fetch(Order(url, path, **({"user": "ann"} | more))))
        self.assertEqual((self.servers.connections, self.pool.lent), (0, 0))
        return found

    def assert_unseen(self, path: str = "/archive/new/a") -> None:
        self.assertIsNone(self.house.now(self.house.files_of(self.user).find(path)))

    def test_a_file_comes(self) -> None:
        self.servers.serve("http://A/in/a", BODY, version="1")
        said = self.order(size=len(BODY), digests={"sha256": sha256(BODY)})
        self.assertEqual((said["status"], said["path"], said["sha256"]), ("done", "/archive/new/a", sha256(BODY)))
        self.assertEqual([(each["url"], each["ok"]) for each in said["attempts"]], [("http://A/in/a", True)])
        self.assertEqual(self.content("/archive/new/a"), len(BODY))
        self.assertEqual(self.records(), [("done", "new/a", "-")])
        self.assertEqual(self.left_over(), [])

    def test_a_mirror_has_it_where_the_original_has_not(self) -> None:
        self.servers.serve("http://B/a", b"one", version="1")
        said = self.order(mirrors=("http://B/a",))
        self.assertEqual((said["status"], [each["ok"] for each in said["attempts"]]), ("done", [False, True]))
        self.assertEqual(self.content("/archive/new/a"), 3)

    def test_what_is_not_what_it_should_be_is_not_seen(self) -> None:
        self.servers.serve("http://A/in/a", BODY, version="1")
        for more in ({"size": 5}, {"digests": {"sha256": sha256(b"another")}}, {"digests": {"md5": "0" * 32}}):
            said = self.order(**more)
            self.assertEqual((said["status"], bool(said["reason"])), ("failed", True))
            self.assert_unseen()
        self.assertEqual([each[0] for each in self.records()], ["failed"] * 3)

    def test_a_cut_connection_publishes_nothing_and_goes_on_with_the_next_order(self) -> None:
        self.servers.serve("http://A/in/a", BODY, version="1", dies_at=2_000_000, deaths=100, rate=5e6)
        self.assertEqual(self.order()["status"], "failed")
        self.assert_unseen()
        self.servers.files["http://A/in/a"].deaths = 0
        self.servers.files["http://A/in/a"].opened.clear()
        self.assertEqual(self.order()["status"], "done")
        self.assertGreater(self.servers.files["http://A/in/a"].opened[-1][0], 0, "it began anew")
        self.assertEqual(self.content("/archive/new/a"), len(BODY))

    def test_who_may_not_put_it_there(self) -> None:
        self.servers.serve("http://A/in/a", BODY, version="1")
        self.house.add_user("guest", ("archive",), permissions=("get",))
        self.assertEqual(self.order(user="guest")["status"], "failed")
        self.assertEqual(self.order(path="/elsewhere/a")["status"], "failed")
        self.assert_unseen()
        self.assertEqual(self.left_over(), [])

    def test_what_replaces_a_file_leaves_it_until_it_is_here(self) -> None:
        self.servers.serve("http://A/in/a", b"one", version="1")
        self.order()
        self.servers.serve("http://A/in/a", BODY, version="2", dies_at=1_000_000, deaths=100)
        self.assertEqual(self.order()["status"], "failed")
        self.assertEqual(self.content("/archive/new/a"), 3)

    def test_orders_that_make_no_sense(self) -> None:
        wrong: list[tuple[type[Exception], dict[str, Any]]] = [
            (InvalidRequest, {"path": "archive/a"}),
            (InvalidRequest, {"path": "/a"}),
            (InvalidName, {"path": "/archive/"}),
            (InvalidName, {"path": "/archive/.."}),
            (InvalidRequest, {"url": "http://A/" + "x" * 2000}),
            (InvalidRequest, {"mirrors": ("http://A/a",) * 65}),
            (InvalidRequest, {"digests": {"crc": "00"}}),
            (InvalidRequest, {"digests": {"sha256": "00"}}),
        ]
        for kind, given in wrong:
            order = Order(**({"url": "http://A/a", "path": "/archive/a", "user": "ann"} | given))
            self.fails(kind, self.acquirer.fetch(order))
        for url in ("file:///etc/passwd", "nonsense", "http://"):
            self.assertEqual(self.order(url=url)["status"], "failed")
        self.assert_unseen("/archive/a")

    def test_a_stop_in_the_middle_leaves_nothing_open(self) -> None:
        self.servers.serve("http://A/in/a", BODY, version="1", rate=1e5)
        running = Deferred.fromCoroutine(self.acquirer.fetch(Order("http://A/in/a", "/archive/a", "ann")))
        self.turn(3)
        self.assertEqual(self.servers.connections, 1)
        self.wait(self.acquirer.stop())
        self.failureResultOf(running, Unavailable)
        self.assertEqual((self.servers.connections, self.pool.lent), (0, 0))
        self.fails(Unavailable, self.acquirer.fetch(Order("http://A/in/a", "/archive/a", "ann")))
        self.assert_unseen("/archive/a")

    def test_no_more_at_a_time_than_are_allowed(self) -> None:
        for number in range(5):
            self.servers.serve(f"http://A/in/{number}", BODY, version="1", rate=1e6)
        orders = [Order(f"http://A/in/{number}", f"/archive/{number}", "ann") for number in range(5)]
        running = [Deferred.fromCoroutine(self.acquirer.fetch(order)) for order in orders]
        self.turn(1)
        self.assertEqual(self.servers.connections, 2)
        self.turn(30)
        self.assertEqual([self.successResultOf(each)["status"] for each in running], ["done"] * 5)

    def test_the_verb(self) -> None:
        self.servers.serve("http://A/in/a", b"one", version="1")
        said = self.wait(self.operator.acquire_file("http://A/in/a", "/archive/a", "ann"))
        self.assertEqual((said["status"], said["size"]), ("done", 3))
        self.fails(InvalidRequest, self.operator.acquire_file("http://A/in/a"))
        self.fails(NotFound, self.operator.acquire_file("http://A/in/a", "/archive/a", "nobody"))
        nowhere = AcquisitionsOperator(self.house.operations, None)
        self.fails(NotSupported, nowhere.acquire_file("http://A/in/a", "/archive/a", "ann"))
