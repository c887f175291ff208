"""Puts, overwrites, deletes and renames by clients of a node that may die at any moment, and which states it may be found in.

Each changer has names of its own and does one thing after the other, so what may be found of it is simple: what the last
acknowledged change left, or, if another had begun, what that one leaves. Every content says what it is (see `kills`).
"""

from __future__ import annotations

import http.client
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from threading import Event

from attrs import define, frozen

from tests.real.clients import authorization, ftp, https, path_of
from tests.real.harness import Node, until
from tests.real.kills import CUT_OFF, content, identify

PATIENCE = 120.0

SIZES = (0, 1, 1000, 20_000, 70_000)
"""The largest filler of a content is one of these, in bytes."""

NAMES = ("a", "b", "c", "deep/d")

NEVER = float("inf")
LATEST = sys.float_info.max
"""A moment after all that has happened, and before never."""

Content = tuple[str, int]
"""What a content says that it is: the name that it was put under, and its version."""

State = Mapping[str, Content]
"""The files of one changer, by name."""


@define
class Change:
    """What a change leaves, when it began, and when it was acknowledged, if it was. Times are of the day."""

    left: State
    began: float
    acknowledged: float = NEVER


@frozen
class Door:
    """How to make changes at one door; each returns when it was acknowledged. HTTP has no rename."""

    put: Callable[[str, bytes], object]
    delete: Callable[[str], object]
    rename: Callable[[str, str], object] | None = None


def ftp_door(node: Node) -> Door:
    client = ftp(node)
    return Door(lambda name, data: client.storbinary(f"STOR {name}", BytesIO(data)), client.delete, client.rename)


def http_door(node: Node) -> Door:
    """Without TLS, whose bytes would only be in the way of who watches the process."""
    return door_of(http.client.HTTPConnection("127.0.0.1", node.ports["https_plain"], timeout=PATIENCE))


def https_door(node: Node) -> Door:
    return door_of(https(node))


def door_of(connection: http.client.HTTPConnection) -> Door:
    def ask(method: str, name: str, data: bytes | None = None) -> None:
        connection.request(method, path_of(name), data, authorization())
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 201, 204):
            raise http.client.HTTPException(f"{method} answered {answer.status}")

    return Door(lambda name, data: ask("PUT", name, data), lambda name: ask("DELETE", name))


DOORS = {"ftp": ftp_door, "http": http_door, "https": https_door}


class Changer:
    """Changes its own names at one door, by a seed."""

    def __init__(self, name: str, door: str, seed: int) -> None:
        self.name = name
        self._door = DOORS[door]
        self._random = random.Random(f"{seed} {name}")
        self._version = 0
        self.changes = [Change({}, 0.0, 0.0)]

    @property
    def names(self) -> list[str]:
        return [f"{self.name}-{each}" for each in NAMES]

    def work(self, node: Node, over: Callable[[], bool], acknowledged: Callable[[], object] = lambda: None) -> None:
        """One change after the other, until it is over or the node is gone."""
        try:
            door = self._door(node)
            while not over():
                state, do = self._next(door, dict(self.changes[-1].left))
                change = Change(state, time.time())
                self.changes.append(change)
                do()
                change.acknowledged = time.time()
                acknowledged()
        except CUT_OFF:
            if not over():
                raise

    def _next(self, door: Door, state: dict[str, Content]) -> tuple[State, Callable[[], object]]:
        """A change by chance, and what it leaves."""
        name = self._random.choice(self.names)
        if state and self._random.random() < 0.3:
            old = self._random.choice(sorted(state))
            if door.rename is None or old == name or "/" in name or self._random.random() < 0.5:
                del state[old]
                return state, lambda: door.delete(old)
            rename = door.rename
            state[name] = state.pop(old)
            return state, lambda: rename(old, name)
        self._version += 1
        state[name] = (name, self._version)
        data = content(name, self._version, self._random.choice(SIZES))
        return state, lambda: door.put(name, data)

    def allowed(self, moment: float = LATEST) -> list[State]:
        """What may be found when the node died at this moment: the last acknowledged state, and the next if it had begun."""
        done = max(number for number, each in enumerate(self.changes) if each.acknowledged <= moment)
        return [each.left for each in self.changes[done : done + 2] if each.began <= moment]

    def settle(self, state: State) -> None:
        """The next round starts from what was found."""
        self.changes = [Change(state, 0.0, 0.0)]


DEFAULT = (("ftp-0", "ftp"), ("ftp-1", "ftp"), ("http-0", "http"), ("http-1", "http"))
"""Names of changers, and the doors that they use."""


class Changers:
    """Several of them at once."""

    def __init__(self, seed: int, doors: Sequence[tuple[str, str]] = DEFAULT) -> None:
        self.all = [Changer(name, door, seed) for name, door in doors]

    def until_killed(self, node: Node, seconds: float, least: int = 1) -> None:
        """Let all change things, and kill the node some seconds after `least` changes were acknowledged."""
        killed, acknowledged = Event(), []
        with ThreadPoolExecutor(len(self.all)) as pool:
            ended = [pool.submit(each.work, node, killed.is_set, lambda: acknowledged.append(None)) for each in self.all]
            try:
                until(lambda: len(acknowledged) >= least or any(end.done() for end in ended), "changes", PATIENCE)
                time.sleep(seconds)
            finally:
                killed.set()
                node.kill()
            for end in ended:
                end.result(PATIENCE)

    def moments(self) -> list[float]:
        """When each change was acknowledged, in order."""
        times = [change.acknowledged for each in self.all for change in each.changes[1:]]
        return sorted(moment for moment in times if moment != NEVER)

    def check(self, node: Node, moment: float = LATEST) -> list[State]:
        """Raises `AssertionError` unless a node that died at `moment` holds what it may, and its volume no more than that."""
        found = [fetch_all(node, each) for each in self.all]
        for each, state in zip(self.all, found, strict=True):
            allowed = each.allowed(moment)
            assert state in allowed, f"{each.name}: found {state}, allowed {allowed}"
        expected = Counter(held for state in found for held in state.values())
        until(lambda: stored(node) == expected, f"the volume to hold {expected}", 30)
        return found


def fetch_all(node: Node, changer: Changer) -> State:
    """What a changer's names hold, each of it whole."""
    connection = http.client.HTTPConnection("127.0.0.1", node.ports["https_plain"], timeout=PATIENCE)
    found = {}
    for name in changer.names:
        connection.request("GET", path_of(name), headers=authorization())
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status in (200, 404), f"GET {name}: {answer.status}"
        if answer.status == 200:
            found[name] = identify(data)
    connection.close()
    return found


def stored(node: Node) -> Counter[Content] | None:
    """What the volume holds; None while one of its files is not whole or goes away."""
    try:
        return Counter(identify(path.read_bytes()) for path in node.stored_files())
    except (ValueError, FileNotFoundError):
        return None
