"""The verbs of FTP's security extensions, as TLS uses them: AUTH, PBSZ and PROT (RFC 2228, RFC 4217).

The client says AUTH TLS and reads 234; then both speak TLS on the control connection, and the client begins again, with
USER. PBSZ 0 and PROT P ask for TLS on data connections too. There is no way back to clear text (CCC).
"""

from __future__ import annotations

from ecpds.protocols import ftp_replies as replies
from ecpds.protocols.ftp_interpreter import Handler, Interpreter
from ecpds.protocols.ftp_replies import Reply, reply

MECHANISMS = ("TLS", "TLS-C", "SSL", "TLS-P")
"""What RFC 4217 section 17 registers; the last two ask for protected data connections as well."""


async def authenticate(pi: Interpreter, argument: str) -> Reply:
    """AUTH (RFC 4217 section 4). Who was logged in is no longer, for that was said in clear text."""
    mechanism = argument.strip().upper()
    if mechanism not in MECHANISMS:
        return reply(504, "Only AUTH TLS.")
    if pi.door.credentials is None:
        return replies.NO_TLS
    if pi.session.secure:
        return reply(503, "TLS is in use already.")
    pi.leave()
    pi.secure(pi.door.credentials.context())
    pi.session.protected = mechanism in ("SSL", "TLS-P") and pi.door.options.tls_data != "off"
    return replies.BEGIN_TLS


async def buffer_size(pi: Interpreter, argument: str) -> Reply:
    """PBSZ (RFC 4217 section 8): TLS has no such buffer, so the size is always 0."""
    digits = argument.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 10:
        return reply(501, "PBSZ takes a number of bytes.")
    pi.session.buffer_size_known = True
    return reply(200, "PBSZ=0")


async def protection(pi: Interpreter, argument: str) -> Reply:
    """PROT (RFC 4217 section 9): C leaves data connections in clear text, P puts TLS on them."""
    if not pi.session.buffer_size_known:
        return reply(503, "Say PBSZ first.")
    level, policy = argument.strip().upper(), pi.door.options.tls_data
    if level in ("S", "E"):
        return reply(536, "TLS has only the levels C and P.")
    if level not in ("C", "P"):
        return reply(504, "The levels are C and P.")
    if policy == ("off" if level == "P" else "required"):
        return reply(534, f"PROT {level} is not allowed here.")
    if pi.session.protected != (level == "P"):
        pi.data.close()
        pi.session.protected = level == "P"
    return reply(200, "Data connections use TLS." if level == "P" else "Data connections are in clear text.")


HANDLERS: dict[str, Handler] = {"AUTH": authenticate, "PBSZ": buffer_size, "PROT": protection}
