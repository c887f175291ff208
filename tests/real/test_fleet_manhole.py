"""The manhole of a node that is no Master, with OpenSSH's own client: its verbs are asked of the Master."""

from __future__ import annotations

import ftplib
import io
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from ecpds.http.replies import STATUS
from tests.real.fleet import Fleet
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Node

SSH = "/usr/bin/ssh"
MEMBER = "member"
FILE = f"/{DESTINATION}/x"

SESSION = (
    ('add_destination("charts")', r"charts"),
    ('set_destination("charts", lifetime="30d")', r"2592000"),
    ("destinations()", rf"{DESTINATION}[^\n]*\n.*charts"),
    ('destination("charts")', r"charts"),
    ('destination("nowhere")', r"^That is not there: destination 'nowhere'"),
    ('add_policy("readers", permission=["get"])', r"readers"),
    ("policies()", r"readers"),
    ('policy("readers")', r"readers"),
    ('set_policy("readers", comment="who reads")', r"who reads"),
    ('add_user("bob", password="a secret of bob\'s", destination=["charts"])', r"bob"),
    ('set_user("bob", policy=["readers"])', r"readers"),
    ('passwd_user("bob", password="another secret")', r"bob"),
    ("users()", rf"{LOGIN}[^\n]*\n.*bob"),
    ('user("bob")', r"charts"),
    ('user_key("bob", "list")', r""),
    ('user_s3key("bob", "add")', r"secret_access_key"),
    (f'add_share("{LOGIN}", "{FILE}")', re.escape(FILE)),
    ("shares()", re.escape(FILE)),
    ("rm_share(1)", r"1"),
    ("options()", r"portal\."),
    (f'files("/{DESTINATION}/")', re.escape(FILE)),
    (f'file("{FILE}")', MEMBER),
    (f'rm_file("{FILE}")', re.escape(FILE)),
    ("events(limit=1)", r"INH|DEA"),
    ("movers()", MEMBER),
    (f'drain("{MEMBER}")', r"draining +(yes|True)"),
    (f'undrain("{MEMBER}")', r"draining +(no|False)"),
    ('add_source("s", host=["http://data.example"])', r"data\.example"),
    ("sources()", r"s "),
    ('source("s")', r"data\.example"),
    ('explain_source("http://data.example/x")', r"data\.example"),
    ('disable_source("s")', r"enabled +(no|False)"),
    ('enable_source("s")', r"enabled +(yes|True)"),
    ('rank_source("s")', r""),
    ("kept = export_source()", r""),
    ('import_source(__import__("json").dumps(kept), mode="merge", dry_run=True)', r"dry_run +(yes|True)"),
    ("audit_source()", r"data_source|source"),
    ('rm_source("s")', r"s"),
    ('rm_user("bob")', r"bob"),
    ('rm_policy("readers")', r"readers"),
    ('rm_destination("charts")', r"charts"),
    ("status()", r"master"),
    ("node.config.node.name", rf"'{MEMBER}'"),
    (f'retire("{MEMBER}")', MEMBER),
)
"""What is typed, and what is then shown; that every verb is asked in the same way, tests/admin/test_forward.py tests."""

REFUSALS = tuple(text for kind in STATUS for text in (kind().sentence[:-1], kind.of_no_path) if text)


class Elsewhere(SynchronousTestCase):
    skip = None if os.access(SSH, os.X_OK) else "OpenSSH's client is not installed"
    fleet: ClassVar[Fleet]
    maxDiff = None
    member: ClassVar[Node]
    folder: ClassVar[Path]

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        roles = {"roles": ["mover", "ftp", "manhole"]}
        own = {"master": {"node": {"roles": ["master"]}}, MEMBER: {"node": roles, "manhole": {"port": 0}}}
        self.fleet = Fleet(self.folder, (MEMBER,), {"limits": {"master_wait": 2.0}}, own=own)
        self.addCleanup(self.fleet.end)
        self.fleet.start()
        self.fleet.master.populate()
        self.member = self.fleet.members[MEMBER]
        self.key = self.folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        shutil.copy(f"{self.key}.pub", self.member.home / "manhole.keys")

    def typed(self, *lines: str) -> list[str]:
        """What each line shows."""
        port = str(self.member.ports["manhole"])
        known = ["-oStrictHostKeyChecking=no", f"-oUserKnownHostsFile={self.folder}/known", "-oIdentitiesOnly=yes"]
        words = [SSH, "-tt", "-F", "none", "-oLogLevel=ERROR", *known, "-i", str(self.key), "-p", port, "127.0.0.1"]
        done = subprocess.run(
            words, input="".join(f"{line}\r" for line in lines).encode(), capture_output=True, timeout=60, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        text = re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", done.stdout.decode()).replace("\r", "")
        shown = [each.partition("\n")[2] for each in text.split(">>> ") if "\n" in each]
        self.assertIn(f"ecpds manhole on {MEMBER}", text)
        return shown[-len(lines) - 1 : -1]

    def is_right(self, line: str, pattern: str, text: str) -> bool:
        refused = text.startswith(REFUSALS) or "Traceback" in text or "The portal failed" in text
        return refused is ("nowhere" in line) and re.search(pattern, text, re.DOTALL) is not None

    def test_each_verb_and_a_master_that_is_away(self) -> None:
        with ftplib.FTP() as client:
            client.connect("127.0.0.1", self.member.ports["ftp"])
            client.login(LOGIN, PASSWORD)
            client.storbinary(f"STOR {FILE}", io.BytesIO(b"text"))
        shown = self.typed(*(line for line, _ in SESSION))
        pairs = zip(SESSION, shown, strict=True)
        self.assertEqual([(line, text) for (line, pattern), text in pairs if not self.is_right(line, pattern, text)], [])
        self.fleet.master.kill()
        self.assertEqual([text.count("the Master can't be reached") for text in self.typed("users()", "status()")], [1, 1])
        self.fleet.master.start()
        self.fleet.wait_for(MEMBER)
        self.assertIn(LOGIN, self.typed("users()")[0])
