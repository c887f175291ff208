"""Digest fields: RFC 9530, RFC 3230 and RFC 1864, row by row."""

from __future__ import annotations

import base64
import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.wire.digests import announced, digest_field, parse_content_md5, parse_digest_field, parse_old_digest

KNOWN = {name: hashlib.new(name, b"hello").hexdigest() for name in ("sha256", "sha512", "sha1", "md5")}
SHA256, SHA512, SHA1, MD5 = (base64.b64encode(bytes.fromhex(KNOWN[name])).decode() for name in KNOWN)

# (rule, Repr-Digest, what it says; None: not well formed)
FIELDS: list[tuple[str, str, dict[str, str] | None]] = [
    ("9530 2 one", f"sha-256=:{SHA256}:", {"sha256": KNOWN["sha256"]}),
    ("9530 2 two", f"sha-256=:{SHA256}:, md5=:{MD5}:", {"sha256": KNOWN["sha256"], "md5": KNOWN["md5"]}),
    ("9530 2 an unknown one", f"sha-999=:AAAA:,sha-512=:{SHA512}:", {"sha512": KNOWN["sha512"]}),
    ("9530 5 an old one", f"sha=:{SHA1}:", {"sha1": KNOWN["sha1"]}),
    (
        "9651 3.1.2 parameters are left aside",
        f'sha-256=:{SHA256}:;a=1; b;c="x, y", md5=:{MD5}:',
        {"sha256": KNOWN["sha256"], "md5": KNOWN["md5"]},
    ),
    ("9651 3.2 the last of a key counts", f"md5=:{base64.b64encode(bytes(16)).decode()}:, md5=:{MD5}:", {"md5": KNOWN["md5"]}),
    ("9651 4.2.7 padding left out", f"md5=:{MD5.rstrip('=')}:", {"md5": KNOWN["md5"]}),
    ("9651 3.2 an empty dictionary", "", {}),
    ("9651 4.2 spaces around", f"  md5=:{MD5}:  ", {"md5": KNOWN["md5"]}),
    ("9530 2 the wrong length", "sha-256=:AAAA:", None),
    ("9651 3.3.5 no colons", f"sha-256={SHA256}", None),
    ("9651 3.3.5 not base64", "sha-256=:*:", None),
    ("9651 3.3.5 one character too many", f"md5=:{MD5.rstrip('=')}AAA:", None),
    ("9651 3.3.5 of the URL alphabet", "md5=:-_-_:", None),
    ("9651 3.2 keys are lower case", f"SHA-256=:{SHA256}:", None),
    ("9651 4.2.2 a comma at the end", f"md5=:{MD5}:,", None),
    ("9651 4.2.2 two commas", f"md5=:{MD5}:,,md5=:{MD5}:", None),
    ("9651 4.2.2 no comma", f"md5=:{MD5}: md5=:{MD5}:", None),
    ("9530 2 no byte sequence", "sha-256", None),
    ("9530 2 a number", "sha-256=1", None),
]

# (rule, Want-Repr-Digest, the algorithms of the answer)
WANTS: list[tuple[str, str | None, list[str]]] = [
    ("9530 4 nothing wanted", None, ["sha-256"]),
    ("9530 4 most wanted first", "md5=3, sha-256=10", ["sha-256", "md5"]),
    ("9530 4 equally wanted", "md5=1, sha=1, sha-512=1", ["sha-512", "sha", "md5"]),
    ("9530 4 not acceptable", "sha-256=0", []),
    ("9530 4 not this but that", "sha-256=0, md5=1", ["md5"]),
    ("9530 4 unknown ones are ignored", "sha-999=10", ["sha-256"]),
    ("9530 4 beyond ten", "md5=11", ["sha-256"]),
    ("9530 4 not well formed", "md5=high", ["sha-256"]),
]

# (rule, fields, what they say; None: not well formed)
REQUESTS: list[tuple[str, dict[str, str], dict[str, str] | None]] = [
    ("no field", {}, {}),
    ("9530 2", {"content-digest": f"md5=:{MD5}:"}, {"md5": KNOWN["md5"]}),
    ("9530 3", {"repr-digest": f"md5=:{MD5}:"}, {"md5": KNOWN["md5"]}),
    ("3230 4.3.2", {"digest": f"SHA-256={SHA256},md5={MD5}"}, {"sha256": KNOWN["sha256"], "md5": KNOWN["md5"]}),
    ("3230 4.3.2 an unknown one", {"digest": "adler32=03da0195"}, {}),
    ("1864", {"content-md5": MD5}, {"md5": KNOWN["md5"]}),
    ("they agree", {"content-md5": MD5, "repr-digest": f"md5=:{MD5}:"}, {"md5": KNOWN["md5"]}),
    (
        "they complete each other",
        {"content-md5": MD5, "repr-digest": f"sha=:{SHA1}:"},
        {"md5": KNOWN["md5"], "sha1": KNOWN["sha1"]},
    ),
    ("they contradict each other", {"content-md5": base64.b64encode(bytes(16)).decode(), "repr-digest": f"md5=:{MD5}:"}, None),
    ("3230 no value", {"digest": "md5="}, None),
    ("3230 no pair", {"digest": "md5"}, None),
    ("3230 nothing", {"digest": ""}, None),
    ("1864 in hexadecimal", {"content-md5": KNOWN["md5"]}, None),
    ("1864 nothing", {"content-md5": ""}, None),
]


class DigestFieldTests(SynchronousTestCase):
    def test_fields(self) -> None:
        for rule, field, expected in FIELDS:
            with self.subTest(rule=rule):
                if expected is None:
                    self.assertRaises(ValueError, parse_digest_field, field)
                else:
                    self.assertEqual(parse_digest_field(field), expected)

    def test_wants(self) -> None:
        for rule, want, expected in WANTS:
            with self.subTest(rule=rule):
                field = digest_field(KNOWN, want) or ""
                self.assertEqual([member.partition("=")[0] for member in field.split(", ") if member], expected)

    def test_requests(self) -> None:
        for rule, fields, expected in REQUESTS:
            with self.subTest(rule=rule):
                if expected is None:
                    self.assertRaises(ValueError, announced, fields)
                else:
                    self.assertEqual(announced(fields), expected)

    def test_of_rfc_9530(self) -> None:
        # Appendix B.1: the representation {"hello": "world"} and a line feed.
        digest = hashlib.sha256(b'{"hello": "world"}\n').hexdigest()
        expected = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
        self.assertEqual(digest_field({"sha256": digest}), expected)

    def test_left_out_until_known(self) -> None:
        self.assertIsNone(digest_field({}))
        self.assertIsNone(digest_field({"crc64nvme": "00" * 8}))
        self.assertIsNone(digest_field({"md5": KNOWN["md5"]}))

    @given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16))
    def test_round_trip(self, sha256: bytes, md5: bytes) -> None:
        digests = {"sha256": sha256.hex(), "md5": md5.hex()}
        field = digest_field(digests, "sha-256=1, md5=1")
        assert field is not None
        self.assertEqual(parse_digest_field(field), digests)

    @given(st.text())
    def test_any_text_is_digests_or_refused(self, text: str) -> None:
        digest_field(KNOWN, text)
        for parse in (parse_digest_field, parse_old_digest, parse_content_md5):
            for field in (text, f"md5=:{text}:", f"md5={text}"):
                try:
                    found = parse(field)
                except ValueError:
                    continue
                self.assertTrue(set(found) <= set(KNOWN))
