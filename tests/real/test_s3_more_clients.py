"""Tools that keep their data in S3, with their defaults, over http and https: s3cmd, s3fs, zarr, restic, DuckDB, Node's SDK."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import duckdb_extension_httpfs
import pyarrow
import pyarrow.parquet
import pytest

from tests.real.clients import missing
from tests.real.harness import DESTINATION, ROOT
from tests.real.s3_clients import AWS, REGION, S3TestCase
from tests.real.test_s3_clients import fetch

S3FS = ROOT / "build" / "s3fs" / "bin" / "python"
NODE_MODULES = ROOT / "build" / "node" / "node_modules"

S3FS_PROGRAM = """
import json, sys, warnings
import numpy, s3fs, xarray, zarr
warnings.simplefilter("ignore")
endpoint, bucket = sys.argv[1:]
fs = s3fs.S3FileSystem(endpoint_url=endpoint, client_kwargs={"verify": False})
root = f"{bucket}/s3fs"
with fs.open(f"{root}/a/b.txt", "wb") as file:
    file.write(b"x" * 6_000_000)
fs.pipe(f"{root}/a/small", b"small")
assert sorted(fs.find(root)) == [f"{root}/a/b.txt", f"{root}/a/small"], fs.find(root)
assert fs.size(f"{root}/a/b.txt") == 6_000_000
assert fs.cat_file(f"{root}/a/b.txt", start=5, end=9) == b"xxxx"
fs.copy(f"{root}/a/small", f"{root}/copy")
fs.mv(f"{root}/copy", f"{root}/moved")
assert fs.cat(f"{root}/moved") == b"small" and not fs.exists(f"{root}/copy")
table = xarray.Dataset({"t": (("x", "y"), numpy.arange(600.0).reshape(20, 30))}, attrs={"of": "us"})
store = f"s3://{root}/table.zarr"
options = {"endpoint_url": endpoint, "client_kwargs": {"verify": False}}
table.to_zarr(store, mode="w", storage_options=options)
table.isel(x=slice(0, 5)).to_zarr(store, append_dim="x", storage_options=options)
back = xarray.open_zarr(store, storage_options=options).load()
assert back.sizes == {"x": 25, "y": 30} and back.attrs == {"of": "us"}
assert float(back.t.sum()) == float(table.t.sum() + table.t[:5].sum())
group = zarr.open_group(store, mode="r", storage_options=options)
assert group["t"].shape == (25, 30)
fs.rm(root, recursive=True)
fs.invalidate_cache()
assert not fs.exists(f"{root}/moved")
print("good")
"""

NODE_PROGRAM = """
const { S3Client, PutObjectCommand, GetObjectCommand, ListObjectsV2Command, DeleteObjectsCommand, HeadObjectCommand,
        CreateMultipartUploadCommand, UploadPartCommand, CompleteMultipartUploadCommand } = require("@aws-sdk/client-s3");
