"""Logging in, rights, and the memory of passwords."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.errors import InvalidRequest, LoginFailed, NotPermitted, Unavailable
from ecpds.events import timestamp
from ecpds.interfaces import IThreads
from ecpds.master import passwords
from ecpds.master.passwords import Passwords, matches, nobodys, phc
from ecpds.model import DestinationChange, Identity, Origin
from ecpds.people import NewUser, UserChange
from ecpds.threads import InlineThreads
from tests.contracts.master import Uploading
from tests.master.support import MasterCase

ORIGIN = Origin("ftp", "192.0.2.1", "node")


@implementer(IThreads)
class HeldThreads:
    """Counts the work, and does it when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferred[None], Callable[..., Any]]] = []

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        waiter: Deferred[None] = Deferred()
        self.waiting.append((waiter, function))
        await waiter
        return function(*args)

    def go_on(self) -> None:
        waiting, self.waiting = self.waiting, []
        for waiter, _ in waiting:
            waiter.callback(None)

    def fail(self, error: Exception) -> None:
        waiting, self.waiting = self.waiting, []
        for waiter, _ in waiting:
            waiter.errback(error)


class HashTests(SynchronousTestCase):
    """PHC strings."""

    def test_its_own_password_matches(self) -> None:
        encoded = phc("pässword \udc80", b"s" * 16)
        self.assertTrue(encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$"))
        self.assertTrue(matches("pässword \udc80", encoded))
        for wrong in ("", "passwörd", "pässword", "x" * 10_000):
            self.assertFalse(matches(wrong, encoded))

    def test_nobodys_string_costs_the_same_and_matches_nothing(self) -> None:
        made, real = nobodys(Random(1)), phc("", b"s" * 16)
        self.assertEqual((len(made), made.split("$")[:4]), (len(real), real.split("$")[:4]))
        self.assertFalse(matches("", made))


class PasswordTests(SynchronousTestCase):
    """`Passwords`."""

    def setUp(self) -> None:
        self.threads = HeldThreads()
        verifyObject(IThreads, self.threads)
        self.clock = Clock()
        self.passwords = Passwords(self.threads, self.clock, Random(1), 60.0)
        self.stored = phc("secret", b"s" * 16)

    def check(self, login: str = "joe", password: str = "secret", stored: str | None = "") -> Deferred[bool]:
        return ensureDeferred(self.passwords.check(login, password, self.stored if stored == "" else stored))

    def test_many_at_once_are_one_hash(self) -> None:
        waiting = [self.check() for _ in range(5)]
        self.assertEqual(len(self.threads.waiting), 1)
        self.threads.go_on()
        self.assertEqual([self.successResultOf(each) for each in waiting], [True] * 5)

    def test_two_users_never_share_a_hash(self) -> None:
        for login in ("joe", "nobody", "nobody-else"):
            self.check(login, stored=None)
        self.assertEqual(len(self.threads.waiting), 3)
        self.threads.go_on()

    def test_one_who_goes_away_takes_nothing_from_the_others(self) -> None:
        gone, here = self.check(), self.check()
        gone.addErrback(lambda _: None)
        gone.cancel()
        self.threads.go_on()
        self.assertTrue(self.successResultOf(here))
        self.assertTrue(self.successResultOf(self.check()))

    def test_what_was_right_is_remembered_a_while(self) -> None:
        self.check()
        self.threads.go_on()
        self.clock.advance(59)
        self.assertTrue(self.successResultOf(self.check()))
        self.clock.advance(2)
        self.assertNoResult(self.check())
        self.threads.go_on()

    def test_what_was_wrong_is_not(self) -> None:
        for _ in range(2):
            wrong = self.check(password="guess")
            self.assertNoResult(wrong)
            self.threads.go_on()
            self.assertFalse(self.successResultOf(wrong))

    def test_a_new_password_forgets_the_old(self) -> None:
        self.check()
        self.threads.go_on()
        after = self.check(stored=phc("other", b"t" * 16))
        self.assertNoResult(after)
        self.threads.go_on()
        self.assertFalse(self.successResultOf(after))

    def test_an_unknown_user_takes_a_hash_too(self) -> None:
        unknown = self.check(stored=None)
        self.assertEqual([function for _, function in self.threads.waiting], [matches])
        self.threads.go_on()
        self.assertFalse(self.successResultOf(unknown))

    def test_too_many_waiting(self) -> None:
        one, two = self.check(), self.check()
        self.threads.fail(Unavailable("too much is waiting"))
        for each in (one, two):
            self.failureResultOf(each, Unavailable)
        self.assertNoResult(self.check())
        self.threads.go_on()

    def test_the_memory_is_bounded(self) -> None:
        self.patch(passwords, "REMEMBERED", 2)
        self.passwords = Passwords(InlineThreads(), self.clock, Random(1), 60.0)
        for number in range(4):
            self.successResultOf(self.check(f"user{number}"))
        self.assertEqual(len(self.passwords._right), 2)


class LoginTests(Uploading, MasterCase):
    """Whom the Master lets in."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()

    def login(self, login: str, password: str = "secret") -> Any:
        return self.now(self.master.login(login, password, ORIGIN))

    def reason(self, login: str, password: str = "wrong") -> str:
        reason: str = self.refused(LoginFailed, self.master.login(login, password, ORIGIN)).reason
        return reason

    def add(self, login: str, **more: Any) -> None:
        more.setdefault("destinations", ("demo",))
        self.now(self.operations.add_user(NewUser(login, **more)))

    def test_the_record_says_why(self) -> None:
        self.add("keyonly")
        self.assertEqual(self.reason("joe"), "Password authentication failed")
        self.assertEqual(self.reason("nobody"), "Not found")
        self.assertEqual(self.reason("keyonly"), "Password not set")

    def test_open_takes_any_password(self) -> None:
        self.add("anyone", mode="open")
        self.assertEqual(self.login("anyone", "whatever").login, "anyone")

    def test_self_service_takes_no_password_of_its_own(self) -> None:
        self.add("visitors", mode="self-service", password="secret")
        self.reason("visitors", "secret")

    def disable(self, login: str) -> None:
        self.now(self.writer.run(lambda s: s.command(f"UPDATE \"user\" SET enabled = false WHERE login = '{login}'")))
        self.master.accounts.forget(login)

    def test_disabled(self) -> None:
        self.login("joe")
        self.disable("joe")
        self.reason("joe")
        self.assertEqual(self.refused(NotPermitted, self.master.login("joe", "secret", ORIGIN)).detail, "Disabled")
        self.refused(NotPermitted, self.master.allocate(self.request("a")))

    def test_without_permissions(self) -> None:
        self.add("idle", password="secret", permissions=())
        refusal = self.refused(NotPermitted, self.master.login("idle", "secret", ORIGIN))
        self.assertEqual(refusal.detail, "No associated Permissions")

    def test_the_last_login_is_noted_once_a_minute(self) -> None:
        def last() -> float | None:
            seen: float | None = self.now(self.operations.user("joe")).last_login
            return seen

        self.assertIsNone(last())
        self.login("joe")
        first = last()
        self.clock.advance(30)
        self.login("joe")
        self.assertEqual(last(), first)
        self.clock.advance(31)
        self.login("joe")
        self.assertEqual(last(), self.clock.seconds())

    def test_options_come_with_the_identity(self) -> None:
        self.add("ann", password="secret", options={"portal.sort": "size"})
        self.assertEqual(dict(self.login("ann").options), {"portal.sort": "size"})

    def test_the_same_identity_until_something_changes(self) -> None:
        first = self.login("joe")
        self.assertIs(self.login("joe"), first)
        self.now(self.operations.change_user("joe", UserChange(comment="new")))
        self.assertEqual(self.login("joe").comment, "new")

    def test_another_password_is_another_identity(self) -> None:
        first = self.login("joe")
        self.now(self.operations.set_password("joe", "other"))
        self.reason("joe", "secret")
        second = self.login("joe", "other")
        self.assertNotEqual(second.credential, first.credential)
        self.refused(NotPermitted, self.master.renew(first))
        self.assertIs(self.now(self.master.renew(second)), second)

    def test_what_a_destination_is_called_from_now_on(self) -> None:
        self.assertEqual(dict(self.login("joe").names), {})
        self.now(self.operations.change_destination("demo", DestinationChange(options={"incoming.rootdir": "/data"})))
        self.assertEqual(dict(self.login("joe").names), {"data": "demo"})

    def test_no_key_expires_when_no_date_can_say(self) -> None:
        key, _ = self.now(self.operations.add_access_key("joe", 36500 * 86400.0, None, None))
        self.assertTrue(timestamp(key.expires))
        for life in (1e12, float("nan")):
            self.refused(InvalidRequest, self.operations.add_access_key("joe", life, None, None))

    def test_the_same_identity_for_an_access_key_until_something_changes(self) -> None:
        def login(key: str) -> Identity:
            found: Identity = self.now(self.master.login_with_signature(key, "20261122", "r", "s3", ORIGIN))[0]
            return found

        whole, _ = self.now(self.operations.add_access_key("joe", None, None, None))
        reading, _ = self.now(self.operations.add_access_key("joe", None, ("get",), None))
        first, second = login(whole.id), login(reading.id)
        self.assertEqual((login(whole.id), login(reading.id)), (first, second))
        self.assertIs(login(whole.id), first)
        self.assertIs(login(reading.id), second)
        self.assertEqual(second.permissions, {"get"})
        self.assertIsNot(self.login("joe"), first)
        self.now(self.operations.change_user("joe", UserChange(comment="new")))
        self.assertEqual((login(whole.id).comment, login(reading.id).comment), ("new", "new"))
        self.now(self.operations.remove_access_key("joe", reading.id))
        self.failureResultOf(ensureDeferred(self.master.login_with_signature(reading.id, "1", "r", "s3", ORIGIN)), LoginFailed)
