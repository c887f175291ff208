"""The routes of the ancestor (BDSS), so that its clients work: forms in, JSON out, and a status of 200 for most refusals.

A client posts a URL, the mechanisms it has and, maybe, its destination, and gets transfers in the order to try them; then it
posts one report of each. Ours may also send `size`, and `data_source_id` and `token`, which an answer has beside the rest.
Unlike the ancestor, a mechanism or a destination that is not known does not spoil the answer.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ecpds.datasource_interfaces import IRepository
from ecpds.datasources import Candidate, Question, TransferReport
from ecpds.errors import InvalidRequest, NotFound, Refusal
from ecpds.http.message import Response
from ecpds.protocols.repository_call import EVERYONE, Call, Route, as_json

_MD5 = re.compile("[0-9a-fA-F]{32}")


class Compatible:
    """The ancestor's two calls, and its lists."""

    def __init__(self, repository: IRepository) -> None:
        self._repository = repository
        self.routes = (
            Route("POST", "/transfers", EVERYONE, self.transfers, "form"),
            Route("POST", "/transfer_reports", EVERYONE, self.report, "form"),
            Route("GET", "/configuration/export", EVERYONE, self.export),
        )

    async def transfers(self, call: Call) -> Response:
        missing = {name: ["This field is required."] for name in ("url", "available_mechanisms") if not call.sent(name)}
        if missing:
            return as_json(_transfers([], "", "Validation error", missing))
        if not self._repository.has_matchers:
            return as_json(_transfers([], "", "No URL matchers configured"))
        question = Question(
            frozenset(call.form["available_mechanisms"]),
            call.sent("destination") or None,
            call.request.peer,
            _number(call.sent("size")),
        )
        try:
            answer = self._repository.resolve(call.sent("url"), question)
        except InvalidRequest as refusal:
            return as_json(_transfers([], "", "Validation error", {"url": [refusal.sentence]}))
        known = [each for each in answer.candidates if each.source_id is not None]
        if not known and not answer.drops:
            return as_json(_transfers([], "", "No data source matches URL"))
        return as_json(_transfers(known, answer.token))

    async def report(self, call: Call) -> Response:
        try:
            await self._repository.report(report_of(call), call.request.peer, bool(call.who))
        except NotFound:
            return _reported("No data sources matches URL")
        except InvalidRequest as refusal:
            return _reported(f"Invalid report: {refusal.detail}")
        except Refusal:
            return _reported("Failed to save report")
        return _reported(None)

    async def export(self, call: Call) -> Response:
        """All of the configuration, to be imported elsewhere."""
        text = json.dumps(self._repository.export(), indent=2).encode("ascii") + b"\n"
        name = ("Content-Disposition", 'attachment; filename="data-sources.json"')
        return Response(200, [*as_json({}).headers, name], text)


def report_of(call: Call) -> TransferReport:
    """A report as the ancestor's clients send it; those of a transfer that failed need no checksum here.

    Raises `InvalidRequest`.
    """
    checksum = call.sent("file_checksum")
    if checksum and not _MD5.fullmatch(checksum):
        raise InvalidRequest("file_checksum; allowed: 32 hexadecimal digits")
    try:
        size, seconds = int(call.sent("file_size_bytes", "0") or 0), float(call.sent("transfer_duration_seconds", "0") or 0)
    except ValueError as error:
        raise InvalidRequest("file_size_bytes and transfer_duration_seconds; allowed: numbers") from error
    return TransferReport(
        call.sent("url"),
        call.sent("is_success", "true").lower() not in ("", "0", "false", "no"),
        size,
        seconds,
        call.sent("mechanism_name"),
        {"md5": checksum.lower()} if checksum else {},
        source_id=_number(call.sent("data_source_id")),
        site=call.sent("destination") or None,
        token=call.sent("token"),
        output=call.sent("mechanism_output"),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _transfers(candidates: list[Candidate], token: str, message: str | None = None, details: Any = None) -> dict[str, Any]:
    shown = [
        {
            "url": each.url,
            "mechanism_name": each.mechanism,
            "mechanism_options": dict(each.options),
            "data_source_id": each.source_id,
        }
        for each in candidates
    ]
    answer: dict[str, Any] = {"transfers": shown, "error": {"message": message, "details": details}}
    return {**answer, "token": token} if token else answer


def _reported(message: str | None) -> Response:
    return as_json({"success": message is None, "error": None if message is None else {"message": message}})
