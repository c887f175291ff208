"""What S3's reference says of buckets, lists and strangers, asked by boto3.

The field's own suite (`test_s3_suite.py`) has to be fetched; this one, written from the reference, is always there.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tests.real.harness import DESTINATION, PASSWORD
from tests.real.s3_users import HTTP, MAKES_BUCKETS, Conformance


class Buckets(Conformance):
    def test_names(self) -> None:
        for name in ("a", "aa", "_x1", "alpha_beta", "foo-", "foo..bar", "foo.-bar", "foo-.bar", "192.168.5.123", "Upper"):
            self.assertEqual(self.refused(self.main.create_bucket, Bucket=name), ("InvalidBucketName", 400), name)
        for length in (3, 60, 63):
            self.main.create_bucket(Bucket="l" * length)
            self.main.delete_bucket(Bucket="l" * length)

    def test_one_that_is_there(self) -> None:
        mine, open_one = self.bucket(), self.bucket(ACL="public-read")
        self.put(mine, "k")
        self.main.create_bucket(Bucket=mine)
        self.assertEqual(self.body(mine, "k"), b"k")
        self.assertEqual(self.refused(self.main.create_bucket, Bucket=mine, ACL="public-read"), ("BucketAlreadyExists", 409))
        self.assertEqual(self.refused(self.main.create_bucket, Bucket=open_one), ("BucketAlreadyExists", 409))
        self.assertEqual(self.refused(self.alt.create_bucket, Bucket=mine), ("BucketAlreadyExists", 409))

    def test_another_s_is_not_mine_to_use(self) -> None:
        mine = self.bucket()
        for verb in (self.alt.delete_bucket, self.alt.list_objects, self.alt.head_bucket):
            self.assertEqual(self.refused(verb, Bucket=mine)[1], 403)
        self.assertEqual(self.refused(self.alt.put_object, Bucket=mine, Key="k", Body=b"")[1], 403)
        self.assertEqual(self.refused(self.alt.list_objects, Bucket="never-made"), ("NoSuchBucket", 404))

    def test_a_key_that_can_be_no_path(self) -> None:
        with self.assertRaises(ClientError) as caught:
            self.main.get_object(Bucket=self.bucket(), Key="\xae\x8a-")
        error = caught.exception.response["Error"]
        self.assertEqual((error["Code"], error["Message"]), ("InvalidURI", "Couldn't parse the specified URI."))
        self.assertIn("a control character", error["Detail"])

    def test_what_is_gone_is_gone(self) -> None:
        name = self.bucket()
        self.main.delete_bucket(Bucket=name)
        for verb, more in (
            (self.main.delete_bucket, {}),
            (self.main.list_objects_v2, {}),
            (self.main.get_object, {"Key": "k"}),
        ):
            self.assertEqual(self.refused(verb, Bucket=name, **more), ("NoSuchBucket", 404))

    def test_pages_of_buckets(self) -> None:
        names = sorted(self.bucket() for _ in range(3))
        found, token = [], {}
        while True:
            page = self.main.list_buckets(MaxBuckets=1, Prefix="bucket-", **token)
            found += [each["Name"] for each in page["Buckets"]]
            if "ContinuationToken" not in page:
                break
            token = {"ContinuationToken": page["ContinuationToken"]}
        self.assertLessEqual(set(names), set(found))

    def test_tags(self) -> None:
        name = self.bucket()
        self.assertEqual(self.refused(self.main.get_bucket_tagging, Bucket=name), ("NoSuchTagSet", 404))
        tags = [{"Key": "Hello ü", "Value": "&=+ World"}]
        self.main.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
        self.assertEqual(self.main.get_bucket_tagging(Bucket=name)["TagSet"], tags)
        self.main.delete_bucket_tagging(Bucket=name)
        self.assertEqual(self.refused(self.main.get_bucket_tagging, Bucket=name), ("NoSuchTagSet", 404))

    def test_who_makes_buckets_has_none_to_begin_with(self) -> None:
        self.node.ecpds("user", "add", "maker", "--password-stdin", *MAKES_BUCKETS, stdin=PASSWORD + "\n")
        maker = self.as_user(self.node.json("user", "s3key", "maker", "add"))
        for _ in range(2):
            self.assertEqual(maker.list_buckets()["Buckets"], [])
            self.assertEqual(self.refused(maker.put_object, Bucket="the-first", Key="k", Body=b"x"), ("NoSuchBucket", 404))
            maker.create_bucket(Bucket="the-first")
            maker.put_object(Bucket="the-first", Key="k", Body=b"x")
            maker.delete_object(Bucket="the-first", Key="k")
            maker.delete_bucket(Bucket="the-first")

    def test_what_a_bucket_has_not_is_deleted_at_once(self) -> None:
        name = self.bucket(ACL="public-read")
        self.main.delete_public_access_block(Bucket=name)
        self.main.delete_bucket_cors(Bucket=name)
        self.assertEqual(self.refused(self.main.get_bucket_cors, Bucket=name), ("NoSuchCORSConfiguration", 404))
        self.assertEqual(self.refused(self.stranger.delete_bucket_cors, Bucket=name), ("AccessDenied", 403))

    def test_whether_it_is_public(self) -> None:
        for acl, public in (("private", False), ("public-read", True), ("authenticated-read", True)):
            status = self.main.get_bucket_policy_status(Bucket=self.bucket(ACL=acl))
            self.assertEqual(status["PolicyStatus"]["IsPublic"], public, acl)

    def test_what_a_browser_may_send_from_elsewhere(self) -> None:
        url = f"{self.endpoint('http')}/{self.bucket(ACL='public-read')}/k"
        asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
        for fields, status, code in (({}, 400, b"BadRequest"), (asked, 403, b"AccessForbidden")):
            answer = HTTP.request("OPTIONS", url, headers=fields)
            self.assertEqual((answer.status, code in answer.data), (status, True), answer.data)
            self.assertNotIn("Access-Control-Allow-Origin", answer.headers)

    def test_where_it_is(self) -> None:
        name = self.bucket(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self.assertEqual(self.main.get_bucket_location(Bucket=name)["LocationConstraint"], "eu-central-1")
        self.assertEqual(self.main.head_bucket(Bucket=name)["BucketRegion"], "eu-central-1")
        self.assertIsNone(self.main.get_bucket_location(Bucket=self.bucket())["LocationConstraint"])
        bad = {"LocationConstraint": "no where"}
        refused = self.refused(self.main.create_bucket, Bucket="bucket-no-where", CreateBucketConfiguration=bad)
        self.assertEqual(refused, ("InvalidLocationConstraint", 400))

    def test_the_expected_owner(self) -> None:
        name = self.bucket()
        owner = self.main.get_bucket_acl(Bucket=name)["Owner"]["ID"]
        self.main.list_objects(Bucket=name, ExpectedBucketOwner=owner)
        self.assertEqual(self.refused(self.main.list_objects, Bucket=name, ExpectedBucketOwner="x")[1], 403)
        self.assertEqual(self.refused(self.main.put_object, Bucket=name, Key="k", ExpectedBucketOwner="x")[1], 403)

    def test_how_suites_clean_up(self) -> None:
        name = self.bucket()
        self.put(name, *(f"k{number}" for number in range(5)), "folder/a")
        self.main.put_object(Bucket=name, Key="folder/")
        pages = self.main.get_paginator("list_object_versions").paginate(Bucket=name, PaginationConfig={"PageSize": 2})
        for page in pages:
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in page["Versions"]]
            done = self.main.delete_objects(
                Bucket=name, Delete={"Objects": objects, "Quiet": True}, BypassGovernanceRetention=True
            )
            self.assertNotIn("Errors", done)
        self.main.delete_bucket(Bucket=name)


class Lists(Conformance):
    def test_an_empty_continuation_token_begins(self) -> None:
        name = self.bucket()
        self.put(name, "a", "b")
        page = self.main.list_objects_v2(Bucket=name, ContinuationToken="")
        self.assertEqual((page["ContinuationToken"], page["KeyCount"]), ("", 2))

    def test_what_can_not_be_printed(self) -> None:
        name = self.bucket()
        self.put(name, "bar", "foo")
        for verb, marker in ((self.main.list_objects, "Marker"), (self.main.list_objects_v2, "StartAfter")):
            page = verb(Bucket=name, Delimiter="\n", Prefix="", **{marker: "\n"})
            self.assertEqual((page["Delimiter"], page[marker]), ("\n", "\n"))
            self.assertEqual([each["Key"] for each in page["Contents"]], ["bar", "foo"])
        for verb in (self.main.list_objects, self.main.list_objects_v2):
            page = verb(Bucket=name, Prefix="\n")
            self.assertEqual((page["Prefix"], "Contents" in page), ("\n", False))

    def test_encoded(self) -> None:
        name = self.bucket()
        self.put(name, "foo+1/bar", "foo/bar/xyzzy", "quux ab/thud", "asdf+b")
        for verb in (self.main.list_objects, self.main.list_objects_v2):
            page = verb(Bucket=name, Delimiter="/", EncodingType="url")
            self.assertEqual([each["Key"] for each in page["Contents"]], ["asdf%2Bb"])
            self.assertEqual([each["Prefix"] for each in page["CommonPrefixes"]], ["foo%2B1/", "foo/", "quux%20ab/"])

    def test_every_page_size_gives_the_same_list(self) -> None:
        name = self.bucket()
        keys = ["a", "b-c", "b/a", "b/b/c", "b/d", "b0", "c/", "d"]
        for key in keys:
            self.main.put_object(Bucket=name, Key=key)
        for size in range(1, 9):
            for verb in ("list_objects", "list_objects_v2"):
                pages = self.main.get_paginator(verb).paginate(Bucket=name, PaginationConfig={"PageSize": size})
                found = [each["Key"] for page in pages for each in page.get("Contents", [])]
                self.assertEqual(found, keys, (verb, size))

    def test_odd_names(self) -> None:
        name = self.bucket()
        keys = sorted([" ", '"', "$", "%", "&", "'", "<", ">", "_", "_ ", "_ _", "__", "ü", "a+b c"])
        self.put(name, *keys)
        self.assertEqual([each["Key"] for each in self.main.list_objects(Bucket=name)["Contents"]], keys)
        for key in keys:
            self.assertEqual(self.body(name, key), key.encode())

    def test_numbers_that_are_none(self) -> None:
        answer = HTTP.request("GET", self.presigned("list_objects", Bucket=self.bucket()) + "&max-keys=blah")
        self.assertEqual(answer.status, 403, "it was not signed")
        self.assertEqual(self.main.list_objects(Bucket=self.bucket(), MaxKeys=0)["IsTruncated"], False)

    def presigned(self, verb: str, **named: Any) -> str:
        client = self.client("http", signature_version="s3v4")
        url: str = client.generate_presigned_url(verb, Params=named)
        return url


class Strangers(Conformance):
    def test_nobody_comes_in_where_nothing_is_open(self) -> None:
        bucket = self.bucket()
        self.put(bucket, "k")
        for name, told in ((bucket, ("AccessDenied", 403)), ("never-made", ("NoSuchBucket", 404))):
            for verb, more in (
                (self.stranger.list_objects, {}),
                (self.stranger.get_object, {"Key": "k"}),
                (self.stranger.delete_object, {"Key": "k"}),
            ):
                self.assertEqual(self.refused(verb, Bucket=name, **more), told)
        self.assertEqual(self.refused(self.stranger.put_object, Bucket=bucket, Key="k", Body=b"y")[1], 403)
        self.assertEqual(self.body(bucket, "k"), b"k")

    def test_what_is_open_for_reading(self) -> None:
        bucket = self.bucket(ACL="public-read")
        self.put(bucket, "mine")
        self.main.put_object(Bucket=bucket, Key="k", Body="k", ACL="public-read")
        self.assertEqual(self.stranger.get_object(Bucket=bucket, Key="k")["Body"].read(), b"k")
        self.assertEqual(self.alt.get_object(Bucket=bucket, Key="k")["Body"].read(), b"k")
        self.assertEqual(len(self.stranger.list_objects_v2(Bucket=bucket)["Contents"]), 2)
        self.assertEqual(self.refused(self.stranger.get_object, Bucket=bucket, Key="mine"), ("AccessDenied", 403))
        self.assertEqual(self.refused(self.stranger.get_object, Bucket=bucket, Key="none"), ("NoSuchKey", 404))
        self.assertEqual(self.refused(self.stranger.put_object, Bucket=bucket, Key="k", Body=b"")[1], 403)
        self.assertEqual(self.refused(self.stranger.create_bucket, Bucket=bucket, ACL="public-read"), ("AccessDenied", 403))
        self.main.put_object_acl(Bucket=bucket, Key="mine", ACL="public-read")
        self.stranger.get_object(Bucket=bucket, Key="mine")

    def test_what_an_operator_opens_is_open_with_all_that_is_in_it(self) -> None:
        self.node.ecpds("destination", "set", DESTINATION, "--option", "s3.acl=public-read")
        self.addCleanup(self.node.ecpds, "destination", "set", DESTINATION, "--unset", "s3.acl")
        self.put(DESTINATION, "open")
        self.main.put_object(Bucket=DESTINATION, Key="mine", ACL="private")
        self.assertEqual(self.stranger.get_object(Bucket=DESTINATION, Key="open")["Body"].read(), b"open")
        self.assertEqual(self.refused(self.stranger.get_object, Bucket=DESTINATION, Key="mine"), ("AccessDenied", 403))

    def test_one_object_that_is_open(self) -> None:
        bucket = self.bucket()
        self.put(bucket, "mine")
        self.main.put_object(Bucket=bucket, Key="k", Body="k", ACL="public-read")
        for client in (self.stranger, self.alt):
            self.assertEqual(client.get_object(Bucket=bucket, Key="k")["Body"].read(), b"k")
            self.assertEqual(client.head_object(Bucket=bucket, Key="k")["ContentLength"], 1)
            for verb, named in (
                (client.get_object, {"Key": "mine"}),
                (client.get_object, {"Key": "none"}),
                (client.get_object, {"Key": "not//a/path"}),
                (client.get_object, {"Key": "mine", "VersionId": "other"}),
                (client.list_objects_v2, {}),
                (client.get_bucket_acl, {}),
                (client.get_bucket_location, {}),
                (client.put_object, {"Key": "k", "Body": b""}),
                (client.put_object_acl, {"Key": "k", "ACL": "public-read-write"}),
                (client.delete_object, {"Key": "k"}),
            ):
                self.assertEqual(self.refused(verb, Bucket=bucket, **named), ("AccessDenied", 403), (verb, named))
        self.main.put_object_acl(Bucket=bucket, Key="k", ACL="authenticated-read")
        self.alt.get_object(Bucket=bucket, Key="k")
        self.assertEqual(self.refused(self.stranger.get_object, Bucket=bucket, Key="k"), ("AccessDenied", 403))

    def test_who_makes_no_buckets_learns_of_no_name_by_it(self) -> None:
        self.node.ecpds("user", "add", "reader", "--password-stdin", "--destination", DESTINATION, stdin=PASSWORD + "\n")
        reader, bucket = self.as_user(self.node.json("user", "s3key", "reader", "add")), self.bucket()
        self.main.put_object(Bucket=bucket, Key="k", Body="k", ACL="public-read")
        self.assertEqual(reader.get_object(Bucket=bucket, Key="k")["Body"].read(), b"k")
        source = {"Bucket": bucket, "Key": "k"}
        reader.copy_object(Bucket=DESTINATION, Key="copied", CopySource=source)
        for name in (bucket, "never-made"):
            self.assertEqual(self.refused(reader.get_object, Bucket=name, Key="mine"), ("NoSuchBucket", 404))
            self.assertEqual(self.refused(reader.list_objects, Bucket=name), ("NoSuchBucket", 404))
            copied = self.refused(reader.copy_object, Bucket=DESTINATION, Key="c", CopySource={"Bucket": name, "Key": "mine"})
            self.assertEqual(copied, ("NoSuchBucket", 404))

    def test_a_copy_has_the_acl_that_it_is_made_with(self) -> None:
        bucket = self.bucket()
        self.main.put_object(Bucket=bucket, Key="k", Body="k", ACL="public-read")
        source = {"Bucket": bucket, "Key": "k"}
        self.main.copy_object(Bucket=bucket, Key="closed", CopySource=source)
        self.main.copy_object(Bucket=bucket, Key="open", CopySource=source, ACL="public-read")
        self.stranger.get_object(Bucket=bucket, Key="open")
        self.assertEqual(self.refused(self.stranger.get_object, Bucket=bucket, Key="closed"), ("AccessDenied", 403))
        self.main.put_object(Bucket=bucket, Key="k", Body="k")
        self.assertEqual(self.refused(self.stranger.get_object, Bucket=bucket, Key="k"), ("AccessDenied", 403))

    def test_what_is_open_for_writing(self) -> None:
        bucket = self.bucket(ACL="public-read-write")
        self.stranger.put_object(Bucket=bucket, Key="from", Body=b"anybody")
        self.assertEqual(self.body(bucket, "from"), b"anybody")
        self.assertEqual(self.refused(self.stranger.create_multipart_upload, Bucket=bucket, Key="k")[1], 403)

    def test_who_visits_puts_parts_of_its_own(self) -> None:
        bucket = self.bucket(ACL="public-read-write")
        made = {each: each.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"] for each in (self.main, self.alt)}
        for client in made:
            listed = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
            self.assertEqual([each["Initiator"]["ID"] for each in listed], ["ann", "alt"])
            self.assertEqual([each["Owner"]["ID"] for each in listed], ["ann", "alt"])
        named = {"Bucket": bucket, "Key": "k"}
        self.assertEqual(self.refused(self.alt.list_parts, UploadId=made[self.main], **named), ("NoSuchUpload", 404))
        part = {
            "PartNumber": 1,
            "ETag": self.alt.upload_part(PartNumber=1, UploadId=made[self.alt], Body=b"x", **named)["ETag"],
        }
        self.alt.complete_multipart_upload(UploadId=made[self.alt], MultipartUpload={"Parts": [part]}, **named)
        self.assertEqual(self.body(bucket, "k"), b"x")
        self.main.abort_multipart_upload(UploadId=made[self.main], **named)

    def test_grants_to_one_user(self) -> None:
        bucket = self.bucket()
        self.put(bucket, "k")
        everybody_else = {"Bucket": bucket, "ExpectedBucketOwner": "ann"}
        self.assertEqual(self.refused(self.alt.list_objects_v2, Bucket=bucket), ("AccessDenied", 403))
        policy = {name: self.main.get_bucket_acl(Bucket=bucket)[name] for name in ("Owner", "Grants")}
        self.assertEqual(policy["Owner"]["ID"], "ann")
        to_alt = {"Grantee": {"ID": "alt", "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}
        shared = {**policy, "Grants": [*policy["Grants"], to_alt]}
        self.main.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=shared)
        self.assertEqual(self.alt.get_object(Bucket=bucket, Key="k")["Body"].read(), b"k")
        self.assertEqual(self.refused(self.alt.put_object, Bucket=bucket, Key="c", Body=b"")[1], 403)
        self.main.put_bucket_acl(Bucket=bucket, AccessControlPolicy=shared)
        self.alt.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"})
        self.assertEqual(len(self.alt.list_objects_v2(**everybody_else)["Contents"]), 2)
        found = self.alt.get_bucket_acl(Bucket=bucket)
        self.assertEqual((found["Owner"]["ID"], [each["Grantee"]["ID"] for each in found["Grants"]]), ("ann", ["alt", "ann"]))
        self.assertEqual(self.refused(self.alt.delete_bucket, Bucket=bucket)[1], 403)
        self.alt.put_bucket_acl(Bucket=bucket, ACL="private")
        self.assertEqual(self.refused(self.alt.get_bucket_acl, Bucket=bucket), ("AccessDenied", 403))

    def test_each_right_is_granted_by_a_header(self) -> None:
        asked = {
            "GrantRead": lambda bucket: self.alt.head_bucket(Bucket=bucket),
            "GrantWrite": lambda bucket: self.alt.put_object(Bucket=bucket, Key="k", Body=b"x"),
            "GrantReadACP": lambda bucket: self.alt.get_bucket_acl(Bucket=bucket),
            "GrantWriteACP": lambda bucket: self.alt.put_bucket_acl(Bucket=bucket, ACL="private"),
        }
        for right in asked:
            bucket = self.bucket(**{right: 'id="alt"'})
            self.assertEqual(self.refused(self.stranger.get_bucket_acl, Bucket=bucket)[1], 403)
            for needed, ask in asked.items():
                if needed == right:
                    ask(bucket)
                else:
                    with self.subTest(right=right, needed=needed), self.assertRaisesRegex(ClientError, "403|AccessDenied"):
                        ask(bucket)
        bucket = self.bucket(GrantFullControl="id=alt")
        self.assertEqual(self.alt.get_bucket_acl(Bucket=bucket)["Owner"]["ID"], "ann")

    def test_acls_read_back_what_is(self) -> None:
        bucket = self.bucket()
        self.put(bucket, "k")
        for acl, rights in (
            ("public-read", {"READ"}),
            ("public-read-write", {"READ", "WRITE"}),
            ("authenticated-read", {"READ"}),
            ("private", set()),
        ):
            self.main.put_bucket_acl(Bucket=bucket, ACL=acl)
            self.main.put_object_acl(Bucket=bucket, Key="k", ACL=acl)
            self.main.put_object(Bucket=bucket, Key="put", ACL=acl)
            for found in (
                self.main.get_bucket_acl(Bucket=bucket),
                self.main.get_object_acl(Bucket=bucket, Key="k"),
                self.main.get_object_acl(Bucket=bucket, Key="put"),
            ):
                grants = found["Grants"]
                self.assertEqual({each["Permission"] for each in grants if each["Grantee"]["Type"] == "Group"}, rights)
                self.assertEqual(grants[-1]["Grantee"]["ID"], "ann")

    def test_acls_as_documents(self) -> None:
        bucket = self.bucket()
        self.put(bucket, "k")
        policy = {name: self.main.get_object_acl(Bucket=bucket, Key="k")[name] for name in ("Owner", "Grants")}
        everybody = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
        opened = {**policy, "Grants": [*policy["Grants"], {"Grantee": everybody, "Permission": "READ"}]}
        self.main.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=opened)
        self.stranger.get_object(Bucket=bucket, Key="k")
        self.main.put_bucket_acl(Bucket=bucket, AccessControlPolicy=opened)
        self.stranger.list_objects_v2(Bucket=bucket)
        self.main.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=policy)
        self.assertEqual(self.refused(self.stranger.get_object, Bucket=bucket, Key="k"), ("AccessDenied", 403))
        for grantee, code in (
            ({"Type": "CanonicalUser", "ID": "no login at all"}, "InvalidArgument"),
            ({"Type": "AmazonCustomerByEmail", "EmailAddress": "a@example.org"}, "UnresolvableGrantByEmailAddress"),
        ):
            to_one = {**policy, "Grants": [*policy["Grants"], {"Grantee": grantee, "Permission": "READ"}]}
            self.assertEqual(self.refused(self.main.put_bucket_acl, Bucket=bucket, AccessControlPolicy=to_one)[0], code)
        nobody = {**policy, "Grants": []}
        self.assertEqual(self.refused(self.main.put_bucket_acl, Bucket=bucket, AccessControlPolicy=nobody)[0], "NotImplemented")
