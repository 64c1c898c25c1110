"""The canvas directory: what is in it can be reached, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.canvas.root import BadPath, CanvasRoot, NotThere, split_path

MOST = 1_000_000


class RootTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        self.outside = base / "outside"
        self.outside.mkdir()
        (self.outside / "secret.txt").write_text("secret")
        self.path = base / "canvas"
        self.root = CanvasRoot(self.path)
        self.root.prepare()

    def read(self, path: str) -> bytes:
        return self.root.read(path, MOST)[1]


class ReadingTests(RootTestCase):
    def test_a_file(self) -> None:
        (self.path / "a b").mkdir()
        (self.path / "a b" / "ü.txt").write_text("hello")
        self.assertEqual(self.read("a b/ü.txt"), b"hello")

    def test_no_way_out(self) -> None:
        (self.path / ".hidden").write_text("x")
        for path in ("../outside/secret.txt", "/../outside/secret.txt",
                     "a/../../outside/secret.txt", "..", ".", "./a", ".hidden", "a/.git/config",
                     "..\\outside\\secret.txt",
                     "a\0b", "a\nb", "x/" * 40, "n" * 300, "\ud800"):  # fmt: skip
            with self.assertRaises(BadPath, msg=path):
                self.root.open(path)

    def test_absolute_paths_are_inside(self) -> None:
        (self.path / "etc").mkdir()
        (self.path / "etc" / "passwd").write_text("ours")
        self.assertEqual(self.read("/etc/passwd"), b"ours")

    def test_links_are_not_followed(self) -> None:
        (self.path / "file").symlink_to(self.outside / "secret.txt")
        (self.path / "dir").symlink_to(self.outside)
        (self.path / "loop").symlink_to(self.path)
        for path in ("file", "dir/secret.txt", "loop/file"):
            with self.assertRaises(NotThere, msg=path):
                self.root.open(path)
        self.assertEqual(self.root.entries("", 10), ([], False))

    def test_the_directory_itself_may_be_a_link(self) -> None:
        link = self.path.with_name("link")
        link.symlink_to(self.path)
        (self.path / "x").write_text("x")
        self.assertEqual(CanvasRoot(link).read("x", 9)[1], b"x")

    def test_pipes_and_directories_are_no_files(self) -> None:
        os.mkfifo(self.path / "pipe")
        (self.path / "dir").mkdir()
        with self.assertRaises(NotThere):
            self.root.open("pipe")
        for path in ("dir", "", "/"):
            with self.assertRaises(IsADirectoryError):
                self.root.open(path)

    def test_missing(self) -> None:
        (self.path / "file").write_text("x")
        for path in ("no", "no/no", "file/no"):
            with self.assertRaises(NotThere):
                self.root.open(path)

    def test_too_large(self) -> None:
        (self.path / "big").write_bytes(b"x" * 11)
        with self.assertRaises(BufferError):
            self.root.read("big", 10)

    def test_listing(self) -> None:
        for name in ("b/2.txt", "b/1.txt", "a.html", "b/c/3.txt", ".git/config"):
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text("x")
        entries, more = self.root.entries("", 10)
        names = [entry.path for entry in entries]
        self.assertEqual((names, more), (["a.html", "b/1.txt", "b/2.txt", "b/c/3.txt"], False))
        entries, more = self.root.entries("b", 2)
        self.assertEqual(([entry.path for entry in entries], more), (["b/1.txt", "b/2.txt"], True))

    @given(st.text(max_size=60))
    def test_names_never_lead_elsewhere(self, path: str) -> None:
        try:
            names = split_path(path)
        except BadPath:
            return
        for name in names:
            self.assertNotIn("/", name)
            self.assertFalse(name.startswith("."))
            self.assertTrue(name)


class WritingTests(RootTestCase):
    def test_write_makes_directories_and_replaces(self) -> None:
        self.root.write("a/b/c.html", b"one")
        entry = self.root.write("a/b/c.html", b"other")
        self.assertEqual((entry.path, entry.size), ("a/b/c.html", 5))
        self.assertEqual(self.read("a/b/c.html"), b"other")
        self.assertEqual(os.listdir(self.path / "a" / "b"), ["c.html"])

    def test_write_does_not_leave(self) -> None:
        (self.path / "out").symlink_to(self.outside)
        (self.path / "link.txt").symlink_to(self.outside / "secret.txt")
        with self.assertRaises(BadPath):
            self.root.write("out/new.txt", b"x")
        self.root.write("link.txt", b"mine")  # takes the link's place
        self.assertEqual((self.outside / "secret.txt").read_text(), "secret")
        self.assertEqual(os.listdir(self.outside), ["secret.txt"])
        self.assertEqual(self.read("link.txt"), b"mine")

    def test_write_says_what_is_in_the_way(self) -> None:
        self.root.write("file", b"x")
        self.root.write("dir/file", b"x")
        for path in ("file/below", "dir", "", "/", "../x", ".x"):
            with self.assertRaises(BadPath, msg=path):
                self.root.write(path, b"y")
        self.assertEqual(sorted(os.listdir(self.path)), ["dir", "file"])

    def test_delete(self) -> None:
        for path in ("a/1", "a/b/2", "c"):
            self.root.write(path, b"x")
        (self.path / "a" / "link").symlink_to(self.outside)
        self.assertEqual(self.root.delete("a"), 3)
        self.assertEqual(os.listdir(self.outside), ["secret.txt"])
        with self.assertRaises(NotThere):
            self.root.delete("a")
        with self.assertRaises(BadPath):
            self.root.delete("")

    def test_reset(self) -> None:
        self.root.write("a/1", b"x")
        (self.path / ".hidden").write_text("x")
        (self.path / "link").symlink_to(self.outside)
        self.assertEqual(self.root.reset(), 3)
        self.assertEqual(os.listdir(self.path), [])
        self.assertEqual(os.listdir(self.outside), ["secret.txt"])
