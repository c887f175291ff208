"""The quick way of a fetch: what it takes, what it leaves, and that nothing gets a name that it should not have."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.sources.fetch.names import part_name
from ecpds.sources.fetch.outcomes import Outcome, Silent, Task
from ecpds.sources.fetch.pages import SMALL
from ecpds.sources.fetch.placing import place
from ecpds.sources.fetch.plain import MANY, Places
from ecpds.sources.fetch.quick import Quick
from ecpds.sources.fetch.sidecar_forms import ENOUGH, Folders
from ecpds.sources.fetch.wanted import Pieces, Right, Wanted
from tests.doubles.gets import MemoryGets

BODY = b"the file" * 1000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class QuickCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(mkdtemp(prefix="ecpds-quick-"))
        self.addCleanup(rmtree, self.folder, True)
        self.gets = MemoryGets()
        self.outcomes: list[Outcome] = []
        self.turns = 0

    def task(self, name: str, *urls: str, **wanted: str) -> Task:
        urls = urls or (f"http://a/d/{name}",)
        task = Task(urls[0], self.folder / name, Wanted(), mirrors=urls)
        task.wanted.say(Right.MANIFEST, wanted, "the manifest")
        return task

    def quick(self, *tasks: Task, at_once: int = 8, sidecars: bool = True) -> list[Task]:
        clock, places, folders = Clock(), Places(), Folders()
        ended, turned = self.outcomes.append, self.turn
        return Quick(self.gets, places, folders, clock.seconds, at_once, sidecars, Silent(), ended, turned).run(tasks)

    def turn(self) -> None:
        self.turns += 1

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def leaves(self, task: Task, **options: bool) -> None:
        """The file is left, and nothing of it is here."""
        self.assertEqual(self.quick(task, **options), [task])
        self.assertEqual((self.names(), self.outcomes), ([], []))


class What(QuickCase):
    def test_comes(self) -> None:
        self.gets.serve("http://a/d/f", BODY, last_modified="Sun, 22 Nov 2026 08:00:00 GMT")
        self.assertEqual(self.quick(self.task("f")), [])
        self.assertEqual((self.names(), (self.folder / "f").read_bytes()), (["f"], BODY))
        self.assertEqual((self.folder / "f").stat().st_mtime, 1795334400)
        outcome = self.outcomes[0]
        self.assertEqual((outcome.done, outcome.sha256, outcome.size), (True, sha256(BODY), len(BODY)))
        self.assertEqual([(each.url, each.ok) for each in outcome.attempts], [("http://a/d/f", True)])

    def test_empty(self) -> None:
        self.gets.serve("http://a/d/f", b"")
        self.assertEqual(self.quick(self.task("f")), [])
        self.assertEqual((self.folder / "f").read_bytes(), b"")

    def test_many_a_few_at_a_time(self) -> None:
        names = [f"f{number}" for number in range(100)]
        for name in names:
            self.gets.serve(f"http://a/d/{name}", name.encode())
        self.assertEqual(self.quick(*map(self.task, names), at_once=3), [])
        self.assertEqual(self.names(), sorted(names))
        self.assertTrue(all((self.folder / name).read_text() == name for name in names))
        self.assertEqual(self.gets.most, 3)

    def test_in_a_folder_that_is_made(self) -> None:
        self.gets.serve("http://a/f", BODY)
        self.assertEqual(self.quick(self.task("x/y/f", "http://a/f")), [])
        self.assertEqual((self.folder / "x/y/f").read_bytes(), BODY)

    def test_every_mirror_is_tried_where_there_are_many_files(self) -> None:
        tasks = []
        for number in range(100):
            urls = [f"http://{host}/d/f{number}" for host in "abcd"]
            for url in urls:
                self.gets.serve(url, BODY)
            tasks.append(self.task(f"f{number}", *urls))
        self.assertEqual(self.quick(*tasks), [])
        self.assertEqual({url[7] for url in self.gets.asked if url[-1] in "0123456789"}, set("abcd"))

    def test_is_left_by_kind(self) -> None:
        for url in (
            "https://a/f",
            "ftp://a/f",
            "http://u:p@a/f",
            "http://[::1]/f",
            "http://a/f#x",
            "http://a:0/f",
            "http://a/\u00e4",
        ):
            self.leaves(self.task("f", url))
        self.leaves(self.task("f", "http://a/f", "sftp://b/f"))
        task = self.task("f")
        task.wanted.pieces = Pieces("sha256", 1, ())
        self.leaves(task)
        self.assertEqual(self.gets.asked, [])

    def test_replies_that_are_left(self) -> None:
        replies: dict[str, tuple[bytes, int, dict[str, str]]] = {
            "not found": (b"", 404, {}),
            "redirect": (b"", 302, {"location": "http://a/g"}),
            "login": (b"", 401, {}),
            "no content": (b"", 204, {}),
            "chunked": (BODY, 200, {"transfer-encoding": "chunked"}),
            "compressed": (BODY, 200, {"content-encoding": "gzip"}),
            "large": (bytes(SMALL + 1), 200, {}),
        }
        for body, status, headers in replies.values():
            self.gets.files["http://a/d/f"] = status, headers, body
            self.leaves(self.task("f"))

    def test_a_page_instead_of_the_file(self) -> None:
        self.gets.serve("http://a/d/f.grib", b"<html>", content_type="text/html; charset=utf-8")
        self.leaves(self.task("f.grib"))

    def test_a_page_that_is_wanted(self) -> None:
        self.gets.serve("http://a/d/f.html", b"<html>", content_type="text/html")
        self.assertEqual(self.quick(self.task("f.html")), [])


class Digests(QuickCase):
    def test_of_the_manifest(self) -> None:
        self.gets.serve("http://a/d/f", BODY)
        self.leaves(self.task("f", sha256=sha256(b"another")))
        self.assertEqual(self.quick(self.task("f", sha256=sha256(BODY), md5=hashlib.md5(BODY).hexdigest())), [])
        self.assertEqual(self.gets.asked, ["http://a/d/f"] * 2, "who knows the digest asks for no side-car")

    def test_of_the_server(self) -> None:
        for data, left in ((b"another", 1), (BODY, 0)):
            field = f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"
            self.gets.serve("http://a/d/f", BODY, repr_digest=field)
            task = self.task("f")
            self.assertEqual(len(self.quick(task)), left)
            self.assertEqual(self.names(), [] if left else ["f"])
            self.assertEqual(task.wanted.claims, [], "what one server says of its own is nothing that others are held to")

    def test_the_size(self) -> None:
        self.gets.serve("http://a/d/f", BODY)
        task = self.task("f")
        task.wanted.size = len(BODY) + 1
        self.leaves(task)


class Sidecars(QuickCase):
    def test_of_the_first_few_only(self) -> None:
        names = [f"f{number}" for number in range(50)]
        for name in names:
            self.gets.serve(f"http://a/d/{name}", BODY)
        self.assertEqual(self.quick(*map(self.task, names)), [])
        self.assertEqual(len(self.gets.asked), len(names) + 2 * ENOUGH)

    def test_none_where_none_is_wanted(self) -> None:
        self.gets.serve("http://a/d/f", BODY)
        self.gets.serve("http://a/d/f.sha256", b"")
        self.assertEqual(self.quick(self.task("f"), sidecars=False), [])
        self.assertEqual(self.gets.asked, ["http://a/d/f"])

    def test_of_the_original_then_of_the_last(self) -> None:
        for host in "abc":
            self.gets.serve(f"http://{host}/f", BODY)
        self.quick(self.task("f", "http://a/f", "http://b/f", "http://c/f"))
        self.assertEqual(
            {each for each in self.gets.asked if not each.endswith("/f")},
            {"http://a/f.sha256", "http://a/f.md5", "http://c/f.sha256", "http://c/f.md5"},
        )

    def test_a_folder_with_any_is_left(self) -> None:
        """Whichever answers first: the eighth file's last one is enough."""
        names = [f"f{number}" for number in range(20)]
        for name in names:
            self.gets.serve(f"http://a/d/{name}", BODY)
        for status in (200, 301, 401):
            self.gets.serve(f"http://a/d/f{ENOUGH - 1}.md5", b"", status)
            tasks = [self.task(name) for name in names]
            self.assertEqual(self.quick(*tasks), tasks)
            self.assertEqual((self.names(), self.outcomes), ([], []))

    def test_a_page_is_none(self) -> None:
        self.gets.serve("http://a/d/f", BODY)
        self.gets.serve("http://a/d/f.md5", b"<html>", content_type="text/html")
        self.assertEqual(self.quick(self.task("f")), [])


