"""Programs that fetch: `curl`, `scp`, `ascp`, `globus-url-copy`, where they are installed, by a declared argv.

No shell is involved, and no secret stands in an argv, where every user of the machine could read it: what is secret goes to
the program by its standard input or its environment. A program writes to a name of its own; whether it did well is for the
fetcher to see, who checks the file as any other. Its output is kept, up to a limit, to say why it failed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote_plus

from attrs import Factory, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.datasources import Candidate
from ecpds.errors import InvalidRequest, LoginFailed, Stalled, Unavailable
from ecpds.interfaces import ITimeouts, IWatch
from ecpds.sources.mechanisms.base import Credentials, IExternal, Place, Secret, parse_url

OUTPUT = 4096
"""Bytes of a program's last words that are kept."""

KEPT_NAMES = ("PATH", "HOME", "LANG", "LC_ALL", "SSH_AUTH_SOCK", "USER", "LOGNAME", "TMPDIR", "X509_USER_PROXY")
"""What a program gets of our environment."""


@frozen
class Call:
    """How a program is called. `given` is what it reads on its standard input, `secrets` go into its environment."""

    argv: tuple[str, ...]
    given: str = ""
    secrets: Mapping[str, str] = Factory(dict)


Template = Callable[[Candidate, Path, Secret | None], Call]


def curl(candidate: Candidate, path: Path, secret: Secret | None) -> Call:
    """`curl`: everything by a configuration on its standard input, so nothing of the URL stands in the argv.

    It follows no redirect, for it could not be told where that may lead; our own HTTP does.
    """
    parse_url(candidate.url, ("http", "https", "ftp", "ftps"))
    lines = [*_curl_lines(candidate.url, path), *([f"user = {_quoted(f'{secret.login}:{secret.password}')}"] if secret else [])]
    return Call(("curl", "--config", "-"), "\n".join(lines) + "\n")


def curl_after_form(candidate: Candidate, path: Path, secret: Secret | None) -> Call:
    """`curl`, which posts the form first and then sends the cookies that it was given, from memory."""
    options = {name: str(candidate.options.get(name) or "") for name in ("auth_url", "username_field", "password_field")}
    parse_url(options["auth_url"], ("http", "https"))
    if secret is None:
        raise LoginFailed("the form wants a name and password")
    pairs = {options["username_field"]: secret.login, options["password_field"]: secret.password}
    lines = [
        'cookie = ""',
        f"url = {_quoted(options['auth_url'])}",
        f"output = {_quoted(os.devnull)}",
        *(f"data = {_quoted(f'{quote_plus(name)}={quote_plus(value)}')}" for name, value in pairs.items()),
        "fail",
        "silent",
        "show-error",
        'proto = "=http,https"',
        "next",
        'cookie = ""',
        *_curl_lines(candidate.url, path),
    ]
    return Call(("curl", "--config", "-"), "\n".join(lines) + "\n")


def _curl_lines(url: str, path: Path) -> list[str]:
    return [
        f"url = {_quoted(url)}",
        f"output = {_quoted(str(path))}",
        "fail",
        'proto = "=http,https,ftp,ftps"',
        'write-out = "%{http_code}"',
        "silent",
        "show-error",
        "globoff",
        "connect-timeout = 20",
        "speed-limit = 1",
        "speed-time = 60",
    ]


def _quoted(text: str) -> str:
    """Text as curl's configuration has it (curl(1), --config)."""
    if any(each in text for each in "\r\n\0"):
        raise InvalidRequest("a URL has characters that may not stand there")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def scp(candidate: Candidate, path: Path, secret: Secret | None) -> Call:
    """`scp`, by the user's own keys; it asks nobody, and takes no host that it does not know."""
    place = parse_url(candidate.url, ("scp", "sftp"))
    port = ("-P", str(place.port)) if place.port else ()
    return Call(("scp", "-q", "-B", "-o", "StrictHostKeyChecking=yes", *port, "--", _remote(place), str(path)))


def ascp(candidate: Candidate, path: Path, secret: Secret | None) -> Call:
    """`ascp`: the user and whether to encrypt are the source's options; the key is the one that Aspera's own tools use."""
    place = parse_url(candidate.url, ("aspera", "fasp"))
    user = place.login or str(candidate.options.get("username") or "")
    if not user:
        raise InvalidRequest("the source says no user for ascp")
    key = Path.home() / ".aspera" / "connect" / "etc" / "asperaweb_id_dsa.openssh"
    identity = ("-i", str(key)) if secret is None and key.exists() else ()
    plain = ("-T",) if candidate.options.get("disable_encryption") else ()
    port = ("-P", str(place.port)) if place.port else ()
    secrets = {"ASPERA_SCP_PASS": secret.password} if secret else {}
    source = f"{user}@{_host(place)}:{_safe(place.decoded)}"
    return Call(("ascp", "-q", *identity, *plain, *port, source, str(path)), secrets=secrets)


