"""A Node program beside a test: commands by JSON-RPC, and what it tells kept in order."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from clawgw.jsonrpc import JsonRpcProcess

HERE = Path(__file__).parent
COMMAND_SECONDS = 90.0
EVENT_SECONDS = 120.0
OLDEST_NODE = 20

Params = dict[str, Any]


class Told(NamedTuple):
    """One thing the program told: the name of it, and the details."""

    name: str
    params: Params


class NotTold(AssertionError):
    """What a test waits for did not happen in time."""


def node() -> str:
    """The Node on the PATH.

    Raises:
        AssertionError: there is none, or it is too old.
    """
    program = shutil.which("node")
    assert program, "the WhatsApp tests need Node (Debian: apt-get install nodejs)"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    major = int(version.stdout.lstrip("v").split(".")[0])
    assert major >= OLDEST_NODE, f"Node {OLDEST_NODE} or newer is needed, not {version.stdout}"
    return program


class NodeProgram:
    """A Node program that is controlled by a test.

    Attributes:
        told: everything it told, in order.
    """

    def __init__(self, reactor: Any, name: str) -> None:
        self.told: list[Told] = []
        self._reactor = reactor
        self._waiting: list[tuple[Callable[[Told], bool], Deferred[Told]]] = []
        self._process = JsonRpcProcess(
            reactor, name,
            on_request=lambda method, params: None, on_notification=self._heard,
            on_exit=self._ended,
        )  # fmt: skip

    def run(self, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Start it: `node <arguments>`, in this directory."""
        environ = {**os.environ, **(env or {})}
        self._process.start([node(), *arguments], env=environ, cwd=str(HERE))

    def command(self, method: str, **params: Any) -> Deferred[Any]:
        """Have it do something; fires with the result.

        Errors: `RpcError` with what it has against that, `ProcessGone`, `RpcTimeout`.
        """
        return self._process.request(method, params, timeout=COMMAND_SECONDS)

    def mark(self) -> int:
        """Now, for `wait_for(…, since=…)`."""
        return len(self.told)

    def all(self, name: str) -> list[Params]:
        """The details of everything told by that name so far."""
        return [told.params for told in self.told if told.name == name]

    def wait_for(
        self,
        name: str,
        fits: Callable[[Params], bool] = lambda params: True,
        *,
        since: int = 0,
        seconds: float = EVENT_SECONDS,
    ) -> Deferred[Params]:
        """The first thing told by that name that fits, since then or still to come.

        Errors: `NotTold` after `seconds`, or when the program ends.
        """

        def right(told: Told) -> bool:
            return told.name == name and fits(told.params)

        for told in self.told[since:]:
            if right(told):
                found: Deferred[Params] = Deferred()
                found.callback(told.params)
                return found
        return self._later(right, name, seconds).addCallback(lambda told: told.params)

    def _later(self, right: Callable[[Told], bool], name: str, seconds: float) -> Deferred[Told]:
        found: Deferred[Told] = Deferred()
        entry = (right, found)

        def expire() -> None:
            self._waiting.remove(entry)
            found.errback(NotTold(f"no {name} within {seconds:g} s; told: {self.told[-6:]}"))

        call = self._reactor.callLater(seconds, expire)

        def settled(result: Any) -> Any:
            if call.active():
                call.cancel()
            return result

        self._waiting.append(entry)
        return found.addBoth(settled)

    def _heard(self, method: str, params: Params) -> None:
        told = Told(method, params)
        self.told.append(told)
        for entry in list(self._waiting):
            right, found = entry
            if right(told):
                self._waiting.remove(entry)
                found.callback(told)

    def _ended(self, why: str) -> None:
        waiting, self._waiting = self._waiting, []
        for _, found in waiting:
            found.errback(NotTold(f"the program ended: {why}; told: {self.told[-6:]}"))

    def stop(self) -> Deferred[None]:
        """End it; fires when it is gone."""
        return self._process.stop()

    def kill(self) -> Deferred[str]:
        """End it at once, as a crash would; fires when it is gone."""
        ended = self._process.ended
        self._process.kill("it was killed")
        return ended
