"""What the lists of a bucket say of each key, read back from their XML."""

from __future__ import annotations

from xml.etree import ElementTree

from ecpds.terms import Terms
from tests.protocols.test_s3_holes import Holes
from tests.protocols.test_s3_matrix import VERBS, Bytes

ODD = "a&b <c>"
SPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class Lists(Holes):
    """A bucket with a file whose name is markup, one whose MD5 is known, and a folder that somebody made."""

    def setUp(self) -> None:
        super().setUp()
        self.house.now(self._store(ODD, ()))
        self.house.now(self._store("hashed", ("md5", "sha1"), {"s3-checksum": "sha1"}))
        self.house.now(self.files.make_directory("/d/made"))

    async def _store(self, name: str, digests: tuple[str, ...], metadata: dict[str, str] | None = None) -> None:
        upload = await self.files.open_write(f"/d/{name}", terms=Terms(metadata=metadata or {}, digests=digests))
        await upload.receive(Bytes(b"content"))
        await upload.commit()

    def listed(self, query: str, element: str) -> dict[str, ElementTree.Element]:
        """The elements of a list by their key."""
        VERBS["any-list"] = ("GET", "/d", query, 200)
        self.addCleanup(VERBS.pop, "any-list", None)
        request = self.signer(self.secret).request("any-list", "UNSIGNED-PAYLOAD", "header")
        response = self.answer(request)
        self.assertEqual(response.status, 200)
        assert isinstance(response.body, bytes)
        found = ElementTree.fromstring(response.body).findall(SPACE + element)
        return {each.findtext(f"{SPACE}Key") or "": each for each in found}

    def told(self, element: ElementTree.Element) -> dict[str, str]:
        """The fields of a key in their order; times are left out."""
        fields = [(each.tag.removeprefix(SPACE), each.text or "") for each in element]
        return {name: text for name, text in fields if name not in ("LastModified", "Owner")}

    def test_each_kind_of_key(self) -> None:
        found = self.listed("list-type=2", "Contents")
        self.assertEqual(list(found), [ODD, "hashed", "made/", "other", "there ü"])
        odd, hashed, made = (self.told(found[key]) for key in (ODD, "hashed", "made/"))
        crc = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}
        sha = {"ChecksumAlgorithm": "SHA1", "ChecksumType": "FULL_OBJECT"}
        file = self.house.now(self.files.stat(f"/d/{ODD}")).file
        self.assertEqual(odd, {"Key": ODD, "ETag": f'"{file.id:x}-0"', "Size": "7", "StorageClass": "STANDARD", **crc})
        md5 = '"9a0364b9e99bb480dd25e1f0284c8555"'
        self.assertEqual(hashed, {"Key": "hashed", "ETag": md5, "Size": "7", "StorageClass": "STANDARD", **sha})
        empty = '"d41d8cd98f00b204e9800998ecf8427e"'
        self.assertEqual(made, {"Key": "made/", "ETag": empty, "Size": "0", "StorageClass": "STANDARD"})

    def test_owners_are_told_where_they_are_asked_for(self) -> None:
        for query, element, told in (
            ("list-type=2", "Contents", False),
            ("fetch-owner=true&list-type=2", "Contents", True),
            ("", "Contents", True),
            ("versions", "Version", True),
        ):
            for key, each in self.listed(query, element).items():
                self.assertEqual(each.findtext(f"{SPACE}Owner/{SPACE}ID"), "ann" if told else None, (query, key))

    def test_versions_begin_with_the_one_there_is(self) -> None:
        for key, each in self.listed("versions", "Version").items():
            self.assertEqual(list(self.told(each).items())[:3], [("VersionId", "null"), ("IsLatest", "true"), ("Key", key)])

    def test_keys_that_are_encoded(self) -> None:
        self.assertIn("a%26b%20%3Cc%3E", self.listed("encoding-type=url&list-type=2", "Contents"))

    def test_in_any_order(self) -> None:
        self.assertIn("hashed", self.listed("allow-unordered=true&list-type=2", "Contents"))
        VERBS["any-list"] = ("GET", "/d", "allow-unordered=true&delimiter=%2F", 400)
        self.assertEqual(self.answer(self.signer(self.secret).request("any-list", "UNSIGNED-PAYLOAD", "header")).status, 400)
