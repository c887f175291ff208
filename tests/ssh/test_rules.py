"""Which message may come when: every number in every state."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ecpds.ssh.rules import (
    ANY_TIME,
    CHANNEL_DATA,
    DISCONNECT,
    EXT_INFO,
    IGNORE,
    KEX_FIRST,
    KEXINIT,
    NEWKEYS,
    SERVICE_REQUEST,
    USERAUTH_REQUEST,
    Exchange,
    OutOfOrder,
    Phase,
    Rules,
)

CHANNELS = {80, 90, *range(93, 99)}


def rules_at(phase: Phase, exchange: Exchange, strict: bool) -> Rules:
    rules = Rules()
    rules.phase, rules.exchange, rules.strict = phase, exchange, strict
    return rules


def expected(phase: Phase, exchange: Exchange, strict: bool) -> set[int]:
    """The table again, by hand."""
    silent = phase is Phase.START and (strict or exchange is Exchange.NONE)
    always = {DISCONNECT} if silent else {DISCONNECT, *ANY_TIME}
    if exchange is Exchange.BEGUN:
        return always | {KEX_FIRST}
    if exchange is Exchange.ANSWERED:
        return always | {NEWKEYS}
    return (
        always
        | {
            Phase.START: {KEXINIT},
            Phase.KEYED: {SERVICE_REQUEST, EXT_INFO},
            Phase.LOGIN: {USERAUTH_REQUEST},
            Phase.OPEN: {KEXINIT, *CHANNELS},
        }[phase]
    )


class EveryMessage(SynchronousTestCase):
    def test_in_every_state(self) -> None:
        for phase in Phase:
            for exchange in Exchange:
                for strict in (False, True):
                    allowed = expected(phase, exchange, strict)
                    for message in range(256):
                        rules = rules_at(phase, exchange, strict)
                        if message in allowed:
                            self.assertTrue(rules.arrived(message))
                        else:
                            self.assertRaises(OutOfOrder, rules.arrived, message)

    def test_the_way_in(self) -> None:
        rules = Rules()
        for message in (KEXINIT, KEX_FIRST, NEWKEYS, EXT_INFO, SERVICE_REQUEST, USERAUTH_REQUEST):
            self.assertTrue(rules.arrived(message))
            rules.handled(message)
        rules.logged_in()
        self.assertTrue(rules.arrived(CHANNEL_DATA))

    def test_new_keys_later(self) -> None:
        rules = rules_at(Phase.OPEN, Exchange.NONE, True)
        for message in (KEXINIT, IGNORE, KEX_FIRST, NEWKEYS):
            self.assertTrue(rules.arrived(message))
            rules.handled(message)
        self.assertEqual((rules.phase, rules.exchange), (Phase.OPEN, Exchange.NONE))

    def test_a_wrong_guess_is_dropped_once(self) -> None:
        for guess in (30, 34, 49):
            rules = rules_at(Phase.START, Exchange.BEGUN, True)
            rules.guessed = True
            self.assertFalse(rules.arrived(guess))
            self.assertTrue(rules.arrived(KEX_FIRST))
