"""The forms by which users who may edit change the repository. A form that is refused comes back as it was, with the reason."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ecpds.datasource_interfaces import IRepository
from ecpds.datasources import (
    MATCHER_TYPES,
    MECHANISMS,
    TRANSFORM_TYPES,
    DataSource,
    Site,
    TestFile,
    Transform,
    UrlMatcher,
)
from ecpds.errors import InvalidRequest, NotFound, Refusal
from ecpds.http.message import Response
from ecpds.http.replies import STATUS
from ecpds.portal.operator_sources import mechanism_options
from ecpds.protocols.repository_call import EDITORS, Call, Route, as_json, see
from ecpds.protocols.repository_html import Field, Form, Html
from ecpds.protocols.repository_json import site_id

SOURCES = "/data_sources"
HERE = "/repository"

Save = Callable[[Call], Awaitable[str]]
"""Makes a change, and says on which page to go on."""

MakeForm = Callable[[Call], Form]

Fetch = Callable[[str], Awaitable[str]]
"""Fetches a configuration by its URL. Raises `InvalidRequest`."""


class Editing:
    """The handlers. Each thing has a form to add it, one to change it, and one that asks before it goes."""

    def __init__(self, repository: IRepository, html: Html, fetch: Fetch) -> None:
        self._repository = repository
        self._html = html
        self._fetch = fetch
        source = f"{SOURCES}/{{source}}"
        self.routes = (
            *self._form_routes(f"{SOURCES}/new", self._source_form, self._save_source),
            *self._form_routes(f"{source}/edit", self._source_form, self._save_source),
            *self._form_routes(f"{source}/delete", self._gone_source_form, self._remove_source),
            *self._part_routes(f"{source}/matchers", self._matcher_form, self._save_matcher),
            *self._part_routes(f"{source}/transforms", self._transform_form, self._save_transform),
            *self._part_routes(f"{source}/test_files", self._file_form, self._save_file),
            Route("POST", f"{source}/transforms/{{part}}/move", EDITORS, self._saving(self._move), "form"),
            Route("POST", f"{source}/transforms/order", EDITORS, self._saving(self._order), "form"),
            Route("POST", f"{source}/transfer_reports/{{report}}/delete", EDITORS, self._saving(self._remove_report), "form"),
            *self._form_routes("/destinations/new", self._site_form, self._save_site),
            *self._form_routes("/destinations/{site}/edit", self._site_form, self._save_site),
            *self._form_routes("/destinations/{site}/delete", self._gone_site_form, self._remove_site),
            Route("GET", "/configuration/import", EDITORS, self._shows(self._import_form)),
            Route("POST", "/configuration/import", EDITORS, self.import_, "form"),
        )

    def _form_routes(self, path: str, form: MakeForm, save: Save) -> Sequence[Route]:
        async def post(call: Call) -> Response:
            try:
                return see(await save(call))
            except Refusal as refusal:
                return self._html.form(call, form(call), refusal.sentence, STATUS[type(refusal)])

        return Route("GET", path, EDITORS, self._shows(form)), Route("POST", path, EDITORS, post, "form")

    def _part_routes(self, path: str, form: MakeForm, save: Save) -> Sequence[Route]:
        return (
            *self._form_routes(f"{path}/new", form, save),
            *self._form_routes(f"{path}/{{part}}/edit", form, save),
            *self._form_routes(f"{path}/{{part}}/delete", self._gone_part_form, self._remove_part),
        )

    def _shows(self, form: MakeForm) -> Callable[[Call], Awaitable[Response]]:
        async def get(call: Call) -> Response:
            return self._html.form(call, form(call))

        return get

    def _saving(self, save: Save) -> Callable[[Call], Awaitable[Response]]:
        async def post(call: Call) -> Response:
            return see(await save(call))

        return post

    # Sources

    def _source_form(self, call: Call) -> Form:
        id_ = call.ids.get("source")
        old = self._repository.source(id_) if id_ is not None else DataSource(0, "", "http")
        options = "\n".join(f"{name} = {json.dumps(value).strip(chr(34))}" for name, value in old.options.items())
        wanted = "; ".join(
            f"{each.id}: {', '.join(one.name for one in each.options)}" for each in MECHANISMS.values() if each.options
        )
        fields = (
            Field("label", "Label", value=_kept(call, "label", old.label), required=True),
            Field("description", "Description", "area", _kept(call, "description", old.description or "")),
            Field("mechanism", "Mechanism", "choice", _kept(call, "mechanism", old.mechanism), tuple(MECHANISMS)),
            Field("options", "Its options", "area", _kept(call, "options", options), help=f"One NAME = VALUE a line. {wanted}"),
            Field("enabled", "Offer it", "check", "enabled" in call.form if call.form else old.enabled),
        )
        here = f"{HERE}{SOURCES}/{id_}" if id_ is not None else f"{HERE}{SOURCES}"
        title = f"Edit {old.label}" if id_ is not None else "Add a data source"
        return Form(title, f"{here}/{'edit' if id_ is not None else 'new'}", fields, back=here)

    async def _save_source(self, call: Call) -> str:
        mechanism = call.sent("mechanism")
        lines = [line for line in call.sent("options").splitlines() if line.strip()]
        pairs = [line.partition("=") for line in lines]
        if not all(equals for _, equals, _ in pairs):
            raise InvalidRequest("options; allowed: one NAME = VALUE a line")
        options = mechanism_options(mechanism, {name.strip(): text.strip() for name, _, text in pairs})
        described = call.sent("description").replace("\r\n", "\n") or None
        id_ = call.ids.get("source", 0)
        new = DataSource(id_, call.sent("label"), mechanism, described, options, "enabled" in call.form)
        save = self._repository.change_source if id_ else self._repository.add_source
        return f"{SOURCES}/{(await save(new, call.who)).id}"

    def _gone_source_form(self, call: Call) -> Form:
        source = self._repository.source(call.ids["source"])
        here = f"{HERE}{SOURCES}/{source.id}"
        note = "Its matchers, test files and reports go with it, and so do the transforms that lead to it."
        return Form(f"Delete {source.label}?", f"{here}/delete", (), "Delete", here, note)

    async def _remove_source(self, call: Call) -> str:
        await self._repository.remove_source(call.ids["source"], call.who)
        return SOURCES

    # What belongs to a source

    def _part_of(self, call: Call, kind: str) -> Any:
        """What is to be changed; None for a new one. Raises `NotFound`."""
        parts = getattr(self._repository.source(call.ids["source"]), kind)
        id_ = call.ids.get("part")
        if id_ is None:
            return None
        for part in parts:
            if part.id == id_:
                return part
        raise NotFound(f"{kind[:-1].replace('_', ' ')} {id_}")

    def _part_form(self, call: Call, kind: str, what: str, fields: Sequence[Field], note: str = "") -> Form:
        here, id_ = f"{HERE}{SOURCES}/{call.ids['source']}", call.ids.get("part")
        action = f"{here}/{kind}/new" if id_ is None else f"{here}/{kind}/{id_}/edit"
        return Form(f"{'Add a' if id_ is None else 'Edit a'} {what}", action, fields, back=here, note=note)

    def _matcher_form(self, call: Call) -> Form:
        old = self._part_of(call, "matchers") or UrlMatcher(0, "scheme_and_host", {})
        fields = [Field("type", "Type", "choice", _kept(call, "type", old.type), tuple(MATCHER_TYPES))]
        for type_, names in MATCHER_TYPES.items():
            for name in names:
                label = f"{name.capitalize()}, of {type_}"
                fields.append(Field(name, label, value=_kept(call, name, old.options.get(name, ""))))
        return self._part_form(call, "matchers", "matcher", fields)

    async def _save_matcher(self, call: Call) -> str:
        type_ = call.sent("type")
        new = UrlMatcher(call.ids.get("part", 0), type_, {name: call.sent(name) for name in MATCHER_TYPES.get(type_, ())})
        save = self._repository.change_matcher if new.id else self._repository.add_matcher
        await save(call.ids["source"], new, call.who)
        return f"{SOURCES}/{call.ids['source']}"

    def _transform_form(self, call: Call) -> Form:
        repository, source = self._repository, call.ids["source"]
        labels = {each.id: each.label for each in repository.sources() if each.id != source}
        old = self._part_of(call, "transforms") or Transform(0, next(iter(labels), 0), "change_host", {})
        sites = [repository.site(id_).label for id_ in old.sites]
        texts = {name: _kept(call, name, old.options.get(name, "")) for names in TRANSFORM_TYPES.values() for name in names}
        fields = [
            Field("target", "To", "choice", _kept(call, "target", labels.get(old.target, "")), tuple(labels.values())),
            Field("type", "Type", "choice", _kept(call, "type", old.type), tuple(TRANSFORM_TYPES)),
            *(Field(name, name.replace("_", " ").capitalize(), value=text) for name, text in texts.items()),
            Field("description", "Description", "area", _kept(call, "description", old.description or "")),
            Field(
                "for_destinations",
                "Only for",
                "many",
                call.form.get("for_destinations", []) if call.form else sites,
                tuple(each.label for each in repository.sites()),
                "none chosen: for all",
            ),
            Field("enabled", "Use it", "check", "enabled" in call.form if call.form else old.enabled),
        ]
        note = "The result must be one of the target's URLs. Link a slower source to a faster one."
        return self._part_form(call, "transforms", "transform", fields, note)

    async def _save_transform(self, call: Call) -> str:
        repository, source, type_ = self._repository, call.ids["source"], call.sent("type")
        sites = tuple(site_id(repository, label) for label in call.form.get("for_destinations", ()))
        new = Transform(
            call.ids.get("part", 0),
            repository.source_labelled(call.sent("target")).id,
            type_,
            {name: call.sent(name) for name in TRANSFORM_TYPES.get(type_, ())},
            call.sent("description").replace("\r\n", "\n") or None,
            sites,
            bool(sites),
            "enabled" in call.form,
        )
        save = repository.change_transform if new.id else repository.add_transform
        await save(source, new, call.who)
        return f"{SOURCES}/{source}"

    async def _move(self, call: Call) -> str:
        direction = call.sent("direction")
        if direction not in ("up", "down"):
            raise InvalidRequest("direction; allowed: up, down")
        await self._repository.move_transform(call.ids["source"], call.ids["part"], direction == "up", call.who)
        return f"{SOURCES}/{call.ids['source']}"

    async def _order(self, call: Call) -> str:
        """Take the order that the reports suggest."""
        source = call.ids["source"]
        await self._repository.order_transforms(source, self._repository.suggested_order(source), call.who)
        return f"{SOURCES}/{source}"

    def _file_form(self, call: Call) -> Form:
        old = self._part_of(call, "test_files") or TestFile(0, "")
        field = Field("url", "URL", value=_kept(call, "url", old.url), required=True, help="One of the source's URLs.")
        return self._part_form(call, "test_files", "test file", [field])

    async def _save_file(self, call: Call) -> str:
        new = TestFile(call.ids.get("part", 0), call.sent("url"))
        save = self._repository.change_test_file if new.id else self._repository.add_test_file
        await save(call.ids["source"], new, call.who)
        return f"{SOURCES}/{call.ids['source']}"

    def _gone_part_form(self, call: Call) -> Form:
        kind = _kind(call)
        self._part_of(call, kind)
        here = f"{HERE}{SOURCES}/{call.ids['source']}"
        what = kind[:-1].replace("_", " ")
        return Form(f"Delete the {what}?", f"{here}/{kind}/{call.ids['part']}/delete", (), "Delete", here)

    async def _remove_part(self, call: Call) -> str:
        remove = {
            "matchers": self._repository.remove_matcher,
            "transforms": self._repository.remove_transform,
            "test_files": self._repository.remove_test_file,
        }[_kind(call)]
        await remove(call.ids["source"], call.ids["part"], call.who)
        return f"{SOURCES}/{call.ids['source']}"

    async def _remove_report(self, call: Call) -> str:
        await self._repository.remove_report(call.ids["source"], call.ids["report"], call.who)
        return f"{SOURCES}/{call.ids['source']}/transfer_reports"

    # Sites

    def _site_form(self, call: Call) -> Form:
        id_ = call.ids.get("site")
        old = self._repository.site(id_) if id_ is not None else Site(0, "")
        fields = (
            Field("label", "Label", value=_kept(call, "label", old.label), required=True),
            Field("description", "Description", "area", _kept(call, "description", old.description or "")),
            Field(
                "networks",
                "Networks",
                "area",
                _kept(call, "networks", "\n".join(old.networks)),
                help="One a line, such as 192.0.2.0/24: clients there need not say the label.",
            ),
        )
        back = f"{HERE}/destinations"
        action = f"{back}/new" if id_ is None else f"{back}/{id_}/edit"
        return Form("Add a destination" if id_ is None else f"Edit {old.label}", action, fields, back=back)

    async def _save_site(self, call: Call) -> str:
        described = call.sent("description").replace("\r\n", "\n") or None
        new = Site(call.ids.get("site", 0), call.sent("label"), described, tuple(call.sent("networks").split()))
        save = self._repository.change_site if new.id else self._repository.add_site
        await save(new, call.who)
        return "/destinations"

    def _gone_site_form(self, call: Call) -> Form:
        site, back = self._repository.site(call.ids["site"]), f"{HERE}/destinations"
        note = "Transforms that are for it alone will be for nobody. Its reports stay."
        return Form(f"Delete {site.label}?", f"{back}/{site.id}/delete", (), "Delete", back, note)

    async def _remove_site(self, call: Call) -> str:
        await self._repository.remove_site(call.ids["site"], call.who)
        return "/destinations"

    # All of it

    def _import_form(self, call: Call) -> Form:
        fields = (
            Field("conf_file", "A configuration, in JSON", "file"),
            Field("from_url", "Or its URL", value=_kept(call, "from_url", ""), help="On a server that anybody can reach."),
            Field("mode", "Labels that exist", "choice", _kept(call, "mode", "add"), ("add", "merge", "replace")),
            Field("dry_run", "Only say what would be done", "check", "dry_run" in call.form),
        )
        note = (
            "All of it or nothing. add refuses labels that exist, merge changes what has them, replace removes all others too."
        )
        action = f"{HERE}/configuration/import"
        return Form("Import", action, fields, "Import", f"{HERE}/configuration", note, upload=True)

    async def import_(self, call: Call) -> Response:
        """A file as `conf_file`, or its URL as `from_url`. A program hears in JSON what came of it; a refusal is a 400."""
        try:
            outcome = await self._imported(call)
        except Refusal as refusal:
            if call.wants_json:
                return as_json({"error": refusal.sentence}, 400)
            return self._html.form(call, self._import_form(call), refusal.sentence, 400)
        if call.wants_json:
            return as_json(outcome)
        said = "; ".join(f"{name}: {', '.join(labels) or 'none'}" for name, labels in outcome.items())
        return self._html.form(call, self._import_form(call), said=said)

    async def _imported(self, call: Call) -> dict[str, Any]:
        text, url, mode = call.sent("conf_file"), call.sent("from_url"), call.sent("mode", "add")
        if not text and not url:
            raise InvalidRequest("a configuration file, conf_file, or its URL, from_url, is needed")
        text = text or await self._fetch(url)
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest("the configuration is not JSON") from error
        if "dry_run" in call.form:
            return dict(self._repository.dry_run(given, mode))
        return dict(await self._repository.import_(given, mode, call.who))


def _kept(call: Call, name: str, old: str) -> str:
    """What the form had, where it comes back; else what there is."""
    return call.sent(name) if name in call.form else old


def _kind(call: Call) -> str:
    return next(kind for kind in ("matchers", "transforms", "test_files") if f"/{kind}/" in call.request.path)
