"""What this machine can do, found out once at the start.

``inspect`` looks around: programs on PATH, devices, what ffmpeg was built with, whether a desktop
is there. ``offer`` decides from that, and from what the owner permits, what the node declares. A
command that is declared works here; nothing is declared in the hope that it might.

=====================  ========================================================================
``system.run``, …      always
``system.notify``      Linux: ``notify-send`` and a session bus; macOS: ``osascript``
``camera.*``           ``ffmpeg`` with ``v4l2`` and a ``/dev/video*`` that captures; macOS: with
                       ``avfoundation`` and a camera in its list
``screen.record``      ``ffmpeg`` with ``x11grab`` and an X display; macOS: a screen in the list.
                       Not under Wayland, where ffmpeg records a black picture
``location.get``       a ``location`` in ``node.json``
``canvas.*``           a ``chromium`` or Chrome
=====================  ========================================================================
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clawgw.nodehost.processes import CannotStart, Processes
from clawgw.nodehost.settings import NodeSettings

__all__ = ["Camera", "Machine", "Offer", "Screen", "inspect", "offer"]

SYSTEM = ("system.run", "system.which", "system.execApprovals.get", "system.execApprovals.set")
CAMERA = ("camera.list", "camera.snap")
CANVAS = (
    "canvas.present", "canvas.hide", "canvas.navigate", "canvas.eval", "canvas.snapshot",
    "canvas.a2ui.push", "canvas.a2ui.pushJSONL", "canvas.a2ui.reset",
)  # fmt: skip

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC_BROWSERS = (
    "Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "Applications/Chromium.app/Contents/MacOS/Chromium",
)
_PROBE_SECONDS = 10.0
_AVFOUNDATION = re.compile(r"\[(\d+)\] (.+)")


@dataclass(frozen=True)
class Camera:
    """A camera. ``id`` is what ffmpeg opens."""

    id: str
    name: str


@dataclass(frozen=True)
class Screen:
    """A screen: how ffmpeg opens it. ``index`` is what callers call it."""

    index: int
    format: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What was found. Programs are absolute paths, None where there is none of use."""

    platform: str = sys.platform
    ffmpeg: str | None = None
    browser: str | None = None
    notifier: str | None = None
    cameras: tuple[Camera, ...] = ()
    screens: tuple[Screen, ...] = ()


@dataclass(frozen=True)
class Offer:
    """What the node declares when it connects."""

    caps: tuple[str, ...]
    commands: tuple[str, ...]
    permissions: dict[str, bool]


def offer(machine: Machine, settings: NodeSettings) -> Offer:
    """What to declare: what the machine can do, as far as its owner permits."""
    able = {
        "system": SYSTEM + (("system.notify",) if machine.notifier else ()),
        "camera": CAMERA if machine.ffmpeg and machine.cameras else (),
        "screen": ("screen.record",) if machine.ffmpeg and machine.screens else (),
        "location": ("location.get",) if settings.location else (),
        "canvas": CANVAS if machine.browser else (),
    }
    permitted = {
        cap: tuple(command for command in commands if settings.commands.permit(command))
        for cap, commands in able.items()
    }
    commands = [command for family in permitted.values() for command in family]
    return Offer(
        caps=tuple(cap for cap, family in permitted.items() if family),
        commands=tuple(commands),
        permissions={
            "camera": "camera.snap" in commands,
            "screenRecording": "screen.record" in commands,
            "location": "location.get" in commands,
            "notifications": "system.notify" in commands,
        },
    )


