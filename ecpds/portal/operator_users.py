"""What operators see and do of users, policies and their keys: plain dicts that are JSON as they stand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from attrs import asdict

from ecpds.errors import InvalidRequest
from ecpds.events import timestamp
from ecpds.model import MODES, PERMISSIONS, QuotaUse
from ecpds.operator_interfaces import IOperations
from ecpds.options import DESTINATION_OPTIONS, USER_OPTIONS
from ecpds.people import AccessKey, NewUser, Policy, UserChange, UserRecord

Object = dict[str, Any]


class UsersOperator:
    """The part of the operator's façade that is about accounts. No permissions said (None) means all, for a new user."""

    def __init__(self, operations: IOperations) -> None:
        self._operations = operations

    async def add_user(
        self,
        login: str,
        password: str | None = None,
        mode: str = "standard",
        destinations: Sequence[str] = (),
        permissions: Sequence[str] | None = None,
        policies: Sequence[str] = (),
        options: Mapping[str, str] | None = None,
        comment: str = "",
    ) -> Object:
        """Raises `InvalidRequest` for a mode, a permission or an option that there is not."""
        _check_known("mode", [mode], MODES)
        if password == "":
            raise InvalidRequest("the password is empty")
        wanted = in_order(PERMISSIONS if permissions is None else permissions) or ()
        places, given = _each_once(destinations), _each_once(policies)
        new = NewUser(login, password, mode, places, wanted, dict(options or {}), given, comment)
        return shown_user(await self._operations.add_user(new))

    async def list_users(self) -> AsyncIterator[Object]:
        for user in await self._operations.users():
            yield shown_user(user)

    async def show_user(self, login: str) -> Object:
        """With how far its quotas are used: `quotas`."""
        shown = shown_user(await self._operations.user(login))
        return {**shown, "quotas": [shown_quota(each) for each in await self._operations.quotas(login, None)]}

    async def set_user(
        self,
        login: str,
        mode: str | None = None,
        enabled: bool | None = None,
        destinations: Sequence[str] | None = None,
        permissions: Sequence[str] | None = None,
        policies: Sequence[str] | None = None,
        options: Mapping[str, str] | None = None,
        unset: Sequence[str] = (),
        comment: str | None = None,
    ) -> Object:
        """Lists replace the old ones, options are added; `unset` names options that go, or `password`."""
        places, given = _given(destinations), _given(policies)
        change = UserChange(mode, enabled, places, in_order(permissions), given, dict(options or {}), tuple(unset), comment)
        return shown_user(await self._operations.change_user(login, change))

    async def set_password(self, login: str, password: str | None = None) -> Object:
        if not password:
            raise InvalidRequest("a new password is needed; `user set --unset password` takes it away")
        return shown_user(await self._operations.set_password(login, password))

    async def remove_user(self, login: str) -> Object:
        """Returns what it was."""
        return shown_user(await self._operations.remove_user(login))

    async def change_key(self, login: str, action: str, key: str | None = None) -> Object:
        """Add or remove an SSH public key, or only show the user with its keys."""
        _check_known("action", [action], ("add", "rm", "list"))
        if action == "list":
            return await self.show_user(login)
        if key is None:
            raise InvalidRequest(f"{action} needs a public key")
        if action == "rm":
            return shown_user(await self._operations.remove_key(login, key.strip()))
        return shown_user(await self._operations.add_key(login, key.strip()))

    async def change_access_key(
        self,
        login: str,
        action: str,
        id: str | None = None,
        life: float | None = None,
        permissions: Sequence[str] | None = None,
        destinations: Sequence[str] | None = None,
    ) -> AsyncIterator[Object]:
        """Add an S3 access key, which is the one time that its secret is shown; list them; remove one."""
        _check_known("action", [action], ("add", "rm", "list"))
        if action == "add":
            key, secret = await self._operations.add_access_key(login, life, in_order(permissions), destinations)
            yield {"access_key_id": key.id, "secret_access_key": secret}
        elif action == "rm":
            if id is None:
                raise InvalidRequest("rm needs the access key id")
            yield shown_access_key(await self._operations.remove_access_key(login, id))
        else:
            for key in await self._operations.access_keys(login):
                yield shown_access_key(key)

    async def change_totp(self, login: str, action: str) -> Object:
        """Have one-time codes stand behind a user's password, which is the one time that their secret is shown, or no more."""
        _check_known("action", [action], ("enrol", "remove", "show"))
        if action == "enrol":
            return {"login": login, "totp": True, "uri": await self._operations.enrol_totp(login)}
        user = await (self._operations.remove_totp(login) if action == "remove" else self._operations.user(login))
        return {"login": user.login, "totp": user.totp}

    async def add_policy(
        self,
        name: str,
        destinations: Sequence[str] = (),
        permissions: Sequence[str] | None = None,
        options: Mapping[str, str] | None = None,
        comment: str = "",
    ) -> Object:
        """No permissions said (None) leaves them to the policy's users' own."""
        held = in_order(permissions)
        new = Policy(0, name, True, held, _each_once(destinations), dict(options or {}), comment)
        return shown_policy(await self._operations.add_policy(new))

    async def list_policies(self) -> AsyncIterator[Object]:
        for policy in await self._operations.policies():
            yield shown_policy(policy)

    async def show_policy(self, name: str) -> Object:
        return shown_policy(await self._operations.policy(name))

    async def set_policy(
        self,
        name: str,
        enabled: bool | None = None,
        destinations: Sequence[str] | None = None,
        permissions: Sequence[str] | None = None,
        options: Mapping[str, str] | None = None,
        unset: Sequence[str] = (),
        comment: str | None = None,
    ) -> Object:
        """As `set_user`; `permissions` may be unset too, which leaves them to the users' own."""
        change = UserChange(
            enabled=enabled,
            destinations=_given(destinations),
            permissions=in_order(permissions),
            options=dict(options or {}),
            unset=tuple(unset),
            comment=comment,
        )
        return shown_policy(await self._operations.change_policy(name, change))

    async def remove_policy(self, name: str, force: bool = False) -> Object:
        """Returns what it was."""
        return shown_policy(await self._operations.remove_policy(name, force))

    async def list_options(self) -> AsyncIterator[Object]:
        for where, options in (("user, policy", USER_OPTIONS), ("destination", DESTINATION_OPTIONS)):
            for option in options:
                yield {
                    "name": option.name,
                    "of": where,
                    "allowed": option.type.allowed,
                    "meaning": option.help,
                    "acts": option.acts,
                }


