"""What `signal-cli` says goes to a file first, so that the Gateway's end loses none of it.

`signal-cli` acknowledges a message to Signal's server when it has it on its own disk, and forgets
it as soon as it has written it to its standard output. Were that a pipe, whatever is in the pipe
would be gone when the Gateway is killed. So its standard output is a file, which is written to the
end whatever becomes of the reader; the Gateway follows it, and after a restart reads first what
earlier children have left. The answers to sends are found there too: a request that had reached the
child was carried out, and the file says how it ended.

A file belongs to one child. It is locked as long as somebody can write to it, that is, until the
child and all its own children are gone; only then it is complete. A file is removed when all of it
has been stored. A child whose file has become too large is ended by whoever reads it, in its own
good time, and gets a new one.

None of this is made safe against a loss of power, because `signal-cli` is not, either.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath

from clawgw.channels.adapter import Fault
from clawgw.jsonrpc import JsonRpcProcess, OnNotification, OnRequest

CHUNK = 64 * 1024
POLL_SECONDS = 0.1
LOCK_PAUSE = 0.1
LOCK_SECONDS = 30.0

InThread = Callable[..., Deferred[Any]]

_NAME = re.compile(r"[0-9]{8}\.jsonl")


class Spool:
    """The directory of these files.

    Args:
        directory: made if it is not there.
        in_thread: runs a blocking function in the thread pool.
    """

    def __init__(self, reactor: Any, directory: Path, in_thread: InThread) -> None:
        self._reactor = reactor
        self._directory = directory
        self._in_thread = in_thread

    async def left(self) -> list[Path]:
        """The files of earlier children, oldest first."""

        def look() -> list[Path]:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            return sorted(p for p in self._directory.iterdir() if _NAME.fullmatch(p.name))

        found: list[Path] = await self._in_thread(look)
        return found

    async def complete(self, path: Path) -> None:
        """Wait until nobody can write to a file any more.

        Raises:
            Fault: its child does not end.
        """
        until = self._reactor.seconds() + LOCK_SECONDS
        while not await self._in_thread(_is_free, path):
            if self._reactor.seconds() > until:
                raise Fault("an earlier signal-cli is still running and does not end")
            pause: Deferred[None] = Deferred()
            self._reactor.callLater(LOCK_PAUSE, pause.callback, None)
            await pause

    async def lines(self, path: Path, position: int) -> tuple[list[tuple[bytes, int]], bool]:
        """Some whole lines from a position on, each with where it ends, and whether that is all."""
        found: list[tuple[bytes, int]]
        found, over = await self._in_thread(_lines, path, position)
        return found, over

    async def remove(self, path: Path) -> None:
        """All of a file has been stored."""
        await self._in_thread(path.unlink, True)

    async def new(self) -> tuple[Path, int]:
        """A file for another child: its name, and an open and locked descriptor to write to."""
        names = [path.name for path in await self.left()]
        number = int(names[-1].partition(".")[0]) + 1 if names else 1
        path = self._directory / f"{number:08d}.jsonl"
        # Not in a thread: were we cancelled meanwhile, nobody would have the locked descriptor.
        return path, _create(path)


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _lines(path: Path, position: int) -> tuple[list[tuple[bytes, int]], bool]:
    with path.open("rb") as file:
        file.seek(position)
        found: list[tuple[bytes, int]] = []
        taken = 0
        for line in _whole_lines(file):
            taken += len(line)
            found.append((line, position + taken))
            if taken >= CHUNK:
                return found, False
    return found, True


def _whole_lines(file: Any) -> Iterator[bytes]:
    for line in file:
        if line.endswith(b"\n"):
            yield line


class SpooledProcess(JsonRpcProcess):
    """A child that writes to a file, and is heard from there.

    Args:
        path, descriptor: from `Spool.new`; the descriptor is closed here.
        The others are those of `JsonRpcProcess`.
    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        in_thread: InThread,
        path: Path,
        descriptor: int,
        *,
        on_request: OnRequest,
        on_notification: OnNotification,
    ) -> None:
        super().__init__(reactor, name, on_request=on_request, on_notification=on_notification)
        self.path = path
        self.exit_code: int | None = None
        self._in_thread = in_thread
        self._written_to = descriptor
        self._read_from = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._read = 0
        self._more = False
        self._held = False
        self._following: Deferred[None] | None = None
        self._watch: Callable[[], None] | None = None

    def close(self) -> None:
        """Give up the files; done by itself when the child has ended."""
        for descriptor in (self._written_to, self._read_from):
            if descriptor >= 0:
                os.close(descriptor)
        self._written_to = self._read_from = -1
        if self._watch is not None:
            self._watch()
            self._watch = None

    def connectionMade(self) -> None:
        """It has been started, and has its own copy of the descriptor."""
        super().connectionMade()
        os.close(self._written_to)
        self._written_to = -1
        self._watch = watch(self._clock, self.path, self._changed)
        self._changed()

    def pause(self) -> None:
        """Read no more for now; the child is not held up."""
        self._held = True

    def resume(self) -> None:
        """Read again."""
        self._held = False
        self._changed()

    def processEnded(self, reason: Failure) -> None:
        """It is gone; what it wrote last is heard first."""
        self.exit_code = getattr(reason.value, "exitCode", None)
        self._held = False
        self._more = True
        end = super().processEnded
        last = self._reading()
        last.addBoth(lambda _: self.close())
        last.addCallback(lambda _: end(reason))

    def _child_files(self) -> dict[int, Any]:
        return {0: "w", 1: self._written_to, 2: "r"}

    def _changed(self) -> None:
        self._more = True
        if self._read_from >= 0:
            self._reading()

    def _reading(self) -> Deferred[None]:
        """Fires when what there is has been read; only one reads at a time."""
        if self._following is not None:
            return self._following
        reading = self._following = Deferred.fromCoroutine(self._follow())
        reading.addErrback(self._unreadable)
        reading.addCallback(self._read_all)
        return reading

    def _read_all(self, _: None) -> None:
        self._following = None

    async def _follow(self) -> None:
        while self._more and not self._held:
            self._more = False
            while data := await self._in_thread(os.pread, self._read_from, CHUNK, self._read):
                self._read += len(data)
                self._received(data)
                if self._held:
                    self._more = True
                    break

    def _unreadable(self, failure: Failure) -> None:
        self.log.failure("{name}: its file cannot be read", failure, name=self._name)
        self.kill("its file cannot be read")


def watch(clock: Any, path: Path, changed: Callable[[], None]) -> Callable[[], None]:
    """Have `changed` called whenever a file has grown; returns what ends that."""
    notifier = _notifier(clock, path, changed)
    if notifier is not None:
        end: Callable[[], None] = notifier.loseConnection
        return end
    poll = LoopingCall(changed)
    poll.clock = clock
    poll.start(POLL_SECONDS, now=False)
    return poll.stop


def _notifier(clock: Any, path: Path, changed: Callable[[], None]) -> Any:
    """The kernel's word for it; None where there is no such thing, or none left."""
    try:
        from twisted.internet.inotify import IN_MODIFY, INotify, INotifyError
    except (ImportError, AttributeError):  # not Linux
        return None
    try:
        notifier = INotify(clock)
    except (INotifyError, OSError):
        return None
    try:
        notifier.watch(FilePath(os.fspath(path)), IN_MODIFY, callbacks=[lambda *_: changed()])
    except (INotifyError, OSError):
        notifier.connectionLost(None)
        return None
    notifier.startReading()
    return notifier
