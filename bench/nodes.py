"""`node.invoke`, there and back: what the Gateway adds to a bare relay between the same sockets.

The relay is Autobahn alone and passes every message of one client on to the other, as it is. The
operator and the node are the same plain sockets in both cases and send the same bytes, so what is
left as the difference is the Gateway's: frames read, the command checked against the policy, the
idempotency key on the disk before the node is asked, the answer put together.

With one in flight the difference is that of the median round trips; with many, that of the time an
invocation takes of the server, because a round trip is then mostly waiting in line. Between large
results there is a pause, as between photos: while one of them goes to the disk, the next key waits.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench.load import Target
from tests.nodes.support import Node
from tests.support.ports import free_port
from tests.support.wire import Client, Cut, Socket, device

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "system.which"
LARGE = 5 << 20
RELAY_SECONDS = 10.0
PAUSE_SECONDS = 0.2
_ASKED = re.compile(rb'"id":"([^"]+)"')


class Found(NamedTuple):
    """One case: what the Gateway adds, and may add, in milliseconds; where that comes from."""

    case: str
    added_ms: float
    figure: str
    most_ms: float | None


class Size(NamedTuple):
    """How much is measured: invocations, how many at a time, with what pause (seconds).

    `most_ms` is what may be added. Of a large result there is no such figure: it has to be read as
    JSON and put into an answer, which is work for every byte.
    """

    rounds: int
    count: int
    depth: int
    pause: float
    most_ms: float | None


class _Pair:
    """An operator's and a node's socket; the node answers every request at once.

    Args:
        value: what the node answers, as JSON.
    """

    def __init__(self, operator: Socket, node: Socket, node_id: str, value: bytes) -> None:
        self.operator, self.node = operator, node
        self.node_id = node_id
        self._value = value
        self._stopped = False
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        # Without `type`, the relay's operator can tell nothing apart; it does not need to.
        head = b'{"type":"req","id":"r","method":"node.invoke.result","params":{"id":"'
        tail = b'","nodeId":"%b","ok":true,"payload":%b}}' % (self.node_id.encode(), self._value)
        while not self._stopped:
            try:
                payload = self.node.receive(600).payload
            except (Cut, OSError, TimeoutError):
                return
            if b"node.invoke.request" not in payload[:80]:
                continue
            found = _ASKED.search(payload)
            assert found is not None
            self.node.send_text(head + found[1] + tail)

    def ask(self) -> None:
        """One invocation, with a key of its own. The relay passes it on as the node gets it."""
        raise NotImplementedError

    def invoke(self, count: int, depth: int, pause: float = 0) -> tuple[list[float], float]:
        """So many invocations, `depth` at a time; round trips and the time of all, in seconds."""
        times, started, begun = [], time.perf_counter(), []
        asked = answered = 0
        while answered < count:
            while asked < count and asked - answered < depth:
                if pause:
                    time.sleep(pause)
                begun.append(time.perf_counter())
                self.ask()
                asked += 1
            while True:
                payload = self.operator.receive(60).payload
                if payload.startswith(b'{"type":"event"'):
                    continue
                assert b'"ok":true' in payload[:400], payload[:400]
                break
            times.append(time.perf_counter() - begun[answered])
            answered += 1
        return times, time.perf_counter() - started

    def close(self) -> None:
        """Let go of both."""
        self._stopped = True
        self.operator.cut()
        self.node.cut()
        self._thread.join(10)


class _Gateway(_Pair):
    def ask(self) -> None:
        params = {
            "nodeId": self.node_id, "command": COMMAND, "params": {"bins": ["sh"]},
            "timeoutMs": 60_000, "idempotencyKey": str(uuid.uuid4()),
        }  # fmt: skip
        frame = {"type": "req", "id": "1", "method": "node.invoke", "params": params}
        self.operator.send_text(json.dumps(frame))


class _Relay(_Pair):
    def ask(self) -> None:
        payload = {
            "id": str(uuid.uuid4()), "nodeId": self.node_id, "command": COMMAND,
            "paramsJSON": '{"bins":["sh"]}', "timeoutMs": 60_000,
            "idempotencyKey": str(uuid.uuid4()),
        }  # fmt: skip
        frame = {"type": "event", "event": "node.invoke.request", "payload": payload}
        self.operator.send_text(json.dumps(frame, separators=(",", ":")))


def through_gateway(target: Target, directory: Path, value: bytes) -> _Pair:
    """An operator and an approved node, connected to the Gateway; `directory` is for its key."""
    operator = Client(target.port, token=target.token, identity=target.identity, protocol=4)
    identity = device(directory, "bench-node")
    node = Node(target.port, identity, token=target.token, commands=[COMMAND], caps=[])
    for waiting in operator.request("node.pair.list")["pending"]:
        if waiting["nodeId"] == node.node_id:
            operator.request("node.pair.approve", {"requestId": waiting["requestId"]})
    return _Gateway(operator, node, node.node_id, value)


def through_relay(port: int, value: bytes) -> _Pair:
    """Two sockets on the relay."""
    operator, node = Socket(port), Socket(port)
    for one in (operator, node):
        one.send_text("here")
        one.receive()
    return _Relay(operator, node, "f" * 64, value)


def measure(target: Target, rounds: int) -> Iterator[Found]:
    """Every case, Gateway and relay in turn."""
    small, large = b'{"bins":{"sh":"/bin/sh"}}', b'"%b"' % (b"A" * LARGE)
    with relay() as port, TemporaryDirectory(prefix="clawgw-bench-") as keys:
        for case, value, size in (
            ("node.invoke, 1 in flight", small, Size(rounds, 1000, 1, 0, 1.0)),
            ("node.invoke, 64 in flight", small, Size(rounds, 4000, 64, 0, 1.0)),
            ("node.invoke, a result of 5 MiB", large, Size(rounds, 20, 1, PAUSE_SECONDS, None)),
        ):
            yield _case(
                case,
                lambda value=value: through_gateway(target, Path(keys), value),
                lambda value=value: through_relay(port, value),
                size,
            )


def _case(
    case: str,
    ours: Callable[[], _Pair],
    bare: Callable[[], _Pair],
    size: Size,
) -> Found:
    rounds, count, depth, pause, most_ms = size
    added, figures, floors = [], [], []
    for _ in range(rounds):
        taken = []
        for make in (bare, ours):
            pair = make()
            try:
                pair.invoke(max(5, count // 10), depth)  # warm
                times, whole = pair.invoke(count, depth, pause)
            finally:
                pair.close()
            taken.append((statistics.median(times) if depth == 1 else whole / count) * 1000)
        floors.append(taken[0])
        figures.append(taken[1])
        added.append(taken[1] - taken[0])
    each = "median" if depth == 1 else "each"
    figure = f"{statistics.median(figures):.2f} ms {each}, relay {statistics.median(floors):.2f}"
    return Found(case, statistics.median(added), figure, most_ms)


@contextmanager
def relay() -> Iterator[int]:
    """The relay, running; its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.nodes", str(port)], cwd=ROOT)
    try:
        deadline = time.monotonic() + RELAY_SECONDS
        while True:
            try:
                Socket(port).cut()
                break
            except (OSError, Cut):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


def serve(port: int) -> None:
    """The relay: on loopback, until killed. A client says "here" to be one of two."""
    from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
    from twisted.internet import reactor

    pairs: list[Any] = []

    class Half(WebSocketServerProtocol):
        other: Any = None
        tcpNoDelay = True  # see gateway.websocket.ApiProtocol

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            if self.other is not None:
                self.other.sendMessage(payload)
                return
            pairs.append(self)
            self.sendMessage(b"here")
            if len(pairs) == 2:
                pairs[0].other, pairs[1].other = pairs[1], pairs[0]
                pairs.clear()

    factory: Any = WebSocketServerFactory()
    factory.protocol = Half
    listening: Any = reactor
    listening.listenTCP(port, factory, interface="127.0.0.1")
    listening.run()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
