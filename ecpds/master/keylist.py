"""A destination as an object store sees it: its files in the byte order of their keys, a folder compared as `name/`.

A folder that somebody made is a key of its own, `path/`; one that came with a file is none, unless it holds a file without a
name: the bytes that an S3 client put as `path/`, which other doors do not show. The tables hold folders by name,
and in key order `a-b/` comes before `a/`; so a folder is held back until no name that follows can come before it: those
held are prefixes of one another. Every walk starts at its place and ends at its limit, and reads at most about twice
the rows that it returns, plus a few look-ups for each level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import chain, islice
from typing import Any, cast

from attrs import define
from sqlalchemy import Select, select

from ecpds.master import files, standby, tree
from ecpds.master.schema import data_file, directory, entry
from ecpds.master.sql import Session, Statement, limited, value
from ecpds.master.tree import AFTER_ALL, JUST_AFTER
from ecpds.model import Entry, KeyPage

FIRST_READ = 32
"""Rows of the first read of a folder; each that follows reads twice as many, up to what is left of what is asked for."""


@define
class Folder:
    """A folder in another one, by its key, which ends in a slash."""

    path: str
    id: int
    created: float
    implicit: bool


Child = Entry | Folder
"""What is in a folder: a file, the mark of the folder itself, whose key is the folder's, or a folder."""


def _folders() -> Select[Any]:
    return select(directory.c.name, directory.c.id, directory.c.created, directory.c.implicit)


_FILES = Statement(
    limited(
        select(entry.c.name, *files.COLUMNS)
        .select_from(entry.join(data_file, data_file.c.id == entry.c.data_file))
        .where(entry.c.directory == value("directory"), entry.c.name >= value("first"), entry.c.name < value("end"))
        .order_by(entry.c.name)
    )
)
_FOLDERS = Statement(
    limited(
        _folders()
        .where(directory.c.parent == value("directory"), directory.c.name >= value("first"), directory.c.name < value("end"))
        .order_by(directory.c.name)
    )
)
_FOLDER = Statement(_folders().where(directory.c.parent == value("directory"), directory.c.name == value("name")))


def page(
    session: Session, destination: int, prefix: str, after: str, delimiter: str, limit: int, waiting: bool = False
) -> KeyPage:
    """Up to `limit` keys, and common prefixes where keys have the delimiter behind the prefix, that come after `after`.

    With `waiting` files that wait are seen.
    """
    if "\0" in prefix:
        return KeyPage(())  # PostgreSQL takes no NUL, and no key has one
    after = after.partition("\0")[0]  # and the keys behind it are those behind what is before it
    walk = (WaitingWalk if waiting else Walk)(session, destination, prefix, limit + 1)
    if not delimiter:
        keys = tuple(islice(walk.keys(after), limit + 1))
        return KeyPage(keys) if len(keys) <= limit else KeyPage(keys[:limit], (), keys[limit - 1].path)
    found = walk.folded(after, delimiter)
    entries: list[Entry] = []
    prefixes: list[str] = []
    last = ""
    for each in found:
        if len(entries) + len(prefixes) == limit:
            return KeyPage(tuple(entries), tuple(prefixes), last)
        if isinstance(each, str):
            prefixes.append(each)
            last = each
        else:
            entries.append(each)
            last = each.path
    return KeyPage(tuple(entries), tuple(prefixes))


