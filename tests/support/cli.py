"""Run the `clawgw` command as a person does: in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

import clawgw

_TREE = str(Path(clawgw.__file__).resolve().parent.parent)


@dataclass(frozen=True)
class Result:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command(ProcessProtocol):
    """A running command; `ended` fires with its Result, `spoke` when it first writes."""

    def __init__(self) -> None:
        self.out = self.err = b""
        self.ended: Deferred[Result] = Deferred()
        self.spoke: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.out += data
        if not self.spoke.called:
            self.spoke.callback(None)

    def errReceived(self, data: bytes) -> None:
        self.err += data

    def processEnded(self, reason: Failure) -> None:
        code = getattr(reason.value, "exitCode", None)
        self.ended.callback(
            Result(-1 if code is None else code, self.out.decode(), self.err.decode())
        )

    def signal(self, name: str) -> None:
        assert self.transport is not None
        self.transport.signalProcess(name)

    def stop(self) -> None:
        """Make sure that it does not outlive its test."""
        try:
            self.signal("KILL")
        except ProcessExitedAlready:
            return


def environment(state_dir: str | Path, **environ: str) -> dict[str, str]:
    """A command's environment: on a state directory, with none of our own one's secrets."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": _TREE,
        "CLAWGW_STATE_DIR": str(Path(state_dir).resolve()),
        "HOME": str(Path(state_dir).resolve()),
        **environ,
    }


def start(
    arguments: Sequence[str], state_dir: str | Path, stdin: str = "", **environ: str
) -> Command:
    """Start `clawgw ARGUMENTS` on a state directory, with none of our own environment's secrets."""
    env = environment(state_dir, **environ)
    command = Command()
    argv = [sys.executable, "-m", "clawgw.cli", *arguments]
    process: Any = reactor.spawnProcess(command, sys.executable, argv, env=env)
    process.write(stdin.encode())
    process.closeStdin()
    return command
