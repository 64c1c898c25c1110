"""A configuration that changes while the Gateway runs.

Every few seconds the file is looked at (its size and time, in a worker thread). When it has
changed it is read and checked as at the start; one with a mistake is said in the log and changes
nothing. What can follow at once does, through `on_change`; everything else waits for a restart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from clawgw.config import Config, ConfigError, load_config

LOOK_SECONDS = 3.0

Mark = tuple[int, int] | None
"""Time and size of the file; None where there is none."""


class ConfigWatch:
    """Looks at one file.

    Args:
        path: the configuration file, there or not.
        current: what was read from it at the start.
        in_thread: runs a function in a worker thread.
        on_change: told the new configuration.
    """

    log = Logger()

    def __init__(
        self,
        path: Path,
        current: Config,
        in_thread: Callable[..., Awaitable[Any]],
        on_change: Callable[[Config], None],
    ) -> None:
        self._path = path
        self._current = current
        self._in_thread = in_thread
        self._on_change = on_change
        self._seen = mark_of(path)

    async def look(self) -> None:
        """Read the file again if it has changed."""
        mark = await self._in_thread(mark_of, self._path)
        if mark == self._seen:
            return
        self._seen = mark
        try:
            config = await self._in_thread(load_config, self._path)
        except ConfigError as problem:
            self.log.warn("the configuration has changed but cannot be used: {why}", why=problem)
            return
        if config != self._current:
            self._current = config
            self.log.info(
                "the configuration has changed: channels, and what nodes may be asked, count at "
                "once, the rest after a restart"
            )
            self._on_change(config)


def mark_of(path: Path) -> Mark:
    """Time (ns) and size of a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
