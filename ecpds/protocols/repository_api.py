"""The repository's own API below `/api/v1/sources`: JSON in, JSON or Metalink out, and a status that says what happened.

Everybody may ask, and report; changes are for users who may edit. `openapi.json` describes it, made from the table of routes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from attrs import asdict

from ecpds.datasource_interfaces import IRepository
from ecpds.datasources import MECHANISMS, Question, Resolution
from ecpds.errors import InvalidRequest
from ecpds.events import timestamp
from ecpds.http.message import HttpError, Response
from ecpds.limits import Limits
from ecpds.portal.operator_sources import shown_resolution, shown_source
from ecpds.protocols import repository_json as json_in
from ecpds.protocols.repository_call import API, EDITORS, EVERYONE, FORM, SAFE, Call, Route, as_json, read_json
from ecpds.wire import metalink
from ecpds.wire.negotiation import preferred

REPORTS = 100
"""Reports, or changes, of one answer at most."""

VALUES, VALUES_EACH = 1000, 10
"""Commas and brackets of a question, and of each URL in it: anybody may ask, and nothing else goes on while it is read."""

_ONE_PART = {"matchers": "matcher", "transforms": "transform", "test_files": "test_file"}


class Api:
    """The handlers, and the table of them."""

    def __init__(self, repository: IRepository, limits: Limits) -> None:
        self._repository = repository
        self._limits = limits
        self.routes = (
            Route("GET", "/resolve", EVERYONE, self.resolve, summary="From where, and how, to get one URL's file"),
            Route("POST", "/resolve", EVERYONE, self.resolve_many, "json", "The same for one URL or many"),
            Route("POST", "/reports", EVERYONE, self.report, "json", "What became of a transfer"),
            Route("GET", "", EVERYONE, self.list, summary="All data sources; with q, those with that in their label"),
            Route("GET", "/mechanisms", EVERYONE, self.mechanisms, summary="The mechanisms and their options"),
            Route("GET", "/destinations", EVERYONE, self.sites, summary="Where data may be going to"),
            Route("GET", "/export", EVERYONE, self.export, summary="The whole configuration"),
            Route("GET", "/openapi.json", EVERYONE, self.openapi, summary="This description"),
            Route("GET", "/audit", EDITORS, self.audit, summary="Who changed what"),
            Route("GET", "/{source}", EVERYONE, self.show, summary="One data source"),
            Route("GET", "/{source}/reports", EDITORS, self.reports, summary="Its transfer reports, the newest first"),
            Route("DELETE", "/{source}/reports/{report}", EDITORS, self.remove_report, summary="Take a report away"),
            Route("POST", "", EDITORS, self.add, "json", "Add a data source"),
            Route("PUT", "/{source}", EDITORS, self.change, "json", "Change a data source's own fields"),
            Route("DELETE", "/{source}", EDITORS, self.remove, summary="Remove a data source"),
            Route("PUT", "/{source}/order", EDITORS, self.order, "json", "Put its transforms in an order of preference"),
            Route("POST", "/import", EDITORS, self.import_, "json", "Take in a configuration: ?mode=add, merge or replace"),
            Route("POST", "/destinations", EDITORS, self.add_site, "json", "Add a destination"),
            Route("PUT", "/destinations/{site}", EDITORS, self.change_site, "json", "Change a destination"),
            Route("DELETE", "/destinations/{site}", EDITORS, self.remove_site, summary="Remove a destination"),
            *self._part_routes("matchers", self._matcher, "remove_matcher"),
            *self._part_routes("transforms", self._transform, "remove_transform"),
            *self._part_routes("test_files", self._test_file, "remove_test_file"),
        )

    def _part_routes(self, kind: str, save: Callable[[Call, Any, int], Awaitable[Any]], remove: str) -> Sequence[Route]:
        """Add, change and remove one kind of what belongs to a source."""
        name = _ONE_PART[kind]

        async def add(call: Call) -> Response:
            made = await save(call, await self._json(call), 0)
            return as_json({"id": made.id}, 201, (("Location", f"{API}/{call.ids['source']}/{kind}/{made.id}"),))

        async def change(call: Call) -> Response:
            await save(call, await self._json(call), call.ids["part"])
            return await self.show(call)

        async def take_away(call: Call) -> Response:
            await getattr(self._repository, remove)(call.ids["source"], call.ids["part"], call.who)
            return Response(204, list(SAFE))

        one, words = f"/{{source}}/{kind}/{{part}}", name.replace("_", " ")
        return (
            Route("POST", f"/{{source}}/{kind}", EDITORS, add, "json", f"Add a {words}"),
            Route("PUT", one, EDITORS, change, "json", f"Change a {words}"),
            Route("DELETE", one, EDITORS, take_away, summary=f"Remove a {words}"),
        )

    async def _json(self, call: Call) -> Any:
        return await read_json(call.request, FORM)

    # Answers

    async def resolve(self, call: Call) -> Response:
        """`?url=…`, and as many `mechanism` as the client has, `destination` and `size`; `format=metalink` as Accept."""
        if not call.asked("url"):
            raise InvalidRequest("url is needed")
        size = call.asked("size")
        if size and not re.fullmatch("[0-9]{1,18}", size, re.ASCII):
            raise InvalidRequest("size; allowed: a whole number")
        runs = frozenset(call.query["mechanism"]) if "mechanism" in call.query else None
        question = Question(runs, call.asked("destination") or None, call.request.peer, int(size) if size else None)
        return _answered(call, [self._repository.resolve(call.asked("url"), question)], False)

    async def resolve_many(self, call: Call) -> Response:
        values = VALUES + VALUES_EACH * self._limits.source_batch
        said = await read_json(call.request, self._limits.source_body, values)
        urls, question = json_in.question_from(said, call.request.peer)
        if "urls" not in said:
            return _answered(call, [self._repository.resolve(urls[0], question)], False)
        return _answered(call, await self._repository.resolve_many(urls, question), True)

    async def report(self, call: Call) -> Response:
        report = json_in.report_from(await self._json(call))
        kept = await self._repository.report(report, call.request.peer, bool(call.who))
        return as_json({"id": kept.id, "source_id": kept.source, "weight": round(kept.weight, 4)}, 201)

    # What there is

    async def list(self, call: Call) -> Response:
        part = call.asked("q").lower()
        found = [shown_source(self._repository, each) for each in self._repository.sources() if part in each.label.lower()]
        return as_json({"data_sources": found, "warnings": [*self._repository.warnings()]})

    async def show(self, call: Call) -> Response:
        return as_json(shown_source(self._repository, self._repository.source(call.ids["source"])))

    async def mechanisms(self, call: Call) -> Response:
        return as_json({"mechanisms": [asdict(each) for each in MECHANISMS.values()]})

    async def sites(self, call: Call) -> Response:
        return as_json({"destinations": [json_in.shown_site(each) for each in self._repository.sites()]})

    async def export(self, call: Call) -> Response:
        return as_json(self._repository.export())

    async def audit(self, call: Call) -> Response:
        entries = await self._repository.audit(_before(call), REPORTS)
        return as_json({"changes": [{**asdict(each), "time": timestamp(each.time)} for each in entries]})

    async def reports(self, call: Call) -> Response:
        found = await self._repository.reports(call.ids["source"], _before(call), REPORTS)
        odd = self._repository.odd(found)
        labels = {site.id: site.label for site in self._repository.sites()}
        shown = [
            {
                "id": each.id,
                "time": timestamp(each.time),
                "url": each.report.url,
                "destination": labels.get(each.site or 0),
                "mechanism": each.report.mechanism,
                "success": each.report.success,
                "wrong": each.report.wrong,
                "size": each.report.size,
                "seconds": each.report.seconds,
                "rate": round(each.rate),
                "digests": dict(each.report.digests),
                "error": each.report.error,
                "weight": round(each.weight, 4),
                "outlier": each.id in odd,
            }
            for each in found
        ]
        return as_json({"transfer_reports": shown})

    async def openapi(self, call: Call) -> Response:
        return Response(200, [("Content-Type", "application/json"), *SAFE], description(self.routes))

    # Changes

    async def add(self, call: Call) -> Response:
        made = await self._repository.add_source(json_in.source_from(await self._json(call)), call.who)
        return as_json(shown_source(self._repository, made), 201, (("Location", f"{API}/{made.id}"),))

    async def change(self, call: Call) -> Response:
        said = json_in.source_from(await self._json(call), call.ids["source"])
        return as_json(shown_source(self._repository, await self._repository.change_source(said, call.who)))

    async def remove(self, call: Call) -> Response:
        await self._repository.remove_source(call.ids["source"], call.who)
        return Response(204, list(SAFE))

    async def order(self, call: Call) -> Response:
        wanted = json_in.Reader(await self._json(call), json_in.ORDER).get("transforms")
        if not all(type(each) is int for each in wanted):
            raise InvalidRequest("transforms; allowed: a list of ids")
        await self._repository.order_transforms(call.ids["source"], wanted, call.who)
        return await self.show(call)

    async def import_(self, call: Call) -> Response:
        said, mode = await read_json(call.request, self._limits.source_body), call.asked("mode", "add")
        if call.asked("dry_run") in ("1", "true", "yes"):
            return as_json({**self._repository.dry_run(said, mode), "dry_run": True})
        return as_json({**await self._repository.import_(said, mode, call.who), "dry_run": False})

    async def add_site(self, call: Call) -> Response:
        made = await self._repository.add_site(json_in.site_from(await self._json(call)), call.who)
        return as_json(json_in.shown_site(made), 201)

    async def change_site(self, call: Call) -> Response:
        said = json_in.site_from(await self._json(call), call.ids["site"])
        return as_json(json_in.shown_site(await self._repository.change_site(said, call.who)))

    async def remove_site(self, call: Call) -> Response:
        await self._repository.remove_site(call.ids["site"], call.who)
        return Response(204, list(SAFE))

    async def remove_report(self, call: Call) -> Response:
        await self._repository.remove_report(call.ids["source"], call.ids["report"], call.who)
        return Response(204, list(SAFE))

    async def _matcher(self, call: Call, said: Any, id_: int) -> Any:
        save = self._repository.change_matcher if id_ else self._repository.add_matcher
        return await save(call.ids["source"], json_in.matcher_from(said, id_), call.who)

    async def _transform(self, call: Call, said: Any, id_: int) -> Any:
        save = self._repository.change_transform if id_ else self._repository.add_transform
        return await save(call.ids["source"], json_in.transform_from(self._repository, said, id_), call.who)

    async def _test_file(self, call: Call, said: Any, id_: int) -> Any:
        save = self._repository.change_test_file if id_ else self._repository.add_test_file
        return await save(call.ids["source"], json_in.test_file_from(said, id_), call.who)


def _before(call: Call) -> int | None:
    text = call.asked("before")
    if text and not re.fullmatch("[0-9]{1,18}", text, re.ASCII):
        raise InvalidRequest("before; allowed: an id")
    return int(text) if text else None


def _answered(call: Call, answers: Sequence[Resolution], many: bool) -> Response:
    """JSON, or Metalink with the URLs of each file that such a client can fetch."""
    offers = ("application/json", metalink.TYPE)
    kind = preferred(call.request.headers.get("accept"), offers)
    if call.asked("format") in ("metalink", "meta4"):
        kind = metalink.TYPE
    if kind is None:
        raise HttpError(406, "There is JSON and Metalink.", SAFE)
    if kind == metalink.TYPE:
        name = ("Content-Disposition", 'attachment; filename="answer.meta4"')
        return Response(200, [("Content-Type", metalink.TYPE), name, *SAFE], metalink.document(map(_file, answers)))
    shown = [shown_resolution(each) for each in answers]
    return as_json({"resolutions": shown} if many else shown[0])


def _file(answer: Resolution) -> metalink.File:
    usual = [
        each for each in answer.candidates if each.url.partition(":")[0].lower() in ("http", "https", "ftp", "ftps", "sftp")
    ]
    size, digests = (usual[0].size, usual[0].digests) if usual else (None, {})
    return metalink.File(metalink.name_of(answer.url), [each.url for each in usual], size, digests)


def description(routes: Sequence[Route]) -> bytes:
    """An OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0) of a table of routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation: dict[str, Any] = {
            "summary": route.summary,
            "operationId": f"{route.method} {route.path}",
            "responses": {
                "2XX": {"description": "done"},
                "4XX": {"description": "refused: one sentence in `error`", "content": _content("Refusal")},
            },
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "integer"}}
                for name in re.findall(r"\{(\w+)\}", route.path)
            ],
        }
        if route.body:
            operation["requestBody"] = {
                "required": True,
                "content": _content("Question" if "resolve" in route.path else "Object"),
            }
        if route.access == EDITORS:
            operation["security"] = [{"basic": []}, {"bearer": []}]
        paths.setdefault(API + route.path, {})[route.method.lower()] = operation
    schemes = {"basic": {"type": "http", "scheme": "basic"}, "bearer": {"type": "http", "scheme": "bearer"}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "ecpds: the repository of data sources", "version": "1"},
        "paths": paths,
        "components": {"securitySchemes": schemes, "schemas": _schemas()},
    }
    return json.dumps(document, indent=1).encode("ascii") + b"\n"


def _content(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _schemas() -> dict[str, Any]:
    words = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}
    kinds: dict[str, dict[str, type]] = {
        "Question": json_in.QUESTION,
        "Report": json_in.REPORT,
        "Source": json_in.SOURCE,
        "Matcher": json_in.MATCHER,
        "Transform": json_in.TRANSFORM,
        "TestFile": json_in.TEST_FILE,
        "Destination": json_in.SITE,
    }
    made: dict[str, Any] = {
        name: {"type": "object", "properties": {field: {"type": words[kind]} for field, kind in fields.items()}}
        for name, fields in kinds.items()
    }
    made["Object"] = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in kinds]}
    made["Refusal"] = {"type": "object", "properties": {"error": {"type": "string"}}}
    return made
