"""Pieces of work that several servers do in turns, and how they compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Generic, Protocol, TypeVar

from attrs import define, field, frozen

from bench.cpu import CpuMeter
from bench.tables import ratio, spread


class Measured(Protocol):
    """A server that is measured."""

    @property
    def server(self) -> str: ...

    @property
    def meter(self) -> CpuMeter: ...


T = TypeVar("T", bound=Measured)


@define
class Samples:
    """Of one server and one kind of work: seconds and CPU seconds, one value a round."""

    wall: list[float] = field(factory=list)
    cpu: list[float] = field(factory=list)


@frozen
class Work(Generic[T]):
    """One thing to measure: `do(target, name)` does `amount` of `unit`, and `per` of the CPU seconds are told.

    `before` and `after` are not timed. `name` is another one in each round.
    """

    name: str
    unit: str
    amount: float
    per: float
    do: Callable[[T, str], None]
    after: Callable[[T, str], None] = lambda target, name: None
    before: Callable[[T, str], None] = lambda target, name: None


def measure(work: Work[T], targets: Sequence[T], rounds: int) -> dict[str, Samples]:
    """Samples by server. Another one begins in each round."""
    results: dict[str, Samples] = {target.server: Samples() for target in targets}
    for number in range(rounds):
        first = number % len(targets)
        for target in (*targets[first:], *targets[:first]):
            work.before(target, f"work-{number}")
            before, start = target.meter.settled(), time.perf_counter()
            work.do(target, f"work-{number}")
            wall = time.perf_counter() - start
            results[target.server].wall.append(wall)
            results[target.server].cpu.append(target.meter.settled() - before)
            work.after(target, f"work-{number}")
    return results


def rows(work: Work[T], results: Mapping[str, Samples], peers: Sequence[str]) -> list[list[str]]:
    """One line a server; those that are no peers have ratios to each of the peers (rate: more is better, CPU: less)."""
    found: list[list[str]] = []
    for server, samples in results.items():
        compared = [results[peer] if peer in results and server not in peers else None for peer in peers]
        rates = _rates(work, samples)
        found.append(
            [
                server,
                work.name,
                spread(rates, 0 if max(rates) > 100 else 1),
                *(ratio(rates, _rates(work, peer) if peer else None) for peer in compared),
                spread([cpu * work.per for cpu in samples.cpu], 2 if work.per < 10 else 0),
                *(ratio(samples.cpu, peer.cpu if peer else None) for peer in compared),
                spread(samples.wall, 2),
            ]
        )
    return found


def _rates(work: Work[T], samples: Samples) -> list[float]:
    return [work.amount / wall for wall in samples.wall]


@frozen
class Goal:
    """That a server does a work at least `factor` times as fast as a peer."""

    work: str
    server: str
    peer: str
    factor: float

    def judged(self, results: Mapping[str, Mapping[str, Samples]]) -> str | None:
        """A sentence on whether it is met, by the medians; None where it was not measured."""
        found = results.get(self.work, {})
        if not (self.server in found and self.peer in found):
            return None
        reached = median(found[self.peer].wall) / median(found[self.server].wall)
        verdict = "met" if reached >= self.factor else "NOT met"
        return f"{self.work}, {self.server}: {reached:.2f} x {self.peer}, wanted {self.factor:.2f}: {verdict}"
