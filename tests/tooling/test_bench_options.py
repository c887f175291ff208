"""How works and servers of a bench are chosen."""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from bench.ftp import places
from bench.options import parse

WORKS = ("get", "put", "TLS get", "TLS put", "small put", "small get")


class Choosing(SynchronousTestCase):
    def chosen(self, only: str) -> list[str]:
        options = parse(["ftp", "--only", only], ("ftp",))
        return [work for work in WORKS if options.wants(work, WORKS)]

    def test_all_unless_some_are_named(self) -> None:
        options = parse(["ftp"], ("ftp",))
        self.assertTrue(all(options.wants(work, WORKS) for work in WORKS))
        self.assertTrue(options.has("vsftpd"))

    def test_by_a_whole_name(self) -> None:
        self.assertEqual(self.chosen("get"), ["get"])
        self.assertEqual(self.chosen("get,small put"), ["get", "small put"])

    def test_by_a_word(self) -> None:
        self.assertEqual(self.chosen("TLS"), ["TLS get", "TLS put"])
        self.assertEqual(self.chosen("small,put"), ["put", "small put", "small get"])
        self.assertEqual(self.chosen("nothing"), [])

    def test_servers(self) -> None:
        options = parse(["ftp", "--servers", "ecpds,vsftpd"], ("ftp",))
        self.assertEqual([options.has(server) for server in ("ecpds", "ecpds after", "vsftpd")], [True, False, True])

    def test_places_of_the_ftp_bench(self) -> None:
        def told(*words: str) -> list[tuple[str, str, bool]]:
            options = parse(["ftp", "--volume", "/memory", "--disk", "/disk", *words], ("ftp",))
            return [(place, str(placed.volume), placed.sync) for place, placed in places(options)]

        every = [("memory", "/memory", False), ("disk", "/disk", False), ("synced", "/disk", True)]
        self.assertEqual(told(), every)
        self.assertEqual(told("--places", "synced,memory"), [every[0], every[2]])
        with redirect_stderr(StringIO()) as said, self.assertRaises(SystemExit):
            told("--places", "moon")
        self.assertIn("there is no place moon", said.getvalue())
