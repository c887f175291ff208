"""What differs between a plain socket and TLS on its descriptor. Nothing here waits: a call moves bytes or says what for.

TLS is OpenSSL reading and writing the socket itself (no memory BIO). Three things need the private part of pyOpenSSL, and
stand only here: the modes of one connection, since a context can't be changed after its first use; SSL_read into our own
memory, since `recv_into` allocates and copies; and whether a session was resumed.

SSL_write is told to take all it is given (no SSL_MODE_ENABLE_PARTIAL_WRITE), or it returns after every record of 16 KiB.
The price: a write that had to wait must be repeated with the same bytes, at any address
(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, which pyOpenSSL sets).

A server's last words in a TLS 1.3 handshake are session tickets, and no client waits for them. One that only uploads, and ends
by closing, may be gone when they come (lftp is): its kernel answers them with RST, and throws away what it had not sent us yet.
So where a peer ends by closing, the kernel keeps the tickets (TCP_CORK, for 0.2 s at most) until we have something to say.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from enum import Enum, auto
from typing import Protocol

from cryptography import x509
from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from ecpds.errors import ConnectionLost, Corrupt, Unavailable

GONE = frozenset(
    {
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
    }
)
"""What sendfile says of the socket; anything else it says of the file."""


class Need(Enum):
    """What a call has to wait for before it is repeated."""

    READABLE = auto()
    WRITABLE = auto()


class Link(Protocol):
    """One connected socket. The calls raise `ConnectionLost`."""

    secure: bool
    established: bool
    """Whether bytes can be exchanged; before that, `handshake`."""
    direct: bool
    """Whether the kernel can send a file by itself; otherwise its bytes go through memory and `send`."""

    @property
    def resumed(self) -> bool:
        """Whether TLS goes on with a session of its context; once established."""

    @property
    def certificate(self) -> x509.Certificate | None:
        """What the peer has shown, and has the key of; once established."""

    def handshake(self) -> Need | None: ...

    def receive(self, view: memoryview, once: bool = False) -> int | Need:
        """Up to `len(view)` bytes; 0 is the end. `once`: what one read gives is enough, as the socket tells of any more."""

    def send(self, data: bytes | memoryview) -> int | Need:
        """How many bytes were taken. After a `Need`, repeat with the same bytes."""

    def send_span(self, fd: int, offset: int, length: int) -> int | Need:
        """As `send`, from a file. Raises `Corrupt` when the file ends there, `Unavailable` when it can't be read."""

    def pending(self) -> bool:
        """Whether bytes, or an end, were received that the socket's readiness no longer tells of."""

    def say_end(self) -> Need | None:
        """Tell the peer that nothing more will be written."""


class PlainLink:
    """A socket as it is."""

    secure = False
    established = True
    certificate = None
    resumed = False
    direct = True

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def handshake(self) -> None:
        return None

    def receive(self, view: memoryview, once: bool = False) -> int | Need:
        try:
            return self._socket.recv_into(view)
        except BlockingIOError:
            return Need.READABLE
        except OSError as error:
            raise ConnectionLost(error.strerror or "") from error

    def send(self, data: bytes | memoryview) -> int | Need:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return Need.WRITABLE
        except OSError as error:
            raise ConnectionLost(error.strerror or "") from error

    def send_span(self, fd: int, offset: int, length: int) -> int | Need:
        try:
            sent = os.sendfile(self._socket.fileno(), fd, offset, length)
        except BlockingIOError:
            return Need.WRITABLE
        except OSError as error:
            refusal = ConnectionLost if error.errno in GONE else Unavailable
            raise refusal(error.strerror or "") from error
        if sent == 0:
            raise Corrupt("a stored file is shorter than its record")
        return sent

    def pending(self) -> bool:
        return False

    def say_end(self) -> None:
        return None


