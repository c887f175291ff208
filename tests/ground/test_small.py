"""The small things of the ground floor: refusals, records, time-outs, admission, threads, keys."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve
from cryptography import x509
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from ecpds.admission import Admission
from ecpds.config import Config, ConfigError, Https, Node
from ecpds.errors import AlreadyExists, NotFound, Refusal, refusals
from ecpds.events import DEA_FIELDS, INH_FIELDS, Transfer, denial_event, timestamp, transfer_event
from ecpds.interfaces import IThreads, ITimeouts, IWatch
from ecpds.keys import door_certificate, server_context
from ecpds.model import Condition, Entry
from ecpds.releases import DELAY, NEVER, state, waits_until
from ecpds.threads import InlineThreads, PoolThreads
from ecpds.timeouts import BUCKET, LOOK, Timeouts, Watch


class Refusals(SynchronousTestCase):
    def test_the_docstring_is_the_sentence(self) -> None:
        self.assertEqual(NotFound().sentence, "There is no such file or directory.")
        self.assertEqual(NotFound("/a").sentence, "There is no such file or directory: /a")

    def test_what_is_no_path_is_not_called_a_file(self) -> None:
        self.assertEqual(NotFound("user 'zed'").sentence, "That is not there: user 'zed'")
        self.assertEqual(AlreadyExists("destination demo").sentence, "That is there already: destination demo")

    def test_each_has_a_sentence_of_its_own(self) -> None:
        sentences = [refusal().sentence for refusal in refusals()]
        self.assertEqual(len(sentences), len(set(sentences)))
        self.assertTrue(all(sentence.endswith(".") for sentence in sentences))
        self.assertIn(Refusal, refusals())


class Records(SynchronousTestCase):
    TRANSFER = Transfer("upload", "demo", "a/b", "ann", "ftp", "127.0.0.1", "n1", 1.0, 3.5, 7, file_id=9, size=7)

    def test_a_transfer_has_the_ancestors_fields_in_order(self) -> None:
        event = transfer_event(self.TRANSFER)
        self.assertEqual(list(event.fields), INH_FIELDS)
        self.assertEqual((event.fields["Duration"], event.fields["BytesSent"]), (2500, 7))
        self.assertEqual((event.fields["Status"], event.fields["MetaStream"]), ("done", "-"))
        self.assertEqual(event.as_json()["Type"], "INH")

    def test_a_failed_one_says_so(self) -> None:
        event = transfer_event(evolve(self.TRANSFER, failure="The connection was lost."))
        self.assertEqual((event.fields["Status"], event.fields["Message"]), ("failed", "The connection was lost."))

    def test_an_empty_file_has_a_size(self) -> None:
        self.assertEqual(transfer_event(evolve(self.TRANSFER, size=0)).fields["FileSize"], 0)

    def test_a_denial(self) -> None:
        event = denial_event(0.0, "", "Not found", "Using ftp", "127.0.0.1", "ftp")
        self.assertEqual(list(event.fields), DEA_FIELDS)
        self.assertEqual(event.fields["UserId"], "-")

    def test_times_are_utc_with_milliseconds(self) -> None:
        self.assertEqual(timestamp(1.5), "1970-01-01T00:00:01.500Z")

    def test_what_waits_longer_than_can_be_told_waits_for_somebody(self) -> None:
        for delay in ("1s", "36500d", "7000000d", "9999999d", "999999999w"):
            waits = waits_until({DELAY: delay}, "a", 1.8e9)
            entry = Entry("/demo/a", 0.0, waits=waits)
            self.assertEqual(state(entry)["release"] is None, waits == NEVER)
            self.assertEqual(waits == NEVER, delay in ("7000000d", "9999999d", "999999999w"))


class Conditions(SynchronousTestCase):
    def test_every_combination(self) -> None:
        for condition, absent, nine in [
            (Condition(), True, True),
            (Condition(absent=True), True, False),
            (Condition(exists=True), False, True),
            (Condition(match=frozenset({9})), False, True),
            (Condition(match=frozenset({8})), False, False),
            (Condition(match=frozenset()), False, False),
        ]:
            self.assertEqual((condition.met_by(None), condition.met_by(9)), (absent, nine), condition)


class Wheel(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = Timeouts(self.clock)
        self.expired: list[float] = []

    def watch(self, seconds: float) -> Watch:
        return self.wheel.watch(seconds, lambda: self.expired.append(self.clock.seconds()))

    def test_interfaces(self) -> None:
        verifyObject(ITimeouts, self.wheel)
        verifyObject(IWatch, self.watch(1))

    def test_it_expires_once_and_at_most_a_bucket_late(self) -> None:
        self.watch(40)
        self.clock.pump([0.5] * 200)
        (when,) = self.expired
        self.assertTrue(40 <= when <= 40 + 2 * BUCKET, when)

    def test_a_touch_pushes_it_back(self) -> None:
        watch = self.watch(5)
        for _ in range(20):
            self.clock.advance(4)
            watch.touch()
        self.assertEqual(self.expired, [])
        self.clock.pump([1.0] * 8)
        self.assertEqual(len(self.expired), 1)

    def test_a_cancelled_one_is_soon_forgotten(self) -> None:
        self.watch(10_000).cancel()
        self.clock.advance(LOOK + BUCKET)
        self.assertEqual((self.clock.getDelayedCalls(), self.expired), ([], []))


class Doors(SynchronousTestCase):
    def test_limits_in_all_and_for_one_address(self) -> None:
        admission = Admission(3, 2)
        self.assertEqual([admission.enter(a) for a in ("x", "x", "x", "y", "z")], [True, True, False, True, False])
        admission.leave("x")
        self.assertTrue(admission.enter("z"))
        self.assertEqual(admission.total, 3)

    def test_no_limit(self) -> None:
        admission = Admission(0, 0)
        self.assertTrue(all(admission.enter("x") for _ in range(1000)))


class Threading(SynchronousTestCase):
    def test_interfaces(self) -> None:
        verifyObject(IThreads, InlineThreads())
        verifyClass(IThreads, PoolThreads)

    def test_inline(self) -> None:
        self.assertEqual(self.successResultOf(InlineThreads().run(max, 1, 2)), 2)
        self.failureResultOf(InlineThreads().run(int, "x"), ValueError)


class Keys(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        self.config = Config(node=Node(name="n1", home=str(self.home), interface=("127.0.0.2",)))
        self.now = datetime(2026, 11, 21, tzinfo=UTC)

    def test_made_once_and_private(self) -> None:
        certificate, key = door_certificate(self.config, self.now)
        before = certificate.read_bytes()
        self.assertEqual(door_certificate(self.config, self.now), (certificate, key))
        self.assertEqual(certificate.read_bytes(), before)
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(key.parent.stat().st_mode), 0o700)
        names = x509.load_pem_x509_certificate(before).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        self.assertIn("localhost", names.value.get_values_for_type(x509.DNSName))
        self.assertIn("127.0.0.2", [str(a) for a in names.value.get_values_for_type(x509.IPAddress)])

    def test_a_context_over_it(self) -> None:
        certificate, key = door_certificate(self.config, self.now)
        server_context(certificate, key, b"http/1.1")
        self.assertRaises(ConfigError, server_context, key, certificate)

    def test_an_operators_own(self) -> None:
        certificate, key = door_certificate(self.config, self.now)
        named = evolve(self.config, https=Https(certificate=str(certificate.resolve()), key=str(key.resolve())))
        self.assertEqual(door_certificate(named, self.now), (certificate.resolve(), key.resolve()))
        self.assertRaises(ConfigError, door_certificate, evolve(named, https=Https(certificate="a")), self.now)
        missing = evolve(named, https=Https(certificate="/no/a", key="/no/b"))
        self.assertRaises(ConfigError, door_certificate, missing, self.now)
