"""What the tests of this folder share: one real node for a class of tests."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.real.harness import Node, Options, node

PIECE = 1 << 20


class RealTestCase(SynchronousTestCase):
    """A class whose tests share one populated node; `options` go over the harness's configuration."""

    options: ClassVar[Options] = {}
    node: ClassVar[Node]
    _stack: ClassVar[ExitStack]

    @classmethod
    def setUpClass(cls) -> None:
        cls._stack = ExitStack()
        cls.node = cls._stack.enter_context(node(cls.options))

    @classmethod
    def tearDownClass(cls) -> None:
        cls._stack.close()

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()

    def tearDown(self) -> None:
        print(self.node.log_end())  # pytest shows it where the test failed

    def random_file(self, size: int, name: str = "source") -> tuple[Path, str]:
        """A file of random bytes, and its SHA-256."""
        source = self.folder / name
        with source.open("wb") as file:
            for start in range(0, size, PIECE):
                file.write(os.urandom(min(PIECE, size - start)))
        return source, sha256(source)


def sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
