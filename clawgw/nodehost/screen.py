"""``screen.record``: the screen as a short film, with ffmpeg (protocol 3, docs/nodes).

There is no sound; ``includeAudio`` is heard and answered with ``hasAudio: false``. The film is
fragmented MP4, because it goes through a pipe, where nothing can be added at the start afterwards.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta
from twisted.internet.defer import DeferredLock

from clawgw.nodehost.calls import Call, Handler, Params, invalid
from clawgw.nodehost.capabilities import Screen
from clawgw.nodehost.ffmpeg import capture
from clawgw.nodehost.processes import Processes

__all__ = ["ScreenCommands"]

LONGEST_MS = 60_000
_FASTEST = 30.0
_GRACE_SECONDS = 20.0


class RecordParams(Params, frozen=True):
    """``screen.record``; longer and faster than we do is cut down, as stock nodes do."""

    duration_ms: Annotated[float, Meta(gt=0)] = 10_000
    fps: Annotated[float, Meta(gt=0)] = 10
    screen_index: int = 0
    format: Literal["mp4"] = "mp4"
    include_audio: bool = False


class ScreenCommands:
    """The commands of the family ``screen``."""

    def __init__(
        self,
        processes: Processes,
        ffmpeg: str,
        screens: Sequence[Screen],
        environment: Mapping[str, str],
    ) -> None:
        self._processes = processes
        self._ffmpeg = ffmpeg
        self._screens = {screen.index: screen for screen in screens}
        self._environment = environment
        self._turn = DeferredLock()

    def handlers(self) -> dict[str, Handler]:
        """The commands of this family."""
        return {"screen.record": self._record}

    async def _record(self, call: Call) -> Any:
        params = call.read(RecordParams)
        screen = self._screens.get(params.screen_index)
        if screen is None:
            known = ", ".join(map(str, self._screens))
            raise invalid(f"screenIndex: expected one of {known}")
        duration_ms = min(params.duration_ms, LONGEST_MS)
        fps = min(params.fps, _FASTEST)
        await self._turn.acquire()
        try:
            film = await capture(
                self._processes,
                self._ffmpeg,
                record_arguments(screen, duration_ms, fps),
                env=self._environment,
                seconds=duration_ms / 1000 + _GRACE_SECONDS,
            )
        finally:
            self._turn.release()
        return {
            "format": "mp4",
            "base64": base64.b64encode(film).decode("ascii"),
            "durationMs": duration_ms,
            "fps": fps,
            "screenIndex": screen.index,
            "hasAudio": False,
        }


def record_arguments(screen: Screen, duration_ms: float, fps: float) -> list[str]:
    """What to tell ffmpeg. H.264 needs even sides."""
    return [
        "-f", screen.format, "-framerate", f"{fps:g}", "-i", screen.source,
        "-t", f"{duration_ms / 1000:.3f}", "-an", "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2",
        "-c:v", "libx264", "-preset", "veryfast", "-crf", "28", "-pix_fmt", "yuv420p",
        "-movflags", "frag_keyframe+empty_moov", "-f", "mp4",
    ]  # fmt: skip
