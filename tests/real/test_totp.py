"""One-time codes at every door, as people's programs bring them: behind the password, or asked for by itself."""

from __future__ import annotations

import base64
import ftplib
import http.client
import ssl
import time
from typing import ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

import paramiko
from botocore.exceptions import ClientError

from ecpds.master.codes import STEP, code_of
from tests.real.clients import authorization
from tests.real.harness import DESTINATION, Options
from tests.real.test_every_door import Doors

PASSWORD = "as-long-as-it-is-secret"
DOORS = ("ftp", "ssh", "asked", "page", "basic")


class OneTimeCodes(Doors):
    """Each door has a user of its own, for a code is taken once."""

    options: ClassVar[Options] = Doors.options

    def enrol(self, login: str) -> bytes:
        self.node.ecpds("user", "add", login, "--password-stdin", "--destination", DESTINATION, stdin=PASSWORD)
        uri = self.node.json("user", "totp", login, "enrol")["uri"]
        return base64.b32decode(parse_qs(urlsplit(uri).query)["secret"][0])

    def attempt(self, door: str, login: str, code: str) -> bool:
        """Whether a door lets somebody in."""
        attempts = {
            "ftp": self.by_ftp,
            "ssh": self.by_ssh,
            "asked": self.by_asking,
            "page": self.by_page,
            "basic": self.by_basic,
        }
        return attempts[door](login, code)

    def by_ftp(self, login: str, code: str) -> bool:
        with ftplib.FTP(timeout=30) as client:
            client.connect("127.0.0.1", self.node.ports["ftp"])
            try:
                return client.login(login, PASSWORD + code).startswith("230")
            except ftplib.error_perm as error:
                self.assertEqual(str(error)[:3], "530")
                return False

    def transport(self) -> paramiko.Transport:
        transport = paramiko.Transport(("127.0.0.1", self.node.ports["ssh"]))
        transport.start_client(timeout=30)
        self.addCleanup(transport.close)
        return transport

    def by_ssh(self, login: str, code: str) -> bool:
        transport = self.transport()
        try:
            transport.auth_password(login, PASSWORD + code, fallback=False)
        except paramiko.AuthenticationException:
            return False
        return "fetched" in paramiko.SFTPClient.from_transport(transport).listdir(f"/{DESTINATION}")

    def by_asking(self, login: str, code: str) -> bool:
        asked: list[str] = []

        def answer(title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
            ((prompt, echo),) = prompts
            self.assertFalse(echo)
            asked.append(prompt)
            return [PASSWORD if len(asked) == 1 else code]

        transport = self.transport()
        try:
            transport.auth_interactive(login, answer)
        except paramiko.AuthenticationException:
            return False
        finally:
            self.assertEqual([each.strip() for each in asked], ["Password:", "One-time code:"])
        return transport.is_authenticated()

    def by_page(self, login: str, code: str) -> bool:
        client = self.https()
        form = urlencode({"login": login, "password": PASSWORD, "code": code, "to": ""})
        client.request("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = client.getresponse()
        answer.read()
        self.assertIn(answer.status, (303, 403))
        return answer.status == 303

    def https(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = http.client.HTTPSConnection("127.0.0.1", self.node.ports["https"], context=context, timeout=30)
        self.addCleanup(client.close)
        return client

    def by_basic(self, login: str, code: str) -> bool:
        """Three requests on two connections, as programs send them."""
        found = set()
        for client in (self.https(), self.https()):
            for _ in range(2):
                client.request("GET", f"/data/{DESTINATION}/fetched", headers=authorization(login, PASSWORD + code))
                answer = client.getresponse()
                found.add((answer.status, answer.read() == b"bytes"))
        self.assertIn(found, ({(200, True)}, {(401, False)}))
        return found == {(200, True)}

    def test_doors(self) -> None:
        self.put("ftp", "fetched", b"bytes")
        for door in DOORS:
            with self.subTest(door=door):
                secret = self.enrol(door)
                self.assertFalse(self.attempt(door, door, "" if door != "asked" else "x"))
                # The code of the next step is good for at least as long as a step lasts.
                code = code_of(secret, int(time.time()) // STEP + 1)
                self.assertTrue(self.attempt(door, door, code))
                other = "basic" if door == "ftp" else "ftp"
                self.assertFalse(self.attempt(other, door, code), "a code is taken once")

    def test_access_keys_are_enough_but_where_only_a_code_is(self) -> None:
        self.put("ftp", "fetched", b"bytes")
        self.enrol("keys")
        key = self.node.json("user", "s3key", "keys", "add")
        self.patch(type(self), "key", key)
        client = self.client("http")
        self.assertEqual(client.get_object(Bucket=DESTINATION, Key="fetched")["Body"].read(), b"bytes")
        self.node.ecpds("user", "set", "keys", "--option", "portal.totp=only")
        with self.assertRaises(ClientError):
            client.get_object(Bucket=DESTINATION, Key="fetched")
