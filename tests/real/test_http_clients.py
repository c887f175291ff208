"""What HTTP's clients do besides getting and putting: go on, ask for parts, ask again, fetch by eight hands, resume uploads."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

import pytest

from tests.real.case import RealTestCase, sha256
from tests.real.clients import Curl
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Options

SIZE = 5_000_017
LIMIT = 60


class HttpClients(RealTestCase):
    options: ClassVar[Options] = {"https": {"plain_port": 0, "client_certificates": True}}

    def setUp(self) -> None:
        super().setUp()
        self.source, self.digest = self.random_file(SIZE)
        self.data = self.source.read_bytes()
        Curl(self.node, "https").put(self.source, "file.bin")
        self.target = self.folder / "target"
        self.target.unlink(missing_ok=True)
        self.base = f"https://127.0.0.1:{self.node.ports['https']}/data/{DESTINATION}/"

    def run_client(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        if shutil.which(words[0]) is None:
            self.skipTest(f"no {words[0]}")
        return subprocess.run(words, capture_output=True, timeout=LIMIT, check=False, cwd=cwd or self.folder)

    def curl(self, *words: str, name: str = "file.bin") -> bytes:
        done = self.run_client("curl", "-sSk", "--user", f"{LOGIN}:{PASSWORD}", *words, self.base + name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_curl_goes_on(self) -> None:
        self.target.write_bytes(self.data[:1_234_567])
        self.curl("-f", "-C", "-", "-o", str(self.target))
        self.assertEqual(sha256(self.target), self.digest)

    def test_curl_ranges(self) -> None:
        self.assertEqual(self.curl("-f", "--range", "5-9"), self.data[5:10])
        self.assertEqual(self.curl("-f", "--range", "-7"), self.data[-7:])
        parts = self.curl("-f", "--range", "0-1,5000-5001")
        self.assertIn(b"Content-Range: bytes 0-1/5000017\r\n\r\n" + self.data[:2], parts)
        self.assertIn(b"Content-Range: bytes 5000-5001/5000017\r\n\r\n" + self.data[5000:5002], parts)

    def test_ranges_that_are_closer_than_what_would_stand_between_come_as_one(self) -> None:
        """RFC 9110 section 15.3.7.2."""
        self.assertEqual(self.curl("-f", "--range", "0-1,5-6"), self.data[:7])

    def test_curl_asks_again(self) -> None:
        tag = self.folder / "etag"
        code = ("-o", str(self.target), "-w", "%{http_code}")
        self.assertEqual(self.curl(*code, "--etag-save", str(tag)), b"200")
        self.assertEqual(self.curl(*code, "--etag-compare", str(tag)), b"304")
        self.assertEqual(self.curl(*code, "-R"), b"200")
        self.assertEqual(self.curl(*code, "-z", str(self.target)), b"304")
        self.assertEqual(self.curl(*code, "-z", "2001-01-01"), b"200")

    def test_curl_posts_a_form(self) -> None:
        self.curl("-f", "-F", f"file=@{self.source};filename=formed.bin", name="")
        self.assertEqual(self.node.json("file", "show", f"/{DESTINATION}/formed.bin")["digests"]["sha256"], self.digest)

    def test_a_certificate_logs_in_the_user_whose_key_it_has(self) -> None:
        key, certificate, public = (self.folder / name for name in ("key.pem", "cert.pem", "key.pub"))
        made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key))
        self.run_client("openssl", "req", "-x509", *made, "-subj", f"/CN={LOGIN}", "-days", "2", "-out", str(certificate))
        public.write_bytes(self.run_client("ssh-keygen", "-y", "-f", str(key)).stdout)
        words = ("curl", "-sSfk", "--cert", str(certificate), "--key", str(key), self.base + "file.bin", self.base + "file.bin")
        refused = self.run_client(*words)
        self.assertIn(b"401", refused.stderr)
        self.node.ecpds("user", "key", LOGIN, "add", str(public))
        self.assertEqual(self.run_client(*words).stdout, 2 * self.data)
        self.assertEqual(self.run_client(*words[:-1], "--tls-max", "1.2").stdout, self.data)

    def test_wget_goes_on(self) -> None:
        (self.folder / "file.bin").write_bytes(self.data[:2_000_000])
        words = (
            "wget",
            "-q",
            "-c",
            "--no-check-certificate",
            f"--user={LOGIN}",
            f"--password={PASSWORD}",
            "--auth-no-challenge",
        )
        done = self.run_client(*words, self.base + "file.bin")
        self.assertEqual((done.returncode, sha256(self.folder / "file.bin")), (0, self.digest), done.stderr)

    def test_want_digest_as_grid_tools_send_it(self) -> None:
        expected = base64.b64encode(bytes.fromhex(self.digest)).decode()
        for wanted in ("adler32,sha-256", "SHA-256;q=1,md5;q=0.5", "sha-256"):
            head = self.curl("-I", "-H", f"Want-Digest: {wanted}").decode()
            self.assertIn(f"Digest: SHA-256={expected}", head, wanted)
        self.assertNotIn("\nDigest:", self.curl("-I", "-H", "Want-Digest: adler32").decode())

    def aria(self, *words: str) -> None:
        login = (
            f"--http-user={LOGIN}",
            f"--http-passwd={PASSWORD}",
            "--http-auth-challenge=false",
            "--check-certificate=false",
        )
        place = ("--no-conf", "-q", "-d", str(self.folder), "--check-certificate=false")
        done = self.run_client("aria2c", *place, *login, *words)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_aria2c_by_eight_connections(self) -> None:
        self.aria("-o", "target", "-x", "8", "-s", "8", "-k", "1M", self.base + "file.bin")
        self.assertEqual(sha256(self.target), self.digest)

    def test_aria2c_by_a_metalink(self) -> None:
        """It may not keep its FTP connections: aria2 1.36 waits a minute for a 226 that came in one piece with the 150."""
        metalink = self.folder / "file.meta4"
        metalink.write_bytes(self.curl("-f", name="file.bin?meta4"))
        self.assertIn(self.digest.encode(), metalink.read_bytes())
        (self.folder / "file.bin").unlink(missing_ok=True)
        ftp = (f"--ftp-user={LOGIN}", f"--ftp-passwd={PASSWORD}", "--ftp-reuse-connection=false")
        self.aria(*ftp, "-V", "-x", "8", "-k", "1M", "-M", str(metalink))
        found = self.folder / "file.bin"
        self.assertEqual(sha256(found if found.exists() else self.target), self.digest)

    def test_rclone_by_http(self) -> None:
        done = self.run_client("rclone", "obscure", PASSWORD)
        login = base64.b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()
        options = ("--http-url", self.base, "--http-headers", f"Authorization,Basic {login}", "--no-check-certificate")
        done = self.run_client("rclone", "--config", "/dev/null", *options, "copyto", ":http:file.bin", str(self.target))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sha256(self.target), self.digest)
        listed = self.run_client("rclone", "--config", "/dev/null", *options, "lsf", ":http:")
        self.assertIn(b"file.bin\n", listed.stdout, listed.stderr)

    def test_a_tus_client(self) -> None:
        tus = pytest.importorskip("tusclient.client")
        login = base64.b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()
        client = tus.TusClient(self.base, headers={"Authorization": f"Basic {login}"})
        more = {"metadata": {"filename": "by tus.bin"}, "verify_tls_cert": False}
        first = client.uploader(str(self.source), chunk_size=1_000_000, **more)
        first.upload_chunk()
        first.upload_chunk()
        again = client.uploader(str(self.source), chunk_size=1_500_000, url=first.url, **more)
        self.assertEqual(again.offset, 2_000_000)
        again.upload()
        shown = self.node.json("file", "show", f"/{DESTINATION}/by tus.bin")
        self.assertEqual(shown["digests"]["sha256"], hashlib.sha256(self.data).hexdigest())
