"""The records of what happened, with the names and fields of OpenECPDS (event-logging): seven families.

INH is a transfer through the portal; unlike the ancestor's it is written for failed and cut ones too, with `Status` and
`Message`. DEA is a denial. RET, UPH, ERR, CPY and PRS are of files fetched, disseminated, failed, copied, and of the
progress of products; whoever makes one names its fields here. Fields that mean nothing in a case are there, as `-`.

A record has two forms. JSON Lines are ASCII, so that what clients say obeys nobody's terminal. The ancestor's line is
`CODE;Key=Value;…`, and as it has no escapes of its own, `%`, `;` and what is not printable stand in values as the
`%XX` of URLs (RFC 3986, section 2.1): so no name can begin a field or a line, and every value can be had back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from math import floor
from typing import Any

import msgspec
from attrs import frozen

from ecpds.errors import InvalidRequest

NONE = "-"

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

_ABOUT = "Monitored TimeStamp DataTransferId DestinationName DestinationType FileName FileSize "
_META = "MetaStream MetaType MetaTime TimeBase TimeStep "

INH_FIELDS = (
    _ABOUT + "ScheduledTime StartTime " + _META + "Duration UserId CountryCode UserDescription BytesSent "
    "TransferProtocol TransferServer HostAddress Caller ExpiryTime FileSystem Action Status Message"
).split()

DEA_FIELDS = "TimeStamp UserId Message Context HostAddress TransferProtocol".split()

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "INH": tuple(INH_FIELDS),
    "DEA": tuple(DEA_FIELDS),
    "RET": tuple(
        (
            _ABOUT + "Identity ScheduledTime StartTime " + _META + "Duration HostId HostLogin HostAddress TransferProtocol "
            "MoverName UserId RequestAddress DataOnlyDuration StandBy RemoteHost Status Message"
        ).split()
    ),
    "UPH": tuple(
        (
            _ABOUT + "Identity MetaStream MetaType MetaTime Priority QueueTime RequeueCount ScheduledTime StartTime PutTime "
            "Duration DurationOnClose BytesSent StatusCode RetrievalTime TimeBase TimeStep FinishTime TransferProtocol "
            "TransferServer NetworkCode HostAddress PreSchedule ProxyHost Proxied SocketStatistics Compressed "
            "CompressedOnTheFly"
        ).split()
    ),
    "ERR": tuple(
        (
            _ABOUT + "ScheduledTime StartTime " + _META + "Duration UserId CountryCode BytesSent TransferProtocol "
            "TransferServer HostAddress NetworkCode Message"
        ).split()
    ),
    "CPY": tuple(
        (
            _ABOUT + "ScheduledTime StartTime " + _META + "Duration CountryCode Target TransferServer Caller ExpiryTime "
            "FileSystem Status Message Action"
        ).split()
    ),
    "PRS": tuple("TimeStamp StatusCode DataStream TimeStep TimeBase Type ScheduleTime LastUpdate ErrorMessage".split()),
}
"""The fields of each family, in the order in which they are shown."""

ISO_LENGTH = 24
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d\.\d{3})Z", re.ASCII)

_NO_TRANSFER: Mapping[str, Any] = dict.fromkeys(INH_FIELDS, NONE)

# One for all records: `json.dumps` with an argument makes an encoder anew each time.
_encoded = json.JSONEncoder(default=str, separators=(",", ":")).encode

# Six times as fast. It leaves text that isn't ASCII as it is, and knows fewer types, all of which records have.
_quickly_encoded = msgspec.json.Encoder().encode


def _json(fields: Mapping[str, Any]) -> str:
    try:
        text = _quickly_encoded(fields)
    except (TypeError, ValueError, OverflowError):
        return _encoded(dict(fields))  # such as half a surrogate pair, of a name that no door could decode
    return text.decode() if text.isascii() else _encoded(dict(fields))


EARLIEST, LATEST = -62135596800.0, 253402300799.0
"""The first and the last second of the years 1 to 9999: what is before or behind them can't be written down."""


