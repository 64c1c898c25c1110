"""QR codes, read back by a reader that is not ours from what a person would point a phone at."""

from __future__ import annotations

import base64
import struct
import zlib

import zxingcpp
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.qr import png_data_url, terminal

LINK = (
    "sgnl://linkdevice?uuid=qtGxGTmdZ5lRZLWLPwHYgQ%3D%3D&pub_key=BXyzABCDEFGHIJKLMNOPQRSTUVWXYZ01"
)
PAIRING = "2@" + "aB3+/" * 60 + ",ü"

LIGHT, DARK = 255, 0
HALVES = {"█": (LIGHT, LIGHT), "▀": (LIGHT, DARK), "▄": (DARK, LIGHT), " ": (DARK, DARK)}


def read(rows: list[bytes]) -> list[str]:
    """What a reader sees in a picture of grey values."""
    picture = memoryview(b"".join(rows)).cast("B", shape=[len(rows), len(rows[0])])
    return [code.text for code in zxingcpp.read_barcodes(picture)]


def on_screen(text: str, scale: int = 4) -> list[bytes]:
    """A dark terminal, each character as two squares."""
    rows: list[bytes] = []
    for line in text.split("\n"):
        for half in (0, 1):
            row = bytes(HALVES[character][half] for character in line for _ in range(scale))
            rows += [b"\0" * scale + row + b"\0" * scale] * scale
    return rows


def pixels(png: bytes) -> list[bytes]:
    """The grey values of a PNG with one bit for each."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour) == (1, 0)
    data, place = b"", 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    raw, stride = zlib.decompress(data), (width + 7) // 8
    above, rows = bytes(stride), []
    for number in range(height):
        kind, *row = raw[number * (stride + 1) : (number + 1) * (stride + 1)]
        assert kind in (0, 2), "a filter that is neither none nor up"
        if kind == 2:
            row = [(byte + over) % 256 for byte, over in zip(row, above, strict=True)]
        above = bytes(row)
        rows.append(
            bytes(LIGHT if above[x // 8] >> (7 - x % 8) & 1 else DARK for x in range(width))
        )
    return rows


class Terminal(SynchronousTestCase):
    def test_it_can_be_read_from_the_screen(self) -> None:
        for content in (LINK, PAIRING, "a", "1" * 1000):
            self.assertEqual(read(on_screen(terminal(content))), [content])

    def test_it_fits_a_screen(self) -> None:
        lines = terminal(LINK).split("\n")
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertLessEqual(len(lines[0]), 80)
        self.assertLessEqual(len(lines), 24)

    def test_too_much_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            terminal("x" * 5000)


class Picture(SynchronousTestCase):
    def test_it_can_be_read_from_the_page(self) -> None:
        for content in (LINK, PAIRING, "a"):
            kind, _, data = png_data_url(content).partition(",")
            self.assertEqual(kind, "data:image/png;base64")
            self.assertEqual(read(pixels(base64.b64decode(data))), [content])

    def test_too_much_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            png_data_url("x" * 5000)
