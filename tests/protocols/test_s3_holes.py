"""Holes that other object stores had, each under its own name. Those about signatures and payloads are the matrix's."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from ecpds.http.message import Headers
from ecpds.http.message import Request as HttpRequest
from ecpds.model import Origin
from ecpds.people import UserChange
from ecpds.terms import AllocationRequest
from tests.protocols.test_s3_matrix import BODIES, VERBS, Bytes, Forms, Matrix

TRAVERSALS = ("public/../private", "public//../private", "public/./../private", "./private", "public/..%2Fprivate")


class Holes(Matrix):
    """The house of the matrix, without its tests."""

    def ask(self, verb: str, path: str | None = None, **fields: str) -> tuple[int, bytes]:
        request = self.signer(self.secret).request(verb, "UNSIGNED-PAYLOAD", "header", path, **fields)
        response = self.answer(request)
        return response.status, response.body if isinstance(response.body, bytes) else b""

    def limit(self, *permissions: str, **options: str) -> None:
        """From now on the key may do just this."""
        key, self.secret = self.house.now(self.house.operations.add_access_key("ann", None, permissions or None, None))
        self.access_key = key.id
        if options:
            named = {f"portal.{name}": text for name, text in options.items()}
            self.house.now(self.house.operations.change_user("ann", UserChange(options=named)))


for inherited in [name for name in vars(Matrix) if name.startswith("test_")]:
    setattr(Holes, inherited, None)


class VersitygwCd0b4e6d(Holes):
    """A policy on `public/*` matched `public/../private.txt`, which the file system then resolved."""

    def test_no_verb_takes_such_a_key(self) -> None:
        self.house.now(self._put_private())
        self.limit(getPathPermRegex="/d/public/.*", putPathPermRegex="/d/public/.*")
        before = self.contents()
        for verb, (_, path, _, _) in VERBS.items():
            if path.count("/") < 2 or verb in ("get-nowhere",):
                continue
            for key in TRAVERSALS:
                status, body = self.ask(verb, f"/d/{key}")
                self.assertIn(status, (400, 403), (verb, key, body))
        self.assertEqual(self.contents(), before)

    async def _put_private(self) -> None:
        upload = await self.files.open_write("/d/private")
        await upload.receive(Bytes(b"secret"))
        await upload.commit()


class Versitygw67aaa80d(Holes):
    """A copy's source was decoded in one place and split in another (`%3FversionId=`)."""

    def test_what_is_encoded_is_a_part_of_the_key(self) -> None:
        for source, status in (
            ("/d/there%20%C3%BC", 200),
            ("d/there%20%C3%BC", 200),
            ("d%2Fthere%20%C3%BC", 200),
            ("/d/there%20%C3%BC?versionId=null", 200),
            ("/d/there%20%C3%BC%3FversionId=null", 404),
            ("/d/there%2520%25C3%25BC", 404),
            ("/d/there%20%C3%BC?versionId=1", 400),
            ("/d/%ff", 400),
            ("/d", 400),
            ("", 400),
        ):
            self.assertEqual(self.ask("put", "/d/copy", x_amz_copy_source=source)[0], status, source)

    @settings(max_examples=60, deadline=None)
    @given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30))
    def test_nonsense(self, source: str) -> None:
        self.assertIn(self.ask("put", "/d/copy", x_amz_copy_source=source.strip())[0], (200, 400, 404))


class VersitygwEecc1a77(Holes):
    """A form's key was not checked. Every way to name an object goes through one function."""

    def test_a_key_that_is_no_path_is_refused_wherever_it_stands(self) -> None:
        before = self.contents()
        for key in ("../out", "a/../../out", "a//b", "a/./b", "a\x07b", "o" * 256):
            raw = quote(f"/d/{key}")
            for verb in ("put", "create"):
                self.assertEqual(self.ask(verb, raw)[0], 400, (verb, key))
            self.assertEqual(self.ask("put", "/d/copy", x_amz_copy_source=raw)[0], 400, key)
            form = Forms.form(self, self.signer(self.secret), "policy")  # type: ignore[arg-type]
            data = self.signer(self.secret).form_fields("d", key)
            body = b"".join(
                b'--xyz\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), value.encode())
                for name, value in data.items()
            )
            body += b'--xyz\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--xyz--\r\n'
            form.body = Bytes(body)
            self.assertEqual(self.answer(form).status, 400, key)
        self.assertEqual(self.contents(), before)

    def test_in_a_list_to_delete(self) -> None:
        self.patch_body("delete-many", b"<Delete><Object><Key>x/../other</Key></Object></Delete>")
        status, body = self.ask("delete-many")
        self.assertEqual((status, b"InvalidURI" in body), (200, True))
        self.assertIn("other", self.contents())

    def patch_body(self, verb: str, body: bytes) -> None:
        old = BODIES[verb]
        BODIES[verb] = body
        self.addCleanup(BODIES.__setitem__, verb, old)


