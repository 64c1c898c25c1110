"""The cases: what is measured, against what, and what must be reached.

Each case with a floor is measured turn by turn, floor and Gateway, in several rounds, and its
ratio is the median of the rounds: a figure on a shared machine means little, a ratio of two taken
seconds apart means something.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import channels, load, nodes
from bench.seed import seed
from tests.faults.support import echo_agents
from tests.support.gateway import GatewayProcess
from tests.support.ports import free_port
from tests.support.wire import Client, Cut

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "bench-token"
MIB = 1024 * 1024
SESSIONS = 10_000
MESSAGES = 100_000
FLOOR_SECONDS = 10.0


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    rounds: int = 3
    seconds: float = 2.0
    clients: int = 300
    events: int = 200
    messages: int = 2000


@dataclass
class Row:
    """One line of the table. `least`: the ratio to reach; `most`: the figure not to pass."""

    case: str
    figure: str
    ratio: float | None = None
    least: float | None = None
    measured: float | None = None
    most: float | None = None

    @property
    def short(self) -> bool:
        """Whether the budget is missed."""
        if self.least is not None and self.ratio is not None:
            return self.ratio < self.least
        return self.most is not None and self.measured is not None and self.measured > self.most


@dataclass
class Bench:
    """A full Gateway and the floor, both running."""

    plan: Plan
    gateway: GatewayProcess
    mine: load.Target
    floor: load.Target
    rows: list[Row] = field(default_factory=list)

    def compare(
        self, case: str, least: float, measure: Callable[[load.Target], float], unit: str = "/s"
    ) -> Row:
        """Measure floor and Gateway in turn."""
        ratios, figures = [], []
        for _ in range(self.plan.rounds):
            base = measure(self.floor)
            figure = measure(self.mine)
            ratios.append(figure / base)
            figures.append(figure)
        figure = f"{statistics.median(figures):,.0f}{unit}"
        return Row(case, figure, ratio=statistics.median(ratios), least=least)


def connects(bench: Bench) -> Iterator[Row]:
    """Connections to hello-ok, eight at a time."""
    seconds = bench.plan.seconds
    yield bench.compare("connect to hello-ok", 0.52, lambda t: load.connects(t, seconds))


def requests(bench: Bench) -> Iterator[Row]:
    """Small requests and a listing."""
    seconds = bench.plan.seconds
    for method, depth, least in (
        ("health", 1, 0.66),
        ("health", 16, 0.66),
        ("system-presence", 16, 0.66),
        ("sessions.list", 16, 0.38),
    ):
        connections = 1 if depth == 1 else 8

        def measure(
            target: load.Target, method: str = method, n: int = connections, depth: int = depth
        ) -> float:
            return load.requests(target, method, {}, seconds, connections=n, depth=depth)

        yield bench.compare(f"{method}, {connections * depth} in flight", least, measure)


def fanout(bench: Bench) -> Iterator[Row]:
    """One event to many clients, deliveries."""
    clients, events = bench.plan.clients, bench.plan.events
    yield bench.compare(
        f"event to {clients} clients", 0.76, lambda t: load.fan_out(t, clients, events)
    )


def chat(bench: Bench) -> Iterator[Row]:
    """Messages accepted durably, and answered by an agent that takes no time."""
    accepted, answered = load.chat(bench.mine, bench.plan.messages)
    yield Row("chat.send acknowledged, 32 in flight", f"{accepted:,.0f}/s")
    yield Row("chat.send answered, 8 sessions", f"{answered:,.0f}/s")


def lag(bench: Bench) -> Iterator[Row]:
    """How long `health` takes while messages flood in: what blocks the reactor shows here."""
    flood = subprocess.Popen(
        [sys.executable, "-m", "bench", "flood", str(bench.mine.port), str(bench.plan.messages)],
        cwd=ROOT,
        env={**os.environ, "BENCH_TOKEN": TOKEN, "BENCH_KEYS": str(bench.gateway.state_dir)},
    )
    times = load.round_trips(bench.mine, bench.plan.seconds * 2)
    flood.wait(120)
    middle, high = times[len(times) // 2], times[int(len(times) * 0.99)]
    yield Row(
        "health while messages flood in",
        f"p50 {middle * 1000:.1f} ms, p99 {high * 1000:.1f} ms, worst {times[-1] * 1000:.1f} ms",
    )


def memory(bench: Bench) -> Iterator[Row]:
    """Resident memory of a Gateway that has just started, and what a connection adds."""
    bench.gateway.stop()
    bench.gateway.start()
    time.sleep(1)
    idle = resident(bench.gateway.pid)
    clients = [bench.mine.client() for _ in range(bench.plan.clients)]
    time.sleep(1)
    each = (resident(bench.gateway.pid) - idle) / len(clients)
    for client in clients:
        client.cut()
    yield Row("memory at rest", f"{idle / MIB:.1f} MiB", measured=idle / MIB, most=80)
    yield Row("memory of a connection", f"{each / 1024:.1f} KiB")


def startup(bench: Bench) -> Iterator[Row]:
    """From nothing to the first hello-ok, with a full store."""
    times = []
    for _ in range(bench.plan.rounds):
        bench.gateway.stop()
        started = time.perf_counter()
        bench.gateway.spawn()
        while True:
            try:
                bench.mine.client().cut()
                break
            except (OSError, Cut):
                time.sleep(0.005)
        times.append(time.perf_counter() - started)
    middle = statistics.median(times)
    yield Row(
        f"start to hello-ok, {MESSAGES:,} messages", f"{middle:.2f} s", measured=middle, most=0.8
    )


def invocations(bench: Bench) -> Iterator[Row]:
    """`node.invoke` through the Gateway, against a bare relay: what the Gateway adds."""
    for found in nodes.measure(bench.mine, bench.plan.rounds):
        yield Row(
            found.case,
            f"+{found.added_ms:.2f} ms ({found.figure})",
            measured=found.added_ms,
            most=found.most_ms,
        )


def drain(bench: Bench) -> Iterator[Row]:
    """Messages that waited at a provider: drained, stored and routed; and the lag meanwhile."""
    found = [channels.drain() for _ in range(bench.plan.rounds)]
    rate = statistics.median(one.rate for one in found)
    yield Row(
        f"a provider's messages, {channels.COUNT:,} waiting",
        f"{rate:,.0f}/s, {1000 / rate:.2f} ms each", measured=1000 / rate, most=1,
    )  # fmt: skip
    lags = sorted(time for one in found for time in one.lags)
    worst, high = lags[-1] * 1000, lags[int(len(lags) * 0.99)] * 1000
    yield Row(
        "health while they are drained", f"p99 {high:.1f} ms, worst {worst:.1f} ms",
        measured=worst, most=50,
    )  # fmt: skip


CASES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "memory": memory,
    "connects": connects,
    "requests": requests,
    "fanout": fanout,
    "chat": chat,
    "lag": lag,
    "nodes": invocations,
    "startup": startup,
    "drain": drain,
}


def run(names: list[str], plan: Plan) -> list[Row]:
    """Set everything up, measure, and take it down again."""
    with tempfile.TemporaryDirectory(prefix="clawgw-bench-") as directory:
        state = Path(directory) / "gateway"
        print(f"seeding {SESSIONS:,} sessions with {MESSAGES:,} messages …", flush=True)
        seed(state, SESSIONS, MESSAGES)
        gateway = GatewayProcess(state, token=TOKEN, config=echo_agents())
        gateway.start()
        rows = []
        try:
            with floor(Path(directory)) as base:
                bench = Bench(plan, gateway, load.Target(gateway.port, TOKEN, state), base)
                for name in names:
                    for row in CASES[name](bench):
                        rows.append(row)
                        print(line(row), flush=True)
        finally:
            gateway.stop()
    return rows


@contextmanager
def floor(directory: Path) -> Iterator[load.Target]:
    """The floor, running."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.floor", str(port)], cwd=ROOT)
    try:
        deadline = time.monotonic() + FLOOR_SECONDS
        while True:
            try:
                Client(port, token="floor").cut()
                break
            except (OSError, Cut):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield load.Target(port, "floor", directory)
    finally:
        process.kill()
        process.wait()


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def line(row: Row) -> str:
    """A row for the terminal."""
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} of the floor"
    budget = ""
    if row.least is not None:
        budget = f"budget {row.least:.2f}"
    elif row.most is not None:
        budget = f"budget {row.most:g}"
    return f"{row.case:40} {row.figure:>12}  {ratio:18} {budget}{'  SHORT' * row.short}"


def table(rows: list[Row]) -> str:
    """The rows as Markdown, for README.md."""
    lines = ["| case | figure | of the floor | budget |", "|---|---|---|---|"]
    for row in rows:
        ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
        budget: Any = row.least if row.least is not None else row.most
        lines.append(
            f"| {row.case} | {row.figure} | {ratio} | {'–' if budget is None else budget} |"
        )
    return "\n".join(lines)
