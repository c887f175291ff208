"""What HTTP servers answer that they should not, and what one file's fault does to the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.datasources import Candidate
from ecpds.errors import InvalidRequest
from ecpds.http.client import Ask
from ecpds.http.headers import Headers
from ecpds.sources.acquire.fetcher import _tidy
from ecpds.sources.fetch.outcomes import Outcome
from ecpds.sources.fetch.run import NoRepository, Run
from ecpds.sources.mechanisms.base import NoCredentials
from ecpds.sources.mechanisms.http import Http
from ecpds.sources.mechanisms.s3 import S3
from ecpds.threads import InlineThreads
from tests.sources.fetch.support import FetchCase

FOLDER = "http://h/d/"


class Page:
    """A reply whose body is all here."""

    length = None

    def __init__(self, status: int, fields: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = Headers(list(fields.items()))
        self._body = body

    async def text(self, most: int) -> bytes:
        return self._body[:most]

    async def discard(self) -> None: ...

    def abort(self) -> None: ...


class Web:
    """A client whose server always answers the same."""

    def __init__(self, status: int, fields: dict[str, str], body: bytes = b"") -> None:
        self.asked: list[Ask] = []
        self._page = status, fields, body

    async def send(self, ask: Ask) -> Page:
        self.asked.append(ask)
        assert len(self.asked) < 100, "it is asked for ever"
        return Page(*self._page)


class CountedThreads(InlineThreads):
    """Tells what it was given."""

    def __init__(self) -> None:
        self.given: list[str] = []

    async def run(self, function: Any, *args: Any) -> Any:
        self.given.append(function.__name__)
        return await super().run(function, *args)


class Servers(SynchronousTestCase):
    def setUp(self) -> None:
        self.threads = CountedThreads()

    def http(self, web: Web) -> Http:
        return Http(web, NoCredentials(), self.threads)  # type: ignore[arg-type]

    def opened(self, web: Web, url: str) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.http(web).open(Candidate(url, "http")))

    def test_redirects_to_what_is_no_url(self) -> None:
        for there in ("http://[::1", "//[x/", "http://h:99999/", "http://", "http://h\udcffx/\ud800"):
            with self.subTest(there=there):
                self.failureResultOf(self.opened(Web(302, {"Location": there}), "http://h/f"), InvalidRequest)

    def test_a_name_that_is_no_text(self) -> None:
        """As a shell hands on a byte that is not UTF-8."""
        web = Web(404, {})
        self.failureResultOf(self.opened(web, "http://h/ä\udcff b"))
        self.assertEqual([each.target for each in web.asked], ["/%C3%A4%FF%20b"])
        self.failureResultOf(self.opened(web, "http://h/\ud800"), InvalidRequest)

    def test_an_index_with_links_that_lead_nowhere(self) -> None:
        page = b'<a href="http://[x/">no</a> <a href="//[">no</a> <a href="good">good</a>'
        web = Web(200, {"Content-Type": "text/html"}, page)
        listed = self.successResultOf(Deferred.fromCoroutine(self.http(web).list(Candidate(FOLDER, "http"), 10)))
        self.assertEqual([each.name for each in listed], ["good"])

    def test_an_index_is_read_on_a_thread(self) -> None:
        """One of 4 MiB takes seconds."""
        web = Web(200, {"Content-Type": "text/html"}, b"")
        self.successResultOf(Deferred.fromCoroutine(self.http(web).list(Candidate(FOLDER, "http"), 10)))
        self.assertEqual(self.threads.given, ["links"])

    def test_a_bucket_whose_list_never_ends(self) -> None:
        page = b"<ListBucketResult><NextContinuationToken>on</NextContinuationToken></ListBucketResult>"
        web = Web(200, {}, page)
        s3 = S3(web, lambda _: None, lambda: 0.0, self.threads)  # type: ignore[arg-type]
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(s3.list(Candidate("s3://b/d/", "s3"), 10))), [])
        self.assertEqual(len(web.asked), 10)


class Faults(FetchCase):
    def test_a_fault_of_one_file_is_not_the_others(self) -> None:
        whole = self.servers.open

        async def open_(candidate: Candidate, *args: Any) -> Any:
            if "bad" in candidate.url:
                raise ZeroDivisionError
            return await whole(candidate, *args)

        self.patch(self.servers, "open", open_)
        self.servers.serve("http://A/good", b"x" * 1000)
        outcomes: list[Outcome] = []
        run = Run(self.tools, NoRepository(), 1)
        done = Deferred.fromCoroutine(run.fetch([self.task("bad", "A"), self.task("good", "A")], outcomes.append))
        self.turn(10)
        self.successResultOf(done)
        self.assertEqual([(each.path.name, each.done) for each in outcomes], [("bad", False), ("good", True)])
        self.assertEqual(outcomes[0].reason, "a fault of this program: ZeroDivisionError")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_another_visit_takes_away_while_old_files_are_looked_for(self) -> None:
        folder = self.folder / "staging"
        folder.mkdir()
        (folder / "gone").symlink_to("nowhere")
        old = folder / "old"
        old.mkdir()
        _tidy(folder, old.stat().st_mtime + 1)
        self.assertEqual([each.name for each in Path(folder).iterdir()], ["gone"])
