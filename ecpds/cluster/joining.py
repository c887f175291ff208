"""How a node joins: who knows the fleet's secret is given a certificate, and hears it from who knows the secret too.

On a TLS 1.3 connection where nobody has shown a certificate, in frames of a length and MessagePack:

    node -> Master   Application: a signing request, and a proof over it
    Master -> node   Admission: certificate, authority, the fleet's identity, and a proof over them; or Denial

A proof is HMAC-SHA256 under the secret, over who speaks, the channel's exported keying material (RFC 9266 section 2,
RFC 8446 section 7.5) and what is said. The secret never crosses; a proof is worth nothing on any other connection, so one
in the middle can neither use it nor hear it twice. The secret is too long to be found from it by trying.
"""

from __future__ import annotations

import hmac
import socket
import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from attrs import frozen
from OpenSSL import SSL
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from ecpds.cluster.authority import Authority, Credentials, Peer, new_key, signing_request, stranger_context
from ecpds.cluster.codec import VERSION, decode
from ecpds.errors import ConnectionLost, InvalidRequest, NotPermitted, NotSupported, Refusal

FRAME = 64 * 1024
"""Bytes of one frame at most."""

PATIENCE = 20.0
"""Seconds that joining may take."""

LABEL = b"EXPORTER-Channel-Binding"
"""The label of tls-exporter, RFC 9266."""

NODE, MASTER = b"node", b"master"

WAITS = (0.25, 0.5, 1.0, *[2.0] * 28)
"""Seconds between the attempts to join, for a Master that is started at the same time: a minute in all."""

ONCE = (0.0,)
"""As `WAITS`, where it can be done without."""

TIMEVAL = struct.Struct("ll")


class Application(msgspec.Struct, array_like=True, tag="join", frozen=True):
    """What a node asks: to be certified."""

    version: int
    request: bytes
    proof: bytes


class Admission(msgspec.Struct, array_like=True, tag="admitted", frozen=True):
    """What it is given: its certificate, the authority's, and the files that make the fleet one, by name."""

    certificate: bytes
    authority: bytes
    identity: dict[str, bytes]
    proof: bytes


class Denial(msgspec.Struct, array_like=True, tag="denied", frozen=True):
    """Why not, in a sentence."""

    reason: str


def channel_binding(connection: SSL.Connection) -> bytes:
    """What only the two ends of this one connection know."""
    return connection.export_keying_material(LABEL, 32)


def prove(secret: bytes, who: bytes, binding: bytes, *said: bytes) -> bytes:
    """Each part with its length, so that no two lists of parts look alike."""
    text = b"".join(len(part).to_bytes(8) + part for part in (b"ecpds join", who, binding, *said))
    return hmac.digest(secret, text, "sha256")


def _said(admission: Admission) -> list[bytes]:
    pairs = [part for name, content in sorted(admission.identity.items()) for part in (name.encode(), content)]
    return [admission.certificate, admission.authority, *pairs]


@frozen
class Gatekeeper:
    """The Master's side. `may_join` raises what speaks against a name; `identity` are files for every node."""

    secret: bytes
    authority: Authority
    identity: dict[str, bytes]
    now: Callable[[], datetime]
    may_join: Callable[[Peer], None]

    def admit(self, application: Application, binding: bytes) -> tuple[Peer, Admission]:
        """Raises `NotPermitted` for a wrong proof, before anything else is looked at; `NotSupported`, `InvalidRequest`."""
        if not hmac.compare_digest(application.proof, prove(self.secret, NODE, binding, application.request)):
            raise NotPermitted("it does not know the fleet's secret")
        if application.version != VERSION:
            raise NotSupported(f"it speaks version {application.version}, the Master {VERSION}")
        peer, certificate = self.authority.certify_request(application.request, self.now())
        self.may_join(peer)
        unproved = Admission(certificate, self.authority.pem, self.identity, b"")
        proof = prove(self.secret, MASTER, binding, *_said(unproved))
        return peer, msgspec.structs.replace(unproved, proof=proof)


class MasterJoining(Int32StringReceiver):
    """One application, one answer, with a deadline; whatever is wrong ends the connection."""

    MAX_LENGTH = FRAME
    transport: Any
    log = Logger()

    def __init__(self, clock: IReactorTime, gatekeeper: Gatekeeper) -> None:
        self._clock = clock
        self._gatekeeper = gatekeeper
        self._late: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._late = self._clock.callLater(PATIENCE, self.transport.abortConnection)

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()

    def lengthLimitExceeded(self, length: int) -> None:
        self.transport.abortConnection()

    def say(self, message: msgspec.Struct) -> None:
        self.sendString(msgspec.msgpack.encode(message))  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        address = self.transport.getPeer().host
        try:
            application = decode(string, Application)
            peer, admission = self._gatekeeper.admit(application, channel_binding(self.transport.getHandle()))
        except Refusal as refusal:
            self.log.warn("{address} may not join the fleet: {reason}", address=address, reason=refusal.detail)
            self.say(Denial(refusal.sentence))
        else:
            self.log.info("{name} joins the fleet, from {address}", name=peer.name, address=address)
            self.say(admission)
        self.transport.loseConnection()


def join(address: tuple[str, int], secret: bytes, name: str) -> tuple[Credentials, dict[str, bytes]]:
    """Join by the Master at `address`: the node's credentials and the fleet's identity. Blocks: before the reactor runs.

    Raises `NotPermitted` where either end does not know the secret, or the name is taken; `ConnectionLost` where nobody
    answers in time.
    """
    pem, key = new_key()
    request = signing_request(name, key)
    try:
        with socket.create_connection(address, PATIENCE) as sock:
            sock.settimeout(None)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, TIMEVAL.pack(int(PATIENCE), 0))
            connection = SSL.Connection(stranger_context(), sock)
            connection.set_connect_state()
            connection.do_handshake()
            binding = channel_binding(connection)
            _send(connection, Application(VERSION, request, prove(secret, NODE, binding, request)))
            answer: Admission | Denial = decode(_receive(connection), Admission | Denial)
    except (OSError, SSL.Error) as error:
        raise ConnectionLost(str(error)) from error
    if isinstance(answer, Denial):
        raise NotPermitted(f"the fleet says: {answer.reason[:1000]}")
    if not hmac.compare_digest(answer.proof, prove(secret, MASTER, binding, *_said(answer))):
        raise NotPermitted("who answers does not know the fleet's secret")
    return Credentials(answer.certificate, pem, answer.authority), answer.identity


def _send(connection: SSL.Connection, message: Application) -> None:
    data = msgspec.msgpack.encode(message)
    connection.sendall(len(data).to_bytes(4) + data)


def _receive(connection: SSL.Connection) -> bytes:
    length = int.from_bytes(_exactly(connection, 4))
    if length > FRAME:
        raise InvalidRequest(f"a frame of {length} bytes")
    return _exactly(connection, length)


def _exactly(connection: SSL.Connection, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += connection.recv(length - len(data))
    return data


def join_any(
    addresses: Sequence[tuple[str, int]],
    secret: bytes,
    name: str,
    sleep: Callable[[float], None],
    waits: Sequence[float] = WAITS,
) -> tuple[Credentials, dict[str, bytes]]:
    """Join by whichever Master answers first; ask once for each of `waits`. Raises `NotPermitted`, `ConnectionLost`."""
    lost = ConnectionLost("no Master is named")
    for wait in waits:
        for address in addresses:
            try:
                return join(address, secret, name)
            except ConnectionLost as failure:
                lost = ConnectionLost(f"{address[0]} port {address[1]}: {failure.detail}")
        sleep(wait)
    raise lost
