"""The repository at the HTTPS door: the ancestor's routes, the API, the pages; and who may do what."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidRequest, NotPermitted
from ecpds.http.client import HttpClient
from ecpds.http.message import Headers, Request
from ecpds.limits import Limits
from ecpds.options import EDITS_SOURCES
from ecpds.protocols import repository_call
from ecpds.protocols.data import DataDoor
from ecpds.protocols.repository import RepositoryDoor
from ecpds.protocols.repository_call import API, BLOCK, EDITORS, EVERYONE, PREFIX, _parts
from ecpds.protocols.repository_fetch import ConfigurationFetcher
from ecpds.threads import InlineThreads
from ecpds.timeouts import Timeouts
from ecpds.wire import metalink
from ecpds.wire.form_parts import Cutter
from tests.doubles import MemoryPortal, MemorySource, make_identity
from tests.protocols.data_support import PASSWORD, Seen, _refused, basic
from tests.sources.test_exchange import ancestors
from tests.sources.test_repository import FILE, MB, RepositoryCase


class DoorCase(RepositoryCase):
    """A door with `ann`, who may edit, and `bob`, who may not."""

    def setUp(self) -> None:
        super().setUp()
        editor = evolve(make_identity("ann"), options={EDITS_SOURCES: "true"})
        self.portal = MemoryPortal({"ann": (PASSWORD, editor), "bob": (PASSWORD, make_identity("bob"))})
        self.data = DataDoor(self.portal, "node-1", Limits(), self.clock.seconds, InlineThreads())
        self.door = RepositoryDoor(self.repository, self.data.gate, Limits(source_batch=100, source_body=100_000), self.fetch)
        self.elsewhere: dict[str, str] = {}

    async def fetch(self, url: str) -> str:
        if url not in self.elsewhere:
            raise InvalidRequest(f"{url} can't be fetched")
        return self.elsewhere[url]

    def ask(self, method: str, target: str, body: bytes = b"", login: str | None = None, **fields: str) -> Seen:
        path, _, query = target.partition("?")
        headers = Headers((name.replace("_", "-"), text) for name, text in fields.items())
        if login is not None:
            headers.add("Authorization", basic(login))
        length = len(body)
        source = self.source = MemorySource(body)
        request = Request(method, target.encode(), path, query, headers, "1.1", "203.0.113.9", True, length, source)
        answer = self.successResultOf(Deferred.fromCoroutine(self.door.handle(request)).addErrback(_refused))
        assert isinstance(answer.body, bytes)
        return Seen(answer.status, Headers(answer.headers), answer.body)

    def get(self, path: str, login: str | None = None, accept: str = "text/html") -> Seen:
        return self.ask("GET", PREFIX + path, login=login, Accept=accept)

    def json(self, path: str, login: str | None = None) -> Any:
        return json.loads(self.get(path, login, "application/json").body)

    def form(self, path: str, login: str | None = "ann", accept: str = "text/html", **fields: Any) -> Seen:
        kind = "application/x-www-form-urlencoded"
        return self.ask("POST", PREFIX + path, urlencode(fields, True).encode(), login, Content_Type=kind, Accept=accept)

    def api(self, method: str, path: str, said: Any = None, login: str | None = "ann", accept: str = "*/*") -> Seen:
        body, kind = (b"", {}) if said is None else (json.dumps(said).encode(), {"Content_Type": "application/json"})
        return self.ask(method, API + path, body, login, Accept=accept, **kind)


class AncestorsClient(DoorCase):
    """What a client of the ancestor sends, and what it must get."""

    def transfers(self, **fields: Any) -> Any:
        asked = {"url": FILE, "available_mechanisms": ["curl", "scp"], **fields}
        found = self.form("/transfers", None, "application/json", **asked)
        self.assertEqual(found.status, 200)
        return json.loads(found.body)

    def test_transfers_without_a_destination(self) -> None:
        said = self.transfers()
        self.assertEqual([each["data_source_id"] for each in said["transfers"]], [self.org, self.origin])
        first = {"url": "http://example.org/file.txt", "mechanism_name": "curl", "mechanism_options": {}}
        self.assertEqual(said["transfers"][0], {**first, "data_source_id": self.org})
        self.assertEqual(said["error"], {"message": None, "details": None})

    def test_transfers_to_a_destination(self) -> None:
        said = self.transfers(destination="D")
        self.assertEqual([each["data_source_id"] for each in said["transfers"]], [self.org, self.net, self.origin])

    def test_what_a_client_can_not_run(self) -> None:
        self.assertEqual(self.transfers(available_mechanisms="aspera")["transfers"], [])

    def test_a_newer_client_and_a_typed_error_spoil_nothing(self) -> None:
        self.assertEqual(len(self.transfers(available_mechanisms=["curl", "quantum"], destination="typo")["transfers"]), 2)

    def test_what_is_wrong_is_said_with_200(self) -> None:
        self.assertEqual(self.transfers(url="")["error"]["message"], "Validation error")
        self.assertEqual(self.transfers(available_mechanisms=[])["error"]["details"].keys(), {"available_mechanisms"})
        self.assertEqual(self.transfers(url="http://elsewhere/")["error"]["message"], "No data source matches URL")
        for source in (self.origin, self.org, self.net):
            self.form(f"/data_sources/{source}/delete")
        self.assertEqual(self.transfers()["error"]["message"], "No URL matchers configured")

    def test_the_form_is_what_a_client_looks_for(self) -> None:
        self.assertEqual(self.get("/transfers").status, 200)

    def report(self, **fields: Any) -> Any:
        asked = {
            "is_success": "True",
            "url": FILE,
            "destination": "",
            "file_size_bytes": 1000,
            "transfer_duration_seconds": 10.0,
            "file_checksum": "0" * 32,
            **fields,
        }
        return json.loads(self.form("/transfer_reports", None, "application/json", **asked).body)

    def test_a_report(self) -> None:
        self.assertEqual(self.report(), {"success": True, "error": None})
        self.assertEqual(self.report(destination="D"), {"success": True, "error": None})
        second, first = self.successResultOf(Deferred.fromCoroutine(self.repository.reports(self.origin, None, 9)))
        self.assertEqual((first.site, second.site), (None, self.site))
        self.assertEqual((first.report.size, first.report.seconds, first.report.digests), (1000, 10.0, {"md5": "0" * 32}))

    def test_a_failure_is_a_report_too_and_is_kept_as_one(self) -> None:
        said = self.report(is_success="False", file_size_bytes=0, file_checksum="", mechanism_output="curl: (7)")
        self.assertTrue(said["success"])
        kept = self.successResultOf(Deferred.fromCoroutine(self.repository.reports(self.origin, None, 9)))[0].report
        self.assertEqual((kept.success, kept.output), (False, "curl: (7)"))

    def test_a_report_with_texts_that_can_not_be_written_spoils_no_page(self) -> None:
        """Anybody may report: what no database takes, and what is no text, is escaped."""
        for name in ("mechanism", "error", "output"):
            said = {"url": FILE, "success": False, name: "a\ud800b\0" + "c" * 5000}
            self.assertEqual(self.api("POST", "/reports", said, None).status, 201)
        found = [
            each.report for each in self.successResultOf(Deferred.fromCoroutine(self.repository.reports(self.origin, None, 9)))
        ]
        for text in (found[2].mechanism, found[1].error, found[0].output):
            self.assertTrue(text.startswith("a\\ud800b\\x00ccc"), text)
        self.assertEqual(self.get(f"/data_sources/{self.origin}/transfer_reports", "ann").status, 200)

    def test_reports_that_can_not_be(self) -> None:
        for wrong in (
            {"file_checksum": "x"},
            {"file_size_bytes": "many"},
            {"file_size_bytes": 10**15, "transfer_duration_seconds": 0},
        ):
            said = self.report(**wrong)
            self.assertFalse(said["success"])
            self.assertIn("Invalid report", said["error"]["message"])
        self.assertEqual(self.report(url="http://elsewhere/")["error"]["message"], "No data sources matches URL")

    def test_lists(self) -> None:
        self.assertEqual(self.json("/data_sources/search?q=OR")["data_sources"][0], {"id": self.org, "label": "org"})
        self.assertEqual(self.get("/data_sources/search", accept="application/json").status, 400)
        self.assertEqual(self.get("/data_sources/search").status, 200)
        self.assertEqual(self.json("/destinations"), {"destinations": [{"id": self.site, "label": "D"}]})
        self.assertEqual(self.json(f"/data_sources/{self.org}/matchers"), {"matchers": ["scheme http, host example.org"]})
        self.form(f"/data_sources/{self.org}/test_files/new", url="http://example.org/t")
        self.assertEqual(self.json(f"/data_sources/{self.org}/test_files"), {"test_files": ["http://example.org/t"]})
        self.assertEqual(self.get("/data_sources/999/test_files", accept="application/json").status, 404)

    def test_export_and_import(self) -> None:
        text = json.dumps(ancestors())
        found = self.form("/configuration/import", accept="application/json", conf_file=text, mode="replace")
        self.assertEqual(found.status, 200)
        again = self.json("/configuration/export")
        self.assertEqual(again["data_sources"], ancestors()["data_sources"])
        self.assertEqual(self.form("/configuration/import", conf_file=text).status, 400)
        for wrong in ("", "{", "7"):
            self.assertEqual(self.form("/configuration/import", conf_file=wrong).status, 400)
        self.assertEqual(self.json("/configuration/export"), again)

    def test_an_import_from_a_url(self) -> None:
        self.elsewhere["http://conf.example/a.json"] = json.dumps(ancestors())
        found = self.form("/configuration/import", from_url="http://conf.example/a.json", mode="replace")
        self.assertEqual(found.status, 200)
        self.assertEqual(len(self.repository.sources()), 3)
        found = self.form("/configuration/import", from_url="http://down.example/a.json")
        self.assertEqual(found.status, 400)
        self.assertIn("http://down.example/a.json", found.text)

    def test_an_import_as_a_file_of_a_form(self) -> None:
        parts = [
            '--x\r\nContent-Disposition: form-data; name="conf_file"; filename="a.json"\r\n\r\n' + json.dumps(ancestors()),
            '--x\r\nContent-Disposition: form-data; name="mode"\r\n\r\nreplace',
            "--x--\r\n",
        ]
        body, kind = "\r\n".join(parts).encode(), "multipart/form-data; boundary=x"
        found = self.ask("POST", f"{PREFIX}/configuration/import", body, "ann", Content_Type=kind)
        self.assertEqual(found.status, 200)
        self.assertEqual(len(self.repository.sources()), 3)
        broken = self.ask("POST", f"{PREFIX}/configuration/import", body[:-5], "ann", Content_Type=kind)
        self.assertEqual(broken.status, 400)


class OwnApi(DoorCase):
    def test_one_url_or_many(self) -> None:
        one = json.loads(self.api("POST", "/resolve", {"url": FILE, "mechanisms": ["curl"], "destination": "D"}, None).body)
        self.assertEqual([each["source"] for each in one["candidates"]], ["org", "net", "origin"])
        self.assertTrue(one["token"])
        many = json.loads(self.api("POST", "/resolve", {"urls": [FILE, "nothing", FILE]}, None).body)["resolutions"]
        self.assertEqual([len(each["candidates"]) for each in many], [2, 0, 2])
        got = json.loads(self.ask("GET", f"{API}/resolve?{urlencode({'url': FILE, 'mechanism': 'curl'})}").body)
        self.assertEqual([each["source"] for each in got["candidates"]], ["org", "origin"])

    def test_what_is_asked_wrongly(self) -> None:
        for said, status in (
            ({}, 400),
            ({"url": FILE, "urls": []}, 400),
            ({"url": "nothing"}, 400),
            ({"url": FILE, "mechanism": "curl"}, 400),
            ({"urls": [FILE] * 101}, 400),
            ({"urls": ["x" * 200_000]}, 413),
            ([], 400),
        ):
            found = self.api("POST", "/resolve", said, None)
            self.assertEqual(found.status, status, said)
            self.assertTrue(json.loads(found.body)["error"])
        self.assertEqual(self.ask("POST", f"{API}/resolve", b"{", Content_Type="application/json").status, 400)
        self.assertEqual(self.ask("POST", f"{API}/resolve", b"{}").status, 415)
        self.assertEqual(self.ask("GET", f"{API}/resolve").status, 400)

    def test_an_answer_as_metalink(self) -> None:
        for found in (
            self.api("POST", "/resolve", {"urls": [FILE, "http://elsewhere/%2Fa&b.txt"]}, None, metalink.TYPE),
            self.ask("GET", f"{API}/resolve?url={FILE}&format=metalink"),
        ):
            self.assertEqual(found.headers.get("content-type"), metalink.TYPE)
            root = ElementTree.fromstring(found.body)
            file = root.findall(f"{{{metalink.NAMESPACE}}}file")[0]
            urls = file.findall(f"{{{metalink.NAMESPACE}}}url")
            self.assertEqual(file.get("name"), "file.txt")
            self.assertEqual(
                [(each.get("priority"), each.text) for each in urls], [("1", "http://example.org/file.txt"), ("2", FILE)]
            )
        self.assertEqual(self.api("POST", "/resolve", {"url": FILE}, None, "image/png").status, 406)

    def test_names_in_a_metalink_stay_in_their_folder(self) -> None:
        for url, name in (
            ("http://h/a/b.txt?q#f", "b.txt"),
            ("http://h/", "file"),
            ("http://h/..", "file"),
            ("http://h/%2e%2e%2fetc", "file"),
            ("http://h/%00", "file"),
            ("http://h/a%20b", "a b"),
        ):
            self.assertEqual(metalink.name_of(url), name)

    def test_a_question_of_very_many_things_is_not_read(self) -> None:
        """A URL may have commas and brackets of its own."""
        urls = [f"http://example.com/{number},[a],{{b}}" for number in range(5)]
        self.assertEqual(self.api("POST", "/resolve", {"urls": urls}, None).status, 200)
        for text in ("[" + "[]," * 20_000 + "1]", "{" + '"":1,' * 10_000 + '"":{}}'):
            found = self.ask("POST", API + "/resolve", text.encode(), Content_Type="application/json")
            self.assertEqual(found.status, 413)

    def test_a_report_by_its_token(self) -> None:
        answer = json.loads(self.api("POST", "/resolve", {"url": FILE}, None).body)
        first = answer["candidates"][0]
        said = {
            "url": first["url"],
            "success": False,
            "error": "550",
            "source_id": first["source_id"],
            "token": answer["token"],
        }
        found = self.api("POST", "/reports", said, None)
        self.assertEqual((found.status, json.loads(found.body)["weight"]), (201, 1.0))
        again = self.api("POST", "/reports", said, None)
        self.assertEqual(again.status, 400)
        self.assertIn("reported already", json.loads(again.body)["error"])
        self.assertEqual(self.api("POST", "/reports", {"url": FILE, "success": True, "size": 10**15}, None).status, 400)
        self.assertEqual(self.api("POST", "/reports", {"url": "http://elsewhere/", "success": True}, None).status, 404)

    def test_a_source_from_beginning_to_end(self) -> None:
        made = self.api("POST", "", {"label": "new", "mechanism": "http"})
        self.assertEqual(made.status, 201)
        id_ = json.loads(made.body)["id"]
        self.assertEqual(made.headers.get("location"), f"{API}/{id_}")
        self.assertEqual(self.api("POST", "", {"label": "new", "mechanism": "http"}).status, 409)
        matcher = {"type": "scheme_and_host", "options": {"scheme": "http", "host": "new.example"}}
        part = json.loads(self.api("POST", f"/{id_}/matchers", matcher).body)["id"]
        self.assertEqual(self.api("POST", f"/{id_}/test_files", {"url": "http://new.example/f"}).status, 201)
        self.assertEqual(self.api("POST", f"/{id_}/test_files", {"url": "http://old.example/f"}).status, 400)
        orphaned = self.api("DELETE", f"/{id_}/matchers/{part}")
        self.assertEqual(orphaned.status, 412)
        self.assertIn("http://new.example/f", json.loads(orphaned.body)["error"])
        wide = {"type": "regular_expression", "options": {"pattern": "http://new"}}
        self.assertEqual(self.api("PUT", f"/{id_}/matchers/{part}", wide).status, 200)
        link = {"target": "org", "type": "change_host", "options": {"new_host": "example.org"}, "for_destinations": ["D"]}
        self.assertEqual(self.api("POST", f"/{id_}/transforms", link).status, 201)
        self.assertEqual(self.api("POST", f"/{id_}/transforms", {**link, "target": "nobody"}).status, 404)
        shown = json.loads(self.api("PUT", f"/{id_}", {"label": "newer", "mechanism": "http", "enabled": False}).body)
        self.assertEqual((shown["label"], shown["enabled"], len(shown["transforms"])), ("newer", False, 1))
        self.assertEqual(self.api("PUT", f"/{id_}/order", {"transforms": [1]}).status, 400)
        self.assertEqual(self.api("DELETE", f"/{id_}").status, 204)
        self.assertEqual(self.api("GET", f"/{id_}").status, 404)

    def test_destinations(self) -> None:
        made = self.api("POST", "/destinations", {"label": "E", "networks": ["192.0.2.128/25"]})
        self.assertEqual(made.status, 201)
        id_ = json.loads(made.body)["id"]
        self.assertEqual(self.api("PUT", f"/destinations/{id_}", {"label": "E", "networks": ["x"]}).status, 400)
        self.assertEqual(self.api("POST", "/destinations", {"label": "E"}).status, 409)
        self.assertEqual(len(json.loads(self.api("GET", "/destinations").body)["destinations"]), 2)
        self.assertEqual(self.api("DELETE", f"/destinations/{id_}").status, 204)

    def test_imports_merge_or_only_say(self) -> None:
        before = self.repository.export()
        said = json.loads(self.api("POST", "/import?mode=merge&dry_run=1", ancestors()).body)
        self.assertEqual((said["added"], said["dry_run"]), (["A", "B", "C", "E"], True))
        self.assertEqual(self.repository.export(), before)
        self.assertEqual(self.api("POST", "/import?mode=merge", ancestors()).status, 200)
        self.assertEqual(self.api("POST", "/import", ancestors()).status, 409)
        self.assertEqual(json.loads(self.api("GET", "/export").body), self.repository.export())

    def test_reports_and_changes(self) -> None:
        self.reported(self.org, MB, 3)
        found = json.loads(self.api("GET", f"/{self.org}/reports").body)["transfer_reports"]
        self.assertEqual((len(found), found[0]["rate"], found[0]["outlier"]), (3, MB, False))
        self.assertEqual(self.api("DELETE", f"/{self.org}/reports/{found[0]['id']}").status, 204)
        self.assertEqual(len(json.loads(self.api("GET", f"/{self.org}/reports").body)["transfer_reports"]), 2)
        self.assertEqual(json.loads(self.api("GET", "/audit").body)["changes"][0]["who"], "ann")

    def test_the_description_has_every_route(self) -> None:
        document = json.loads(self.api("GET", "/openapi.json", None, None).body)
        described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
        self.assertEqual(described, {(route.method, API + route.path) for prefix, route in self.door.table if prefix == API})
        self.assertTrue(all(route.summary for prefix, route in self.door.table if prefix == API))

    def test_methods_and_paths_that_are_not_there(self) -> None:
        self.assertEqual(self.ask("PUT", f"{API}/resolve").headers.get("allow"), "GET, POST")
        self.assertEqual(self.ask("GET", f"{API}/nothing").status, 404)
        self.assertEqual(self.get("/nothing").status, 404)


class Pages(DoorCase):
    def test_every_page_stands_and_has_a_strict_policy(self) -> None:
        self.reported(self.org, MB, 4)
        self.reported(self.org, 900 * MB, 1)
        ids = {"source": self.origin, "site": self.site, "part": 0, "report": 1}
        for prefix, route in self.door.table:
            if prefix != PREFIX or route.method != "GET":
                continue
            part = self.repository.source(self.origin)
            ids["part"] = part.matchers[0].id if "matchers" in route.path else part.transforms[0].id
            if "test_files" in route.path and "{part}" in route.path:
                continue
            found = self.get(re.sub(r"\{(\w+)\}", lambda match: str(ids[match[1]]), route.path), "ann")
            self.assertIn(found.status, (200, 303), route.path)
            if found.status == 200 and "html" in str(found.headers.get("content-type")):
                policy = str(found.headers.get("content-security-policy"))
                self.assertNotIn("script-src", policy)
                self.assertIn("default-src 'none'", policy)
                self.assertNotIn("<script", found.text)
                self.assertNotIn("style=", found.text)

    def test_what_people_write_is_escaped(self) -> None:
        hostile = "<script>alert(1)</script>&\"'"
        self.form("/data_sources/new", label=hostile, mechanism="http", description=hostile, options="", enabled="true")
        id_ = self.repository.source_labelled(hostile).id
        self.form(
            f"/data_sources/{id_}/transforms/new", target="org", type="change_host", new_host="example.org", enabled="true"
        )
        for path in ("/data_sources", f"/data_sources/{id_}", "/data_sources/relations", f"/transfers?url=http://{hostile}"):
            text = self.get(path, "ann").text
            self.assertNotIn("<script", text, path)

    def test_forms_add_change_and_come_back(self) -> None:
        made = self.form(
            "/data_sources/new", label="new", mechanism="gridftp_lite", options="parallelism = 4\r\nfast_mode = true"
        )
        self.assertEqual(made.status, 303)
        source = self.repository.source_labelled("new")
        self.assertEqual((source.options, source.enabled), ({"parallelism": 4, "fast_mode": True}, False))
        again = self.form("/data_sources/new", label="new", mechanism="http", description="kept")
        self.assertEqual(again.status, 409)
        self.assertIn("kept", again.text)
        here = f"/data_sources/{source.id}"
        self.form(f"{here}/matchers/new", type="scheme_and_host", scheme="http", host="h", pattern="left over")
        matcher = self.repository.source(source.id).matchers[0]
        self.assertEqual(matcher.options, {"scheme": "http", "host": "h"})
        self.form(
            f"{here}/matchers/{matcher.id}/edit", type="regular_expression", scheme="http", host="h", pattern="^http://h/"
        )
        self.assertEqual(self.repository.source(source.id).matchers[0].options, {"pattern": "^http://h/"})
        self.assertEqual(self.form(f"{here}/test_files/new", url="ftp://h/").status, 400)
        self.form(f"{here}/test_files/new", url="http://h/f")
        self.assertEqual(self.form(f"{here}/matchers/{matcher.id}/delete").status, 412)
        file = self.repository.source(source.id).test_files[0]
        self.form(f"{here}/test_files/{file.id}/edit", url="http://h/g")
        self.assertEqual(self.form(f"{here}/test_files/{file.id}/delete").status, 303)
        self.assertEqual(self.form(f"{here}/matchers/{matcher.id}/delete").status, 303)
        self.assertEqual(self.form(f"{here}/edit", label="org", mechanism="http").status, 409)
        self.assertEqual(self.form(f"{here}/delete").status, 303)

    def test_transforms_move_by_post_and_take_the_suggested_order(self) -> None:
        here = f"/data_sources/{self.origin}"
        first, second = (each.id for each in self.repository.source(self.origin).transforms)

        def order() -> list[int]:
            return [each.id for each in self.repository.source(self.origin).transforms]

        self.assertEqual(self.get(f"{here}/transforms/{second}/move", "ann").status, 405)
        self.form(f"{here}/transforms/{second}/move", direction="up")
        self.assertEqual(order(), [second, first])
        self.assertEqual(self.form(f"{here}/transforms/{second}/move", direction="sideways").status, 400)
        self.reported(self.org, 50 * MB, 5)
        self.assertIn("org, net", self.get(here, "ann").text)
        self.form(f"{here}/transforms/order")
        self.assertEqual(order(), [first, second])
        self.form(
            f"{here}/transforms/{first}/edit", target="net", type="change_host", new_host="example.net", for_destinations=["D"]
        )
        changed = self.repository.source(self.origin).transforms[0]
        self.assertEqual((changed.target, changed.sites, changed.enabled), (self.net, (self.site,), False))

    def test_destinations(self) -> None:
        self.assertEqual(self.form("/destinations/new", label="E", networks="10.0.0.0/8\r\n::1/128").status, 303)
        self.assertEqual(self.form("/destinations/new", label="E").status, 409)
        self.assertEqual(self.form(f"/destinations/{self.site}/edit", label="D", description="kept label").status, 303)
        self.assertEqual(self.form(f"/destinations/{self.site}/delete").status, 303)
        self.assertEqual([site.label for site in self.repository.sites()], ["E"])

    def test_does_a_url_match(self) -> None:
        here = f"/data_sources/{self.origin}/test_match"
        self.assertIn("Yes, it is one", self.form(here, None, url=FILE).text)
        self.assertIn("No, it is none", self.form(here, None, url="ftp://example.com/file.txt").text)
        self.assertIn("No, it is none", self.get(f"{here}?url=http://example.org/x").text)
        self.form("/data_sources/new", label="bare", mechanism="http")
        bare = self.repository.source_labelled("bare").id
        self.assertIn("It has no matchers", self.get(f"/data_sources/{bare}/test_match").text)

    def test_the_explanation_says_what_was_left_out(self) -> None:
        text = self.get(f"/transfers?url={FILE}").text
        self.assertIn("it is for other destinations", text)
        self.assertIn("in the order of preference", text)

    def test_reports_have_a_picture_with_rings_and_crosses(self) -> None:
        self.reported(self.org, MB, 5)
        self.reported(self.org, 900 * MB, 1)
        self.form("/transfer_reports", None, url="http://example.org/x", is_success="false")
        text = self.get(f"/data_sources/{self.org}/transfer_reports", "ann").text
        self.assertEqual([text.count(f'class="{kind}"') for kind in ("dot", "odd", "fail")], [6, 1, 1])
        points = self.json(f"/data_sources/{self.org}/transfer_reports/graph", "ann")["points"]
        self.assertEqual(len(points), 6)
        odd = self.successResultOf(Deferred.fromCoroutine(self.repository.reports(self.org, None, 2)))[1]
        self.form(f"/data_sources/{self.org}/transfer_reports/{odd.id}/delete")
        self.assertNotIn('class="odd"', self.get(f"/data_sources/{self.org}/transfer_reports", "ann").text)


class Access(DoorCase):
    """Every route, for a stranger, a user, and an editor; a browser's forms carry its session's token."""

    def test_every_route_by_everybody(self) -> None:
        for prefix, route in self.door.table:
            self.assertIn(route.access, (EVERYONE, EDITORS))
            path = prefix + re.sub(r"\{\w+\}", "999999", route.path)
            for login, statuses in ((None, (401,)), ("bob", (403,)), ("ann", ())):
                kind = "application/x-www-form-urlencoded" if route.body == "form" else "application/json"
                found = self.ask(route.method, path, b"", login, Content_Type=kind)
                if route.access == EDITORS and statuses:
                    self.assertIn(found.status, statuses, (login, route.method, path))
                else:
                    self.assertNotIn(found.status, (401, 403, 405, 500, 501), (login, route.method, path))

    def test_what_changes_something_is_for_editors(self) -> None:
        harmless = {"/transfers", "/transfer_reports", "/resolve", "/reports", "/data_sources/{source}/test_match"}
        for _, route in self.door.table:
            if route.method != "GET" and route.path not in harmless:
                self.assertEqual(route.access, EDITORS, route.path)

    def test_a_browser_is_led_to_the_form_and_back(self) -> None:
        found = self.get("/data_sources/new")
        self.assertEqual(found.status, 303)
        self.assertIn("/login?to=%2Frepository%2Fdata_sources%2Fnew", str(found.headers.get("location")))

    def test_a_wrong_password_is_refused_even_where_strangers_may_ask(self) -> None:
        wrong = self.ask("GET", f"{PREFIX}/data_sources", Authorization=basic("ann", "wrong"))
        self.assertEqual(wrong.status, 401)

    def test_a_session_needs_its_token_to_change_anything(self) -> None:
        identity = self.portal.users["ann"][1]
        cookie = self.data.gate._sessions.begin(identity).partition(";")[0]
        session = self.data.gate._sessions.find(cookie)
        assert session is not None
        here, kind = f"{PREFIX}/data_sources/{self.org}/delete", "application/x-www-form-urlencoded"
        for token in ("", "wrong"):
            found = self.ask("POST", here, urlencode({"token": token}).encode(), Cookie=cookie, Content_Type=kind)
            self.assertEqual(found.status, 403)
        self.assertEqual(len(self.repository.sources()), 3)
        page = self.ask("GET", here, Cookie=cookie, Accept="text/html").text
        self.assertIn(session.token, page)
        found = self.ask("POST", here, urlencode({"token": session.token}).encode(), Cookie=cookie, Content_Type=kind)
        self.assertEqual(found.status, 303)
        self.assertEqual(len(self.repository.sources()), 2)

    def test_so_does_a_form_in_parts(self) -> None:
        cookie = self.data.gate._sessions.begin(self.portal.users["ann"][1]).partition(";")[0]
        session = self.data.gate._sessions.find(cookie)
        assert session is not None
        here, kind = f"{PREFIX}/data_sources/{self.org}/delete", "multipart/form-data; boundary=x"
        for token, status, left in (("", 403, 3), ("wrong", 403, 3), (session.token, 303, 2)):
            body = f'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n{token}\r\n--x--\r\n'.encode()
            self.assertEqual(self.ask("POST", here, body, Cookie=cookie, Content_Type=kind).status, status)
            self.assertEqual(len(self.repository.sources()), left)

    def test_a_long_form_is_read_only_of_who_may_send_one(self) -> None:
        here, kind = f"{PREFIX}/configuration/import", "application/x-www-form-urlencoded"
        for login, status in ((None, 401), ("bob", 403)):
            self.assertEqual(self.ask("POST", here, b"x" * 90_000, login, Content_Type=kind).status, status)
            self.assertEqual(self.source.read, 0)
        for login, status, size in (("bob", 413, 0), ("ann", 403, 90_000)):
            cookie = self.data.gate._sessions.begin(self.portal.users[login][1]).partition(";")[0]
            self.assertEqual(self.ask("POST", here, b"x" * 90_000, Cookie=cookie, Content_Type=kind).status, status)
            self.assertEqual(self.source.read, size, login)

    def test_forms_that_are_none(self) -> None:
        head = b'--x\r\nContent-Disposition: form-data; name="url"\r\n\r\n'
        for body in (
            b"",
            b"--x",
            b"--xy\r\n",
            head + b"u",
            head + b"u\r\n--xy",
            b"--x\r\nno: name\r\n\r\n--x--",
            b"--x\r\n\xff\r\n\r\n",
        ):
            found = self.ask("POST", f"{PREFIX}/transfers", body, Content_Type="multipart/form-data; boundary=x")
            self.assertEqual(found.status, 400, body)
        many = b"".join(head + b"u\r\n" for _ in range(1001)) + b"--x--"
        found = self.ask("POST", f"{PREFIX}/transfers", many, Content_Type="multipart/form-data; boundary=x")
        self.assertIn(found.status, (400, 413))

    def test_parts_are_cut_wherever_a_piece_ends(self) -> None:
        for size in range(BLOCK - 200, BLOCK + 20):
            text = "a" * size
            first, second = (f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n' for name in "tu")
            data = f"{first}{text}\r\n{second}\r\n--x--\r\n"
            self.assertEqual(_parts(data.encode(), b"x"), {"t": [text], "u": [""]})

    def test_a_form_is_looked_through_once(self) -> None:
        """What is looked at of a form grows as the form does, and not as its square."""
        data = b'--x\r\nContent-Disposition: form-data; name="t"\r\n\r\n' + b"a" * (64 * BLOCK) + b"\r\n--x--\r\n"
        looked = 0

        class Counted(Cutter):
            def content(self) -> int:
                nonlocal looked
                looked += len(self._held)
                return super().content()

        self.patch(repository_call, "Cutter", Counted)
        _parts(data, b"x")
        self.assertLess(looked, 8 * len(data))

    def test_an_editor_that_is_no_more_one(self) -> None:
        self.portal.users["ann"] = (PASSWORD, make_identity("ann"))
        self.assertEqual(self.form("/data_sources/new", label="x", mechanism="http").status, 403)

    def test_too_long_a_form(self) -> None:
        self.assertEqual(self.form("/transfers", None, url="x" * 70_000).status, 413)


class Dialer:
    """Leads to no server, and remembers which were asked for, and whether they had to be the world's."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, bool, bool]] = []

    async def connect(self, host: str, port: int, secure: bool = False, public: bool = False) -> Any:
        self.asked.append((host, port, secure, public))
        raise NotPermitted("that address is not one of the world's")


class Fetching(SynchronousTestCase):
    def test_only_the_world_s_servers_are_asked_and_every_failure_names_the_url(self) -> None:
        dialer = Dialer()
        fetcher = ConfigurationFetcher(HttpClient(dialer, Timeouts(Clock()), Limits()), 1000)
        for url in (
            "http://127.0.0.1:81/a?b",
            "https://[::1]/",
            "file:///etc/passwd",
            "http:///",
            "http://h:x/",
            "http://h/\n",
        ):
            failure = self.failureResultOf(Deferred.fromCoroutine(fetcher.fetch(url)), InvalidRequest)
            self.assertIn(ascii(url)[1:-1], str(failure.value))
        self.assertEqual(dialer.asked, [("127.0.0.1", 81, False, True), ("::1", 443, True, True), ("h", 80, False, True)])
