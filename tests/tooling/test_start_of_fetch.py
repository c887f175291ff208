"""`ecpds fetch` answers soon: what a plain HTTP URL has no need of is not imported, and for small files no reactor is."""

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

QUICK = """
import sys
import ecpds.__main__, ecpds.node.quickly, ecpds.sources.fetch.command
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


class Start(TestCase):
    def imported(self, script: str, *names: str) -> list[str]:
        """Which of the modules a script has imported."""
        done = subprocess.run(
            [sys.executable, "-c", script, *names], env=environment(), capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.split()

    def test_nothing_heavy_is_imported_for_http(self) -> None:
        self.assertEqual(self.imported(SCRIPT, *HEAVY), [])

    def test_no_reactor_is_imported_for_small_files(self) -> None:
        more = ("twisted", "zope", "OpenSSL", "asyncio", "xml", "ecpds.config", "ecpds.model", "ecpds.admin.cli")
        self.assertEqual(self.imported(QUICK, *HEAVY, *more), [])
