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


def _verbs() -> list[Verb]:
    anytime, secure, name, login, rename = Need.NOTHING, Need.SECURE, Need.NAME, Need.LOGIN, Need.RENAME
    none, optional, required = Argument.NONE, Argument.OPTIONAL, Argument.REQUIRED
    return [
        Verb("USER", anytime, required, "USER name: begin to log in."),
        Verb("PASS", name, optional, "PASS password: log in."),
        Verb("ACCT", anytime, required, "ACCT name: needed nowhere here."),
        Verb("REIN", anytime, none, "REIN: begin the session anew, in clear text."),
        Verb("QUIT", anytime, none, "QUIT: end the session."),
        Verb("CLNT", anytime, required, "CLNT name: what the client is called."),
        Verb("HOST", anytime, required, "HOST name: which host is meant."),
        Verb("LANG", anytime, optional, "LANG EN: the language of replies."),
        Verb("SYST", anytime, none, "SYST: what kind of system this is."),
        Verb("FEAT", anytime, none, "FEAT: which extensions there are."),
        Verb("OPTS", anytime, required, "OPTS UTF8 ON | MLST fact;... | HASH name: choose options."),
        Verb("HELP", anytime, optional, "HELP [command]: this help."),
        Verb("NOOP", anytime, none, "NOOP: do nothing."),
        Verb("TYPE", login, required, "TYPE I | A | L 8: files cross as they are, in each of them."),
        Verb("MODE", login, required, "MODE S: only stream mode."),
        Verb("STRU", login, required, "STRU F: only file structure."),
        Verb("ALLO", login, required, "ALLO size: whether so large a file may be stored."),
        Verb("AVBL", login, optional, "AVBL [path]: how many bytes fit there."),
        Verb("AUTH", anytime, required, "AUTH TLS: protect the control connection."),
        Verb("PBSZ", secure, required, "PBSZ 0: comes before PROT."),
        Verb("PROT", secure, required, "PROT P | C: protect data connections, or not."),
        Verb("PORT", login, required, "PORT h1,h2,h3,h4,p1,p2: we connect to your data port, IPv4."),
        Verb("EPRT", login, required, "EPRT |1|address|port|: we connect to your data port; 2 is IPv6."),
        Verb("PASV", login, none, "PASV: open a data port, IPv4."),
        Verb("EPSV", login, optional, "EPSV [1 | 2 | ALL]: open a data port."),
        Verb("ABOR", login, none, "ABOR: abort the transfer."),
        Verb("STAT", login, optional, "STAT: how the session stands; in a transfer too."),
        Verb("PWD", login, none, "PWD: the working directory."),
        Verb("CWD", login, required, "CWD path: change the working directory."),
        Verb("CDUP", login, none, "CDUP: change to the directory above."),
        Verb("LIST", login, optional, "LIST [path]: list as ls -l.", "dir", transfers=True),
        Verb("NLST", login, optional, "NLST [path]: list names.", "dir", transfers=True),
        Verb("MLSD", login, optional, "MLSD [path]: list facts.", "dir", transfers=True),
        Verb("MLST", login, optional, "MLST [path]: the facts of one name.", "dir"),
        Verb("SIZE", login, required, "SIZE path: the size of a file in bytes.", "size"),
        Verb("MDTM", login, required, "MDTM path: when a file was modified, UTC.", "mtime"),
        Verb("MFMT", login, required, "MFMT YYYYMMDDHHMMSS path: set when a file was modified, UTC.", "mtime"),
        Verb("MFF", login, required, "MFF modify=YYYYMMDDHHMMSS; path: set facts.", "mtime"),
        Verb("SITE", login, required, "SITE UTIME | COPY | CPFR | CPTO | HELP: what only some servers have."),
        Verb("HASH", login, required, "HASH path: the digest that OPTS HASH chose.", "get"),
        *(Verb(word, login, required, f"{word} path [start end]: a digest of a file.", "get") for word in DIGEST_VERBS),
        Verb("REST", login, required, "REST offset: where the next transfer begins."),
        Verb("RANG", login, required, "RANG first last: the bytes that the next RETR or HASH is about."),
        Verb("RETR", login, required, "RETR path: get a file.", "get", transfers=True),
        Verb("STOR", login, required, "STOR path: put a file.", "put", transfers=True),
        Verb("STOU", login, optional, "STOU: put a file under a name of our choice.", "put", transfers=True),
        Verb("APPE", login, required, "APPE path: go on with an upload that broke off.", "put", transfers=True),
        Verb("DELE", login, required, "DELE path: delete a file.", "delete"),
        Verb("MKD", login, required, "MKD path: make a directory.", "mkdir"),
        Verb("RMD", login, required, "RMD path: remove an empty directory.", "rmdir"),
        Verb("RNFR", login, required, "RNFR path: what is to be renamed.", "rename"),
        Verb("RNTO", rename, required, "RNTO path: its new name.", "rename"),
        *(Verb(word, anytime, optional, f"{word}: not implemented.", implemented=False) for word in UNIMPLEMENTED),
    ]


