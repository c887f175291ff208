"""Plain HTTP servers in memory, for what asks them the quick way."""

from __future__ import annotations

from collections import deque

from ecpds.http.gets import Server, Told
from ecpds.http.headers import Headers
from ecpds.http.reply_head import ReplyHead

Answer = tuple[int, dict[str, str], bytes]


class MemoryGets:
    """`files` are answers by URL; what has none is not found. Servers in `silent` never answer. `asked` are the URLs."""

    def __init__(self) -> None:
        self.busy = self.most = 0
        self.files: dict[str, Answer] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self._waiting: deque[tuple[str, str, int, Told]] = deque()

    def serve(self, url: str, body: bytes, status: int = 200, **headers: str) -> None:
        self.files[url] = status, {name.replace("_", "-"): value for name, value in headers.items()}, body

    def get(self, server: Server, target: str, largest: int, told: Told) -> None:
        self.busy += 1
        self.most = max(self.most, self.busy)
        url = f"http://{server.host}{target}"
        self.asked.append(url)
        self._waiting.append((url, server.host, largest, told))

    def wait(self) -> None:
        url, host, largest, told = self._waiting.popleft()
        self.busy -= 1
        if host in self.silent:
            told(None, None)
            return
        status, headers, body = self.files.get(url, (404, {}, b"no such file"))
        length = None if headers.get("transfer-encoding") else len(body)
        head = ReplyHead(status, Headers(headers.items()), length, False, True)
        told(head, memoryview(body) if length is not None and length <= largest else None)
