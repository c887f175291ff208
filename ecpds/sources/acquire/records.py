"""The RET record of a file that was fetched from elsewhere, or was not. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from ecpds.events import Event, family_event, timestamp
from ecpds.sources.mechanisms.base import shown


def retrieval(
    now: float, started: float, url: str, path: str, size: int, reason: str, user: str, node: str, identity: str
) -> Event:
    """`path` is where it goes in the portal; `reason` says why it failed; `identity` names the acquisition."""
    parts = urlsplit(url)
    destination, _, inside = path.lstrip("/").partition("/")
    known = {
        "Monitored": False,
        "DestinationName": destination,
        "FileName": inside,
        "FileSize": size if not reason else None,
        "Identity": identity,
        "StartTime": timestamp(started),
        "Duration": round((now - started) * 1000),
        "TransferProtocol": parts.scheme,
        "RemoteHost": parts.hostname,
        "MoverName": node,
        "UserId": user,
        "RequestAddress": shown(url),
        "Status": "failed" if reason else "done",
        "Message": reason or None,
    }
    return family_event("RET", now, known)
