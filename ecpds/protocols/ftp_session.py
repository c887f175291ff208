"""The rules of an FTP session, apart from the wire: which commands there are, what each needs, and where the user is.

Nothing here waits or sends. `parse` turns a line into a `Command`, `VERBS` says what each verb asks for, and a `Session`
holds the state of RFC 959 section 5 and refuses what does not fit it.
"""

from __future__ import annotations

import re
from enum import Enum

from attrs import define, frozen

from ecpds.protocols import ftp_replies as replies
from ecpds.protocols.ftp_replies import Reply
from ecpds.wire.listings import MLSD_FACTS


class Need(Enum):
    """What must have happened before a verb."""

    NOTHING = "at any time"
    SECURE = "after AUTH TLS"
    NAME = "after USER"
    LOGIN = "after the login"
    RENAME = "after RNFR"


class Argument(Enum):
    """Whether a verb takes an argument."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@frozen
class Verb:
    """One command: its name, what it needs, the portal's permission that it asks for, its argument, and its help."""

    name: str
    need: Need
    argument: Argument
    help: str
    permission: str | None = None
    transfers: bool = False
    implemented: bool = True


UNIMPLEMENTED = ("SMNT", "CCC", "MIC", "CONF", "ENC", "ADAT")

DIGEST_VERBS = {"XCRC": "crc32", "XMD5": "md5", "XSHA1": "sha1", "XSHA256": "sha256", "XSHA512": "sha512"}
"""The verbs that older clients have for digests, and the catalogue's names of those."""

# Short names, so that a row of the table is a line.
ANYTIME, SECURE, NAME, LOGIN, RENAME = Need.NOTHING, Need.SECURE, Need.NAME, Need.LOGIN, Need.RENAME
NONE, OPTIONAL, REQUIRED = Argument.NONE, Argument.OPTIONAL, Argument.REQUIRED

TABLE = (
    Verb("USER", ANYTIME, REQUIRED, "USER name: begin to log in."),
    Verb("PASS", NAME, OPTIONAL, "PASS password: log in."),
    Verb("ACCT", ANYTIME, REQUIRED, "ACCT name: needed nowhere here."),
    Verb("REIN", ANYTIME, NONE, "REIN: begin the session anew, in clear text."),
    Verb("QUIT", ANYTIME, NONE, "QUIT: end the session."),
    Verb("CLNT", ANYTIME, REQUIRED, "CLNT name: what the client is called."),
    Verb("HOST", ANYTIME, REQUIRED, "HOST name: which host is meant."),
    Verb("LANG", ANYTIME, OPTIONAL, "LANG EN: the language of replies."),
    Verb("SYST", ANYTIME, NONE, "SYST: what kind of system this is."),
    Verb("FEAT", ANYTIME, NONE, "FEAT: which extensions there are."),
    Verb("OPTS", ANYTIME, REQUIRED, "OPTS UTF8 ON | MLST fact;... | HASH name: choose options."),
    Verb("HELP", ANYTIME, OPTIONAL, "HELP [command]: this help."),
    Verb("NOOP", ANYTIME, NONE, "NOOP: do nothing."),
    Verb("TYPE", LOGIN, REQUIRED, "TYPE I | A | L 8: files cross as they are, in each of them."),
    Verb("MODE", LOGIN, REQUIRED, "MODE S: only stream mode."),
    Verb("STRU", LOGIN, REQUIRED, "STRU F: only file structure."),
    Verb("ALLO", LOGIN, REQUIRED, "ALLO size: whether so large a file may be stored."),
    Verb("AVBL", LOGIN, OPTIONAL, "AVBL [path]: how many bytes fit there."),
    Verb("AUTH", ANYTIME, REQUIRED, "AUTH TLS: protect the control connection."),
    Verb("PBSZ", SECURE, REQUIRED, "PBSZ 0: comes before PROT."),
    Verb("PROT", SECURE, REQUIRED, "PROT P | C: protect data connections, or not."),
    Verb("PORT", LOGIN, REQUIRED, "PORT h1,h2,h3,h4,p1,p2: we connect to your data port, IPv4."),
    Verb("EPRT", LOGIN, REQUIRED, "EPRT |1|address|port|: we connect to your data port; 2 is IPv6."),
    Verb("PASV", LOGIN, NONE, "PASV: open a data port, IPv4."),
    Verb("EPSV", LOGIN, OPTIONAL, "EPSV [1 | 2 | ALL]: open a data port."),
    Verb("ABOR", LOGIN, NONE, "ABOR: abort the transfer."),
    Verb("STAT", LOGIN, OPTIONAL, "STAT: how the session stands; in a transfer too."),
    Verb("PWD", LOGIN, NONE, "PWD: the working directory."),
    Verb("CWD", LOGIN, REQUIRED, "CWD path: change the working directory."),
    Verb("CDUP", LOGIN, NONE, "CDUP: change to the directory above."),
    Verb("LIST", LOGIN, OPTIONAL, "LIST [path]: list as ls -l.", "dir", transfers=True),
    Verb("NLST", LOGIN, OPTIONAL, "NLST [path]: list names.", "dir", transfers=True),
    Verb("MLSD", LOGIN, OPTIONAL, "MLSD [path]: list facts.", "dir", transfers=True),
    Verb("MLST", LOGIN, OPTIONAL, "MLST [path]: the facts of one name.", "dir"),
    Verb("SIZE", LOGIN, REQUIRED, "SIZE path: the size of a file in bytes.", "size"),
    Verb("MDTM", LOGIN, REQUIRED, "MDTM path: when a file was modified, UTC.", "mtime"),
    Verb("MFMT", LOGIN, REQUIRED, "MFMT YYYYMMDDHHMMSS path: set when a file was modified, UTC.", "mtime"),
    Verb("MFF", LOGIN, REQUIRED, "MFF modify=YYYYMMDDHHMMSS; path: set facts.", "mtime"),
    Verb("SITE", LOGIN, REQUIRED, "SITE UTIME | COPY | CPFR | CPTO | RELEASE | HOLD | HELP: what only some servers have."),
    Verb("HASH", LOGIN, REQUIRED, "HASH path: the digest that OPTS HASH chose.", "get"),
    *(Verb(word, LOGIN, REQUIRED, f"{word} path [start end]: a digest of a file.", "get") for word in DIGEST_VERBS),
    Verb("REST", LOGIN, REQUIRED, "REST offset: where the next transfer begins."),
    Verb("RANG", LOGIN, REQUIRED, "RANG first last: the bytes that the next RETR or HASH is about."),
    Verb("RETR", LOGIN, REQUIRED, "RETR path: get a file.", "get", transfers=True),
    Verb("STOR", LOGIN, REQUIRED, "STOR path: put a file.", "put", transfers=True),
    Verb("STOU", LOGIN, OPTIONAL, "STOU: put a file under a name of our choice.", "put", transfers=True),
    Verb("APPE", LOGIN, REQUIRED, "APPE path: go on with an upload that broke off.", "put", transfers=True),
    Verb("DELE", LOGIN, REQUIRED, "DELE path: delete a file.", "delete"),
    Verb("MKD", LOGIN, REQUIRED, "MKD path: make a directory.", "mkdir"),
    Verb("RMD", LOGIN, REQUIRED, "RMD path: remove an empty directory.", "rmdir"),
    Verb("RNFR", LOGIN, REQUIRED, "RNFR path: what is to be renamed.", "rename"),
    Verb("RNTO", RENAME, REQUIRED, "RNTO path: its new name.", "rename"),
    *(Verb(word, ANYTIME, OPTIONAL, f"{word}: not implemented.", implemented=False) for word in UNIMPLEMENTED),
)

