"""Each verb × where the signature stands × payload mode × which key: the right one is answered, no other does anything.

The requests are signed here by a signer of its own, written from the specification, not by the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ecpds.errors import refusals
from ecpds.http.message import Headers, IBody, Request, Response
from ecpds.interfaces import IByteSource
from ecpds.protocols.s3 import S3Door
from ecpds.protocols.s3_errors import TABLE
from ecpds.threads import InlineThreads
from tests.doubles import RecordingSink
from tests.portal.house import NODE, House

MODES = (
    "signed",
    "UNSIGNED-PAYLOAD",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
)
BODIES = {
    "delete-many": b"<Delete><Object><Key>other</Key></Object></Delete>",
    "complete": b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
    "put": b"content",
    "put-part": b"content",
}
VERBS = {
    "list-buckets": ("GET", "/", "", 200),
    "head-bucket": ("HEAD", "/d", "", 200),
    "list": ("GET", "/d", "", 200),
    "list-2": ("GET", "/d", "list-type=2&prefix=a%2Fb", 200),
    "versions": ("GET", "/d", "versions", 200),
    "uploads": ("GET", "/d", "uploads", 200),
    "location": ("GET", "/d", "location", 200),
    "acl": ("GET", "/d", "acl", 200),
    "get": ("GET", "/d/there%20%C3%BC", "", 200),
    "head": ("HEAD", "/d/there%20%C3%BC", "", 200),
    "attributes": ("GET", "/d/there%20%C3%BC", "tagging", 200),
    "put": ("PUT", "/d/new", "", 200),
    "delete": ("DELETE", "/d/other", "", 204),
    "delete-many": ("POST", "/d", "delete", 200),
    "delete-nothing": ("DELETE", "/d/missing", "", 204),
    "folder": ("PUT", "/d/some/folder/", "", 200),
    "create": ("POST", "/d/parts", "uploads", 200),
    "put-part": ("PUT", "/d/parts", "partNumber=1&uploadId=99", 404),
    "complete": ("POST", "/d/parts", "uploadId=99", 404),
    "abort": ("DELETE", "/d/parts", "uploadId=99", 404),
    "head-nothing": ("HEAD", "/d/missing", "", 404),
    "get-nowhere": ("GET", "/nowhere/a", "", 404),
    "list-nowhere": ("GET", "/nowhere", "", 404),
    "bucket-again": ("PUT", "/d", "", 200),
}
"""Verb -> method, path, query and what the right key is answered."""


@implementer(IByteSource)
class Bytes:
    """A request's body, which knows whether anybody read it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.read = False

    async def read_into(self, view: memoryview) -> int:
        self.read = True
        piece, self._data = self._data[: len(view)], self._data[len(view) :]
        view[: len(piece)] = piece
        return len(piece)


