"""The words of HTTP for the portal's refusals: none is missing."""

from __future__ import annotations

from http import HTTPStatus

from twisted.trial.unittest import SynchronousTestCase

from ecpds import errors
from ecpds.http.message import Headers
from ecpds.http.replies import STATUS, refusal_response


class Replies(SynchronousTestCase):
    def test_total(self) -> None:
        self.assertEqual(set(STATUS), set(errors.refusals()))
        for status in STATUS.values():
            self.assertGreaterEqual(HTTPStatus(status), 400)

    def test_the_sentence(self) -> None:
        for kind in STATUS:
            response = refusal_response(kind("because"))
            self.assertEqual((response.status, response.body), (STATUS[kind], f"{kind('because').sentence}\n".encode()))

    def test_the_headers(self) -> None:
        for refusal, name in ((errors.LoginFailed(), "www-authenticate"), (errors.TooManyConnections(), "retry-after")):
            self.assertIn(name, Headers(refusal_response(refusal).headers))
        self.assertNotIn("www-authenticate", Headers(refusal_response(errors.NotPermitted()).headers))
