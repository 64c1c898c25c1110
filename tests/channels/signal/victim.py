"""A process that runs the Signal adapter and never gets anything stored, to be killed.

Usage: `python -m tests.channels.signal.victim NUMBER DIRECTORY COMMAND…`. Says `up` when it is
connected; sends what it is told on its standard input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred
from twisted.protocols.basic import LineOnlyReceiver

from clawgw.channels.messages import Inbound, Part, Target
from clawgw.channels.signal.adapter import SignalAdapter
from clawgw.channels.signal.settings import SignalAccount
from tests.channels.fake_host import FakeHost


class Forgetful(FakeHost):
    """Its disk takes for ever."""

    never: list[Deferred[None]]

    async def received(
        self, messages: Sequence[Inbound], cursor: Mapping[str, str | None] | None = None
    ) -> None:
        if messages:
            self.never = [Deferred()]  # what nobody holds would be collected, and all that waits
            await self.never[0]

    def connected(self, **details: str) -> None:
        sys.stdout.write("up\n")
        sys.stdout.flush()


class Orders(LineOnlyReceiver):
    """What to send."""

    delimiter = b"\n"

    def __init__(self, adapter: SignalAdapter) -> None:
        self.adapter = adapter

    def lineReceived(self, line: bytes) -> None:
        order = json.loads(line)
        target = Target(channel="signal", account="default", chat=order["chat"])
        Deferred.fromCoroutine(self.adapter.send(target, Part(key=order["key"], text="x")))


def main() -> None:
    number, directory, *command = sys.argv[1:]
    settings = SignalAccount(account=number, command=tuple(command))
    adapter = SignalAdapter("default", settings, Forgetful(reactor, Path(directory)))
    Deferred.fromCoroutine(adapter.run()).addErrback(lambda why: print(why, file=sys.stderr))
    stdio.StandardIO(Orders(adapter))
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
