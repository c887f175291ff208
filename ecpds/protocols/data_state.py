"""Files that wait: `PATCH PATH?state=released` lets everybody see one, `?state=standby` only who may put there."""

from __future__ import annotations

from ecpds.http.message import Request, Response
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols.data_headers import SAFE
from ecpds.protocols.data_place import Place
from ecpds.wire.listings import json_line

STATES = {"state=released": True, "state=standby": False}
"""What a query says, and whether that is to be released."""


async def set_state(files: IFileSystem, request: Request, place: Place) -> Response:
    """Answers with the file as JSON. Raises refusals."""
    entry = await files.set_released(place.path, STATES[request.query])
    return Response(200, [("Content-Type", "application/json"), *SAFE], f"{json_line(entry)}\n".encode())
