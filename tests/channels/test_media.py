"""Files that come with messages and go out with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels import media
from clawgw.channels.adapter import SendRefused
from clawgw.channels.media import DAY_SECONDS, MediaStore, kind_of, suffix_of, type_of


class Case(SynchronousTestCase):
    """A store in a directory of the test."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.now = 1_800_000_000.0
        self.store = MediaStore(self.directory / "media", execute, 30, lambda: self.now)
        self.do(self.store.prepare())

    def do(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refusal(self, work: Any) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(work), SendRefused).value)

    def file(self, name: str = "cat.png", content: bytes = b"meow") -> Path:
        path = self.directory / name
        path.write_bytes(content)
        return path

    def files(self) -> list[str]:
        return sorted(path.name for path in self.store.directory.rglob("*.*"))


class Keeping(Case):
    """A file that is to be sent."""

    def test_it_is_copied_for_its_owner_only(self) -> None:
        source = self.file()
        kept = self.do(self.store.keep(source, "cat.png", "image/png"))
        source.unlink()
        path = Path(kept.path)
        self.assertEqual(path.read_bytes(), b"meow")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual((kept.kind, kept.mime_type, kept.name), ("image", "image/png", "cat.png"))

    def test_its_name_on_the_disk_is_ours(self) -> None:
        for name in ("../../evil.sh", "a/b.png", "\0.png", "." * 300, "x" * 5000 + ".JPG"):
            kept = self.do(self.store.keep_bytes(b"x", name, "image/png"))
            path = Path(kept.path)
            self.assertEqual(path.parent, self.store.directory / "outbound")
            self.assertRegex(path.name, r"^[0-9a-f]{32}(\.[a-z0-9]{1,8})?$")
            self.assertEqual(kept.name, name)

    def test_the_directories_are_their_owners_only(self) -> None:
        for name in (".", "inbound", "outbound"):
            mode = (self.store.directory / name).stat().st_mode
            self.assertEqual(mode & 0o777, 0o700)

    def test_what_is_not_there(self) -> None:
        said = self.refusal(self.store.keep(self.directory / "none", "none", "text/plain"))
        self.assertEqual(said, "cannot read none: No such file or directory")
        self.assertEqual(self.files(), [])

    def test_what_is_no_file(self) -> None:
        os.mkfifo(self.directory / "pipe")  # reading it would never end
        for name in ("pipe", "media"):
            said = self.refusal(self.store.keep(self.directory / name, name, "text/plain"))
            self.assertEqual(said, f"{name} is no file")

    def test_what_is_too_large(self) -> None:
        path = self.directory / "large"
        with path.open("wb") as file:
            file.truncate(media.MAX_BYTES + 1)
        said = self.refusal(self.store.keep(path, "large", "video/mp4"))
        self.assertEqual(said, "large is larger than 100 MB")

    def test_where_there_is_no_room_nothing_is_left_behind(self) -> None:
        def full(number: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        said = self.refusal(self.store.keep(self.file(), "cat.png", "image/png"))
        self.assertEqual(said, "cannot keep cat.png: No space left on device")
        self.refusal(self.store.keep_bytes(b"x", "cat.png", "image/png"))
        self.assertEqual(self.files(), [])


class Receiving(Case):
    """A file that came in."""

    def test_it_has_one_place_for_ever(self) -> None:
        place = self.store.inbound(12, 0, "photo.jpg", "image/jpeg")
        self.assertEqual(place, self.store.directory / "inbound" / "12-0.jpg")
        self.assertEqual(self.store.inbound(12, 0, "photo.jpg", "image/jpeg"), place)

    def test_wherever_its_name_would_lead(self) -> None:
        place = self.store.inbound(12, 1, "../../../etc/passwd", "text/plain")
        self.assertEqual(place, self.store.directory / "inbound" / "12-1.txt")


class Sweeping(Case):
    """What has been there for long."""

    def test_is_removed_and_the_rest_is_not(self) -> None:
        for folder in ("inbound", "outbound"):
            for days in (29, 31):
                path = self.store.directory / folder / f"{days}.png"
                path.write_bytes(b"")
                os.utime(path, (self.now, self.now - days * DAY_SECONDS))
        self.do(self.store.sweep())
        self.assertEqual(self.files(), ["29.png", "29.png"])
        self.store.days = 1
        self.do(self.store.sweep())
        self.assertEqual(self.files(), [])

    def test_what_may_still_have_to_be_sent_stays(self) -> None:
        self.store.days = 1
        for folder in ("inbound", "outbound"):
            for days in (6, 8):
                path = self.store.directory / folder / f"{folder}-{days}.png"
                path.write_bytes(b"")
                os.utime(path, (self.now, self.now - days * DAY_SECONDS))
        self.do(self.store.sweep())
        self.assertEqual(self.files(), ["outbound-6.png"])


class Types(SynchronousTestCase):
    """What a file is."""

    def test_kinds(self) -> None:
        for mime_type, kind in (
            ("image/png", "image"), ("audio/ogg", "audio"), ("video/mp4", "video"),
            ("application/pdf", "file"), ("image/svg+xml", "file"), ("", "file"),
        ):  # fmt: skip
            self.assertEqual(kind_of(mime_type), kind)

    def test_types_and_suffixes(self) -> None:
        self.assertEqual(type_of("a.png"), "image/png")
        self.assertEqual(type_of("a"), "application/octet-stream")
        self.assertEqual(suffix_of("A.PNG", "text/plain"), ".png")
        self.assertEqual(suffix_of("a", "image/png"), ".png")
        self.assertEqual(suffix_of("a.b/c", "no/such"), "")
