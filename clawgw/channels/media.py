"""Files that come with messages and go out with them, and how long they are kept.

What comes in is fetched into `media/inbound` of the state directory when its message is routed, so
that the agent can be given it, and its path. What goes out is copied to `media/outbound`, because
the original may be gone when a message is at last delivered. Both are only for the owner to read,
and removed after `channels.mediaDays`; what goes out not before its message can wait no longer. A
file's name there is made by us; the name somebody gave it is kept for show only.
"""

from __future__ import annotations

import mimetypes
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from twisted.internet.defer import Deferred

from clawgw.channels.adapter import SendRefused
from clawgw.channels.messages import MediaKind, OutMedia
from clawgw.store.outbox import KEPT_MS

DAY_SECONDS = 24 * 3600
MAX_BYTES = 100 * 1024 * 1024

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")


class MediaStore:
    """The files of all channels.

    Args:
        directory: `media` in the state directory.
        in_thread: runs a blocking function in the thread pool.
        days: how long files are kept.
        seconds: the time, in seconds since the epoch.
    """

    def __init__(
        self,
        directory: Path,
        in_thread: Callable[..., Deferred[Any]],
        days: int,
        seconds: Callable[[], float],
    ) -> None:
        self.directory = directory
        self._inbound = directory / "inbound"
        self._outbound = directory / "outbound"
        self._in_thread = in_thread
        self.days = days
        self._seconds = seconds

    def inbound(self, seq: int, number: int, name: str, mime_type: str) -> Path:
        """Where a file that came in is kept; the same whenever it is asked for."""
        return self._inbound / f"{seq}-{number}{suffix_of(name, mime_type)}"

    async def prepare(self) -> None:
        """Make the directories."""
        await self._in_thread(self._make)

    async def keep(self, source: Path, name: str, mime_type: str) -> OutMedia:
        """Copy a file that is to be sent.

        Raises:
            SendRefused: it cannot be read, is too large, or no file.
        """
        kept: OutMedia = await self._in_thread(self._copy, source, name, mime_type)
        return kept

    async def keep_bytes(self, content: bytes, name: str, mime_type: str) -> OutMedia:
        """Keep a file that is to be sent.

        Raises:
            SendRefused: there is no room for it.
        """
        kept: OutMedia = await self._in_thread(self._write, content, name, mime_type)
        return kept

    def outbound(self, name: str, mime_type: str) -> Path:
        """A new place for a file that is to be sent."""
        return self._outbound / f"{uuid.uuid4().hex}{suffix_of(name, mime_type)}"

    async def sweep(self) -> None:
        """Remove what has been there for long."""
        await self._in_thread(self._sweep)

    # In a thread

    def _make(self) -> None:
        for directory in (self.directory, self._inbound, self._outbound):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _copy(self, source: Path, name: str, mime_type: str) -> OutMedia:
        try:
            with _open(source) as old:
                return self._save(old, name, mime_type)
        except OSError as problem:
            raise SendRefused(f"cannot read {name}: {problem.strerror}") from None

    def _write(self, content: bytes, name: str, mime_type: str) -> OutMedia:
        return self._save(BytesIO(content), name, mime_type)

    def _save(self, content: IO[bytes], name: str, mime_type: str) -> OutMedia:
        path = self.outbound(name, mime_type)
        try:
            with _create(path) as file:
                shutil.copyfileobj(content, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            path.unlink(missing_ok=True)
            raise SendRefused(f"cannot keep {name}: {problem.strerror}") from None
        return media_of(path, name, mime_type)

    def _sweep(self) -> None:
        kept = self.days * DAY_SECONDS
        _remove_older(self._inbound, self._seconds() - kept)
        _remove_older(self._outbound, self._seconds() - max(kept, KEPT_MS / 1000))


def media_of(path: Path, name: str, mime_type: str) -> OutMedia:
    """A file to send, by what it is."""
    return OutMedia(path=str(path), kind=kind_of(mime_type), mime_type=mime_type, name=name)


def kind_of(mime_type: str) -> MediaKind:
    """What a file is, by its type."""
    if mime_type == "image/svg+xml":  # nobody shows these
        return "file"
    heads: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
    return heads.get(mime_type.partition("/")[0], "file")


def type_of(name: str) -> str:
    """The type of a file, by its name."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def suffix_of(name: str, mime_type: str) -> str:
    """The end of a file's name, for programs that go by it."""
    found = _SUFFIX.search(name)
    return found.group().lower() if found else mimetypes.guess_extension(mime_type) or ""


def _remove_older(directory: Path, oldest: float) -> None:
    for entry in os.scandir(directory):
        with suppress(FileNotFoundError):  # a file that is being fetched has got its name
            if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < oldest:
                os.unlink(entry.path)


def _open(path: Path) -> Any:
    """A file to copy: not a pipe, on which a thread would wait for ever.

    Raises:
        SendRefused: it is no file, or too large.
        OSError: it cannot be read.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(number)
    is_file = stat.S_ISREG(status.st_mode)
    if is_file and status.st_size <= MAX_BYTES:
        return os.fdopen(number, "rb")
    os.close(number)
    limit = f"larger than {MAX_BYTES // 1024 // 1024} MB"
    raise SendRefused(f"{path.name} is {limit if is_file else 'no file'}")


def _create(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
