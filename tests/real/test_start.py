"""How a node starts and ends: from any folder, in the foreground or as a daemon, and with what it says when it can't."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.real.case import RealTestCase, sha256
from tests.real.clients import Curl, authorization, ftp, https, path_of
from tests.real.harness import DESTINATION, PATIENCE, ROOT, TWISTD, Node, environment, node, until


class Start(SynchronousTestCase):
    def test_sigterm_ends_it_with_0_and_takes_ports_json_away(self) -> None:
        with node(populated=False) as held:
            ports = held.ports
            self.assertEqual(held.stop(), 0, held.log_end())
            self.assertIsNone(held.ports_file())
            for door in ("ftp", "https"):
                with socket.socket() as probe:
                    self.assertNotEqual(probe.connect_ex(("127.0.0.1", ports[door])), 0)

    def test_ports_json_names_the_process_and_every_port(self) -> None:
        with node(populated=False) as held:
            assert held.process is not None
            self.assertEqual(set(held.ports), {"pid", "ftp", "https", "https_plain"})
            self.assertEqual(held.ports["pid"], held.process.pid)
            for door in ("ftp", "https", "https_plain"):
                socket.create_connection(("127.0.0.1", held.ports[door]), 5).close()

    def test_a_stale_ports_json_is_replaced(self) -> None:
        with node(populated=False) as held:
            held.kill()
            left = held.ports_file()
            self.assertIsNotNone(left, "a killed node can't take its ports.json away")
            held.start()
            self.assertNotEqual(held.ports_file(), left)

    def test_it_only_removes_a_ports_json_of_its_own(self) -> None:
        with node(populated=False) as held:
            other = {"pid": 1, "ftp": 1}
            (held.home / "ports.json").write_text(json.dumps(other))
            self.assertEqual(held.stop(), 0)
            self.assertEqual(held.ports_file(), other)

    def test_a_long_path(self) -> None:
        """Longer than the 107 bytes that a Unix socket's address holds."""
        with tempfile.TemporaryDirectory() as short:
            within = Path(short, *["a-folder-with-a-long-name"] * 6)
            within.mkdir(parents=True)
            with node(within=within) as held:
                self.assertGreater(len(str(held.home / "admin.sock")), 150)
                self.assertEqual([user["login"] for user in held.json_lines("user", "list")], ["ann"])

    def test_only_its_owner_may_enter_the_home_s_secrets(self) -> None:
        with node(populated=False) as held:
            self.assertEqual((held.home / "admin.sock").stat().st_mode & 0o777, 0o600)
            self.assertEqual((held.home / "keys").stat().st_mode & 0o777, 0o700)
            self.assertEqual([path for path in (held.home / "keys").iterdir() if path.stat().st_mode & 0o077], [])

    def test_ipv6(self) -> None:
        if not socket.has_ipv6 or not Path("/proc/net/if_inet6").read_text():
            raise SkipTest("there is no IPv6 here")
        with node({"node": {"interface": ["::1"]}}) as held:
            source = Path(self.mktemp()).resolve()
            source.write_bytes(b"six")
            for door in ("ftp", "https"):
                url = held.url(door, f"six-{door}").replace("127.0.0.1", "[::1]")
                Curl(held, door)("-g", "-T", str(source), url)
                self.assertEqual(Curl(held, door)("-g", url), "six")

    def test_two_starts_keep_what_was_there(self) -> None:
        with node() as held:
            source = Path(self.mktemp()).resolve()
            source.write_bytes(b"kept")
            Curl(held, "ftp").put(source, "kept")
            shown = held.json("file", "show", f"/{DESTINATION}/kept")
            self.assertEqual(held.stop(), 0)
            held.start()
            self.assertEqual(held.json("file", "show", f"/{DESTINATION}/kept"), shown)
            self.assertEqual(Curl(held, "https")(held.url("https", "kept")), "kept")


