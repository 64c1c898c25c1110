"""`camera.*` and `screen.record`, with a pretended ffmpeg; with a real one where there is one."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Sequence
from unittest import SkipTest

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial import unittest

from clawgw.nodehost.camera import SnapParams, jpeg_size, snap_arguments
from clawgw.nodehost.capabilities import Camera, Machine, Screen
from clawgw.nodehost.screen import record_arguments
from tests.nodehost.support import HostTestCase, is_alive, script
from tests.support.clocked import ClockedReactor

PHOTO = (
    b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc0\x00\x11\x08\x01\xe0\x02\x80" + bytes(20) + b"\xff\xd9"
)
"""As much of a JPEG picture of 640 by 480 as says so."""

CAMERAS = (Camera("/dev/video0", "Webcam"), Camera("/dev/video2", "Microscope"))
SCREENS = (Screen(0, "x11grab", ":0"),)


class MediaTestCase(HostTestCase):
    """An ffmpeg that writes its arguments to a file and a picture to its output."""

    async def start(self, lines: str = "", clocked: ClockedReactor | None = None) -> None:
        (self.directory / "picture").write_bytes(PHOTO)
        lines = lines or f"cat {self.directory}/picture"
        self.arguments = self.directory / "arguments"
        program = script(
            self.directory / "ffmpeg",
            f'#!/bin/sh\nprintf "%s\\n" "$@" > {self.arguments}\n{lines}\n',
        )
        await self.start_host(
            machine=Machine(platform="linux", ffmpeg=program, cameras=CAMERAS, screens=SCREENS),
            clocked=clocked,
        )

    def told(self) -> list[str]:
        return self.arguments.read_text().splitlines()


class CameraTests(MediaTestCase):
    """`camera.list` and `camera.snap`."""

    async def test_list(self) -> None:
        await self.start()
        devices = (await self.payload("camera.list"))["devices"]
        self.assertEqual([device["id"] for device in devices], ["/dev/video0", "/dev/video2"])
        self.assertEqual(set(devices[0]), {"id", "name", "position", "deviceType"})

    async def test_snap(self) -> None:
        await self.start()
        self.assertEqual(
            await self.payload("camera.snap"),
            {
                "format": "jpg",
                "base64": base64.b64encode(PHOTO).decode(),
                "width": 640,
                "height": 480,
            },
        )
        self.assertIn("/dev/video0", self.told())
        self.assertIn("scale='min(1600,iw)':-2", self.told())

    async def test_what_is_wanted_reaches_ffmpeg(self) -> None:
        await self.start()
        await self.payload(
            "camera.snap",
            {"deviceId": "/dev/video2", "maxWidth": 320, "quality": 1, "delayMs": 1500,
             "facing": "front"},
        )  # fmt: skip
        line = " ".join(self.told())
        for part in ("-i /dev/video2 -ss 1.500", "min(320,iw)", "-q:v 2"):
            self.assertIn(part, line)

    async def test_mistakes(self) -> None:
        await self.start()
        for params, word in (
            ({"deviceId": "/etc/passwd"}, "/dev/video0, /dev/video2"),
            ({"maxWidth": 0}, "maxWidth"),
            ({"quality": 2}, "quality"),
            ({"format": "heic"}, "format"),
            ({"delayMs": 1e9}, "delayMs"),
        ):
            error = await self.error("camera.snap", params)
            self.assertEqual(error["code"], "INVALID_REQUEST")
            self.assertIn(word, error["message"])
        self.assertFalse(self.arguments.exists())

    async def test_what_ffmpeg_complains_of(self) -> None:
        await self.start("echo one >&2; echo '/dev/video0: Device or resource busy' >&2; exit 1")
        error = await self.error("camera.snap")
        self.assertEqual(error["code"], "UNAVAILABLE")
        self.assertIn("Device or resource busy", error["message"])

    async def test_what_is_no_picture(self) -> None:
        await self.start("echo nothing")
        self.assertEqual((await self.error("camera.snap"))["code"], "UNAVAILABLE")

    async def test_a_picture_that_is_too_large(self) -> None:
        await self.start("head -c 6000000 /dev/zero")
        self.assertEqual((await self.error("camera.snap"))["code"], "PAYLOAD_TOO_LARGE")

    async def test_a_camera_that_does_not_answer(self) -> None:
        pid = self.directory / "pid"
        clocked = ClockedReactor()
        await self.start(f"echo $$ > {pid}; exec sleep 300", clocked)
        asked = Deferred.fromCoroutine(self.error("camera.snap", timeoutMs=5000))
        await self.eventually(lambda: pid.exists() and pid.read_text())
        clocked.clock.advance(5)
        self.assertEqual((await asked)["code"], "TIMEOUT")
        await self.eventually(lambda: not is_alive(int(pid.read_text())))


class ScreenTests(MediaTestCase):
    """`screen.record`."""

    async def test_record(self) -> None:
        await self.start()
        given = {"durationMs": 2500, "fps": 12.5, "includeAudio": True, "format": "mp4"}
        self.assertEqual(
            await self.payload("screen.record", given),
            {
                "format": "mp4",
                "base64": base64.b64encode(PHOTO).decode(),
                "durationMs": 2500,
                "fps": 12.5,
                "screenIndex": 0,
                "hasAudio": False,
            },
        )
        line = " ".join(self.told())
        self.assertIn("-f x11grab -framerate 12.5 -i :0 -t 2.500", line)

    async def test_longer_and_faster_than_we_do(self) -> None:
        await self.start()
        result = await self.payload("screen.record", {"durationMs": 600_000, "fps": 240})
        self.assertEqual((result["durationMs"], result["fps"]), (60_000, 30))

    async def test_mistakes(self) -> None:
        await self.start()
        for params in ({"screenIndex": 1}, {"fps": 0}, {"durationMs": -1}, {"format": "gif"}):
            error = await self.error("screen.record", params)
            self.assertEqual(error["code"], "INVALID_REQUEST", params)


class RealFfmpegTests(unittest.TestCase):
    """What we tell ffmpeg is what it understands: its test picture stands for the device."""

    timeout = 120

    async def output(self, arguments: Sequence[str], kind: str, device: str) -> bytes:
        program = shutil.which("ffmpeg")
        if program is None:
            raise SkipTest("no ffmpeg on this machine, so it was not asked; apt-get install ffmpeg")
        told = [
            {kind: "lavfi", device: "testsrc=size=643x481:rate=30"}.get(a, a) for a in arguments
        ]
        command = ["-hide_banner", "-loglevel", "error", "-nostdin", *told, "pipe:1"]
        # lavfi has no -framerate
        while "-framerate" in command:
            position = command.index("-framerate")
            del command[position : position + 2]
        out, err, code = await getProcessOutputAndValue(program, command)
        self.assertEqual(code, 0, err)
        return out

    async def test_snap(self) -> None:
        params = SnapParams(max_width=320, delay_ms=200)
        arguments = snap_arguments(CAMERAS[0], params, mac=False)
        photo = await self.output(arguments, "v4l2", "/dev/video0")
        self.assertEqual(jpeg_size(photo), (320, 240))

    async def test_record(self) -> None:
        film = await self.output(record_arguments(SCREENS[0], 500, 10), "x11grab", ":0")
        self.assertEqual(film[4:8], b"ftyp")
        self.assertIn(b"moof", film)


class JpegTests(unittest.SynchronousTestCase):
    """The size of a picture."""

    def test_sizes(self) -> None:
        self.assertEqual(jpeg_size(PHOTO), (640, 480))
        for wrong in (b"", b"\x89PNG", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x00", PHOTO[:12]):
            self.assertIsNone(jpeg_size(wrong), wrong)
