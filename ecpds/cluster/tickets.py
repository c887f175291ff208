"""Leave to write or read one segment at one mover, signed by the Master (Ed25519) for one node, for a short while.

The mover checks it without asking anybody. A ticket to write is used up by the exclusive creation of the segment's file;
one to read may be used again by its holder until it expires, which is how a read goes on after a lost connection.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ecpds.cluster.codec import decode
from ecpds.config import Config, ConfigError
from ecpds.errors import NotPermitted, Unavailable
from ecpds.keys import keys_folder, write_secret

SIGNATURE = 64
LEEWAY = 5.0
"""Seconds that the clocks of a fleet may differ by."""

KEPT = 100_000
"""Tickets to read that are kept at most, each of 450 bytes, for half of their life. To sign one costs 40 us, and of a file in
parts each range asks for those of all: these are ten such files of as many parts as there may be."""

FORGOTTEN = 100
"""Of these, how many are forgotten at most where one is added: about as long as to sign it."""

WRITE, READ = "write", "read"


class Owner(msgspec.Struct, array_like=True, frozen=True):
    """Whose upload it is, and of what (`AllocationRequest`): where its sender dies, it can be kept for that user."""

    user: int
    destination: str
    path: str
    part: tuple[int, int] | None = None


class Ticket(msgspec.Struct, array_like=True, frozen=True):
    """`size`: to write, what was announced; to read, what the copy should have. `attempt` makes each ticket one of its own.

    `owner`: who can go on with what came, where the holder dies in the middle of writing.
    """

    verb: str
    segment: int
    mover: str
    volume: int
    holder: str
    size: int | None
    digests: list[str]
    attempt: int
    expires: float
    owner: Owner | None = None


class Pass(msgspec.Struct, array_like=True, frozen=True):
    """What a node is given: where the mover is, and the signed ticket to show there."""

    host: str
    port: int
    ticket: bytes


def open_pass(data: bytes) -> Pass:
    """Raises `InvalidRequest`."""
    opened: Pass = decode(data, Pass)
    return opened


class TicketOffice:
    """Signs. `now` is the time since the epoch, `life` the seconds that a ticket can be used.

    One to read is given again to who asks again, as long as half of its life is left.
    """

    def __init__(self, key: Ed25519PrivateKey, now: Callable[[], float], life: float) -> None:
        self._key = key
        self._now = now
        self._life = life
        self._attempts = 0
        self._kept: OrderedDict[tuple[int, str, int, str, int], tuple[float, bytes]] = OrderedDict()

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def to_write(
        self,
        segment: int,
        mover: str,
        volume: int,
        holder: str,
        digests: Sequence[str],
        size: int | None,
        owner: Owner | None = None,
    ) -> bytes:
        return self._sign(WRITE, segment, mover, volume, holder, size, digests, owner)

    def to_read(self, segment: int, mover: str, volume: int, holder: str, length: int) -> bytes:
        asked, now = (segment, mover, volume, holder, length), self._now()
        kept = self._kept.get(asked)
        if kept is not None and now < kept[0]:
            return kept[1]
        self._kept.pop(asked, None)
        self._forget(now)
        ticket = self._sign(READ, segment, mover, volume, holder, length, ())
        self._kept[asked] = now + self._life / 2, ticket
        return ticket

    def _forget(self, now: float) -> None:
        """Some that nobody is given any more, which are the oldest, and the oldest of too many."""
        for _ in range(min(FORGOTTEN, len(self._kept))):
            asked, (until, _) = next(iter(self._kept.items()))
            if now < until and len(self._kept) < KEPT:
                return
            del self._kept[asked]

    def _sign(
        self,
        verb: str,
        segment: int,
        mover: str,
        volume: int,
        holder: str,
        size: int | None,
        digests: Sequence[str],
        owner: Owner | None = None,
    ) -> bytes:
        self._attempts += 1
        expires = self._now() + self._life
        ticket = Ticket(verb, segment, mover, volume, holder, size, list(digests), self._attempts, expires, owner)
        data = msgspec.msgpack.encode(ticket)
        return self._key.sign(data) + data


class TicketCheck:
    """A mover's side. `holder` None: whoever shows it, where nobody can be told apart (a plain stream)."""

    def __init__(self, public_key: bytes, mover: str, now: Callable[[], float]) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(public_key)
        self._mover = mover
        self._now = now

    def check(self, data: bytes, verb: str, holder: str | None) -> Ticket:
        """Raises `NotPermitted`, `InvalidRequest`; `Unavailable` when it came too late, which is no fault of the user's."""
        try:
            self._key.verify(data[:SIGNATURE], data[SIGNATURE:])
        except InvalidSignature:
            raise NotPermitted("the ticket is not the Master's") from None
        ticket: Ticket = decode(data[SIGNATURE:], Ticket)
        if (ticket.verb, ticket.mover) != (verb, self._mover):
            raise NotPermitted("the ticket is for something else")
        if holder is not None and ticket.holder != holder:
            raise NotPermitted("the ticket is another node's")
        late = self._now() - ticket.expires
        if late > LEEWAY:
            raise Unavailable(f"the ticket has expired {late:.0f} s ago by the clock of {self._mover}")
        return ticket


def ticket_key(config: Config) -> Ed25519PrivateKey:
    """The Master's key in `HOME/keys`, made when there is none yet. Raises `ConfigError`."""
    path = keys_folder(config) / "ticket.key"
    if not path.exists():
        new = Ed25519PrivateKey.generate()
        write_secret(path, new.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not a key for tickets") from error