def globus(candidate: Candidate, path: Path, secret: Secret | None) -> Call:
    """`globus-url-copy`: GridFTP over SSH, by the user's own login."""
    place = parse_url(candidate.url, ("sshftp", "gsiftp", "ftp"))
    flags = {"parallelism": "-p", "block_size": "-block-size", "tcp_buffer_size": "-tcp-buffer-size"}
    numbers = [(flag, str(int(candidate.options[name]))) for name, flag in flags.items() if candidate.options.get(name)]
    fast = ("-fast",) if candidate.options.get("fast_mode") else ()
    return Call(
        ("globus-url-copy", *fast, *(word for pair in numbers for word in pair), _gsi(place, place.scheme), path.as_uri())
    )


def anonymous_globus(candidate: Candidate, path: Path, secret: Secret | None) -> Call:
    """`globus-url-copy` from a server that asks for no certificate."""
    place = parse_url(candidate.url, ("ftp", "gsiftp"))
    user, port = str(candidate.options.get("username") or "anonymous"), int(candidate.options.get("port") or 2811)
    return Call(("globus-url-copy", f"ftp://{_safe(user)}@{_host(place)}:{place.port or port}{place.path}", path.as_uri()))


def _gsi(place: Place, scheme: str) -> str:
    login = f"{_safe(place.login)}@" if place.login else ""
    port = f":{place.port}" if place.port else ""
    return f"{scheme}://{login}{_host(place)}{port}{place.path}"


def _remote(place: Place) -> str:
    login = f"{_safe(place.login)}@" if place.login else ""
    return f"{login}{_host(place)}:{_safe(place.decoded)}"


def _host(place: Place) -> str:
    return f"[{place.host}]" if ":" in place.host else _safe(place.host)


def _safe(text: str) -> str:
    """Text that is a word of an argv, and not taken for an option."""
    if text.startswith("-") or any(ord(each) < 32 for each in text):
        raise InvalidRequest("the URL has characters that may not stand there")
    return text


TEMPLATES: Mapping[str, tuple[str, Template]] = {
    "curl": ("curl", curl),
    "session_authenticated_curl": ("curl", curl_after_form),
    "scp": ("scp", scp),
    "aspera": ("ascp", ascp),
    "gridftp_lite": ("globus-url-copy", globus),
    "anonymous_gridftp": ("globus-url-copy", anonymous_globus),
}
"""The programs by the mechanism's name."""


class _Run(ProcessProtocol):
    """One run of a program, which is ended when `path` has not grown for `patience` seconds."""

    def __init__(self, given: str, path: Path, timeouts: ITimeouts, patience: float) -> None:
        self.ended: Deferred[Failure] = Deferred()
        self.said = b""
        self.stalled = False
        self._given = given
        self._path = path
        self._timeouts = timeouts
        self._patience = patience
        self._size = -1
        self._watch: IWatch | None = None

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._given.encode("utf-8", "surrogateescape"))
        self.transport.closeStdin()
        self._watch = self._timeouts.watch(self._patience, self._look)

    def outReceived(self, data: bytes) -> None:
        self.said = (self.said + data)[-OUTPUT:]

    errReceived = outReceived

    def _look(self) -> None:
        size = self._path.stat().st_size if self._path.exists() else 0
        if size == self._size:
            self.stalled = True
            self.kill()
        else:
            self._size = size
            self._watch = self._timeouts.watch(self._patience, self._look)

    def kill(self) -> None:
        assert self.transport is not None
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def processEnded(self, reason: Failure) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self.ended.callback(reason)


@implementer(IExternal)
class External:
    """Runs one program. `patience` is how long it may run without the file growing, in seconds."""

    def __init__(
        self, reactor: IReactorProcess, timeouts: ITimeouts, credentials: Credentials, name: str, patience: float
    ) -> None:
        self.program, self._template = TEMPLATES[name]
        self._form = name == "session_authenticated_curl"
        self._reactor = reactor
        self._timeouts = timeouts
        self._credentials = credentials
        self._patience = patience

    async def fetch(self, candidate: Candidate, path: Path) -> None:
        call = self._template(candidate, path, await self._secret(candidate))
        environment = {name: os.environ[name] for name in KEPT_NAMES if name in os.environ} | dict(call.secrets)
        run = _Run(call.given, path, self._timeouts, self._patience)
        program = shutil.which(self.program) or self.program
        self._reactor.spawnProcess(run, program, list(call.argv), env=environment)
        reason = await run.ended
        if run.stalled:
            raise Stalled(f"{self.program} made no progress")
        if not isinstance(reason.value, ProcessDone):
            raise Unavailable(f"{self.program}: {_last_words(run.said) or reason.value}")
        if self.program == "curl" and run.said[-3:-2] == b"3":
            raise InvalidRequest("the server redirects, which the curl program is not let follow")

    async def _secret(self, candidate: Candidate) -> Secret | None:
        url = str(candidate.options.get("auth_url")) if self._form else candidate.url
        scheme = url.partition(":")[0]
        place = parse_url(url, (scheme,))
        return place.secret or await self._credentials.find(scheme, place.host, place.login, 0)


def _last_words(said: bytes) -> str:
    text = said.decode("utf-8", "replace")
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[-300:]


def installed() -> Sequence[str]:
    """The mechanisms whose programs are on the PATH."""
    return [name for name, (program, _) in TEMPLATES.items() if shutil.which(program) is not None]