class Trouble(QuickCase):
    def test_a_server_that_gives_no_answer_is_asked_no_more(self) -> None:
        tasks = [self.task(f"f{number}", f"http://a/d/f{number}", f"http://b/d/f{number}") for number in range(40)]
        for task in tasks:
            self.gets.serve(task.mirrors[1], BODY)
        self.gets.silent.add("a")
        left = self.quick(*tasks, at_once=4)
        self.assertLessEqual(len(left), 4)
        self.assertEqual(len(self.names()), len(tasks) - len(left))
        self.assertLessEqual(sum(url.startswith("http://a/") for url in self.gets.asked), 4)

    def test_much_that_is_left_ends_it(self) -> None:
        tasks = [self.task(f"f{number}") for number in range(200)]
        self.assertEqual(self.quick(*tasks, sidecars=False), tasks)
        self.assertLessEqual(len(self.gets.asked), MANY + 8)

    def test_a_few_that_are_left_do_not(self) -> None:
        tasks = [self.task(f"f{number}") for number in range(200)]
        for task in tasks:
            self.gets.serve(task.url, BODY)
        for number in range(20, 200, 10):
            del self.gets.files[f"http://a/d/f{number}"]
        self.assertEqual(self.quick(*tasks), tasks[20::10])

    def test_what_an_earlier_run_has_left_is_not_touched(self) -> None:
        self.gets.serve("http://a/d/f", BODY)
        part = self.folder / part_name("f")
        part.write_bytes(b"begun")
        task = self.task("f")
        self.assertEqual(self.quick(task), [task])
        self.assertEqual((self.names(), part.read_bytes()), ([part.name], b"begun"))

    def test_a_folder_in_the_way(self) -> None:
        self.gets.serve("http://a/d/f", BODY)
        (self.folder / "f" / "g").mkdir(parents=True)
        task = self.task("f")
        self.assertEqual(self.quick(task), [task])
        self.assertEqual(self.names(), ["f"])


class Placing(SynchronousTestCase):
    def test_nothing_is_left_of_what_fails(self) -> None:
        folder = Path(mkdtemp(prefix="ecpds-place-"))
        self.addCleanup(rmtree, folder, True)
        (folder / "f").mkdir()
        with self.assertRaises(IsADirectoryError):
            place(str(folder), "f", memoryview(BODY), 1.0)
        self.assertEqual(os.listdir(folder), ["f"])

    def test_in_this_folder(self) -> None:
        folder = Path(mkdtemp(prefix="ecpds-place-"))
        self.addCleanup(rmtree, folder, True)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        place("", "f", memoryview(BODY), None)
        self.assertEqual(((folder / "f").read_bytes(), os.listdir(folder)), (BODY, ["f"]))

    def test_over_what_was_there(self) -> None:
        folder = Path(mkdtemp(prefix="ecpds-place-"))
        self.addCleanup(rmtree, folder, True)
        (folder / "f").write_bytes(b"old")
        place(str(folder), "f", memoryview(BODY), None)
        self.assertEqual((folder / "f").read_bytes(), BODY)
