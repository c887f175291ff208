"""Which message a client may send when: no wire, only the order of things.

A connection goes through four phases. The client sends KEXINIT, its half of the key exchange, and NEWKEYS (`START`); asks
for ssh-userauth (`KEYED`); logs in (`LOGIN`); and then has channels (`OPEN`), where either side may begin a key exchange
again. Whatever is not expected ends the connection. conch would hand every message to its handler at any time: user
authentication before there are keys, for one (the shape of CVE-2023-46446 and CVE-2025-32433).

Strict key exchange (OpenSSH's PROTOCOL, section 1.10; the answer to CVE-2023-48795) allows nothing but the exchange
itself until the first NEWKEYS. That the client's first message is KEXINIT is asked of everybody.
"""

from __future__ import annotations

from enum import Enum, auto

DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG, SERVICE_REQUEST, EXT_INFO = 1, 2, 3, 4, 5, 7
KEXINIT, NEWKEYS, KEX_FIRST = 20, 21, 30
USERAUTH_REQUEST, USERAUTH_INFO_RESPONSE = 50, 61
GLOBAL_REQUEST, CHANNEL_OPEN = 80, 90
CHANNEL_WINDOW_ADJUST, CHANNEL_DATA, CHANNEL_EXTENDED_DATA, CHANNEL_EOF, CHANNEL_CLOSE, CHANNEL_REQUEST = range(93, 99)

ANY_TIME = frozenset({IGNORE, UNIMPLEMENTED, DEBUG})
"""Messages that mean nothing and may come at any time (RFC 4253, section 11), the first exchange in strict mode apart."""

EXCHANGE_ONLY = range(30, 50)
"""Messages of key exchange methods (RFC 4250, section 4.1.2)."""


class Phase(Enum):
    START = auto()
    KEYED = auto()
    LOGIN = auto()
    OPEN = auto()


class Exchange(Enum):
    """How far a key exchange is, as seen from what the client has sent."""

    NONE = auto()
    BEGUN = auto()
    ANSWERED = auto()


EXPECTED: dict[Phase, frozenset[int]] = {
    Phase.START: frozenset({KEXINIT}),
    Phase.KEYED: frozenset({SERVICE_REQUEST, EXT_INFO}),
    Phase.LOGIN: frozenset({USERAUTH_REQUEST}),
    Phase.OPEN: frozenset(
        {
            KEXINIT,
            GLOBAL_REQUEST,
            CHANNEL_OPEN,
            CHANNEL_WINDOW_ADJUST,
            CHANNEL_DATA,
            CHANNEL_EXTENDED_DATA,
            CHANNEL_EOF,
            CHANNEL_CLOSE,
            CHANNEL_REQUEST,
        }
    ),
}
"""What is expected in a phase while no keys are exchanged. Nobody needs new keys before the login is over."""

EXCHANGING: dict[Exchange, frozenset[int]] = {
    Exchange.BEGUN: frozenset({KEX_FIRST}),
    Exchange.ANSWERED: frozenset({NEWKEYS}),
}
"""What is expected once the client has sent KEXINIT (RFC 4253, section 7.1)."""


_OPEN, _NONE = Phase.OPEN, Exchange.NONE
"""Looking them up in their classes costs as much as a call."""


class OutOfOrder(Exception):
    """The client sent what it may not send now."""


class Rules:
    """Where one connection stands.

    `strict` is set by the first KEXINIT, `guessed` by one with a wrong guess after it, and `asked` by who has asked the
    client a question in its login (RFC 4256): one answer may come, unless it begins anew.
    """

    def __init__(self) -> None:
        self.phase = Phase.START
        self.exchange = Exchange.NONE
        self.strict = False
        self.guessed = False
        self.asked = False

    @property
    def flows(self) -> bool:
        """Whether channel data may come."""
        return self.phase is _OPEN and self.exchange is _NONE

    def allowed(self) -> frozenset[int]:
        expected = EXPECTED[self.phase] if self.exchange is Exchange.NONE else EXCHANGING[self.exchange]
        if self.asked and self.phase is Phase.LOGIN:
            expected |= {USERAUTH_INFO_RESPONSE}
        silent = self.phase is Phase.START and (self.strict or self.exchange is Exchange.NONE)
        return expected | {DISCONNECT} if silent else expected | ANY_TIME | {DISCONNECT}

    def arrived(self, message: int) -> bool:
        """A message has come: say whether it is to be handled. A wrong guess is not. Raises `OutOfOrder`."""
        if self.guessed and message in EXCHANGE_ONLY:
            self.guessed = False
            return False
        if message not in self.allowed():
            raise OutOfOrder(f"message {message} in {self.phase.name}, key exchange {self.exchange.name}")
        if message == USERAUTH_INFO_RESPONSE:
            self.asked = False  # before it is handled, which may end with another question
        return True

    def handled(self, message: int) -> None:
        """A message was handled well: go on."""
        if message == KEXINIT:
            self.exchange = Exchange.BEGUN
        elif message == KEX_FIRST:
            self.exchange = Exchange.ANSWERED
        elif message == NEWKEYS:
            self.exchange = Exchange.NONE
            if self.phase is Phase.START:
                self.phase = Phase.KEYED
        elif message == SERVICE_REQUEST:
            self.phase = Phase.LOGIN

    def logged_in(self) -> None:
        self.phase = Phase.OPEN
