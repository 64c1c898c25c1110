"""Files that came with messages: where `signal-cli` keeps them, or as it hands them out.

`signal-cli` has downloaded and deciphered a file before it tells of the message. On this machine it
is in `attachments/` of its data directory; from elsewhere it comes through `getAttachment`, base64
in one line, so only up to a size.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from clawgw.channels.adapter import Fault, SendLater, SendRefused
from clawgw.channels.messages import Media
from clawgw.jsonrpc import RpcError

MAX_LINE_FILE = 20 * 1024 * 1024

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}(\.[A-Za-z0-9]{1,16})?")

Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]


class Files:
    """Fetches files.

    Args:
        words: the command that starts `signal-cli`, which may name its data directory.
        environ: its environment.
        in_thread: runs a blocking function in the thread pool.
    """

    def __init__(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        self._directory = data_directory(words, environ) / "attachments"
        self._in_thread = in_thread

    async def fetch(self, media: Media, path: Path, max_bytes: int, ask: Ask) -> Media:
        """Bring a file to `path`; see `Adapter.fetch`.

        Args:
            ask: asks the running signal-cli; raises `RpcError` or `Fault`.
        """
        name = media.ref.get("id")
        if not isinstance(name, str):
            raise SendRefused(media.problem or "the file is not there")
        _check(media.size, max_bytes)
        if _ID.fullmatch(name):
            size = await self._in_thread(_copy, self._directory / name, path, max_bytes)
            if size is not None:
                return replace(media, path=str(path), size=size)
        _check(media.size, MAX_LINE_FILE)
        try:
            answer = await ask("getAttachment", dict(media.ref))
        except RpcError as problem:
            raise SendRefused(f"signal-cli says: {problem}") from None
        except Fault as problem:
            raise SendLater(str(problem)) from None
        size = await self._in_thread(_write, answer, path, max_bytes)
        return replace(media, path=str(path), size=size)


def data_directory(words: Sequence[str], environ: Mapping[str, str]) -> Path:
    """Where `signal-cli` keeps its data; see `--config` in signal-cli(1)."""
    for word, following in pairwise([*words, ""]):
        if word in ("--config", "-c"):
            return Path(following)
        if word.startswith("--config="):
            return Path(word.removeprefix("--config="))
    home = environ.get("XDG_DATA_HOME") or f"{environ.get('HOME', '')}/.local/share"
    return Path(home) / "signal-cli"


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise SendRefused(f"it has {size} bytes, more than {limit}")


def _copy(source: Path, path: Path, max_bytes: int) -> int | None:
    """Copy a file; returns its size, None if it is not there."""
    try:
        with source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            _check(size, max_bytes)
            with open(path, "wb", opener=_private) as copy:
                while data := file.read(1 << 20):
                    copy.write(data)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return size


def _write(answer: Any, path: Path, max_bytes: int) -> int:
    encoded: Any = answer.get("data") if isinstance(answer, dict) else answer
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise SendRefused("signal-cli did not hand out the file") from None
    _check(len(data), max_bytes)
    with open(path, "wb", opener=_private) as file:
        file.write(data)
    return len(data)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
