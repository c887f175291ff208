"""`ecpds fetch` over five servers of five kinds that differ in speed and fail, with a node's repository that learns from it.

Each server stands behind a relay that is as narrow as a link to it would be (vsftpd, whose data connections have ports of
their own, is told its rate). The URLs are vsftpd's; the repository knows where else the same files are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest
from twisted.trial.unittest import TestCase

from tests.real.harness import LOGIN, PASSWORD, ROOT, Node, environment
from tests.real.mirrors import Site, free_port, nginx, running, sshd, vsftpd
from tests.real.narrow import narrow

MIB = 1 << 20
MOTO = ROOT / "build" / "peers" / "bin" / "moto_server"
BEST = 20e6
"""Bytes a second of the fastest mirror."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        os.geteuid() != 0
        or not (shutil.which("nginx") and shutil.which("vsftpd") and Path("/usr/sbin/sshd").exists() and MOTO.exists()),
        reason="nginx, vsftpd, sshd and moto are needed, and root to start them",
    ),
]


@contextmanager
def moto(names: list[str], folder: Path) -> Iterator[int]:
    """The port of an S3 server of which a bucket `mirror` has the files of `folder`."""
    port = free_port()
    with running([str(MOTO), "-H", "127.0.0.1", "-p", str(port)], port):
        base = f"http://127.0.0.1:{port}/mirror"
        curl = ["curl", "-sSf", "-o", os.devnull, "--noproxy", "*"]
        subprocess.run([*curl, "-X", "PUT", base], check=True, env=environment())
        many = [word for name in names for word in ("-o", os.devnull, "-T", str(folder / name), f"{base}/{name}")]
        subprocess.run([*curl[:2], "--noproxy", "*", *many], check=True, env=environment())
        yield port


def a_source(label: str, prefix: str, mechanism: str, transforms: list[Any], **options: str) -> dict[str, Any]:
    """A source as it is imported: the URLs that begin with `prefix`."""
    return {
        "label": label,
        "description": None,
        "transfer_mechanism": {"type": mechanism, "options": options},
        "test_files": [],
        "transforms": transforms,
        "url_matchers": [{"type": "regular_expression", "options": {"pattern": f"^{prefix}"}}],
    }


def a_link(target: str, here: str, there: str) -> dict[str, Any]:
    options = {"pattern": f"^{here}", "repl": there}
    return {"type": "regex_replace", "options": options, "target": target, "for_destinations": []}