def is_time(seconds: float) -> bool:
    """Whether every door can tell that time; not of what is no number."""
    return EARLIEST <= seconds <= LATEST


def nearest_time(seconds: float) -> float:
    """The time that can be told which is nearest to this one: catalogues may hold others, of before those were refused."""
    return seconds if EARLIEST <= seconds <= LATEST else max(EARLIEST, min(seconds, LATEST))


def timestamp(seconds: float) -> str:
    """A time as records and JSON show it: ISO 8601, UTC, milliseconds, `Z`. Raises `ValueError` for what `is_time` is not."""
    second = floor(seconds)
    micros = round((seconds - second) * 1e6)
    if micros == 1_000_000:
        second, micros = second + 1, 0
    return f"{_second(second)}.{micros // 1000:03}Z"


@lru_cache(64)
def _second(seconds: int) -> str:
    """A whole second, without its `Z`. Each record has three times, of the same few seconds."""
    day, rest = divmod(seconds, 86400)
    minute, second = divmod(rest, 60)
    return f"{_day(day)}T{_MINUTES[minute]}:{second:02}"


@lru_cache(64)
def _day(days: int) -> str:
    """A date, by its days since the epoch: long listings have many times, of not so many days."""
    return datetime.fromtimestamp(days * 86400, UTC).date().isoformat()


_MINUTES = tuple(f"{minute // 60:02}:{minute % 60:02}" for minute in range(24 * 60))


def moment(text: str, now: float) -> float:
    """A time as operators write it, in seconds since the epoch: ISO 8601, in UTC unless it says otherwise, or a span ago.

    Raises `InvalidRequest`.
    """
    ago = re.fullmatch(r"([0-9]{1,9})([smhdw])", text, re.ASCII)
    if ago:
        return now - int(ago[1]) * UNITS[ago[2]]
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        allowed = "2026-11-21, 2026-11-21T10:30:00Z, or 2h for 2 hours ago"
        raise InvalidRequest(f"time {text[:100]!a}; allowed: {allowed}") from error


@frozen
class Event:
    """One record. `time` is when it was made; `fields` are in the order in which they are shown."""

    type: str
    time: float
    fields: Mapping[str, Any]

    @cached_property
    def fields_text(self) -> str:
        """The fields as JSON, in ASCII: encoded once, whoever writes them down."""
        return _json(self.fields)

    def as_json(self) -> dict[str, Any]:
        """The object that JSON Lines hold: the type, then the fields."""
        return {"Type": self.type, **self.fields}

    def as_json_line(self) -> str:
        """`as_json` in JSON, without a line end."""
        comma = "," if self.fields else ""
        return f'{{"Type":{_encoded(self.type)}{comma}{self.fields_text[1:]}'

    def as_line(self) -> str:
        """The ancestor's form, without a line end; times are in its form too, `yyyy-MM-dd HH:mm:ss.SSS`."""
        texts = [value if value is NONE or type(value) is int else _text(value) for value in self.fields.values()]
        frame = _frame(self.type, tuple(self.fields))
        line = frame % tuple(texts)
        # Of some twenty values hardly one is ever escaped, so all are looked at at once.
        if line.isprintable() and "%" not in line and line.count(";") == len(texts):
            return line
        return frame % tuple([text if _is_plain(text) else "".join(map(_escaped, text)) for text in map(str, texts)])


@lru_cache(64)
def _frame(type: str, names: tuple[str, ...]) -> str:
    """The line of such a record, with `%s` for each value."""
    return ";".join([type.replace("%", "%%"), *(name.replace("%", "%%") + "=%s" for name in names)])


def _text(value: Any) -> str:
    """A value as the ancestor's line has it, but for what must be escaped."""
    if type(value) is not str:
        if value is None or isinstance(value, bool):
            return NONE if value is None else str(value).lower()
        value = str(value)
    return _time(value) if len(value) == ISO_LENGTH and value[10] == "T" else value


@lru_cache(64)
def _time(text: str) -> str:
    """A time in the ancestor's form, any other text as it is. Each record has three times, often the same."""
    found = _ISO.fullmatch(text)
    return f"{found[1]} {found[2]}" if found else text


