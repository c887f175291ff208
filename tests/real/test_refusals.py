"""Bad input over real sockets: a refusal in the protocol's words, one record, nothing changed, nothing left behind."""

from __future__ import annotations

import ftplib
import json
import os
import socket
from contextlib import ExitStack, closing
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


def transfers(node: Node, name: str) -> list[Any]:
    """The records of what crossed of a file, the newest first."""
    return [event for event in node.json_lines("events", "--type", "INH") if event["FileName"] == name]


def said_at_the_end(connection: socket.socket) -> bytes:
    """What the other side says before it closes; nothing where it just does."""
    try:
        return connection.recv(1000)
    except ConnectionResetError:
        return b""


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
    options: ClassVar[Options] = {"limits": {"ticket_life": 1.0, "partial_life": 1.0}}
    """What came of a cut upload is kept for its client only so long."""

    def check_nothing_is_left(self, name: str) -> None:
        """One failed record, no name, and the bytes are given back."""
        records = until(lambda: transfers(self.node, name), "a record", 20)
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
        until(lambda: "failed" in [record["Status"] for record in transfers(self.node, "old")], "a record", 20)
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
        records = until(lambda: [r for r in transfers(self.node, "pulled") if r["Status"] == "failed"], "a record", 20)
        self.assertEqual(len(records), 1)
        self.assertLess(records[0]["BytesSent"], 30 * PIECE)
        Curl(self.node, "https")("-X", "DELETE", self.node.url("https", "pulled"))
        until(lambda: not self.node.stored_files(), "the deleted bytes to go", 20)


class Stalling(RealTestCase):
    """Clients that stop in the middle and stay; they are given up after `[limits] stall`."""

    options: ClassVar[Options] = {"limits": {"stall": 1.0, "header_time": 1.0, "passive_wait": 1.0, "ticket_life": 1.0}}

    def check_record(self, name: str) -> None:
        """One failed record of it, and no bytes left but those of `large`."""
        records = until(lambda: transfers(self.node, name), "a record", 20)
        self.assertEqual([record["Status"] for record in records], ["failed"])
        until(lambda: len(self.node.stored_files()) <= 1, "the staged bytes to go", 20)

    def test_an_ftp_client_that_stops_sending(self) -> None:
        with ftp(self.node) as client:
            data = client.transfercmd("STOR stalled-ftp")
            data.sendall(os.urandom(2 * PIECE))
            with self.assertRaises(ftplib.Error) as refused:
                client.voidresp()
            self.assertIn(str(refused.exception)[0], "45")
            data.close()
            client.voidcmd("NOOP")
        self.check_record("stalled-ftp")

    def test_an_https_client_that_stops_sending(self) -> None:
        with connected(self.node, "https") as connection:
            head = f"PUT {path_of('stalled-https')} HTTP/1.1\r\nHost: x\r\nContent-Length: {8 * PIECE}\r\n"
            connection.sendall((head + fields(authorization()) + "\r\n").encode() + os.urandom(2 * PIECE))
            self.assertIn(said_at_the_end(connection)[:12], (b"", b"HTTP/1.1 408"))
        self.check_record("stalled-https")

    def test_a_head_that_never_ends(self) -> None:
        with connected(self.node, "https") as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            self.assertIn(said_at_the_end(connection)[:12], (b"", b"HTTP/1.1 408"))

    def test_a_data_connection_that_never_comes(self) -> None:
        with ftp(self.node) as client:
            client.makepasv()
            client.putcmd("STOR never-came")
            with self.assertRaises(ftplib.error_temp) as refused:
                while client.getresp().startswith("1"):
                    pass
            self.assertEqual(str(refused.exception)[:3], "425")
            self.assertNotIn("never-came", client.nlst())

    def test_clients_that_stop_reading(self) -> None:
        source, _ = self.random_file(30 * PIECE, "large")
        Curl(self.node, "https").put(source, "large")
        with ExitStack() as stack:
            by_ftp = stack.enter_context(stack.enter_context(closing(ftp(self.node))).transfercmd("RETR large"))
            by_https = stack.enter_context(connected(self.node, "https"))
            by_https.sendall(f"GET {path_of('large')} HTTP/1.1\r\nHost: x\r\n{fields(authorization())}\r\n".encode())
            for connection in (by_ftp, by_https):
                self.assertTrue(connection.recv(1000))
            records = until(lambda: self.two_downloads(), "two records", 20)
        self.assertEqual(sorted(record["TransferProtocol"] for record in records), ["ftp", "https"])
        self.assertEqual({record["Status"] for record in records}, {"failed"})

    def two_downloads(self) -> list[Any] | None:
        found = [record for record in transfers(self.node, "large") if record["Action"] == "download"]
        return found if len(found) == 2 else None


class NoRoom(RealTestCase):
    """A volume that must keep more free than it has, and a limit on a file's size."""

    options: ClassVar[Options] = {"limits": {"free_space": 1 << 60}}

    def check_refused(self, name: str, ftp_code: str, status: int) -> None:
        """By either door, in its own words; nothing is left, and one record each says why."""
        source, _ = self.random_file(PIECE)
        with ftp(self.node) as client, source.open("rb") as file:
            with self.assertRaises(ftplib.Error) as refused:
                client.storbinary(f"STOR {name}", file)
            self.assertEqual(str(refused.exception)[:3], ftp_code)
        connection = https(self.node)
        connection.request("PUT", path_of(name), source.read_bytes(), authorization())
        self.assertEqual(connection.getresponse().status, status)
        until(lambda: not self.node.stored_files(), "the staged bytes to go", 20)
        records = [event for event in self.node.json_lines("events") if name in json.dumps(event)]
        self.assertEqual(len(records), 2, records)

    def test_no_space(self) -> None:
        self.check_refused("no-space", "452", 507)


class TooLarge(NoRoom):
    options: ClassVar[Options] = {"limits": {"file_size": 1000}}

    def test_no_space(self) -> None:
        """A file that is larger than is allowed."""
        self.check_refused("too-large", "552", 413)


class CommandLine(RealTestCase):
    def test_exit_statuses(self) -> None:
        """0 done, 1 refused with one sentence on standard error, 2 wrong usage."""
        self.assertEqual(self.node.try_ecpds("status").returncode, 0)
        refused = self.node.try_ecpds("file", "show", f"/{DESTINATION}/none")
        self.assertEqual((refused.returncode, refused.stdout, len(refused.stderr.splitlines())), (1, "", 1), refused)
        self.assertEqual(self.node.try_ecpds("file", "shaw").returncode, 2)

    def test_a_node_that_does_not_run(self) -> None:
        absent = Node(self.folder / "absent")
        refused = absent.try_ecpds("status")
        self.assertEqual((refused.returncode, len(refused.stderr.splitlines())), (1, 1), refused)
