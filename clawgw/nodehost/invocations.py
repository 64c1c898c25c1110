"""What runs now, and what has run: each invocation once, answered once for everybody who asked.

An invocation is known by its idempotency key (by its id where it has none). The same key again,
while it runs, waits for the same result; afterwards it gets the result again. What was refused
before anything was done (``INVALID_REQUEST``, ``UNAVAILABLE``) may be tried again; what was
interrupted may not, for nobody knows how far it came.

Results are remembered for the last 1000 invocations; large ones only as far as 32 MiB go, after
that only the fact that it was done.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from clawgw.nodehost.calls import Call, CommandError

__all__ = ["Invocation", "Invocations", "Outcome"]

MOST_RUNNING = 256
REMEMBERED = 1000
REMEMBERED_BYTES = 32 * 1024 * 1024
_NOT_DONE = frozenset({"INVALID_REQUEST", "UNAVAILABLE"})


@dataclass(frozen=True)
class Invocation:
    """A command the Gateway wants done, ``timeout`` in seconds."""

    id: str
    command: str
    params: bytes = field(default=b"{}", repr=False)
    timeout: float | None = None
    key: str | None = None


@dataclass(frozen=True)
class Outcome:
    """A result as JSON text, or an error."""

    payload: bytes | None = field(default=None, repr=False)
    code: str = ""
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the command was done."""
        return self.payload is not None


@dataclass(eq=False)
class _Work:
    """An invocation that runs, with the ids that wait for it."""

    command: str
    ids: list[str]
    doing: Deferred[Any] | None = None
    timer: IDelayedCall | None = None
    why: Outcome | None = None
    """Why it was ended from outside, if it was."""


Run = Callable[[Call], Coroutine[Any, Any, Any]]


class Invocations:
    """All invocations of this node.

    :param clock: for deadlines.
    :param run: does a command.
    :param answer: tells the Gateway how the invocation with an id has ended.
    :param most_bytes: what a result may have, as JSON.
    """

    _log = Logger()

    def __init__(
        self,
        clock: Any,
        run: Run,
        answer: Callable[[str, Outcome], object],
        most_bytes: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._run = run
        self._answer = answer
        self._most_bytes = most_bytes
        self._running: dict[tuple[str, str], _Work] = {}
        self._done: OrderedDict[tuple[str, str], Outcome] = OrderedDict()
        self._kept = 0

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, wanted: Invocation) -> None:
        """Do what is wanted, unless it is done or being done."""
        name = (wanted.command, wanted.key or wanted.id)
        done, running = self._done.get(name), self._running.get(name)
        if done is not None:
            self._log.info("{command}: done before, answered again", command=wanted.command)
            self._answer(wanted.id, done)
        elif running is not None:
            if wanted.id not in running.ids:
                running.ids.append(wanted.id)
        elif len(self._running) >= MOST_RUNNING:
            self._answer(wanted.id, Outcome(code="UNAVAILABLE", message="the node is busy"))
        else:
            self._start(name, wanted)

    def cancel(self, invoke_id: str) -> None:
        """Nobody waits for the invocation with this id any more."""
        for work in tuple(self._running.values()):
            if invoke_id in work.ids:
                work.ids.remove(invoke_id)
                if not work.ids:
                    self._log.info("{command}: cancelled", command=work.command)
                    self._end(work, Outcome(code="CANCELLED", message="it was cancelled"))

    def interrupt(self) -> None:
        """The connection is gone, and with it everybody who waits."""
        for work in tuple(self._running.values()):
            work.ids.clear()
            self._end(
                work,
                Outcome(
                    code="INTERRUPTED",
                    message="it was interrupted when the node lost its connection",
                ),
            )

    def _start(self, name: tuple[str, str], wanted: Invocation) -> None:
        work = self._running[name] = _Work(wanted.command, [wanted.id])
        call = Call(wanted.command, wanted.params, wanted.timeout)
        if wanted.timeout is not None:
            late = Outcome(code="TIMEOUT", message=f"not done within {wanted.timeout:g} s")
            work.timer = self._clock.callLater(wanted.timeout, self._end, work, late)
        work.doing = Deferred.fromCoroutine(self._run(call))
        work.doing.addCallback(self._encode)
        work.doing.addErrback(self._explain, work)
        work.doing.addCallback(self._finish, name, work)

    def _end(self, work: _Work, why: Outcome) -> None:
        work.why = work.why or why
        if work.doing is not None:
            work.doing.cancel()

    def _encode(self, value: Any) -> Outcome:
        payload, most = msgspec.json.encode(value), self._most_bytes()
        if len(payload) > most:
            return Outcome(
                code="PAYLOAD_TOO_LARGE",
                message=f"the result has {len(payload)} bytes, the Gateway takes {most}",
            )
        return Outcome(payload)

    def _explain(self, failure: Failure, work: _Work) -> Outcome:
        problem = failure.value
        if isinstance(problem, CommandError):
            return Outcome(code=problem.code, message=str(problem))
        if isinstance(problem, CancelledError) and work.why is not None:
            return work.why
        self._log.failure("{command} failed", failure, command=work.command)
        return Outcome(code="INTERNAL", message="the node could not do that; its log says why")

    def _finish(self, outcome: Outcome, name: tuple[str, str], work: _Work) -> None:
        del self._running[name]
        if work.timer is not None and work.timer.active():
            work.timer.cancel()
        if outcome.code not in _NOT_DONE:
            self._remember(name, outcome)
        if not outcome.ok:
            self._log.info(
                "{command}: {code}, {reason}",
                command=work.command,
                code=outcome.code,
                reason=outcome.message,
            )
        for invoke_id in work.ids:
            self._answer(invoke_id, outcome)

    def _remember(self, name: tuple[str, str], outcome: Outcome) -> None:
        self._done[name] = outcome
        self._kept += len(outcome.payload or b"")
        if len(self._done) > REMEMBERED:
            _, oldest = self._done.popitem(last=False)
            self._kept -= len(oldest.payload or b"")
        if self._kept > REMEMBERED_BYTES:
            self._shorten()

    def _shorten(self) -> None:
        """Forget what the oldest results were; that they were done stays known."""
        for name, outcome in self._done.items():
            if self._kept <= REMEMBERED_BYTES:
                return
            if outcome.payload is not None and len(outcome.payload) > 1000:
                self._kept -= len(outcome.payload)
                self._done[name] = Outcome(
                    code="RESULT_GONE", message="it was done; the result is no longer kept"
                )
