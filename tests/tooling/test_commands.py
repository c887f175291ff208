"""The commands of bin/: when an environment is made anew, and what is started in it. Nothing is installed here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]

PYTHON = '#!/bin/sh\n[ "$1" = -V ] && echo Python 3.11.0 || echo python "$@"\n'
TWISTD = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


class Checkout(SynchronousTestCase):
    """A checkout with the commands, and an environment whose programs only say how they were called."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).resolve() / "check out"
        shutil.copytree(ROOT / "bin", self.root / "bin")
        (self.root / "setup.cfg").write_text("[metadata]\n")
        (self.root / ".venv" / "bin").mkdir(parents=True)
        for name, script in (("python", PYTHON), ("twistd", TWISTD)):
            program = self.root / ".venv" / "bin" / name
            program.write_text(script)
            program.chmod(0o755)
        self.mark = self.root / ".venv" / "ecpds-made-from"

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run lines of bash after sourcing venv.sh, in another folder."""
        script = f'. "{self.root}/bin/venv.sh"\n{script}'
        return subprocess.run(["bash", "-c", script], cwd="/", capture_output=True, text=True, timeout=60, check=False)

    def make_mark(self, extras: str = "") -> None:
        self.bash(f'{{ venv_print "$venv/bin/python"; printf "%s\\n" "{extras}"; }} > "$venv/ecpds-made-from"')

    def is_ready(self, extra: str = "") -> bool:
        return self.bash(f'venv_is_ready "{extra}"').returncode == 0


class Ready(Checkout):
    def test_without_a_mark_it_is_not(self) -> None:
        self.assertFalse(self.is_ready())

    def test_with_its_mark_it_is(self) -> None:
        self.make_mark()
        self.assertTrue(self.is_ready())
        self.assertFalse(self.is_ready("test"), "the extras were not asked for when it was made")

    def test_more_extras_are_as_good(self) -> None:
        self.make_mark("test")
        self.assertTrue(self.is_ready("test"))
        self.assertTrue(self.is_ready())

    def test_another_release_of_python_makes_it_stale(self) -> None:
        self.make_mark()
        (self.root / ".venv" / "bin" / "python").write_text(PYTHON.replace("3.11.0", "3.12.0"))
        self.assertFalse(self.is_ready())

    def test_another_setup_cfg_makes_it_stale(self) -> None:
        self.make_mark()
        (self.root / "setup.cfg").write_text("[metadata]\nname = other\n")
        self.assertFalse(self.is_ready())

    def test_another_place_makes_it_stale(self) -> None:
        self.make_mark()
        moved = self.root.with_name("moved")
        self.root.rename(moved)
        self.root = moved
        self.assertFalse(self.is_ready())

    def test_a_linked_one_is_used_as_it_is(self) -> None:
        elsewhere = self.root.with_name("elsewhere")
        (self.root / ".venv").rename(elsewhere)
        (self.root / ".venv").symlink_to(elsewhere)
        self.assertTrue(self.is_ready("test"))

    def test_a_half_made_one_is_not(self) -> None:
        self.make_mark()
        (self.root / ".venv" / "bin" / "python").unlink()
        self.assertFalse(self.is_ready())


class Started(Checkout):
    def run_command(self, name: str, *words: str) -> list[str]:
        self.make_mark("test")
        done = subprocess.run(
            [self.root / "bin" / name, *words], cwd="/", capture_output=True, text=True, timeout=60, check=True
        )  # fmt: skip
        return done.stdout.splitlines()

    def test_run_starts_the_shipped_configuration(self) -> None:
        shipped = f"{self.root}/conf/ecpds.toml"
        self.assertEqual(self.run_command("run"), ["-n", "--pidfile=", "ecpds", "-c", shipped, "--demo"])

    def test_run_takes_another_configuration(self) -> None:
        for words in (["-c", "my.toml"], ["--config", "my.toml"], ["--config=my.toml"], ["-cmy.toml"]):
            self.assertEqual(self.run_command("run", *words), ["-n", "--pidfile=", "ecpds", "--demo", *words])

    def test_ecpds_hands_its_words_on(self) -> None:
        self.assertEqual(self.run_command("ecpds", "file", "ls", "/a b/"), ["python -P -m ecpds file ls /a b/"])

    def test_a_link_to_a_command_finds_its_checkout(self) -> None:
        (self.root / "elsewhere").mkdir()
        link = self.root / "elsewhere" / "ecpds"
        link.symlink_to(self.root / "bin" / "ecpds")
        self.make_mark()
        said = subprocess.run([link, "status"], capture_output=True, text=True, timeout=60, check=True).stdout
        self.assertEqual(said, "python -P -m ecpds status\n")