class Walk:
    """Walks the keys of a destination that begin with `prefix`, `most` of them at most."""

    def __init__(self, session: Session, destination: int, prefix: str, most: int) -> None:
        self._session = session
        self._destination = destination
        self._prefix = prefix
        self._most = most

    def keys(self, after: str) -> Iterator[Entry]:
        return cast(Iterator[Entry], self._walk(after, flat=True))

    def folded(self, after: str, delimiter: str) -> Iterator[Entry | str]:
        """Keys, and the common prefixes that end in the delimiter."""
        return self._walk(after, flat=False) if delimiter == "/" else self._jumping(after, delimiter)

    def _jumping(self, after: str, delimiter: str) -> Iterator[Entry | str]:
        """As the tree doesn't know this delimiter, each common prefix is left by a walk that starts behind it."""
        start: str | None = after
        at = len(self._prefix)
        while start is not None:
            found, start = self.keys(start), None
            for each in found:
                end = each.path.find(delimiter, at)
                if end < 0:
                    yield each
                    continue
                common = each.path[: end + len(delimiter)]
                start = common + AFTER_ALL
                if common > after:
                    yield common
                break

    def _walk(self, after: str, flat: bool) -> Iterator[Entry | str]:
        base, rest = self._prefix[: self._prefix.rfind("/") + 1], self._prefix[self._prefix.rfind("/") + 1 :]
        if base == "/":
            return  # no key begins so, and without its slash it would be the name of the destination's root
        top = tree.directory_at(self._session, self._destination, base.removesuffix("/"))
        if top is None or (after > base and not after.startswith(base)):
            return
        if base and not rest and base > after:
            frames = [self._all_of(Folder(base, top.id, top.created, top.implicit))]
        else:
            frames = self._enter(top.id, base, after[len(base) :] if after.startswith(base) else "", rest, flat)
        while frames:
            for child in frames[-1]:
                if isinstance(child, Entry):
                    yield child
                elif not flat:
                    yield child.path
                else:
                    frames.append(self._all_of(child))
                    break
            else:
                frames.pop()

    def _enter(self, id_: int, base: str, after: str, prefix: str, flat: bool) -> list[Iterator[Child]]:
        """The folder, and those below it that `after` is in, innermost last."""
        frames = [self._children(id_, base, after, prefix)]
        while flat and "/" in after:
            name, _, after = after.partition("/")
            row = self._session.row(_FOLDER, directory=id_, name=name) if name.startswith(prefix) else None
            if row is None:
                break
            id_, base, prefix = row[1], f"{base}{name}/", ""
            frames.append(self._children(id_, base, after, prefix))
        return frames

    def _all_of(self, folder: Folder) -> Iterator[Child]:
        """All that is in a folder; first its own key, where it has one: the file without a name, or else the mark."""
        inside = self._in_key_order(self._files_in(folder.id, folder.path, "", ""), folder.id, folder.path, "", "")
        first = next(inside, None)
        if not folder.implicit and (first is None or first.path != folder.path):
            yield Entry(folder.path, folder.created)
        if first is not None:
            yield first
            yield from inside

    def _children(self, id_: int, base: str, after: str, prefix: str) -> Iterator[Child]:
        """What is in a folder, in key order, from behind `after` on, and without the folder's own key."""
        first = max(after + JUST_AFTER, prefix)
        return self._in_key_order(self._files_in(id_, base, first, prefix), id_, base, after, prefix)

    def _in_key_order(self, files: Iterator[Entry], id_: int, base: str, after: str, prefix: str) -> Iterator[Child]:
        folders = self._folders_in(id_, base, after, prefix)
        first = next(folders, None)
        # Most folders hold files alone, and to merge those with nothing costs a third of a page.
        return files if first is None else merge(files, chain((first,), folders), key=lambda child: child.path)

    def _files_in(self, id_: int, base: str, first: str, prefix: str) -> Iterator[Entry]:
        read = partial(self._session.rows, _FILES, directory=id_)
        for name, *row in self._rows(read, first, prefix):
            file = files.from_row(row)
            yield Entry(base + name, file.mtime, file)

    def _folders_in(self, id_: int, base: str, after: str, prefix: str) -> Iterator[Folder]:
        held = list(self._before(id_, base, after, prefix))
        for row in self._rows(partial(self._session.rows, _FOLDERS, directory=id_), max(after, prefix), prefix):
            folder = _folder(base, row)
            while held and held[-1].path < base + row[0]:
                yield held.pop()
            held.append(folder)
        yield from reversed(held)

    def _before(self, id_: int, base: str, after: str, prefix: str) -> Iterator[Folder]:
        """Folders whose name comes before `after` but whose key doesn't: their names are prefixes of it."""
        for length in range(max(len(prefix), 1), len(after)):
            name = after[:length]
            if name.startswith(prefix) and name + "/" > after and "/" not in name:
                row = self._session.row(_FOLDER, directory=id_, name=name)
                if row is not None:
                    yield _folder(base, row)

    def _rows(self, read: Callable[..., Sequence[Any]], first: str, prefix: str) -> Iterator[Sequence[Any]]:
        end, size, left = _end(prefix), min(FIRST_READ, self._most), self._most
        while True:
            rows = read(first=first, end=end, limit=size)
            yield from rows
            if len(rows) < size:
                return
            left -= size
            first, size = rows[-1][0] + JUST_AFTER, max(FIRST_READ, min(size * 2, left))


class WaitingWalk(Walk):
    """As who sees files that wait: of two of a name the one that waits."""

    def _files_in(self, id_: int, base: str, first: str, prefix: str) -> Iterator[Entry]:
        read = partial(standby.rows_in, self._session, id_)
        found = self._rows(read, first, prefix)
        waiting = (Entry(base + name, file.mtime, file, waits=waits) for name, waits, file in found)
        last = None
        for each in merge(waiting, super()._files_in(id_, base, first, prefix), key=lambda each: each.path):
            if each.path != last:
                yield each
            last = each.path


def _folder(base: str, row: Sequence[Any]) -> Folder:
    return Folder(f"{base}{row[0]}/", row[1], row[2], bool(row[3]))


def _end(prefix: str) -> str:
    """The first text behind all that begin with `prefix`."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if code <= 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if code == 0xD800 else code)
        prefix = prefix[:-1]
    return AFTER_ALL
