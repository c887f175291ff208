"""The repository's pages: templates, forms, and pictures of reports and relations. No script, every name escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from math import cos, log10, pi, sin
from typing import Any

from attrs import frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ecpds.datasources import DataSource, StoredReport
from ecpds.events import timestamp
from ecpds.http.message import Response
from ecpds.protocols.data_html import TEMPLATES, Link
from ecpds.protocols.repository_call import SAFE, Call

WIDTH, HEIGHT, EDGE = 720, 260, 48


@frozen
class Field:
    """One field of a form. `kind` is text, area, choice, many, check or file; `value` a list of `many`."""

    name: str
    label: str
    kind: str = "text"
    value: Any = ""
    choices: Sequence[str] = ()
    help: str = ""
    required: bool = False


@frozen
class Form:
    """A form: where it is sent, its fields, and the word on its button."""

    title: str
    action: str
    fields: Sequence[Field] = ()
    submit: str = "Save"
    back: str = ""
    note: str = ""
    method: str = "post"
    upload: bool = False


@frozen
class Row:
    """A line of a table, and what can be done with it."""

    cells: Sequence[Any]
    links: Sequence[Link] = ()


class Html:
    """Renders the pages. The policy lets in their own style, and nothing else."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        style = "".join((TEMPLATES / name).read_text("utf-8") for name in ("listing.css", "repository.css"))
        self._style = Markup(style)
        fingerprint = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        closed = f"style-src 'sha256-{fingerprint}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        self._policy = ("Content-Security-Policy", f"default-src 'none'; {closed}")

    def page(self, call: Call, template: str, title: str, status: int = 200, **values: Any) -> Response:
        """A page as the one who asked sees it."""
        who = {"who": call.who, "edits": call.edits, "token": call.token}
        return self._response(status, template, title, {**who, **values})

    def refusal(self, status: int, text: str, headers: Sequence[tuple[str, str]] = SAFE) -> Response:
        """A page that says why not."""
        values = {"who": "", "edits": False, "token": None, "error": text}
        return self._response(status, "base", "That was refused", values, headers)

    def form(self, call: Call, form: Form, error: str = "", status: int = 200, said: str = "") -> Response:
        names = ("action", "fields", "submit", "back", "note", "method", "upload")
        values = {name: getattr(form, name) for name in names}
        return self.page(call, "form", form.title, status, error=error, said=said, **values)

    def _response(
        self, status: int, template: str, title: str, values: Mapping[str, Any], headers: Sequence[tuple[str, str]] = SAFE
    ) -> Response:
        text = self._environment.get_template(f"repository_{template}.html").render(
            {"error": "", **values, "title": title, "style": self._style}
        )
        return Response(status, [("Content-Type", "text/html; charset=utf-8"), self._policy, *headers], text.encode())


def rate_text(rate: float | None) -> str:
    """Bytes a second as people read them; empty for none."""
    if not rate:
        return ""
    for unit in ("B/s", "kB/s", "MB/s"):
        if rate < 999.5:
            return f"{rate:.3g} {unit}"
        rate /= 1000
    return f"{rate:.3g} GB/s"


def reports_plot(reports: Sequence[StoredReport], odd: Any) -> Markup:
    """Rate over time, the rates on a logarithmic scale; failures are crosses at the bottom, odd rates have a ring."""
    if not reports:
        return Markup("")
    rates = [each.rate for each in reports if each.report.success and each.rate > 0] or [1.0]
    low, high = log10(min(rates)) - 0.1, log10(max(rates)) + 0.1
    first, last = min(each.time for each in reports), max(each.time for each in reports)

    def across(time: float) -> float:
        return EDGE + (WIDTH - 2 * EDGE) * ((time - first) / (last - first) if last > first else 0.5)

    def up(rate: float) -> float:
        return HEIGHT - 30 - (HEIGHT - 50) * (log10(rate) - low) / (high - low)

    marks = [_axes(min(rates), max(rates), up, timestamp(first)[:16], timestamp(last)[:16])]
    for each in reports:
        x = f"{across(each.time):.1f}"
        if each.report.success and each.rate > 0:
            y = f"{up(each.rate):.1f}"
            title = Markup("<title>{} {}</title>").format(timestamp(each.time)[:16], rate_text(each.rate))
            marks.append(Markup('<circle class="dot" cx="{}" cy="{}" r="3">{}</circle>').format(x, y, title))
            if each.id in odd:
                marks.append(Markup('<circle class="odd" cx="{}" cy="{}" r="7"/>').format(x, y))
        elif not each.report.success:
            left, right, top, bottom = across(each.time) - 4, across(each.time) + 4, HEIGHT - 34, HEIGHT - 26
            path = f"M{left:.1f} {top}L{right:.1f} {bottom}M{left:.1f} {bottom}L{right:.1f} {top}"
            marks.append(Markup('<path class="fail" d="{}"/>').format(path))
    return _picture("Rates over time", HEIGHT, marks)


def _axes(least: float, most: float, up: Any, first: str, last: str) -> Markup:
    lines = [
        Markup('<line class="axis" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/><text x="2" y="{3:.1f}">{4}</text>').format(
            EDGE, WIDTH - EDGE, up(rate), up(rate) - 3, rate_text(rate)
        )
        for rate in dict.fromkeys((least, most))
    ]
    below = Markup('<text x="{}" y="{}">{}</text><text x="{}" y="{}" text-anchor="end">{}</text>').format(
        EDGE, HEIGHT - 6, first, WIDTH - EDGE, HEIGHT - 6, last
    )
    return Markup("").join([*lines, below])


def relations_plot(sources: Sequence[DataSource]) -> Markup:
    """Sources on an ellipse, and an arrow for each transform from its source to its target."""
    linked = {source.id for source in sources if source.transforms}
    linked |= {transform.target for source in sources for transform in source.transforms}
    shown = [source for source in sources if source.id in linked]
    if not shown:
        return Markup("")
    height = min(WIDTH, 200 + 40 * len(shown))
    wide, high = WIDTH / 2 - 90, height / 2 - 40
    angles = {source.id: 2 * pi * place / len(shown) - pi / 2 for place, source in enumerate(shown)}
    places = {id_: (WIDTH / 2 + wide * cos(angle), height / 2 - 8 + high * sin(angle)) for id_, angle in angles.items()}
    marks = [
        Markup(
            '<defs><marker id="head" viewBox="0 0 8 8" refX="16" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>'
        )
    ]
    for source in shown:
        for transform in source.transforms:
            (x1, y1), (x2, y2) = places[source.id], places[transform.target]
            line = Markup('<line class="arrow" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" marker-end="url(#head)"/>')
            marks.append(line.format(x1, y1, x2, y2))
    for source in shown:
        x, y = places[source.id]
        node = '<a href="/repository/data_sources/{}"><circle class="node" cx="{:.1f}" cy="{:.1f}" r="9"/>'
        text = '<text class="label" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text></a>'
        marks.append(Markup(node + text).format(source.id, x, y, x, y + 24, source.label))
    return _picture("Which source leads to which", height, marks)


def _picture(title: str, height: float, marks: Sequence[Markup]) -> Markup:
    head = Markup('<svg class="plot" viewBox="0 0 {} {}" width="{}" height="{}" role="img"><title>{}</title>').format(
        WIDTH, height, WIDTH, height, title
    )
    return Markup("").join([head, *marks, Markup("</svg>")])
