"""Who measures data sources for a Master, composed: its own node, where that is a mover, and each mover that is linked."""

from __future__ import annotations

from collections.abc import Mapping

from ecpds.cluster.assembly import MasterSide
from ecpds.cluster.membership import Standing
from ecpds.config import Config
from ecpds.node.storage import Storage
from ecpds.sources.probing import Prospect

HERE = "127.0.0.1"
"""The address of a node that is no part of a fleet."""


def prospects(config: Config, storage: Storage) -> Mapping[str, Prospect]:
    """The movers by name, as operators see them. One that is not alive can't be asked."""
    end = storage.fleet.end if isinstance(storage.fleet, MasterSide) else None
    here = Prospect(HERE if end is None else end.own_address[0], storage.prober)

    def prospect(name: str) -> Prospect:
        if name == config.node.name:
            return here
        member = None if end is None or end.standing(name) is not Standing.ALIVE else end.members[name]
        return Prospect() if member is None else Prospect(member.address[0], member.prober)

    return {name: prospect(name) for name in storage.master.movers.names}
