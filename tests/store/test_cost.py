"""No cost grows with what is stored.

Counted, not timed: SQLite calls a progress handler every hundred instructions of its virtual
machine, which is the same number on every machine. A query over ten times the rows may cost a
little more (a deeper tree), not ten times as much.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from clawgw.sessions import transcripts
from clawgw.store import idempotency, messages, runs, sessions
from clawgw.store.database import Connection, migrate
from clawgw.store.sessions import Filter

SMALL, LARGE = 10_000, 100_000
EVERY = 100
BODY = b'{"role":"user","content":[{"type":"text","text":"hello"}],"timestamp":1}'


def filled(rows: int) -> Connection:
    """A store of so many sessions, and as many messages in one of them."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO sessions (key, agent_id, session_id, created_at, updated_at, archived, label)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (
                f"agent:a{number % 10}:{number}",
                f"a{number % 10}",
                f"id{number}",
                number,
                number * 7919 % rows,
                int(number % 5 == 0),
                f"label {number}" if number % 100 == 0 else None,
            )
            for number in range(rows)
        ),
    )
    connection.execute(
        "UPDATE sessions SET message_count = ?, last_seq = ? WHERE session_id = 'id1'", (rows, rows)
    )
    connection.executemany(
        "INSERT INTO messages (session_id, seq, id, role, created_at, body)"
        " VALUES ('id1', ?, ?, 'user', ?, ?)",
        ((number, f"m{number}", number, BODY) for number in range(1, rows + 1)),
    )
    connection.executemany(
        "INSERT INTO runs (run_id, session_key, agent_id, requested_key, state, accepted_at,"
        " ended_at) VALUES (?, 'k', 'a', 'k', 'ok', ?, ?)",
        ((f"r{number}", number, number) for number in range(rows)),
    )
    connection.executemany(
        "INSERT INTO idempotency (key, method, digest, created_at) VALUES (?, 'm', x'', ?)",
        ((f"i{number}", 10**9 + number) for number in range(rows)),
    )
    connection.execute("COMMIT")
    return connection


class Cost(SynchronousTestCase):
    """What the reactor's own thread asks."""

    stores: ClassVar[dict[int, Connection]] = {}

    def setUp(self) -> None:
        for rows in (SMALL, LARGE):
            if rows not in self.stores:
                self.stores[rows] = filled(rows)

    @classmethod
    def tearDownClass(cls) -> None:
        while cls.stores:
            cls.stores.popitem()[1].close()

    def instructions(self, rows: int, query: Callable[[Connection], Any]) -> int:
        connection, calls = self.stores[rows], [0]

        def count() -> int:
            calls[0] += 1
            return 0

        connection.set_progress_handler(count, EVERY)
        try:
            query(connection)
        finally:
            connection.set_progress_handler(None, 0)
        return calls[0] * EVERY

    def plan(self, query: Callable[[Connection], Any]) -> list[str]:
        """How SQLite does what `query` asks: a line per step."""
        connection = self.stores[LARGE]
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        try:
            query(connection)
        finally:
            connection.set_trace_callback(None)
        return [
            row[3]
            for statement in statements
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]

    def assert_constant(self, query: Callable[[Connection], Any], *, sorts: bool = False) -> None:
        steps = self.plan(query)
        self.assertNotEqual(steps, [])
        for step in steps:
            self.assertFalse(step.startswith("SCAN"), steps)
            self.assertTrue(sorts or "TEMP B-TREE" not in step, steps)
        small, large = (self.instructions(rows, query) for rows in (SMALL, LARGE))
        self.assertLessEqual(large, small * 1.2 + 2 * EVERY)

    def test_the_last_200_messages(self) -> None:
        def query(connection: Connection) -> None:
            session, page = transcripts.read_page(connection, "agent:a1:1", version=4)
            assert session is not None
            self.assertEqual(len(page.messages), 200)

        self.assert_constant(query)

    def test_200_messages_of_long_ago(self) -> None:
        self.assert_constant(lambda one: messages.latest(one, "id1", 200, 9_000))

    def test_what_came_since(self) -> None:
        self.assert_constant(lambda one: messages.since(one, "id1", 500, 100))

    def test_the_latest_sessions(self) -> None:
        def query(connection: Connection) -> None:
            self.assertEqual(len(sessions.listing(connection, Filter(), 10)), 10)

        self.assert_constant(query)

    def test_the_latest_sessions_of_an_agent(self) -> None:
        for archived in (False, True):
            wanted = Filter(agent_id="a5" if archived else "a1", archived=archived)
            found = sessions.listing(self.stores[LARGE], wanted, 10)
            self.assertEqual(len(found), 10)
            self.assert_constant(lambda one, w=wanted: sessions.listing(one, w, 10))

    def test_every_filter_that_does_not_say_it_scans(self) -> None:
        for wanted in (
            Filter(archived=True),
            Filter(updated_after=5_000),
            Filter(agent_id="a1", updated_after=5_000),
            Filter(label="label 100"),
            Filter(label="label 100", agent_id="a0"),
        ):
            self.assertFalse(wanted.scans)
            self.assert_constant(lambda one, w=wanted: sessions.listing(one, w, 10), sorts=True)

    def test_the_others_do(self) -> None:
        for wanted in (
            Filter(archived=None),
            Filter(search="x"),
            Filter(by_interaction=True),
            Filter(interacted_only=True),
            Filter(spawned_by="x"),
        ):
            self.assertTrue(wanted.scans, wanted)

    def test_single_rows(self) -> None:
        for query in (
            lambda one: sessions.get(one, "agent:a1:1"),
            lambda one: sessions.get_by_id(one, "id1"),
            lambda one: sessions.get_by_label(one, "label 100"),
            lambda one: messages.last_seq(one, "id1"),
            lambda one: runs.get(one, "r1"),
            lambda one: runs.unfinished(one),
            lambda one: idempotency.find(one, "i1", 1),
        ):
            steps = [step for step in self.plan(query) if "INDEX runs_unfinished" not in step]
            self.assertFalse([step for step in steps if step.startswith("SCAN")], steps)
            small, large = (self.instructions(rows, query) for rows in (SMALL, LARGE))
            self.assertLessEqual(large, small + 2 * EVERY)

    def test_pruning_looks_only_at_what_it_forgets(self) -> None:
        for query in (
            lambda one: idempotency.prune(one, 1),
            lambda one: runs.prune(one, 1),
        ):
            small, large = (self.instructions(rows, query) for rows in (SMALL, LARGE))
            self.assertLessEqual(large, small + 2 * EVERY)
