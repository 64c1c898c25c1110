"""Child processes of the node host: bounded in time and output, and gone with all they started.

Each child leads a process group of its own (a session, ``setsid(2)``), so that ending it ends what
it has started too: SIGTERM to the group, SIGKILL two seconds later. Twisted cannot make a session
without a terminal, so a few lines of Python make it and then become the program; they also give
SIGPIPE its default meaning back, which Python had taken away.

Output beyond the limit is read and dropped, because a child that is not read from stands still.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

__all__ = ["CannotStart", "Finished", "Processes", "end_group", "spawn_leader"]

TERM_SECONDS = 2.0
"""From SIGTERM to SIGKILL."""

LAST_WORDS_SECONDS = 0.5
"""How long the output of a child is read after its end, while others still hold its pipes."""

_LEADER = """\
import os, signal, sys
os.setsid()
for number in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
try:
    os.execv(sys.argv[1], sys.argv[2:])
except OSError as problem:
    sys.exit(f"{sys.argv[1]}: {problem.strerror}")
"""


class CannotStart(Exception):
    """The child could not be started; the message says why."""


@dataclass(frozen=True)
class Finished:
    """How a child ended and what it wrote. ``exit_code`` is None when a signal ended it."""

    exit_code: int | None
    signal: int | None
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    truncated: bool
    timed_out: bool


def spawn_leader(
    reactor: Any,
    protocol: ProcessProtocol,
    argv: Sequence[str],
    *,
    program: str,
    env: Mapping[str, str],
    cwd: str | None = None,
    pipes: Mapping[int, str] | None = None,
) -> Any:
    """Start ``program`` (an absolute path) as ``argv`` in a group of its own; its transport.

    It reads nothing from standard input. ``pipes`` are more descriptors, ``"r"`` for those we read.

    :raises CannotStart: when the system refuses.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        return reactor.spawnProcess(
            protocol,
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _LEADER, program, *argv],
            env=dict(env),
            path=cwd,
            childFDs={0: nothing, 1: "r", 2: "r", **(pipes or {})},
        )
    except (OSError, ValueError) as problem:
        raise CannotStart(f"{argv[0]} cannot be started: {problem}") from None
    finally:
        os.close(nothing)


def end_group(transport: Any, leader: int, number: signal.Signals) -> None:
    """Signal a child and all it has started."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        # It has not got as far as leading a group, or it is gone.
        with contextlib.suppress(Exception):
            transport.signalProcess(number.name.removeprefix("SIG"))
    except PermissionError:
        return  # only members that are not ours any more (setuid), or zombies on macOS


class Processes:
    """The children that run now; ``stop`` ends them all."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._children: set[_Child] = set()

    def __len__(self) -> int:
        return len(self._children)

    def run(
        self,
        argv: Sequence[str],
        *,
        program: str | None = None,
        env: Mapping[str, str],
        cwd: str | None = None,
        seconds: float,
        limit: int,
        interrupt: bool = False,
    ) -> Deferred[Finished]:
        """Run ``argv`` to its end; cancelling kills it.

        :param program: the file to run, an absolute path; ``argv[0]`` by default.
        :param seconds: after that it is ended, and ``timed_out`` set.
        :param limit: bytes kept, of standard output and standard error together.
        :param interrupt: with SIGINT instead of SIGTERM, for programs that tidy up on Ctrl-C.

        Fails with ``CannotStart``.
        """
        child = _Child(self._reactor, limit, signal.SIGINT if interrupt else signal.SIGTERM)
        try:
            child.start(argv, program or argv[0], env, cwd, seconds)
        except CannotStart:
            child.done.errback(Failure())
            return child.done
        self._children.add(child)
        child.gone.addCallback(lambda _: self._children.discard(child))
        return child.done

    def stop(self) -> Deferred[None]:
        """End all; fires when the last is gone."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        children = tuple(self._children)
        for child in children:
            child.end()
        for child in children:
            await _as_well(child.gone)


class _Child(ProcessProtocol):
    """One child; ``done`` fires with how it ended, ``gone`` with None in any case."""

    def __init__(self, reactor: Any, limit: int, polite: signal.Signals) -> None:
        self._reactor = reactor
        self._room = limit
        self._polite = polite
        self._written: dict[int, list[bytes]] = {1: [], 2: []}
        self._truncated = False
        self._timed_out = False
        self._ending = False
        self._leader = 0
        self._timers: list[IDelayedCall] = []
        self.done: Deferred[Finished] = Deferred(lambda _: self.end())
        self.gone: Deferred[None] = Deferred()

    def start(
        self,
        argv: Sequence[str],
        program: str,
        env: Mapping[str, str],
        cwd: str | None,
        seconds: float,
    ) -> None:
        transport = spawn_leader(self._reactor, self, argv, program=program, env=env, cwd=cwd)
        self._leader = transport.pid
        self._after(seconds, self._expire)

    def end(self) -> None:
        """End it, politely first."""
        if not self._ending:
            self._ending = True
            end_group(self.transport, self._leader, self._polite)
            self._after(TERM_SECONDS, end_group, self.transport, self._leader, signal.SIGKILL)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if len(data) > self._room:
            self._truncated = True
            data = data[: self._room]
        self._room -= len(data)
        if data:
            self._written[childFD].append(data)

    def processExited(self, reason: Failure) -> None:
        if self._ending:
            # What it had started and did not listen to SIGTERM.
            end_group(self.transport, self._leader, signal.SIGKILL)
        self._after(LAST_WORDS_SECONDS, self.transport.loseConnection)  # type: ignore[union-attr]

    def processEnded(self, reason: Failure) -> None:
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._ending = True
        self.gone.callback(None)
        if not self.done.called:
            self.done.callback(
                Finished(
                    exit_code=getattr(reason.value, "exitCode", None),
                    signal=getattr(reason.value, "signal", None),
                    stdout=b"".join(self._written[1]),
                    stderr=b"".join(self._written[2]),
                    truncated=self._truncated,
                    timed_out=self._timed_out,
                )
            )

    def _expire(self) -> None:
        self._timed_out = True
        self.end()

    def _after(self, seconds: float, action: Any, *args: Any) -> None:
        self._timers.append(self._reactor.callLater(seconds, action, *args))


def _as_well(gone: Deferred[None]) -> Deferred[None]:
    """A Deferred that fires with another, whoever else waits for that."""
    waiter: Deferred[None] = Deferred()
    gone.addCallback(waiter.callback)
    return waiter
