"""A run of `ecpds fetch` on the reactor: its plan, its files, its reports."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click

from ecpds.sources.fetch.command import FetchOptions, Told
from ecpds.sources.fetch.credentials import Ask
from ecpds.sources.fetch.means import Means
from ecpds.sources.fetch.outcomes import Outcome, Task
from ecpds.sources.fetch.repository import HttpRepository
from ecpds.sources.fetch.run import NoRepository, Run
from ecpds.sources.mechanisms.base import Secret, shown

Launch = Callable[[FetchOptions, Callable[[Means, Any], Awaitable[int]], Ask | None], int]
"""Runs a coroutine with means made for it in a reactor of its own; the exit status."""


def ask_person(host: str, login: str) -> Secret | None:
    """Ask at the terminal."""
    click.echo(f"{host} wants a name and password.", err=True)
    name = login or click.prompt("Name", err=True)
    return Secret(name, click.prompt(f"Password of {name}", hide_input=True, err=True))


async def work(options: FetchOptions, tasks: Sequence[Task], told: Told, means: Means, clock: Any) -> int:
    """Plan, fetch, report; the exit status."""
    http = HttpRepository(means.http, clock, options.repository) if options.repository else None
    run = Run(means.tools(options.settings), http or NoRepository(), options.at_once, told.progress)
    await run.plan(tasks, options.site)
    for warning in run.warnings:
        click.echo(f"ecpds: {warning}", err=True)
    if options.dry:
        return show_plan(options, tasks)
    await run.fetch(tasks, told.ended)
    if http is not None:
        await http.flush()
        if http.dropped:
            click.echo(f"ecpds: {http.dropped} reports could not be sent", err=True)
    return 0


def show_plan(options: FetchOptions, tasks: Sequence[Task]) -> int:
    """From where each file would be fetched, the first to be tried first."""
    for task in tasks:
        plan = [
            {"url": shown(each.url), "mechanism": each.mechanism, "source": each.source, "reason": each.reason}
            for each in task.candidates
        ]
        if options.as_json:
            planned = Outcome(task.url, task.target, False).as_json() | {"status": "planned", "candidates": plan}
            click.echo(json.dumps(planned))
            continue
        click.echo(f"{shown(task.url)} -> {task.target}")
        for number, each in enumerate(plan, 1):
            click.echo(f"  {number}. {each['mechanism']:8} {each['url']}  {each['reason']}")
    return 1 if any(not task.candidates for task in tasks) else 0