def shown_user(user: UserRecord) -> Object:
    seen = None if user.last_login is None else timestamp(user.last_login)
    return {**asdict(user, value_serializer=plain), "created": timestamp(user.created), "last_login": seen}


def shown_quota(use: QuotaUse) -> Object:
    """Bytes, or files, and the seconds within which they count; null of what is held."""
    left = max(0, use.most - use.used)
    return {"of": use.of, "used": use.used, "left": left, "most": use.most, "period": use.period or None}


def shown_policy(policy: Policy) -> Object:
    return {**asdict(policy, value_serializer=plain), "created": timestamp(policy.created)}


def shown_access_key(key: AccessKey) -> Object:
    """Never the secret."""
    shown = asdict(key, value_serializer=plain)
    expires = None if key.expires is None else timestamp(key.expires)
    return {"access_key_id": shown.pop("id"), **shown, "created": timestamp(key.created), "expires": expires}


def plain(_: Any, __: Any, value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def in_order(permissions: Sequence[str] | None) -> tuple[str, ...] | None:
    """The permissions named, each once. Raises `InvalidRequest` for one that there is not."""
    if permissions is None:
        return None
    _check_known("permission", permissions, PERMISSIONS)
    return tuple(name for name in PERMISSIONS if name in permissions)


def _each_once(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _given(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else _each_once(names)


def _check_known(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for word in given:
        if word not in known:
            raise InvalidRequest(f"{what} {word[:100]!a}; allowed: {', '.join(known)}")
