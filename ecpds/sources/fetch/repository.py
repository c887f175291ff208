"""The repository over HTTP, as its clients ask it.

We send `POST BASE/api/v1/sources/resolve` with `{"urls": [...], "mechanisms": [...], "destination": LABEL}`, and get
`{"resolutions": [{"url", "token", "destination", "candidates": [{"url", "mechanism", "options", "source_id", "source",
"reason", "size", "digests"}, ...]}, ...]}`. Each report goes to `POST BASE/api/v1/sources/reports`, over kept connections.
BASE is the URL without `/repository` at its end. An older repository (BDSS) knows neither: it is asked one URL at a time by
its form, `POST BASE/transfers`, and told by `POST BASE/transfer_reports`.

Reports wait in a bounded queue and are sent a few at a time: each is answered when it is on the repository's disk, and what
comes there together shares that. What can't be sent is dropped, and counted.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ecpds.datasources import MECHANISMS, Candidate, Resolution, TransferReport
from ecpds.errors import InvalidRequest, NotFound, NotSupported, Refusal, Unavailable
from ecpds.http.client import Ask, HttpClient, Reply
from ecpds.sources.mechanisms.base import Place, parse_url

ANSWER = 64 << 20
"""Bytes of one answer."""

BATCH = 500
"""URLs of one call."""

QUEUE = 10_000
"""Reports that may wait."""

SENDERS = 8
"""Reports that are under way at once."""

PATIENCE = 30.0
"""Seconds for one answer."""


class HttpRepository:
    """Asks the repository at `base`, such as `https://portal.example.org:8443/repository`."""

    log = Logger()

    def __init__(self, client: HttpClient, clock: IReactorTime, base: str) -> None:
        self._client = client
        self._clock = clock
        self._place = parse_url(base, ("http", "https"))
        self._old = False
        self._queue: deque[TransferReport] = deque()
        self._senders = 0
        self._rested: Deferred[None] | None = None
        self.dropped = 0

    # Answers

    async def resolve(self, urls: Sequence[str], mechanisms: frozenset[str], site: str | None) -> dict[str, Resolution]:
        found: dict[str, Resolution] = {}
        for begin in range(0, len(urls), BATCH):
            batch = urls[begin : begin + BATCH]
            if not self._old:
                try:
                    found.update(await self._resolve_new(batch, mechanisms, site))
                    continue
                except NotFound:
                    self._old = True
            for url in batch:
                found[url] = await self._resolve_old(url, mechanisms, site)
        return found

    async def _resolve_new(self, urls: Sequence[str], mechanisms: frozenset[str], site: str | None) -> dict[str, Resolution]:
        question: dict[str, Any] = {"urls": list(urls), "mechanisms": sorted(mechanisms)}
        if site is not None:
            question["destination"] = site
        answer = await self._post("/api/v1/sources/resolve", json.dumps(question), "application/json", root=True)
        try:
            return {str(each["url"]): _resolution(each) for each in answer["resolutions"]}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unavailable("the repository's answer can't be read") from error

    async def _resolve_old(self, url: str, mechanisms: frozenset[str], site: str | None) -> Resolution:
        old = [each for each in sorted(mechanisms) if each in OLD]
        pairs = [("url", url), *(("available_mechanisms", each) for each in old), *([("destination", site)] if site else [])]
        answer = await self._post("/transfers", urlencode(pairs), "application/x-www-form-urlencoded")
        try:
            return Resolution(url, tuple(_old_candidate(each) for each in answer["transfers"]), site=site)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unavailable("the repository's answer can't be read") from error

    async def test_files(self) -> list[str]:
        """The URLs of all sources' test files, each once. Raises `Unavailable`."""
        answer = await self._call("GET", "/api/v1/sources", b"", (("Accept", "application/json"),), True)
        try:
            enabled = [each for each in answer["data_sources"] if each["enabled"]]
            return list(dict.fromkeys(str(file["url"]) for each in enabled for file in each["test_files"]))
        except (KeyError, TypeError) as error:
            raise Unavailable("the repository's answer can't be read") from error

    # Reports

    def report(self, report: TransferReport) -> None:
        """Take a report of a candidate that is a source's; those of plain URLs are nobody's."""
        if report.source_id is None:
            return
        if len(self._queue) >= QUEUE:
            self.dropped += 1
            return
        self._queue.append(report)
        if self._senders < SENDERS:
            self._senders += 1
            Deferred.fromCoroutine(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._queue:
                try:
                    await self._send(self._queue.popleft())
                except Refusal as refusal:
                    self.dropped += 1
                    self.log.debug("a report was not taken: {reason}", reason=refusal.sentence)
        finally:
            self._senders -= 1
            if not self._senders and self._rested is not None:
                rested, self._rested = self._rested, None
                rested.callback(None)

    async def _send(self, report: TransferReport) -> None:
        if self._old:
            await self._post("/transfer_reports", urlencode(_old_report(report)), "application/x-www-form-urlencoded")
        else:
            await self._post("/api/v1/sources/reports", json.dumps(_report(report)), "application/json", root=True)

    async def flush(self) -> None:
        """Until all reports are sent, or it has taken too long."""
        if not self._senders:
            return
        rested = self._rested = Deferred()
        try:
            await rested.addTimeout(PATIENCE, self._clock)
        except TimeoutError:
            self.dropped += len(self._queue)

    # One call

    async def _post(self, path: str, body: str, media: str, root: bool = False) -> Any:
        headers = (("Content-Type", media), ("Accept", "application/json"))
        return await self._call("POST", path, body.encode(), headers, root)

    async def _call(self, method: str, path: str, body: bytes, headers: Sequence[tuple[str, str]], root: bool) -> Any:
        place: Place = self._place
        base = place.path.rstrip("/")
        target = f"{base.removesuffix('/repository') if root else base}{path}"
        secure = place.scheme == "https"
        port = place.port or (443 if secure else 80)
        ask = Ask(method, place.host, port, secure, target, headers, body, repeatable=True)
        asked = Deferred.fromCoroutine(self._exchange(ask)).addTimeout(PATIENCE, self._clock)
        try:
            return await asked
        except TimeoutError as error:
            raise Unavailable("the repository does not answer") from error

    async def _exchange(self, ask: Ask) -> Any:
        reply: Reply = await self._client.send(ask)
        text = await reply.text(ANSWER)
        try:
            answer = json.loads(text) if text else None
        except ValueError:
            answer = None
        if reply.status >= 300 and isinstance(answer, dict) and "error" in answer:
            raise InvalidRequest(f"the repository said: {answer['error']}")
        if reply.status in (404, 405):
            raise NotFound("the repository does not know that")
        if reply.status >= 300:
            raise (Unavailable if reply.status >= 500 else InvalidRequest)(f"the repository said {reply.status}")
        if answer is None and text:
            raise NotSupported("that is no repository")
        return answer


OLD = frozenset({"curl", "session_authenticated_curl", "aspera", "gridftp_lite", "anonymous_gridftp", "scp"})
"""The mechanisms that an older repository knows: any other name spoils its whole answer."""


def _resolution(said: Mapping[str, Any]) -> Resolution:
    candidates = tuple(each for each in (_candidate(one) for one in said["candidates"]) if each.mechanism in MECHANISMS)
    return Resolution(str(said["url"]), candidates, token=str(said.get("token") or ""), site=said.get("destination"))


def _candidate(said: Mapping[str, Any]) -> Candidate:
    size = said.get("size")
    return Candidate(
        str(said["url"]),
        str(said["mechanism"]),
        dict(said.get("options") or {}),
        said.get("source_id"),
        said.get("source"),
        str(said.get("reason") or ""),
        int(size) if size is not None else None,
        {str(name): str(digest) for name, digest in dict(said.get("digests") or {}).items()},
    )


def _old_candidate(said: Mapping[str, Any]) -> Candidate:
    """An older repository knows only programs: for what `curl` would fetch, we have something better."""
    name, url = str(said["mechanism_name"]), str(said["url"])
    options = {key: value for key, value in dict(said.get("mechanism_options") or {}).items() if value is not None}
    ours = {"http": "http", "https": "http", "ftp": "ftp", "ftps": "ftp"}.get(url.partition(":")[0].lower())
    if name == "curl" and ours:
        name = ours
    elif name == "session_authenticated_curl":
        name = "http_session"
    return Candidate(url, name, options, said.get("data_source_id"))


def _report(report: TransferReport) -> dict[str, Any]:
    """A report as the repository takes it: the fields of `TransferReport`, the site as `destination`."""
    return {
        "url": report.url,
        "success": report.success,
        "size": report.size,
        "seconds": report.seconds,
        "mechanism": report.mechanism,
        "digests": dict(report.digests),
        "error": report.error,
        "wrong": report.wrong,
        "source_id": report.source_id,
        "destination": report.site,
        "token": report.token,
    }


def _old_report(report: TransferReport) -> dict[str, Any]:
    return {
        "is_success": "true" if report.success else "false",
        "url": report.url,
        "destination": report.site or "",
        "file_size_bytes": report.size,
        "transfer_duration_seconds": report.seconds,
        "file_checksum": report.digests.get("md5", "0" * 32),
        "mechanism_output": report.error,
    }
