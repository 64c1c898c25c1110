"""The database: one SQLite file, one thread that writes, read-only connections for reading.

Writes are functions that take a connection. They are queued, and the writer thread commits as many
as are waiting in one transaction with `synchronous=FULL`; each has its own savepoint, so that one
that fails takes nothing with it. The Deferred fires after the commit: what was acknowledged is on
the disk.

Small indexed reads run where they are asked (`read`), on a read-only connection: in WAL mode a
reader never waits for the writer. Whatever can grow runs in the thread pool (`read_in_thread`).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from clawgw.pump import Pump

P = ParamSpec("P")
T = TypeVar("T")
Connection = sqlite3.Connection

MAX_BATCH = 512
MAX_QUEUED = 50_000


class StoreError(Exception):
    """The store cannot do what was asked; the message is for the log."""


class StoreBusy(StoreError):
    """More writes are waiting than the store accepts."""


class Database(Protocol):
    """What the domain packages see of the store."""

    def read(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a small indexed query now."""

    def read_in_thread(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run a query that can grow, in the thread pool."""

    def write(
        self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Queue a change; fires with its result once that is on the disk."""


def connect(path: Path | str, *, read_only: bool = False) -> Connection:
    """A connection with our settings; autocommit, so that transactions are explicit."""
    uri = f"file:{quote(str(path))}" + "?mode=ro" * read_only
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-2000")
    if not read_only:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    return connection


def check_store(path: Path) -> None:
    """Find out, before the start, whether a store can be used.

    Raises:
        StoreError: it is no database, or was written by a newer clawgw.
    """
    if not path.exists():
        return
    try:
        connection = connect(path, read_only=True)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.close()
    except sqlite3.Error as problem:
        raise StoreError(f"cannot open the store {path}: {problem}") from None
    _check_version(version, len(_scripts()))


def _scripts() -> list[Traversable]:
    folder = resources.files("clawgw.store").joinpath("schema")
    scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted(scripts, key=lambda entry: entry.name)


def _check_version(version: int, known: int) -> None:
    if version > known:
        raise StoreError(
            f"the store has schema {version}, this clawgw knows {known}: "
            "start the newer clawgw that wrote it"
        )


def migrate(connection: Connection) -> int:
    """Bring the schema up to date; returns its version.

    Raises:
        StoreError: the file was written by a newer clawgw.
    """
    scripts = _scripts()
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    _check_version(version, len(scripts))
    for number, script in enumerate(scripts[version:], version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script.read_text()}\nPRAGMA user_version={number};\nCOMMIT;"
        )
    return len(scripts)


class _Work:
    """One queued change."""

    __slots__ = ("call", "deferred", "result")

    def __init__(self, call: Callable[[Connection], Any]) -> None:
        self.call = call
        self.deferred: Deferred[Any] = Deferred()
        self.result: Any = None

    def attempt(self, connection: Connection) -> None:
        """Do the change inside its own savepoint and remember how it went."""
        connection.execute("SAVEPOINT work")
        try:
            self.result = self.call(connection)
        except BaseException:  # noqa: BLE001 - whatever a change raises belongs to its caller
            self.result = Failure()
            connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")


class SqliteDatabase:
    """The `Database` of a running Gateway.

    Args:
        reactor: where Deferreds fire.
        pool: for reads that can grow.
        path: the file; made if missing, mode 0600.

    Raises:
        StoreError: the file is no database of ours.
    """

    def __init__(self, reactor: IReactorThreads, pool: ThreadPool, path: Path) -> None:
        self._reactor = reactor
        self._pool = pool
        self._path = path
        path.touch(mode=0o600)
        try:
            self._writer = connect(path)
            migrate(self._writer)
            self._reader = connect(path, read_only=True)
        except sqlite3.Error as problem:
            raise StoreError(f"cannot open the store {path}: {problem}") from None
        self._done: Pump[_Work] = Pump(reactor, _deliver)
        self._closed = False
        self._local = threading.local()
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="clawgw-store", daemon=True)
        self._thread.start()

    def read(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See `Database.read`."""
        return query(self._reader, *args, **kwargs)

    def read_in_thread(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """See `Database.read_in_thread`."""

        def job() -> T:
            if not hasattr(self._local, "connection"):
                self._local.connection = connect(self._path, read_only=True)
            return query(self._local.connection, *args, **kwargs)

        return deferToThreadPool(self._reactor, self._pool, job)

    def write(
        self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """See `Database.write`."""
        work = _Work(lambda connection: change(connection, *args, **kwargs))
        if self._closed:
            work.deferred.errback(StoreError("the store is closed"))
        elif self._queue.qsize() >= MAX_QUEUED:
            work.deferred.errback(StoreBusy("too many writes are waiting"))
        else:
            self._queue.put(work)
        return work.deferred

    def close(self) -> None:
        """Finish what is queued and let go of the file. Blocks for the last commit."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        """The writer thread."""
        closing = False
        while not closing:
            work = self._queue.get()
            batch: list[_Work] = []
            while work is not None:
                batch.append(work)
                if self._queue.empty() or len(batch) >= MAX_BATCH:
                    break
                work = self._queue.get()
            closing = work is None
            if batch:
                self._commit(batch)
                self._reactor.callFromThread(self._done.add, batch)
        self._writer.close()

    def _commit(self, batch: list[_Work]) -> None:
        """All of a batch in one transaction; if that fails, all of it failed."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for work in batch:
                work.attempt(self._writer)
            self._writer.execute("COMMIT")
        except sqlite3.Error as problem:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            failure = Failure(StoreError(f"the store could not write: {problem}"))
            for work in batch:
                work.result = failure


def _deliver(work: _Work) -> None:
    """Tell an asker, on the reactor; they are told in the order in which they asked."""
    work.deferred.callback(work.result)
