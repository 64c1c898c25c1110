"""Pictures found in what nodes answer."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.mcp import pictures
from clawgw.mcp.pictures import kind_of, taken_out
from clawgw.mcp.tool import Picture


class Kinds(SynchronousTestCase):
    """What is a picture."""

    def test_by_format_mime_type_and_file_name(self) -> None:
        table = {
            "jpg": "image/jpeg", "JPEG": "image/jpeg", "png": "image/png",
            "image/webp": "image/webp", "img/plan.png": "image/png", "a.b/c.gif": "image/gif",
            "mp4": None, "video/mp4": None, "notes.txt": None, "image/x-made-up": None, "": None,
        }  # fmt: skip
        for name, kind in table.items():
            self.assertEqual(kind_of(name), kind, name)


class TakenOut(SynchronousTestCase):
    """Media become pictures, or a note."""

    def one(self, value: Any) -> tuple[Any, list[Picture]]:
        return taken_out(value)

    def test_a_photo(self) -> None:
        value, found = self.one({"format": "jpg", "base64": "AAAA", "width": 640})
        self.assertEqual(found, [Picture("AAAA", "image/jpeg")])
        self.assertEqual(value["width"], 640)
        self.assertNotIn("AAAA", str(value))

    def test_frames_in_a_list_up_to_a_number(self) -> None:
        frame = {"mimeType": "image/png", "data": "AAAA"}
        value, found = self.one({"frames": [frame] * (pictures.MAX_PICTURES + 2)})
        self.assertEqual(len(found), pictures.MAX_PICTURES)
        self.assertIn("one more picture", value["frames"][-1]["data"])

    def test_other_media_are_named_with_their_size(self) -> None:
        value, found = self.one({"format": "mp4", "base64": "A" * 4096, "hasAudio": True})
        self.assertEqual(found, [])
        self.assertEqual(value["base64"], "(mp4, 3 KiB; it cannot be shown here)")

    def test_a_picture_too_large_for_a_model(self) -> None:
        self.patch(pictures, "MAX_PICTURE_CHARS", 10)
        value, found = self.one({"format": "png", "base64": "A" * 11})
        self.assertEqual(found, [])
        self.assertIn("too large", value["base64"])

    def test_what_only_looks_like_it_stays(self) -> None:
        for value in (
            {"data": {"base64": 7}, "format": "png"}, {"base64": "AAAA"}, {"format": "png"},
            "text", None, 3, [1, {"a": []}],
        ):  # fmt: skip
            self.assertEqual(self.one(value), (value, []))
