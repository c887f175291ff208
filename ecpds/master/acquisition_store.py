"""Where acquisition keeps its plans and what became of files: the catalogue. A plan is JSON, for no query looks into it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from attrs import asdict
from sqlalchemy import delete, select, update
from zope.interface import implementer

from ecpds.acquisitions import Acquired, IAcquisitionStore, Plan, Standing
from ecpds.errors import AlreadyExists, NotFound
from ecpds.master.reader import Reader
from ecpds.master.shared import detached
from ecpds.master.source_schema import acquired, acquisition
from ecpds.master.sql import Session, Statement, insert_into, value
from ecpds.master.writer import Writer

_PLANS = Statement(select(*acquisition.c).order_by(acquisition.c.name))
_PLAN = Statement(select(acquisition.c.name).where(acquisition.c.name == value("which")))
_ADD = Statement(insert_into(acquisition))
_CHANGE = Statement(
    update(acquisition)
    .where(acquisition.c.name == value("which"))
    .values({column.name: value(f"new_{column.name}") for column in acquisition.c if column.name != "name"})
)
_REMOVE = Statement(delete(acquisition).where(acquisition.c.name == value("which")))
_FILES = Statement(select(*acquired.c).where(acquired.c.acquisition == value("which")).order_by(acquired.c.url))
_KEEP = Statement(insert_into(acquired))
_FORGET = Statement(delete(acquired).where(acquired.c.acquisition == value("which"), acquired.c.url == value("at")))


@implementer(IAcquisitionStore)
class AcquisitionStore:
    """`IAcquisitionStore` over a catalogue that is open. What was begun is finished, whoever waits for it."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    async def plans(self) -> Sequence[tuple[Plan, Standing]]:
        return await self._reader.ask_on_thread(lambda session: [_plan(row) for row in session.rows(_PLANS)])

    async def add(self, plan: Plan, standing: Standing) -> None:
        await detached(self._writer.run(lambda session: _add(session, plan, standing)))

    async def change(self, plan: Plan, standing: Standing) -> None:
        await detached(self._writer.run(lambda session: _change(session, plan, standing)))

    async def remove(self, name: str) -> None:
        await detached(self._writer.run(lambda session: _remove(session, name)))

    async def files(self, name: str) -> Sequence[Acquired]:
        return await self._reader.ask_on_thread(
            lambda session: [Acquired(*row[1:]) for row in session.rows(_FILES, which=name)]
        )

    async def keep(self, name: str, file: Acquired) -> None:
        await detached(self._writer.run(lambda session: _keep(session, name, file)))

    async def forget(self, name: str, urls: Sequence[str]) -> None:
        await detached(self._writer.run(lambda session: _forget(session, name, urls)))


def _values(plan: Plan, standing: Standing) -> dict[str, Any]:
    return {"definition": json.dumps({**asdict(plan), "options": dict(plan.options)}), **asdict(standing)}


def _plan(row: Any) -> tuple[Plan, Standing]:
    _, definition, *standing = row
    said = json.loads(definition)
    return Plan(**{**said, "names": tuple(said["names"])}), Standing(*standing)


def _add(session: Session, plan: Plan, standing: Standing) -> None:
    if session.row(_PLAN, which=plan.name) is not None:
        raise AlreadyExists(f"acquisition {plan.name}")
    session.run(_ADD, name=plan.name, **_values(plan, standing))


def _change(session: Session, plan: Plan, standing: Standing) -> None:
    new = {f"new_{name}": each for name, each in _values(plan, standing).items()}
    if not session.run(_CHANGE, which=plan.name, **new):
        raise NotFound(f"acquisition {plan.name}")


def _remove(session: Session, name: str) -> None:
    if not session.run(_REMOVE, which=name):
        raise NotFound(f"acquisition {name}")


def _keep(session: Session, name: str, file: Acquired) -> None:
    if session.row(_PLAN, which=name) is None:
        raise NotFound(f"acquisition {name}")
    session.run(_FORGET, which=name, at=file.url)
    session.run(_KEEP, acquisition=name, **asdict(file))


def _forget(session: Session, name: str, urls: Sequence[str]) -> None:
    session.run_many(_FORGET, [{"which": name, "at": url} for url in urls])