const [endpoint, Bucket] = process.argv.slice(2);
const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true });
(async () => {
  const Key = "node/ü +.txt", big = Buffer.alloc(5 << 20, "a");
  await client.send(new PutObjectCommand({ Bucket, Key, Body: "content", Metadata: { colour: "green" } }));
  const got = await client.send(new GetObjectCommand({ Bucket, Key }));
  const text = await got.Body.transformToString();
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: "node/big" }));
  const Parts = [];
  for (const [at, Body] of [big, Buffer.from("tail")].entries()) {
    const part = await client.send(new UploadPartCommand({ Bucket, Key: "node/big", UploadId, PartNumber: at + 1, Body }));
    Parts.push({ PartNumber: at + 1, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32 });
  }
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key: "node/big", UploadId, MultipartUpload: { Parts } }));
  const size = (await client.send(new HeadObjectCommand({ Bucket, Key: "node/big" }))).ContentLength;
  const listed = (await client.send(new ListObjectsV2Command({ Bucket, Prefix: "node/" }))).Contents.map((each) => each.Key);
  await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: listed.map((Key) => ({ Key })) } }));
  const left = (await client.send(new ListObjectsV2Command({ Bucket, Prefix: "node/" }))).KeyCount;
  console.log(JSON.stringify({ text, colour: got.Metadata.colour, size, listed, left }));
})().catch((error) => { console.error(error); process.exit(1); });
"""


class Tools(S3TestCase):
    """Over https."""

    schemes: ClassVar[tuple[str, ...]] = ("https",)

    def need(self, thing: Path | str) -> None:
        reason = missing(thing) if isinstance(thing, str) else None if thing.exists() else f"{thing.name} is not installed"
        if reason:
            self.skipTest(reason)

    def test_s3cmd(self) -> None:
        root, content = self.tree()
        program = str(Path(sys.executable).with_name("s3cmd"))
        self.need(Path(program))
        for scheme in self.schemes:
            host = self.endpoint(scheme).partition("//")[2]
            words = [program, f"--host={host}", f"--host-bucket={host}", f"--region={REGION}", "--no-progress", "-q"]
            words += ["--no-ssl"] if scheme == "http" else ["--ssl", "--no-check-certificate"]
            keys = [f"--access_key={self.key['access_key_id']}", f"--secret_key={self.key['secret_access_key']}"]
            bucket = f"s3://{DESTINATION}/s3cmd-{scheme}/"
            self.run_client(*words, *keys, "sync", f"{root}/", bucket)
            self.assertEqual(self.run_client(*words, *keys, "sync", "-n", f"{root}/", bucket), "")
            back = self.folder / f"s3cmd-{scheme}"
            self.run_client(*words, *keys, "sync", bucket, f"{back}/")
            self.assertEqual(self.read_tree(back), content)
            self.run_client(*words, *keys, "cp", f"{bucket}a.bin", f"{bucket}copied")
            self.run_client(*words, *keys, "del", "--recursive", "--force", bucket)
            self.assertEqual(self.run_client(*words, *keys, "ls", bucket), "")

    def test_s3fs_zarr_and_xarray(self) -> None:
        self.need(S3FS)
        for scheme in self.schemes:
            done = self.run_client(str(S3FS), "-c", S3FS_PROGRAM, self.endpoint(scheme), DESTINATION)
            self.assertEqual(done.strip(), "good")

    def test_restic(self) -> None:
        self.need("restic")
        root, content = self.tree()
        for scheme in self.schemes:
            words = ["restic", "-q", "--no-cache"]
            if scheme == "https":
                words += ["--cacert", str(self.certificate())]
            more = {
                "RESTIC_REPOSITORY": f"s3:{self.endpoint(scheme)}/{DESTINATION}/restic-{scheme}",
                "RESTIC_PASSWORD": "secret",
            }
            for command in (["init"], ["backup", str(root)], ["backup", str(root)]):
                self.run_client(*words, *command, **more)
            (root / "a.bin").write_bytes(b"other")
            self.run_client(*words, "backup", str(root), **more)
            self.run_client(*words, "check", "--read-data", **more)
            self.run_client(*words, "forget", "--keep-last=1", "--prune", **more)
            self.run_client(*words, "check", **more)
            back = self.folder / f"restic-{scheme}"
            self.run_client(*words, "restore", "latest", "--target", str(back), **more)
            self.assertEqual(self.read_tree(back / root.relative_to("/")), {**content, "a.bin": b"other"})
            (root / "a.bin").write_bytes(content["a.bin"])

    def test_duckdb_reads_parquet(self) -> None:
        file = self.folder / "table.parquet"
        numbers = list(range(200_000))
        rows = pyarrow.table({"n": numbers, "half": [number / 2 for number in numbers]})
        pyarrow.parquet.write_table(rows, file, row_group_size=20_000)
        self.client("http").upload_file(str(file), DESTINATION, "duck/part=1/table.parquet")
        for scheme in self.schemes:
            database = self.duck(scheme)
            where = f"s3://{DESTINATION}/duck/*/*.parquet"
            found = database.execute("SELECT count(*), sum(half) FROM read_parquet(?) WHERE n >= 100000", [where]).fetchone()
            self.assertEqual(found, (100_000, sum(numbers[100_000:]) / 2))
            target = f"s3://{DESTINATION}/duck-{scheme}.parquet"
            database.execute(f"COPY (SELECT n FROM range(50000) t(n)) TO '{target}' (FORMAT parquet)")
            self.assertEqual(database.execute(f"SELECT max(n) FROM '{target}'").fetchone(), (49_999,))

    def duck(self, scheme: str) -> Any:
        """DuckDB with httpfs from its package: it would fetch it otherwise."""
        folder = Path(duckdb_extension_httpfs.__file__).parent / "extensions" / f"v{duckdb.__version__}"
        database = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        database.execute(f"LOAD '{folder / 'httpfs.duckdb_extension'}'")
        database.execute(
            "CREATE SECRET (TYPE s3, KEY_ID '{access_key_id}', SECRET '{secret_access_key}', REGION 'us-east-1',"
            " ENDPOINT '{endpoint}', URL_STYLE 'path', USE_SSL {ssl})".format(
                **self.key, endpoint=self.endpoint(scheme).partition("//")[2], ssl=str(scheme == "https").lower()
            )
        )
        if scheme == "https":
            database.execute("SET enable_curl_server_cert_verification = false")
        return database

    def test_the_sdk_of_node(self) -> None:
        self.need("node")
        self.need(NODE_MODULES)
        program = self.folder / "program.cjs"
        program.write_text(NODE_PROGRAM)
        for scheme in self.schemes:
            more = {"NODE_PATH": str(NODE_MODULES), "NODE_TLS_REJECT_UNAUTHORIZED": "0", "NODE_NO_WARNINGS": "1"}
            done = json.loads(self.run_client("node", str(program), self.endpoint(scheme), DESTINATION, **more))
            wanted = {"text": "content", "colour": "green", "size": (5 << 20) + 4, "listed": ["node/big", "node/ü +.txt"]}
            self.assertEqual(done, {**wanted, "left": 0})

    def test_the_aws_cli_presigns(self) -> None:
        """By version 4, which is what the CLI of version 2 does; that of version 1, from PyPI, must be told."""
        config = self.folder / "config"
        config.write_text("[default]\ns3 =\n    signature_version = s3v4\n")
        client = self.client("http")
        client.put_object(Bucket=DESTINATION, Key="presigned ü", Body=b"content")
        for scheme in self.schemes:
            words = ("s3", "presign", f"s3://{DESTINATION}/presigned ü")
            url = self.run_client(
                str(AWS), "--endpoint-url", self.endpoint(scheme), *words, AWS_CONFIG_FILE=str(config)
            ).strip()
            answer = fetch("GET", url)
            self.assertEqual((answer.status, answer.data), (200, b"content"), url)

    def certificate(self) -> Path:
        """The node's own certificate, which its clients are to trust."""
        return self.node.home / "keys" / "door.crt"


@pytest.mark.long
class PlainTools(Tools):
    """Over http, where SDKs frame and sign what they send in other ways."""

    schemes = ("http",)
