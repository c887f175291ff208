"""Overwriting puts, a daemon that is killed in the middle of them, and what must hold after it starts again.

Every content says what it is: a name, a version and a SHA-256 of the rest, so that whatever is found anywhere can be told to
be whole, and of which put. Writers put new versions of their names over FTP and HTTPS, one after the other, and note when
each put began and when it was acknowledged. After the kill and the restart, a name must hold a version that no
acknowledged put, begun after that version was acknowledged, should have replaced.
"""

from __future__ import annotations

import ftplib
import hashlib
import http.client
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from threading import Event, Lock

from attrs import define, field

from tests.real.clients import authorization, ftp, https, path_of
from tests.real.harness import Node, until

PATIENCE = 60.0

SIZES = (0, 1, 1000, 65_536, 300_000, 2_000_000)
"""The largest filler of a put's content is one of these, in bytes."""

CUT_OFF = (OSError, EOFError, ftplib.Error, http.client.HTTPException)
"""What a client meets when its server is killed."""


def content(name: str, version: int, size: int) -> bytes:
    """A whole content, `size` bytes of filler long."""
    filler = random.Random(f"{name} {version}").randbytes(size)
    return f"{name} {version} {hashlib.sha256(filler).hexdigest()}\n".encode() + filler


def identify(found: bytes) -> tuple[str, int]:
    """Which name and version a content is of. Raises `ValueError` for one that isn't whole."""
    head, _, filler = found.partition(b"\n")
    name, version, digest = head.decode().split(" ")
    if hashlib.sha256(filler).hexdigest() != digest:
        raise ValueError(f"{name} {version} is not whole: {len(filler)} bytes of filler")
    return name, int(version)


@define
class Put:
    """One put of a name: when it began, and when it was acknowledged, if it was."""

    version: int
    began: float
    acknowledged: float = float("inf")


@define
class Name:
    """What the writers did to one name. `version` numbers go on over all rounds; `puts` are of this round."""

    name: str
    last: int = 0
    puts: list[Put] = field(factory=list)

    def begin(self) -> Put:
        """Note that a put of the next version begins."""
        self.last += 1
        put = Put(self.last, time.monotonic())
        self.puts.append(put)
        return put

    def allowed(self) -> set[int | None]:
        """The versions that may be there now; None is no file at all."""
        standing = [put.began for put in self.puts if put.acknowledged != float("inf")]
        if not standing:
            return {None, *(put.version for put in self.puts)}
        return {put.version for put in self.puts if put.acknowledged >= max(standing)}

    def settle(self, version: int | None) -> None:
        """The next round starts from what was found."""
        self.puts = [] if version is None else [Put(version, float("-inf"), float("-inf"))]


class Writers:
    """Threads that overwrite names until the server goes away.

    `others` work beside them, on names of their own: each is given what says whether the server was killed.
    """

    def __init__(self, node: Node, seed: int, others: Sequence[Callable[[Callable[[], bool]], None]] = ()) -> None:
        self._node = node
        self._others = others
        self._random = random.Random(seed)
        self._lock = Lock()
        self._acknowledged = Event()
        self._killed = Event()
        self.names = {door: [Name(f"{door}-{number}") for number in range(2)] for door in ("ftp", "https")}
        self.shared = Name("shared")

    def all_names(self) -> list[Name]:
        return [*itertools.chain(*self.names.values()), self.shared]

    def round(self, delay: float) -> None:
        """Let everyone write, kill the server `delay` seconds after the first acknowledgement, wait for all."""
        self._acknowledged.clear()
        self._killed.clear()
        jobs = [(ftp_putter, name) for name in [*self.names["ftp"], self.shared]]
        jobs += [(https_putter, name) for name in [*self.names["https"], self.shared]]
        with ThreadPoolExecutor(len(jobs) + len(self._others)) as pool:
            ended = [pool.submit(self._write, putter, name) for putter, name in jobs]
            ended += [pool.submit(other, self._killed.is_set) for other in self._others]
            try:
                self._wait_for_first(ended)
                time.sleep(delay)
            finally:
                self._killed.set()
                self._node.kill()
            for end in ended:
                end.result(PATIENCE)

    def _wait_for_first(self, ended: list[Future[None]]) -> None:
        """Or for the first writer that fails: nothing ends them but the kill."""
        until(lambda: self._acknowledged.is_set() or any(end.done() for end in ended), "a first put", PATIENCE)

    def _write(self, putter: Callable[[Node, str], Callable[[bytes], None]], name: Name) -> None:
        try:
            put = putter(self._node, name.name)
            for noted, data in self._versions(name):
                put(data)
                with self._lock:
                    noted.acknowledged = time.monotonic()
                self._acknowledged.set()
        except CUT_OFF:
            if not self._killed.is_set():
                raise

    def _versions(self, name: Name) -> Iterator[tuple[Put, bytes]]:
        while True:
            with self._lock:
                put = name.begin()
                size = self._random.choice(SIZES)
            data = content(name.name, put.version, size)
            put.began = time.monotonic()
            yield put, data


def ftp_putter(node: Node, name: str) -> Callable[[bytes], None]:
    """STOR after STOR on one control connection."""
    client = ftp(node)

    def put(data: bytes) -> None:
        client.storbinary(f"STOR {name}", BytesIO(data))

    return put


def https_putter(node: Node, name: str) -> Callable[[bytes], None]:
    """PUT after PUT on one connection."""
    connection = https(node)

    def put(data: bytes) -> None:
        connection.request("PUT", path_of(name), data, authorization())
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 201, 204):
            raise http.client.HTTPException(f"PUT answered {answer.status}")

    return put
