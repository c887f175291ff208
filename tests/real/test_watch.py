"""A real node, asked at `[admin] port` as Prometheus and a load balancer ask it."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from http.client import HTTPSConnection
from io import BytesIO
from typing import ClassVar
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from tests.real.case import RealTestCase
from tests.real.clients import ftp
from tests.real.harness import LOGIN, PASSWORD, Options, until


class Watched(RealTestCase):
    options: ClassVar[Options] = {"admin": {"port": 0}}

    def ask(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.node.ports['admin']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def samples(self) -> dict[tuple[str, ...], float]:
        status, text = self.ask("/metrics")
        self.assertEqual(status, 200)
        families = text_string_to_metric_families(text)
        return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}

    def test_a_put_is_seen(self) -> None:
        before = self.samples()
        with ftp(self.node) as client:
            client.storbinary("STOR seen", BytesIO(b"x" * 1000))
            during = self.samples()
        self.assertEqual(during["ecpds_sessions", "ftp"], 1)
        self.assertEqual(during["ecpds_transfers_total", "upload", "ftp", "done"], 1)
        self.assertEqual(during["ecpds_transfer_bytes_total", "upload", "ftp"], 1000)
        self.assertEqual(during["ecpds_logins_total", "accepted", "ftp"], 1)
        commits = "ecpds_catalogue_commit_seconds_count"
        self.assertGreater(during[commits,], before[commits,])
        self.assertGreater(during["ecpds_catalogue_batch_sum",], 0)
        self.assertGreater(during["ecpds_volume_free_bytes", "0"], 0)
        self.assertEqual(during["ecpds_buffers_lent_bytes",], 0)
        self.assertEqual(during["ecpds_records_dropped", "history"], 0)

    def test_gets_from_memory_are_seen(self) -> None:
        with ftp(self.node) as client:
            client.storbinary("STOR again", BytesIO(b"x" * 1000))
        before = self.samples()
        login = {"Authorization": "Basic " + b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()}
        context = ssl._create_unverified_context()
        connection = HTTPSConnection("127.0.0.1", self.node.ports["https"], timeout=30, context=context)
        for _ in range(3):
            connection.request("GET", urlsplit(self.node.url("https", "again")).path, headers=login)
            self.assertEqual(connection.getresponse().read(), b"x" * 1000)
        connection.close()
        done = ("ecpds_transfers_total", "download", "https", "done")
        until(lambda: self.samples().get(done, 0.0) - before.get(done, 0.0) == 3, "the records of the gets")
        after = self.samples()
        for name, more in (
            (("ecpds_answered_at_once", "https"), 2),
            (("ecpds_small_reads", "memory"), 2),
            (("ecpds_logins_total", "accepted", "https"), 3),
        ):
            self.assertEqual(after[name] - before.get(name, 0.0), more, name)
        self.assertGreaterEqual(after["ecpds_kept_bytes",], 1000)

    def test_it_lives_and_is_ready(self) -> None:
        self.assertEqual(self.ask("/healthz"), (200, "alive\n"))
        self.assertEqual(self.ask("/readyz"), (200, "ready\n"))

    def test_users_are_not_served_here(self) -> None:
        self.assertEqual(self.ask("/data/archive/")[0], 404)
        self.assertEqual(self.ask("/api/v1/user/list")[0], 404)
