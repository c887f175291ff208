"""The operator's façade over real accounts: users, policies, their keys, and destinations that go."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import (
    AlreadyExists,
    CodeNeeded,
    DirectoryNotEmpty,
    InvalidName,
    InvalidRequest,
    LoginFailed,
    NotFound,
    NotPermitted,
)
from ecpds.keys import signing_key
from ecpds.master.codes import STEP, code_of
from tests.doubles import MemorySource
from tests.portal.house import ORIGIN, House

SCOPE = ("20261121", "us-east-1", "s3")


class OperatorCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = self.new_house()
        self.now, self.operator = self.house.now, self.house.operator
        for name in ("demo", "other"):
            self.now(self.operator.add_destination(name))

    def new_house(self) -> House:
        return House(self)

    def add(self, **named: Any) -> dict[str, Any]:
        user: dict[str, Any] = self.now(self.operator.add_user("joe", "secret", destinations=["demo"], **named))
        return user

    def refuse(self, refusal: type[Exception], work: Any) -> str:
        return str(self.failureResultOf(ensureDeferred(work), refusal).value)

    def all(self, objects: Any) -> list[dict[str, Any]]:
        async def collect() -> list[dict[str, Any]]:
            return [each async for each in objects]

        found: list[dict[str, Any]] = self.now(collect())
        return found

    def login(self, password: str = "secret") -> Any:
        return self.house.portal.login("joe", password, ORIGIN)

    def put(self, path: str) -> None:
        async def work() -> None:
            upload = await (await self.login()).open_write(path)
            await upload.receive(MemorySource(b"hello"))
            await upload.commit()

        self.now(work())


class UserTests(OperatorCase):
    def test_one_time_codes(self) -> None:
        self.assertFalse(self.add()["totp"])
        enrolled = self.now(self.operator.change_totp("joe", "enrol"))
        self.assertEqual({**enrolled, "uri": ""}, {"login": "joe", "totp": True, "uri": ""})
        self.assertTrue(enrolled["uri"].startswith("otpauth://totp/ecpds:joe?"))
        self.assertEqual(self.now(self.operator.change_totp("joe", "show")), {"login": "joe", "totp": True})
        self.assertTrue(self.now(self.operator.show_user("joe"))["totp"])
        self.assertIn("A one-time code is needed", self.refuse(CodeNeeded, self.login()))
        secret = base64.b32decode(parse_qs(urlsplit(enrolled["uri"]).query)["secret"][0])
        text = "secret" + code_of(secret, int(self.house.clock.seconds()) // STEP)
        self.now(self.login(text))
        self.refuse(LoginFailed, self.login(text))
        self.assertEqual(self.now(self.operator.change_totp("joe", "remove")), {"login": "joe", "totp": False})
        self.now(self.login())
        self.refuse(InvalidRequest, self.operator.change_totp("joe", "guess"))

    def test_how_far_quotas_are_used_is_shown(self) -> None:
        self.add(options={"portal.maxUploadBytes": "100", "portal.maxDownloadBytes": "1k", "portal.downloadPeriod": "1h"})
        self.now(self.operator.set_destination("demo", options={"incoming.maxUploadBytes": "7"}))
        self.put("/demo/a")
        shown = self.now(self.operator.show_user("joe"))["quotas"]
        upload = {"of": "upload", "used": 5, "left": 95, "most": 100, "period": 86400}
        self.assertEqual(shown, [upload, {"of": "download", "used": 0, "left": 1024, "most": 1024, "period": 3600}])
        shown = self.now(self.operator.show_destination("demo"))["quotas"]
        self.assertEqual(shown, [{**upload, "left": 2, "most": 7}])

    def test_a_change_is_of_what_is_named_alone(self) -> None:
        before = self.add(options={"portal.sort": "name"}, comment="Joe")
        after = self.now(self.operator.set_user("joe", permissions=["put", "get"], options={"portal.order": "asc"}))
        self.assertEqual(after["permissions"], ["get", "put"])
        self.assertEqual(after["options"], {"portal.sort": "name", "portal.order": "asc"})
        same = {name: value for name, value in before.items() if name not in ("permissions", "options")}
        self.assertEqual({name: after[name] for name in same}, same)

    def test_lists_replace_and_may_be_emptied(self) -> None:
        self.add()
        self.assertEqual(self.now(self.operator.set_user("joe", destinations=["other"]))["destinations"], ["other"])
        self.assertEqual(self.now(self.operator.set_user("joe", destinations=[]))["destinations"], [])
        self.refuse(NotPermitted, self.login())

    def test_unset(self) -> None:
        self.add(options={"portal.sort": "name"})
        changed = self.now(self.operator.set_user("joe", unset=["portal.sort", "password"]))
        self.assertEqual((changed["options"], changed["has_password"]), ({}, False))
        self.refuse(NotFound, self.operator.set_user("joe", unset=["portal.sort"]))

    def test_what_is_refused_changes_nothing(self) -> None:
        before = self.add()
        self.refuse(NotFound, self.operator.set_user("joe", destinations=["demo", "nowhere"], comment="x"))
        self.refuse(NotFound, self.operator.set_user("joe", policies=["nothing"]))
        self.refuse(InvalidRequest, self.operator.set_user("joe", permissions=["fly"]))
        self.refuse(InvalidRequest, self.operator.set_user("joe", mode="closed"))
        self.refuse(InvalidRequest, self.operator.set_user("joe", comment="a\nb"))
        self.refuse(InvalidRequest, self.operator.set_user("joe", options={"portal.colour": "red"}))
        self.refuse(NotFound, self.operator.set_user("jim", mode="open"))
        self.assertEqual(self.now(self.operator.show_user("joe")), {**before, "quotas": []})

    def test_a_new_password_counts_at_once(self) -> None:
        self.add()
        self.now(self.login())
        self.now(self.operator.set_password("joe", "other"))
        self.refuse(LoginFailed, self.login())
        self.now(self.login("other"))
        self.refuse(InvalidRequest, self.operator.set_password("joe", ""))
        self.refuse(NotFound, self.operator.set_password("jim", "x"))

    def test_one_that_is_removed(self) -> None:
        self.add()
        self.now(self.login())
        self.assertEqual(self.now(self.operator.remove_user("joe"))["login"], "joe")
        self.refuse(LoginFailed, self.login())
        self.refuse(NotFound, self.operator.remove_user("joe"))
        self.assertEqual(self.all(self.operator.list_users()), [])

    def test_doors_may_be_closed_to_a_user(self) -> None:
        self.add(options={"portal.excludeProtocols": "s3, ftp"})
        self.refuse(NotPermitted, self.login())
        self.now(self.operator.set_user("joe", options={"portal.excludeProtocols": "s3"}))
        self.now(self.login())


class KeyTests(OperatorCase):
    def line(self) -> str:
        public = Ed25519PrivateKey.generate().public_key()
        return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " joe@home\n"

    def test_add_list_rm(self) -> None:
        self.add()
        line = self.line()
        self.assertEqual(self.now(self.operator.change_key("joe", "add", line))["keys"], [line.strip()])
        self.assertEqual(self.now(self.operator.change_key("joe", "list"))["keys"], [line.strip()])
        self.refuse(AlreadyExists, self.operator.change_key("joe", "add", line))
        self.assertEqual(self.now(self.operator.change_key("joe", "rm", line))["keys"], [])
        self.refuse(NotFound, self.operator.change_key("joe", "rm", line))
        for action in ("add", "rm"):
            self.refuse(InvalidRequest, self.operator.change_key("joe", action))

    def test_a_key_lets_in_its_user_alone(self) -> None:
        from base64 import b64decode

        self.add()
        line = self.line()
        blob = b64decode(line.split()[1])
        self.refuse(LoginFailed, self.house.portal.login_with_key("joe", blob, ORIGIN))
        self.now(self.operator.change_key("joe", "add", line))
        self.assertEqual(self.now(self.house.portal.login_with_key("joe", blob, ORIGIN)).identity.login, "joe")
        self.refuse(LoginFailed, self.house.portal.login_with_key("jim", blob, ORIGIN))
        self.refuse(LoginFailed, self.house.portal.login_with_key("joe", blob + b"\0", ORIGIN))
        self.now(self.operator.change_key("joe", "rm", line))
        self.refuse(LoginFailed, self.house.portal.login_with_key("joe", blob, ORIGIN))
        reasons = [record["Message"] for record in self.house.sink.of("DEA")]
        wrong = "Public key authentication failed"
        self.assertEqual(reasons, [wrong, "Not found", wrong, wrong])


class AccessKeyTests(OperatorCase):
    def new(self, **named: Any) -> tuple[str, str]:
        (made,) = self.all(self.operator.change_access_key("joe", "add", **named))
        self.assertEqual(list(made), ["access_key_id", "secret_access_key"])
        return made["access_key_id"], made["secret_access_key"]

    def login_with(self, id_: str) -> Any:
        return self.house.portal.login_with_signature(id_, *SCOPE, ORIGIN)

    def test_it_signs_and_the_secret_is_shown_once(self) -> None:
        self.add()
        id_, secret = self.new()
        files, key = self.now(self.login_with(id_))
        self.assertEqual((files.identity.login, key), ("joe", signing_key(secret, *SCOPE)))
        listed = self.all(self.operator.change_access_key("joe", "list"))
        self.assertEqual([each["access_key_id"] for each in listed], [id_])
        self.assertNotIn(secret, repr(listed))

    def test_the_secret_is_nowhere_in_the_catalogue(self) -> None:
        self.add()
        _, secret = self.new()
        for file in self.house.home.glob("catalogue.sqlite*"):
            self.assertNotIn(secret.encode(), file.read_bytes(), file.name)

    def test_one_that_is_removed_or_expired(self) -> None:
        self.add()
        gone, _ = self.new()
        late, _ = self.new(life=30.0)
        self.now(self.login_with(gone))
        files, _ = self.now(self.login_with(late))
        self.all(self.operator.change_access_key("joe", "rm", gone))
        self.refuse(LoginFailed, self.login_with(gone))
        self.house.clock.advance(60.0)
        self.refuse(LoginFailed, self.login_with(late))
        self.refuse(NotPermitted, files.stat("/"))
        self.refuse(LoginFailed, self.login_with("AK" + "0" * 18))
        self.refuse(LoginFailed, self.login_with("' OR 1=1 --"))

    def test_it_may_do_less_than_its_user(self) -> None:
        self.add()
        self.now(self.operator.set_user("joe", destinations=["demo", "other"]))
        id_, _ = self.new(permissions=["get", "dir"], destinations=["other"])
        files, _ = self.now(self.login_with(id_))
        self.assertEqual(files.identity.destinations, ("other",))
        self.refuse(NotPermitted, files.open_write("/other/a"))
        self.refuse(NotFound, files.list("/demo"))
        self.house.clock.advance(61.0)
        self.refuse(NotFound, files.list("/demo"))

    def test_what_is_refused(self) -> None:
        self.add()
        for work in (
            self.operator.change_access_key("joe", "rm"),
            self.operator.change_access_key("joe", "steal"),
            self.operator.change_access_key("joe", "add", permissions=["fly"]),
        ):
            self.refuse(InvalidRequest, anext(work))
        for work in (
            self.operator.change_access_key("joe", "rm", "AK0"),
            self.operator.change_access_key("jim", "add"),
            self.operator.change_access_key("jim", "list"),
            self.operator.change_access_key("joe", "add", destinations=["nowhere"]),
        ):
            self.refuse(NotFound, anext(work))

    def test_nobody_removes_anothers(self) -> None:
        self.add()
        self.now(self.operator.add_user("ann"))
        id_, _ = self.new()
        self.refuse(NotFound, anext(self.operator.change_access_key("ann", "rm", id_)))
        self.now(self.login_with(id_))


class PolicyTests(OperatorCase):
    def test_add_show_set_rm(self) -> None:
        made = self.now(self.operator.add_policy("readers", ["demo"], ["dir", "get"], {"portal.sort": "name"}, "who reads"))
        self.assertEqual((made["permissions"], made["destinations"], made["enabled"]), (["get", "dir"], ["demo"], True))
        self.assertEqual(self.now(self.operator.show_policy("readers")), made)
        self.assertEqual(self.all(self.operator.list_policies()), [made])
        changed = self.now(self.operator.set_policy("readers", enabled=False, unset=["permissions", "portal.sort"]))
        self.assertEqual((changed["enabled"], changed["permissions"], changed["options"]), (False, None, {}))
        self.now(self.operator.remove_policy("readers"))
        self.refuse(NotFound, self.operator.show_policy("readers"))

    def test_the_users_own_options_win_and_then_the_first_policy(self) -> None:
        self.now(self.operator.add_policy("one", options={"portal.sort": "name", "portal.order": "asc"}))
        two = {"portal.sort": "size", "portal.order": "desc", "portal.title": "two"}
        self.now(self.operator.add_policy("two", options=two))
        self.add(policies=["one", "two"], options={"portal.sort": "time"})
        options = self.now(self.login()).identity.options
        self.assertEqual(options, {"portal.sort": "time", "portal.order": "asc", "portal.title": "two"})
        self.now(self.operator.set_user("joe", policies=["two", "one"]))
        self.assertEqual(self.now(self.login()).identity.options["portal.order"], "desc")

    def test_one_that_users_have_goes_only_when_forced(self) -> None:
        self.now(self.operator.add_policy("readers"))
        self.add(policies=["readers"])
        self.assertIn("1 users", self.refuse(NotPermitted, self.operator.remove_policy("readers")))
        self.now(self.operator.remove_policy("readers", force=True))
        self.assertEqual(self.now(self.operator.show_user("joe"))["policies"], [])

    def test_what_is_refused(self) -> None:
        self.now(self.operator.add_policy("readers"))
        self.refuse(AlreadyExists, self.operator.add_policy("readers"))
        for name in ("", "a b", "a\n", "é", "a" * 64, "-x", "a;b"):
            self.refuse(InvalidName, self.operator.add_policy(name))
        self.refuse(InvalidRequest, self.operator.add_policy("new", permissions=["fly"]))
        self.refuse(NotFound, self.operator.add_policy("new", ["nowhere"]))
        self.refuse(NotFound, self.operator.set_policy("new"))
        self.refuse(NotFound, self.operator.show_policy("new"))


class DestinationTests(OperatorCase):
    def test_a_change_is_of_what_is_named_alone(self) -> None:
        before = self.now(self.operator.show_destination("demo"))
        del before["usage"], before["quotas"]
        changed = self.now(self.operator.set_destination("demo", lifetime=60.0, options={"digests": "md5"}))
        self.assertEqual(changed, {**before, "lifetime": 60.0, "digests": ["md5"]})
        self.assertEqual(self.now(self.operator.set_destination("demo", unset=["lifetime"]))["lifetime"], None)
        self.refuse(InvalidRequest, self.operator.set_destination("demo", options={"digests": "md4"}))
        self.refuse(InvalidRequest, self.operator.set_destination("demo", options={"incoming.rootdir": "a/b"}))
        self.refuse(NotFound, self.operator.set_destination("demo", unset=["incoming.rootdir"]))
        self.refuse(NotFound, self.operator.set_destination("nowhere", copies=1))

    def test_only_an_empty_one_goes(self) -> None:
        self.add()
        self.put("/demo/a/b")
        self.refuse(DirectoryNotEmpty, self.operator.remove_destination("demo"))
        self.now(self.operator.remove_file("/demo/a/b"))
        self.now(self.operator.remove_destination("demo"))
        self.refuse(NotFound, self.operator.show_destination("demo"))
        self.refuse(NotPermitted, self.login())
        self.now(self.operator.add_destination("demo"))

    def test_by_force_its_files_go_too(self) -> None:
        self.add()
        for number in range(450):
            self.put(f"/demo/d{number % 7}/f{number}")
        files = self.now(self.login())
        self.now(files.make_directory("/demo/own"))
        self.refuse(DirectoryNotEmpty, self.operator.remove_destination("demo"))
        self.now(self.operator.remove_destination("demo", force=True))
        self.refuse(NotPermitted, files.open_write("/demo/a"))
        status = self.now(self.operator.status())
        self.assertEqual((status["files"], status["reclaim"]), (0, 450))
        self.house.clock.advance(120.0)
        self.assertEqual(self.house.stored(), [])

    def test_an_upload_that_was_on_its_way_finds_nothing_to_go_to(self) -> None:
        self.add()
        files = self.now(self.login())
        upload = self.now(files.open_write("/demo/a/b"))
        self.now(upload.receive(MemorySource(b"hello")))
        self.now(self.operator.remove_destination("demo"))
        self.refuse(NotFound, upload.commit())


class OptionTests(OperatorCase):
    def test_they_are_listed(self) -> None:
        names = {each["name"] for each in self.all(self.operator.list_options())}
        self.assertLessEqual({"portal.getPathPermRegex", "incoming.rootdir"}, names)
