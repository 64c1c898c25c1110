"""The store: order, durability, failures, migrations, closing."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredList
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from clawgw.store import database as module
from clawgw.store.database import (
    Connection,
    SqliteDatabase,
    StoreBusy,
    StoreError,
    connect,
    migrate,
)

ROOT = Path(__file__).parents[2]


def put(connection: Connection, key: str, value: int = 0) -> int:
    """A change: a row in the table of idempotency keys, which every schema has."""
    connection.execute(
        "INSERT INTO idempotency (key, method, digest, created_at) VALUES (?, 'm', x'', ?)",
        (key, value),
    )
    return value


def keys(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT key FROM idempotency ORDER BY rowid")]


class StoreTestCase(TestCase):
    """A store in a file."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "store.sqlite"
        self.pool = ThreadPool(0, 2)
        self.pool.start()
        self.addCleanup(self.pool.stop)
        self.reactor: Any = reactor
        self.database = self.open()

    def open(self) -> SqliteDatabase:
        database = SqliteDatabase(self.reactor, self.pool, self.path)
        self.addCleanup(database.close)
        return database

    def on_disk(self) -> list[str]:
        """What another process would read."""
        connection = sqlite3.connect(self.path)
        try:
            return keys(connection)
        finally:
            connection.close()

    def hold_writer(self) -> threading.Event:
        """Keep the writer busy until the event is set."""
        started, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def change(_: Connection) -> None:
            started.set()
            go_on.wait()

        self.database.write(change)
        self.assertTrue(started.wait(60))
        return go_on


class Writing(StoreTestCase):
    """Changes."""

    async def test_the_result_comes_after_the_commit(self) -> None:
        seen: list[list[str]] = []
        done = self.database.write(put, "a", 7)
        done.addCallback(lambda result: (seen.append(self.on_disk()), result)[1])
        self.assertEqual(await done, 7)
        self.assertEqual(seen, [["a"]])

    async def test_many_at_once_in_order(self) -> None:
        finished: list[int] = []
        go_on = self.hold_writer()
        work = [
            self.database.write(put, f"{number}", number).addCallback(finished.append)
            for number in range(1200)
        ]
        self.assertEqual(self.on_disk(), [])
        go_on.set()
        await DeferredList(work)
        self.assertEqual(finished, list(range(1200)))
        self.assertEqual(self.on_disk(), [f"{number}" for number in range(1200)])

    async def test_many_at_once_are_few_commits(self) -> None:
        go_on = self.hold_writer()
        statements: list[str] = []
        self.database._writer.set_trace_callback(statements.append)
        work = [self.database.write(put, f"{number}") for number in range(100)]
        go_on.set()
        await DeferredList(work)
        self.assertEqual(sum(text == "COMMIT" for text in statements if text), 2)

    async def test_one_that_fails_takes_nothing_with_it(self) -> None:
        def half(connection: Connection) -> None:
            put(connection, "half")
            raise KeyError("no")

        go_on = self.hold_writer()
        results = DeferredList(
            [
                self.database.write(put, "a"),
                self.database.write(half),
                self.database.write(put, "a"),
                self.database.write(put, "b"),
            ],
            consumeErrors=True,
        )
        go_on.set()
        outcomes = await results
        self.assertEqual([ok for ok, _ in outcomes], [True, False, False, True])
        self.assertIsNotNone(outcomes[1][1].check(KeyError))
        self.assertIsNotNone(outcomes[2][1].check(sqlite3.IntegrityError))
        self.assertEqual(self.on_disk(), ["a", "b"])

    async def test_when_the_disk_fails_every_asker_hears_of_it(self) -> None:
        """Somebody else holds the file for longer than we wait."""
        self.database._writer.execute("PRAGMA busy_timeout=10")
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with self.assertRaises(StoreError) as caught:
                await self.database.write(put, "a")
            self.assertIn("could not write", str(caught.exception))
        other.execute("ROLLBACK")
        await self.database.write(put, "b")
        self.assertEqual(self.on_disk(), ["b"])

    async def test_too_many_waiting(self) -> None:
        self.patch(module, "MAX_QUEUED", 3)
        go_on = self.hold_writer()
        kept = [self.database.write(put, f"{number}") for number in range(3)]
        with self.assertRaises(StoreBusy):
            await self.database.write(put, "too many")
        go_on.set()
        await DeferredList(kept)
        await self.database.write(put, "again")
        self.assertEqual(self.on_disk(), ["0", "1", "2", "again"])

    async def test_reading(self) -> None:
        await self.database.write(put, "a")
        self.assertEqual(self.database.read(keys), ["a"])
        self.assertEqual(await self.database.read_in_thread(keys), ["a"])
        with self.assertRaises(sqlite3.OperationalError):
            self.database.read(put, "b")
        with self.assertRaises(sqlite3.OperationalError):
            await self.database.read_in_thread(put, "b")

    async def test_a_reader_does_not_wait_for_the_writer(self) -> None:
        await self.database.write(put, "a")
        go_on = self.hold_writer()
        self.assertEqual(self.database.read(keys), ["a"])
        self.assertEqual(await self.database.read_in_thread(keys), ["a"])
        go_on.set()


