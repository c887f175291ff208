"""How to get at files with other programs: commands that can be pasted as they stand, and URLs of the other doors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from urllib.parse import quote

from attrs import frozen

Numbers = Callable[[], Mapping[str, int]]
"""The ports of this node's doors by name, as in `ports.json`."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:]+)(?::[0-9]+)?")


@frozen
class Command:
    """What it does, and the command."""

    title: str
    text: str


@frozen
class Elsewhere:
    """The doors of a node as a client reaches them: `host` is what it called this one, as its Host field said."""

    host: str
    ports: Mapping[str, int]

    @property
    def name(self) -> str:
        """The host without a port."""
        match = _HOST.fullmatch(self.host)
        return match[1] if match is not None else self.host

    def url(self, href: str, secure: bool = True) -> str:
        """This door's own."""
        return f"http{'s' if secure else ''}://{self.host}{href}"

    def ftp(self, path: str) -> str | None:
        """The same file by FTP; None where there is no such door."""
        port = self.ports.get("ftp")
        return None if port is None else f"ftp://{self.name}:{port}{quote(path)}"

    def sftp(self, path: str) -> str | None:
        """The same file by SFTP; None where there is no such door."""
        port = self.ports.get("ssh")
        return None if port is None else f"sftp://{self.name}:{port}{quote(path)}"

    def of_file(self, login: str, path: str, href: str, secure: bool) -> list[Command]:
        """What fetches one file."""
        name, url = path.rsplit("/", 1)[-1], shlex.quote(self.url(href, secure))
        found = [Command("curl", f"curl --user {login} -C - -o {shlex.quote(name)} {url}")]
        if "ssh" in self.ports:
            found.append(Command("sftp", f"sftp -P {self.ports['ssh']} {shlex.quote(f'{login}@{self.name}:{path}')}"))
        destination, _, key = path.strip("/").partition("/")
        if "s3" in self.ports and key:
            address = f"https://{self.name}:{self.ports['s3']}"
            source = shlex.quote(f"s3://{destination}/{key}")
            found.append(Command("aws s3", f"aws --endpoint-url {address} s3 cp {source} {shlex.quote('./' + name)}"))
        return found

    def of_folder(self, login: str, path: str, href: str, secure: bool) -> list[Command]:
        """What lists a folder, and puts a file into it."""
        url = self.url(href, secure)
        found = [
            Command("List it", f"curl --user {login} {shlex.quote(url + '?format=text')}"),
            Command("Put a file into it", f"curl --user {login} -T FILE {shlex.quote(url)}"),
        ]
        if "ssh" in self.ports:
            found.append(Command("SFTP", f"sftp -P {self.ports['ssh']} {shlex.quote(f'{login}@{self.name}:{path}')}"))
        return found
