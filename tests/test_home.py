"""A node's home: who has it, and what must be as it was."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.config import Config, ConfigError, Mover, Node
from ecpds.limits import Limits
from ecpds.mover.store import LocalStore
from ecpds.node.home import Home
from ecpds.threads import InlineThreads
from ecpds.transports.buffers import BufferPool


class Homes(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        mover = Mover(volumes=("volumes/0", "volumes/1"), sync=False)
        self.config = Config(node=Node(name="mover-a", home=str(self.folder)), mover=mover)

    def start(self, config: Config | None = None) -> tuple[Home, LocalStore]:
        """As a node does it; what it opened is left when the test ends, unless that was done before."""
        config = config or self.config
        home = Home(config)
        threads, roots = InlineThreads(), [config.path(volume) for volume in config.mover.volumes]
        pool, limits = BufferPool(1 << 20), evolve(Limits(), free_space=0)
        store = LocalStore(
            config.node.name,
            roots,
            self.never,
            threads,
            threads,
            pool,
            limits,
            False,
            Clock(),
            home.absent,  # type: ignore[arg-type]
        )
        home.remember()
        return home, store

    async def never(self, receipt: object) -> None:
        raise AssertionError(receipt)

    def started_before(self) -> None:
        self.start()[0].leave()

    def unmounted(self) -> set[str]:
        """A start with a volume on a disk of its own, which is away from then on. Returns the disks that are there."""
        mounted = {str(self.folder / "volumes" / "1")}
        self.patch(os.path, "ismount", lambda path: str(path) in mounted)
        self.started_before()
        mounted.clear()
        return mounted

    def with_volumes(self, *paths: str) -> Config:
        return evolve(self.config, mover=evolve(self.config.mover, volumes=paths))

    def named(self, name: str) -> Config:
        return evolve(self.config, node=evolve(self.config.node, name=name))

    def refused(self, config: Config) -> str:
        return str(self.assertRaises(ConfigError, Home, config))

    def store_something(self) -> None:
        place = self.folder / "volumes" / "1" / "0" / "000"
        place.mkdir(parents=True)
        (place / "7").write_bytes(b"x")

    # One process

    def test_a_second_process_does_not_get_it(self) -> None:
        home, _ = self.start()
        self.assertIn("is another process's", self.refused(self.config))
        home.leave()
        self.started_before()

    def test_who_is_refused_does_not_keep_it(self) -> None:
        self.started_before()
        self.store_something()
        self.refused(self.named("mover-b"))
        self.started_before()

    # Its name

    def test_another_name_where_files_are_stored(self) -> None:
        """They would be looked for at the old one."""
        self.started_before()
        self.store_something()
        said = self.refused(self.named("mover-b"))
        self.assertIn("[node] name: 'mover-b'", said)
        self.assertIn("known as those of 'mover-a'", said)

    def test_another_name_where_nothing_is(self) -> None:
        self.started_before()
        for name in ("mover-b", "mover-c"):
            self.start(self.named(name))[0].leave()
        self.store_something()
        self.assertIn("'mover-c'", self.refused(self.config))

    # Its volumes

    def test_volumes_in_another_order(self) -> None:
        self.started_before()
        for volumes in (("volumes/1", "volumes/0"), ("volumes/1",), ("volumes/2", "volumes/0")):
            self.assertIn("[mover] volumes: 'volumes/", self.refused(self.with_volumes(*volumes)))

    def test_volumes_that_come_and_go_at_the_end(self) -> None:
        for volumes in (("volumes/0",), ("volumes/0", "volumes/1"), ("volumes/0",), ("volumes/0", "volumes/1", "volumes/2")):
            self.start(self.with_volumes(*volumes))[0].leave()
        self.assertIn("was 3", self.refused(self.with_volumes("volumes/0", "volumes/2", "volumes/1")))

    def test_a_volume_that_was_moved_elsewhere(self) -> None:
        self.started_before()
        (self.folder / "volumes" / "1").rename(self.folder / "elsewhere")
        home, store = self.start(self.with_volumes("volumes/0", "elsewhere"))
        self.assertEqual((dict(home.absent), store.volumes[1].failed), ({}, None))
        home.leave()

    def test_a_volume_that_is_not_there_any_more(self) -> None:
        """It is not made anew: on another disk it would be filled unseen. The others are used."""
        self.started_before()
        shutil.rmtree(self.folder / "volumes" / "1")
        for _ in range(2):
            home, store = self.start()
            self.assertEqual([volume.use().failed is not None for volume in store.volumes], [False, True])
            self.assertIn("is its disk mounted?", str(store.volumes[1].failed))
            self.assertFalse((self.folder / "volumes" / "1").exists())
            home.leave()
        (self.folder / "volumes" / "1").mkdir()
        home, store = self.start()
        self.assertEqual([volume.use().failed for volume in store.volumes], [None, None])
        home.leave()

    def test_a_disk_that_is_not_mounted(self) -> None:
        mounted = self.unmounted()
        for _ in range(2):
            home, store = self.start()
            self.assertEqual([volume.failed for volume in store.volumes], [None, "its disk is not mounted"])
            home.leave()
        mounted.add(str(self.folder / "volumes" / "1"))
        home, store = self.start()
        self.assertEqual([volume.failed for volume in store.volumes], [None, None])
        home.leave()

    def test_another_name_while_a_disk_is_away(self) -> None:
        """Nothing of ours is to be seen, and yet there is something."""
        self.unmounted()
        self.assertIn("'mover-a'", self.refused(self.named("mover-b")))

    def test_whether_files_may_be_stored(self) -> None:
        """A new catalogue names none, and the sweep would take them away when their disk is there again."""
        home, _ = self.start()
        self.assertFalse(home.may_hold_files())
        home.leave()
        shutil.rmtree(self.folder / "volumes" / "1")
        home, _ = self.start()
        self.assertTrue(home.may_hold_files())
        home.leave()
        self.store_something()
        home, _ = self.start()
        self.assertEqual((dict(home.absent), home.may_hold_files()), ({}, True))
        home.leave()

    # What it remembers

    def test_a_record_that_is_none(self) -> None:
        self.started_before()
        for text in ("", "{", json.dumps({"name": 7, "volumes": []})):
            (self.folder / "node.json").write_text(text)
            self.assertIn("node.json is not what a node writes", self.refused(self.config))
