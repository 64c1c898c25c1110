"""JSON-RPC 2.0, one JSON object a line, with whatever the Gateway runs beside itself.

Agents speak this, and so does whatever owns a chat surface that has no library for Twisted. Nobody
at the other end is trusted to behave: a line may be at most `MAX_LINE` bytes, what is not read may
be at most `MAX_UNREAD`, a line that is no JSON-RPC is logged and skipped, and no more is logged of
anybody than `clawgw.loglimit` allows. When the other end goes, whatever was asked of it fails with
`ProcessGone`, once.

`JsonRpcPeer` is the talking, over any transport. `JsonRpcProcess` is the talking with a child over
its standard input and output; its standard error goes to the log line by line. Stopping a child is
polite first: its input is closed, then SIGTERM, then SIGKILL.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from clawgw.loglimit import LineLimit

MAX_LINE = 32 * 1024 * 1024
MAX_UNREAD = 64 * 1024 * 1024
MAX_LOG_LINE = 2000
TERM_SECONDS = 2.0
KILL_SECONDS = 5.0
LAST_WORDS_SECONDS = 1.0

METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class ProcessGone(Exception):
    """The other end has gone, or could not be reached or started; the message says how."""


class RpcError(Exception):
    """The other end answered with an error.

    Attributes:
        code: the JSON-RPC code.
        data: what it said beside the message.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class RpcTimeout(Exception):
    """The other end did not answer in time."""


OnRequest = Callable[[str, dict[str, Any]], Awaitable[Any] | Any]
OnNotification = Callable[[str, dict[str, Any]], None]


class _Message(msgspec.Struct, frozen=True):
    """A line: request, notification or response. Unknown fields are ignored."""

    id: int | str | msgspec.UnsetType | None = msgspec.UNSET
    method: str | None = None
    params: Any = None
    result: Any = None
    error: Any = None


