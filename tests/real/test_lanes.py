"""Files fetched without a reactor, by threads (`sources.fetch.lanes`): what comes, what is left, and what is left behind."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from ecpds.sources.fetch.common import Common
from ecpds.sources.fetch.lanes import Lanes
from ecpds.sources.fetch.names import part_name, state_name
from ecpds.sources.fetch.outcomes import Outcome, Silent, Task
from ecpds.sources.fetch.plain import MANY, Places
from ecpds.sources.fetch.settings import Settings
from ecpds.sources.fetch.sidecar_forms import ENOUGH, Folders
from ecpds.sources.fetch.wanted import Right
from tests.real.ranges import Ranges, Served

MIB = 1 << 20
BODY = Random(5).randbytes(24 * MIB + 12345)
SMALL = BODY[:5000]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class LanesCase(TestCase):
    def setUp(self) -> None:
        self.folder = Path(mkdtemp(prefix="ecpds-lanes-"))
        self.addCleanup(rmtree, self.folder, True)
        self.servers = [self.server() for _ in range(4)]
        self.outcomes: list[Outcome] = []

    def server(self) -> Ranges:
        made = Ranges()
        self.addCleanup(made.end)
        return made

    def serve(self, body: bytes = BODY, target: str = "/d/f", **said: object) -> list[str]:
        """The URLs of a file that all servers have."""
        return [each.serve(target, Served(body, **said)) for each in self.servers]  # type: ignore[arg-type]

    def task(self, *urls: str, name: str = "f", **digests: str) -> Task:
        task = Task(urls[0], self.folder / name, mirrors=urls)
        task.wanted.say(Right.MANIFEST, digests, "the manifest")
        return task

    def common(self, **settings: object) -> Common:
        made = Common(time.monotonic, Settings(**settings), Places(), Folders(), Silent(), 8)  # type: ignore[arg-type]
        self.addCleanup(made.close)
        return made

    def fetch(self, *tasks: Task, at_once: int = 8, **settings: object) -> set[Task]:
        return Lanes(self.common(**settings), self.outcomes.append).run(tasks, at_once)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def comes(self, task: Task, body: bytes, **settings: object) -> Outcome:
        """The file is fetched, and nothing else is left."""
        self.assertEqual(self.fetch(task, **settings), {task})
        self.assertEqual((self.folder / "f").read_bytes(), body)
        self.assertEqual(self.names(), ["f"])
        outcome = self.outcomes[-1]
        self.assertEqual((outcome.done, outcome.sha256, outcome.size), (True, sha256(body), len(body)))
        return outcome

    def leaves(self, task: Task, **settings: object) -> None:
        """The file is left, and nothing of it is here."""
        self.assertEqual(self.fetch(task, **settings), set())
        self.assertEqual((self.names(), self.outcomes), ([], []))

    def noted(self) -> list[tuple[int, int]]:
        """What is said to be here of a large file, which is."""
        said = json.loads((self.folder / state_name("f")).read_text())
        part = (self.folder / part_name("f")).read_bytes()
        self.assertFalse((self.folder / "f").exists(), "half a file was seen")
        self.assertEqual(said["size"], len(BODY))
        for begin, end in said["done"]:
            self.assertEqual(part[begin:end], BODY[begin:end])
        return [(begin, end) for begin, end in said["done"]]


class What(LanesCase):
    def test_small(self) -> None:
        for body in (b"", b"x", SMALL, BODY[:MIB]):
            urls = self.serve(body, fields={"Last-Modified": "Sun, 22 Nov 2026 08:00:00 GMT"})
            outcome = self.comes(self.task(*urls), body)
            self.assertEqual([(each.url, each.ok) for each in outcome.attempts], [(urls[0], True)])
            self.assertEqual((self.folder / "f").stat().st_mtime, 1795334400)

    def test_large_from_one(self) -> None:
        urls = self.serve(fields={"Last-Modified": "Sun, 22 Nov 2026 08:00:00 GMT"})
        self.comes(self.task(urls[0]), BODY, sidecars=False)
        self.assertEqual((self.folder / "f").stat().st_mtime, 1795334400)
        self.assertEqual([each.range for each in self.servers[0].asked], [""], "one stream has all of it")

    def test_large_from_four(self) -> None:
        """The first is held until others have joined."""
        urls = self.serve()
        self.servers[0].hold.clear()
        threading.Thread(target=self.release_when_joined, daemon=True).start()
        outcome = self.comes(self.task(*urls), BODY)
        self.assertEqual([(each.url, each.ok) for each in outcome.attempts], [(url, True) for url in urls])

    def release_when_joined(self) -> None:
        while not all(any(each.range for each in server.asked) for server in self.servers[1:]):
            time.sleep(0.01)
        self.servers[0].hold.set()

    def test_mirrors_with_tags_of_their_own_show_what_they_have(self) -> None:
        urls = [each.serve("/d/f", Served(BODY, tag=f'"{number}"')) for number, each in enumerate(self.servers)]
        self.servers[0].hold.clear()
        threading.Thread(target=self.release_when_joined, daemon=True).start()
        self.assertEqual(len(self.comes(self.task(*urls), BODY).attempts), 4)

    def test_no_more_streams_than_are_asked_for(self) -> None:
        self.comes(self.task(*self.serve()), BODY, streams=1, sidecars=False)
        self.assertEqual([server.connections for server in self.servers], [1, 0, 0, 0])

    def test_several_streams_to_one(self) -> None:
        self.comes(self.task(self.serve()[0]), BODY, per_source=3, sidecars=False)
        self.assertGreater(len(self.servers[0].asked), 1)

    def test_many(self) -> None:
        tasks = []
        for number in range(40):
            urls = self.serve(BODY[number : number + 3000], f"/d/f{number}")
            tasks.append(self.task(*urls, name=f"f{number}"))
        self.assertEqual(self.fetch(*tasks), set(tasks))
        for number, task in enumerate(tasks):
            self.assertEqual(task.target.read_bytes(), BODY[number : number + 3000])
        self.assertTrue(all(server.connections for server in self.servers), "some server was never tried")
        asked = [each for server in self.servers for each in server.asked if each.target.endswith(("256", "md5"))]
        self.assertLessEqual(len(asked), 4 * (ENOUGH + 8), "side-cars were asked for though there are none")

    @settings(max_examples=25, deadline=None)
    @given(st.integers(MIB - 2, 3 * MIB), st.integers(1, 4))
    def test_any_size(self, size: int, servers: int) -> None:
        urls = self.serve(BODY[:size])[:servers]
        self.comes(self.task(*urls), BODY[:size], sidecars=False)


class Digests(LanesCase):
    def test_of_the_manifest(self) -> None:
        urls = self.serve()
        self.leaves(self.task(*urls, sha256=sha256(b"another")))
        digests = {name: hashlib.new(name, BODY).hexdigest() for name in ("sha256", "sha512", "md5")}
        self.comes(self.task(*urls, **digests), BODY)
        self.assertEqual({each.target for each in self.servers[0].asked}, {"/d/f"}, "who knows the digest asks for no side-car")

    def test_of_the_server(self) -> None:
        for body in (SMALL, BODY):
            for data, good in ((b"another", False), (body, True)):
                field = f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"
                task = self.task(*self.serve(body, fields={"Repr-Digest": field}))
                if good:
                    self.comes(task, body)
                    (self.folder / "f").unlink()
                else:
                    self.assertEqual((self.fetch(task), self.names()), (set(), []))
                self.assertEqual(task.wanted.claims, [], "what one server says of its own is nothing that others are held to")

    def test_of_a_sidecar(self) -> None:
        for body in (SMALL, BODY):
            urls = self.serve(body)
            for ending, name in ((".sha256", "sha256"), (".md5", "md5")):
                self.servers[0].serve(f"/d/f{ending}", Served(hashlib.new(name, b"another").hexdigest().encode()))
                self.assertEqual((self.fetch(self.task(*urls)), self.names()), (set(), []))
                self.servers[0].serve(f"/d/f{ending}", Served(hashlib.new(name, body).hexdigest().encode() + b"  f\n"))
                self.comes(self.task(*urls), body)
                (self.folder / "f").unlink()
                del self.servers[0].files[f"/d/f{ending}"]

    def test_a_sidecar_that_would_be_elsewhere(self) -> None:
        urls = self.serve(SMALL)
        for status in (301, 401):
            self.servers[0].serve("/d/f.md5", Served(status=status, fields={"Location": "/x"}))
            self.leaves(self.task(*urls))

    def test_what_is_no_sidecar(self) -> None:
        urls = self.serve(SMALL)
        for said in (Served(b"<html>", fields={"Content-Type": "text/html"}), Served(bytes(1 << 17)), Served(b"junk", 500)):
            self.servers[0].serve("/d/f.sha256", said)
            self.comes(self.task(*urls), SMALL)

    def test_the_size(self) -> None:
        for body in (SMALL, BODY):
            task = self.task(*self.serve(body))
            task.wanted.size = len(body) - 1
            self.leaves(task)


class Trouble(LanesCase):
    def test_replies_that_are_left(self) -> None:
        for said in (
            Served(b"", 404),
            Served(b"", 302, {"Location": "http://127.0.0.1/"}),
            Served(b"", 302, {"Location": "file:///etc/passwd"}),
            Served(b"", 401),
            Served(b"", 204, {"Content-Length": "0"}),
            Served(BODY, 200, {"Content-Encoding": "gzip"}),
            Served(b"", 200, {"Transfer-Encoding": "chunked", "Content-Length": "3"}),
            Served(b"", 200, {"Content-Length": "5, 6"}),
        ):
            self.leaves(self.task(self.servers[0].serve("/d/f", said)))

    def test_a_page_instead_of_the_file(self) -> None:
        url = self.servers[0].serve("/d/f.grib", Served(b"<html>", 200, {"Content-Type": "text/html; charset=utf-8"}))
        self.leaves(self.task(url, name="f.grib"))

    def test_nobody_there(self) -> None:
        self.servers[0].end()
        self.leaves(self.task(f"{self.servers[0].url}/d/f"))

    def test_what_is_none_of_ours(self) -> None:
        for url in ("https://a/f", "http://u:p@a/f", "http://[::1]/f", "ftp://a/f"):
            self.assertEqual(Places().mirrors(self.task(url)), [])

    def test_a_mirror_that_dies_leaves_what_is_here(self) -> None:
        """The others' bytes count too: the ordinary way has only the rest to fetch."""
        urls = self.serve()
        self.servers[0].files["/d/f"].dies_at = 6 * MIB
        self.assertEqual(self.fetch(self.task(urls[0]), sidecars=False), set())
        self.assertEqual(self.names(), [part_name("f"), state_name("f")])
        self.assertGreaterEqual(self.noted()[0][1], 5 * MIB)
        said = json.loads((self.folder / state_name("f")).read_text())
        self.assertEqual(said["versions"], {urls[0]: '"1"'})

    def test_a_part_that_is_hardly_begun_is_not_worth_keeping(self) -> None:
        urls = self.serve()
        self.servers[0].files["/d/f"].dies_at = 1 << 18
        self.leaves(self.task(urls[0]))

    def test_a_mirror_with_another_file(self) -> None:
        """It is found out, and the ordinary way is told of nothing that it sent."""
        for said in (Served(BODY[::-1], tag='"2"'), Served(BODY[:-1]), Served(BODY, ranges=False), Served(b"", 404)):
            urls = self.serve()
            self.servers[1].serve("/d/f", said)
            self.servers[0].hold.clear()
            threading.Thread(target=self.release, args=(len(self.servers[1].asked),), daemon=True).start()
            self.assertEqual(self.fetch(self.task(*urls[:2]), sidecars=False), set())
            self.assertFalse((self.folder / "f").exists())
            if (self.folder / state_name("f")).exists():
                self.noted()
            for name in self.names():
                (self.folder / name).unlink()

    def release(self, asked: int) -> None:
        while len(self.servers[1].asked) == asked:
            time.sleep(0.01)
        self.servers[0].hold.set()

    def test_a_part_of_an_earlier_run_is_not_touched(self) -> None:
        (self.folder / part_name("f")).write_bytes(b"begun")
        for body in (SMALL, BODY):
            self.assertEqual(self.fetch(self.task(*self.serve(body))), set())
            self.assertEqual((self.names(), (self.folder / part_name("f")).read_bytes()), ([part_name("f")], b"begun"))

    def test_a_folder_in_the_way(self) -> None:
        (self.folder / "f" / "g").mkdir(parents=True)
        for body in (SMALL, BODY):
            self.assertEqual(self.fetch(self.task(*self.serve(body))), set())
            self.assertNotIn("f", [name for name in self.names() if (self.folder / name).is_file()])

    def test_much_that_is_left_ends_it(self) -> None:
        tasks = [self.task(f"{self.servers[0].url}/d/f{number}", name=f"f{number}") for number in range(200)]
        self.assertEqual(self.fetch(*tasks, at_once=4, sidecars=False), set())
        self.assertLessEqual(len(self.servers[0].asked), MANY + 4)

    def test_a_silent_server_is_asked_no_more(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        tasks = [self.task(f"http://127.0.0.1:{port}/f{number}", name=f"f{number}") for number in range(3)]
        common = self.common(sidecars=False)
        self.assertEqual(Lanes(common, self.outcomes.append).run(tasks, 1), set())
        self.assertEqual([each.port for each in common.places.unable], [port])

    def test_stopped_it_leaves_a_note(self) -> None:
        """As an interrupt does, which the thread that waits for the lanes gets."""
        urls = self.serve()
        lanes = Lanes(self.common(), self.outcomes.append)
        found: list[set[Task]] = []
        running = threading.Thread(target=lambda: found.append(lanes.run([self.task(*urls)], 8)))
        for server in self.servers:
            server.hold.clear()
        running.start()
        while sum(len(server.asked) for server in self.servers) < 6:
            time.sleep(0.01)
        lanes.stop()
        running.join(60)
        self.assertEqual(found, [set()])
        self.assertFalse((self.folder / "f").exists(), "half a file was seen")
