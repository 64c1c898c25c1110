"""Nobody uses up the Gateway: not by not reading, not by not speaking, not by coming in crowds."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket as sockets
import threading
import time
from pathlib import Path
from typing import Any

from tests.faults.support import GatewayCase
from tests.support.wire import TEXT, Client, Closed, Cut, Socket

MIB = 1024 * 1024
PER_ADDRESS = 64
IN_ALL = 256
HANDSHAKE_SECONDS = 10
LATE_SECONDS = 30
"""How much longer it may take on a machine that has other things to do."""
SMALL_BUFFER = 4096


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def held_by(port: int) -> int:
    """How many connections whoever listens at a port has not closed yet."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    open_states = ("01", "08")  # established; closed by the other side alone
    return sum(int(line[1][-4:], 16) == port and line[3] in open_states for line in lines)


def in_kernel(port: int, peer: int) -> int:
    """How many bytes the kernel keeps on a loopback connection from `port` to `peer`."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if (int(local[-4:], 16), int(remote[-4:], 16)) == (port, peer):
            return int(queues.split(":")[0], 16)
    raise LookupError(f"no connection from {port} to {peer}")


class LimitsCase(GatewayCase):
    """A Gateway, and clients and strangers that connect to it."""

    def client(self, protocol: int = 3, **options: Any) -> Client:
        return self.connect(protocol, **options)

    def open_socket(self, **options: Any) -> Socket:
        socket = Socket(self.gateway.port, **options)
        self.addCleanup(socket.cut)
        return socket

    def eventually(self, good: Any) -> None:
        deadline = time.monotonic() + 60
        while not good():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


class SlowReaders(LimitsCase):
    """`talk.mode` events may not be lost; `presence` events may."""

    def setUp(self) -> None:
        super().setUp()
        self.publisher = self.client(4)
        self.fast = self.client(3)

    def publish(self, number: int, size: int) -> None:
        """One event that must arrive, and now and then one that may be left out."""
        phase = f"{number} " + "x" * size
        self.publisher.request("talk.mode", {"enabled": True, "phase": phase})
        if number % 20 == 0:
            self.publisher.request("system-event", {"text": "beacon", "deviceId": f"d{number}"})
        self.publisher.events.clear()

    def numbers(self, client: Client) -> list[int]:
        """Which of the events that must arrive have."""
        return [int(payload["phase"].split()[0]) for payload in client.payloads("talk.mode")]

    def holes(self, client: Client) -> int:
        """How many events were left out."""
        counts = [frame["seq"] for frame in client.events]
        return sum(b - a - 1 for a, b in itertools.pairwise(counts))

    def read_on(self, client: Client, last: int) -> None:
        client.event("talk.mode", lambda mode: mode["phase"].startswith(f"{last} "))

    def fill_the_kernel(self, slow: Client) -> int:
        """Publish until no more fits between the Gateway and a reader; how many it took."""
        peer = slow.socket.getsockname()[1]
        number, kept = 0, -1
        while (now := in_kernel(self.gateway.port, peer)) > kept:
            kept = now
            for _ in range(100):
                self.publish(number, 2048)
                number += 1
            self.read_on(self.fast, number - 1)
        return number

    def test_lose_what_can_be_left_out_and_nothing_else(self) -> None:
        slow = self.client(3, receive_buffer=SMALL_BUFFER)
        total = self.fill_the_kernel(slow)
        for number in range(total, total + 200):  # much less than the Gateway keeps
            self.publish(number, 2048)
        total += 200
        self.read_on(self.fast, total - 1)
        self.assertEqual(self.numbers(self.fast), list(range(total)))
        self.assertEqual(self.holes(self.fast), 0)
        self.read_on(slow, total - 1)
        self.assertEqual(self.numbers(slow), list(range(total)))
        self.assertGreater(self.holes(slow), 0)
        # it has caught up: from here on it gets everything again
        self.publisher.request("system-event", {"text": "beacon", "deviceId": "last"})
        slow.event(
            "presence",
            lambda told: any(one.get("deviceId") == "last" for one in told["presence"]),
        )

    def test_lose_their_connection_in_the_end(self) -> None:
        crowd = [self.client(3, receive_buffer=SMALL_BUFFER) for _ in range(10)]
        before = resident(self.gateway.pid)
        total, peak = 400, 0
        for number in range(total):
            self.publish(number, 32 * 1024)
            if number % 10 == 0:
                self.read_on(self.fast, number)
                peak = max(peak, resident(self.gateway.pid))
        self.read_on(self.fast, total - 1)
        self.assertEqual(self.numbers(self.fast), list(range(total)))
        self.assertEqual(self.holes(self.fast), 0)
        for slow in crowd:
            end = slow.ending()
            self.assertIsInstance(end, Closed | Cut)
            if isinstance(end, Closed):
                self.assertEqual((end.code, end.reason), (1008, "slow consumer"))
        # twelve mebibytes were sent to each; at most one and a half were kept for each
        self.assertLess(peak - before, 30 * MIB)
        self.eventually(lambda: self.publisher.request("status")["connections"] == 2)
        self.assertIn("slow consumer", self.gateway.log)

    def test_a_reader_of_long_answers_is_not_slow(self) -> None:
        """Requests in flight all the time, long answers, everything read: no reason to be cut."""
        for number in range(100):
            self.publisher.request(
                "sessions.patch", {"key": f"session-{number}", "label": f"label {number}"}
            )
        reader = self.client(3)
        asked = [reader.post("sessions.list", {"limit": 100}) for _ in range(32)]
        for _ in range(400):
            self.assertEqual(reader.result(asked.pop(0))["count"], 100)
            asked.append(reader.post("sessions.list", {"limit": 100}))
        for request in asked:
            reader.result(request)

    def test_who_asks_without_reading_is_cut_off(self) -> None:
        for number in range(100):
            self.publisher.request(
                "sessions.patch", {"key": f"session-{number}", "label": f"label {number}"}
            )
        before = resident(self.gateway.pid)
        greedy = self.client(3, receive_buffer=SMALL_BUFFER)
        with contextlib.suppress(OSError):
            for _ in range(5000):
                greedy.post("sessions.list", {"limit": 100})
        end = greedy.ending()
        if isinstance(end, Closed):
            self.assertEqual((end.code, end.reason), (1008, "slow consumer"))
        self.assertLess(resident(self.gateway.pid) - before, 20 * MIB)
        self.assertTrue(self.publisher.request("health")["ok"])


class Crowds(LimitsCase):
    """Strangers are counted; friends are not."""

    def refused(self, **options: Any) -> bool:
        try:
            socket = self.open_socket(**options)
            socket.receive()
        except (Cut, OSError):
            return True
        return False

    def filled(self, *sources: str, late: str) -> list[Socket]:
        """As many strangers from these addresses as there may be, and one more that is refused.

        Strangers are cut off when they have been silent for some time; where filling up took longer
        than that, it is done once more.
        """
        before = held_by(self.gateway.port)
        for _ in range(6):
            started = time.monotonic()
            strangers = []
            for source in sources * PER_ADDRESS:
                strangers.append(self.open_socket(source=source))
                strangers[-1].receive()
            refused = self.refused(source=late)
            if time.monotonic() - started < HANDSHAKE_SECONDS:
                self.assertTrue(refused)
                return strangers
            for stranger in strangers:
                stranger.cut()
            self.eventually(lambda: held_by(self.gateway.port) <= before)
        raise self.failureException("the Gateway is not filled in time")

    def test_of_one_address(self) -> None:
        friend = self.client()
        strangers = self.filled("127.0.0.1", late="127.0.0.1")
        self.assertTrue(friend.request("health")["ok"])
        self.assertFalse(self.refused(source="127.0.0.2"))
        strangers[0].cut()
        self.eventually(lambda: not self.refused())

    def test_of_many_addresses(self) -> None:
        friend = self.client()
        addresses = [f"127.0.0.{10 + number}" for number in range(IN_ALL // PER_ADDRESS)]
        self.filled(*addresses, late="127.0.0.99")
        self.assertTrue(friend.request("health")["ok"])

    def test_that_do_not_even_ask_for_a_page(self) -> None:
        friend = self.client()
        before = open_files(self.gateway.pid)
        crowd = []
        for _ in range(1000):
            plain = sockets.create_connection(("127.0.0.1", self.gateway.port))
            self.addCleanup(plain.close)
            crowd.append(plain)
        self.assertTrue(friend.request("health")["ok"])
        self.assertLess(open_files(self.gateway.pid) - before, IN_ALL + 10)

    def test_of_friends_is_welcome(self) -> None:
        friends = [self.client() for _ in range(PER_ADDRESS * 2)]
        self.assertTrue(all(friend.request("health")["ok"] for friend in friends))


class Silence(LimitsCase):
    """Who does not say what it wants is cut off after ten seconds. Waited for once, together."""

    def test_ends_a_connection(self) -> None:
        started = time.monotonic()
        ends: dict[str, tuple[str, float]] = {}

        def watch(name: str, end: Any) -> None:
            ends[name] = (end(), time.monotonic() - started)

        threads = [
            threading.Thread(target=watch, args=("says nothing", self.says_nothing)),
            threading.Thread(target=watch, args=("drips a head", self.drips_a_head)),
            threading.Thread(target=watch, args=("upgrades only", self.upgrades_only)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        self.assertEqual(set(ends), {"says nothing", "drips a head", "upgrades only"})
        for name, (end, seconds) in ends.items():
            self.assertGreater(seconds, HANDSHAKE_SECONDS - 1, name)
            self.assertLess(seconds, HANDSHAKE_SECONDS + LATE_SECONDS, name)
            self.assertEqual(end, "1008 handshake timeout" if name == "upgrades only" else "cut")
        self.assertTrue(self.client().request("health")["ok"])

    def says_nothing(self) -> str:
        with sockets.create_connection(("127.0.0.1", self.gateway.port), 60) as plain:
            return self.read_to_the_end(plain)

    def drips_a_head(self) -> str:
        with sockets.create_connection(("127.0.0.1", self.gateway.port), 60) as plain:
            for byte in b"GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: " + b"x" * 300:
                try:
                    plain.sendall(bytes((byte,)))
                except OSError:
                    return "cut"
                time.sleep(0.2)
            return "still there"

    def upgrades_only(self) -> str:
        socket = self.open_socket()
        self.assertEqual(socket.receive().opcode, TEXT)
        end = socket.ending()
        return f"{end.code} {end.reason}" if isinstance(end, Closed) else "cut"

    def read_to_the_end(self, plain: sockets.socket) -> str:
        try:
            while plain.recv(4096):
                pass
        except ConnectionError:
            pass
        return "cut"
