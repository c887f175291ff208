"""The façade over a real Master beside its twin in memory: whatever is done, both say the same and hold the same."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import Refusal
from ecpds.model import ANYTHING, PERMISSIONS, Condition
from ecpds.portal_interfaces import IFileSystem
from ecpds.terms import Terms
from tests.doubles import MemoryFileSystem, MemorySink, MemorySource, MemoryTree, RecordingSink, make_identity
from tests.portal.house import ORIGIN, House

NAMES = st.sampled_from(["a", "b", "a-", "a0", "é", "%2e"])
PATHS = st.builds(
    lambda names, slash: "/demo" + "".join(f"/{name}" for name in names) + slash,
    st.lists(NAMES, max_size=3),
    st.sampled_from(["", "", "", "/"]),
)
CONDITIONS = st.sampled_from([ANYTHING, ANYTHING, Condition(absent=True), Condition(exists=True)])
STEPS = st.one_of(
    st.tuples(st.just("put"), PATHS, CONDITIONS),
    st.tuples(st.just("put"), PATHS, CONDITIONS),
    st.tuples(st.just("delete"), PATHS, CONDITIONS),
    st.tuples(st.just("make_directory"), PATHS),
    st.tuples(st.just("remove_directory"), PATHS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("read"), PATHS),
    st.tuples(st.just("stat"), PATHS),
    st.tuples(st.just("tree"), PATHS),
)


class Actor:
    """Takes the steps on one of the two, and says what came of each in words that can be compared."""

    def __init__(self, test: SynchronousTestCase, files: IFileSystem) -> None:
        self._test = test
        self._files = files
        self._count = 0

    def take(self, step: tuple[Any, ...]) -> Any:
        name, *arguments = step
        method = getattr(self, name, None) or getattr(self._files, name)
        outcome: list[Any] = []
        ensureDeferred(self.told(method(*arguments))).addBoth(outcome.append)
        return outcome[0]

    async def told(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            found = await work
        except Refusal as refusal:
            return type(refusal).__name__
        return (found.path, found.is_directory, found.size) if hasattr(found, "path") else found

    async def put(self, path: str, condition: Condition) -> Any:
        self._count += 1
        upload = await self._files.open_write(path, terms=Terms(condition))
        await upload.receive(MemorySource(f"{path} {self._count}".encode()))
        return await upload.commit()

    async def read(self, path: str) -> bytes:
        download = await self._files.open_read(path)
        sink = MemorySink()
        await download.send(sink)
        download.close()
        return sink.value

    async def tree(self, path: str) -> list[Any]:
        """Everything below, page by page."""
        found: list[Any] = []
        after: str | None = None
        while True:
            page = await self._files.list(path, after, 2)
            for entry in page.entries:
                found.append((entry.path, entry.size))
                if entry.is_directory:
                    found += await self.tree(entry.path)
            after = page.after
            if after is None:
                return found


class TwinTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = RecordingSink()
        self.house = House(self, self.sink)
        self.count = 0

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(STEPS, min_size=1, max_size=25))
    def test_both_say_and_hold_the_same(self, steps: list[tuple[Any, ...]]) -> None:
        destination = f"d{self.count}"
        self.count += 1
        twin_sink = RecordingSink()
        self.house.add_destination(destination)
        user = self.house.add_user(f"user-{destination}", (destination,), permissions=PERMISSIONS)
        self.sink.events.clear()
        tree = MemoryTree((destination,))
        real = Actor(self, self.house.files_of(user))
        twin = Actor(self, MemoryFileSystem(tree, make_identity(user.login, (destination,)), ORIGIN, twin_sink))
        for step in [*steps, ("tree", "/demo")]:
            there = tuple(each.replace("/demo", f"/{destination}") if isinstance(each, str) else each for each in step)
            self.assertEqual(real.take(there), twin.take(there), there)
        self.assertEqual(kinds(self.sink), kinds(twin_sink))


def kinds(sink: RecordingSink) -> list[tuple[Any, ...]]:
    """What the records of both have in common."""
    names = ("Action", "FileName", "FileSize", "BytesSent", "Status")
    return [(event.type, *(event.fields.get(name) for name in names)) for event in sink.events]
