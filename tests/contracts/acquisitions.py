"""What every keeper of acquisitions does, whatever it keeps them in."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from zope.interface.verify import verifyObject

from ecpds.acquisitions import Acquired, IAcquisitionStore, Plan, Standing
from ecpds.errors import AlreadyExists, NotFound
from tests.contracts.sources import now

B = Plan("b", "ftp://h/", "archive", "ann")
A = Plan("a", "s3://b/x", "d", "u", "f", ("*.x", "y"), "(.)", "\\1", 60.5, 1.0, 2.5, 0, 1 << 40, {"endpoint": "e"}, False)
DUE = Standing(7.5)
FILE = Acquired("ftp://h/1", "1/2/-", "/archive/1", 3.5, 1 << 40, "0" * 64)


class AcquisitionStoreContract:
    """Mixed into a test case that has `store`."""

    store: IAcquisitionStore

    def test_it_is_one(self: Any) -> None:
        verifyObject(IAcquisitionStore, self.store)
        self.assertEqual(now(self.store.plans()), [])

    def test_plans_are_kept_by_name(self: Any) -> None:
        now(self.store.add(B, DUE))
        now(self.store.add(A, Standing(1.0, 2.0, 3, "said")))
        self.assertEqual(now(self.store.plans()), [(A, Standing(1.0, 2.0, 3, "said")), (B, DUE)])
        self.assertRaises(AlreadyExists, now, self.store.add(B, DUE))
        now(self.store.change(evolve(B, enabled=False), Standing(9.0)))
        self.assertEqual(now(self.store.plans())[1], (evolve(B, enabled=False), Standing(9.0)))

    def test_what_is_not_there(self: Any) -> None:
        self.assertRaises(NotFound, now, self.store.change(B, DUE))
        self.assertRaises(NotFound, now, self.store.remove("b"))
        self.assertRaises(NotFound, now, self.store.keep("b", FILE))
        self.assertEqual(now(self.store.files("b")), [])

    def test_files_are_kept_by_url(self: Any) -> None:
        now(self.store.add(A, DUE))
        now(self.store.add(B, DUE))
        other = Acquired("ftp://h/0", "-/-/-", "/archive/0", 1.0, tries=2, due=9.5, reason="no")
        for file in (FILE, other, evolve(FILE, mark="new")):
            now(self.store.keep("b", file))
        now(self.store.keep("a", FILE))
        self.assertEqual(now(self.store.files("b")), [other, evolve(FILE, mark="new")])
        now(self.store.forget("b", [other.url, "ftp://h/none"]))
        self.assertEqual(now(self.store.files("b")), [evolve(FILE, mark="new")])
        now(self.store.remove("b"))
        self.assertEqual(now(self.store.files("b")), [])
        self.assertEqual(now(self.store.files("a")), [FILE])
