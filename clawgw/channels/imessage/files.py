"""Files of messages: here, or on the Mac where `imsg` runs.

With `remoteHost` they are carried by `ssh`, to which the keys, the name and the port of that Mac
have to be known already (`BatchMode`): read with `head -c`, written with `cat` into a directory of
the Mac's own making. File names go through a shell there, so they are quoted.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from clawgw.channels.adapter import SendLater, SendRefused
from clawgw.channels.messages import Media, OutMedia

COPY_SECONDS = 120.0
OUTGOING = "clawgw-outgoing"
GONE = 41
LONGEST_NAME = 200
"""Bytes; file systems take 255."""


class Files:
    """Fetches files, and puts them where `imsg` can read them.

    Args:
        remote_host: the Mac, None: this machine.
        environ: the environment of `ssh`.
        in_thread: runs a blocking function in the thread pool.
    """

    def __init__(
        self,
        reactor: Any,
        remote_host: str | None,
        environ: Mapping[str, str],
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        self._reactor = reactor
        self._host = remote_host
        self._environ = environ
        self._in_thread = in_thread

    async def fetch(self, media: Media, path: Path, max_bytes: int) -> Media:
        """See `Adapter.fetch`."""
        source = media.ref.get("path")
        if not isinstance(source, str):
            raise SendRefused(media.problem or "the file is not there")
        if media.size > max_bytes:
            raise SendRefused(f"it has {media.size} bytes, more than {max_bytes}")
        if self._host is None:
            size = await self._in_thread(_copy, Path(source).expanduser(), path, max_bytes)
        else:
            size = await self._fetch(self._host, source, path, max_bytes)
        return replace(media, path=str(path), size=size)

    async def place(self, media: OutMedia, key: str) -> str:
        """A path at which `imsg` can read a file that is to be sent, under its own name.

        Args:
            key: names the message it is sent with.

        Raises:
            SendRefused, SendLater
        """
        name = file_name(media.name)
        if self._host is None:
            placed: str = await self._in_thread(_link, Path(media.path), key, name)
            return placed
        directory = f"{OUTGOING}/{key}"
        command = (
            f"mkdir -p {shlex.quote(directory)} && cd {shlex.quote(directory)}"
            f" && cat > {shlex.quote(name)} && pwd"
        )
        try:
            descriptor = await self._in_thread(os.open, media.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as problem:
            raise SendRefused(f"the file cannot be read: {problem.strerror}") from None
        code, said = await self._ssh(self._host, command, {0: descriptor, 1: "r", 2: "r"})
        if code != 0:
            raise SendLater(f"the file could not be copied to {self._host}: {_last_line(said)}")
        return f"{_first_line(said)}/{name}"

    async def discard(self, media: OutMedia, key: str) -> None:
        """It has been sent, and `imsg` has made a copy for Messages: what `place` made may go.

        Best effort: whether this works says nothing about the message.
        """
        if self._host is None:
            await self._in_thread(_unlink, Path(media.path), key, file_name(media.name))
            return
        command = f"rm -rf {shlex.quote(f'{OUTGOING}/{key}')}"
        with contextlib.suppress(SendLater):
            await self._ssh(self._host, command, {0: "w", 1: "r", 2: "r"})

    async def _fetch(self, host: str, source: str, path: Path, max_bytes: int) -> int:
        quoted = shlex.quote(source)
        if source.startswith("~/"):
            quoted = f'"$HOME"/{shlex.quote(source[2:])}'
        command = f"test -f {quoted} || exit {GONE}; head -c {max_bytes + 1} < {quoted}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = await self._in_thread(os.open, path, flags, 0o600)
        code, said = await self._ssh(host, command, {0: "w", 1: descriptor, 2: "r"})
        if code == GONE:
            raise SendRefused("Messages no longer has it")
        if code != 0:
            raise SendLater(f"the file could not be copied from {host}: {_last_line(said)}")
        size: int = await self._in_thread(os.path.getsize, path)
        if size > max_bytes:
            raise SendRefused(f"it has more than {max_bytes} bytes")
        return size

    async def _ssh(self, host: str, command: str, files: dict[int, Any]) -> tuple[int, bytes]:
        """Run a command there; closes the descriptor given. Returns its exit code and words."""
        words = ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "--", host, command]
        program = shutil.which(words[0], path=self._environ.get("PATH"))
        run = _Run()
        try:
            if program is None:
                raise SendLater("there is no program 'ssh'")
            self._reactor.spawnProcess(run, program, words, env=dict(self._environ), childFDs=files)
        finally:
            for target in files.values():
                if isinstance(target, int):
                    os.close(target)
        run.ended.addTimeout(COPY_SECONDS, self._reactor)
        try:
            return await run.ended
        except TimeoutError:
            raise SendLater(f"{host} took longer than {COPY_SECONDS:g} s") from None
        finally:
            run.kill()  # it has ended, unless it took too long or nobody waits for it any more


class _Run(ProcessProtocol):
    """A command and its end."""

    def __init__(self) -> None:
        self.ended: Deferred[tuple[int, bytes]] = Deferred()
        self._said = b""

    def connectionMade(self) -> None:
        self.transport.closeStdin()  # type: ignore[union-attr]

    def outReceived(self, data: bytes) -> None:
        self._said = (self._said + data)[-4000:]

    def errReceived(self, data: bytes) -> None:
        self._said = (self._said + data)[-4000:]

    def processEnded(self, reason: Failure) -> None:
        if not self.ended.called:
            code = getattr(reason.value, "exitCode", None)
            self.ended.callback((255 if code is None else code, self._said))

    def kill(self) -> None:
        with contextlib.suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")  # type: ignore[union-attr]


def _copy(source: Path, path: Path, max_bytes: int) -> int:
    try:
        with source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise SendRefused(f"it has {size} bytes, more than {max_bytes}")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, 0o600), "wb") as copy:
                while data := file.read(1 << 20):
                    copy.write(data)
    except PermissionError:
        raise SendRefused("it may not be read: Full Disk Access is needed") from None
    except OSError as problem:
        raise SendRefused(f"it cannot be read: {problem.strerror}") from None
    return size


def _link(source: Path, key: str, name: str) -> str:
    """Another name for a file that is about to be sent, beside it."""
    directory = _directory(source, key)
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        placed = directory / name
        placed.unlink(missing_ok=True)
        placed.hardlink_to(source)
    except OSError as problem:
        raise SendRefused(f"the file cannot be read: {problem.strerror}") from None
    return str(placed)


def _unlink(source: Path, key: str, name: str) -> None:
    with contextlib.suppress(OSError):
        (_directory(source, key) / name).unlink()
        _directory(source, key).rmdir()


def _directory(source: Path, key: str) -> Path:
    return source.parent / f"{source.name}.{key}"


def file_name(name: str) -> str:
    """The name a file is sent under; of a long one the end, which says what it is."""
    bare = "".join(c if c.isprintable() and c != "/" else "_" for c in name)
    return bare.encode()[-LONGEST_NAME:].decode("utf-8", "ignore").lstrip(".") or "file"


def _first_line(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip().partition("\n")[0]


def _last_line(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip().rpartition("\n")[2][:200] or "no reason given"
