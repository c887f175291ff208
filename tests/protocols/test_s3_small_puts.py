"""Small objects that are put in one step: what comes of them is what comes of any other, and of bad ones nothing."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ecpds.http.message import Response
from ecpds.model import Entry
from ecpds.mover import volumes
from ecpds.terms import AllocationRequest
from tests.protocols.test_s3_holes import Holes
from tests.protocols.test_s3_matrix import MODES

WHERE = ("header", "query")


class SmallPuts(Holes):
    """The house, whose storage waits for nothing, and how often it put in one step."""

    def setUp(self) -> None:
        self.patch(volumes, "file_system_type", lambda device: "tmpfs")
        super().setUp()
        self.house.now(self.house.master.movers._look.run())
        self.house.now(self.house.master.ids._more.run())
        self.steps = 0
        put_by_turn = self.house.master.put_by_turn

        def counted(request: AllocationRequest, store: Any) -> Deferred[Entry] | None:
            named: Deferred[Entry] | None = put_by_turn(request, store)
            self.steps += named is not None
            return named

        self.patch(self.house.master, "put_by_turn", counted)

    def put(self, prompt: bool, mode: str = MODES[0], where: str = "header", **more: str) -> Response:
        self.patch(type(self.house.master.writer), "at_once", prompt)
        return self.answer(self.signer(self.secret).request("put", mode, where, **more))

    def what_is_there(self, response: Response) -> Any:
        """All that is known of the object, but what is another of each version."""
        entry = self.house.now(self.house.master.resolve("d", "new"))
        headers = [pair for pair in response.headers if pair[0] != "x-amz-request-id"]
        record = {name: text for name, text in self.sink.of("INH")[-1].items() if name not in ("DataFileId", "DataTransferId")}
        file = entry.file
        return response.status, headers, record, file.size, dict(file.digests), dict(file.metadata), len(file.segments)

    def test_they_are_as_any_other(self) -> None:
        for mode in MODES:
            for where in WHERE:
                for more in ({}, {"x_amz_meta_a": "b", "cache_control": "no-store", "x_amz_tagging": "k=v"}):
                    long = self.what_is_there(self.put(False, mode, where, **more))
                    self.assertEqual(self.steps, 0)
                    short = self.what_is_there(self.put(True, mode, where, **more))
                    self.assertEqual((short, self.steps), (long, 1), (mode, where))
                    self.assertEqual(short[0], 200)
                    self.steps = 0

    def test_conditions_are_kept(self) -> None:
        self.assertEqual(self.put(True, if_none_match="*").status, 200)
        tag = dict(self.put(True).headers)["ETag"]
        self.assertEqual(self.put(True, if_none_match="*").status, 412)
        self.assertEqual(self.put(True, if_match='"other"').status, 412)
        self.assertEqual(self.put(True, if_match=tag).status, 200)
        self.assertEqual(self.steps, 3)

    def test_bad_digests_publish_nothing_and_are_on_record(self) -> None:
        before = self.contents()
        for more, status in (
            ({"content_md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, 400),
            ({"x_amz_checksum_crc32": "AAAAAA=="}, 400),
        ):
            count = len(self.sink.of("INH"))
            self.assertEqual(self.put(True, **more).status, status)
            failed = [fields["Status"] for fields in self.sink.of("INH")[count:]]
            self.assertEqual(failed, ["failed"], more)
        self.assertEqual((self.contents(), self.steps), (before, 0))
        self.assertEqual(len(self.house.stored()), len(before))

    def test_a_body_that_was_not_what_was_signed(self) -> None:
        before = self.contents()
        for mode in MODES:
            if mode != "UNSIGNED-PAYLOAD":
                request = self.signer(self.secret).request("put", mode, "header")
                body: Any = request.body
                body._data = body._data.replace(b"content", b"CONTENT")
                self.assertGreaterEqual(self.answer(request).status, 400, mode)
        self.assertEqual((self.contents(), self.steps), (before, 0))

    def test_a_body_that_ends_too_early(self) -> None:
        before = self.contents()
        request = self.signer(self.secret).request("put", "UNSIGNED-PAYLOAD", "header")
        body: Any = request.body
        body._data = b"cont"
        self.assertGreaterEqual(self.answer(request).status, 400)
        self.assertEqual((self.contents(), self.steps), (before, 0))
        self.assertEqual(self.sink.of("INH")[-1]["Status"], "failed")

    def test_who_may_not_is_told_before_a_byte_is_asked_for(self) -> None:
        self.limit("get", "dir")
        request = self.signer(self.secret).request("put", "UNSIGNED-PAYLOAD", "header")
        self.assertEqual(self.answer(request).status, 403)
        self.assertFalse(request.body.read, "a byte of the body was asked for")  # type: ignore[attr-defined]
