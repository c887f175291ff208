"""The line that an operator carries: what was said comes back, and nothing else is taken."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.__main__ import main
from ecpds.cluster.authority import fleet_secret
from ecpds.cluster.token import Token, read_token, write_token
from ecpds.config import Cluster, Config, ConfigError, Node
from ecpds.errors import InvalidRequest
from ecpds.node.inviting import fleet_token, take_token

secrets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=32, max_size=100).map(str.encode)
TOKEN = Token(b"s" * 43, ("tls:10.0.0.1:7600", "tls:[::1]:7600"))


class Lines(SynchronousTestCase):
    @given(secrets, st.lists(st.text(max_size=30), min_size=1, max_size=4))
    def test_round_trip(self, secret: bytes, masters: list[str]) -> None:
        token = Token(secret, tuple(masters))
        line = write_token(token)
        self.assertEqual(read_token(f" {line}\n"), token)
        self.assertEqual(len(line.split()), 1)

    @given(st.integers(0, len(write_token(TOKEN)) - 1), st.characters(exclude_categories=["Cs"]))
    def test_a_mistyped_line(self, place: int, other: str) -> None:
        line = write_token(TOKEN)
        changed = line[:place] + other + line[place + 1 :]
        if changed.strip() != line:
            self.assertRaises(InvalidRequest, read_token, changed)
            self.assertRaises(InvalidRequest, read_token, line[:place])

    @given(st.text(max_size=200))
    def test_anything(self, text: str) -> None:
        self.assertRaises(InvalidRequest, read_token, text)

    def test_the_secret_is_not_shown(self) -> None:
        self.assertNotIn("sss", repr(TOKEN))


class Inviting(SynchronousTestCase):
    def config(self, **cluster: object) -> Config:
        return Config(node=Node(home=str(Path(self.mktemp()).absolute() / "home")), cluster=Cluster(**cluster))

    def test_from_the_Master_to_a_node(self) -> None:
        master = self.config(advertise="2001:db8::1")
        Path(master.node.home).mkdir(parents=True)
        line = fleet_token(master)
        node = self.config(masters=("tls:[2001:db8::1]:7600",))
        self.assertIn("start the node", take_token(node, line))
        self.assertEqual(fleet_secret(node, make=False), fleet_secret(master, make=False))
        self.assertEqual(node.path("cluster.secret").stat().st_mode & 0o777, 0o600)

    def test_a_node_that_names_no_Master_is_told(self) -> None:
        self.assertIn('masters = ["tls:10.0.0.1:7600", "tls:[::1]:7600"]', take_token(self.config(), write_token(TOKEN)))

    def test_refused(self) -> None:
        self.assertRaises(ConfigError, fleet_token, Config())
        self.assertRaises(ConfigError, fleet_token, self.config(masters=("tls:a:1",)))
        self.assertRaises(ConfigError, fleet_token, self.config(listen=0))
        self.assertRaises(ConfigError, take_token, Config(), write_token(TOKEN))
        self.assertRaises(ConfigError, take_token, self.config(), write_token(Token(b"s" * 43, ("tcp:x:1",))))
        self.assertRaises(InvalidRequest, take_token, self.config(), "ecpds1.x.y")


class Asked(SynchronousTestCase):
    """By the command line, which says what went wrong in one sentence."""

    def test_a_home_that_can_not_be_made(self) -> None:
        file = Path(self.mktemp()).resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "taken").touch()
        file.write_text('[node]\nhome = "taken/home"\n[cluster]\nlisten = 7600\n')
        result = CliRunner().invoke(main, ["-c", str(file), "cluster", "token"])
        said = f"{file.parent}/taken/home/cluster.secret.new: Not a directory\n"
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (1, "", said))
