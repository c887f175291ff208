"""What the repository shows: sources and all of theirs, why a URL is resolved as it is, reports, relations; also as JSON."""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen

from ecpds.datasource_interfaces import IRepository
from ecpds.datasources import MECHANISMS, DataSource, Question, StoredReport
from ecpds.errors import InvalidRequest
from ecpds.events import timestamp
from ecpds.http.message import HttpError, Response
from ecpds.portal.operator_sources import shown_source
from ecpds.protocols.data_html import Link, human_size
from ecpds.protocols.repository_call import EDITORS, EVERYONE, SAFE, Call, Route, as_json, see
from ecpds.protocols.repository_edit import Editing, Fetch
from ecpds.protocols.repository_html import Field, Form, Html, Row, rate_text, relations_plot, reports_plot

SOURCES = "/data_sources"

PAGE = 25
"""Reports of one page; sources of one are four times as many."""

PLOTTED = 1000
"""Reports of one picture."""


@frozen
class _Shown:
    """A line of a list of sources."""

    id: int
    label: str
    mechanism: str
    description: str
    enabled: bool
    rate: str
    works: str


class Pages:
    """The handlers that only show, with those of the forms beside them."""

    def __init__(self, repository: IRepository, fetch: Fetch) -> None:
        self._repository = repository
        self._html = html = Html()
        one = f"{SOURCES}/{{source}}"
        self.routes = (
            Route("GET", "", EVERYONE, self.home),
            Route("GET", "/transfers", EVERYONE, self.find),
            Route("GET", SOURCES, EVERYONE, self.sources),
            Route("GET", f"{SOURCES}/search", EVERYONE, self.search),
            Route("GET", f"{SOURCES}/relations", EVERYONE, self.relations),
            Route("GET", one, EVERYONE, self.source),
            Route("GET", f"{one}/test_match", EVERYONE, self.test_match),
            Route("POST", f"{one}/test_match", EVERYONE, self.test_match, "form"),
            Route("GET", f"{one}/matchers", EVERYONE, self.matchers),
            Route("GET", f"{one}/test_files", EVERYONE, self.test_files),
            *(
                Route("GET", f"{one}/{kind}/{{part}}", EVERYONE, self.to_source)
                for kind in ("matchers", "transforms", "test_files")
            ),
            Route("GET", f"{one}/transfer_reports", EDITORS, self.reports),
            Route("GET", f"{one}/transfer_reports/graph", EDITORS, self.graph),
            Route("GET", "/destinations", EVERYONE, self.sites),
            Route("GET", "/configuration", EVERYONE, self.configuration),
            Route("GET", "/changes", EDITORS, self.changes),
            *Editing(repository, html, fetch).routes,
        )

    def refusal(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = SAFE) -> Response:
        return self._html.refusal(status, text, headers)

    async def home(self, call: Call) -> Response:
        return see(SOURCES)

    async def find(self, call: Call) -> Response:
        """From where, and how, a URL's file would be fetched; with the reason of each, and what was left out."""
        url, chosen, error, answer = call.asked("url"), call.query.get("mechanism", []), "", None
        if url:
            question = Question(frozenset(chosen) or None, call.asked("destination") or None, call.request.peer, explore=False)
            try:
                answer = self._repository.resolve(url, question)
            except InvalidRequest as refusal:
                error = refusal.sentence
        return self._html.page(
            call,
            "find",
            "Find a file",
            400 if error else 200,
            error=error,
            url=url,
            answer=answer,
            destination=call.asked("destination"),
            destinations=[site.label for site in self._repository.sites()],
            mechanisms=list(MECHANISMS),
            chosen=chosen,
        )

    async def sources(self, call: Call) -> Response:
        found = self._repository.sources()
        if call.wants_json:
            return as_json({"data_sources": [{"id": each.id, "label": each.label} for each in found]})
        page = _number(call.asked("page")) or 1
        part = found[(page - 1) * 4 * PAGE : page * 4 * PAGE]
        more = page + 1 if len(found) > page * 4 * PAGE else None
        return self._list(call, part, "", more)

    async def search(self, call: Call) -> Response:
        part = call.asked("q").strip()
        if call.wants_json and not part:
            return as_json({"error": "q is needed"}, 400)
        found = [each for each in self._repository.sources() if part.lower() in each.label.lower()] if part else []
        if call.wants_json:
            return as_json({"data_sources": [{"id": each.id, "label": each.label} for each in found]})
        return self._list(call, found, part, None)

    def _list(self, call: Call, found: Any, part: str, more: int | None) -> Response:
        shown = [self._shown(each) for each in found]
        warnings = self._repository.warnings()
        return self._html.page(call, "sources", "Data sources", sources=shown, q=part, next=more, warnings=warnings)

    def _shown(self, source: DataSource) -> _Shown:
        known = self._repository.measured(source.id)
        rate, works = (rate_text(known["rate"]), f"{known['works']:.0%}") if known else ("", "")
        description = (source.description or "").partition("\n")[0]
        return _Shown(source.id, source.label, source.mechanism, description, source.enabled, rate, works)

    async def source(self, call: Call) -> Response:
        repository, source = self._repository, self._repository.source(call.ids["source"])
        if call.wants_json:
            return as_json(shown_source(repository, source))
        shown = shown_source(repository, source)
        transforms = [
            {
                **said,
                "target_id": each.target,
                "text": repository.describe_transform(each),
                "sites": ", ".join(said["for_destinations"]) or ("nobody" if each.conditional else "all"),
                "rate": rate_text((repository.measured(each.target) or {}).get("rate")),
            }
            for each, said in zip(source.transforms, shown["transforms"], strict=True)
        ]
        return self._html.page(
            call,
            "source",
            source.label,
            here=f"/repository{SOURCES}/{source.id}",
            source=shown,
            measured=self._measured(source.id),
            matchers=[{"id": each.id, "text": repository.describe_matcher(each)} for each in source.matchers],
            transforms=transforms,
            suggested=self._suggested(source),
        )

    def _measured(self, source: int) -> str:
        known = self._repository.measured(source)
        if known is None:
            return "nothing is known"
        return f"{rate_text(known['rate']) or 'no rate'}, {known['works']:.0%} work"

    def _suggested(self, source: DataSource) -> str:
        """The targets in the order that the reports suggest, where that is another one."""
        order = list(self._repository.suggested_order(source.id))
        if order == [each.id for each in source.transforms]:
            return ""
        targets = {each.id: each.target for each in source.transforms}
        return ", ".join(self._repository.source(targets[id_]).label for id_ in order)

    async def test_match(self, call: Call) -> Response:
        source = self._repository.source(call.ids["source"])
        url = call.sent("url") or call.asked("url")
        here = f"/repository{SOURCES}/{source.id}"
        if not source.matchers:
            return self._html.form(
                call, Form(source.label, here, (), "To the data source", note="It has no matchers.", method="get")
            )
        said = error = ""
        if url:
            try:
                said = "Yes, it is one." if self._repository.matches(source.id, url) else "No, it is none."
            except InvalidRequest as refusal:
                error = refusal.sentence
        if call.wants_json and url and not error:
            return as_json({"matches": said.startswith("Yes")})
        field = Field("url", "URL", value=url, required=True)
        form = Form(f"Is a URL one of {source.label}?", f"{here}/test_match", (field,), "Test", here, method="get")
        return self._html.form(call, form, error, 400 if error else 200, said)

    async def matchers(self, call: Call) -> Response:
        source = self._repository.source(call.ids["source"])
        if not call.wants_json:
            return see(f"{SOURCES}/{source.id}")
        return as_json({"matchers": [self._repository.describe_matcher(each) for each in source.matchers]})

    async def test_files(self, call: Call) -> Response:
        source = self._repository.source(call.ids["source"])
        if not call.wants_json:
            return see(f"{SOURCES}/{source.id}")
        return as_json({"test_files": [each.url for each in source.test_files]})

    async def to_source(self, call: Call) -> Response:
        """What belongs to a source is shown with it."""
        return see(f"{SOURCES}/{self._repository.source(call.ids['source']).id}")

    async def relations(self, call: Call) -> Response:
        plot = relations_plot(self._repository.sources())
        labels = {source.id: source.label for source in self._repository.sources()}
        rows = [
            Row([source.label, labels[each.target], self._repository.describe_transform(each)])
            for source in self._repository.sources()
            for each in source.transforms
        ]
        return self._table(call, "Relations", ("From", "To", "How"), rows, plot=plot)

    async def reports(self, call: Call) -> Response:
        id_, before = call.ids["source"], _number(call.asked("before"))
        source = self._repository.source(id_)
        found = await self._repository.reports(id_, before, PLOTTED if before is None else PAGE)
        odd = self._repository.odd(found)
        shown = [self._shown_report(each, each.id in odd) for each in found[:PAGE]]
        return self._html.page(
            call,
            "reports",
            f"Transfer reports of {source.label}",
            id=id_,
            measured=f"By the reports: {self._measured(id_)}.",
            plot=reports_plot(found, odd) if before is None else "",
            reports=shown,
            before=found[PAGE - 1].id if len(found) >= PAGE else None,
        )

    def _shown_report(self, kept: StoredReport, odd: bool) -> dict[str, Any]:
        report = kept.report
        outcome = "done" if report.success else "the wrong file" if report.wrong else "failed"
        labels = {site.id: site.label for site in self._repository.sites()}
        return {
            "id": kept.id,
            "time": timestamp(kept.time)[:19].replace("T", " "),
            "url": report.url,
            "site": labels.get(kept.site or 0, ""),
            "size": human_size(report.size),
            "rate": rate_text(kept.rate) if report.success else "",
            "outcome": ", ".join(filter(None, (outcome, report.error[:200], "odd" if odd else ""))),
            "weight": f"{kept.weight:.2g}",
        }

    async def graph(self, call: Call) -> Response:
        found = await self._repository.reports(call.ids["source"], None, PLOTTED)
        return as_json({"points": [[each.time, each.rate] for each in found if each.report.success and each.rate > 0]})

    async def sites(self, call: Call) -> Response:
        found = self._repository.sites()
        if call.wants_json:
            return as_json({"destinations": [{"id": each.id, "label": each.label} for each in found]})
        rows = [
            Row(
                [each.label, each.description or "", ", ".join(each.networks)],
                [
                    Link("Edit", f"/repository/destinations/{each.id}/edit"),
                    Link("Delete", f"/repository/destinations/{each.id}/delete"),
                ],
            )
            for each in found
        ]
        links = [Link("Add a destination", "/repository/destinations/new")] if call.edits else []
        return self._table(call, "Destinations", ("Label", "Description", "Networks"), rows, links)

    async def configuration(self, call: Call) -> Response:
        links = [Link("Export all of it as JSON", "/repository/configuration/export")]
        if call.edits:
            links.append(Link("Import", "/repository/configuration/import"))
        row = Row([len(self._repository.sources()), len(self._repository.sites())])
        return self._table(call, "Import and export", ("Data sources", "Destinations"), [row], links)

    async def changes(self, call: Call) -> Response:
        found = await self._repository.audit(_number(call.asked("before")), PAGE * 4)
        rows = [
            Row([timestamp(each.time)[:19].replace("T", " "), each.who, f"{each.kind} {each.action}", each.label])
            for each in found
        ]
        links = [Link("Older ones", f"?before={found[-1].id}")] if len(found) == PAGE * 4 else []
        return self._table(call, "Changes", ("Time (UTC)", "Who", "What", "Label"), rows, links)

    def _table(
        self, call: Call, title: str, columns: tuple[str, ...], rows: list[Row], links: list[Link] | None = None, plot: str = ""
    ) -> Response:
        actions = call.edits and any(row.links for row in rows)
        return self._html.page(call, "table", title, columns=columns, rows=rows, links=links or [], plot=plot, actions=actions)


def _number(text: str) -> int | None:
    if text and not re.fullmatch("[0-9]{1,18}", text, re.ASCII):
        raise HttpError(400, "That is not a number.", SAFE)
    return int(text) if text else None
