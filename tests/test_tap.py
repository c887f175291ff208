"""What `twistd ecpds` makes of its command line and its configuration, before anything is opened."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from twisted.internet.testing import MemoryReactor
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from ecpds.admin.demo import Demo, demo_text
from ecpds.config import Cluster, Config, ConfigError, Node
from ecpds.errors import Unavailable
from ecpds.ports import Ports
from ecpds.tap import NodeService, Options, checked, makeService


class CommandLine(SynchronousTestCase):
    def test_a_configuration_must_be_named(self) -> None:
        self.assertRaises(UsageError, Options().parseOptions, [])

    def test_short_and_long(self) -> None:
        for arguments in (["-c", "x.toml"], ["--config", "x.toml"], ["--config=x.toml"]):
            options = Options()
            options.parseOptions(arguments)
            self.assertEqual(options["config"], "x.toml")

    def test_a_bad_configuration_ends_with_one_line(self) -> None:
        options = Options()
        options.parseOptions(["-c", "/no/such.toml"])
        line = str(self.assertRaises(SystemExit, makeService, options))
        self.assertEqual(line, "ecpds: /no/such.toml: can't be read: No such file or directory")

    def test_parts_that_don_t_go_together_name_the_file(self) -> None:
        file = Path(self.mktemp())
        file.write_text('[node]\nroles = ["mover"]\n')
        options = Options()
        options.parseOptions(["-c", str(file)])
        line = str(self.assertRaises(SystemExit, makeService, options))
        self.assertTrue(line.startswith(f"ecpds: {file}: [node] roles: "), line)


class NotStarting(SynchronousTestCase):
    """What happens between the opening of the doors and `ports.json`."""

    def said(self, error: Exception) -> str:
        reactor = MemoryReactor()
        with capturedLogs() as events:
            NodeService(Config(), False, Path("x.toml"))._failed(Failure(error), reactor)
        self.assertTrue(reactor.hasStopped)
        (event,) = events
        self.assertEqual(len(self.flushLoggedErrors()), 1 if "log_failure" in event else 0)
        return f"{formatEvent(event)}{' and a traceback' if 'log_failure' in event else ''}"

    def test_a_full_disk_is_a_line(self) -> None:
        full = OSError(errno.ENOSPC, "No space left on device")
        self.assertEqual(self.said(full), "the node could not start: [Errno 28] No space left on device")
        full.filename = "/home/ports.json.new"
        self.assertEqual(self.said(full), "the node could not start: /home/ports.json.new: No space left on device")

    def test_so_is_a_refusal(self) -> None:
        self.assertIn("could not start: The portal can't do that just now", self.said(Unavailable()))

    def test_a_fault_of_ours_is_traced(self) -> None:
        self.assertEqual(self.said(ZeroDivisionError()), "the node could not start and a traceback")


class WhatThisReleaseCan(SynchronousTestCase):
    def test_refused(self) -> None:
        for config in (
            Config(node=Node(roles=("mover", "ftp"))),
            Config(node=Node(roles=("master", "ftp"))),
            Config(cluster=Cluster(masters=("127.0.0.1:7600",))),
            Config(cluster=Cluster(masters=("tls:127.0.0.1:0",))),
        ):
            self.assertRaises(ConfigError, checked, config)

    def test_accepted(self) -> None:
        for config in (
            Config(node=Node(roles=("master", "mover", "ssh"))),
            Config(node=Node(roles=("mover", "ftp")), cluster=Cluster(masters=("tls:127.0.0.1:7600", "tls:[::1]:7600"))),
            Config(node=Node(roles=("master", "ftp")), cluster=Cluster()),
        ):
            self.assertIs(checked(config), config)


class FirstStart(SynchronousTestCase):
    def test_a_command_for_each_open_door(self) -> None:
        text = demo_text(Demo("pw", "ID", "SECRET"), {"ftp": 2121, "https": 8443, "ssh": 2222, "s3": 9000}, "::1")
        for command in (
            "curl --user demo:pw -T FILE ftp://[::1]:2121/demo/",
            "curl -k --user demo:pw -O https://[::1]:8443/data/demo/FILE",
            "scp -P 2222 FILE demo@[::1]:/demo/",
            "scp -P 2222 demo@[::1]:/demo/FILE .",
            "export AWS_ACCESS_KEY_ID=ID AWS_SECRET_ACCESS_KEY=SECRET",
            "aws s3 cp s3://demo/FILE . --no-verify-ssl --endpoint-url https://[::1]:9000",
        ):
            self.assertIn(f"\n  {command}\n", text)
        self.assertNotIn("http://", text)
        self.assertNotIn("manhole", text)


class PortsFile(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.ports = Ports(self.file)

    def test_one_port_on_every_address(self) -> None:
        bound = []

        def bind(address: str, port: int) -> int:
            bound.append((address, port))
            return port or 4711

        self.ports.bind("ftp", 0, ("127.0.0.1", "::1"), bind)
        self.assertEqual(bound, [("127.0.0.1", 0), ("::1", 4711)])
        self.ports.write()
        self.assertEqual(json.loads(self.file.read_text()), {"pid": os.getpid(), "ftp": 4711})

    def test_a_port_that_is_taken_is_named(self) -> None:
        def bind(address: str, port: int) -> int:
            raise OSError(98, "Address already in use")

        error = self.assertRaises(OSError, self.ports.bind, "ftp", 21, ("127.0.0.1",), bind)
        self.assertEqual((error.filename, error.strerror), ("127.0.0.1 port 21", "Address already in use"))

    def test_only_its_own_is_removed(self) -> None:
        self.file.write_text(json.dumps({"pid": os.getpid() + 1}))
        self.ports.remove_own()
        self.assertTrue(self.file.exists())
        self.ports.write()
        self.ports.remove_own()
        self.assertFalse(self.file.exists())
        self.ports.remove_own()