async def inspect(
    processes: Processes,
    environ: Mapping[str, str],
    *,
    platform: str = sys.platform,
    root: Path = Path("/"),
) -> Machine:
    """Look around on this machine.

    :param environ: the environment commands will have; its PATH is searched.
    :param root: where ``/dev`` and the rest are, for tests.
    """
    path = environ.get("PATH", "")
    ffmpeg = shutil.which("ffmpeg", path=path)
    mac = platform == "darwin"
    cameras: tuple[Camera, ...] = ()
    screens: tuple[Screen, ...] = ()
    if ffmpeg is not None and mac:
        listing = await _ask(
            processes, environ, [ffmpeg, "-f", "avfoundation", "-list_devices", "true", "-i", ""]
        )
        cameras, screens = avfoundation_devices(listing)
    elif ffmpeg is not None:
        formats = ffmpeg_devices(await _ask(processes, environ, [ffmpeg, "-devices"]))
        cameras = video4linux_cameras(root) if formats & {"v4l2", "video4linux2"} else ()
        screens = x11_screens(environ, root) if "x11grab" in formats else ()
    return Machine(
        platform=platform,
        ffmpeg=ffmpeg,
        browser=_browser(path, root if mac else None),
        notifier=_mac_notifier(path) if mac else _notifier(path, environ, root),
        cameras=cameras,
        screens=screens,
    )


def ffmpeg_devices(listing: str) -> frozenset[str]:
    """The input devices in what ``ffmpeg -devices`` prints: lines like `` D  x11grab  …``."""
    found = re.findall(r"^\s*D[E ]?[d ]?\s+(\S+)", listing, re.MULTILINE)
    return frozenset(name for names in found for name in names.split(","))


def avfoundation_devices(listing: str) -> tuple[tuple[Camera, ...], tuple[Screen, ...]]:
    """The cameras and screens in what ffmpeg's ``avfoundation`` lists (ffmpeg-devices(1))."""
    cameras: list[Camera] = []
    screens: list[Screen] = []
    for line in listing.partition("AVFoundation audio devices")[0].splitlines():
        found = _AVFOUNDATION.search(line)
        if found is None:
            continue
        number, name = found.groups()
        if name.startswith("Capture screen"):
            screens.append(Screen(len(screens), "avfoundation", f"{number}:none"))
        else:
            cameras.append(Camera(number, name.strip()))
    return tuple(cameras), tuple(screens)


def video4linux_cameras(root: Path) -> tuple[Camera, ...]:
    """The ``/dev/video*`` that capture: a camera's further nodes only carry its metadata."""
    cameras = []
    for device in sorted((root / "dev").glob("video[0-9]*"), key=_number):
        about = root / "sys/class/video4linux" / device.name
        if _text(about / "index") in (None, "0"):
            cameras.append(Camera(f"/dev/{device.name}", _text(about / "name") or device.name))
    return tuple(cameras)


def x11_screens(environ: Mapping[str, str], root: Path) -> tuple[Screen, ...]:
    """The X display of this session, if there is one to be seen."""
    display = environ.get("DISPLAY", "")
    if not display or environ.get("WAYLAND_DISPLAY"):
        return ()
    local = re.fullmatch(r"(?:unix)?:(\d+)(?:\.\d+)?", display)
    if local is not None and not (root / f"tmp/.X11-unix/X{local[1]}").exists():
        return ()
    return (Screen(0, "x11grab", display),)


def _browser(path: str, root: Path | None) -> str | None:
    found = next(filter(None, (shutil.which(name, path=path) for name in _BROWSERS)), None)
    if found is None and root is not None:
        apps = (root / app for app in _MAC_BROWSERS)
        found = next((str(app) for app in apps if os.access(app, os.X_OK)), None)
    return found


def _mac_notifier(path: str) -> str | None:
    return shutil.which("osascript", path=path)


def _notifier(path: str, environ: Mapping[str, str], root: Path) -> str | None:
    runtime = environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    bus = environ.get("DBUS_SESSION_BUS_ADDRESS") or (root / runtime.lstrip("/") / "bus").exists()
    return shutil.which("notify-send", path=path) if bus else None


async def _ask(processes: Processes, environ: Mapping[str, str], argv: list[str]) -> str:
    """What ffmpeg says when asked; its exit code means nothing here."""
    argv = [argv[0], "-hide_banner", *argv[1:]]
    try:
        finished = await processes.run(argv, env=environ, seconds=_PROBE_SECONDS, limit=100_000)
    except CannotStart:
        return ""
    return (finished.stdout + finished.stderr).decode("utf-8", "replace")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _number(device: Path) -> int:
    digits = device.name.removeprefix("video")
    return int(digits) if digits.isdigit() else 1 << 30