UNIMPLEMENTED = ("SMNT", "CCC", "MIC", "CONF", "ENC", "ADAT")

DIGEST_VERBS = {"XCRC": "crc32", "XMD5": "md5", "XSHA1": "sha1", "XSHA256": "sha256", "XSHA512": "sha512"}
"""The verbs that older clients have for digests, and the catalogue's names of those."""

VERBS = {verb.name: verb for verb in _verbs()}

SYNONYMS = {"XCUP": "CDUP", "XCWD": "CWD", "XMKD": "MKD", "XPWD": "PWD", "XRMD": "RMD", "XSHA": "XSHA1"}
"""The names of RFC 775, which RFC 1123 section 4.1.3.1 wants understood, and one that clients have for SHA-1."""

HTTP_WORDS = frozenset(b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PRI".split())
"""What no FTP client says, but a browser whose connection was led astray does (ALPACA, CVE-2021-3618)."""

TELNET = re.compile(rb"(?:\xff[\xfb-\xfe].|\xff\xfa.*?\xff\xf0|[\xf0-\xff])*", re.DOTALL)
"""Telnet's negotiation, and the IP and Synch that clients put before ABOR (RFC 959 section 4.1.3)."""


@frozen
class Command:
    """One parsed line. `problem` is the answer to a line that can't be a command; the verb is then empty."""

    verb: str
    argument: str = ""
    problem: Reply | None = None

    def __repr__(self) -> str:
        return f"Command({self.verb})"


def is_http(line: bytes) -> bool:
    """Whether a line is of HTTP: a request line or a header field."""
    word = line.split(b" ", 1)[0]
    return word in HTTP_WORDS or word.endswith(b":")


def parse(line: bytes) -> Command:
    """A line without its end, as a command. Never raises.

    Telnet's sequences are dropped before the verb only; in an argument they are bytes that UTF-8 does not have.
    """
    stripped = line[TELNET.match(line).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    if any(byte in stripped for byte in (b"\r", b"\n", b"\0")):
        return Command("", problem=replies.NOT_TEXT)
    word, _, rest = stripped.partition(b" ")
    try:
        argument = rest.decode("utf-8")
    except UnicodeDecodeError:
        return Command("", problem=replies.NOT_UTF8)
    name = word.decode("ascii", "replace").upper()
    name = SYNONYMS.get(name, name)
    return Command(name, argument) if name in VERBS else Command("", problem=replies.UNKNOWN)


class State(Enum):
    """How far a session has come."""

    CONNECTED = "connected"
    NAMED = "named"
    LOGGED_IN = "logged in"


@define
class Session:
    """The state of one session. `directory` is absolute and resolved; `restart` and `span` (first, length) are in bytes.

    `secure` says whether the control connection uses TLS, `protected` whether its data connections shall.
    """

    state: State = State.CONNECTED
    login: str = ""
    directory: str = "/"
    type: str = "A"
    restart: int = 0
    span: tuple[int, int] | None = None
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

    def take_span(self) -> tuple[int, int] | None:
        """The bytes that RANG chose, for the one command that follows it."""
        span, self.span = self.span, None
        return span

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
