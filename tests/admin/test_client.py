"""The command line's client against a socket of its own: long paths, lists, refusals, and answers that break off."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ecpds.admin.client import LONGEST, SOCKET, Failed, NodeClient


class ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        self.asked = b""

    def serve(self, answer: bytes) -> None:
        """Give one connection this answer."""
        listener = socket.socket(socket.AF_UNIX)
        folder = os.open(self.home, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/{SOCKET}")
        os.close(folder)
        listener.listen(1)
        listener.settimeout(10)
        thread = threading.Thread(target=self.answer_once, args=(listener, answer))
        thread.start()
        self.addCleanup(thread.join, 10)

    def answer_once(self, listener: socket.socket, answer: bytes) -> None:
        with listener, listener.accept()[0] as connection:
            connection.settimeout(10)
            self.asked = connection.recv(65536)
            if not self.asked.endswith(b"}"):
                self.asked += connection.recv(65536)
            connection.sendall(answer)

    def ask(self) -> list[dict[str, Any]]:
        return list(NodeClient(self.home).ask("file/ls", {"path": "/a"}))

    def fails(self) -> str:
        return str(self.assertRaises(Failed, self.ask))

    def test_a_list_comes_in_chunks(self) -> None:
        lines = b'{"a": 1}\n{"a": 2}\n'
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (lines[:5], lines[5:])) + b"0\r\n\r\n"
        self.serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        self.assertEqual(self.ask(), [{"a": 1}, {"a": 2}])
        self.assertIn(b"POST /api/v1/file/ls HTTP/1.1\r\n", self.asked)
        self.assertTrue(self.asked.endswith(b'{"path": "/a"}'))

    def test_a_path_longer_than_a_socket_may_have(self) -> None:
        self.home = self.home / ("x" * 100) / ("y" * 100)
        self.home.mkdir(parents=True)
        self.assertGreater(len(str(self.home / SOCKET)), LONGEST)
        self.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n")
        self.assertEqual(self.ask(), [{}])

    def test_a_refusal(self) -> None:
        body = b'{"error": "There is no such file."}\n'
        self.serve(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        self.assertEqual(self.fails(), "There is no such file.")

    def test_answers_that_are_none(self) -> None:
        for answer in (
            b"",
            b"nonsense\r\n\r\n",
            b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a": 1}\n',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"a": 1}\n\r\n',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n90\r\n{"a": 1}\n',
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxyz",
            b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
        ):
            self.serve(answer)
            self.assertIn("broke off", self.fails(), answer)
            (self.home / SOCKET).unlink()

    def test_nobody_is_there(self) -> None:
        self.assertIn("No node is running", self.fails())
        socket.socket(socket.AF_UNIX).bind(str(self.home / SOCKET))
        self.assertIn("No node is running", self.fails())
