"""Names given together come out as names given one after the other; and a transaction that is spoilt begins anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import AlreadyExists, IsADirectory, NotADirectory, PreconditionFailed, Unavailable
from ecpds.master import destinations, files, reclaim
from ecpds.master.publishing import Publication
from ecpds.master.schema import dead
from ecpds.master.sql import Session, Statement, value
from ecpds.master.sqlite import SqliteEngine
from ecpds.master.writer import Committer
from ecpds.model import ANYTHING, Condition, Copy, DataFile, Destination, Entry, Segment

DUE = 90.0
PATHS = ["a", "b", "c", "a/b", "a/b/c", "a/c", "b/a", "d/e/f"]
CONDITIONS = [ANYTHING, Condition(absent=True)]

_KILL = Statement(insert(dead).values(segment=value("segment")))
_DEAD = Statement(select(dead.c.segment))


def publication(number: int, path: str, condition: Condition = ANYTHING) -> Publication:
    segment = Segment(number, 3, (Copy("m", 0),))
    return Publication(1, path, DataFile(number, 3, 1.0, 2.0, {}, {}, (segment,)), condition, DUE)


def told(outcome: Entry | Exception) -> Any:
    """What a client would hear."""
    return (outcome.path, outcome.replaced) if isinstance(outcome, Entry) else type(outcome)


def one_after_the_other(asked: Sequence[tuple[str, Condition]], order: Sequence[int]) -> tuple[list[Any], dict[str, int]]:
    """What each would hear in that order, and whose file each name is then: the rule itself, in plain dictionaries."""
    names: dict[str, int] = {}
    outcomes: dict[int, Any] = {}
    for number in order:
        path, condition = asked[number]
        above = [path[:at] for at, character in enumerate(path) if character == "/"]
        if any(name.startswith(f"{path}/") for name in names):
            outcomes[number] = IsADirectory
        elif condition.absent and path in names:
            outcomes[number] = PreconditionFailed
        elif any(each in names for each in above):
            outcomes[number] = NotADirectory
        else:
            outcomes[number] = (path, path in names)
            names[path] = number + 1
    return [outcomes[number] for number in range(len(asked))], names


class Catalogue:
    """A catalogue with one destination, and what commits to it."""

    def __init__(self, path: Path) -> None:
        self.engine = SqliteEngine(path, sync=False)
        self.engine.open()
        self.committer = Committer(self.engine)
        self.commit(lambda session: destinations.add(session, Destination(0, "d")))

    def commit(self, *operations: Callable[[Session], Any]) -> list[Any]:
        return self.committer.commit(list(operations))

    def names(self) -> dict[str, int]:
        """Whose file each name is."""
        (found,) = self.commit(lambda session: {path: files.file_at(session, 1, path) for path in PATHS})
        return {path: file.id for path, file in found.items() if file is not None}

    def backlog(self) -> int:
        (found,) = self.commit(reclaim.backlog)
        return int(found)

    def close(self) -> None:
        self.committer.close()
        self.engine.close()


class PublishingTests(SynchronousTestCase):
    """Batches of publications."""

    def catalogue(self) -> Catalogue:
        made = Catalogue(Path(self.mktemp()) / "catalogue.sqlite")
        self.addCleanup(made.close)
        return made

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(CONDITIONS)), min_size=1, max_size=5))
    def test_together_is_as_in_some_order(self, asked: list[tuple[str, Condition]]) -> None:
        catalogue = self.catalogue()
        publications = [publication(number, *each) for number, each in enumerate(asked, 1)]
        (outcomes,) = catalogue.commit(lambda session: Publication.together(session, publications))
        seen = ([told(outcome) for outcome in outcomes], catalogue.names())
        self.assertIn(seen, [one_after_the_other(asked, order) for order in permutations(range(len(asked)))])
        stored = sum(isinstance(outcome, Entry) for outcome in outcomes)
        self.assertEqual(catalogue.backlog(), stored - len(catalogue.names()))

    def test_one_whose_bytes_a_sweep_has_taken(self) -> None:
        catalogue = self.catalogue()
        catalogue.commit(lambda session: session.run(_KILL, segment=2))
        outcomes = catalogue.commit(*(publication(number, path) for number, path in enumerate("abc", 1)))
        self.assertEqual([told(outcome) for outcome in outcomes], [("a", False), Unavailable, ("c", False)])
        self.assertEqual(catalogue.names(), {"a": 1, "c": 3})

    def test_what_shares_a_transaction_with_one_that_fails_late(self) -> None:
        """The whole of it begins anew, each by itself; nothing is done twice, and what failed has changed nothing."""
        catalogue = self.catalogue()
        outcomes = catalogue.commit(publication(1, "a"), refused_late, publication(2, "a/b"), publication(3, "b"))
        self.assertEqual([told(each) for each in outcomes], [("a", False), AlreadyExists, NotADirectory, ("b", False)])
        self.assertEqual(catalogue.names(), {"a": 1, "b": 3})
        (dead_ones,) = catalogue.commit(lambda session: session.rows(_DEAD))
        self.assertEqual(dead_ones, [])

    def test_a_row_that_is_there_already_spoils_only_its_own(self) -> None:
        catalogue = self.catalogue()
        first, again, other = catalogue.commit(publication(1, "a"), publication(1, "b"), publication(2, "d/e/f"))
        self.assertEqual([told(first), told(other)], [("a", False), ("d/e/f", False)])
        self.assertIsInstance(again, sqlite3.IntegrityError)
        self.assertEqual(catalogue.names(), {"a": 1, "d/e/f": 2})


def refused_late(session: Session) -> None:
    session.run(_KILL, segment=99)
    raise AlreadyExists
