"""Options: each has a type that good values fit and bad ones don't, and patterns can't be made to take for ever."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds import options
from ecpds.errors import InvalidRequest
from ecpds.model import PERMISSIONS
from ecpds.options import (
    DESTINATION_OPTIONS,
    EVER,
    USER_OPTIONS,
    check_destination_options,
    check_user_options,
    kept_for,
    path_allowed,
)
from ecpds.quotas import Quota, StorageQuota, quota, storage_quota

DOCS = Path(options.__file__).parent.parent / "docs"

GOOD: dict[str, list[str]] = {
    "text": ["", "x", "é \u65e5"],
    "pattern": [".*", "/demo/(a|b)/[^/]+", r"/\pL+"],
    "name": ["a", "/data", "a b", "é"],
    "destination": ["demo", "a.b-c_1"],
    "location": ["eu-west-1", "US"],
    "grants": ["READ=ann", "FULL_CONTROL=a.b@example.org,READ_ACP=x"],
    "number": ["0", "12"],
    "size": ["0", "10M", "2G"],
    "rates": ["192.0.2.0/24=10M/1M", "192.0.2.7=0/0,::/0=5/5k"],
    "period": ["30d", "90"],
    "colour": ["#14507f", "#abc", "navy"],
    "headers": ["(=. .nc) Content-Type=application/x-netcdf;X-Kind=grid (.= run) Cache-Control=max-age=60"],
    "words": ["ftp", "s3,https", "New York, France"],
    "schedule": ["08:00-20:00=5", "08:00-20:00=5,20:00-23:59=50"],
}

BAD: dict[str, list[str]] = {
    "text": ["a\nb", "\x1b[2J", "\u2028", "x" * 5000],
    "pattern": ["(", "(?=a)", r"(a)\1", "a{2000}", "((a{100}){100}){100}", "x" * 501, "[[:alpha:]", "\ud800"],
    "name": ["", "/", "a/b", "..", ".", "a" * 256],
    "destination": ["", "a/b", "-x", "a b"],
    "location": ["", "eu/west", "a b", "x" * 65],
    "grants": ["", "READ", "READ=", "DELETE=ann", "READ=ann,", "READ=a b", ",".join(["READ=a"] * 101)],
    "number": ["", "-1", "1.5", "many", "\u0664"],
    "size": ["", "-1", "1X"],
    "rates": ["", "10M/1M", "192.0.2.1/24=1/1", "here=1/1", "::/0=1", "::/0=1/1,", "::/0=1/-1"],
    "period": ["", "1y", "d"],
    "headers": [
        "Content-Type=a/b",
        "(=. .nc) Set-Cookie=a",
        "(<< a) X-A=b",
        "(=. .nc) X-Content-Type-Options=x",
        "(=. a)",
    ],
    "colour": ["", "#12", "red;}", "url(x)", "#12345g"],
    "words": ["", "a,,b", "a;b"],
    "schedule": ["", "8-20=5", "24:00-25:00=1"],
}

HOSTILE = [
    "(a*)*b",
    "(a|a)*b",
    "(a|aa)+$",
    "(.*)*(.*)*(.*)*x",
    "(([a-z])+.)+[A-Z]([a-z])+$",
    "a?" * 160 + "a" * 160,
    "(.?){400}b",
]


class TypeTests(SynchronousTestCase):
    def test_every_option(self) -> None:
        for known, check in ((USER_OPTIONS, check_user_options), (DESTINATION_OPTIONS, check_destination_options)):
            for option in known:
                choices = option.type.allowed.split(" or ") if option.type.name == "choice" else []
                for text in choices or GOOD[option.type.name]:
                    check({option.name: text})
                for text in ["neither"] if choices else BAD[option.type.name]:
                    error = self.assertRaises(InvalidRequest, check, {option.name: text})
                    self.assertTrue(str(error).isprintable(), repr(str(error)))

    def test_one_that_is_not_known(self) -> None:
        for name in ("portal.colour", "", "portal.sort\nINH", "incoming.rootdir"):
            error = self.assertRaises(InvalidRequest, check_user_options, {name: "x"})
            self.assertTrue(str(error).isprintable())

    def test_each_permission_has_its_pattern(self) -> None:
        names = {option.name for option in USER_OPTIONS}
        self.assertEqual(len(names), len(USER_OPTIONS))
        for permission in PERMISSIONS:
            self.assertIn(f"portal.{permission}PathPermRegex", names)

    def test_the_page_is_what_the_table_says(self) -> None:
        self.assertEqual((DOCS / "options.md").read_text(), options.page(), "python -m ecpds.options > docs/options.md")


class QuotaTests(SynchronousTestCase):
    def test_what_the_options_say(self) -> None:
        for most, number in (
            ("0", 0),
            ("17", 17),
            ("1k", 1024),
            ("2K", 2048),
            ("3M", 3 << 20),
            ("1G", 1 << 30),
            ("1T", 1 << 40),
        ):
            for period, seconds in (
                ("90", 90),
                ("90s", 90),
                ("2m", 120),
                ("1h", 3600),
                ("1d", 86400),
                ("1w", 604800),
                ("0", 1),
            ):
                found = quota({"portal.maxUploadBytes": most, "portal.uploadPeriod": period}, "portal", "upload")
                self.assertEqual(found, Quota(number, seconds))

    def test_without_a_limit_there_is_none(self) -> None:
        others = {"portal.uploadPeriod": "1h", "portal.maxDownloadBytes": "1", "incoming.maxUploadBytes": "1"}
        self.assertIsNone(quota(others, "portal", "upload"))
        self.assertEqual(quota(others, "portal", "download"), Quota(1, 86400))
        self.assertEqual(quota(others, "incoming", "upload"), Quota(1, 86400))

    def test_of_what_is_held(self) -> None:
        self.assertIsNone(storage_quota({"portal.maxHeldBytes": "1"}, "incoming"))
        self.assertEqual(storage_quota({"portal.maxHeldBytes": "2K"}, "portal"), StorageQuota(None, 2048))
        both = {"incoming.maxHeldBytes": "0", "incoming.maxHeldFiles": "7"}
        self.assertEqual(storage_quota(both, "incoming"), StorageQuota(7, 0))

    def test_the_largest_fits_every_encoding(self) -> None:
        found = quota({"portal.maxUploadBytes": "9" * 15 + "T", "portal.uploadPeriod": "9" * 9 + "w"}, "portal", "upload")
        assert found is not None
        self.assertEqual(found.most, (1 << 63) - 1)
        self.assertEqual(msgspec.json.decode(msgspec.json.encode(found.most)), found.most)


class PatternTests(SynchronousTestCase):
    def test_the_whole_path_must_match(self) -> None:
        narrowed = {"portal.getPathPermRegex": "/demo/(a|b)"}
        for path, allowed in (
            ("/demo/a", True),
            ("/demo/b", True),
            ("/demo/ab", False),
            ("x/demo/a", False),
            ("/demo/a\n", False),
        ):
            self.assertEqual(path_allowed(narrowed, "get", path), allowed, path)
            self.assertTrue(path_allowed(narrowed, "put", path))

    @given(st.text(st.characters(exclude_categories=("Cs",)), max_size=50))
    def test_any_text_is_a_pattern_or_is_refused(self, text: str) -> None:
        try:
            check_user_options({"portal.getPathPermRegex": text})
        except InvalidRequest as refusal:
            self.assertTrue(str(refusal).isprintable())
        else:
            path_allowed({"portal.getPathPermRegex": text}, "get", "/demo/" + text)

    def test_none_takes_long(self) -> None:
        paths = ["/demo/" + "a" * 1000, "a" * 1024, "/" + "a/" * 500 + "!"]
        for text in HOSTILE:
            check_user_options({"portal.getPathPermRegex": text})
            began = time.process_time()
            for path in paths:
                path_allowed({"portal.getPathPermRegex": text}, "get", path)
            self.assertLess(time.process_time() - began, 0.5, text)


class Lifetimes(SynchronousTestCase):
    def test_the_destination_s_own_counts_first(self) -> None:
        self.assertEqual([kept_for(None, None), kept_for(7.5, None), kept_for(7.5, "30d")], [None, 7.5, 7.5])

    def test_the_option(self) -> None:
        for text, seconds in (("90", 90), ("90s", 90), ("45m", 2700), ("12h", 43200), ("30d", 30 * 86400), ("2w", 14 * 86400)):
            self.assertEqual(kept_for(None, text), seconds)

    def test_for_ever(self) -> None:
        for lifetime, option in (
            (None, "0"),
            (None, "0d"),
            (None, "999999999w"),
            (1e300, None),
            (float("inf"), None),
            (EVER, None),
        ):
            self.assertIsNone(kept_for(lifetime, option), (lifetime, option))
