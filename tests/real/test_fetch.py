"""`ecpds fetch` as a process, from real servers: nginx, vsftpd, sshd, and a node's HTTPS and S3 doors."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest
from twisted.trial.unittest import TestCase

from tests.real.harness import LOGIN, PASSWORD, Node, environment, until
from tests.real.mirrors import Site, free_port, nginx, sshd, vsftpd

MIB = 1 << 20
needed = pytest.mark.skipif(
    os.geteuid() != 0 or not (shutil.which("nginx") and shutil.which("vsftpd") and Path("/usr/sbin/sshd").exists()),
    reason="nginx, vsftpd and sshd are needed, and root to start them",
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@needed
class FetchingFromRealServers(TestCase):
    """Five servers over one folder; `wrong` serves another one, with files of the same names and sizes."""

    stack: ClassVar[ExitStack]
    folder: ClassVar[Path]
    files: ClassVar[dict[str, bytes]]
    urls: ClassVar[dict[str, str]]
    home: ClassVar[Path]
    node: ClassVar[Node]
    options: ClassVar[dict[str, str]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.stack = ExitStack()
        cls.folder = Path(tempfile.mkdtemp(prefix="ecpds-fetch-"))
        cls.stack.callback(shutil.rmtree, cls.folder, True)
        cls.folder.chmod(0o755)
        random = Random(9)
        cls.files = {f"f{number:03}": random.randbytes(random.choice((10_000, 50_000))) for number in range(200)}
        cls.files["large"] = random.randbytes(24 * MIB)
        for place, change in (("root", False), ("wrong", True)):
            (cls.folder / place).mkdir()
            for name, content in cls.files.items():
                (cls.folder / place / name).write_bytes(content[::-1] if change else content)
        for name, content in cls.files.items():
            (cls.folder / "root" / f"{name}.sha256").write_text(f"{sha256(content)}  {name}\n")
        (cls.folder / "root" / "bare").mkdir()
        for name in (*list(cls.files)[:60], "large"):
            (cls.folder / "root" / "bare" / name).write_bytes(cls.files[name])
        cls.start_servers()

    @classmethod
    def start_servers(cls) -> None:
        root, enter = cls.folder / "root", cls.stack.enter_context
        cls.sites = {
            "fast": Site(free_port(), root),
            **{f"s{number}": Site(free_port(), root, "limit_rate 4m;") for number in range(4)},
            "wrong": Site(free_port(), cls.folder / "wrong"),
            "evil": Site(free_port(), root, cls.evil()),
        }
        enter(nginx(cls.folder / "nginx", list(cls.sites.values())))
        ftp = enter(vsftpd(cls.folder / "vsftpd", root, 3_000_000))
        sftp, cls.home = enter(sshd(cls.folder / "sshd"))
        cls.node = Node(
            cls.folder / "node", {"node": {"roles": ["master", "mover", "https", "s3"]}, "s3": {"port": 0, "plain_port": 0}}
        )
        cls.node.start()
        cls.stack.callback(cls.node.kill)
        cls.node.populate()
        key = cls.node.json("user", "s3key", LOGIN, "add")
        (cls.home / ".netrc").write_text(f"machine 127.0.0.1 login {LOGIN} password {json.dumps(PASSWORD)}\n")
        (cls.home / ".netrc").chmod(0o600)
        (cls.home / ".aws").mkdir()
        (cls.home / ".aws" / "credentials").write_text(
            f"[default]\naws_access_key_id = {key['access_key_id']}\naws_secret_access_key = {key['secret_access_key']}\n"
        )
        cls.urls = {name: site.url for name, site in cls.sites.items()}
        cls.urls |= {"ftp": ftp, "sftp": f"{sftp}{root}", "ecpds": f"ecpds://127.0.0.1:{cls.node.ports['https']}/archive"}
        cls.upload()

    sites: ClassVar[dict[str, Site]]

    @classmethod
    def upload(cls) -> None:
        for name in ("f000", "f001", "large"):
            url = cls.node.url("https_plain", name)
            done = ["curl", "-sf", "--user", f"{LOGIN}:{PASSWORD}", "-T", str(cls.folder / "root" / name), url]
            subprocess.run(done, check=True, env=environment())

    @staticmethod
    def evil() -> str:
        return (
            "location = /file { return 302 file:///etc/passwd; } "
            "location = /loop { return 302 /loop; } "
            "location = /inside { return 302 http://localhost:$arg_port/f000; } "
            "location = /page.grib { default_type text/html; return 200 '<html>gone</html>'; }"
        )

    @classmethod
    def tearDownClass(cls) -> None:
        cls.stack.close()

    def setUp(self) -> None:
        self.out = Path(tempfile.mkdtemp(prefix="out-", dir=self.folder))

    def fetch(self, *words: str, status: int = 0) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "ecpds", "fetch", "--json", "-r", "none", "-o", str(self.out), "--insecure", *words]
        known = {**environment(), "HOME": str(self.home)}
        known.pop("NETRC", None)
        secure = [word for word in command if word != "--insecure"] if any("sftp" in word for word in words) else command
        done = subprocess.run(secure, cwd="/", env=known, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def ways(self) -> Iterator[tuple[str, ...]]:
        """The options by which plain HTTP servers are asked quickly, and by the reactor; each with a folder for it."""
        for words in ((), ("--sync",)):
            self.out = Path(tempfile.mkdtemp(prefix="out-", dir=self.folder))
            yield words

    def manifest(self, *lines: str) -> str:
        path = self.out / "manifest"
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    def assert_whole(self, name: str) -> None:
        self.assertEqual(sha256((self.out / name).read_bytes()), sha256(self.files[name]), name)

    def test_each_mechanism(self) -> None:
        for kind in ("fast", "ftp", "sftp", "ecpds"):
            answer = self.fetch(f"{self.urls[kind]}/f000", f"{self.urls[kind]}/large")
            self.assertEqual([each["status"] for each in answer], ["done", "done"], answer)
            for name in ("f000", "large"):
                self.assert_whole(name)
                (self.out / name).unlink()

    def test_what_is_not_there(self) -> None:
        for way in self.ways():
            for kind in ("fast", "ftp", "sftp", "ecpds"):
                answer = self.fetch(*way, f"{self.urls[kind]}/nothing", status=1)
                self.assertEqual((answer[0]["status"], answer[0]["attempts"][0]["ok"]), ("failed", False))
                self.assertRegex(answer[0]["reason"], "no such file|not there")
            self.assertEqual(list(self.out.iterdir()), [])

    def test_redirects_that_lead_inside(self) -> None:
        inside = f"/inside?port={self.sites['fast'].port}"
        for way in self.ways():
            for path in ("/file", "/loop", inside):
                answer = self.fetch(*way, self.urls["evil"] + path, status=1)
                self.assertEqual(answer[0]["status"], "failed")
            self.assertIn("private network", answer[0]["reason"])
            allowed = self.fetch(*way, "--allow-private", self.urls["evil"] + inside)
            self.assertEqual(allowed[0]["sha256"], sha256(self.files["f000"]))

    def test_a_page_instead_of_the_file(self) -> None:
        for way in self.ways():
            self.assertEqual(self.fetch(*way, f"{self.urls['evil']}/page.grib", status=1)[0]["status"], "failed")

    def test_names_that_lead_elsewhere(self) -> None:
        for way in self.ways():
            self.fetch(*way, f"{self.urls['fast']}/..%2f..%2ff000", status=1)
            self.assertEqual(list(self.out.iterdir()), [])

    def test_two_hundred_files_from_five_servers(self) -> None:
        kinds = ("s0", "ftp", "sftp", "fast", "wrong")
        names = [name for name in self.files if name != "large"]
        lines = ["\t".join(f"{self.urls[kind]}/{name}" for kind in kinds) for name in names]
        answer = self.fetch("-f", self.manifest(*lines))
        self.assertEqual(len(answer), 200)
        self.assertEqual({each["status"] for each in answer}, {"done"}, [each for each in answer if each["reason"]])
        for name in names:
            self.assert_whole(name)

    def test_small_files_a_large_one_and_one_that_is_missing(self) -> None:
        """Most come before there is a reactor, the others after that."""
        names = [*list(self.files)[:60], "large"]
        lines = ["\t".join(f"{self.urls[kind]}/bare/{name}" for kind in ("fast", "s0")) for name in (*names, "missing")]
        answer = self.fetch("-f", self.manifest(*lines), status=1)
        self.assertEqual(sorted(Path(each["path"]).name for each in answer if each["status"] == "done"), sorted(names))
        for name in names:
            self.assert_whole(name)
        self.assertEqual(sorted(path.name for path in self.out.iterdir()), sorted([*names, "manifest"]))

    def test_a_wrong_mirror_is_caught_and_named(self) -> None:
        mirrors = "\t".join(f"{self.urls[kind]}/large" for kind in ("s0", "s1", "wrong"))
        for way in self.ways():
            answer = self.fetch(*way, "-f", self.manifest(mirrors))[0]
            self.assert_whole("large")
            self.assertEqual([each["ok"] for each in answer["attempts"]], [True, True, False])

    def test_four_mirrors_give_three_times_the_rate_of_one(self) -> None:
        one = self.fetch(f"{self.urls['s0']}/large")[0]["seconds"]
        mirrors = "\t".join(f"{self.urls[f's{number}']}/large" for number in range(4))
        four = self.fetch("-f", self.manifest(mirrors))[0]["seconds"]
        self.assert_whole("large")
        print(f"one {one:.2f} s, four {four:.2f} s: {one / four:.2f} times")
        self.assertGreater(one / four, 2.5 if os.getloadavg()[0] > 4 else 3.0)

    def noted(self) -> int:
        """How much of the large file is here, by its note."""
        state = self.out / ".large.ecpds-state"
        return sum(end - begin for begin, end in json.loads(state.read_text())["done"]) if state.exists() else 0

    def test_a_killed_fetch_goes_on(self) -> None:
        for way in self.ways():
            self.kill_and_go_on(*way)

    def kill_and_go_on(self, *way: str) -> None:
        url = f"{self.urls['s0']}/large"
        command = [sys.executable, "-m", "ecpds", "fetch", *way, "--json", "-r", "none", "-o", str(self.out), url]
        with subprocess.Popen(command, cwd="/", env=environment(), stdout=subprocess.DEVNULL) as running:
            deadline = time.monotonic() + 30
            while self.noted() < 8 * MIB and time.monotonic() < deadline:
                time.sleep(0.05)
            running.kill()
        self.assertFalse((self.out / "large").exists(), "half a file was seen")
        began = time.monotonic()
        answer = self.fetch(*way, url)[0]
        self.assert_whole("large")
        self.assertLess(answer["seconds"], 5.0, f"it did not go on ({time.monotonic() - began:.1f} s)")
        self.assertEqual([path.name for path in self.out.iterdir()], ["large"])

    def test_a_fetch_that_is_asked_to_end_notes_what_is_here(self) -> None:
        """However short it ran: within the first seconds nothing is noted otherwise."""
        url = f"{self.urls['s0']}/large"
        command = [sys.executable, "-m", "ecpds", "fetch", "-r", "none", "-o", str(self.out), url]
        part = self.out / ".large.ecpds-part"
        for number in (signal.SIGTERM, signal.SIGINT):
            with subprocess.Popen(command, cwd="/", env=environment(), stderr=subprocess.DEVNULL) as running:
                until(lambda: part.exists() and part.stat().st_size > 2 * MIB, "bytes")
                running.send_signal(number)
            self.assertNotEqual(running.returncode, 0)
            self.assertGreater(self.noted(), MIB)
            self.assertFalse((self.out / "large").exists(), "half a file was seen")
            for path in self.out.iterdir():
                path.unlink()

    def test_s3(self) -> None:
        repository = Site(free_port(), self.folder / "answers")
        endpoint = f"http://127.0.0.1:{self.node.ports['s3_plain']}"
        candidate = {"url": "s3://archive/f001", "mechanism": "s3", "options": {"endpoint": endpoint}}
        folder = self.folder / "answers" / "api" / "v1" / "sources"
        folder.mkdir(parents=True)
        answer = {"resolutions": [{"url": "http://nowhere.invalid/f001", "candidates": [candidate]}]}
        (folder / "resolve").write_text(json.dumps(answer))
        more = "error_page 405 =200 $uri; location /api { default_type application/json; error_page 405 =200 $uri; }"
        with nginx(self.folder / "nginx2", [Site(repository.port, repository.root, more)]):
            words = ["-r", f"{repository.url}/repository", "http://nowhere.invalid/f001"]
            done = self.fetch(*words)[0]
        self.assertEqual((done["status"], done["attempts"][0]["mechanism"]), ("done", "s3"), done)
        self.assert_whole("f001")

    def test_a_repository_that_is_down(self) -> None:
        answer = self.fetch("-r", f"http://127.0.0.1:{free_port()}/repository", f"{self.urls['fast']}/f000")
        self.assertEqual(answer[0]["status"], "done")

    def test_through_the_nodes_own_repository(self) -> None:
        hosts = {name: self.urls[name].partition("://")[2] for name in ("s0", "fast")}
        change = {"type": "change_host", "options": {"new_host": hosts["fast"]}, "target": "fast", "for_destinations": []}
        sources = [
            {
                "label": name,
                "description": None,
                "transfer_mechanism": {"type": "http", "options": {}},
                "test_files": [f"http://{hosts[name]}/f003"],
                "transforms": [change] if name == "s0" else [],
                "url_matchers": [{"type": "regular_expression", "options": {"pattern": f"^http://{hosts[name]}/"}}],
            }
            for name in hosts
        ]
        configuration = self.out / "sources.json"
        configuration.write_text(json.dumps({"data_sources": sources, "destinations": []}))
        self.node.ecpds("source", "import", str(configuration))
        configuration.unlink()
        base = f"http://127.0.0.1:{self.node.ports['https_plain']}/repository"
        answer = self.fetch("-r", base, f"{self.urls['s0']}/f002")[0]
        self.assertEqual(answer["attempts"][0]["url"], f"http://{hosts['fast']}/f002")
        self.assert_whole("f002")
        listed = {each["label"]: each for each in self.node.json_lines("source", "list")}
        self.assertGreater(listed["fast"]["reports"], 0, "the report did not arrive")
        probed = self.node.try_ecpds("source", "probe", "-r", base, "--json")
        self.assertEqual(probed.returncode, 0, probed.stderr)
        self.assertEqual(len(probed.stdout.splitlines()), 3)
