"""Clients that do by dice whatever can be done to few names, at every door of one or several nodes, and note what they met.

Who does what: `ann` and `dan`, of whom the second has a quota, put, get, delete and rename in `archive`, and put in `desk`,
where files wait to be released; `bob` may only look; what `carol` may do is taken from her and given back between her
requests. A part of the puts is cut off at some byte.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import define

from ecpds.admin.client import Failed, NodeClient
from tests.real.balanced_clients import BROKEN
from tests.real.harness import Node
from tests.real.history import NOTHING, Event, History, Impossible
from tests.real.kills import content, identify
from tests.real.mixed_doors import DOORS, RENAMING, Door, Missing, Refused

NAMES = 7
HELD = 3
SIZES = (0, 1, 900, 4000, 8191, 16_000, 16_200, 16_300, 16_384, 20_000, 120_000, 300_000)
LOOKS = "get,dir,size"

SESSIONS = ("ftp", "sftp")

ANN, DAN, BOB, CAROL = "ann", "dan", "bob", "carol"


@define
class Span:
    """When an operator's change began and ended."""

    began: float
    ended: float = float("inf")


class Desk:
    """A name whose files wait: what who may put there finds, what others found, and when it was released or held."""

    def __init__(self, name: str) -> None:
        self.writers = History(name)
        self.looks: list[Event] = []
        self.releases: list[Span] = []
        self.holds: list[Span] = []

    def check(self) -> None:
        """Raises `Impossible`."""
        self.writers.check()
        puts = {event.version: event for event in self.writers.events if event.version and not event.looked}
        for look in self.looks:
            if look.version:
                self._check(look, puts)

    def _check(self, look: Event, puts: Mapping[int, Event]) -> None:
        put, name = puts[look.version], self.writers.name
        if not any(each.ended > put.began and each.began < look.ended for each in self.releases):
            raise Impossible(f"{name}: {look}, and nothing was released since it was put ({put})")
        for hold in self.holds:
            others = [each for each in puts.values() if each is not put and each.began < hold.ended]
            let_go = any(each.ended > hold.began and each.began < look.ended for each in self.releases)
            # Where another waits, that is what is held.
            if hold.ended < look.began and not let_go and all(each.ended < put.began for each in others):
                raise Impossible(f"{name}: {look}, though it was held from {hold} on")
        for release in self.releases:
            if release.ended < look.began:
                for later in puts.values():
                    if later.began > put.ended and later.ended < release.began:
                        raise Impossible(f"{name}: {look}, though {later} was released at {release}")


class Client:
    """One user at all doors of all nodes; a connection that broke is made anew."""

    def __init__(self, nodes: Sequence[Node], login: str, key: dict[str, str], chance: random.Random) -> None:
        self.login = login
        self.chance = chance
        self._nodes, self._key = nodes, key
        self._open: dict[tuple[str, int], Door] = {}

    def door(self, among: Sequence[str] = tuple(DOORS)) -> tuple[str, int]:
        return self.chance.choice(among), self.chance.randrange(len(self._nodes))

    def at(self, where: tuple[str, int]) -> Any:
        if where not in self._open:
            self._open[where] = DOORS[where[0]](self._nodes[where[1]], self.login, self._key)
        return self._open[where]

    def drop(self, where: tuple[str, int]) -> None:
        if (door := self._open.pop(where, None)) is not None:
            door.close()

    def leave(self) -> None:
        for where in list(self._open):
            self.drop(where)


