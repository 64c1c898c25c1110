"""`health` and `status`: what they say, and how rarely `health` is made."""

from __future__ import annotations

import builtins
import json
import os
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from clawgw.health import HealthService, resident_bytes
from clawgw.protocol.sessions import SessionsPatchParams
from clawgw.sessions.book import ModelInfo, SessionBook
from clawgw.sessions.keys import SessionKeys
from tests.protocol import recorded
from tests.support.memory import START_MS, MemoryDatabase, MsClock, RecordedEvents


class HealthTestCase(SynchronousTestCase):
    """A Gateway with two agents and a store in memory."""

    def setUp(self) -> None:
        self.clock = MsClock()
        self.database = MemoryDatabase()
        self.book = SessionBook(
            self.database,
            SessionKeys("main", ("main", "crab")),
            "/state/store",
            lambda agent_id, choice: ModelInfo("local", "small", 8192),
            tuple,
            RecordedEvents(),
            self.clock.now_ms,
        )
        self.counts = (0, 0)
        self.health = HealthService(
            self.book,
            [("main", None), ("crab", "Crab")],
            self.clock.now_ms,
            lambda: self.counts,
            lambda: 3,
            "1.2.3",
            START_MS,
        )

    def touch(self, key: str) -> None:
        """Make or change a session."""
        name = self.book.keys.parse(key)
        self.successResultOf(
            Deferred.fromCoroutine(
                self.book.patch(name.key, name.agent_id, SessionsPatchParams(key=key))
            )
        )

    def read(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.health.encoded())
        return answer


class ContentTests(HealthTestCase):
    """What is said."""

    def test_health(self) -> None:
        self.touch("main")
        self.clock.advance(1)
        self.touch("agent:crab:main")
        self.clock.advance(2)
        health = self.read()
        self.assertEqual((health["ok"], health["ts"]), (True, START_MS + 3000))
        self.assertEqual(health["defaultAgentId"], "main")
        self.assertEqual(health["sessions"]["path"], "/state/store")
        self.assertEqual(
            health["sessions"]["recent"],
            [
                {"key": "agent:crab:main", "updatedAt": START_MS + 1000, "age": 2000},
                {"key": "agent:main:main", "updatedAt": START_MS, "age": 3000},
            ],
        )
        main, crab = health["agents"]
        self.assertEqual((main["agentId"], main["isDefault"]), ("main", True))
        self.assertNotIn("name", main)
        self.assertEqual((crab["name"], crab["isDefault"]), ("Crab", False))
        self.assertEqual(crab["sessions"]["count"], 1)
        self.assertEqual(crab["sessions"]["recent"][0]["key"], "agent:crab:main")
        self.assertFalse(main["heartbeat"]["enabled"])

    def test_only_the_latest_are_named(self) -> None:
        for number in range(12):
            self.touch(f"session-{number}")
            self.clock.advance(1)
        sessions = self.read()["sessions"]
        self.assertEqual((sessions["count"], len(sessions["recent"])), (12, 5))
        self.assertEqual(sessions["recent"][0]["key"], "agent:main:session-11")

    def test_status(self) -> None:
        self.touch("main")
        self.counts = (2, 5)
        self.clock.advance(90)
        status = msgspec.to_builtins(self.health.status())
        self.assertEqual((status["activeRuns"], status["queuedRuns"]), (2, 5))
        self.assertEqual((status["connections"], status["uptimeMs"]), (3, 90_000))
        self.assertEqual((status["pid"], status["runtimeVersion"]), (os.getpid(), "1.2.3"))
        self.assertEqual(
            status["sessions"]["defaults"],
            {"model": "small", "contextTokens": 8192, "modelProvider": "local"},
        )
        self.assertEqual(status["sessions"]["paths"], ["/state/store"])
        self.assertEqual(
            [(one["agentId"], one["count"]) for one in status["sessions"]["byAgent"]],
            [("main", 1), ("crab", 0)],
        )

    def test_what_stock_clients_of_version_3_read(self) -> None:
        self.touch("main")
        health = recorded.response(3, "health")["payload"]
        self.assertEqual(recorded.missing_fields(self.read(), health), [])
        status = recorded.response(3, "status")["payload"]
        ours = msgspec.to_builtins(self.health.status())
        self.assertEqual(recorded.missing_fields(ours, status), [])

    def test_memory_is_that_of_this_process(self) -> None:
        used = resident_bytes()
        self.assertGreater(used, 10 * 1024 * 1024)
        block = bytearray(b"x" * 50 * 1024 * 1024)
        self.assertGreater(resident_bytes(), used + len(block) // 2)

    def test_a_system_that_does_not_tell(self) -> None:
        def fails(*_: Any) -> Any:
            raise FileNotFoundError

        self.patch(builtins, "open", fails)
        self.assertEqual(resident_bytes(), 0)


class EditionTests(HealthTestCase):
    """It is asked for all the time, and made rarely."""

    def test_the_same_bytes_while_nothing_changes(self) -> None:
        first = self.health.encoded()
        edition = self.health.edition
        self.clock.advance(30)
        self.patch(self.database, "read", self.fail)
        for _ in range(100):
            self.assertIs(self.health.encoded(), first)
        self.assertEqual(self.health.edition, edition)

    def test_a_session_that_changes_makes_it_new(self) -> None:
        self.assertEqual(self.read()["sessions"]["count"], 0)
        edition = self.health.edition
        self.touch("main")
        self.assertEqual(self.read()["sessions"]["count"], 1)
        self.assertEqual(self.health.edition, edition + 1)

    def test_it_is_never_older_than_a_minute(self) -> None:
        self.read()
        self.clock.advance(60)
        self.assertEqual(self.read()["ts"], START_MS)
        self.clock.advance(1)
        self.assertEqual(self.read()["ts"], START_MS + 61_000)

    def test_a_clock_put_back(self) -> None:
        self.clock.rightNow -= 5
        self.assertEqual(self.health.uptime_ms(), 0)
        self.touch("main")
        self.clock.rightNow -= 5
        self.assertGreaterEqual(self.read()["sessions"]["recent"][0]["age"], 0)
