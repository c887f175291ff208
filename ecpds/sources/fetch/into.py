"""`ecpds fetch --to portal:/…`: the node fetches, and pushes each file as a user; here is only asked, and told what came of it.

Who asks whom: for each file one question to the node (`acquire fetch`), a few at a time, each answered when the file is in the
portal, or is not going to be. Nothing of a file is seen there before all of it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from ecpds.sources.fetch.outcomes import Attempt, Outcome, Task

Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Asks the node for one file, and gives its answer. Raises `Refused`; called by several threads."""


class Refused(Exception):
    """The node refused, or could not be asked; the text says why."""


def into_portal(tasks: Sequence[Task], user: str, ask: Ask, at_once: int, ended: Callable[[Outcome], None]) -> None:
    """Have the node fetch all; `ended` is told what became of each, by this thread."""
    with ThreadPoolExecutor(at_once, "into") as pool:
        for done in as_completed([pool.submit(one, task, user, ask) for task in tasks]):
            ended(done.result())


def one(task: Task, user: str, ask: Ask) -> Outcome:
    """What became of one file."""
    try:
        return read_answer(task, ask(arguments(task, user)))
    except Refused as refused:
        return Outcome(task.url, task.target, False, str(refused))


def arguments(task: Task, user: str) -> dict[str, Any]:
    """What the node is asked."""
    wanted = task.wanted
    return {
        "url": task.url,
        "path": str(task.target),
        "user": user,
        "mirrors": [each for each in task.mirrors if each != task.url],
        "size": wanted.size,
        "digests": {each.algorithm: each.digest for each in wanted.binding},
        "destination": task.site,
    }


def read_answer(task: Task, said: Mapping[str, Any]) -> Outcome:
    """The node's answer, which is what `--json` prints. Raises `Refused` for anything else."""
    try:
        done = said["status"] == "done"
        outcome = Outcome(task.url, task.target, done, said["reason"], said["sha256"], said["size"], said["seconds"])
        outcome.attempts = [Attempt(each["url"], each["mechanism"], each["ok"], each["reason"]) for each in said["attempts"]]
    except (KeyError, TypeError) as error:
        raise Refused("The node's answer makes no sense.") from error
    return outcome
