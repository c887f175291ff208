"""Files that wait: `PATCH PATH?state=released` lets everybody see one, `?state=standby` only who may put there.

Of a folder, whose path ends in a slash, `?state=released` lets everybody see all that waits in it and below.
"""

from __future__ import annotations

import json

from ecpds.http.message import Request, Response
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols.data_headers import SAFE
from ecpds.protocols.data_place import Place
from ecpds.wire.listings import json_line

STATES = {"state=released": True, "state=standby": False}
"""What a query says, and whether that is to be released."""


async def set_state(files: IFileSystem, request: Request, place: Place) -> Response:
    """Answers with the file as JSON, or how many of a folder were released. Raises refusals."""
    released = STATES[request.query]
    if released and place.path.endswith("/"):
        said = json.dumps({"path": place.path, "released": await files.release_folder(place.path)})
    else:
        said = json_line(await files.set_released(place.path, released))
    return Response(200, [("Content-Type", "application/json"), *SAFE], f"{said}\n".encode())