VERBS = {verb.name: verb for verb in TABLE}

SYNONYMS = {"XCUP": "CDUP", "XCWD": "CWD", "XMKD": "MKD", "XPWD": "PWD", "XRMD": "RMD", "XSHA": "XSHA1"}
"""The names of RFC 775, which RFC 1123 section 4.1.3.1 wants understood, and one that clients have for SHA-1."""

WORDS = {word.encode(): name for word, name in (*((name, name) for name in VERBS), *SYNONYMS.items())}
"""The verbs by their words on the wire, in capitals."""

HTTP_WORDS = frozenset(b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PRI".split())
"""What no FTP client says, but a browser whose connection was led astray does (ALPACA, CVE-2021-3618)."""

NOT_TEXT = re.compile(rb"[\r\n\0]")

TELNET = re.compile(rb"(?:\xff[\xfb-\xfe].|\xff\xfa.*?(?:\xff\xf0|\Z)|[\xf0-\xff])*", re.DOTALL)
"""Telnet's negotiation, and the IP and Synch that clients put before ABOR (RFC 959 section 4.1.3).

A subnegotiation without an end is the whole line: to look for its end behind each of its bytes would take seconds.
"""


@frozen
class Command:
    """One parsed line. `problem` is the answer to a line that can't be a command; the verb is then empty."""

    verb: str
    argument: str = ""
    problem: Reply | None = None

    def __repr__(self) -> str:
        return f"Command({self.verb})"


STATUS = Command("STAT")
"""Without a path: what is answered while a transfer runs."""


def is_http(line: bytes) -> bool:
    """Whether a line is of HTTP: a request line or a header field."""
    word = line.split(b" ", 1)[0]
    return word in HTTP_WORDS or word.endswith(b":")


def parse(line: bytes) -> Command:
    """A line without its end, as a command. Never raises.

    Telnet's sequences are dropped before the verb only; in an argument they are bytes that UTF-8 does not have.
    """
    return OFTEN.get(line) or _parsed(line)


def _parsed(line: bytes) -> Command:
    stripped = line[TELNET.match(line).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    if NOT_TEXT.search(stripped):
        return Command("", problem=replies.NOT_TEXT)
    word, _, rest = stripped.partition(b" ")
    try:
        argument = rest.decode("utf-8")
    except UnicodeDecodeError:
        return Command("", problem=replies.NOT_UTF8)
    name = WORDS.get(word.upper())
    return Command("", problem=replies.UNKNOWN) if name is None else Command(name, argument)


OFTEN = {line: _parsed(line) for line in (b"TYPE I", b"TYPE A", b"PASV", b"EPSV", b"NOOP", b"PWD")}
"""What clients say again and again, as they write it."""


class State(Enum):
    """How far a session has come."""

    CONNECTED = "connected"
    NAMED = "named"
    LOGGED_IN = "logged in"


@define
class Session:
    """The state of one session. `directory` is absolute and resolved; `restart`, `span` (first, length) and `allocated`
    are in bytes.

    `secure` says whether the control connection uses TLS, `protected` whether its data connections shall.
    """

    state: State = State.CONNECTED
    login: str = ""
    directory: str = "/"
    type: str = "A"
    restart: int = 0
    span: tuple[int, int] | None = None
    allocated: int = 0
    digest: str = "sha256"
    renaming: str | None = None
    copying: str | None = None
    epsv_only: bool = False
    failures: int = 0
    secure: bool = False
    buffer_size_known: bool = False
    protected: bool = False
    facts: tuple[str, ...] = MLSD_FACTS

    def refuse(self, verb: Verb, argument: str) -> Reply | None:
        """Why a command can't be obeyed now, if it can't: its reply."""
        if not verb.implemented:
            return replies.NOT_IMPLEMENTED
        if verb.need in (Need.LOGIN, Need.RENAME) and self.state is not State.LOGGED_IN:
            return replies.LOGIN_FIRST
        if verb.need is Need.SECURE and not self.secure:
            return replies.AUTH_FIRST
        if verb.need is Need.NAME and self.state is not State.NAMED:
            return replies.USER_FIRST
        if verb.need is Need.RENAME and self.renaming is None:
            return replies.RNFR_FIRST
        if verb.argument is Argument.REQUIRED and not argument.strip():
            return replies.ARGUMENT_NEEDED
        if verb.argument is Argument.NONE and argument.strip():
            return replies.ARGUMENT_UNWANTED
        return None

    def name(self, login: str) -> None:
        """USER: whoever was logged in is no longer."""
        self.state, self.login, self.directory = State.NAMED, login, "/"
        self.restart, self.span, self.renaming, self.copying = 0, None, None, None

    def log_in(self) -> None:
        self.state, self.failures = State.LOGGED_IN, 0

    def fail(self) -> None:
        """A wrong password: the next try begins with USER."""
        self.state, self.failures = State.CONNECTED, self.failures + 1

    def take_restart(self) -> int:
        """The offset that REST set, for the one transfer that follows it."""
        offset, self.restart = self.restart, 0
        return offset

    def take_allocated(self) -> int:
        """How much room ALLO asked for, for the one transfer that follows it."""
        allocated, self.allocated = self.allocated, 0
        return allocated

    def take_span(self) -> tuple[int, int] | None:
        """The bytes that RANG chose, for the one command that follows it."""
        span, self.span = self.span, None
        return span

    def forget_transfer(self) -> None:
        """What was said for one transfer: it is over, though it may have been refused before it began."""
        self.restart, self.span, self.allocated = 0, None, 0

    def take_renaming(self) -> str | None:
        source, self.renaming = self.renaming, None
        return source

    def take_copying(self) -> str | None:
        source, self.copying = self.copying, None
        return source

    def resolve(self, path: str) -> str:
        """An absolute path without `.`, `..` or empty segments; nothing is above `/`."""
        return resolve(self.directory, path)

    def resolve_file(self, path: str) -> str:
        """As `resolve`, for a file: a name that says it is a directory keeps its slash, so that the file system refuses it."""
        return resolve_file(self.directory, path)


def resolve(directory: str, path: str) -> str:
    """`path` as seen from `directory`, which is absolute."""
    found: list[str] = []
    for segment in (path if path.startswith("/") else f"{directory}/{path}").split("/"):
        if segment == "..":
            del found[-1:]
        elif segment not in ("", "."):
            found.append(segment)
    return "/" + "/".join(found)


def resolve_file(directory: str, path: str) -> str:
    """As `resolve`, for a file: a name that says it is a directory keeps its slash."""
    says_directory = path.rsplit("/", 1)[-1] in ("", ".", "..")
    return f"{resolve(directory, path).rstrip('/')}/" if says_directory else resolve(directory, path)
