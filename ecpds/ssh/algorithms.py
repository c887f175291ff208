"""Which algorithms we speak: the strongest that there are, and none that rests on SHA-1, MD5, CBC or DSA.

What a host key may sign with follows from the key; what users' keys may sign with is said in `server-sig-algs`
(RFC 8308, section 3.1), which conch leaves at the host key's own.
"""

from __future__ import annotations

from twisted.conch.ssh._kex import getSupportedKeyExchanges

from ecpds.ssh.groups import GROUPS

_WANTED = (
    b"mlkem768x25519-sha256",
    b"curve25519-sha256",
    b"curve25519-sha256@libssh.org",
    b"ecdh-sha2-nistp256",
    b"ecdh-sha2-nistp384",
    b"ecdh-sha2-nistp521",
)

KEY_EXCHANGES = [*(name for name in _WANTED if name in getSupportedKeyExchanges()), *GROUPS]
"""Best first. The first needs a cryptography library that has ML-KEM."""

CIPHERS = [
    b"aes128-gcm@openssh.com",
    b"aes256-gcm@openssh.com",
    b"chacha20-poly1305@openssh.com",
    b"aes256-ctr",
    b"aes192-ctr",
    b"aes128-ctr",
]

MACS = [b"hmac-sha2-512-etm@openssh.com", b"hmac-sha2-256-etm@openssh.com", b"hmac-sha2-512", b"hmac-sha2-256"]
"""With a cipher that authenticates by itself they are agreed on and not used."""

COMPRESSIONS = [b"none"]
"""zlib would inflate a small packet to gigabytes, before login at that."""

USER_KEYS = (
    b"ssh-ed25519",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    b"rsa-sha2-512",
    b"rsa-sha2-256",
    b"sk-ssh-ed25519@openssh.com",
    b"sk-ecdsa-sha2-nistp256@openssh.com",
)
"""What users' keys may sign with."""

HOST_KEYS = {
    b"ssh-ed25519": (b"ssh-ed25519",),
    b"ecdsa-sha2-nistp256": (b"ecdsa-sha2-nistp256",),
    b"ssh-rsa": (b"rsa-sha2-512", b"rsa-sha2-256"),
}
"""What each kind of host key signs with, best first."""

STRICT_CLIENT = b"kex-strict-c-v00@openssh.com"
STRICT_SERVER = b"kex-strict-s-v00@openssh.com"
"""How either side says that it speaks strict key exchange (OpenSSH's PROTOCOL, section 1.10)."""