def _is_plain(text: str) -> bool:
    return text.isprintable() and "%" not in text and ";" not in text


def _escaped(character: str) -> str:
    if _is_plain(character):
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def family_event(type: str, time: float, known: Mapping[str, Any]) -> Event:
    """A record of one of the families, with a value for those of its fields that are known.

    Raises `ValueError` for a field that the family has not.
    """
    names = FAMILIES[type]
    unknown = known.keys() - set(names)
    if unknown:
        raise ValueError(f"{type} has no {', '.join(sorted(unknown))}")
    values = {"TimeStamp": timestamp(time), **known}
    return Event(type, time, {name: NONE if values.get(name) is None else values[name] for name in names})


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
    started = timestamp(transfer.started)
    fields = {
        **_NO_TRANSFER,
        "Monitored": False,
        "TimeStamp": timestamp(transfer.ended),
        "DataTransferId": _or_none(transfer.file_id),
        "DestinationName": transfer.destination,
        "FileName": transfer.path,
        "FileSize": _or_none(transfer.size),
        "ScheduledTime": started,
        "StartTime": started,
        "Duration": round((transfer.ended - transfer.started) * 1000),
        "UserId": transfer.login,
        "UserDescription": transfer.description or NONE,
        "BytesSent": transfer.sent,
        "TransferProtocol": transfer.protocol,
        "TransferServer": transfer.node,
        "HostAddress": transfer.address,
        "FileSystem": _or_none(transfer.volume),
        "Action": transfer.action,
        "Status": "failed" if transfer.failure else "done",
        "Message": transfer.failure or NONE,
    }
    return Event("INH", transfer.ended, fields)


EXPIRE = "expire"
"""The `Action` of a file that left because its lifetime was over."""


RELEASE = "release"
"""The `Action` of a file that waited, and is seen from now on."""


def expiry_event(time: float, destination: str, path: str, file_id: int, size: int, over: float) -> Event:
    """The INH record of a file that the portal itself let go of; its time was `over` then. No byte crossed, no user asked."""
    known = _of_portal(time, destination, path, file_id, size)
    ended = timestamp(over)
    return family_event("INH", time, {**known, "ScheduledTime": ended, "ExpiryTime": ended, "Action": EXPIRE})


def release_event(time: float, destination: str, path: str, file_id: int, size: int) -> Event:
    """The INH record of a file that was released, by itself or by somebody. No byte crossed."""
    known = _of_portal(time, destination, path, file_id, size)
    return family_event("INH", time, {**known, "ScheduledTime": timestamp(time), "Action": RELEASE})


def damage_event(time: float, destination: str, path: str, file_id: int | None, size: int, mover: str, damage: str) -> Event:
    """The ERR record of a copy that was found damaged on a mover, which says how."""
    known = {
        "Monitored": False,
        "DataTransferId": file_id,
        "DestinationName": destination or None,
        "FileName": path or None,
        "FileSize": size,
        "TransferProtocol": "portal",
        "TransferServer": mover,
        "BytesSent": 0,
        "Message": damage,
    }
    return family_event("ERR", time, known)


def _of_portal(time: float, destination: str, path: str, file_id: int, size: int) -> dict[str, object]:
    return {
        "Monitored": False,
        "DataTransferId": file_id,
        "DestinationName": destination,
        "FileName": path,
        "FileSize": size,
        "StartTime": timestamp(time),
        "Duration": 0,
        "BytesSent": 0,
        "TransferProtocol": "portal",
        "Status": "done",
    }


def _or_none(value: int | None) -> int | str:
    return NONE if value is None else value


def denial_event(time: float, login: str, message: str, context: str, address: str, protocol: str) -> Event:
    """The DEA record of a refusal, before or after login. `login` is what the client claimed."""
    values = (timestamp(time), login or NONE, message, context, address, protocol)
    return Event("DEA", time, dict(zip(DEA_FIELDS, values, strict=True)))
