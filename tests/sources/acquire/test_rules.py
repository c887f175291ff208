"""Which files are wanted, what they are called, and when to come again."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.acquisitions import Acquired, Plan
from ecpds.errors import InvalidName, InvalidRequest, Refusal
from ecpds.sources.acquire import rules
from ecpds.sources.mechanisms.base import Listed

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
PLAN = Plan("gfs", "ftp://host/{%Y%m%d}/", "archive", "ann")


class Dates(SynchronousTestCase):
    def test_dates_are_utc_and_can_be_shifted(self) -> None:
        for text, made in (
            ("plain", "plain"),
            ("{%Y/%m/%d}/{%H}", "2027/01/15/08"),
            ("{-1d:%Y%m%d}{+1w:%j}", "20270114022"),
            ("{-9h:%d%H}", "1423"),
            ("gfs.{-6h:%Y%m%d_%H}z", "gfs.20270115_02z"),
        ):
            self.assertEqual(rules.dated(text, NOW), made)

    def test_another_brace_is_refused(self) -> None:
        for text in ("{", "}", "{%S}", "{%Y", "{{%Y}}", "{-1y:%Y}", "{-99999d:%Y}", "{%%}"):
            self.assertRaises(InvalidRequest, rules.dated, text, NOW)

    @given(st.text(alphabet="{}%YmdH-+1dhw:/x", max_size=30))
    def test_any_text_is_dated_or_refused(self, text: str) -> None:
        try:
            made = rules.dated(text, NOW)
        except InvalidRequest:
            return
        self.assertFalse({"{", "}"} & set(made))


class Plans(SynchronousTestCase):
    def test_one_that_can_be_followed(self) -> None:
        rules.check_plan(PLAN)
        rules.check_plan(evolve(PLAN, url="s3://bucket/x", names=("*.grib[", "?"), pattern="(a+)+b", rename="\\1.bin"))

    def test_each_that_cannot_is_refused(self) -> None:
        for change in (
            {"name": "../x"},
            {"name": ""},
            {"url": "file:///etc"},
            {"url": "ecpds://host/x"},
            {"url": "ftp://ann:secret@host/"},
            {"url": "ftp://host/{%Q}"},
            {"folder": "{"},
            {"pattern": "("},
            {"pattern": "(?=x)"},
            {"pattern": "x" * 5000},
            {"rename": "x"},
            {"pattern": "x", "rename": "\\1"},
            {"every": 1.0},
            {"min_age": 9.0, "max_age": 9.0},
            {"min_size": 2, "max_size": 1},
        ):
            with self.assertRaises(Refusal, msg=str(change)):
                rules.check_plan(evolve(PLAN, **change))


class Wanted(SynchronousTestCase):
    def test_names(self) -> None:
        plan = evolve(PLAN, names=("*.grib", "a?c"), pattern="[a-z.]+")
        found = [
            name for name in ("x.grib", "x.gribs", "abc", "abbc", "X.grib", "a\nc", "\udcff.grib") if rules.fits(plan, name)
        ]
        self.assertEqual(found, ["x.grib", "abc"])
        self.assertTrue(rules.fits(PLAN, "anything"))
        self.assertFalse(rules.fits(evolve(PLAN, names=("[ab]",)), "a"))

    def test_sizes_and_ages(self) -> None:
        plan = evolve(PLAN, min_age=60.0, max_age=600.0, min_size=10, max_size=20)
        for size, age, wanted in (
            (10, 60, True),
            (20, 600, True),
            (9, 61, False),
            (21, 61, False),
            (10, 59, False),
            (10, 601, False),
        ):
            self.assertEqual(rules.in_limits(plan, Listed("f", "u", size, NOW - age), NOW), wanted)
        self.assertFalse(rules.in_limits(plan, Listed("f", "u", 10), NOW))
        self.assertFalse(rules.in_limits(evolve(PLAN, min_size=1), Listed("f", "u", None, NOW), NOW))
        self.assertTrue(rules.in_limits(PLAN, Listed("f", "u"), NOW))

    def test_who_says_too_little_is_asked(self) -> None:
        self.assertTrue(rules.needs_more(PLAN, Listed("f", "u", 1)))
        self.assertFalse(rules.needs_more(PLAN, Listed("f", "u", None, NOW)))
        self.assertTrue(rules.needs_more(evolve(PLAN, max_size=1), Listed("f", "u", None, NOW)))

    def test_a_file_is_due_when_new_or_changed_or_to_be_tried_again(self) -> None:
        had = Acquired("u", "1/2/-", "/a/f", NOW)
        failed = evolve(had, reason="no", tries=2, due=NOW + 5)
        for known, mark, now, due in (
            (None, "1/2/-", NOW, True),
            (had, "1/2/-", NOW, False),
            (had, "1/3/-", NOW, True),
            (failed, "1/2/-", NOW, False),
            (failed, "1/2/-", NOW + 5, True),
            (evolve(failed, tries=3), "1/2/-", NOW + 5, False),
        ):
            self.assertEqual(rules.is_due(known, mark, now, 3), due)

    def test_a_mark_tells_versions_apart(self) -> None:
        marks = {
            rules.mark_of(Listed("f", "u", *each)) for each in ((1, 2.0, ""), (2, 2.0, ""), (1, 3.0, ""), (1, 2.0, "e"), (0,))
        }
        self.assertEqual(len(marks), 5)

    def test_the_name_here(self) -> None:
        plan = evolve(PLAN, folder="in/{%Y}/", pattern="(.*)\\.grib", rename="{x}/\\1.g2")
        self.assertEqual(rules.target(plan, "a.grib", NOW), "/archive/in/2027/{x}/a.g2")
        for name in ("..", "a/../b", "", ".", "a\nb", "a\\b"):
            with self.assertRaises(InvalidName):
                rules.target(PLAN, name, NOW)

    def test_pauses_grow_to_a_day(self) -> None:
        self.assertEqual([rules.pause(3600, each) for each in (0, 1, 4, 9)], [3600, 7200, 57600, 86400])
        self.assertEqual(rules.pause(864000, 3), 864000)
        self.assertEqual([rules.retry(each) for each in (1, 2, 99)], [60, 120, 86400])

    def test_the_oldest_that_are_gone_are_forgotten(self) -> None:
        known = [Acquired(str(number), "", "", float(number)) for number in (3, 1, 2, 0)]
        self.assertEqual(rules.surplus(known, {"0"}, 2), ["1", "2"])
        self.assertEqual(rules.surplus(known, {"0", "1", "2", "3"}, 2), [])
        self.assertEqual(rules.surplus(known, set(), 9), [])
