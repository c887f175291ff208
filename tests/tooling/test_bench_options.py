"""How works and servers of a bench are chosen."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

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