class Daemonised(SynchronousTestCase):
    def test_it_leaves_its_terminal_and_serves(self) -> None:
        folder = Path(self.mktemp()).resolve()
        held = Node(folder)
        command = [str(TWISTD), f"--pidfile={folder / 'pid'}", f"--logfile={held.log}", "ecpds", "-c", str(held.config)]
        subprocess.run(command, cwd="/", env=environment(), stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE)
        held.wait_until_ready()
        try:
            self.assertEqual(held.pid, int((folder / "pid").read_text()))
            held.populate()
            with ftp(held) as client:
                self.assertEqual(client.nlst(), [])
        finally:
            os.kill(held.pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{held.pid}").exists(), "the daemon's end")
        self.assertEqual(((folder / "pid").exists(), held.ports_file()), (False, None))

    def test_twistd_knows_the_plugin_in_any_folder(self) -> None:
        if Path(sys.prefix) != ROOT / ".venv" or (ROOT / ".venv").is_symlink():
            raise SkipTest("not run by the checkout's own .venv")
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        said = subprocess.run([str(TWISTD), "--help"], cwd="/", env=variables, capture_output=True, text=True, check=True)
        self.assertRegex(said.stdout, r"(?m)^\s+ecpds\s")


class Drain(RealTestCase):
    signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)

    def test_a_download_that_runs_may_end(self) -> None:
        """A signal in the middle of a download: it ends whole, new clients are turned away, and the status is 0."""
        source, digest = self.random_file(30_000_000)
        Curl(self.node, "https").put(source, "drained")
        connection = https(self.node)
        connection.request("GET", path_of("drained"), headers=authorization())
        answer = connection.getresponse()
        content = answer.read(1000)
        assert self.node.process is not None
        for each in self.signals:
            self.node.process.send_signal(each)
        with self.assertRaises(OSError):
            until(lambda: socket.create_connection(("127.0.0.1", self.node.ports["https"]), 5).close(), "a refusal")
        target = self.folder / "target"
        target.write_bytes(content + answer.read())
        self.assertEqual(sha256(target), digest)
        self.assertEqual(self.node.wait(), 0, self.node.log_end())


class HungUp(Drain):
    """The terminal goes. The kernel and the shell may both say so; the second SIGHUP cuts nobody off, as a SIGTERM does."""

    signals = (signal.SIGHUP, signal.SIGHUP)


def run_to_its_end(held: Node) -> subprocess.CompletedProcess[str]:
    """Start a node that is expected to end by itself."""
    return subprocess.run(
        held.command, cwd="/", env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )


class Refused(SynchronousTestCase):
    def refusal(self, config: str) -> str:
        """What a start with this configuration says on standard error, which must be one line, and end it."""
        folder = Path(self.mktemp()).resolve()
        held = Node(folder)
        held.config.write_text(config, "utf-8")
        done = run_to_its_end(held)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse((folder / "home").exists(), "nothing is made before the configuration is understood")
        return done.stderr

    def test_an_unknown_key(self) -> None:
        said = self.refusal('[node]\nhome = "home"\n[ftp]\nprot = 1\n')
        for word in ("ecpds.toml", "[ftp]", "prot", "port"):
            self.assertIn(word, said)

    def test_an_unknown_section(self) -> None:
        self.assertIn("[sftp]", self.refusal('[node]\nhome = "home"\n[sftp]\nport = 1\n'))

    def test_a_wrong_type(self) -> None:
        self.assertIn("'2121'", self.refusal('[node]\nhome = "home"\n[ftp]\nport = "2121"\n'))

    def test_a_bad_value(self) -> None:
        self.assertIn("70000", self.refusal('[node]\nhome = "home"\n[ftp]\nport = 70000\n'))

    def test_no_toml(self) -> None:
        self.assertIn("TOML", self.refusal("[node\n"))

    def test_no_file(self) -> None:
        held = Node(Path(self.mktemp()).resolve())
        held.config.unlink()
        done = run_to_its_end(held)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(str(held.config), done.stderr)

    def test_a_catalogue_that_is_away(self) -> None:
        """A new one would know none of the files, and the sweep unlink them all."""
        with node() as held:
            Curl(held, "ftp").put(self.content(), "kept")
            held.stop()
            stored, catalogue = held.stored_files(), held.home / "catalogue.sqlite"
            away = catalogue.rename(held.home / "away")
            for said in (run_to_its_end(held).stderr, held.try_ecpds("catalogue", "upgrade").stderr):
                self.assertIn(f"{catalogue}: there is no catalogue", said)
            said = held.try_ecpds("catalogue", "copy", "sqlite:///other.sqlite").stderr
            self.assertIn(f"{catalogue}: there is no catalogue", said)
            self.assertEqual(run_to_its_end(held).returncode, 1, "none was made by trying")
            volumes = held.home / "volumes"
            volumes.rename(held.home / "unmounted")
            self.assertIn("there is no catalogue", run_to_its_end(held).stderr, "what is there when the disk is")
            (held.home / "unmounted").rename(volumes)
            self.assertEqual(held.stored_files(), stored)
            away.rename(catalogue)
            held.start()
            self.assertEqual(held.json("file", "show", f"/{DESTINATION}/kept")["size"], 1000)

    def content(self) -> Path:
        file = Path(self.mktemp()).resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 1000)
        return file

    def test_a_port_that_is_taken(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            held = Node(Path(self.mktemp()).resolve(), {"ftp": {"port": port}})
            done = run_to_its_end(held)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"port {port}: Address already in use", done.stdout + done.stderr)
        self.assertIsNone(held.ports_file())
