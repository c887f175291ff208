"""Files get their names: as many as are queued together share their statements.

Each statement costs the interpreter, the driver and, where the engine is a server, a round trip. So of many, the questions
are asked in one go and the rows of each table written in one go; of one alone all that it has to ask is one question.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from sqlalchemy import exists, select

from ecpds.errors import IsADirectory, PreconditionFailed, Refusal
from ecpds.master import files, owed, tree
from ecpds.master.schema import dead, entry, segment
from ecpds.master.sql import Session, Statement, value
from ecpds.master.tree import Room
from ecpds.master.writer import Joint, Outcome
from ecpds.model import Condition, DataFile, Entry

_file_there = (
    select(entry.c.data_file)
    .where(entry.c.directory == tree.ABOVE, entry.c.name == value("name"))
    .correlate(tree.ABOVE.table)
    .scalar_subquery()
)
_ROOM_AND_DEAD = Statement(
    tree.ROOM.add_columns(
        exists().where(dead.c.segment == value("segment")),
        exists().where(segment.c.data_file == _file_there, segment.c.number > 0),
    )
)


def check_room(room: Room, condition: Condition) -> None:
    """Whether a file may be put there, as far as what is there is concerned."""
    if room.is_directory:
        raise IsADirectory
    if not condition.met_by(room.file):
        raise PreconditionFailed


def ready_room(session: Session, destination: int, path: str, segment: int, condition: Condition) -> Room | None:
    """Where a file of this one segment can be published in a few rows: a folder is there, and nothing to be replaced but a
    file in one piece. None: that takes more, or will be refused."""
    parent, name = tree.split(path)
    row = session.row(_ROOM_AND_DEAD, destination=destination, path=path, parent=parent, name=name, segment=segment)
    if row is None or row[2] or row[3] or row[4] or not condition.met_by(row[1]):
        return None
    return Room(row[0], row[1])


@frozen
class Publication(Joint[Entry]):
    """Make `path` point at `file`; what it replaces may be deleted from `due` on. Run by the writer.

    `owed` are digests that are to be computed afterwards.

    Raises `IsADirectory`, `NotADirectory`, `PreconditionFailed`; `Unavailable` when a sweep has taken the bytes away.
    """

    destination: int
    path: str
    file: DataFile
    condition: Condition
    due: float
    owed: tuple[str, ...] = ()

    @classmethod
    def together(cls, session: Session, operations: Sequence[Publication]) -> list[Outcome[Entry]]:
        """Two of one path have their turns one after the other, and so has what needs a directory that is missing."""
        usual = operations[0].alone(session) if len(operations) == 1 else None
        if usual is not None:
            return [usual]
        return _Turns(session, operations).outcomes()

    def alone(self, session: Session) -> Entry | None:
        """A file in one piece that replaces nothing, or another such file, in a folder that is there. Anything else is not
        done."""
        if len(self.file.segments) != 1:
            return None
        room = ready_room(session, self.destination, self.path, self.file.segments[0].id, self.condition)
        if room is None or room.parent is None:
            return None
        _write(session, [(self, room.parent, room.file)])
        return self.entry(room.file is not None)

    def entry(self, replaced: bool) -> Entry:
        """What is there now."""
        return Entry(self.path, self.file.mtime, self.file, replaced=replaced)


class _Turns:
    """Some publications, and what has become of them by now."""

    def __init__(self, session: Session, publications: Sequence[Publication]) -> None:
        self._session = session
        self._left = list(enumerate(publications))
        self._outcomes: dict[int, Outcome[Entry]] = {}

    def outcomes(self) -> list[Outcome[Entry]]:
        self._refuse_dead()
        while self._left:
            self._turn()
        return [self._outcomes[number] for number in range(len(self._outcomes))]

    def _refuse_dead(self) -> None:
        ids = [each.id for _, publication in self._left for each in publication.file.segments]
        dead = files.dead_among(self._session, ids)
        if dead:
            for number, publication in self._left:
                if any(each.id in dead for each in publication.file.segments):
                    self._outcomes[number] = files.given_up()
            self._left = [each for each in self._left if each[0] not in self._outcomes]

    def _turn(self) -> None:
        now, self._left = _first_of_each_path(self._left)
        rooms = tree.rooms(self._session, [(each.destination, each.path) for _, each in now])
        placed: list[tuple[Publication, int, int | None]] = []
        homeless: list[tuple[int, Publication]] = []
        for (number, publication), room in zip(now, rooms, strict=True):
            if room.parent is None and not room.is_directory:
                homeless.append((number, publication))
            elif self._may(number, publication, room):
                assert room.parent is not None
                placed.append((publication, room.parent, room.file))
        _write(self._session, placed)
        for number, publication in homeless:
            self._make_room(number, publication)

    def _may(self, number: int, publication: Publication, room: Room) -> bool:
        try:
            check_room(room, publication.condition)
        except Refusal as refusal:
            self._outcomes[number] = refusal
            return False
        self._outcomes[number] = publication.entry(room.file is not None)
        return True

    def _make_room(self, number: int, publication: Publication) -> None:
        """For one whose directory was missing; another may have made it meanwhile, or be in its way."""
        session, place, path = self._session, publication.destination, publication.path
        room = tree.room(session, place, path)
        if self._may(number, publication, room):
            parent = room.parent
            if parent is None:
                try:
                    parent = tree.make_missing(session, place, tree.split(path)[0], publication.file.created)
                except Refusal as refusal:
                    self._outcomes[number] = refusal
                    return
            _write(session, [(publication, parent, room.file)])


def _first_of_each_path(
    publications: list[tuple[int, Publication]],
) -> tuple[list[tuple[int, Publication]], list[tuple[int, Publication]]]:
    """Those that have no other of their path before them, and the rest."""
    seen: set[tuple[int, str]] = set()
    first: list[tuple[int, Publication]] = []
    rest: list[tuple[int, Publication]] = []
    for each in publications:
        key = (each[1].destination, each[1].path)
        (rest if key in seen else first).append(each)
        seen.add(key)
    return first, rest


def _write(session: Session, placed: Sequence[tuple[Publication, int, int | None]]) -> None:
    """Record the files, and point a name in a directory at each; the third of each is the file that it replaces."""
    files.add(session, [publication.file for publication, _, _ in placed])
    named = [(each, (parent, tree.split(each.path)[1], each.file.id), replaced) for each, parent, replaced in placed]
    files.name(session, [name for _, name, replaced in named if replaced is None])
    again = [(name, replaced, each.due) for each, name, replaced in named if replaced is not None]
    if again:
        files.point(session, [name for name, _, _ in again])
        files.drop(session, [(replaced, due) for _, replaced, due in again])
    owing = [(each.file.id, each.owed) for each, _, _ in placed if each.owed]
    if owing:
        owed.owe(session, owing)
