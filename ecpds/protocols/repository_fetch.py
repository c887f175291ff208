"""A configuration that an editor names by its URL, fetched by this node.

Who tells whom: we ask the URL's server once (GET), over HTTP or HTTPS, and it answers with the configuration; a redirect is a
refusal. Only servers with an address of the world's are asked: an editor of data sources is nobody whom this node would
open its own network to (server-side request forgery).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from ecpds.errors import InvalidRequest, Refusal
from ecpds.http.client import Ask, HttpClient

PORTS = {"http": 80, "https": 443}


class ConfigurationFetcher:
    """`most` is how many bytes a configuration may have. Idle connections are the client's to close."""

    def __init__(self, client: HttpClient, most: int) -> None:
        self._client = client
        self._most = most

    async def fetch(self, url: str) -> str:
        """The text. Raises `InvalidRequest`, with the URL in its sentence, whatever went wrong."""
        try:
            reply = await self._client.send(_ask(url))
            if reply.status != 200:
                reply.abort()
                raise InvalidRequest(f"its server answered {reply.status}")
            return (await reply.text(self._most)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{url[:500]!a}: it is not UTF-8") from error
        except Refusal as refusal:
            raise InvalidRequest(f"{url[:500]!a} can't be fetched: {refusal.detail or refusal.sentence}") from refusal


def _ask(url: str) -> Ask:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequest(f"it is no URL: {error}") from error
    if parts.scheme not in PORTS or not host:
        raise InvalidRequest("it is no URL of http or https")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    accept = [("Accept", "application/json"), ("Connection", "close")]
    return Ask("GET", host, port or PORTS[parts.scheme], parts.scheme == "https", target, accept, public=True)
