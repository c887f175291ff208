"""Bad input over real sockets: a refusal in the protocol's words, one record, nothing changed, nothing left behind."""

from __future__ import annotations

import ftplib
import os
import socket
from typing import Any, ClassVar

from tests.real.case import RealTestCase
from tests.real.clients import LIMIT, Curl, authorization, ftp, https, path_of, unverified, vanish
from tests.real.harness import DESTINATION, PASSWORD, Node, Options, until

PIECE = 1 << 20


def connected(node: Node, door: str) -> socket.socket:
    """A socket at a door, inside TLS where the door has it."""
    plain = socket.create_connection(("127.0.0.1", node.ports[door]), LIMIT)
    return unverified().wrap_socket(plain) if door == "https" else plain


def fields(headers: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


class Logins(RealTestCase):
    def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(self) -> None:
        before = len(self.node.json_lines("events", "--type", "DEA"))
        answers = []
        for login, password in (("ann", "wrong"), ("nobody", "wrong")):
            with self.assertRaises(ftplib.error_perm) as refused:
                ftp(self.node, login, password)
            connection = https(self.node)
            connection.request("GET", path_of(""), headers=authorization(login, password))
            answer = connection.getresponse()
            answers.append((str(refused.exception), answer.status, answer.getheader("WWW-Authenticate"), answer.read()))
        self.assertEqual(answers[0], answers[1])
        self.assertEqual((answers[0][0][:3], answers[0][1]), ("530", 401))
        self.assertEqual(len(self.node.json_lines("events", "--type", "DEA")), before + 4)

    def test_a_wrong_password_is_refused_before_a_byte_of_the_body(self) -> None:
        """A client that waits for `100 Continue` is told 401 instead."""
        with connected(self.node, "https") as connection:
            head = f"PUT {path_of('x')} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n"
            connection.sendall((head + fields(authorization("ann", "wrong")) + "\r\n").encode())
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 401"))


class Rights(RealTestCase):
    def test_a_user_who_may_only_read_can_t_write(self) -> None:
        self.node.add_user("reader", permissions="get,dir")
        with ftp(self.node, "reader") as client:
            with self.assertRaises(ftplib.error_perm):
                client.storbinary("STOR refused", open(os.devnull, "rb"))
            self.assertEqual(client.nlst(), [])
        connection = https(self.node)
        connection.request("PUT", path_of("refused"), b"x", authorization("reader"))
        self.assertEqual(connection.getresponse().status, 403)
        denials = [event for event in self.node.json_lines("events", "--type", "DEA") if event["UserId"] == "reader"]
        self.assertEqual(len(denials), 2, denials)
        self.assertEqual(self.node.stored_files(), [])

    def test_a_destination_of_others_looks_like_none(self) -> None:
        self.node.ecpds("destination", "add", "secret")
        answers = set()
        for destination in ("secret", "missing"):
            connection = https(self.node)
            connection.request("GET", f"/data/{destination}/x", headers=authorization())
            answer = connection.getresponse()
            answers.add(f"{answer.status} {answer.read().decode().replace(destination, '')}")
            with ftp(self.node) as client, self.assertRaises(ftplib.error_perm) as refused:
                client.cwd(f"/{destination}")
            answers.add(str(refused.exception).replace(destination, ""))
        self.assertEqual(len(answers), 2, answers)

    def test_a_user_without_a_destination_can_log_in_nowhere(self) -> None:
        self.node.ecpds("user", "add", "lost", "--password-stdin", stdin=PASSWORD + "\n")
        with self.assertRaises(ftplib.error_perm):
            ftp(self.node, "lost")
        denials = [event for event in self.node.json_lines("events", "--type", "DEA") if event["UserId"] == "lost"]
        self.assertEqual([event["Message"] for event in denials], ["No associated Destinations"])


class Lines(RealTestCase):
    def test_an_over_long_command_is_refused(self) -> None:
        with connected(self.node, "ftp") as connection:
            self.assertTrue(connection.recv(1000).startswith(b"220"))
            try:
                connection.sendall(b"USER " + b"x" * 1_000_000 + b"\r\n")
            except OSError:
                return  # closed in our face, which is a refusal too
            self.assertIn(connection.recv(1000)[:1], (b"5", b"4", b""))
        self.check_it_serves()

    def test_an_over_long_head_is_refused(self) -> None:
        for head, statuses in ((b"GET /" + b"x" * 100_000, (414, 431)), (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, (431,))):
            with connected(self.node, "https") as connection:
                try:
                    connection.sendall(head)
                    said = connection.recv(1000)
                except OSError:
                    continue
                self.assertIn(int(said.split()[1]), statuses)
        self.check_it_serves()

    def check_it_serves(self) -> None:
        with ftp(self.node) as client:
            client.voidcmd("NOOP")


class Vanishing(RealTestCase):
    options: ClassVar[Options] = {"limits": {"ticket_life": 1.0}}

    def failed_records(self, name: str) -> list[Any]:
        return [event for event in self.node.json_lines("events", "--type", "INH") if event["FileName"].endswith(name)]

    def check_nothing_is_left(self, name: str) -> None:
        """One failed record, no name, and the bytes are given back."""
        records = until(lambda: self.failed_records(name), "a record", 20)
        self.assertEqual([record["Status"] for record in records], ["failed"])
        self.assertNotEqual(self.node.try_ecpds("file", "show", f"/{DESTINATION}/{name}").returncode, 0)
        with ftp(self.node) as client:
            self.assertNotIn(name, client.nlst())
        until(lambda: not self.node.stored_files(), "the staged bytes to go", 20)

    def test_in_the_middle_of_an_ftp_upload(self) -> None:
        client = ftp(self.node)
        data = client.transfercmd("STOR cut-ftp")
        data.sendall(os.urandom(3 * PIECE))
        vanish(client)
        vanish(data)
        self.check_nothing_is_left("cut-ftp")

    def test_a_data_connection_that_is_reset(self) -> None:
        with ftp(self.node) as client:
            data = client.transfercmd("STOR cut-data")
            data.sendall(os.urandom(3 * PIECE))
            vanish(data)
            with self.assertRaises(ftplib.Error) as refused:
                client.voidresp()
            self.assertIn(str(refused.exception)[0], "45")
            client.voidcmd("NOOP")
        self.check_nothing_is_left("cut-data")

    def test_in_the_middle_of_an_https_upload(self) -> None:
        for number, end in enumerate((vanish, socket.socket.close)):
            name = f"cut-https-{number}"
            with connected(self.node, "https") as connection:
                head = f"PUT {path_of(name)} HTTP/1.1\r\nHost: x\r\nContent-Length: {8 * PIECE}\r\n"
                connection.sendall((head + fields(authorization()) + "\r\n").encode() + os.urandom(3 * PIECE))
                end(connection)
            self.check_nothing_is_left(name)

    def test_a_chunked_upload_without_its_last_chunk(self) -> None:
        with connected(self.node, "https_plain") as connection:
            head = f"PUT {path_of('cut-chunked')} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            connection.sendall((head + fields(authorization()) + "\r\n").encode() + b"400\r\n" + b"x" * 1024 + b"\r\n")
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1000)
        self.check_nothing_is_left("cut-chunked")

    def test_an_overwrite_that_is_cut_leaves_the_old_content(self) -> None:
        source, _ = self.random_file(PIECE)
        Curl(self.node, "ftp").put(source, "old")
        client = ftp(self.node)
        data = client.transfercmd("STOR old")
        data.sendall(os.urandom(3 * PIECE))
        vanish(data)
        vanish(client)
        until(lambda: "failed" in [record["Status"] for record in self.failed_records("old")], "a record", 20)
        Curl(self.node, "https").get("old", self.folder / "target")
        self.assertEqual((self.folder / "target").read_bytes(), source.read_bytes())
        Curl(self.node, "https")("-X", "DELETE", self.node.url("https", "old"))
        until(lambda: not self.node.stored_files(), "the staged bytes to go", 20)

    def test_a_download_that_is_cut(self) -> None:
        source, _ = self.random_file(30 * PIECE)
        Curl(self.node, "ftp").put(source, "pulled")
        with connected(self.node, "https") as connection:
            connection.sendall(f"GET {path_of('pulled')} HTTP/1.1\r\nHost: x\r\n{fields(authorization())}\r\n".encode())
            connection.recv(1000)
            vanish(connection)
        records = until(lambda: [r for r in self.failed_records("pulled") if r["Status"] == "failed"], "a record", 20)
        self.assertEqual(len(records), 1)
        self.assertLess(records[0]["BytesSent"], 30 * PIECE)
        Curl(self.node, "https")("-X", "DELETE", self.node.url("https", "pulled"))
        until(lambda: not self.node.stored_files(), "the deleted bytes to go", 20)
