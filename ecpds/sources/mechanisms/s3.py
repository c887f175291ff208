"""S3: objects by `s3://bucket/key`, over HTTPS, signed with Signature Version 4 where there is an access key.

The candidate's options say where (`endpoint`, default AWS's own for the `region`) and as whom (`profile`, of the shared
credentials file). Without a key the request is not signed, as public buckets have it. Folders are ListObjectsV2 with a prefix.
"""

from __future__ import annotations

import configparser
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from attrs import evolve, field, frozen

from ecpds.datasources import Candidate
from ecpds.errors import InvalidRequest
from ecpds.http.client import Ask, HttpClient
from ecpds.interfaces import IThreads
from ecpds.sources.mechanisms.base import About, IOpened, Listed, NoCredentials, parse_url
from ecpds.sources.mechanisms.http import Http, HttpOpened, Target
from ecpds.wire.s3xml import Element, parse
from ecpds.wire.sigv4 import ALGORITHM, EMPTY_SHA256, Scope, Signed, canonical_request, parse_query, signature

REGION = "us-east-1"

LISTING = 4 << 20
"""Bytes of one page of a listing."""

_MD5 = re.compile(r'"([0-9a-f]{32})"')


@frozen
class AccessKey:
    """`token` is that of temporary credentials."""

    id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


class SharedKeys:
    """Access keys as other clients find them: the environment, then `~/.aws/credentials`."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._file: configparser.ConfigParser | None = None

    def __call__(self, profile: str | None) -> AccessKey | None:
        """The key of a profile (None: the environment's, or the default one); None when there is none."""
        said = self._environment
        if profile is None and "AWS_ACCESS_KEY_ID" in said and "AWS_SECRET_ACCESS_KEY" in said:
            return AccessKey(said["AWS_ACCESS_KEY_ID"], said["AWS_SECRET_ACCESS_KEY"], said.get("AWS_SESSION_TOKEN", ""))
        held = self._read()
        name = profile or said.get("AWS_PROFILE", "default")
        if not held.has_option(name, "aws_access_key_id") or not held.has_option(name, "aws_secret_access_key"):
            return None
        return AccessKey(
            held.get(name, "aws_access_key_id"),
            held.get(name, "aws_secret_access_key"),
            held.get(name, "aws_session_token", fallback=""),
        )

    def _read(self) -> configparser.ConfigParser:
        if self._file is None:
            self._file = configparser.ConfigParser(interpolation=None)
            home = self._environment.get("HOME", "/nonexistent")
            path = self._environment.get("AWS_SHARED_CREDENTIALS_FILE", str(Path(home) / ".aws" / "credentials"))
            self._file.read(path, encoding="utf-8")
        return self._file


class S3(Http):
    """`keys` gives the access key of a profile; `now` is seconds since the epoch."""

    schemes = ("s3",)

    def __init__(
        self,
        client: HttpClient,
        keys: Callable[[str | None], AccessKey | None],
        now: Callable[[], float],
        threads: IThreads,
        private: bool = False,
    ) -> None:
        super().__init__(client, NoCredentials(), threads, private)
        self._keys = keys
        self._now = now

    def target(self, candidate: Candidate) -> Target:
        place = parse_url(candidate.url, self.schemes)
        region = str(candidate.options.get("region") or REGION)
        endpoint = str(candidate.options.get("endpoint") or f"https://s3.{region}.amazonaws.com")
        there = parse_url(endpoint if "://" in endpoint else f"https://{endpoint}", ("http", "https"))
        key = place.decoded
        return Target(
            evolve(there, path=f"/{place.host}{quote(key, safe='/-_.~', errors='surrogateescape')}", query=place.query)
        )

    def signed(self, method: str, target: Target, candidate: Candidate, fields: Sequence[tuple[str, str]]) -> Ask:
        plain = Ask(
            method,
            target.place.host,
            target.port,
            target.secure,
            target.path,
            fields,
            public=target.moved and not self._private,
        )
        profile = candidate.options.get("profile")
        key = self._keys(str(profile) if profile else None)
        if key is None or target.moved:
            return plain
        return sign_request(plain, key, str(candidate.options.get("region") or REGION), self._now())

    async def open(self, candidate: Candidate, offset: int = 0, end: int | None = None, version: str = "") -> IOpened:
        opened = await super().open(candidate, offset, end, version)
        assert isinstance(opened, HttpOpened)
        opened.about = _with_md5(opened.about)
        return opened

    async def stat(self, candidate: Candidate) -> About:
        return _with_md5(await super().stat(candidate))

    async def list(self, candidate: Candidate, most: int) -> Sequence[Listed]:
        place = parse_url(candidate.url, self.schemes)
        prefix = place.decoded.removeprefix("/")
        prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        found: list[Listed] = []
        token = ""
        for _ in range(most):  # a page may be empty, and still not the last
            page = await self._page(candidate, place.host, prefix, token)
            found += [_listed(item, place.host, prefix) for item in page.all("Contents")]
            token = page.text("NextContinuationToken") or ""
            if not token or len(found) >= most:
                break
        return [each for each in found if each.name][:most]

    async def _page(self, candidate: Candidate, bucket: str, prefix: str, token: str) -> Element:
        query = {"list-type": "2", "delimiter": "/", "prefix": prefix, **({"continuation-token": token} if token else {})}
        text = "&".join(f"{name}={quote(value, safe='-_.~', errors='surrogateescape')}" for name, value in query.items())
        reply = await self._ask("GET", evolve(candidate, url=f"s3://{bucket}/?{text}"), [])
        try:
            return parse(await reply.text(LISTING), "ListBucketResult")
        except ValueError as error:
            raise InvalidRequest("the listing is not XML that is accepted here") from error


def sign_request(ask: Ask, key: AccessKey, region: str, now: float) -> Ask:
    """The same request, signed (AWS Signature Version 4, in headers)."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    fields = {"host": ask.authority, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": stamp}
    if key.token:
        fields["x-amz-security-token"] = key.token
    names = tuple(sorted(fields))
    scope = Scope(stamp[:8], region, "s3")
    path, _, query = ask.target.partition("?")
    signed = Signed(key.id, scope, stamp, names, "", EMPTY_SHA256)
    canonical = canonical_request(ask.method, path, parse_query(query), fields, signed)
    made = signature(signing_key(key.secret, scope), signed, canonical)
    authorization = f"{ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={';'.join(names)}, Signature={made}"
    own = [(name, value) for name, value in fields.items() if name != "host"]
    return evolve(ask, headers=[*ask.headers, *own, ("Authorization", authorization)])


def signing_key(secret: str, scope: Scope) -> bytes:
    """The key of a scope ("Create a signed AWS API request", "Derive a signing key")."""
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key


def _with_md5(about: About) -> About:
    """An entity tag that is an MD5 is the content's, unless the object was uploaded in parts or is encrypted otherwise.

    Where it is not the MD5 after all, only what else is known can tell; so a digest that the server names goes first.
    """
    found = _MD5.fullmatch(about.version)
    if found is None or about.digests:
        return about
    return about._replace(digests={"md5": found[1]})


def _listed(item: Element, bucket: str, prefix: str) -> Listed:
    key, size = item.text("Key") or "", item.text("Size") or ""
    name = key.removeprefix(prefix)
    url = f"s3://{bucket}/{quote(key, safe='/-_.~')}"
    length = int(size) if size.isascii() and size.isdigit() and len(size) < 19 else None
    return Listed(name if "/" not in name else "", url, length, _time(item.text("LastModified")), item.text("ETag") or "")


def _time(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None