class SeaweedfsC61d22761(Holes):
    """CopyObject and UploadPartCopy checked the destination's rights alone."""

    def test_who_may_not_read_may_not_copy(self) -> None:
        self.limit("put", "dir")
        source = "/d/there%20%C3%BC"
        self.assertEqual(self.ask("put", "/d/copy", x_amz_copy_source=source)[0], 403)
        self.assertEqual(self.ask("put-part", "/d/copy", x_amz_copy_source=source)[0], 404)  # no such upload
        upload = self.house.now(self.house.master.create_upload(self._request()))
        VERBS["put-part"] = ("PUT", "/d/copy", f"partNumber=1&uploadId={upload}", 404)
        self.addCleanup(VERBS.__setitem__, "put-part", ("PUT", "/d/parts", "partNumber=1&uploadId=99", 404))
        self.assertEqual(self.ask("put-part", "/d/copy", x_amz_copy_source=source)[0], 403)
        self.assertNotIn("copy", self.contents())

    def _request(self) -> AllocationRequest:
        return AllocationRequest(self.user.id, "d", "copy", Origin("s3", "192.0.2.1", "node-1"))


class MinioCve202562506(Holes):
    """A service account could do more than its parent. An access key may do less than its user, never more."""

    def test_a_key_s_rights_are_some_of_its_user_s(self) -> None:
        self.limit("get", "delete")
        self.assertEqual(self.ask("put")[0], 403)
        self.house.now(self.house.operations.change_user("ann", UserChange(permissions=("put",))))
        self.assertEqual(self.ask("delete")[0], 403)
        self.assertIn("other", self.contents())

    def test_nor_does_it_make_buckets_for_a_user_who_does(self) -> None:
        self.limit("get", makesBuckets="true")
        VERBS["make"] = ("PUT", "/made", "", 200)
        self.addCleanup(VERBS.pop, "make")
        self.assertEqual(self.ask("make")[0], 403)


class MinioGhsa3rh2V3grRp9(Holes):
    """Internal headers that a client sent became an object's metadata."""

    def test_our_own_names_are_nobody_s_to_send(self) -> None:
        names = ("s3-etag", "s3-checksum", "s3-parts", "s3-part-sums", "s3-acl")
        self.assertEqual(self.ask("put", None, **{name: "forged" for name in names})[0], 200)
        metadata = self.house.now(self.files.stat("/d/new")).file.metadata
        self.assertEqual(set(metadata) & set(names), set())


class LakefsCve202568671(Holes):
    """The date of a signature was not checked, so a request could be sent again for ever."""

    def test_requests_of_another_time(self) -> None:
        for ago in (1000.0, -1000.0, 86400.0, 86400.0 * 365):
            request = self.signer(self.secret, ago=ago).request("get", "signed", "header")
            self.assertEqual(self.answer(request).status, 403, ago)
        late = self.signer(self.secret, ago=61.0).request("get", "UNSIGNED-PAYLOAD", "query")
        self.assertEqual(self.answer(late).status, 403)

    def test_a_scope_of_another_day(self) -> None:
        request = self.signer(self.secret).request("get", "signed", "header")
        stamp = request.headers.get("x-amz-date") or ""
        fields = [(name, value.replace(f"/{stamp[:8]}/", "/20200101/")) for name, value in request.headers.items()]
        request.headers = Headers(fields)
        self.assertEqual(self.answer(request).status, 400)


class CrushftpCve202531161(Holes):
    """A malformed Authorization left a session behind. Here nothing of a request outlives it."""

    @settings(max_examples=200, deadline=None)
    @given(
        st.text(st.characters(codec="ascii"), max_size=120)
        | st.sampled_from(["AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=/"])
    )
    def test_nonsense_is_nobody(self, field: str) -> None:
        request = self.signer(self.secret).request("get", "signed", "nothing")
        request.headers = Headers(
            [("host", "example.org"), ("authorization", field), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]
        )
        self.assertIn(self.answer(request).status, (400, 403))
        after = self.signer(self.secret).request("get", "signed", "nothing")
        self.assertEqual(self.answer(after).status, 403)

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_a_signed_header_with_something_changed(self, data: st.DataObject) -> None:
        request: HttpRequest = self.signer(self.secret).request("get", "signed", "header")
        good = request.headers.get("authorization") or ""
        place = data.draw(st.integers(0, len(good) - 1))
        other = data.draw(st.characters(codec="ascii", exclude_categories=["Cc"]).filter(lambda one: one != good[place]))
        changed = good[:place] + other + good[place + 1 :]
        if changed.replace(" ", "") == good.replace(" ", ""):
            return
        fields = [(name, changed if name == "authorization" else value) for name, value in request.headers.items()]
        request.headers = Headers(fields)
        self.assertIn(self.answer(request).status, (400, 403))
