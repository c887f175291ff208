"""What the configuration takes, and the one line that it answers to anything else."""

from __future__ import annotations

from pathlib import Path

from attrs import fields
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.checks import port_range
from ecpds.config import SECTIONS, Config, ConfigError, load

REFUSED = [
    ('[node]\nnaem = "x"', "[node] naem is not an option; allowed: name, home, roles, interface"),
    ("[ndoe]", "[ndoe] is not a section; allowed: node, catalogue, cluster"),
    ("x = 1", "x = 1 stands outside a section"),
    ("node = 1", "node = 1 stands outside a section"),
    ('[node]\nname = "a b"', "[node] name = 'a b' is not allowed; allowed: 1 to 63 letters"),
    ('[node]\nname = "../x"', "[node] name"),
    ("[node]\nroles = []", "[node] roles = [] is not allowed; allowed: any of master, mover, ftp"),
    ('[node]\nroles = ["ftp", "ftp"]', "each once"),
    ('[node]\nroles = "ftp"', "[node] roles = 'ftp' is not allowed; allowed: a list of strings"),
    ("[node]\nroles = [1]", "allowed: a list of strings"),
    ('[node]\ninterface = ["localhost"]', "allowed: a list of IP addresses"),
    ('[catalogue]\nurl = "mysql://x"', "allowed: sqlite:///FILE | postgresql+psycopg://"),
    ("[ftp]\nport = -1", "[ftp] port = -1 is not allowed; allowed: a port, 0 to 65535"),
    ("[ftp]\nport = 65536", "allowed: a port"),
    ("[ftp]\nport = true", "[ftp] port = True is not allowed; allowed: a whole number"),
    ('[ftp]\nport = "21"', "allowed: a whole number"),
    ('[ftp]\ntls = "maybe"', '[ftp] tls = \'maybe\' is not allowed; allowed: "optional" | "required" | "off"'),
    ('[ftp]\npassive_ports = "9-1"', 'allowed: "FIRST-LAST"'),
    ('[ftp]\npassive_ports = "1-65536"', 'allowed: "FIRST-LAST"'),
    ("[mover]\nsync = 1", "[mover] sync = 1 is not allowed; allowed: true or false"),
    ("[mover]\nvolumes = []", "[mover] volumes = [] is not allowed"),
    ('[mover]\nvolumes = ["a", "a"]', "none of them twice"),
    ("[limits]\nstall = 0", "[limits] stall = 0.0 is not allowed; allowed: a number above 0"),
    ("[limits]\nstall = nan", "allowed: a number above 0"),
    ("[limits]\nkept_bytes = -1", "allowed: a whole number, 0 or more"),
    ("[limits]\ndisk_threads = 0", "[limits] disk_threads = 0 is not allowed; allowed: a whole number, 1 or more"),
    ('[node]\nhome = "a\\u0000b"', "[node] home = 'a\\x00b' is not allowed; allowed: text without NUL"),
    ('[mover]\nvolumes = ["a\\u0000b"]', "allowed: text without NUL"),
    ('[cluster]\ninterface = "nope"', "[cluster] interface = 'nope' is not allowed; allowed: an IP address"),
    ("[node", "is not TOML"),
]


class Loading(SynchronousTestCase):
    def write(self, text: str) -> Path:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        file = folder / "ecpds.toml"
        file.write_text(text)
        return file

    def test_an_empty_file_is_the_defaults(self) -> None:
        file = self.write("")
        config = load(file)
        self.assertEqual(config.ftp.port, 2121)
        self.assertIsNone(config.cluster)
        self.assertEqual(config.home, file.absolute().parent.parent / "var")

    def test_every_other_path_is_relative_to_the_home(self) -> None:
        config = load(self.write('[node]\nhome = "/srv/ecpds"'))
        self.assertEqual(config.path("volumes/0"), Path("/srv/ecpds/volumes/0"))
        self.assertEqual(config.path("/disk/1"), Path("/disk/1"))

    def test_values_arrive(self) -> None:
        text = '[node]\nname = "mover-1"\nroles = ["mover"]\n[ftp]\nimplicit_port = 990\n[limits]\nstall = 5\n[cluster]\n'
        config = load(self.write(text))
        self.assertEqual((config.node.name, config.node.roles), ("mover-1", ("mover",)))
        self.assertEqual((config.ftp.implicit_port, config.limits.stall), (990, 5.0))
        self.assertEqual(config.cluster and config.cluster.listen, 7600)

    def test_what_is_wrong_is_said_in_one_line(self) -> None:
        for text, expected in REFUSED:
            file = self.write(text)
            line = str(self.assertRaises(ConfigError, load, file))
            self.assertTrue(line.startswith(f"{file}: "), line)
            self.assertIn(expected, line)
            self.assertNotIn("\n", line)

    def test_no_limit_without_which_nothing_is_served_may_be_0(self) -> None:
        """A node without threads would take a connection, and answer never."""
        for name in ("login_threads", "login_queue", "digest_threads", "window", "buffers", "acquire_files", "header_bytes"):
            self.assertRaises(ConfigError, load, self.write(f"[limits]\n{name} = 0"))

    def test_a_missing_file(self) -> None:
        self.assertIn("can't be read", str(self.assertRaises(ConfigError, load, Path("/no/such/file"))))

    def test_every_section_is_an_attribute(self) -> None:
        self.assertEqual(set(SECTIONS), {attribute.name for attribute in fields(Config)})


class PortRanges(SynchronousTestCase):
    @given(st.integers(1, 65535), st.integers(1, 65535))
    def test_both_ends_belong(self, one: int, other: int) -> None:
        first, last = sorted((one, other))
        ports = port_range(f"{first}-{last}")
        self.assertEqual((ports[0], ports[-1]), (first, last))

    @given(st.text())
    def test_anything_else_is_a_value_error(self, text: str) -> None:
        try:
            ports = port_range(text)
        except ValueError:
            return
        self.assertTrue(1 <= ports[0] <= ports[-1] <= 65535)
