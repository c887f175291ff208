"""What bin/bench understands, and how it counts."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bench import works
from bench.cpu import CpuMeter
from bench.options import parse, size
from bench.roundtrip import Samples
from bench.roundtrip import rows as roundtrip_rows
from bench.small import rows as small_rows
from bench.tables import ratio, spread

MIB = 1 << 20


class OptionsTests(SynchronousTestCase):
    def test_sizes(self) -> None:
        self.assertEqual([size(text) for text in ("17", "2K", "64M", "1G")], [17, 2048, 64 * MIB, 1024 * MIB])
        for text in ("", "M", "1.5G", "-1", "1T"):
            self.assertRaises(ValueError, size, text)

    def test_names(self) -> None:
        self.assertEqual(parse([], ("a", "b")).names, ("a", "b"))
        self.assertEqual(parse(["b", "-n", "3", "--size", "2M"], ("a", "b")).names, ("b",))
        self.patch(sys, "stderr", sys.stdout)
        self.assertRaises(SystemExit, parse, ["c"], ("a", "b"))


class Figures(SynchronousTestCase):
    def test_spread_and_ratio(self) -> None:
        self.assertEqual(spread([3, 1, 2]), "2 [1-3]")
        self.assertEqual(ratio([2, 4, 6], [2, 2, 2]), "2.00")
        self.assertEqual(ratio([2], None), "")

    def test_a_round_trip_is_compared_with_the_same_direction_of_the_peer(self) -> None:
        results = {
            ("put", "ecpds"): Samples([1.0], [2.0], [0.5]),
            ("put", "peer"): Samples([2.0], [1.0], [0.0]),
            ("get", "ecpds"): Samples([1.0], [1.0], [0.0]),
            ("get", "peer"): Samples([1.0], [4.0], [0.0]),
        }
        put, peer, get, _ = roundtrip_rows(results, 512 * MIB)
        self.assertEqual((put[3], put[5], get[3], get[5]), ("2.00", "2.00", "1.00", "0.25"))
        self.assertEqual((peer[3], peer[5]), ("", ""))
        self.assertEqual((put[4], put[6]), ("4.00 [4.00-4.00]", "1.00 [1.00-1.00]"), "CPU is told for a GiB")

    def test_small_files_too(self) -> None:
        ours, theirs = small_rows({("put", "ecpds"): ([10.0], [300.0]), ("put", "peer"): ([20.0], [100.0])})
        self.assertEqual((ours[3], ours[5], theirs[3]), ("0.50", "3.00", ""))


class Works(SynchronousTestCase):
    def setUp(self) -> None:
        self.work: works.Work[Any] = works.Work("put", "MB/s", 512.0, 2.0, lambda target, name: None)
        self.results = {"ecpds": works.Samples([1.0], [3.0]), "peer": works.Samples([2.0], [1.0])}

    def test_ours_are_compared_with_each_peer(self) -> None:
        ours, theirs = works.rows(self.work, self.results, ("peer", "absent"))
        self.assertEqual(ours[2:], ["512 [512-512]", "2.00", "", "6.00 [6.00-6.00]", "3.00", "", "1.00 [1.00-1.00]"])
        self.assertEqual((theirs[3], theirs[6]), ("", ""))

    def test_goals(self) -> None:
        def judged(server: str, factor: float) -> str | None:
            return works.Goal("put", server, "peer", factor).judged({"put": self.results})

        self.assertEqual(judged("ecpds", 2.0), "put, ecpds: 2.00 x peer, wanted 2.00: met")
        self.assertEqual(judged("ecpds", 2.1), "put, ecpds: 2.00 x peer, wanted 2.10: NOT met")
        self.assertIsNone(judged("absent", 1.0))


class Cpu(SynchronousTestCase):
    def test_it_counts_what_has_ended(self) -> None:
        meter = CpuMeter("test")
        try:
            if not meter.is_whole:
                self.skipTest("no control groups here")
            subprocess.run(meter.wrap([sys.executable, "-c", "sum(range(10_000_000))"]), check=True, timeout=60)
            self.assertGreater(meter.seconds(), 0.05)
        finally:
            meter.close()

    def test_a_group_is_removed_when_its_last_process_has_ended(self) -> None:
        meter = CpuMeter("closing")
        if not meter.is_whole:
            self.skipTest("there are no control groups here")
        with subprocess.Popen(meter.wrap(["cat"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(b"x")
            process.stdin.flush()
            self.assertEqual(process.stdout.read(1), b"x")  # it is in the group by now
            self.assertRaises(OSError, meter.close, 0.0)
        meter.close()
        self.assertRaises(OSError, meter.close, 0.0)
