"""Messages that wait at a provider: how fast they are drained, stored and routed, and the lag.

The provider is the tests' fake of Telegram's Bot API in a process of its own, with thousands of
messages from several people waiting when the Gateway starts. Each becomes a run; the agent never
answers, because how fast agents are is not the question. The time is from the first message that
was stored to the last that was routed, by the store's own times; meanwhile `health` is asked again
and again, and how long it takes is how long the reactor was busy with something else.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.support.gateway import GatewayProcess, scripted_agents
from tests.support.wire import Client, device

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "123456:bench-token"
PEOPLE = 20
COUNT = 5000
SECONDS = 60.0


class Drained(NamedTuple):
    """Messages a second, and the round trips of `health` meanwhile, sorted, in seconds."""

    rate: float
    lags: list[float]


def drain(count: int = COUNT) -> Drained:
    """Start a Gateway with `count` messages waiting for it."""
    provider = subprocess.Popen(
        [sys.executable, "-m", "bench", "provider", str(count)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert provider.stdin is not None
    assert provider.stdout is not None
    try:
        with tempfile.TemporaryDirectory() as directory:
            return _drain(count, provider.stdout.readline().strip(), Path(directory))
    finally:
        provider.stdin.close()
        provider.wait(10)


def _drain(count: int, api_root: str, directory: Path) -> Drained:
    telegram = {
        "botToken": TOKEN, "apiRoot": api_root, "dmPolicy": "open", "allowFrom": ["*"],
    }  # fmt: skip
    config = {
        **scripted_agents(),
        "session": {"dmScope": "per-peer"},
        "channels": {"telegram": telegram},
    }
    gateway = GatewayProcess(directory, config=config)
    gateway.start()
    try:
        client = Client(gateway.port, identity=device(directory), protocol=4)
        lags = []
        deadline = time.monotonic() + SECONDS
        while _routed(directory) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"not drained within {SECONDS:g} s:\n{gateway.log[-2000:]}")
            for _ in range(20):
                began = time.perf_counter()
                client.request("health")
                lags.append(time.perf_counter() - began)
                time.sleep(0.002)
        first, last = _span(directory)
        return Drained(count / max(0.001, (last - first) / 1000), sorted(lags))
    finally:
        gateway.kill()


def _routed(directory: Path) -> int:
    return int(_row(directory, "SELECT count(*) FROM inbox WHERE state = 'routed'")[0])


def _span(directory: Path) -> tuple[int, int]:
    first, last = _row(
        directory,
        "SELECT (SELECT min(received_at) FROM inbox), (SELECT max(accepted_at) FROM runs)",
    )
    return first, last


def _row(directory: Path, query: str) -> tuple[int, ...]:
    store = sqlite3.connect(f"file:{directory / 'clawgw.sqlite'}?mode=ro", uri=True)
    try:
        return tuple(store.execute(query).fetchone())
    finally:
        store.close()


def provide(count: int) -> None:
    """The provider's process: `count` messages wait; ends when its input does."""
    from twisted.internet import reactor, stdio
    from twisted.internet.protocol import Protocol

    from tests.channels.telegram.fake import FakeTelegram

    class UntilClosed(Protocol):
        def connectionLost(self, reason: object = None) -> None:
            reactor.stop()  # type: ignore[attr-defined]

    fake = FakeTelegram(reactor, TOKEN).start()
    people = [fake.world.user(f"Person {n}", 1001 + n) for n in range(PEOPLE)]
    for number in range(count):
        fake.world.say(people[number % PEOPLE], f"HANG {number}")
    print(fake.api_root, flush=True)
    stdio.StandardIO(UntilClosed())
    reactor.run()  # type: ignore[attr-defined]
