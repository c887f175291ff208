"""What operators ask, and what they are refused."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ecpds.errors import AlreadyExists, InvalidName, InvalidRequest, IsADirectory, NotFound
from ecpds.events import Event
from ecpds.model import PERMISSIONS, Destination, NewUser
from tests.contracts.master import Uploading
from tests.master.support import NOW, MasterCase


def key_line(private: Any) -> str:
    line: bytes = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return line.decode()


class DestinationTests(MasterCase):
    """Destinations."""

    def test_it_comes_back_as_it_was_added(self) -> None:
        wanted = Destination(
            0, "s3-like.name_1", 2, "group", 86400.0, ("sha256", "md5"), "after", {"incoming.rootdir": "/x"}, created=5.0
        )
        added = self.now(self.operations.add_destination(wanted))
        self.assertEqual((added.created, added.copies, added.group), (NOW, 2, "group"))
        self.restart()
        self.assertEqual(self.now(self.operations.destination("s3-like.name_1")), added)
        self.assertEqual(list(self.now(self.operations.destinations())), [added])

    def test_by_name(self) -> None:
        for name in ("b", "a", "C"):
            self.now(self.operations.add_destination(Destination(0, name)))
        self.assertEqual([each.name for each in self.now(self.operations.destinations())], ["C", "a", "b"])

    def test_refused(self) -> None:
        self.now(self.operations.add_destination(Destination(0, "demo")))
        self.refused(AlreadyExists, self.operations.add_destination(Destination(0, "demo")))
        for name in ("", ".", "..", "-x", "a/b", "é", "a" * 64, "a b", "a\n"):
            self.refused(InvalidName, self.operations.add_destination(Destination(0, name)))
        for bad in (
            {"copies": 0},
            {"lifetime": 0.0},
            {"digests": ("md4",)},
            {"digest_when": "never"},
            {"options": {"a b": ""}},
        ):
            self.refused(InvalidRequest, self.operations.add_destination(Destination(0, "new", **bad)))
        self.refused(NotFound, self.operations.destination("new"))


class UserTests(Uploading, MasterCase):
    """Users and their keys."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()

    def test_no_permissions_named_means_all(self) -> None:
        self.assertEqual(self.now(self.operations.user("joe")).permissions, PERMISSIONS)

    def test_it_comes_back_as_it_was_added(self) -> None:
        new = NewUser("ann@x.org", "pw", "open", ("demo", "other", "demo"), ("get", "dir"), {"portal.sort": "name"})
        record = self.now(self.operations.add_user(new))
        self.assertEqual(
            (record.destinations, record.permissions, record.has_password), (("demo", "other"), ("get", "dir"), True)
        )
        self.assertEqual(self.now(self.operations.user("ann@x.org")), record)
        self.assertEqual([each.login for each in self.now(self.operations.users())], ["ann@x.org", "joe"])

    def test_the_password_is_not_kept(self) -> None:
        ((stored,),) = self.sql("SELECT password FROM user WHERE login = 'joe'")
        self.assertTrue(stored.startswith("$argon2id$"))
        self.assertNotIn("secret", stored)

    def test_refused(self) -> None:
        add = self.operations.add_user
        self.refused(AlreadyExists, add(NewUser("joe")))
        self.refused(NotFound, add(NewUser("new", destinations=("nowhere",))))
        for login in ("", "-a", "a b", "a/b", "é", "a\0", "x" * 64):
            self.refused(InvalidName, add(NewUser(login)))
        for bad in ({"mode": "root"}, {"permissions": ("fly",)}, {"password": ""}, {"options": {"": ""}}):
            self.refused(InvalidRequest, add(NewUser("new", **bad)))
        self.refused(NotFound, self.operations.user("new"))

    def test_keys(self) -> None:
        keys = [
            key_line(ed25519.Ed25519PrivateKey.generate()),
            key_line(ec.generate_private_key(ec.SECP256R1())),
            key_line(rsa.generate_private_key(65537, 2048)),
        ]
        for key in keys:
            self.clock.advance(1)
            record = self.now(self.operations.add_key("joe", key + " joe's laptop\n"))
        self.assertEqual(record.keys, tuple(f"{key} joe's laptop" for key in keys))
        self.refused(AlreadyExists, self.operations.add_key("joe", keys[0] + " another comment"))
        self.refused(NotFound, self.operations.add_key("nobody", keys[0]))

    def test_bad_keys(self) -> None:
        good = key_line(ed25519.Ed25519PrivateKey.generate())
        kind, blob = good.split()
        cut = base64.b64encode(base64.b64decode(blob)[:-5]).decode()
        for bad in (
            "",
            "ssh-ed25519",
            blob,
            f"ssh-rsa {blob}",
            f"{kind} {cut}",
            f"{kind} {blob[:-2]}!!",
            f'command="rm" {good}',
            f"{good}\n{good}",
            f"{good} \x1b[2J",
            f"ssh-dss {blob}",
            f"{good} {'x' * 20_000}",
        ):
            self.refused(InvalidRequest, self.operations.add_key("joe", bad))


class FileTests(Uploading, MasterCase):
    """Files, and how much there is."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()

    def test_remove_file(self) -> None:
        entry = self.now(self.put("d/f"))
        self.refused(IsADirectory, self.operations.remove_file("demo", "d"))
        self.assertEqual(self.now(self.operations.remove_file("demo", "d/f")), entry)
        self.refused(NotFound, self.operations.remove_file("demo", "d/f"))

    def test_summary(self) -> None:
        self.now(self.put("a", 5))
        self.now(self.put("b", 7))
        self.now(self.put("b", 8))
        self.now(self.master.allocate(self.request("c")))
        summary = self.now(self.operations.summary())
        self.assertEqual(summary, {"users": 1, "destinations": 2, "files": 2, "bytes": 13, "uploads": 1, "reclaim": 1})


class HistoryTests(MasterCase):
    """The history."""

    def record(self, *events: Event) -> None:
        for event in events:
            self.master.history.record(event)

    def test_newest_first_by_type_and_in_pages(self) -> None:
        events = [Event("INH" if n % 2 else "DEA", float(n), {"UserId": "joe", "N": n}) for n in range(10)]
        self.record(*events)
        everything = self.now(self.operations.history(None, 100, None))
        self.assertEqual([event for _, event in everything], events[::-1])
        first = self.now(self.operations.history("INH", 3, None))
        second = self.now(self.operations.history("INH", 3, first[-1][0]))
        self.assertEqual([event.fields["N"] for _, event in (*first, *second)], [9, 7, 5, 3, 1])

    def test_columns(self) -> None:
        self.record(Event("INH", 1.0, {"UserId": "joe", "DestinationName": "d", "FileName": "/d/\udc80", "Status": "done"}))
        rows = self.sql("SELECT user, destination, path, status FROM history")
        self.assertEqual(rows, [("joe", "d", "/d/\\udc80", "done")])

    def test_how_much_may_be_asked(self) -> None:
        for limit in (0, -1, self.limits.history_page + 1):
            self.refused(InvalidRequest, self.operations.history(None, limit, None))
