"""The catalogue's companion is killed under load, told to end, and left behind by a Master that was killed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
from twisted.trial.unittest import SynchronousTestCase

from ecpds.master.companion_link import SOCKET, command, environment
from ecpds.master.sqlite import SqliteEngine
from tests.real.case import RealTestCase
from tests.real.clients import authorization, https, path_of
from tests.real.harness import PATIENCE, Node, until
from tests.real.small_files import content

KILLS = 3
WRITERS = 3


def companion(node: Node) -> psutil.Process | None:
    """The one that a node has now."""
    for process in psutil.Process(node.pid).children():
        try:
            if "ecpds.master.companion" in process.cmdline():
                return process
        except psutil.NoSuchProcess:
            continue
    return None


def ready_companion(node: Node) -> psutil.Process:
    """One that has taken its lock, which is the last that it does before it serves."""
    lock = str(node.home / "catalogue.sqlite.companion.lock")

    def probe() -> psutil.Process | None:
        found = companion(node)
        try:
            return found if found and lock in {file.path for file in found.open_files()} else None
        except psutil.NoSuchProcess:
            return None

    return until(probe, "a companion")


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Writing(threading.Thread):
    """Puts small files, one after the other, until it is to stop."""

    def __init__(self, node: Node, number: int) -> None:
        super().__init__()
        self._node = node
        self._number = number
        self.enough = threading.Event()
        self.acknowledged: set[str] = set()
        self.refused = 0
        self.odd: list[int] = []

    def run(self) -> None:
        connection = https(self._node)
        count = 0
        while not self.enough.is_set():
            name = f"{self._number}-{count}"
            count += 1
            connection.request("PUT", path_of(name), content(name), authorization())
            answer = connection.getresponse()
            answer.read()
            if answer.status == 201:
                self.acknowledged.add(name)
            elif answer.status == 503:
                self.refused += 1
            else:
                self.odd.append(answer.status)
        connection.close()


class Companions(RealTestCase):
    """One node."""

    def test_it_may_die_under_load(self) -> None:
        """At most what it had in hand is refused; the Master does its work until there is another."""
        writers = [Writing(self.node, number) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        try:
            for _ in range(KILLS):
                before = sum(len(writer.acknowledged) for writer in writers)
                until(lambda: sum(len(writer.acknowledged) for writer in writers) > before + 20, "files")  # noqa: B023
                ready_companion(self.node).kill()
        finally:
            for writer in writers:
                writer.enough.set()
            for writer in writers:
                writer.join()
        self.assertEqual([writer.odd for writer in writers], [[]] * WRITERS)
        self.assertLessEqual(sum(writer.refused for writer in writers), KILLS * WRITERS)
        there = {entry["path"].rpartition("/")[2] for entry in self.node.json_lines("file", "ls", "/archive/")}
        self.assertEqual(set().union(*(writer.acknowledged for writer in writers)) - there, set())

    def test_signals_that_end_a_daemon_are_not_for_it(self) -> None:
        found = ready_companion(self.node)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            found.send_signal(number)
        connection = https(self.node)
        connection.request("PUT", path_of("after"), b"x", authorization())
        self.assertIn(connection.getresponse().status, (201, 204))
        connection.close()
        self.assertEqual(ready_companion(self.node), found)

    def test_it_ends_with_its_master(self) -> None:
        for end in (self.node.kill, self.node.stop):
            found = ready_companion(self.node)
            end()
            self.node.start()
            self.assertFalse(lives(found), "a Master starts when the companion of the last one has ended")


class LeftBehind(SynchronousTestCase):
    def test_a_master_that_has_gone_before_the_answer_is_a_line_and_no_traceback(self) -> None:
        engine = SqliteEngine(Path(self.mktemp()).resolve(), sync=False)
        engine.open()
        self.addCleanup(engine.close)
        words = engine.companion
        assert words is not None
        ours, its = socket.socketpair()
        ours.close()
        with its:
            moved = f"import os, sys; os.dup2({its.fileno()}, {SOCKET}); os.execv(sys.executable, sys.argv[1:])"
            ended = subprocess.run(
                [sys.executable, "-c", moved, *command(words)],
                env=environment(),
                pass_fds=[its.fileno()],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        self.assertEqual(ended.returncode, 1)
        self.assertRegex(ended.stderr, r"\Athe catalogue's companion: [^\n]*Broken pipe[^\n]*\n\Z")
