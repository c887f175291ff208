"""What a Master remembers of folders is true after every change, and spares a put its question."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ecpds.errors import IsADirectory, NotPermitted, Refusal
from ecpds.master import tree
from ecpds.master.known_folders import FEW, KnownFolders
from ecpds.model import ANYTHING
from ecpds.people import UserChange
from tests.contracts.master import Uploading
from tests.master.support import MasterCase

PATHS = ("a", "b", "a/a", "a/b", "b/a", "a/b/a", "a/b/b")


class KnownFoldersTests(Uploading, MasterCase):
    def setUp(self) -> None:
        super().setUp()
        self.populate()

    @property
    def place(self) -> int:
        return self.master.destination("demo").id

    def know(self, folder: str) -> None:
        """Put so much into a folder that it is known."""
        for name in ("1", "2", "3"):
            self.now(self.put(f"{folder}/{name}"))
        self.assertTrue(self.master._folders.have_room(self.place, f"{folder}/x"))

    def questions(self, path: str) -> int:
        """How many an allocation asks."""
        asked: list[Callable[..., Any]] = []
        ask = self.master.reader.ask

        def note(question: Callable[..., Any]) -> Coroutine[Any, Any, Any]:
            asked.append(question)
            return ask(question)

        self.master.reader.ask = note
        self.now(self.master.allocate(self.request(path)))
        self.master.reader.ask = ask
        return len(asked)

    def test_a_put_into_one_asks_nothing(self) -> None:
        self.assertGreater(self.questions("a/x"), 0)
        self.know("a")
        self.assertEqual(self.questions("a/x"), 0)
        self.assertEqual(self.questions("a/1"), 0, "it may replace")

    def test_a_folder_that_comes_into_one(self) -> None:
        self.know("a")
        self.now(self.master.make_directory(self.user, "demo", "a/x"))
        self.refused(IsADirectory, self.master.allocate(self.request("a/x")))

    def test_one_that_comes_with_a_file(self) -> None:
        self.know("a")
        self.now(self.put("a/x/y/z"))
        for path in ("a/x", "a/x/y"):
            self.refused(IsADirectory, self.master.allocate(self.request(path)))

    def test_one_that_goes_with_its_last_file(self) -> None:
        self.know("a")
        for name in ("1", "2", "3"):
            self.now(self.master.delete(self.user, "demo", f"a/{name}", ANYTHING))
        self.now(self.operations.change_user("joe", UserChange(permissions=("put",))))
        self.refused(NotPermitted, self.master.allocate(self.request("a/x")))

    def test_a_destination_is_no_file(self) -> None:
        for name in ("1", "2", "3"):
            self.now(self.put(name))
        self.assertEqual(self.questions("x"), 0)
        self.refused(IsADirectory, self.master.allocate(self.request("")))

    def test_many_folders_in_one_are_not_remembered(self) -> None:
        for number in range(FEW + 1):
            self.now(self.master.make_directory(self.user, "demo", f"d{number}"))
        for name in ("1", "2", "3"):
            self.now(self.put(name))
        self.assertFalse(self.master._folders.have_room(self.place, "x"))

    def test_it_is_bounded(self) -> None:
        known = self.master._folders = KnownFolders(self.master.reader, 2)
        for folder in ("a", "b", "c"):
            self.know(folder)
        self.assertEqual((len(known._names), len(known._seen)), (2, 2))

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("put"), st.sampled_from(PATHS)),
                st.tuples(st.sampled_from(("delete", "make_directory", "remove_directory")), st.sampled_from(PATHS)),
                st.tuples(st.just("rename"), st.sampled_from(PATHS), st.sampled_from(PATHS)),
            ),
            max_size=25,
        )
    )
    def test_it_is_true_after_every_change(self, steps: list[tuple[str, ...]]) -> None:
        self.stop()
        self.new_catalogue()
        self.start()
        self.populate()
        for step in steps:
            self.now(self.done(*step))
            self.check()

    async def done(self, what: str, *paths: str) -> bool:
        """Whether the change was one that could be made."""
        more = (ANYTHING,) if what == "delete" else ()
        try:
            await (self.put(paths[0]) if what == "put" else getattr(self.master, what)(self.user, "demo", *paths, *more))
        except Refusal:
            return False
        return True

    def check(self) -> None:
        for path in PATHS:
            if self.master._folders.have_room(self.place, path):
                room = self.now(self.master.reader.ask(lambda session, path=path: tree.room(session, self.place, path)))
                self.assertTrue(room.parent is not None and not room.is_directory, path)
