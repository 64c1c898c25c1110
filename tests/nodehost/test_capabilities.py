"""What a machine can do, found out on machines made of files."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial import unittest

from clawgw.nodehost.capabilities import (
    CAMERA,
    CANVAS,
    SYSTEM,
    Camera,
    Machine,
    Screen,
    avfoundation_devices,
    ffmpeg_devices,
    inspect,
    offer,
)
from clawgw.nodehost.processes import Processes
from clawgw.nodehost.settings import Commands, Location, NodeSettings
from tests.nodehost.support import script

DEVICES = """\
Devices:
 D. = Demuxing supported
 .E = Muxing supported
 ---
  E fbdev           Linux framebuffer
 D  lavfi           Libavfilter virtual input device
 DE video4linux2,v4l2 Video4Linux2 device grab
 D  x11grab         X11 screen capture, using XCB
"""

AVFOUNDATION = """\
[AVFoundation indev @ 0x7f] AVFoundation video devices:
[AVFoundation indev @ 0x7f] [0] FaceTime HD Camera
[AVFoundation indev @ 0x7f] [1] Capture screen 0
[AVFoundation indev @ 0x7f] [2] Capture screen 1
[AVFoundation indev @ 0x7f] AVFoundation audio devices:
[AVFoundation indev @ 0x7f] [0] MacBook Microphone
: Input/output error
"""


class OfferTests(unittest.SynchronousTestCase):
    """What is declared, from what was found."""

    def test_a_bare_machine_runs_programs(self) -> None:
        found = offer(Machine(platform="linux"), NodeSettings())
        self.assertEqual((found.caps, found.commands), (("system",), SYSTEM))
        self.assertEqual(set(found.permissions.values()), {False})

    def test_a_desktop_does_everything(self) -> None:
        machine = Machine(
            platform="linux",
            ffmpeg="/usr/bin/ffmpeg",
            browser="/usr/bin/chromium",
            notifier="/usr/bin/notify-send",
            cameras=(Camera("/dev/video0", "Webcam"),),
            screens=(Screen(0, "x11grab", ":0"),),
        )
        found = offer(machine, NodeSettings(location=Location(1, 2)))
        self.assertEqual(found.caps, ("system", "camera", "screen", "location", "canvas"))
        expected = {*SYSTEM, "system.notify", *CAMERA, "screen.record", "location.get", *CANVAS}
        self.assertEqual(set(found.commands), expected)
        self.assertEqual(set(found.permissions.values()), {True})

    def test_a_device_without_ffmpeg_is_of_no_use(self) -> None:
        machine = Machine(
            platform="linux",
            cameras=(Camera("/dev/video0", "Webcam"),),
            screens=(Screen(0, "x11grab", ":0"),),
        )
        self.assertEqual(offer(machine, NodeSettings()).commands, SYSTEM)

    def test_the_owner_has_the_last_word(self) -> None:
        machine = Machine(platform="linux", browser="/usr/bin/chromium")
        denied = offer(machine, NodeSettings(commands=Commands(deny=("canvas.*", "system.run"))))
        self.assertEqual(denied.caps, ("system",))
        self.assertNotIn("system.run", denied.commands)
        only = offer(machine, NodeSettings(commands=Commands(allow=("canvas.present",))))
        self.assertEqual((only.caps, only.commands), (("canvas",), ("canvas.present",)))


class InspectTests(unittest.TestCase):
    """Looking around."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).resolve()
        self.bin = self.root / "bin"
        self.bin.mkdir(parents=True)
        self.environ = {"PATH": f"{self.bin}", "HOME": "/"}

    def inspect(self, platform: str = "linux", **environ: str) -> Deferred[Machine]:
        return Deferred.fromCoroutine(
            inspect(
                Processes(reactor),
                {**self.environ, **environ},
                platform=platform,
                root=self.root,
            )
        )

    def ffmpeg(self, output: str) -> None:
        script(self.bin / "ffmpeg", f"#!/bin/sh\ncat <<'EOF'\n{output}EOF\n".replace("cat", CAT))

    def camera(self, name: str, title: str, index: str = "0") -> None:
        about = self.root / "sys/class/video4linux" / name
        about.mkdir(parents=True)
        (about / "name").write_text(f"{title}\n")
        (about / "index").write_text(f"{index}\n")
        (self.root / "dev").mkdir(exist_ok=True)
        (self.root / "dev" / name).write_text("")

    async def test_an_empty_machine(self) -> None:
        self.assertEqual(await self.inspect(), Machine(platform="linux"))

    async def test_cameras_that_capture(self) -> None:
        self.ffmpeg(DEVICES)
        self.camera("video10", "Second")
        self.camera("video0", "Webcam")
        self.camera("video1", "Webcam", index="1")
        machine = await self.inspect()
        self.assertEqual(
            machine.cameras, (Camera("/dev/video0", "Webcam"), Camera("/dev/video10", "Second"))
        )
        self.assertEqual(machine.ffmpeg, str(self.bin / "ffmpeg"))

    async def test_an_ffmpeg_that_cannot(self) -> None:
        self.ffmpeg(" D  lavfi  x\n")
        self.camera("video0", "Webcam")
        machine = await self.inspect(DISPLAY="remote:0")
        self.assertEqual((machine.cameras, machine.screens), ((), ()))

    async def test_a_screen(self) -> None:
        self.ffmpeg(DEVICES)
        self.assertEqual((await self.inspect(DISPLAY=":7")).screens, ())
        (self.root / "tmp/.X11-unix").mkdir(parents=True)
        (self.root / "tmp/.X11-unix/X7").write_text("")
        self.assertEqual(
            (await self.inspect(DISPLAY=":7.0")).screens, (Screen(0, "x11grab", ":7.0"),)
        )
        wayland = await self.inspect(DISPLAY=":7", WAYLAND_DISPLAY="wayland-0")
        self.assertEqual(wayland.screens, ())

    async def test_an_ffmpeg_that_does_not_start(self) -> None:
        script(self.bin / "ffmpeg", "#!/nonexistent/interpreter\n")
        self.camera("video0", "Webcam")
        self.assertEqual((await self.inspect()).cameras, ())

    async def test_notifications_need_a_session(self) -> None:
        program = script(self.bin / "notify-send", "#!/bin/sh\n")
        without = await self.inspect(XDG_RUNTIME_DIR="/run/none")
        self.assertIsNone(without.notifier)
        bus = await self.inspect(DBUS_SESSION_BUS_ADDRESS="unix:path=/x")
        self.assertEqual(bus.notifier, program)

    async def test_a_browser(self) -> None:
        program = script(self.bin / "google-chrome", "#!/bin/sh\n")
        self.assertEqual((await self.inspect()).browser, program)

    async def test_a_mac(self) -> None:
        self.ffmpeg(AVFOUNDATION)
        notifier = script(self.bin / "osascript", "#!/bin/sh\n")
        app = self.root / "Applications/Chromium.app/Contents/MacOS"
        app.mkdir(parents=True)
        browser = script(app / "Chromium", "#!/bin/sh\n")
        machine = await self.inspect("darwin")
        self.assertEqual((machine.notifier, machine.browser), (notifier, browser))
        self.assertEqual(machine.cameras, (Camera("0", "FaceTime HD Camera"),))
        self.assertEqual([screen.source for screen in machine.screens], ["1:none", "2:none"])


class ListingTests(unittest.SynchronousTestCase):
    """Reading what ffmpeg prints."""

    def test_devices(self) -> None:
        found = ffmpeg_devices(DEVICES)
        self.assertEqual(found, {"lavfi", "video4linux2", "v4l2", "x11grab"})
        self.assertEqual(ffmpeg_devices(""), frozenset())

    def test_microphones_are_no_cameras(self) -> None:
        cameras, screens = avfoundation_devices(AVFOUNDATION)
        self.assertEqual(len(cameras), 1)
        self.assertEqual([screen.index for screen in screens], [0, 1])
        self.assertEqual(avfoundation_devices("nothing"), ((), ()))


CAT = next(path for path in ("/bin/cat", "/usr/bin/cat") if os.path.exists(path))
