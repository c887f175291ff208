"""The records of what happened: every push, pull and refusal, with the field names of OpenECPDS (event-logging, INH and DEA).

INH is a transfer through the portal; unlike the ancestor's it is written for failed and cut ones too, with `Status` and
`Message`. DEA is a denial. The ancestor's fields that mean nothing here (`MetaStream` and its like) are kept, as `-`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

NONE = "-"

INH_FIELDS = (
    "Monitored TimeStamp DataTransferId DestinationName DestinationType FileName FileSize ScheduledTime StartTime "
    "MetaStream MetaType MetaTime TimeBase TimeStep Duration UserId CountryCode UserDescription BytesSent "
    "TransferProtocol TransferServer HostAddress Caller ExpiryTime FileSystem Action Status Message"
).split()

DEA_FIELDS = "TimeStamp UserId Message Context HostAddress TransferProtocol".split()


def timestamp(seconds: float) -> str:
    """A time as records and JSON show it: ISO 8601, UTC, milliseconds, `Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


@frozen
class Event:
    """One record. `time` is when it was made; `fields` are in the order in which they are shown."""

    type: str
    time: float
    fields: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The object that JSON Lines hold: the type, then the fields."""
        return {"Type": self.type, **self.fields}


@frozen
class Transfer:
    """What is known of one push or pull when it ends."""

    action: str
    destination: str
    path: str
    login: str
    protocol: str
    address: str
    node: str
    started: float
    ended: float
    sent: int
    file_id: int | None = None
    size: int | None = None
    volume: int | None = None
    description: str = ""
    failure: str = ""


def transfer_event(transfer: Transfer) -> Event:
    """The INH record of a transfer; `Status` is `done` or `failed`, `BytesSent` what really crossed."""
    known = {
        "Monitored": False,
        "TimeStamp": timestamp(transfer.ended),
        "DataTransferId": transfer.file_id,
        "DestinationName": transfer.destination,
        "FileName": transfer.path,
        "FileSize": transfer.size,
        "ScheduledTime": timestamp(transfer.started),
        "StartTime": timestamp(transfer.started),
        "Duration": round((transfer.ended - transfer.started) * 1000),
        "UserId": transfer.login,
        "UserDescription": transfer.description or NONE,
        "BytesSent": transfer.sent,
        "TransferProtocol": transfer.protocol,
        "TransferServer": transfer.node,
        "HostAddress": transfer.address,
        "FileSystem": transfer.volume,
        "Action": transfer.action,
        "Status": "failed" if transfer.failure else "done",
        "Message": transfer.failure or NONE,
    }
    fields = {name: NONE if known.get(name) is None else known[name] for name in INH_FIELDS}
    return Event("INH", transfer.ended, fields)


def denial_event(time: float, login: str, message: str, context: str, address: str, protocol: str) -> Event:
    """The DEA record of a refusal, before or after login. `login` is what the client claimed."""
    values = (timestamp(time), login or NONE, message, context, address, protocol)
    return Event("DEA", time, dict(zip(DEA_FIELDS, values, strict=True)))