class Closing(StoreTestCase):
    """The end."""

    async def test_what_was_asked_is_done_first(self) -> None:
        go_on = self.hold_writer()
        work = [self.database.write(put, f"{number}") for number in range(700)]
        go_on.set()
        self.database.close()
        self.assertEqual(len(self.on_disk()), 700)
        self.assertEqual(await DeferredList(work), [(True, 0)] * 700)

    async def test_afterwards_nothing_is_taken_and_everybody_is_told(self) -> None:
        self.database.close()
        with self.assertRaises(StoreError):
            await self.database.write(put, "late")

    async def test_what_is_written_is_there_for_the_next(self) -> None:
        await self.database.write(put, "a")
        self.database.close()
        self.assertEqual(self.open().read(keys), ["a"])

    async def test_kill_9_loses_nothing_that_was_acknowledged(self) -> None:
        """A child writes and says so, line by line, until it is killed in the middle of it."""
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(self.directory / "other.sqlite")],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(200)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        acknowledged = [line.strip().decode() for line in lines if line.endswith(b"\n")]
        self.path = self.directory / "other.sqlite"
        stored = self.open().read(keys)
        self.assertGreaterEqual(len(acknowledged), 200)
        self.assertEqual(stored[: len(acknowledged)], acknowledged)


WRITER = """
import sys
from pathlib import Path
from twisted.internet import reactor
from clawgw.store.database import SqliteDatabase
from tests.store.test_database import put

database = SqliteDatabase(reactor, reactor.getThreadPool(), Path(sys.argv[1]))
numbers = iter(range(10**9))

def write(_=None):
    key = str(next(numbers))
    done = database.write(put, key)
    done.addCallback(lambda _: print(key, flush=True))
    done.addCallback(write)

for _ in range(8):
    write()
reactor.run()
"""


class Files(StoreTestCase):
    """Where it is."""

    def test_for_its_owner_only(self) -> None:
        for entry in self.directory.iterdir():
            self.assertEqual(stat.S_IMODE(entry.stat().st_mode) & 0o077, 0, entry.name)

    def test_any_directory_name(self) -> None:
        for name in ("a#b", "a?mode=memory", "a%20b", "ä b", "a&cache=shared"):
            directory = self.directory / name
            directory.mkdir()
            self.path = directory / "store.sqlite"
            self.open().close()
            self.assertGreater(self.path.stat().st_size, 0, name)
        self.assertEqual(len([one for one in os.listdir(self.directory) if one[0] in "aä"]), 5)

    def test_a_file_that_is_no_database(self) -> None:
        self.path = self.directory / "other.sqlite"
        self.path.write_bytes(b"these are notes, not a database" * 100)
        problem = self.assertRaises(StoreError, self.open)
        self.assertIn(str(self.path), str(problem))

    def test_a_database_of_something_else(self) -> None:
        self.path = self.directory / "other.sqlite"
        other = sqlite3.connect(self.path)
        other.execute("CREATE TABLE sessions (name)")
        other.commit()
        other.close()
        self.assertRaises(StoreError, self.open)


class Migrations(SynchronousTestCase):
    """The schema."""

    def setUp(self) -> None:
        self.connection = connect(":memory:")
        self.addCleanup(self.connection.close)

    def tables(self) -> set[str]:
        rows = self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {row[0] for row in rows}

    def test_from_nothing(self) -> None:
        version = migrate(self.connection)
        self.assertGreaterEqual(version, 1)
        self.assertGreaterEqual(
            self.tables(),
            {"sessions", "messages", "runs", "idempotency", "devices", "device_roles"},
        )
        self.assertEqual(self.connection.execute("PRAGMA user_version").fetchone()[0], version)

    def test_a_second_time_nothing_happens(self) -> None:
        version = migrate(self.connection)
        put(self.connection, "a")
        self.assertEqual(migrate(self.connection), version)
        self.assertEqual(keys(self.connection), ["a"])

    def test_a_newer_one_is_left_alone(self) -> None:
        version = migrate(self.connection)
        self.connection.execute(f"PRAGMA user_version={version + 1}")
        problem = self.assertRaises(StoreError, migrate, self.connection)
        self.assertIn(f"schema {version + 1}", str(problem))
        self.assertIn("newer clawgw", str(problem))
