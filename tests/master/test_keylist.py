"""Lists of keys beside a model: the same order, prefixes and pages, whatever the tree; and few rows read."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import NotFound
from ecpds.master import keylist
from ecpds.model import Entry
from ecpds.portal.objects import ObjectSpace
from tests.portal.house import House

NAMES = st.text("a-/0.ü", min_size=1, max_size=6)


def possible(keys: list[str]) -> list[str]:
    """Those of the keys that can be together in one tree: files, and, with a slash at the end, folders."""
    kept: list[str] = []
    for key in keys:
        path = key.removesuffix("/")
        parts = path.split("/")
        if not all(part and part not in (".", "..") for part in parts):
            continue
        files = [each for each in kept if not each.endswith("/")]
        above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        if any(each in files for each in above) or any(each.removesuffix("/") == path for each in kept):
            continue
        if not key.endswith("/") and any(each.startswith(path + "/") for each in kept):
            continue
        kept.append(key)
    return kept


def model(keys: list[str], prefix: str, after: str, delimiter: str) -> list[str]:
    """What a list is to say: keys and common prefixes, in their order."""
    found: dict[str, None] = {}
    for key in sorted(keys, key=str.encode):
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        shown = key[: end + len(delimiter)] if end >= 0 else key
        if key.startswith(prefix) and key > after and shown > after:
            found[shown] = None
    return sorted(found, key=str.encode)


class Model(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.house.add_destination("d")
        self.user = self.house.add_user("u", ("d",))
        self.files = self.house.files_of(self.user)
        self.objects = ObjectSpace(self.house.backing, self.files.identity, self.files.origin)

    def put(self, key: str) -> list[str]:
        """Put a file, or make a folder and those above it; the keys of what was made, for a folder that is there is not."""
        if not key.endswith("/"):
            self.house.now(self._put(key))
            return [key]
        made = []
        parts = key.removesuffix("/").split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if self.house.now(self._absent(path)):
                self.house.now(self.files.make_directory(f"/d/{path}"))
                made.append(f"{path}/")
        return made

    async def _put(self, key: str) -> None:
        upload = await self.objects.open_write(f"/d/{key}", 0)
        await upload.commit()

    async def _absent(self, path: str) -> bool:
        try:
            await self.files.stat(f"/d/{path}")
        except NotFound:
            return True
        return False

    def marks(self, keys: list[str], chosen: set[int]) -> list[str]:
        """Have some of the folders hold bytes themselves, whether they were made or came with a file."""
        folders = sorted({key[: at + 1] for key in keys for at, letter in enumerate(key) if letter == "/"})
        found = [folder for number, folder in enumerate(folders) if number in chosen]
        for folder in found:
            self.house.now(self._put(folder))
        return found

    def clear(self) -> None:
        async def below(path: str) -> None:
            page = await self.files.list(path)
            for entry in page.entries:
                if entry.is_directory:
                    await below(entry.path)
                else:
                    await self.files.delete(entry.path)
            for entry in page.entries:
                if entry.is_directory and not await self._absent(entry.path.removeprefix("/d/")):
                    await self.files.remove_directory(entry.path)

        self.house.now(below("/d"))

    def present(self) -> list[str]:
        """The keys that there are: an explicit folder's too."""
        return [entry.path for entry in self.listed("", "", "", 1000)[0]]

    def listed(self, prefix: str, after: str, delimiter: str, limit: int) -> tuple[list[Entry], list[str], str | None]:
        page = self.house.now(self.house.master.keys("d", prefix, after, delimiter, limit))
        return list(page.entries), list(page.prefixes), page.after

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(NAMES, max_size=12),
        st.sampled_from(["", "a", "a/", "a-", "a/a", "0/", "-"]) | NAMES,
        st.sampled_from(["", "/", "-", "a", "/a"]),
        st.just("") | NAMES,
        st.integers(1, 4),
        st.sets(st.integers(0, 8)),
    )
    def test_the_same_as_the_model(
        self, keys: list[str], prefix: str, delimiter: str, after: str, limit: int, marked: set[int]
    ) -> None:
        self.clear()  # what an example that failed has left
        expected = [made for key in possible(keys) for made in self.put(key)]
        expected = sorted({*expected, *self.marks(expected, marked)})
        self.assertEqual(self.present(), sorted(expected, key=str.encode))
        wanted = model(expected, prefix, after, delimiter)
        found: list[str] = []
        token: str | None = after
        while token is not None:
            entries, prefixes, token = self.listed(prefix, token, delimiter, limit)
            self.assertLessEqual(len(entries) + len(prefixes), limit)
            found += sorted([*(entry.path for entry in entries), *prefixes], key=str.encode)
        self.assertEqual(found, wanted)
        self.clear()

    def test_a_page_reads_about_what_it_returns(self) -> None:
        for number in range(300):
            self.put(f"f{number:04}")
            self.put(f"d{number:04}/x")
        read = 0
        session = self.house.master.reader._engine.session()
        rows = session.rows

        def counted(statement: object, **values: object) -> list[object]:
            nonlocal read
            answer = rows(statement, **values)
            read += len(answer)
            return answer

        class Counting:
            def __init__(self) -> None:
                self.rows, self.row = counted, session.row

        for delimiter, after in (("/", ""), ("", ""), ("/", "f0200"), ("", "d0150/x")):
            read = 0
            page = keylist.page(Counting(), 1, "", after, delimiter, 50)  # type: ignore[arg-type]
            self.assertEqual(len(page.entries) + len(page.prefixes), 50)
            self.assertLessEqual(read, 2 * 50 + 70, (delimiter, after))
        session.close()
