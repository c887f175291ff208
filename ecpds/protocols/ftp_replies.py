"""What the FTP door answers: replies in their wire form, and the table that turns refusals into codes.

The codes are those of RFC 959 section 4.2, with 522 of RFC 2428 and 554 of RFC 1123 section 4.1.3.4: 4xx says that the
same command may do later, 5xx that it won't.
"""

from __future__ import annotations

from attrs import frozen

from ecpds import errors


@frozen
class Reply:
    """One reply: a code and its lines. A reply with 421 is the last of its connection."""

    code: int
    lines: tuple[str, ...]

    @property
    def closes(self) -> bool:
        return self.code in (221, 421)

    @property
    def begins_tls(self) -> bool:
        return self.code == 234

    def encode(self) -> bytes:
        """The wire form (RFC 959 section 4.2). Inner lines begin with a space, so that none looks like the last one."""
        if len(self.lines) == 1:
            return f"{self.code} {_one_line(self.lines[0])}\r\n".encode()
        first, *rest = (_one_line(line) for line in self.lines)
        inner = "".join(f" {line}\r\n" for line in rest[:-1])
        return f"{self.code}-{first}\r\n{inner}{self.code} {rest[-1]}\r\n".encode()


def _one_line(text: str) -> str:
    # Whatever a sentence holds, a reply never grows a line that we did not write. Telnet's IAC can't occur in UTF-8.
    return text if text.isprintable() else text.translate(ENDS_OF_LINES)


ENDS_OF_LINES = {0: " ", 10: " ", 13: " "}


def reply(code: int, *lines: str) -> Reply:
    return Reply(code, lines)


REFUSALS: dict[type[errors.Refusal], int] = {
    errors.Refusal: 550,
    errors.LoginFailed: 530,
    errors.CodeNeeded: 530,
    errors.NotPermitted: 550,
    errors.NotFound: 550,
    errors.AlreadyExists: 550,
    errors.IsADirectory: 550,
    errors.NotADirectory: 550,
    errors.DirectoryNotEmpty: 550,
    errors.InvalidName: 553,
    errors.InvalidRequest: 501,
    errors.PreconditionFailed: 550,
    errors.DigestMismatch: 451,
    errors.Incomplete: 426,
    errors.Stalled: 426,
    errors.ConnectionLost: 426,
    errors.TooLarge: 552,
    errors.NoSpace: 452,
    errors.UploadQuotaExceeded: 552,
    errors.StorageQuotaExceeded: 552,
    errors.DownloadQuotaExceeded: 552,
    errors.TooManyConnections: 421,
    errors.TooManyFailures: 421,
    errors.CrossesDestinations: 553,
    errors.NotSupported: 504,
    errors.Unavailable: 451,
    errors.Corrupt: 451,
}
"""The code of each refusal. A test checks that none is missing."""


def refusal_reply(refusal: errors.Refusal, code: int | None = None) -> Reply:
    """The reply to a refusal, with the sentence that the user reads; `code` where the place asks for another one."""
    return Reply(code or REFUSALS[type(refusal)], (refusal.sentence,))


def quoted(path: str) -> str:
    """A path as 257 shows it (RFC 959 appendix II): in quotes, and its own quotes doubled."""
    return '"' + path.replace('"', '""') + '"'


FAILED = reply(451, errors.Unavailable().sentence)
BEGIN_TLS = reply(234, "Begin TLS.")
NO_TLS = reply(534, "TLS is switched off here.")
TLS_FIRST = reply(530, "Say AUTH TLS first.")
AUTH_FIRST = reply(503, "Say AUTH TLS first.")
PROTECTION_NEEDED = reply(521, "Data connections need TLS here: say PROT P.")
NOT_RESUMED = reply(522, "The data connection must resume the TLS session of its control connection.")
LOGIN_FIRST = reply(530, "Log in with USER and PASS first.")
USER_FIRST = reply(503, "Say USER first.")
RNFR_FIRST = reply(503, "Say RNFR first.")
CPFR_FIRST = reply(503, "Say SITE CPFR first.")
ARGUMENT_NEEDED = reply(501, "This command needs an argument.")
ARGUMENT_UNWANTED = reply(501, "This command takes no argument.")
NOT_UTF8 = reply(501, "Arguments are UTF-8 (RFC 2640).")
NOT_TEXT = reply(501, "CR, LF and NUL are not allowed in a command.")
UNKNOWN = reply(500, "There is no such command.")
UNKNOWN_TOPIC = reply(501, "There is no such command.")
NOT_IMPLEMENTED = reply(502, "This command is not implemented.")
SECURE_FOR_GOOD = reply(502, "A session that uses TLS is not begun anew (RFC 4217 section 11); say USER.")
LINE_TOO_LONG = reply(500, "The command line is too long.")
RESTART_BEYOND_END = reply(554, "The restart offset lies beyond the end of the file.")
ABORTED = reply(426, "The transfer was aborted.")
NO_DATA_CONNECTION = reply(425, "Say EPSV, PASV, EPRT or PORT first.")
FOREIGN_PORT = reply(504, "Data connections go to your own address only, and to a port above 1023.")
EPSV_ONLY = reply(503, "EPSV ALL was said: only EPSV from now on (RFC 2428).")
TOO_MANY_ERRORS = reply(421, "Too many unknown commands; closing.")
TOO_MANY_TRIES = reply(421, "Too many failed logins; closing.")
TOO_MANY_CONNECTIONS = refusal_reply(errors.TooManyConnections())
IDLE = reply(421, "No command came for too long; closing.")
LOGIN_TOO_SLOW = reply(421, "The login took too long; closing.")
GOING_DOWN = reply(421, "The server is going down; closing.")
