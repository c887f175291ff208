"""The verbs that say where a data connection comes from: PASV, EPSV, PORT and EPRT (RFC 959 section 4.1.2, RFC 2428)."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network

from ecpds.errors import Unavailable
from ecpds.protocols import ftp_replies as replies
from ecpds.protocols.ftp_data import plain_address
from ecpds.protocols.ftp_interpreter import EarlyReply, Handler, Interpreter
from ecpds.protocols.ftp_replies import Reply, refusal_reply, reply

NUMBERS = re.compile(r"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})", re.ASCII)
EXTENDED = re.compile(r"([!-~])([0-9]{1,5})\1([0-9A-Fa-f:.]{1,45})\1([0-9]{1,5})\1", re.ASCII)

FIRST_PORT = 1024
"""Those below belong to services that a client may not have us connect to (RFC 2577 section 3)."""

UNSPECIFIED = IPv6Address("::")


async def passive(pi: Interpreter, argument: str) -> Reply:
    """PASV (RFC 959 section 4.1.2): its reply has room for an IPv4 address only."""
    if pi.session.epsv_only:
        return replies.EPSV_ONLY
    if pi.ends.is_ipv6:
        return reply(522, "PASV is for IPv4; use EPSV (RFC 2428).")
    address = advertised(pi)
    if ":" in address:
        return reply(522, "There is no IPv4 address to name; use EPSV (RFC 2428).")
    port = _offer(pi)
    numbers = ",".join((*address.split("."), str(port >> 8), str(port & 255)))
    return reply(227, f"Entering Passive Mode ({numbers}).")


def advertised(pi: Interpreter) -> str:
    """The address to tell this client: behind address translation not everybody comes to the same."""
    for text in pi.door.options.passive_networks:
        network, _, address = text.partition("=")
        if ip_address(pi.ends.peer) in ip_network(network):
            return address
    return pi.door.options.passive_address or pi.ends.local


async def extended_passive(pi: Interpreter, argument: str) -> Reply:
    """EPSV (RFC 2428 section 3), with the protocol that the control connection has; after EPSV ALL there is only EPSV."""
    ours = "2" if pi.ends.is_ipv6 else "1"
    wanted = argument.strip().upper()
    if wanted == "ALL":
        pi.session.epsv_only = True
        return reply(200, "Only EPSV from now on.")
    if wanted not in ("", ours):
        return reply(522, f"Use ({ours}).") if wanted.isdigit() else reply(501, "EPSV takes 1, 2 or ALL.")
    return reply(229, f"Entering Extended Passive Mode (|||{_offer(pi)}|)")


def _offer(pi: Interpreter) -> int:
    try:
        return pi.data.offer(pi.data_context)
    except Unavailable as refusal:
        raise EarlyReply(refusal_reply(refusal, 425)) from refusal


async def port(pi: Interpreter, argument: str) -> Reply:
    """PORT (RFC 959 section 4.1.2)."""
    if pi.session.epsv_only:
        return replies.EPSV_ONLY
    found = NUMBERS.fullmatch(argument.strip())
    numbers = [int(number) for number in found.groups()] if found else []
    if not numbers or max(numbers) > 255:
        return reply(501, "PORT takes six numbers up to 255.")
    return _aim(pi, ".".join(map(str, numbers[:4])), numbers[4] << 8 | numbers[5])


async def extended_port(pi: Interpreter, argument: str) -> Reply:
    """EPRT (RFC 2428 section 2), with the protocol that the control connection has.

    lftp 4.9 names `::`, which is no host's address: the control connection's peer is meant, the only one that we connect to.
    """
    if pi.session.epsv_only:
        return replies.EPSV_ONLY
    found = EXTENDED.fullmatch(argument.strip())
    if found is None or int(found[4]) > 65535:
        return reply(501, "EPRT takes |1|address|port| or |2|address|port|.")
    ours = "2" if pi.ends.is_ipv6 else "1"
    if found[2] != ours:
        return reply(522, f"Use ({ours}).")
    try:
        address = ip_address(found[3])
    except ValueError:
        return reply(501, "That is no address.")
    named = pi.ends.peer if address == UNSPECIFIED else plain_address(str(address))
    return _aim(pi, named, int(found[4]))


def _aim(pi: Interpreter, address: str, number: int) -> Reply:
    """Whoever else's address is named is not connected to: neither for a bounce nor for a transfer between two servers."""
    if address != pi.ends.peer or number < FIRST_PORT:
        pi.refused(replies.FOREIGN_PORT.lines[0])
        return replies.FOREIGN_PORT
    pi.data.aim(number, pi.data_context)
    return reply(200, "The next data connection goes there.")


HANDLERS: dict[str, Handler] = {"PASV": passive, "EPSV": extended_passive, "PORT": port, "EPRT": extended_port}
