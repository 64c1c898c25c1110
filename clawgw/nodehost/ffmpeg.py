"""ffmpeg, which sees for us: run to its end, its complaint turned into one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clawgw.nodehost.calls import CommandError, unavailable
from clawgw.nodehost.processes import CannotStart, Processes

__all__ = ["MEDIA_LIMIT", "capture"]

MEDIA_LIMIT = 15 * 1024 * 1024
"""Bytes of a picture or a recording; a third is added by base64, and 25 MiB is a frame."""


async def capture(
    processes: Processes,
    ffmpeg: str,
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    seconds: float,
    limit: int = MEDIA_LIMIT,
) -> bytes:
    """What ffmpeg writes to its standard output.

    :raises CommandError: when it fails, does not end within ``seconds``, or writes too much.
    """
    argv = [ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", *args, "pipe:1"]
    try:
        finished = await processes.run(argv, env=env, seconds=seconds, limit=limit)
    except CannotStart as problem:
        raise unavailable(str(problem)) from None
    if finished.timed_out:
        raise CommandError("TIMEOUT", f"the device gave nothing within {seconds:g} s")
    if finished.truncated:
        raise CommandError(
            "PAYLOAD_TOO_LARGE", f"it came out larger than {limit >> 20} MiB; ask for less"
        )
    if finished.exit_code != 0 or not finished.stdout:
        said = finished.stderr.decode("utf-8", "replace").strip().splitlines()
        raise unavailable(
            f"ffmpeg could not do it: {said[-1][:300] if said else 'it said nothing'}"
        )
    return finished.stdout
