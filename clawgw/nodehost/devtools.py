"""A chromium without a window, driven through the DevTools protocol.

We speak with it over two pipes (``--remote-debugging-pipe``: JSON, a NUL byte after each message),
not over a port: a port could be used by everybody on this machine. It has a profile of its own that
goes with it. It leads its own process group, and everything asked of it has a time limit.

https://chromedevtools.github.io/devtools-protocol/ describes the methods.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from clawgw.nodehost.calls import CommandError, unavailable
from clawgw.nodehost.processes import CannotStart, end_group, spawn_leader

__all__ = ["Browser"]

_TO_BROWSER, _FROM_BROWSER = 3, 4
_LONGEST_MESSAGE = 64 * 1024 * 1024
_QUIT_SECONDS = 3.0
_KEEP_ERRORS = 2000

_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--block-new-web-contents",
    "--mute-audio",
    "--hide-scrollbars",
)


class _Reply(msgspec.Struct):
    """A message of the browser's: an answer has an ``id``, an event a ``method``."""

    id: int | None = None
    method: str | None = None
    params: Any = None
    session_id: str | None = msgspec.field(default=None, name="sessionId")
    result: Any = None
    error: Any = None


class Browser(ProcessProtocol):
    """One browser; ``ended`` fires with None when it is gone.

    :param on_event: called with each event's method, parameters and session.
    """

    _log = Logger()

    def __init__(self, reactor: Any, on_event: Callable[[str, Any, str | None], None]) -> None:
        self._reactor = reactor
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._decode = msgspec.json.Decoder(_Reply).decode
        self._pending: dict[int, tuple[Deferred[Any], IDelayedCall]] = {}
        self._partial: list[bytes] = []
        self._size = 0
        self._complaint = b""
        self._profile: str | None = None
        self._leader = 0
        self._running = False
        self._stopping = False
        self._timers: list[IDelayedCall] = []
        self.ended: Deferred[None] = Deferred()

    @property
    def running(self) -> bool:
        """Whether it can be asked for something."""
        return self._running

    def start(self, program: str, env: Mapping[str, str], directory: Path) -> None:
        """Start it, with a new profile below ``directory``.

        :raises CommandError: when it cannot be started.
        """
        try:
            self._profile = tempfile.mkdtemp(prefix="browser-", dir=directory)
            flags = [*_FLAGS, f"--user-data-dir={self._profile}"]
            if os.geteuid() == 0:
                flags.append("--no-sandbox")  # chromium refuses to have one as root
            transport = spawn_leader(
                self._reactor,
                self,
                [program, *flags, "about:blank"],
                program=program,
                env=env,
                pipes={_TO_BROWSER: "w", _FROM_BROWSER: "r"},
            )
        except (CannotStart, OSError) as problem:
            self._forget_profile()
            raise unavailable(f"the browser cannot be started: {problem}") from None
        self._leader = transport.pid
        self._running = True
        self._log.info("The browser of the canvas was started, pid {pid}", pid=self._leader)

    def ask(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        session: str | None = None,
        seconds: float = 15.0,
    ) -> Deferred[Any]:
        """Call a method; fires with its result.

        Fails with ``CommandError``. A browser that does not answer in time is ended: whatever holds
        it up would hold up the next command too.
        """
        answer: Deferred[Any] = Deferred()
        if not self._running:
            answer.errback(unavailable("the browser has ended"))
            return answer
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session
        timer = self._reactor.callLater(seconds, self._too_late, number, method, seconds)
        self._pending[number] = (answer, timer)
        transport: Any = self.transport
        transport.writeToChild(_TO_BROWSER, msgspec.json.encode(message) + b"\0")
        return answer

    def stop(self) -> Deferred[None]:
        """End it; fires when it is gone and its profile removed."""
        if self._running and not self._stopping:
            self._stopping = True
            end_group(self.transport, self._leader, signal.SIGTERM)
            self._timers.append(self._reactor.callLater(_QUIT_SECONDS, self._kill))
        waiter: Deferred[None] = Deferred()
        self.ended.addCallback(lambda _: waiter.callback(None))
        return waiter

    # What the process says

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == _FROM_BROWSER:
            self._receive(data)
        else:
            self._complaint = (self._complaint + data)[-_KEEP_ERRORS:]

    def processExited(self, reason: Failure) -> None:
        self._kill()  # its helpers, which hold the pipes open
        transport: Any = self.transport
        self._timers.append(self._reactor.callLater(0.5, transport.loseConnection))

    def processEnded(self, reason: Failure) -> None:
        self._running = False
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        pending, self._pending = self._pending, {}
        for answer, limit in pending.values():
            limit.cancel()
            answer.errback(unavailable(f"the browser has ended{self._last_words()}"))
        self._log.info("The browser of the canvas has ended")
        pool = self._reactor.getThreadPool()
        removed = deferToThreadPool(self._reactor, pool, self._forget_profile)
        removed.addBoth(lambda _: self.ended.callback(None))

    def _receive(self, data: bytes) -> None:
        *whole, rest = data.split(b"\0")
        for part in whole:
            self._partial.append(part)
            message = b"".join(self._partial)
            self._partial, self._size = [], 0
            self._handle(message)
        if rest:
            self._partial.append(rest)
            self._size += len(rest)
            if self._size > _LONGEST_MESSAGE:
                self._partial, self._size = [], 0
                self._kill()

    def _handle(self, message: bytes) -> None:
        try:
            reply = self._decode(message)
        except (msgspec.DecodeError, RecursionError):
            self._log.warn("The browser wrote something that is no DevTools message")
            return
        if reply.method is not None:
            self._on_event(reply.method, reply.params or {}, reply.session_id)
        elif reply.id is not None and reply.id in self._pending:
            answer, timer = self._pending.pop(reply.id)
            timer.cancel()
            if reply.error is None:
                answer.callback(reply.result or {})
            else:
                said = reply.error.get("message") if isinstance(reply.error, dict) else None
                answer.errback(unavailable(f"the browser says: {said or 'it does not work'}"))

    def _too_late(self, number: int, method: str, seconds: float) -> None:
        answer, _ = self._pending.pop(number)
        self._kill()
        answer.errback(
            CommandError("TIMEOUT", f"the browser did not answer {method} within {seconds:g} s")
        )

    def _kill(self) -> None:
        if self._running:
            end_group(self.transport, self._leader, signal.SIGKILL)

    def _last_words(self) -> str:
        lines = self._complaint.decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1][:300]}" if lines else ""

    def _forget_profile(self) -> None:
        if self._profile is not None:
            shutil.rmtree(self._profile, ignore_errors=True)
            self._profile = None
