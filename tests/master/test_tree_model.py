"""Any sequence of changes leaves the tree as a plain dictionary would have it, and no row that nothing needs."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import define, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ecpds.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    InvalidName,
    IsADirectory,
    NotADirectory,
    NotFound,
    NotPermitted,
    Refusal,
)
from ecpds.model import ANYTHING
from tests.contracts.master import Uploading
from tests.master.support import MasterCase

NAMES = st.sampled_from(["a", "a-b", "a0", "ab", "A", "%", "_", "\\", "é", "e\u0301", "'", "\U0001f600", "a.", "*"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


@define
class Model:
    """Files by path, and directories by path with whether they are implicit."""

    files: dict[str, int] = field(factory=dict)
    directories: dict[str, bool] = field(factory=lambda: {"": False})

    def ancestors(self, path: str) -> list[str]:
        found = []
        while path:
            path = parent_of(path)
            found.append(path)
        return found

    def in_the_way(self, path: str) -> None:
        if any(above in self.files for above in self.ancestors(path)):
            raise NotADirectory

    def children(self, path: str) -> list[str]:
        return sorted((p for p in (*self.files, *self.directories) if p and parent_of(p) == path), key=str.encode)

    def prune(self, path: str) -> None:
        while self.directories.get(path) and not self.children(path):
            del self.directories[path]
            path = parent_of(path)

    def put(self, path: str, file: int) -> None:
        if path in self.directories:
            raise IsADirectory
        self.in_the_way(path)
        for above in self.ancestors(path):
            self.directories.setdefault(above, True)
        self.files[path] = file

    def delete(self, path: str) -> None:
        if path in self.directories:
            raise IsADirectory
        if path not in self.files:
            raise NotFound
        del self.files[path]
        self.prune(parent_of(path))

    def make(self, path: str) -> None:
        if path in self.directories or path in self.files:
            raise AlreadyExists
        self.in_the_way(path)
        if parent_of(path) not in self.directories:
            raise NotFound
        self.directories[path] = False

    def remove(self, path: str) -> None:
        if not path:
            raise NotPermitted
        if path in self.files:
            raise NotADirectory
        if path not in self.directories:
            raise NotFound
        if self.children(path):
            raise DirectoryNotEmpty
        del self.directories[path]
        self.prune(parent_of(path))

    def rename(self, source: str, target: str) -> None:
        if source not in self.files and source not in self.directories:
            raise NotFound
        if source == target:
            return
        if source in self.directories and target.startswith(source + "/"):
            raise InvalidName
        self.in_the_way(target)
        if parent_of(target) not in self.directories:
            raise NotFound
        if target in self.directories or (source in self.directories and target in self.files):
            raise AlreadyExists
        for table in (self.files, self.directories):
            for path in [p for p in table if p == source or p.startswith(source + "/")]:
                table[target + path[len(source) :]] = table.pop(path)  # type: ignore[attr-defined]
        self.prune(parent_of(source))


class TreeMachine(RuleBasedStateMachine):
    """Does the same to a Master and to the model."""

    case: ClassVar[TreeModelTests]

    def __init__(self) -> None:
        super().__init__()
        self.case.fresh()
        self.model = Model()

    def agree(self, work: Any, change: Any) -> None:
        try:
            change()
        except Refusal as refusal:
            self.case.refused(type(refusal), work)
        else:
            self.case.now(work)

    @rule(path=PATHS)
    def put(self, path: str) -> None:
        try:
            self.model.put(path, 0)
        except Refusal as refusal:
            self.case.refused(type(refusal), self.case.put(path))
        else:
            self.model.files[path] = self.case.now(self.case.put(path)).file.id

    @rule(path=PATHS)
    def delete(self, path: str) -> None:
        case = self.case
        self.agree(case.master.delete(case.user, "demo", path, ANYTHING), lambda: self.model.delete(path))

    @rule(path=PATHS)
    def make_directory(self, path: str) -> None:
        case = self.case
        self.agree(case.master.make_directory(case.user, "demo", path), lambda: self.model.make(path))

    @rule(path=PATHS)
    def remove_directory(self, path: str) -> None:
        case = self.case
        self.agree(case.master.remove_directory(case.user, "demo", path), lambda: self.model.remove(path))

    @rule(source=PATHS, to=PATHS)
    def rename_anything(self, source: str, to: str) -> None:
        self.rename(source, to)

    def rename(self, source: str, target: str) -> None:
        case = self.case
        self.agree(case.master.rename(case.user, "demo", source, target), lambda: self.model.rename(source, target))

    @rule(data=st.data())
    def rename_what_is_there(self, data: st.DataObject) -> None:
        there = sorted({*self.model.files, *self.model.directories} - {""})
        if there:
            source = data.draw(st.sampled_from(there))
            target = data.draw(st.sampled_from([*there, *(f"{path}/new" for path in there), "new"]))
            self.rename(source, target)

    @rule(path=PATHS)
    def resolve(self, path: str) -> None:
        case = self.case
        if path in self.model.files:
            entry = case.now(case.master.resolve("demo", path))
            case.assertEqual((entry.path, entry.file.id), (path, self.model.files[path]))
        elif path in self.model.directories:
            case.assertTrue(case.now(case.master.resolve("demo", path)).is_directory)
        else:
            case.refused(NotFound, case.master.resolve("demo", path))

    @invariant()
    def listings_agree(self) -> None:
        for directory in self.model.directories:
            entries = self.case.now(self.case.master.list("demo", directory, None, 1000)).entries
            found = [(entry.path, entry.file.id if entry.file else None) for entry in entries]
            wanted = [(path, self.model.files.get(path)) for path in self.model.children(directory)]
            self.case.assertEqual(found, wanted)

    @invariant()
    def nothing_is_left_over(self) -> None:
        self.case.assertEqual(self.case.orphans(), [])


class TreeModelTests(Uploading, MasterCase):
    """The machine, on one catalogue that is emptied between runs."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()

    def fresh(self) -> None:
        self.stop()
        self.new_catalogue()
        self.start()
        self.populate()

    def test_any_sequence_of_changes(self) -> None:
        TreeMachine.case = self
        run_state_machine_as_test(
            TreeMachine,
            settings=settings(
                max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
            ),
        )
