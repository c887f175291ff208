"""Bodies of any length from plain HTTP/1.1 servers, for who has a thread for each connection: no reactor, and one system call
for a MiB.

Who tells whom: we send a GET, perhaps for a range; the server sends a head, and a body of the length that it says, which goes
right into the caller's buffer. A body that is framed otherwise is refused. A connection whose body came to its end may be asked
again. It blocks the thread that reads, so it must not be used where a reactor runs; another thread may end it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence

from ecpds.errors import ConnectionLost, InvalidRequest, Stalled, Unavailable
from ecpds.http.gets import FIELDS, HEAD, PATIENCE, Server, look_up
from ecpds.http.reply_head import ReplyHead, parse_reply

LOOK = 0.5
"""Seconds after which what has come is handed on, though there is room for more."""


class Pull:
    """One connection. `rest` are the bytes of the body that did not come yet."""

    def __init__(self, server: Server, addresses: Callable[[str, int], Sequence[str]] = look_up) -> None:
        self.server = server
        self.rest = 0
        self._addresses = addresses
        self._socket: socket.socket | None = None
        self._early = memoryview(b"")
        self._keep = False
        self._ended = False

    @property
    def reusable(self) -> bool:
        """Whether it can be asked again: the last body is at its end, and the server keeps the connection."""
        return self._keep and not self.rest and not self._ended

    def get(self, target: str, more: str = "") -> ReplyHead:
        """Ask, and wait for the head. Raises `Unavailable`, `ConnectionLost`, `Stalled`, `InvalidRequest`."""
        request = self.server.request(target, more)
        if self._socket is not None and self.reusable:
            try:
                return self._exchange(request)
            except ConnectionLost:
                pass  # It was closed while nobody looked: another one is made.
        self._connect()
        return self._exchange(request)

    def read_into(self, view: memoryview) -> int:
        """Bytes of the body: as many as there is room for, or as come for a while; 0 at its end.

        Raises `ConnectionLost`, `Stalled`.
        """
        room = view[: self.rest]
        if not room:
            return 0
        if self._early:
            count = min(len(room), len(self._early))
            room[:count] = self._early[:count]
            self._early = self._early[count:]
        else:
            count = self._receive(room, socket.MSG_WAITALL)
        self.rest -= count
        return count

    def fill(self, view: memoryview) -> None:
        """All of `view`, which has no more room than there is body left. Raises as `read_into`."""
        while view:
            view = view[self.read_into(view) :]

    def close(self) -> None:
        """Give the connection up."""
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()

    def end(self) -> None:
        """Wake the thread that reads, which gets `ConnectionLost`; for other threads."""
        self._ended = True
        sock = self._socket
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It has ended already.

    def _connect(self) -> None:
        self.close()
        try:
            addresses = self._addresses(self.server.host, self.server.port)
        except (OSError, UnicodeError) as error:
            raise Unavailable(f"the name {self.server.host} is not known") from error
        last: OSError | None = None
        for address in addresses:
            try:
                sock = socket.create_connection((address, self.server.port), PATIENCE)
            except OSError as error:
                last = error
                continue
            self._begin(sock)
            return
        raise ConnectionLost(str(last or "")) from last

    def _begin(self, sock: socket.socket) -> None:
        # Blocking, with limits that are the kernel's: with Python's own, no call would wait for all that there is room for.
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(LOOK), int(LOOK % 1 * 1_000_000)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(PATIENCE), 0))
        self._socket = sock
        if self._ended:
            raise ConnectionLost()

    def _exchange(self, request: bytes) -> ReplyHead:
        assert self._socket is not None
        try:
            self._socket.sendall(request)
        except BlockingIOError as error:
            raise Stalled("the server took no request") from error
        except OSError as error:
            raise ConnectionLost(str(error)) from error
        view, filled = memoryview(bytearray(HEAD)), 0
        while (stop := bytes(view[:filled]).find(b"\r\n\r\n")) < 0:
            if filled == HEAD:
                raise InvalidRequest("the head of the server's reply is too long")
            filled += self._receive(view[filled:])
        head = parse_reply(bytes(view[: stop + 4]), "GET", FIELDS)
        if head.status < 200 or head.length is None:
            raise InvalidRequest("the server's reply is framed in a way that is not taken here")
        early = view[stop + 4 : filled]
        self._keep = head.keep_alive and len(early) <= head.length
        self._early, self.rest = early[: head.length], head.length
        return head

    def _receive(self, view: memoryview, flags: int = 0) -> int:
        """What comes, at least one byte of it. Raises `ConnectionLost`, `Stalled`."""
        assert self._socket is not None
        for _ in range(int(PATIENCE / LOOK)):
            try:
                count = self._socket.recv_into(view, 0, flags)
            except BlockingIOError:
                continue
            except OSError as error:
                raise ConnectionLost(str(error)) from error
            if not count or self._ended:
                raise ConnectionLost()
            return count
        raise Stalled("the server did not go on in time")
