"""SFTP and scp with the clients that people have."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SkipTest

from ecpds.ssh.algorithms import KEY_EXCHANGES
from tests.real.case import RealTestCase, sha256
from tests.real.clients import ClientFailed, missing, run
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Options, until
from tests.real.relay import relay
from tests.real.ssh_clients import (
    PASSWORD_ONLY,
    UNKNOWN_HOST,
    Asyncssh,
    CurlSftp,
    CurlSsh,
    LftpSftp,
    Paramiko,
    Pscp,
    Rclone,
    Scp,
    Sftp,
    Ssh2Sftp,
    mounted,
    remote,
    ssh,
    with_password,
)

NAME = "ein Ü und é; $(id) 'q'.bin"
PLAIN = "plain.bin"
MANY_SIZE = 3_000_001

USUAL = {
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "ecdsa-sha2-nistp256",
    "hmac-sha2-256",
    "hmac-sha2-512",
}
"""What ssh-audit fails or warns of in an OpenSSH 9.2 that nobody has configured, and we offer too."""

OPTIONS: Options = {"node": {"roles": ["master", "mover", "ftp", "https", "ssh"]}, "ssh": {"port": 0}}


class SshClients(RealTestCase):
    options: ClassVar[Options] = OPTIONS

    def need(self, *programs: str) -> None:
        for program in programs:
            why = missing(program)
            if why:
                raise SkipTest(why)

    def round_trip(self, client: Any, name: str, size: int = MANY_SIZE) -> None:
        """Put, list where the client can, get, overwrite, rename and delete."""
        self.need(client.program, "sshpass")
        source, digest = self.random_file(size)
        client.put(source, name)
        if hasattr(client, "list"):
            self.assertIn(name, client.list())
        target = self.folder / "back"
        client.get(name, target)
        self.assertEqual(sha256(target), digest)
        shorter, digest = self.random_file(1000, "shorter")
        client.put(shorter, name)
        client.get(name, target)
        self.assertEqual((target.stat().st_size, sha256(target)), (1000, digest))
        if hasattr(client, "rename"):
            client.rename(name, "renamed")
            self.assertIn("renamed", client.list().splitlines())
            self.assertNotIn(name, client.list())
            client.delete("renamed")
            self.assertNotIn("renamed", client.list())

    def test_sftp(self) -> None:
        self.round_trip(Sftp(self.node), NAME)

    def test_sftp_with_each_cipher(self) -> None:
        ciphers = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"]
        for cipher in ciphers:
            self.round_trip(Sftp(self.node, f"-oCiphers={cipher}"), PLAIN)
        for mac in ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"):
            self.round_trip(Sftp(self.node, "-oCiphers=aes128-ctr", f"-oMACs={mac}"), PLAIN)

    def test_each_key_exchange_and_host_key(self) -> None:
        here = run(["ssh", "-Q", "kex"]).split()
        for name in map(bytes.decode, KEY_EXCHANGES):
            if name in here:
                self.assertIn("Remote working directory", Sftp(self.node, f"-oKexAlgorithms={name}")("pwd"))
        for name in ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"):
            self.assertIn("Remote working directory", Sftp(self.node, f"-oHostKeyAlgorithms={name}")("pwd"))
        with self.assertRaises(ClientFailed):
            Sftp(self.node, "-oHostKeyAlgorithms=ssh-rsa")("pwd")

    def test_ml_kem(self) -> None:
        if b"mlkem768x25519-sha256" not in KEY_EXCHANGES:
            raise SkipTest("this cryptography library has no ML-KEM")
        with self.assertLogs("paramiko", "DEBUG") as logged, Paramiko(self.node).session() as session:
            self.assertEqual(session.normalize("."), "/")
        self.assertIn("Kex: mlkem768x25519-sha256", "".join(logged.output))

    def test_openssh_agrees_on_an_aead_and_on_strict_key_exchange(self) -> None:
        words = ["-vvv", *UNKNOWN_HOST[1:], *PASSWORD_ONLY, "-p", str(self.node.ports["ssh"]), f"{LOGIN}@127.0.0.1"]
        done = subprocess.run(
            ["sshpass", "-e", "ssh", *words, "sha256sum"],
            env={**os.environ, "SSHPASS": PASSWORD},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        self.assertIn("resetting send seqnr", done.stderr)
        self.assertIn("server->client cipher: chacha20-poly1305@openssh.com MAC: <implicit>", done.stderr)

    def test_ssh_audit_finds_nothing_that_it_does_not_find_in_openssh(self) -> None:
        program = Path(sys.executable).with_name("ssh-audit")
        self.need(str(program))
        words = [str(program), "-jj", "--skip-rate-test", "-p", str(self.node.ports["ssh"]), "127.0.0.1"]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout)
        for kind in ("kex", "key", "enc", "mac"):
            worse = [each["algorithm"] for each in found[kind] if {"fail", "warn"} & each.get("notes", {}).keys()]
            self.assertLessEqual(set(worse), USUAL, kind)
        self.assertIn("properly supports the strict key exchange", "".join(found["additional_notes"]))

    def test_new_keys_in_a_transfer(self) -> None:
        self.round_trip(Sftp(self.node, "-oRekeyLimit=1M"), PLAIN, 20_000_000)

    def test_scp_over_sftp(self) -> None:
        self.round_trip(Scp(self.node), NAME)

    def test_scp_by_its_own_dialogue(self) -> None:
        self.round_trip(Scp(self.node, "-O"), NAME)

    def test_pscp(self) -> None:
        self.need("pscp")
        self.round_trip(Pscp(self.node, "-sftp"), PLAIN)
        self.round_trip(Pscp(self.node, "-scp"), PLAIN)

    def test_curl(self) -> None:
        if "sftp" not in run(["curl", "--version"]):
            raise SkipTest("this curl has no SFTP")
        self.round_trip(CurlSftp(self.node, "sftp"), PLAIN)
        self.round_trip(CurlSsh(self.node, "scp"), PLAIN)

    def test_lftp(self) -> None:
        self.round_trip(LftpSftp(self.node), "ein Ü.bin")

    def test_rclone(self) -> None:
        self.round_trip(Rclone(self.node), NAME)

    def test_paramiko(self) -> None:
        self.round_trip(Paramiko(self.node), NAME)

    def test_asyncssh(self) -> None:
        self.round_trip(Asyncssh(self.node), NAME)

    def test_ssh2_sftp_client(self) -> None:
        if why := Ssh2Sftp.missing():
            raise SkipTest(why)
        client = Ssh2Sftp(self.node)
        self.round_trip(client, NAME)
        source, digest = self.random_file(MANY_SIZE)
        client.put(source, "new.part")
        client("replace", remote("new.part"), remote("new"))
        self.assertEqual(self.node.json("file", "show", remote("new"))["digests"]["sha256"], digest)

    def test_sshfs(self) -> None:
        self.need("sshfs")
        if not os.access("/dev/fuse", os.W_OK):
            raise SkipTest("no FUSE here")
        source, digest = self.random_file(MANY_SIZE)
        with mounted(self.node, self.folder / "mount") as folder:
            shutil.copyfile(source, folder / "by-sshfs")
            until((folder / "by-sshfs").exists, "the commit, which sshfs does not wait for")
            self.assertEqual(sha256(folder / "by-sshfs"), digest)
            (folder / "by-sshfs").rename(folder / "renamed")
            self.assertIn("renamed", os.listdir(folder))
            (folder / "renamed").unlink()

    # What only some can

    def test_a_key_logs_in(self) -> None:
        for type, bits in (("ed25519", "256"), ("ecdsa", "256"), ("rsa", "3072")):
            key = self.folder / type
            run(["ssh-keygen", "-q", "-t", type, "-b", bits, "-N", "", "-f", str(key)])
            words = ["sftp", *UNKNOWN_HOST, "-i", str(key), "-oIdentitiesOnly=yes", "-P", str(self.node.ports["ssh"])]
            command = [*words, "-b", "-", f"{LOGIN}@127.0.0.1"]
            with self.assertRaises(ClientFailed):
                run(command, "pwd\n")
            self.node.ecpds("user", "key", LOGIN, "add", f"{key}.pub")
            self.assertIn("Remote working directory: /", run(command, "pwd\n"))

    def test_a_key_and_a_password(self) -> None:
        self.need("sshpass")
        key = self.folder / "both"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
        self.node.add_user("both")
        self.node.ecpds("user", "key", "both", "add", f"{key}.pub")
        self.node.ecpds("user", "set", "both", "--option", "portal.sshNeedsBoth=true")
        words = ["sftp", *UNKNOWN_HOST, "-oBatchMode=no", "-P", str(self.node.ports["ssh"])]
        one, other = ["-i", str(key), "-oIdentitiesOnly=yes"], ["-oPubkeyAuthentication=no", "-oNumberOfPasswordPrompts=1"]
        for options in (one, [*one, "-oPreferredAuthentications=publickey,keyboard-interactive"]):
            self.assertIn("Remote", with_password([*words, *options, "-b", "-", "both@127.0.0.1"], "pwd\n"))
        for options in (other, [*one, "-oPreferredAuthentications=publickey"]):
            with self.assertRaises(ClientFailed):
                with_password([*words, *options, "-b", "-", "both@127.0.0.1"], "pwd\n")

    def test_a_question_for_the_password(self) -> None:
        self.need("sshpass")
        client = Sftp(self.node, "-oPreferredAuthentications=keyboard-interactive")
        self.assertIn("Remote working directory: /", client("pwd"))

    def test_a_wrong_password(self) -> None:
        self.need("sshpass")
        words = ["sshpass", "-p", PASSWORD + "!", "sftp", *UNKNOWN_HOST, "-oBatchMode=no", "-P", str(self.node.ports["ssh"])]
        with self.assertRaises(ClientFailed):
            run([*words, "-b", "-", f"{LOGIN}@127.0.0.1"], "pwd\n")

    def test_trees(self) -> None:
        tree = self.folder / "tree"
        (tree / "sub" / "deeper").mkdir(parents=True)
        for name in ("a b", "empty", "sub/ü", "sub/deeper/-x"):
            (tree / name).write_bytes(name.encode() * 1000 if name != "empty" else b"")
            os.utime(tree / name, (1_600_000_000, 1_600_000_000))
        for number, scp in enumerate((Scp(self.node), Scp(self.node, "-O"))):
            scp("-rp", str(tree), scp.place(f"tree{number}"))
            back = self.folder / f"back{number}"
            scp("-rp", scp.place(f"tree{number}"), str(back))
            run(["diff", "-r", str(tree), str(back)])
            self.assertEqual((back / "sub" / "deeper" / "-x").stat().st_mtime, 1_600_000_000)

    def test_globs(self) -> None:
        source, _ = self.random_file(1000)
        for mode in ((), ("-O",)):
            scp, target = Scp(self.node, *mode), self.folder / f"globbed{len(mode)}"
            target.mkdir()
            for name in ("one.grib", "two.grib", "three.nc"):
                scp.put(source, name)
            scp(f"{LOGIN}@127.0.0.1:{remote('*.grib')}", str(target))
            self.assertEqual(sorted(each.name for each in target.iterdir()), ["one.grib", "two.grib"])

    def test_what_is_not_there(self) -> None:
        for mode in ((), ("-O",)):
            with self.assertRaises(ClientFailed):
                Scp(self.node, *mode).get("nowhere", self.folder / "x")
            with self.assertRaises(ClientFailed):
                Scp(self.node, *mode)(str(self.random_file(10)[0]), f"{LOGIN}@127.0.0.1:/elsewhere/x")

    def test_digests_by_command(self) -> None:
        source, digest = self.random_file(MANY_SIZE)
        Sftp(self.node).put(source, "digested")
        self.assertEqual(ssh(self.node, f"sha256sum {remote('digested')}"), f"{digest}  {remote('digested')}\n")
        with self.assertRaises(ClientFailed):
            ssh(self.node, "md5sum /etc/passwd; id")
        with self.assertRaises(ClientFailed):
            ssh(self.node, "id")

    def test_reget(self) -> None:
        source, digest = self.random_file(MANY_SIZE)
        Sftp(self.node).put(source, "regot")
        target = self.folder / "part"
        target.write_bytes(source.read_bytes()[:1_000_000])
        Sftp(self.node)(f'reget "{remote("regot")}" "{target}"')
        self.assertEqual(sha256(target), digest)

    def test_a_get_goes_on_with_lftp_and_curl(self) -> None:
        self.need("lftp", "curl", "sshpass")
        source, digest = self.random_file(MANY_SIZE)
        Sftp(self.node).put(source, "goes-on")
        target = self.folder / "part"
        lftp, curl = LftpSftp(self.node), CurlSftp(self.node, "sftp")
        for go_on in (
            lambda: lftp(f'get -c "goes-on" -o {target}'),
            lambda: curl("-C", "-", "-o", str(target), f"sftp://127.0.0.1:{self.node.ports['ssh']}{remote('goes-on')}"),
        ):
            target.write_bytes(source.read_bytes()[:1_000_000])
            go_on()
            self.assertEqual(sha256(target), digest)

    def test_times_that_clients_set(self) -> None:
        clients: dict[str, Any] = {
            "sftp": Sftp,
            "lftp": LftpSftp,
            "rclone": Rclone,
            "scp": Scp,
            "scp-O": lambda node: Scp(node, "-O"),
        }
        self.need("lftp", "rclone", "sshpass")
        source, _ = self.random_file(10)
        os.utime(source, (1_600_000_000, 1_600_000_000))
        for name, client in clients.items():
            client(self.node).put(source, f"timed-by-{name}")
            kept = self.node.json("file", "show", remote(f"timed-by-{name}"))["mtime"]
            self.assertTrue(kept.startswith("2020-09-13T12:26:40"), (name, kept))
        Rclone(self.node)("touch", "-t", "2001-02-03T04:05:06", f"node:{remote('timed-by-sftp')}")
        with Paramiko(self.node).session() as session:
            self.assertEqual(session.stat(remote("timed-by-sftp")).st_mtime, 981_173_106)
            session.utime(remote("timed-by-sftp"), (5, 5))
        self.assertEqual(self.node.json("file", "show", remote("timed-by-sftp"))["mtime"][:19], "1970-01-01T00:00:05")

    def test_a_cut_upload_shows_nothing_and_goes_on(self) -> None:
        """The connection ends before the handle is closed; what came is kept, and an append goes on behind it."""
        source, digest = self.random_file(MANY_SIZE)
        content, half = source.read_bytes(), 1_500_000
        with Paramiko(self.node).session() as session:
            file = session.open(remote("cut"), "wb")
            file.write(content[:half])
            file.flush()
            session.stat("/")
            session.sock.get_transport().sock.close()
        until(lambda: self.node.json("status")["uploads"] == 0, "the end of the upload")
        self.assertNotIn("cut", Paramiko(self.node).list().splitlines())
        with Paramiko(self.node).session() as session, session.open(remote("cut"), "ab") as file:
            came = file.stat().st_size
            self.assertGreater(came, 0)
            file.write(content[came:])
        target = self.folder / "back"
        Sftp(self.node).get("cut", target)
        self.assertEqual(sha256(target), digest)

    def test_uploads_go_on_with_reput_and_lftp(self) -> None:
        """The size that STAT tells of what is kept never is the whole file's."""
        self.need("lftp", "sshpass")
        source, digest = self.random_file(MANY_SIZE)
        clients: dict[str, Any] = {
            "reput": lambda name: Sftp(self.node)(f'reput "{source}" "{remote(name)}"'),
            "lftp": lambda name: LftpSftp(self.node)(f'put -c {source} -o "{name}"'),
        }
        for name, go_on in clients.items():
            for part in (1_500_000, MANY_SIZE):
                self.break_off(f"{name}-{part}", source.read_bytes()[:part])
                go_on(f"{name}-{part}")
                kept = self.node.json("file", "show", remote(f"{name}-{part}"))
                self.assertEqual(kept["digests"]["sha256"], digest, (name, part))
        records = self.node.json_lines("events", "--json", "--type", "INH")
        sent = [record["BytesSent"] for record in records if any(f"{name}-" in json.dumps(record) for name in clients)]
        self.assertLess(sum(sent), len(clients) * (2 * MANY_SIZE + 100), "nothing was sent twice")

    def test_rclone_copies_again_what_broke_off(self) -> None:
        """It goes on with no part: it tries anew, and what it left is neither seen nor in its way."""
        self.need("rclone")
        source, digest = self.random_file(MANY_SIZE)
        with relay(self.node.ports["ssh"], MANY_SIZE // 2) as broken:
            Rclone(self.node, broken.port, tries=3)("copyto", str(source), f"node:{remote('broken-put')}")
            self.assertEqual(broken.broken, 1)
        self.assertEqual(self.node.json("file", "show", remote("broken-put"))["digests"]["sha256"], digest)
        target = self.folder / "broken-get"
        with relay(self.node.ports["ssh"], MANY_SIZE // 2, of_server=True) as broken:
            Rclone(self.node, broken.port, tries=3)("copyto", f"node:{remote('broken-put')}", str(target))
            self.assertEqual(broken.broken, 1)
        self.assertEqual(sha256(target), digest)
        self.assertEqual(Rclone(self.node).list().splitlines().count("broken-put"), 1)
        until(lambda: self.node.json("status")["uploads"] == 0, "the end of what broke off")

    def break_off(self, name: str, content: bytes) -> None:
        """Put some of a file, and lose the connection before the handle is closed."""
        with Paramiko(self.node).session() as session:
            file = session.open(remote(name), "wb")
            file.write(content)
            file.flush()
            session.stat("/")
            session.sock.get_transport().sock.close()
        until(lambda: self.node.json("status")["uploads"] == 0, "the end of the upload")

    def test_a_copy_goes_from_file_to_file(self) -> None:
        """copy-data: small files are held in memory, others are read where they lie."""
        for size in (0, 1000, MANY_SIZE):
            source, digest = self.random_file(size)
            client = Sftp(self.node)
            client.put(source, f"from-{size}")
            client(f'cp "{remote(f"from-{size}")}" "{remote(f"to-{size}")}"')
            self.assertEqual(self.node.json("file", "show", remote(f"to-{size}"))["digests"]["sha256"], digest, size)

    def test_the_room_there_is(self) -> None:
        """`df` of sftp, `about` of rclone by SFTP's words, and the command that it would run else."""
        self.need("sshpass", "rclone")
        lines = Sftp(self.node)(f"df {remote('')}").splitlines()
        size, left = (int(lines[-1].split()[column]) for column in (0, 2))
        about = json.loads(Rclone(self.node)("about", "node:/", "--json"))
        free = shutil.disk_usage(self.folder).free
        for total, available in ((size * 1024, left * 1024), (about["total"], about["free"])):
            self.assertLess(abs(available - free), free // 10)
            self.assertGreaterEqual(total, available)
        done = ssh(self.node, "df -k /").splitlines()[1].split()
        self.assertLess(abs(int(done[3]) - left), left // 10)

    def test_check_file(self) -> None:
        source, digest = self.random_file(MANY_SIZE)
        Sftp(self.node).put(source, "checked")
        with Paramiko(self.node).session() as session, session.open(remote("checked"), "rb") as file:
            self.assertEqual(file.check("sha256").hex(), digest)

    def test_hostile_names(self) -> None:
        source = str(self.random_file(10)[0])
        for name in ("../../../../etc/x", "..", "/etc/passwd", "a\x01b", "x" * 300):
            with self.assertRaises((ClientFailed, OSError)), Paramiko(self.node).session() as session:
                session.put(source, name)
        self.assertFalse(Path("/etc/x").exists())
        with Paramiko(self.node).session() as session:
            session.put(source, f"/nowhere/../{DESTINATION}/./ok")
            self.assertIn("ok", session.listdir(remote("")))

    def test_no_shell(self) -> None:
        self.need("sshpass")
        words = ["sshpass", "-e", "ssh", *UNKNOWN_HOST, "-p", str(self.node.ports["ssh"]), "-T", f"{LOGIN}@127.0.0.1"]
        done = subprocess.run(words, env={**os.environ, "SSHPASS": PASSWORD}, capture_output=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
