"""``camera.list`` and ``camera.snap``, with ffmpeg (protocol 3, docs/nodes/camera).

A desktop's cameras have no front or back; ``facing`` chooses nothing, ``deviceId`` does, and
without it the first camera is meant. One picture at a time: a camera can be opened once.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta
from twisted.internet.defer import DeferredLock

from clawgw.nodehost.calls import Call, Handler, Params, invalid, unavailable
from clawgw.nodehost.capabilities import Camera
from clawgw.nodehost.ffmpeg import capture
from clawgw.nodehost.processes import Processes

__all__ = ["CameraCommands", "jpeg_size"]

PHOTO_LIMIT = 3_900_000
"""Bytes of a photo, which stay below 5 MB in base64."""

_OPEN_SECONDS = 15.0
_MOST_DELAY_MS = 30_000


class SnapParams(Params, frozen=True):
    """``camera.snap``. ``max_width`` in pixels, ``quality`` from 0 to 1."""

    facing: str | None = None
    max_width: Annotated[float, Meta(ge=1, le=8192)] = 1600
    quality: Annotated[float, Meta(ge=0, le=1)] = 0.9
    format: Literal["jpg", "jpeg"] = "jpg"
    delay_ms: Annotated[float, Meta(ge=0, le=_MOST_DELAY_MS)] = 0
    device_id: str | None = None


class CameraCommands:
    """The commands of the family ``camera``."""

    def __init__(
        self,
        processes: Processes,
        ffmpeg: str,
        cameras: Sequence[Camera],
        environment: Mapping[str, str],
        *,
        mac: bool = False,
    ) -> None:
        self._processes = processes
        self._ffmpeg = ffmpeg
        self._cameras = tuple(cameras)
        self._environment = environment
        self._mac = mac
        self._turn = DeferredLock()

    def handlers(self) -> dict[str, Handler]:
        """The commands of this family."""
        return {"camera.list": self._list, "camera.snap": self._snap}

    async def _list(self, _call: Call) -> Any:
        return {
            "devices": [
                {
                    "id": camera.id,
                    "name": camera.name,
                    "position": "unspecified",
                    "deviceType": "camera",
                }
                for camera in self._cameras
            ]
        }

    async def _snap(self, call: Call) -> Any:
        params = call.read(SnapParams)
        camera = self._choose(params.device_id)
        await self._turn.acquire()
        try:
            photo = await capture(
                self._processes,
                self._ffmpeg,
                snap_arguments(camera, params, mac=self._mac),
                env=self._environment,
                seconds=_OPEN_SECONDS + params.delay_ms / 1000,
                limit=PHOTO_LIMIT,
            )
        finally:
            self._turn.release()
        size = jpeg_size(photo)
        if size is None:
            raise unavailable("the camera gave no picture")
        width, height = size
        data = base64.b64encode(photo).decode("ascii")
        return {"format": "jpg", "base64": data, "width": width, "height": height}

    def _choose(self, device_id: str | None) -> Camera:
        if device_id is None:
            return self._cameras[0]
        for camera in self._cameras:
            if camera.id == device_id:
                return camera
        raise invalid(f"deviceId: expected one of {', '.join(c.id for c in self._cameras)}")


def snap_arguments(camera: Camera, params: SnapParams, *, mac: bool) -> list[str]:
    """What to tell ffmpeg. After the input, ``-ss`` lets pictures pass while the camera adapts."""
    source = ["-f", "avfoundation", "-framerate", "30"] if mac else ["-f", "v4l2"]
    wanted = ["-ss", f"{params.delay_ms / 1000:.3f}"] if params.delay_ms else []
    scale = f"scale='min({int(params.max_width)},iw)':-2"
    quality = str(round(31 - 29 * params.quality))
    return [
        *source, "-i", camera.id, *wanted, "-frames:v", "1", "-vf", scale,
        "-pix_fmt", "yuvj420p", "-c:v", "mjpeg", "-q:v", quality, "-f", "image2pipe",
    ]  # fmt: skip


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG picture (ITU T.81, annex B); None when it is none."""
    if data[:2] != b"\xff\xd8":
        return None
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[position + 5 : position + 7])
            width = int.from_bytes(data[position + 7 : position + 9])
            return width, height
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    return None
