"""Certificates are made anew before they end: the authority's, the Master's and a member's."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from attrs import evolve
from cryptography import x509
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs

from ecpds.cluster.assembly import join_fleet
from ecpds.cluster.authority import (
    LIFE,
    MASTER,
    MEMBER,
    Authority,
    Credentials,
    Peer,
    load_authority,
    master_credentials,
    new_key,
    open_authority,
    store_credentials,
    stored_credentials,
)
from ecpds.config import Cluster, Config, ConfigError, Node
from ecpds.keys import keys_folder, utc_now, write_secret
from tests.cluster.test_links import SECRET, LinkCase

YEAR = timedelta(days=365)
OLD = LIFE - YEAR / 2
"""So long ago was made what ends in half a year."""


def loaded(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


class Renewing(LinkCase):
    def setUp(self) -> None:
        super().setUp()
        self.slept: list[float] = []
        cluster = Cluster(masters=(f"tls:127.0.0.1:{self.port}",))
        home = f"{self.config.node.home}-member"
        self.member = Config(node=Node(name="mover-1", home=home, roles=("mover",)), cluster=cluster)
        keys_folder(self.member)
        write_secret(self.member.path(cluster.secret_file), SECRET)

    # The Master

    def at(self, config: Config, now: datetime) -> tuple[Authority, Credentials]:
        authority = open_authority(config, now)
        return authority, master_credentials(config, authority, now)

    def test_a_year_before_their_end_and_not_sooner(self) -> None:
        config, now = evolve(self.config, node=evolve(self.config.node, home=f"{self.config.node.home}-other")), utc_now()
        made, first = self.at(config, now)
        self.assertEqual(self.at(config, now + LIFE - YEAR * 2)[1], first)
        renewed, second = self.at(config, now + OLD)
        self.assertEqual(second.ends, renewed.ends)
        self.assertGreater(second.ends, now + LIFE + YEAR * 8)
        self.assertEqual(self.at(config, now + OLD)[1], second)
        self.believed(made, first, renewed, second)

    def test_a_clock_that_was_ahead_once_makes_nothing_that_is_not_valid_yet(self) -> None:
        config, now = evolve(self.config, node=evolve(self.config.node, home=f"{self.config.node.home}-other")), utc_now()
        self.at(config, now)
        self.at(config, now + LIFE)
        authority, credentials = self.at(config, now)
        for each in (authority.pem, credentials.certificate):
            self.assertLess(loaded(each).not_valid_before_utc, now)

    def believed(self, made: Authority, first: Credentials, renewed: Authority, second: Credentials) -> None:
        """Whoever has the old certificate of the authority, or the new one, believes what was certified with either."""
        for authority in (made, renewed):
            for credentials in (first, second):
                loaded(credentials.certificate).verify_directly_issued_by(loaded(authority.pem))

    async def test_a_member_with_the_old_authority_is_welcome_at_a_Master_with_the_new_one(self) -> None:
        before = self.certified("mover-1", self.authority, OLD)
        await self.stop_master()
        folder = keys_folder(self.config)
        write_secret(folder / "fleet.crt", self.authority.renewed(utc_now()))
        self.authority = load_authority(folder / "fleet.crt", folder / "fleet.key")
        self.credentials = self.certified("master", self.authority, timedelta(0), MASTER)
        self.start_master()
        node = self.node("mover-1")
        node.start(before)
        await node.met

    def certified(self, name: str, authority: Authority, ago: timedelta, part: str = MEMBER) -> Credentials:
        pem, key = new_key()
        return Credentials(authority.certify(key.public_key(), Peer(name, part), utc_now() - ago), pem, authority.pem)

    # A member

    def has(self, ago: timedelta) -> Credentials:
        credentials = self.certified("mover-1", self.authority, ago)
        store_credentials(self.member, credentials)
        return credentials

    async def started(self) -> Credentials | None:
        """What it has after a start."""
        await deferToThread(join_fleet, self.member, self.slept.append)
        found: Any = stored_credentials(self.member, utc_now())
        return found

    async def test_a_member_whose_certificate_lasts_asks_nobody(self) -> None:
        before = self.has(LIFE - YEAR * 2)
        await self.stop_master()
        self.assertEqual(await self.started(), before)
        self.start_master()

    async def test_a_member_whose_certificate_ends_soon_joins_again(self) -> None:
        self.has(OLD)
        after = await self.started()
        assert after is not None
        self.assertGreater(after.ends, utc_now() + LIFE - YEAR)

    async def test_it_starts_without_where_no_Master_is_there(self) -> None:
        """With the one that it has, which is good for a while; and says so."""
        before = self.has(OLD)
        await self.stop_master()
        with capturedLogs() as events:
            self.assertEqual(await self.started(), before)
        (event,) = [each for each in events if "could not be renewed" in each["log_format"]]
        self.assertEqual((event["day"], self.slept), (before.ends, [0.0]))
        self.start_master()

    async def test_a_member_whose_certificate_has_ended_must_join(self) -> None:
        self.has(LIFE + YEAR)
        after = await self.started()
        assert after is not None
        self.has(LIFE + YEAR)
        await self.stop_master()
        with self.assertRaises(ConfigError):
            await self.started()
        self.assertGreater(sum(self.slept), 30)
        self.start_master()
