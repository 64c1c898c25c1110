"""The load: clients on plain sockets, cheap enough not to be what is measured.

Requests are made once and sent again and again; of an answer only the length is looked at, of an
event only its name. Every function here returns plain numbers. Requests are written one by one,
as clients do. The client is of protocol 3, with a device key and every operator scope.
"""

from __future__ import annotations

import json
import selectors
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.wire import Client, client_frame, device

FANOUT_WINDOW = 8
EVENT_NAME = b'"talk.mode"'
ONE_READ = 1 << 18


class Target:
    """What is loaded.

    Args:
        port: on loopback.
        token: the shared secret.
        key_directory: where the device key is.
    """

    def __init__(self, port: int, token: str, key_directory: Path) -> None:
        self.port = port
        self.token = token
        self.identity = device(key_directory)

    def client(self, protocol: int = 3) -> Client:
        """A connected client."""
        return Client(self.port, token=self.token, identity=self.identity, protocol=protocol)


def connects(target: Target, seconds: float, workers: int = 8) -> float:
    """Connections to hello-ok per second, `workers` at a time."""
    done = [0] * workers
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < end:
            target.client().cut()
            done[number] += 1

    started = time.perf_counter()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - started)


class _Caller:
    """One connection that keeps `depth` requests in flight."""

    def __init__(self, client: Client, request: bytes) -> None:
        self.socket = client.socket
        self._request = request
        self._buffer = b""
        self.answers = 0

    def ask(self, count: int = 1) -> None:
        for _ in range(count):
            self.socket.sendall(self._request)

    def hear(self) -> int:
        """Read; returns how many answers came."""
        data = self._buffer + self.socket.recv(ONE_READ)
        if not data:
            raise ConnectionError("the connection was closed")
        at, found, size = 0, 0, len(data)
        while size >= at + 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if size < start + length:
                break
            found += data.startswith(b'{"type":"res"', start) or data.startswith(
                b'{"type": "res"', start
            )
            at = start + length
        self._buffer = data[at:]
        self.answers += found
        return found


def requests(
    target: Target, method: str, params: Any, seconds: float, *, connections: int, depth: int
) -> float:
    """Answers per second, `connections` times `depth` in flight."""
    frame = {"type": "req", "id": "1", "method": method, "params": params}
    request = client_frame(json.dumps(frame).encode())
    clients = [target.client() for _ in range(connections)]
    clients[0].request(method, params)
    callers = [_Caller(client, request) for client in clients]
    selector = selectors.EpollSelector()
    for caller in callers:
        selector.register(caller.socket, selectors.EVENT_READ, caller)
        caller.ask(depth)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for key, _ in selector.select(1):
            key.data.ask(key.data.hear())
    elapsed = time.perf_counter() - started
    selector.close()
    for client in clients:
        client.cut()
    return sum(caller.answers for caller in callers) / elapsed


class _Listener:
    """One connection that counts an event."""

    def __init__(self, client: Client) -> None:
        self.socket = client.socket
        self._tail = b""

    def hear(self) -> int:
        data = self._tail + self.socket.recv(ONE_READ)
        self._tail = data[-len(EVENT_NAME) + 1 :]
        return data.count(EVENT_NAME)


def fan_out(target: Target, listeners: int, events: int) -> float:
    """Deliveries per second of an event to many clients."""
    clients = [target.client() for _ in range(listeners)]
    publisher = target.client()
    selector = selectors.EpollSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, _Listener(client))
    params = {"enabled": True, "phase": "x" * 64}
    frame = {"type": "req", "id": "1", "method": "talk.mode", "params": params}
    asking = _Caller(publisher, client_frame(json.dumps(frame).encode()))
    selector.register(publisher.socket, selectors.EVENT_READ, asking)
    delivered, asked, wanted = 0, FANOUT_WINDOW, listeners * events
    started = time.perf_counter()
    asking.ask(FANOUT_WINDOW)
    while delivered < wanted:
        ready = selector.select(10)
        if not ready:
            raise TimeoutError(f"{delivered} of {wanted} events were delivered")
        for key, _ in ready:
            if key.data is asking:
                more = min(asking.hear(), events - asked)
                asking.ask(more)
                asked += more
            else:
                delivered += key.data.hear()
    elapsed = time.perf_counter() - started
    selector.close()
    for client in (*clients, publisher):
        client.cut()
    return delivered / elapsed


def chat(target: Target, messages: int, sessions: int = 8, depth: int = 32) -> tuple[float, float]:
    """Messages acknowledged per second, and messages answered per second."""
    client = target.client(protocol=4)
    mark = f"{time.time_ns():x}"
    sent = acknowledged = 0
    started = time.perf_counter()
    while acknowledged < messages:
        while sent < messages and sent - acknowledged < depth:
            params = {
                "sessionKey": f"bench-{sent % sessions}",
                "message": f"message {sent}",
                "idempotencyKey": f"{mark}-{sent}",
            }
            client.post("chat.send", params)
            sent += 1
        frame = client.step(time.monotonic() + 30)
        acknowledged += frame["type"] == "res"
        client.events.clear()
    accepted_in = time.perf_counter() - started
    _wait(client, lambda status: status["activeRuns"] == status["queuedRuns"] == 0)
    answered_in = time.perf_counter() - started
    client.cut()
    return messages / accepted_in, messages / answered_in


def _wait(client: Client, good: Callable[[Any], bool]) -> None:
    while not good(client.request("status", timeout=60)):
        client.events.clear()
        time.sleep(0.02)


def round_trips(target: Target, seconds: float) -> list[float]:
    """How long `health` takes, asked every five milliseconds; seconds, sorted."""
    client = target.client()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        client.request("health")
        times.append(time.perf_counter() - started)
        client.events.clear()
        time.sleep(0.005)
    client.cut()
    return sorted(times)
