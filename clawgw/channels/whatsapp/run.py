"""Run a program to its end, with a time limit, and keep what it said."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

MOST_OUTPUT = 64 * 1024
LONGEST_WORDS = 400


class Done(NamedTuple):
    """How a program ended.

    Attributes:
        output: the last it wrote, to standard output and error.
        why: the reason, where it did not end well.
    """

    well: bool
    output: str
    why: str = ""

    @property
    def words(self) -> str:
        """What to tell a person: the reason, and the end of what it said."""
        said = " ".join(self.output.split())[-LONGEST_WORDS:]
        return f"{self.why}; {said}" if said else self.why


async def run_program(
    reactor: Any,
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    seconds: float,
    cwd: Path | None = None,
) -> Done:
    """Run a program.

    Args:
        command: the first word is the program's path.
        seconds: after which it is killed.
    """
    program = _Program()
    try:
        reactor.spawnProcess(
            program,
            command[0],
            list(command),
            env=dict(env),
            path=None if cwd is None else str(cwd),
        )
    except OSError as problem:
        return Done(False, "", f"it cannot be started: {problem.strerror}")
    limit = reactor.callLater(seconds, program.kill, f"it took more than {seconds:.0f} s")
    try:
        return await program.ended
    finally:
        program.kill("it was given up")
        if limit.active():
            limit.cancel()


class _Program(ProcessProtocol):
    def __init__(self) -> None:
        self.ended: Deferred[Done] = Deferred()
        self._output = b""
        self._why = ""

    def connectionMade(self) -> None:
        self.transport.closeStdin()  # type: ignore[union-attr]

    def outReceived(self, data: bytes) -> None:
        self._output = (self._output + data)[-MOST_OUTPUT:]

    errReceived = outReceived

    def kill(self, why: str) -> None:
        self._why = self._why or why
        with contextlib.suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")  # type: ignore[union-attr]

    def processEnded(self, reason: Failure) -> None:
        output = self._output.decode("utf-8", "replace")
        status = getattr(reason.value, "exitCode", None)
        why = self._why or f"it ended with exit code {status}"
        if not self.ended.called:
            self.ended.callback(Done(status == 0, output, "" if status == 0 else why))