class JsonRpcPeer(ABC):
    """The talking: requests, notifications and answers, both ways, with its limits.

    A transport feeds `_received`, writes what `_write` is given, is told by `_abort` to go away
    at once, and calls `_opened` and `_gone`. It is also the producer that is paused and resumed as
    the other end reads.

    Args:
        clock: knows the time.
        name: what the log calls it.
        on_request: answers what the other end asks; may raise `RpcError`.
        on_notification: hears what the other end says.

    Attributes:
        position: how many bytes have been heard, to the end of the message that is being handled.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        name: str,
        *,
        on_request: OnRequest,
        on_notification: OnNotification,
    ) -> None:
        self._clock = clock
        self._name = name
        self._on_request = on_request
        self._on_notification = on_notification
        self._decode = msgspec.json.Decoder(_Message).decode
        self._pending: dict[int | str, Deferred[Any]] = {}
        self._last_id = 0
        self._line: list[bytes] = []
        self._line_size = 0
        self._unread = 0
        self._clogged = False
        self.position = 0
        self._running = False
        self._why: str | None = None
        self._over: str | None = None
        self._waiting: list[Deferred[str]] = []
        self._log_limit = LineLimit(clock, self._remark)

    @property
    def running(self) -> bool:
        """Whether it is there: it has been started or reached and has not gone."""
        return self._running

    @property
    def ending(self) -> bool:
        """Whether it is still there, but told to go: what it is asked now is answered by nobody."""
        return self._running and self._why is not None

    @property
    def ended(self) -> Deferred[str]:
        """Fires when it has gone, with the reason in words; a Deferred of your own each time."""
        ended: Deferred[str] = Deferred()
        if self._over is not None:
            ended.callback(self._over)
        else:
            self._waiting.append(ended)
        return ended

    # What a transport is

    @abstractmethod
    def _write(self, data: bytes) -> None:
        """Send bytes."""

    @abstractmethod
    def _abort(self) -> None:
        """Go away now; `_gone` follows."""

    def _opened(self) -> None:
        self._running = True

    def _gone(self, why: str) -> None:
        """The other end is no more: everybody who waits hears it."""
        self._running = False
        self._why = why = self._why or why
        self._log_limit.close()
        self.log.info("{name}: ended, {why}", name=self._name, why=why)
        pending, self._pending = self._pending, {}
        for deferred in pending.values():
            deferred.errback(ProcessGone(why))
        self._over = why
        waiting, self._waiting = self._waiting, []
        for ended in waiting:
            ended.callback(why)

    def kill(self, why: str) -> None:
        """End it now."""
        self._why = self._why or why
        self._abort()

    # Asking

    def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        timeout: float | None = None,
        key: str | None = None,
    ) -> Deferred[Any]:
        """Ask the other end; fires with its result.

        Args:
            timeout: seconds, None for as long as it takes.
            key: an id for the request, which no other under way has; None for one of ours.

        Errors: `RpcError`, `RpcTimeout`, `ProcessGone`.
        """
        self._last_id += 1
        request_id: int | str = self._last_id if key is None else key
        if request_id in self._pending:
            raise ValueError(f"a request with the id {request_id!r} is under way")
        deferred: Deferred[Any] = Deferred()
        if not self._send({"id": request_id, "method": method, "params": params}):
            deferred.errback(ProcessGone(self._why or "it is not running"))
            return deferred
        self._pending[request_id] = deferred
        if timeout is not None:
            self._limit(request_id, deferred, method, timeout)
        return deferred

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell the other end; nothing comes back."""
        self._send({"method": method, "params": params})

    def _limit(
        self, request_id: int | str, deferred: Deferred[Any], method: str, timeout: float
    ) -> None:
        def expire() -> None:
            if self._pending.pop(request_id, None) is not None:
                deferred.errback(RpcTimeout(f"no answer to {method} within {timeout:g} s"))

        call = self._clock.callLater(timeout, expire)

        def settled(result: Any) -> Any:
            if call.active():
                call.cancel()
            return result

        deferred.addBoth(settled)

    def _send(self, message: dict[str, Any]) -> bool:
        if not self._running:
            return False
        line = msgspec.json.encode({"jsonrpc": "2.0", **message}) + b"\n"
        if self._clogged:
            self._unread += len(line)
            if self._unread > MAX_UNREAD:
                self.kill("it does not read what it is sent")
                return False
        self._write(line)
        return True

    # IPushProducer: how fast the other end reads

    def pauseProducing(self) -> None:
        """The other end does not keep up."""
        self._clogged = True

    def resumeProducing(self) -> None:
        """It has caught up."""
        self._clogged = False
        self._unread = 0

    def stopProducing(self) -> None:  # noqa: B027 - not for a transport to override
        """It reads no more; its end follows."""

    # Hearing

    def _received(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line.append(line)
            whole = b"".join(self._line)
            self.position += len(whole) + 1
            self._line, self._line_size = [], 0
            if whole.strip():
                self._handle(whole)
        if rest:
            self._line.append(rest)
            self._line_size += len(rest)
            if self._line_size > MAX_LINE:
                self._line, self._line_size = [], 0
                self.kill(f"it wrote a line of more than {MAX_LINE} bytes")

    def _handle(self, line: bytes) -> None:
        try:
            message = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._complain("wrote a line that is no JSON-RPC")
            return
        if message.method is not None:
            params = message.params if isinstance(message.params, dict) else {}
            self._called(message.id, message.method, params)
        elif isinstance(message.id, int | str):
            self._answered(message.id, message)
        elif message.error is not None:
            self._complain("reports an error nobody asked for")

    def _complain(self, text: str) -> None:
        if self._log_limit.admits():
            self._remark(text)

    def _remark(self, text: str) -> None:
        self.log.warn("{name}: {text}", name=self._name, text=text)

    def _answered(self, request_id: int | str, message: _Message) -> None:
        deferred = self._pending.pop(request_id, None)
        if deferred is None:
            return
        if message.error is None:
            deferred.callback(message.result)
        else:
            deferred.errback(error_in(message.error))

    def _called(
        self, request_id: int | str | msgspec.UnsetType | None, method: str, params: dict[str, Any]
    ) -> None:
        if isinstance(request_id, msgspec.UnsetType):
            try:
                self._on_notification(method, params)
            except Exception:  # noqa: BLE001 - what a child says must not break reading it
                self.log.failure("{name}: while hearing {method}", name=self._name, method=method)
            return
        answer = maybeDeferred(_run, self._on_request, method, params)
        answer.addCallback(lambda result: self._send({"id": request_id, "result": result}))
        answer.addErrback(
            lambda failure: self._send({"id": request_id, "error": self._error_of(failure)})
        )

    def _error_of(self, failure: Failure) -> dict[str, Any]:
        problem = failure.value
        if isinstance(problem, RpcError):
            return {"code": problem.code, "message": str(problem)}
        self.log.failure("{name}: while answering it", failure, name=self._name)
        return {"code": INTERNAL_ERROR, "message": "the Gateway could not do that"}


class JsonRpcProcess(JsonRpcPeer, ProcessProtocol):
    """A child that speaks JSON-RPC.

    Args:
        reactor: starts processes and knows the time.
        name: what the log calls it.
        on_request: answers what the child asks; may raise `RpcError`.
        on_notification: hears what the child says.
        on_exit: called once, with the reason in words.
    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        *,
        on_request: OnRequest,
        on_notification: OnNotification,
        on_exit: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(reactor, name, on_request=on_request, on_notification=on_notification)
        self._processes: IReactorProcess = reactor
        self._error_line = b""
        self._timers: list[Any] = []
        self.ended.addCallback(on_exit)

    def start(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: str | None = None
    ) -> None:
        """Start the child.

        Raises:
            ProcessGone: the program or its directory is not there.
        """
        program = shutil.which(command[0], path=env.get("PATH"))
        if program is None:
            raise ProcessGone(f"there is no program {command[0]!r}")
        if cwd is not None and not os.path.isdir(cwd):
            raise ProcessGone(f"there is no directory {cwd!r}")
        try:
            transport: Any = self._processes.spawnProcess(
                self, program, [program, *command[1:]], env=dict(env), path=cwd,
                childFDs=self._child_files(),
            )  # fmt: skip
        except OSError as problem:
            raise ProcessGone(f"cannot start {command[0]!r}: {problem.strerror}") from None
        self._opened()
        self.log.info("{name}: started, pid {pid}", name=self._name, pid=transport.pid)

    def _child_files(self) -> dict[int, Any]:
        """What the child's files are, as `spawnProcess` wants it: pipes."""
        return {0: "w", 1: "r", 2: "r"}

    def connectionMade(self) -> None:
        """It is there; ask to be told when it does not read."""
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]

    def outReceived(self, data: bytes) -> None:
        """Bytes of its standard output."""
        self._received(data)

    def pause(self) -> None:
        """Hear nothing more for now; the child is held up when its pipe is full."""
        self.transport.pauseProducing()  # type: ignore[union-attr]

    def resume(self) -> None:
        """Hear it again."""
        self.transport.resumeProducing()  # type: ignore[union-attr]

    def errReceived(self, data: bytes) -> None:
        """Bytes of its standard error, for the log."""
        *lines, rest = (self._error_line + data).split(b"\n")
        self._error_line = rest[:MAX_LOG_LINE]
        for line in lines:
            self._log_line(line)

    def _log_line(self, line: bytes) -> None:
        text = _CONTROL.sub("?", line[:MAX_LOG_LINE].decode("utf-8", "replace").rstrip())
        if text and self._log_limit.admits():
            self.log.info("{name}: {text}", name=self._name, text=text)

    # The end

    def stop(self) -> Deferred[None]:
        """End the child, politely first; fires when it is gone."""
        if self.transport is None:
            return succeed(None)  # it was never started
        if self._running and not self._timers:
            self._why = self._why or "it was stopped"
            self.transport.closeStdin()
            self._timers = [
                self._clock.callLater(TERM_SECONDS, self._signal, "TERM"),
                self._clock.callLater(KILL_SECONDS, self._signal, "KILL"),
            ]
        return self.ended.addCallback(lambda _: None)

    def _write(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]

    def _abort(self) -> None:
        self._signal("KILL")

    def _signal(self, name: str) -> None:
        with contextlib.suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)  # type: ignore[union-attr]

    def processExited(self, reason: Failure) -> None:
        """It is gone. A child of its own may hold its pipes open, but not for ever."""
        close = self.transport.loseConnection  # type: ignore[union-attr]
        self._timers.append(self._clock.callLater(LAST_WORDS_SECONDS, close))

    def processEnded(self, reason: Failure) -> None:
        """It is gone and its pipes are empty."""
        self._log_line(self._error_line)
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._gone(_exit_words(reason))


def _run(handler: OnRequest, method: str, params: dict[str, Any]) -> Any:
    result = handler(method, params)
    if inspect.iscoroutine(result):
        return Deferred.fromCoroutine(result)
    return result


def error_in(error: Any) -> RpcError:
    """What the `error` of an answer says, whatever it is."""
    if not isinstance(error, dict):
        return RpcError(INTERNAL_ERROR, "an error without a description")
    code = error.get("code")
    message = error.get("message")
    return RpcError(
        code if isinstance(code, int) else INTERNAL_ERROR,
        message if isinstance(message, str) and message else "an error without a description",
        error.get("data"),
    )


def _exit_words(reason: Failure) -> str:
    status = getattr(reason.value, "exitCode", None)
    signal = getattr(reason.value, "signal", None)
    if signal is not None:
        return f"it was ended by signal {signal}"
    return f"it ended with exit code {status}"