class FiveKindsOfMirrors(TestCase):
    stack: ClassVar[ExitStack]
    folder: ClassVar[Path]
    digests: ClassVar[dict[str, str]]
    prefixes: ClassVar[dict[str, str]]
    home: ClassVar[Path]
    node: ClassVar[Node]
    web: ClassVar[int]

    @classmethod
    def setUpClass(cls) -> None:
        cls.stack = ExitStack()
        cls.folder = Path(tempfile.mkdtemp(prefix="ecpds-mirrors-"))
        cls.stack.callback(shutil.rmtree, cls.folder, True)
        cls.folder.chmod(0o755)
        random = Random(9)
        cls.digests = {}
        for place in ("root", "wrong"):
            (cls.folder / place).mkdir()
        for name, size in [
            *((f"f{number:03}", random.randrange(300_000, 700_000)) for number in range(200)),
            ("large", 32 * MIB),
        ]:
            content = random.randbytes(size)
            cls.digests[name] = hashlib.sha256(content).hexdigest()
            (cls.folder / "root" / name).write_bytes(content)
            (cls.folder / "root" / f"{name}.sha256").write_text(f"{cls.digests[name]}  {name}\n")
            (cls.folder / "wrong" / name).write_bytes(content[::-1])
        try:
            cls.start_servers()
        except BaseException:
            cls.stack.close()
            raise

    @classmethod
    def start_servers(cls) -> None:
        root, enter = cls.folder / "root", cls.stack.enter_context
        names = [name for name in cls.digests if name != "large"]
        web, liar = Site(free_port(), root), Site(free_port(), cls.folder / "wrong")
        enter(nginx(cls.folder / "nginx", [web, liar]))
        cls.web = web.port
        ftp = enter(vsftpd(cls.folder / "vsftpd", root, 2_000_000))
        sftp, cls.home = enter(sshd(cls.folder / "sshd"))
        s3 = enter(moto(names, root))
        cls.node = Node(cls.folder / "node", {"node": {"roles": ["master", "mover", "https"]}})
        cls.node.start()
        cls.stack.callback(cls.node.kill)
        cls.node.populate()
        cls.upload(names)
        relays = {
            "web": enter(narrow(web.port, BEST)),
            "sftp": enter(narrow(int(sftp.rpartition(":")[2]), 6e6)),
            "s3": enter(narrow(s3, 4e6, breaks=3)),
            "ecpds": enter(narrow(cls.node.ports["https"], 5e6)),
        }
        ports = {name: f"127.0.0.1:{relay.port}" for name, relay in relays.items()}
        cls.prefixes = {
            "ftp": f"{ftp}/",
            "sftp": f"sftp://root@{ports['sftp']}{root}/",
            "s3": "s3://mirror/",
            "ecpds": f"ecpds://{ports['ecpds']}/archive/",
            "web": f"http://{ports['web']}/",
            "archive": f"{web.url}/",
            "liar": f"{liar.url}/",
        }
        cls.curate(f"http://{ports['s3']}")
        (cls.home / ".netrc").write_text(f"machine 127.0.0.1 login {LOGIN} password {json.dumps(PASSWORD)}\n")
        (cls.home / ".netrc").chmod(0o600)
        (cls.home / ".aws").mkdir()
        (cls.home / ".aws" / "credentials").write_text("[default]\naws_access_key_id = AK\naws_secret_access_key = secret\n")

    @classmethod
    def upload(cls, names: list[str]) -> None:
        url = cls.node.url("https_plain")
        words = [word for name in names for word in ("-T", str(cls.folder / "root" / name), url + name)]
        subprocess.run(["curl", "-sSf", "--user", f"{LOGIN}:{PASSWORD}", *words], check=True, env=environment())

    @classmethod
    def curate(cls, endpoint: str) -> None:
        """The curators' order is the worst: the fastest mirror is the last one, and the liar stands before who it copies."""
        all_of = cls.prefixes
        links = [a_link(name, all_of["ftp"], all_of[name]) for name in ("s3", "ecpds", "sftp", "web")]
        sources = [
            a_source("ftp", all_of["ftp"], "ftp", links),
            a_source("s3", all_of["s3"], "s3", [], endpoint=endpoint),
            a_source("ecpds", all_of["ecpds"], "ecpds", []),
            a_source("sftp", all_of["sftp"], "sftp", []),
            a_source("web", all_of["web"], "http", []),
            a_source("archive", all_of["archive"], "http", [a_link("liar", all_of["archive"], all_of["liar"])]),
            a_source("liar", all_of["liar"], "http", []),
        ]
        file = cls.folder / "sources.json"
        file.write_text(json.dumps({"data_sources": sources, "destinations": []}))
        cls.node.ecpds("source", "import", str(file))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.stack.close()

    def setUp(self) -> None:
        self.out = Path(tempfile.mkdtemp(prefix="out-", dir=self.folder))

    def fetch(self, urls: list[str], *words: str, repository: bool = False) -> tuple[float, list[dict[str, Any]]]:
        """Fetch each line of URLs; how long the command ran, and what it said. All must arrive and be right."""
        manifest = self.out / "manifest"
        manifest.write_text("".join(f"{line}\n" for line in urls))
        base = f"http://127.0.0.1:{self.node.ports['https_plain']}/repository" if repository else "none"
        command = [sys.executable, "-m", "ecpds", "fetch", "--json", "--insecure", "-o", str(self.out), "-r", base]
        known = {**environment(), "HOME": str(self.home)}
        known.pop("NETRC", None)
        began = time.monotonic()
        done = subprocess.run(
            [*command, *words, "-f", str(manifest)],
            cwd="/",
            env=known,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        taken = time.monotonic() - began
        answer = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 0, [each for each in answer if each["reason"]] or done.stderr)
        self.assertEqual(len(answer), len(urls))
        for each in answer:
            name = Path(each["path"]).name
            self.assertEqual(hashlib.sha256(Path(each["path"]).read_bytes()).hexdigest(), self.digests[name], name)
        return taken, answer

    def order(self, url: str) -> list[str]:
        """The sources of a URL, the first to be tried first."""
        return [each["source"] for each in self.node.json("source", "explain", url)["candidates"]]

    def test_two_hundred_files_from_five_kinds_of_servers(self) -> None:
        """All arrive and are right, once servers are known almost as fast as from the best of them alone in hindsight: 0.9 of
        its rate on a quiet machine; what is asserted leaves room for others' work, which the relays feel."""
        names = [name for name in self.digests if name != "large"]
        urls = [self.prefixes["ftp"] + name for name in names]
        self.assertEqual(self.order(urls[0])[-2:], ["web", "ftp"])
        _, first = self.fetch(urls, repository=True)
        tried = {attempt["mechanism"] for each in first for attempt in each["attempts"] if attempt["ok"]}
        failed = {(attempt["mechanism"], attempt["reason"]) for each in first for attempt in each["attempts"]}
        self.assertLessEqual({"s3", "ecpds", "sftp", "http"}, tried, failed)
        ours = self.fetch(urls, repository=True)[0]
        best = self.fetch([self.prefixes["web"] + name for name in names])[0]
        print(f"200 files: {ours:.2f} s, from the best mirror alone {best:.2f} s: {best / ours:.2f} of its rate")
        self.assertGreater(best / ours, 0.7)

    def test_the_best_mirror_dies_in_the_middle_of_a_file(self) -> None:
        size = (self.folder / "root" / "large").stat().st_size
        with narrow(self.web, BEST, lasts=12 * MIB) as dying, narrow(self.web, BEST / 2) as other:
            line = "\t".join(f"http://127.0.0.1:{each.port}/large" for each in (dying, other))
            _, answer = self.fetch([line], "--streams", "1", "--no-sidecar")
            self.assertGreaterEqual(dying.passed, 12 * MIB)
            # What the kernel held is lost with the connection; what had arrived is not fetched again.
            self.assertLess(other.passed, size - dying.passed + 3 * MIB)
        self.assertEqual([each["ok"] for each in answer[0]["attempts"]], [True, True])

    def test_the_same_while_all_of_them_fetch(self) -> None:
        size = (self.folder / "root" / "large").stat().st_size
        with (
            narrow(self.web, BEST, lasts=8 * MIB) as dying,
            narrow(self.web, BEST / 4) as one,
            narrow(self.web, BEST / 4) as two,
        ):
            line = "\t".join(f"http://127.0.0.1:{each.port}/large" for each in (dying, one, two))
            self.fetch([line], "--no-sidecar")
            self.assertLess(dying.passed + one.passed + two.passed, size + 4 * MIB)

    def test_a_mirror_with_wrong_files_is_caught_and_demoted(self) -> None:
        urls = [self.prefixes["archive"] + name for name in list(self.digests)[:12]]
        self.assertEqual(self.order(urls[0]), ["liar", "archive"])
        _, answer = self.fetch(urls, repository=True)
        lies = [attempt for each in answer for attempt in each["attempts"] if attempt["url"].startswith(self.prefixes["liar"])]
        self.assertTrue(lies, "the mirror with wrong files was never asked")
        for each in lies:
            self.assertFalse(each["ok"])
            self.assertIn("sha256", each["reason"])
        self.assertEqual(self.order(urls[0]), ["archive", "liar"])

    def test_four_links_of_equal_speed_carry_three_times_as_much_as_one(self) -> None:
        with ExitStack() as stack:
            links = [stack.enter_context(narrow(self.web, 6e6)) for _ in range(4)]
            urls = [f"http://127.0.0.1:{each.port}/large" for each in links]
            one = self.fetch([urls[0]])[1][0]["seconds"]
            four = self.fetch(["\t".join(urls)])[1][0]["seconds"]
        print(f"32 MiB: one link {one:.2f} s, four {four:.2f} s: {one / four:.2f} times")
        self.assertGreater(one / four, 2.5 if os.getloadavg()[0] > 4 else 3.0)
