"""OpenSSH's certificates of users (its PROTOCOL.certkeys): the word of an authority that a key is somebody's, for a while.

A client offers one in the place of a key, and signs with the key that it is of. What a certificate says is read and judged
here, with no file and no wire; which authorities are trusted is `trust`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv6Address, ip_address, ip_network

from attrs import field, frozen
from twisted.conch.ssh.common import NS

from ecpds.ssh.authorized import shown
from ecpds.ssh.fields import Fields, Malformed
from ecpds.ssh.userkeys import TOKEN, BadKey, UserKey, wire_key

SUFFIX = "-cert-v01@openssh.com"
"""How the types of certificates end, and the algorithms of signatures that are shown with one."""

PARTS: Mapping[str, int] = {
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-rsa": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""Strings that a key of each type has after its type."""

USER = 1
"""SSH_CERT_TYPE_USER; hosts have others."""

NEVER = (1 << 64) - 1
"""The end of what has none."""


def plain(name: str) -> str:
    """The type or algorithm without a certificate: `ssh-ed25519` of `ssh-ed25519-cert-v01@openssh.com`."""
    stem = name.removesuffix(SUFFIX)
    return f"{stem}@openssh.com" if stem.startswith(TOKEN) else stem


@frozen
class Certificate:
    """That `key` is of any of `principals`, from `after` until before `before`, in seconds since the epoch.

    `authority` has put `signature` under `signed`. `options` are critical: who doesn't know one must refuse.
    """

    key: UserKey
    blob: bytes = field(repr=False)
    serial: int
    kind: int
    id: str
    principals: tuple[str, ...]
    after: int
    before: int
    options: Mapping[str, bytes]
    authority: UserKey
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Of its key, with what operators look for: its identity, its number, and who made it."""
        return f"{self.key.fingerprint} by certificate {shown(self.id)!r} ({self.serial}) of {self.authority.fingerprint}"

    def verify(self, algorithm: str, signature: bytes, data: bytes) -> bool:
        """Whether `signature` of `data` is by the key that this is of, made with `algorithm`."""
        return algorithm.endswith(SUFFIX) and self.key.verify(plain(algorithm), signature, data)

    def refusal(self, user: str, address: str, now: float) -> str | None:
        """Why `user`, who comes from `address`, may not log in with it; None where it may.

        What costs most comes last. That the authority is trusted was found out before.
        """
        if self.kind != USER:
            return "it is not of a user"
        if user not in self.principals:
            return f"it is of {', '.join(map(shown, self.principals[:5])) or 'nobody'}"
        if now < self.after:
            return "it is not valid yet"
        if self.before != NEVER and now >= self.before:
            return "it is no longer valid"
        return self._unmet(address) or (None if self._is_signed() else "its authority has not signed it")

    def _unmet(self, address: str) -> str | None:
        """The critical option that is not met."""
        for name, data in self.options.items():
            met = OPTIONS.get(name)
            if met is None:
                return f"its critical option {shown(name[:100])!r} is not supported here"
            if not met(data, address):
                return f"its option {name} does not allow {address}"
        return None

    def _is_signed(self) -> bool:
        try:
            algorithm = Fields(self.signature).text()
        except Malformed:
            return False
        return self.authority.verify(algorithm, self.signature, self.signed)


def _is_from(data: bytes, address: str) -> bool:
    """Whether an address is in one of the networks that `source-address` lists. What can't be read lists none."""
    try:
        networks = [ip_network(each) for each in Fields(data).text().split(",")]
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks)


OPTIONS: Mapping[str, Callable[[bytes, str], bool]] = {"source-address": _is_from}
"""The critical options that we keep to. `force-command` is none of them: there is no command that stands for a portal."""


def offered_key(blob: bytes) -> UserKey | Certificate:
    """What a client wants to log in with, as the wire has it. Raises `BadKey`."""
    try:
        type = Fields(blob).text()
        if not type.endswith(SUFFIX):
            return wire_key(blob)
        return _certificate(plain(type), blob)
    except Malformed as error:
        raise BadKey(f"that is neither a public key nor a certificate: {error}") from error


def _certificate(type: str, blob: bytes) -> Certificate:
    """Raises `BadKey`, `Malformed`."""
    if type not in PARTS:
        raise BadKey(f"certificates of keys of type {type!a} are not taken")
    fields = Fields(blob)
    fields.string(), fields.string()  # its type, and what makes it unlike any other
    key = wire_key(NS(type.encode("ascii")) + b"".join(NS(fields.string()) for _ in range(PARTS[type])))
    serial, kind, id = fields.long(), fields.number(), fields.text()
    principals = tuple(_texts(fields.string()))
    after, before = fields.long(), fields.long()
    options = _options(fields.string())
    fields.string(), fields.string()  # extensions allow what there is not here; the other is reserved
    authority, signature = wire_key(fields.string()), fields.string()
    fields.end()
    signed = blob[: -4 - len(signature)]
    return Certificate(key, blob, serial, kind, id, principals, after, before, options, authority, signed, signature)


def _texts(data: bytes) -> Iterator[str]:
    fields = Fields(data)
    while fields.left:
        yield fields.text()


def _options(data: bytes) -> Mapping[str, bytes]:
    """Names with their data. Raises `Malformed` where one comes twice: what it says would depend on who reads it."""
    fields, found = Fields(data), dict[str, bytes]()
    while fields.left:
        name = fields.text()
        if name in found:
            raise Malformed("a critical option comes twice")
        found[name] = fields.string()
    return found
