"""`ecpds fetch` answers soon: what a plain HTTP URL has no need of is not imported."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import TestCase

from tests.real.harness import environment

HEAVY = ("twisted.conch", "awscrt", "sqlalchemy", "alembic", "jinja2", "prometheus_client", "rich", "psycopg", "ecpds.ssh")
"""What costs tens of milliseconds each."""

SCRIPT = """
import sys
import ecpds.__main__, ecpds.node.fetching, ecpds.sources.mechanisms.http, twisted.internet.reactor
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


class Start(TestCase):
    def test_nothing_heavy_is_imported_for_http(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *HEAVY], env=environment(), capture_output=True, text=True, timeout=60, check=True
        )
        self.assertEqual(done.stdout.split(), [])
