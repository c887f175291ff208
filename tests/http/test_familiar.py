"""What is remembered of header fields for other connections: what is found again, by whom, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.http.body import NoBody
from ecpds.http.familiar import Familiar
from ecpds.http.headers import Headers
from ecpds.http.message import Request

FIELDS = b"\r\nHost: node\r\nAuthorization: Basic c2VjcmV0\r\n\r\n"
PEER = "192.0.2.7"


def asked(peer: str = PEER, secure: bool = True, memory: object = "me") -> Request:
    headers = Headers([("Authorization", "Basic c2VjcmV0")])
    return Request("GET", b"/secret", "/secret", "", headers, "1.1", peer, secure, 0, NoBody(), memory=memory, anywhere=True)


class FamiliarTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.familiar = Familiar(b"k" * 32, 2, 60.0, self.clock.seconds)
        self.familiar.keep(FIELDS, asked())

    def memory(self, fields: bytes = FIELDS, peer: str = PEER, secure: bool = True) -> object:
        found = self.familiar.find(fields, peer, secure)
        return found and found.memory

    def test_the_same_bytes_of_the_same_peer(self) -> None:
        self.assertEqual(self.memory(), "me")
        self.assertIsNone(self.memory(peer="192.0.2.70"))
        self.assertIsNone(self.memory(secure=False))

    @given(st.integers(0, len(FIELDS)), st.integers(0, 2), st.binary(max_size=3))
    def test_any_other_bytes_are_nobodys(self, at: int, gone: int, more: bytes) -> None:
        other = FIELDS[:at] + more + FIELDS[at + gone :]
        self.assertEqual(self.memory(other), "me" if other == FIELDS else None)

    def test_a_peer_does_not_run_into_the_fields(self) -> None:
        self.familiar.keep(b"a" + FIELDS, asked("::"))
        self.assertIsNone(self.memory(FIELDS, "::a"))

    def test_another_process_has_other_marks(self) -> None:
        other = Familiar(b"l" * 32, 2, 60.0, self.clock.seconds)
        other.keep(FIELDS, asked())
        self.assertFalse(set(other._known) & set(self.familiar._known))

    def test_what_is_found_has_no_fields(self) -> None:
        found = self.familiar.find(FIELDS, PEER, True)
        assert found is not None
        self.assertEqual((list(found.headers.items()), found.target, found.path), ([], b"", ""))

    def test_it_is_good_for_a_while_only(self) -> None:
        self.clock.advance(59.0)
        self.assertEqual(self.memory(), "me")
        self.clock.advance(1.0)
        self.assertIsNone(self.memory())
        self.assertEqual(len(self.familiar), 0)

    def test_what_was_asked_again_is_good_from_then_on(self) -> None:
        self.clock.advance(59.0)
        self.familiar.keep(FIELDS, asked(memory="again"))
        self.clock.advance(59.0)
        self.assertEqual(self.memory(), "again")

    def test_the_least_lately_used_leave_first(self) -> None:
        self.familiar.keep(b"second", asked(memory="second"))
        self.assertEqual(self.memory(), "me")
        self.familiar.keep(b"third", asked(memory="third"))
        self.assertEqual([self.memory(fields) for fields in (FIELDS, b"second", b"third")], ["me", None, "third"])
        self.assertEqual(len(self.familiar), 2)

    def test_none(self) -> None:
        none = Familiar(b"k" * 32, 0, 60.0, self.clock.seconds)
        none.keep(FIELDS, asked())
        self.assertEqual((len(none), none.find(FIELDS, PEER, True)), (0, None))