class Mixed:
    """One run. `puts` says by whom each version was put."""

    def __init__(self, nodes: Sequence[Node], operator: Node, keys: Mapping[str, dict[str, str]], seed: int) -> None:
        self._nodes, self._keys = nodes, keys
        self._operator = operator
        self._seed = seed
        self._number = itertools.count(1)
        self._over = threading.Event()
        self.puts: dict[int, str] = {}
        self.files = {name: History(name) for name in (f"archive/n{number}" for number in range(NAMES))}
        self.desks = {name: Desk(name) for name in (f"desk/h{number}" for number in range(HELD))}
        self.own: dict[str, History] = {}
        self.count: Counter[str] = Counter()

    # Running

    def run(self, seconds: float, end: Callable[[], None]) -> None:
        """Let all work, call `end` in the middle of it, and wait for them. Raises what any of them met."""
        works = [(ANN, self._work), (ANN, self._work), (DAN, self._work), (DAN, self._work), (BOB, self._look)]
        works.append((CAROL, self._rights))
        with ThreadPoolExecutor(len(works)) as pool:
            running = [pool.submit(self._while, login, work, number) for number, (login, work) in enumerate(works)]
            self._over.wait(seconds)
            self._over.set()
            end()
            for each in running:
                each.result()

    def _while(self, login: str, work: Callable[[Client], None], number: int) -> None:
        client = self.client(login, number)
        try:
            while not self._over.is_set():
                work(client)
        except BaseException:
            if not self._over.is_set():
                self._over.set()
                raise
        finally:
            client.leave()

    def client(self, login: str, number: int) -> Client:
        return Client(self._nodes, login, self._keys[login], random.Random(f"{self._seed} {login} {number}"))

    def check(self) -> None:
        """Raises `Impossible`."""
        for each in (*self.files.values(), *self.desks.values(), *self.own.values()):
            each.check()

    def look_again(self) -> bool:
        """At every name, by who may see all of it and by who may see less; whether all were answered."""
        answers = []
        for login in (ANN, BOB):
            client = self.client(login, -1)
            answers += [self._find(client, history) for history in [*self.files.values(), *self.own.values()]]
            for desk in self.desks.values():
                answers.append(self._find(client, desk.writers) if login == ANN else self._look_at_desk(client, desk))
            client.leave()
        return all(answers)

    # What is done

    def _work(self, client: Client) -> None:
        what: list[Callable[[Client], None]] = [self._put, self._get, self._delete, self._land, self._take, self._cut]
        what += [self._put_at_desk, self._get_at_desk, self._release]
        client.chance.choices(what, (30, 30, 8, 6, 6, 4, 8, 8, 3))[0](client)

    def _look(self, client: Client) -> None:
        name = client.chance.choice([*self.files, *self.desks])
        if name in self.files:
            self._find(client, self.files[name])
        else:
            self._look_at_desk(client, self.desks[name])

    def _put(self, client: Client, at_desk: bool = False) -> None:
        name = client.chance.choice(list(self.desks if at_desk else self.files))
        history = self.desks[name].writers if at_desk else self.files[name]
        version, data = self._content(client, name)
        where = client.door()
        self._do(client, where, history, version, "put", lambda door: door.put(name, data))

    def _put_at_desk(self, client: Client) -> None:
        self._put(client, at_desk=True)

    def _content(self, client: Client, name: str) -> tuple[int, bytes]:
        version = next(self._number)
        self.puts[version] = client.login
        size = client.chance.choice((client.chance.randrange(16_500), client.chance.choice(SIZES)))
        return version, content(name, version, size)

    def _delete(self, client: Client) -> None:
        name = client.chance.choice(list(self.files))
        self._do(client, client.door(), self.files[name], NOTHING, "delete", lambda door: door.delete(name))

    def _land(self, client: Client) -> None:
        """What is put under a name of its own gets this name."""
        name, own = client.chance.choice(list(self.files)), f"archive/own-{next(self._number)}"
        version, data = self._content(client, name)
        where = client.door(RENAMING)
        self.own[own] = history = History(own, name)
        if self._do(client, where, history, version, "put", lambda door: door.put(own, data)):
            gone = history.note(Event(NOTHING, False, time.monotonic(), note="is renamed"))
            if self._do(client, where, self.files[name], version, "land", lambda door: door.rename(own, name)):
                gone.ended = time.monotonic()

    def _take(self, client: Client) -> None:
        """What is there gets a name of its own, and is looked at under that."""
        name, own = client.chance.choice(list(self.files)), f"archive/own-{next(self._number)}"
        where = client.door(RENAMING)
        began = time.monotonic()
        if not self._do(client, where, self.files[name], NOTHING, "take", lambda door: door.rename(name, own)):
            return
        ended = time.monotonic()
        version = self._found(client, client.door(), own, name)
        if version is None:
            return
        if version == NOTHING:
            raise Impossible(f"{name} became {own}, which is not there")
        self.files[name].note(Event(version, True, began, ended, f"{where} take"))
        self.own[own] = history = History(own, name)
        history.note(Event(version, False, began, ended, "taken"))

    def _cut(self, client: Client) -> None:
        name = client.chance.choice(list(self.files))
        version, data = self._content(client, name)
        where = client.door()
        self.files[name].note(Event(version, False, time.monotonic(), note=f"{where} cut"))
        at = client.chance.choice((0, len(data), client.chance.randrange(len(data) + 1)))
        try:
            client.at(where).cut(name, data, at)
        except (*BROKEN, Missing, Refused) as failure:
            self.count[f"cut: {failure!r:.80}"] += 1
        self.count[f"{where[0]} cut"] += 1
        client.drop(where)

    def _do(
        self, client: Client, where: tuple[str, int], history: History, version: int, what: str, do: Callable[[Door], None]
    ) -> bool:
        """Whether it was done; where there was nothing to be done with, that is what was found."""
        try:
            door = client.at(where)
        except BROKEN as failure:
            return self._broken(client, where, f"connect {failure!r:.120}")
        event = Event(version, False, time.monotonic(), note=f"{where} {client.login} {what}")
        history.note(event)
        try:
            do(door)
        except Missing:
            history.forget(event)
            if version == NOTHING:
                history.note(Event(NOTHING, True, event.began, time.monotonic(), event.note))
            return False
        except Refused as refusal:
            history.forget(event)
            self.count[f"{where[0]} {what} refused: {refusal!s:.120}"] += 1
            return False
        except BROKEN as failure:
            return self._broken(client, where, f"{what} {failure!r:.120}")
        event.ended = time.monotonic()
        self.count[f"{where[0]} {what}"] += 1
        return True

    def _broken(self, client: Client, where: tuple[str, int], why: str) -> bool:
        client.drop(where)
        if not self._over.is_set():
            self.count[f"{where[0]} broke: {why}"] += 1
        return False

    # What is found

    def _get(self, client: Client) -> None:
        name = client.chance.choice(list(self.files))
        self._find(client, self.files[name])

    def _find(self, client: Client, history: History) -> bool:
        where, began = client.door(), time.monotonic()
        version = self._found(client, where, history.name, history.says)
        if version is not None:
            history.note(Event(version, True, began, time.monotonic(), f"{where} {client.login} get"))
        return version is not None

    def _get_at_desk(self, client: Client) -> None:
        name = client.chance.choice(list(self.desks))
        self._find(client, self.desks[name].writers)

    def _look_at_desk(self, client: Client, desk: Desk) -> bool:
        where, began = client.door(), time.monotonic()
        version = self._found(client, where, desk.writers.name, desk.writers.name)
        if version is not None:
            desk.looks.append(Event(version, True, began, time.monotonic(), f"{where} {client.login} get"))
        return version is not None

    def _found(self, client: Client, where: tuple[str, int], name: str, said: str) -> int | None:
        """The version of what is there, which must say that it is of the name `said`; None: it is not known."""
        try:
            found = client.at(where).get(name)
        except Missing:
            self.count[f"{where[0]} found nothing"] += 1
            return NOTHING
        except BROKEN as failure:
            self._broken(client, where, f"get {failure!r:.120}")
            return None
        try:
            named, version = identify(found)
        except ValueError as error:
            raise Impossible(f"{name} at {where}: {error}") from error
        if named != said:
            raise Impossible(f"{name} at {where} is {named}")
        self.count[f"{where[0]} get"] += 1
        return version

    # What the operator does

    def ask(self, verb: str, **arguments: Any) -> list[dict[str, Any]]:
        return list(NodeClient(self._operator.home).ask(verb, arguments))

    def _release(self, client: Client) -> None:
        name = client.chance.choice(list(self.desks))
        verb = client.chance.choice(("release", "release", "hold"))
        spans = self.desks[name].holds if verb == "hold" else self.desks[name].releases
        span = Span(time.monotonic())
        spans.append(span)
        try:
            self.ask(f"file/{verb}", path=f"/{name}")
        except Failed as refusal:
            if verb == "hold":
                spans.remove(span)  # Nothing is held by that; a release that was refused only allows more.
            self.count[f"{verb} refused: {refusal!s:.60}"] += 1
            return
        span.ended = time.monotonic()
        self.count[verb] += 1

    def _rights(self, client: Client) -> None:
        """What was taken is taken when the operator has been told so, at every door, and what was given is given."""
        taken: dict[str, Any] = client.chance.choice(({"enabled": False}, {"permissions": ["dir"]}, {"destinations": ["desk"]}))
        given = {"enabled": True, "permissions": LOOKS.split(","), "destinations": ["archive", "desk"]}
        for change, allowed in ((taken, False), (given, True)):
            self.ask("user/set", login=CAROL, **change)
            for _ in range(6):
                where = client.door()
                if where[0] == "s3" and where[1]:
                    continue  # A node that is not the Master may believe an access key for `limits.signature_life`.
                if self._may(client, where) not in (allowed, None):
                    raise Impossible(f"{where}: carol may {'not look' if allowed else 'look'} after {change}")

    def _may(self, client: Client, where: tuple[str, int]) -> bool | None:
        """Whether something is had. A session is looked at again only after `limits.credential_life`: these begin anew."""
        if where[0] in SESSIONS:
            client.drop(where)
        try:
            client.at(where).get("archive/always")
        except (Missing, Refused) as refusal:
            self.count[f"{where[0]} carol: {refusal!r:.60}"] += 1
            client.drop(where)
            return False
        except BROKEN as failure:
            self._broken(client, where, f"carol {failure!r:.120}")
            return None
        self.count[f"{where[0]} carol"] += 1
        return True