class TlsLink:
    """TLS on a socket's descriptor.

    `ragged_eof_ok`: whether a peer that closes without a close_notify alert has only ended (HTTP with a length says by
    itself where its end is) or may have been cut off (an FTP upload ends where the connection does; RFC 8446 section 6.1).
    """

    secure = True
    direct = False

    def __init__(
        self, context: SSL.Context, sock: socket.socket, server_side: bool = True, ragged_eof_ok: bool = False
    ) -> None:
        self.established = False
        self._ragged_eof_ok = ragged_eof_ok
        self._socket = sock
        self._holds_tickets = server_side and not ragged_eof_ok and sock.family != socket.AF_UNIX
        self._corked = False
        self._end: int | ConnectionLost | None = None
        self._connection = SSL.Connection(context, sock)
        self._ssl = self._connection._ssl
        lib.SSL_clear_mode(self._ssl, lib.SSL_MODE_ENABLE_PARTIAL_WRITE)
        lib.SSL_set_mode(self._ssl, lib.SSL_MODE_RELEASE_BUFFERS)
        if server_side:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()

    @property
    def resumed(self) -> bool:
        return bool(lib.SSL_session_reused(self._ssl))

    def handshake(self) -> Need | None:
        try:
            self._connection.do_handshake()
        except SSL.Error as error:
            self._uncork()
            if self._holds_tickets:
                self._cork(True)
            return _need(error)
        self.established = True
        if self._connection.get_protocol_version() < SSL.TLS1_3_VERSION:
            self._uncork()  # the handshake ends with a word of ours
        return None

    def receive(self, view: memoryview, once: bool = False) -> int | Need:
        """Record after record until `view` is full or the socket is empty: each SSL_read gives one record at most."""
        if isinstance(self._end, ConnectionLost):
            raise self._end
        if self._end is not None:
            return self._end
        room = len(view)
        done = 0
        with ffi.from_buffer(view) as start:
            while done < room:
                result = lib.SSL_read(self._ssl, start + done, room - done)
                if result <= 0:
                    return self._stopped(result, done)
                done += result
                if once:
                    break
        return done

    def send(self, data: bytes | memoryview) -> int | Need:
        try:
            return self._connection.send(data)
        except SSL.Error as error:
            return _need(error)
        finally:
            self._uncork()

    def send_span(self, fd: int, offset: int, length: int) -> int | Need:
        raise NotImplementedError("TLS sends from memory")

    def pending(self) -> bool:
        return self._end is not None or self._connection.pending() > 0

    @property
    def connection(self) -> SSL.Connection:
        """OpenSSL's own, to ask who is at the other end."""
        return self._connection

    @property
    def certificate(self) -> x509.Certificate | None:
        return self._connection.get_peer_certificate(as_cryptography=True)

    def say_end(self) -> Need | None:
        try:
            self._connection.shutdown()
        except SSL.Error as error:
            return _need(error)
        finally:
            self._uncork()
        return None

    def _uncork(self) -> None:
        if self._corked:
            self._cork(False)

    def _cork(self, on: bool) -> None:
        """Whether the kernel keeps what is less than a packet. A peer that is gone is found out by who reads or writes."""
        with suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)
        self._corked = on

    def _stopped(self, result: int, done: int) -> int | Need:
        """SSL_read gave nothing more. OpenSSL says why once, so what follows `done` bytes is kept for the next call."""
        try:
            why = self._ended(result)
        except ConnectionLost as lost:
            if not done:
                raise
            self._end = lost
            return done
        if why == 0:
            self._end = why
        return done or why

    def _ended(self, result: int) -> int | Need:
        """Why SSL_read gave nothing."""
        try:
            self._connection._raise_ssl_error(self._ssl, result)
        except SSL.ZeroReturnError:
            return 0
        except SSL.SysCallError as error:
            if self._ragged_eof_ok and error.args[0] == -1:
                return 0
            raise ConnectionLost("it ended without the end of TLS") from error
        except SSL.Error as error:
            return _need(error)
        return Need.READABLE


def _need(error: SSL.Error) -> Need:
    """What OpenSSL wants, or `ConnectionLost` with its reason."""
    if isinstance(error, SSL.WantReadError):
        return Need.READABLE
    if isinstance(error, SSL.WantWriteError):
        return Need.WRITABLE
    raise ConnectionLost(_reason(error)) from error


def _reason(error: SSL.Error) -> str:
    """The words of the first error in OpenSSL's queue: pyOpenSSL hands on a list of (library, function, reason)."""
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        return str(error.args[0][0][-1])
    return str(error.args[-1]) if error.args else "TLS failed"