class Signer:
    """Signs a request from scratch."""

    def __init__(self, access_key: str, secret: str, now: float, host: str) -> None:
        self._host = host
        self._access_key = access_key
        self._stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        self._scope = f"{self._stamp[:8]}/eu-west-9/s3/aws4_request"
        key = ("AWS4" + secret).encode()
        for part in self._scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        self._key = key

    def _sign(self, *lines: str) -> str:
        return hmac.new(self._key, "\n".join(lines).encode(), hashlib.sha256).hexdigest()

    def _hash(self, data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    def request(self, verb: str, mode: str, where: str, other_path: str | None = None, **more: str) -> Request:
        """One request, signed in its `header` or its `query`, or (`nothing`) not at all; `more` are header fields."""
        method, path, query, _ = VERBS[verb]
        path = other_path or path
        content = BODIES.get(verb, b"")
        fields = {"host": self._host, **{name.replace("_", "-"): value for name, value in more.items()}}
        payload = self._hash(content) if mode == "signed" else mode
        if where == "header":
            fields |= {"x-amz-date": self._stamp}
        if where == "header" or mode.startswith("STREAMING"):
            fields |= {"x-amz-content-sha256": payload}
        elif where == "query":
            payload = "UNSIGNED-PAYLOAD"
        if mode.startswith("STREAMING"):
            fields |= {"x-amz-decoded-content-length": str(len(content))}
            if mode.endswith("TRAILER"):
                fields |= {"x-amz-trailer": "x-amz-checksum-sha256"}
        names = ";".join(sorted(fields))
        parameters = [tuple(part.partition("=")[::2]) for part in query.split("&") if part]
        if where == "query":
            credential = quote(f"{self._access_key}/{self._scope}", safe="")
            parameters += [
                ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
                ("X-Amz-Credential", credential),
                ("X-Amz-Date", self._stamp),
                ("X-Amz-Expires", "60"),
                ("X-Amz-SignedHeaders", quote(names, safe="")),
            ]
        canonical = "\n".join(
            (
                method,
                path,
                "&".join(f"{name}={value}" for name, value in sorted(parameters)),
                *(f"{name}:{fields[name]}" for name in sorted(fields)),
                "",
                names,
                payload,
            )
        )
        signature = self._sign("AWS4-HMAC-SHA256", self._stamp, self._scope, self._hash(canonical.encode()))
        if where == "query":
            parameters.append(("X-Amz-Signature", signature))
        elif where == "header":
            credential = f"{self._access_key}/{self._scope}"
            fields["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        data = self._coded(content, mode, signature) if mode.startswith("STREAMING") else content
        query = "&".join(f"{name}={value}" for name, value in parameters)
        length = len(data)
        target = f"{path}?{query}".encode()
        headers = Headers(fields.items())
        return Request(method, target, path, query, headers, "1.1", "192.0.2.7", True, length, Bytes(data))

    def form_fields(self, bucket: str, key: str) -> dict[str, str]:
        """The fields of a form that may put one object, for ten minutes."""
        ends = datetime.strptime(self._stamp, "%Y%m%dT%H%M%SZ") + timedelta(minutes=10)
        fields = {
            "key": key,
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": f"{self._access_key}/{self._scope}",
            "x-amz-date": self._stamp,
        }
        conditions = [{name: value} for name, value in {**fields, "bucket": bucket}.items()]
        policy = json.dumps({"expiration": f"{ends.isoformat()}Z", "conditions": conditions})
        encoded = base64.b64encode(policy.encode()).decode()
        return {**fields, "policy": encoded, "x-amz-signature": self._sign(encoded)}

    def _coded(self, content: bytes, mode: str, last: str) -> bytes:
        """The content in one chunk, and its trailer."""
        out = b""
        for chunk in (content, b"") if content else (b"",):
            extension = ""
            if "HMAC" in mode:
                empty = self._hash(b"")
                last = self._sign("AWS4-HMAC-SHA256-PAYLOAD", self._stamp, self._scope, last, empty, self._hash(chunk))
                extension = f";chunk-signature={last}"
            out += f"{len(chunk):x}{extension}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
        if mode.endswith("TRAILER"):
            value = base64.b64encode(hashlib.sha256(content).digest()).decode()
            out += f"x-amz-checksum-sha256:{value}\r\n".encode()
            if "HMAC" in mode:
                digest = self._hash(f"x-amz-checksum-sha256:{value}\n".encode())
                signature = self._sign("AWS4-HMAC-SHA256-TRAILER", self._stamp, self._scope, last, digest)
                out += f"x-amz-trailer-signature:{signature}\r\n".encode()
        return out + b"\r\n"


class Matrix(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = RecordingSink()
        self.house = House(self, self.sink)
        self.house.add_destination("d")
        self.user = self.house.add_user("ann", ("d",))
        key, self.secret = self.house.now(self.house.operations.add_access_key("ann", None, None, None))
        self.access_key = key.id
        self.files = self.house.files_of(self.user)
        self.door = S3Door(self.house.portal, NODE, self.house.limits, InlineThreads(), self.house.clock.seconds)
        for name in ("there ü", "other"):
            self.house.now(self._put(name))

    async def _put(self, name: str) -> None:
        upload = await self.files.open_write(f"/d/{name}")
        await upload.receive(Bytes(b"old"))
        await upload.commit()

    def signer(self, secret: str, access_key: str | None = None, ago: float = 0.0, host: str = "example.org") -> Signer:
        return Signer(access_key or self.access_key, secret, self.house.clock.seconds() - ago, host)

    def answer(self, request: Request) -> Response:
        response: Response = self.house.now(self.door.handle(request))
        if not isinstance(response.body, bytes):
            self.assertTrue(IBody.providedBy(response.body))
            response.body.close()
        return response

    def contents(self) -> dict[str, int]:
        """Every key, and the data file it points at."""
        page = self.house.now(self.house.master.keys("d", "", "", "", 100))
        return {entry.path: entry.file.id for entry in page.entries}

    def cells(self) -> Iterator[tuple[str, str, str]]:
        for verb, mode, where in product(VERBS, MODES, ("header", "query")):
            if verb in BODIES or mode in ("signed", "UNSIGNED-PAYLOAD"):
                yield verb, mode, where

    def test_the_right_key_is_answered(self) -> None:
        for verb, mode, where in self.cells():
            before = len(self.sink.of("DEA"))
            request = self.signer(self.secret).request(verb, mode, where)
            response = self.answer(request)
            self.assertEqual(response.status, VERBS[verb][3], (verb, mode, where, response.body))
            refused = len(self.sink.of("DEA")) - before
            self.assertEqual(refused, int(response.status >= 400), (verb, self.sink.of("DEA")[before:]))

    def test_any_other_is_refused_and_changes_nothing(self) -> None:
        before = self.contents()
        for verb, mode, where in self.cells():
            for signer, way in (
                (self.signer("wrong"), where),
                (self.signer(self.secret, access_key="AKUNKNOWN"), where),
                (self.signer(self.secret, ago=1000), where),
                (self.signer(self.secret), "nothing"),
            ):
                request = signer.request(verb, mode, way)
                response = self.answer(request)
                # S3 tells anybody which buckets there are not.
                wanted = 404 if verb.endswith("-nowhere") and way == "nothing" else 403
                self.assertEqual(response.status, wanted, (verb, mode, way, response.body))
                self.assertFalse(request.body.read, "a byte of the body was asked for")  # type: ignore[attr-defined]
        self.assertEqual(self.contents(), before)

    def test_a_changed_byte_of_a_body_publishes_nothing(self) -> None:
        before = self.contents()
        for mode in MODES:
            if mode in ("UNSIGNED-PAYLOAD",):
                continue
            request = self.signer(self.secret).request("put", mode, "header")
            data = request.body._data.replace(b"content", b"c0ntent")  # type: ignore[attr-defined]
            request.body = Bytes(data)
            response = self.answer(request)
            self.assertIn(response.status, (400, 403), (mode, response.body))
            self.assertEqual(self.contents(), before, mode)
        self.assertEqual(len(self.house.stored()), 2, "nothing is left on the volume")

    def test_a_method_or_a_path_or_a_header_of_another_request(self) -> None:
        for change in (
            {"method": "DELETE"},
            {"path": "/d/other"},
            {"query": "acl"},
            {"headers": "host"},
        ):
            request = self.signer(self.secret).request("get", "signed", "header")
            for name, value in change.items():
                if name == "headers":
                    fields = [pair for pair in request.headers.items() if pair[0] != value]
                    request.headers = Headers([*fields, (value, "elsewhere.example")])
                else:
                    setattr(request, name, value)
            self.assertEqual(self.answer(request).status, 403, change)

    def test_a_bucket_in_the_host_s_name(self) -> None:
        house = self.house
        self.door = S3Door(house.portal, NODE, house.limits, InlineThreads(), house.clock.seconds, "S3.example.org")
        for host, path, status in (
            ("d.s3.example.org", "/there%20%C3%BC", 200),
            ("D.S3.Example.Org:9000", "/there%20%C3%BC", 200),
            ("s3.example.org", "/d/there%20%C3%BC", 200),
            ("example.org", "/d/there%20%C3%BC", 200),
            ("d.s3.example.org", "/d/there%20%C3%BC", 404),
            ("nowhere.s3.example.org", "/there%20%C3%BC", 404),
            ("ds3.example.org", "/there%20%C3%BC", 404),
        ):
            request = self.signer(self.secret, host=host).request("get", "signed", "header", path)
            self.assertEqual(self.answer(request).status, status, (host, path))

    def test_a_path_is_decoded_once_for_the_signature_and_for_the_name(self) -> None:
        for raw in ("/d/%6Fther", "/d%2Fother"):
            request = self.signer(self.secret).request("delete", "signed", "header")
            request.path = raw
            self.assertEqual(self.answer(request).status, 204)
            self.assertEqual(list(self.contents()), ["there ü"])
            self.house.now(self._put("other"))
        request = self.signer(self.secret).request("delete", "signed", "header")
        request.path = "/d/%256Fther"
        self.assertEqual(self.answer(request).status, 403)


class Forms(Matrix):
    """The same of forms: the policy is signed, by fields."""

    def form(self, signer: Signer, way: str, content: bytes = b"content") -> Request:
        fields = signer.form_fields("d", "new") if way == "policy" else {"key": "new"}
        data = b"".join(
            b'--xyz\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), value.encode())
            for name, value in fields.items()
        )
        data += b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + content + b"\r\n--xyz--\r\n"
        headers = Headers({"host": "example.org", "content-type": "multipart/form-data; boundary=xyz"}.items())
        return Request("POST", b"/d", "/d", "", headers, "1.1", "192.0.2.7", True, len(data), Bytes(data))

    def test_the_right_key_is_answered(self) -> None:
        response = self.answer(self.form(self.signer(self.secret), "policy"))
        self.assertEqual(response.status, 204, response.body)
        self.assertIn("new", self.contents())

    def test_any_other_is_refused_and_changes_nothing(self) -> None:
        before = self.contents()
        for signer, way in (
            (self.signer("wrong"), "policy"),
            (self.signer(self.secret, access_key="AKUNKNOWN"), "policy"),
            (self.signer(self.secret, ago=1000), "policy"),
            (self.signer(self.secret), "nothing"),
        ):
            records = len(self.sink.of("DEA"))
            response = self.answer(self.form(signer, way))
            self.assertEqual(response.status, 403, (way, response.body))
            self.assertEqual(len(self.sink.of("DEA")), records + 1)
        self.assertEqual(self.contents(), before)

    def test_a_changed_byte_of_a_body_publishes_nothing(self) -> None:
        """Of a form that is the policy: nothing signs the file."""
        before = self.contents()
        request = self.form(self.signer(self.secret), "policy")
        request.body = Bytes(request.body._data.replace(b"\r\nnew\r\n", b"\r\nold\r\n"))  # type: ignore[attr-defined]
        self.assertEqual(self.answer(request).status, 403)
        self.assertEqual(self.contents(), before)

    def test_a_form_that_is_cut_short_publishes_nothing(self) -> None:
        before = self.contents()
        whole = self.form(self.signer(self.secret), "policy").body._data  # type: ignore[attr-defined]
        for end in range(0, len(whole), 7):
            request = self.form(self.signer(self.secret), "policy")
            request.body = Bytes(whole[: min(end, len(whole) - 10)])
            self.assertIn(self.answer(request).status, (400, 403), end)
        self.assertEqual(self.contents(), before)
        self.assertEqual(len(self.house.stored()), 2, "nothing is left on the volume")


class Table(SynchronousTestCase):
    def test_it_is_total(self) -> None:
        self.assertEqual(set(TABLE), set(refusals()))
