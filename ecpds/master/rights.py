"""What a user may do, and how it sees the portal: its own account and its policies merged.

The order is stated in docs/users.md and kept here alone. Grants add up: in a destination a user may do what any of its
grants allows there, so a policy takes nothing away. Options don't add up: the user's own come first, then the policies'
in the order in which they were given to the user, and the first that sets an option wins. A policy that is not enabled
counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from ecpds.grants import READ_ACL, WRITE_ACL, held
from ecpds.options import BUCKET_ACL, BUCKET_GRANTS, BUCKET_OBJECTS
from ecpds.people import AccessKey, Policy

ROOTDIR = "incoming.rootdir"
"""The option of a destination that says what its users call it."""


OPENED: Mapping[str, frozenset[str]] = {
    "public-read": frozenset(("get", "dir", "size")),
    "public-read-write": frozenset(("get", "dir", "size", "put", "delete", "mkdir", "rmdir")),
    "authenticated-read": frozenset(("get", "dir", "size")),
}
"""What a destination is open for, by its `s3.acl`; the last only to users of the portal."""

GRANTED: Mapping[str, frozenset[str]] = {
    "READ": OPENED["public-read"],
    "WRITE": OPENED["public-read-write"] - OPENED["public-read"],
    "READ_ACP": frozenset((READ_ACL,)),
    "WRITE_ACP": frozenset((WRITE_ACL,)),
}
"""What a right to a destination allows that one user has by its `s3.grants`."""


def of_visitors(options: Mapping[str, str], login: str) -> frozenset[str]:
    """What who has no right of its own may do in a destination with these options; `login` is empty for who is no user.

    Where objects have ACLs of their own, some may be open in a destination that is not: the portal looks at each.
    """
    acl = options.get(BUCKET_ACL, "")
    found = OPENED.get(acl, frozenset()) if login or acl != "authenticated-read" else frozenset()
    if login:
        found = found.union(*(GRANTED[right] for right in held(options.get(BUCKET_GRANTS, ""), login)))
    return found | {"get"} if options.get(BUCKET_OBJECTS) == "own" else found


@frozen
class Grant:
    """Permissions that hold in some destinations."""

    permissions: frozenset[str]
    destinations: tuple[str, ...]


@frozen
class Rights:
    """What all grants come to: the permissions in each destination that may be seen, and the options."""

    by_destination: Mapping[str, frozenset[str]]
    options: Mapping[str, str]

    @property
    def permissions(self) -> frozenset[str]:
        """Those that are held anywhere."""
        return frozenset().union(*self.by_destination.values())

    def limited(self, key: AccessKey) -> Rights:
        """What is left of them for who logs in with an access key that may do less."""
        kept = {
            destination: held if key.permissions is None else held.intersection(key.permissions)
            for destination, held in self.by_destination.items()
            if key.destinations is None or destination in key.destinations
        }
        return Rights(kept, self.options)


def merged(own: Grant, options: Mapping[str, str], policies: Sequence[Policy]) -> Rights:
    """The rights of a user with these grants and options of its own, and these policies in this order."""
    enabled = [policy for policy in policies if policy.enabled]
    grants = [own, *(_grant(policy, own) for policy in enabled)]
    by_destination: dict[str, frozenset[str]] = {}
    for grant in grants:
        for destination in grant.destinations:
            by_destination[destination] = by_destination.get(destination, frozenset()) | grant.permissions
    first: dict[str, str] = {}
    for more in (options, *(policy.options for policy in enabled)):
        first = {**more, **first}
    return Rights(dict(sorted(by_destination.items())), first)


def _grant(policy: Policy, own: Grant) -> Grant:
    held = own.permissions if policy.permissions is None else frozenset(policy.permissions)
    return Grant(held, policy.destinations)


def names_of(destinations: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first elements of paths that are not their destination's name, from each destination and its `rootdir`.

    A name that another destination of the user has anyway stays that one's; of two that want the same name the first
    by name gets it, and the other keeps its own.
    """
    wanted = {destination: root.strip("/") for destination, root in destinations}
    found: dict[str, str] = {}
    for destination in sorted(wanted):
        root = wanted[destination]
        if root and root not in wanted and root not in found:
            found[root] = destination
    return found
