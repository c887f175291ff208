"""Listening sockets: made, named, and accepted from without starving anybody.

A socket in the file system is bound under a passing name and renamed over the old one, so that its path always leads to
somebody who listens; its mode is set before it has a name. The kernel takes 107 bytes of path, so the folder is opened and
the socket is bound as `/proc/self/fd/<number>/<name>`.
"""

from __future__ import annotations

import errno
import os
import socket
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.errors import Unavailable
from ecpds.transports.channel import IReactor

PER_TURN = 64
"""Connections accepted in one turn of the reactor."""

PAUSE = 1.0
"""Seconds without accepting when there are no descriptors left."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

LOCAL_PORTS = Path("/proc/sys/net/ipv4")
"""Where Linux says which ports it hands out by itself, for IPv6 too (ip-sysctl in its documentation)."""

MAPPED = "::ffff:"


def host(address: str) -> str:
    """An address in the form in which two of them can be compared: an IPv4 one that IPv6 carries, as IPv4."""
    return address.removeprefix(MAPPED) if "." in address else address


def local_ports(folder: Path = LOCAL_PORTS) -> Sequence[int]:
    """The ports that the kernel chooses from when it is asked for any, without those that its administrator has reserved.

    None of them where it does not say.
    """
    try:
        first, last = map(int, (folder / "ip_local_port_range").read_text().split())
        spans = (folder / "ip_local_reserved_ports").read_text().strip().split(",")
    except OSError:
        return ()
    reserved: set[int] = set()
    for span in filter(None, spans):
        begin, _, end = span.partition("-")
        reserved.update(range(int(begin), int(end or begin) + 1))
    return array("H", (port for port in range(first, last + 1) if port not in reserved))


def bind(address: str, port: int, backlog: int, shared: bool = False) -> socket.socket:
    """A listening socket on a literal IPv4 or IPv6 address; port 0 is any that is free. Raises `OSError`.

    `shared`: other processes of the same user may listen on it too, and the kernel spreads connections over them.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    socket.inet_pton(family, address.partition("%")[0])  # a name would be looked up, and that waits
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def bind_path(path: Path, backlog: int) -> socket.socket:
    """A listening socket in the file system, for its owner alone. A stale one is replaced; `Unavailable` if one is in use."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    passing = f".{path.name}.{os.getpid()}"
    try:
        _refuse_used(f"/proc/self/fd/{folder}/{path.name}", path)
        with suppress(FileNotFoundError):
            os.unlink(passing, dir_fd=folder)
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(f"/proc/self/fd/{folder}/{passing}")
        sock.listen(backlog)
        sock.setblocking(False)
        os.rename(passing, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        sock.close()
        with suppress(FileNotFoundError):
            os.unlink(passing, dir_fd=folder)
        raise
    finally:
        os.close(folder)
    return sock


def _refuse_used(short: str, path: Path) -> None:
    """Raise `Unavailable` when somebody answers at `path`, or when it is no socket."""
    if not os.path.lexists(short):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(short)
        except ConnectionRefusedError:
            if path.is_socket():
                return
            raise Unavailable(f"{path} is in the way: it is not a socket") from None
        except BlockingIOError:
            pass
    raise Unavailable(f"another process listens on {path}")


@implementer(IReadDescriptor)
class Acceptor:
    """Hands each new socket, non-blocking, with its peer's address and port, to `accepted`."""

    log = Logger()

    def __init__(self, reactor: IReactor, sock: socket.socket, accepted: Callable[[socket.socket, str, int], None]) -> None:
        self._reactor = reactor
        self._socket = sock
        self._accepted = accepted
        self._wanted = False

    def start(self) -> None:
        self._wanted = True
        self._reactor.addReader(self)

    def pause(self) -> None:
        if self._wanted:
            self._wanted = False
            self._reactor.removeReader(self)

    def stop(self) -> None:
        """Close the listening socket. May be called repeatedly."""
        self.pause()
        self._socket.close()

    def doRead(self) -> None:
        for _ in range(PER_TURN):
            if not self._wanted or not self.look():
                return

    def look(self) -> bool:
        """Accept a connection that is there already, started or not; whether there may be more."""
        try:
            sock, name = self._socket.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._rest(error)
                return False
            return True  # That connection ended before it was accepted, or brought its own network error (accept(2)).
        self._hand_over(sock, *((host(name[0]), name[1]) if isinstance(name, tuple) else ("", 0)))
        return True

    def _hand_over(self, sock: socket.socket, peer: str, port: int) -> None:
        """One connection that can't be begun must not end the listening."""
        try:
            sock.setblocking(False)
            self._accepted(sock, peer, port)
        except Exception:
            self.log.failure("a connection from {peer} could not be begun", peer=peer)
            sock.close()

    def _rest(self, error: OSError) -> None:
        self.log.warn("no connection accepted for {seconds} s: {reason}", seconds=PAUSE, reason=error.strerror)
        self._reactor.removeReader(self)
        self._reactor.callLater(PAUSE, self._resume)

    def _resume(self) -> None:
        if self._wanted:
            self._reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Acceptor"

    def connectionLost(self, reason: Failure) -> None:
        self.stop()
