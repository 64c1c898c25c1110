"""One account of one channel: its adapter, what keeps it running, what delivers for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, DeferredSemaphore, TimeoutError
from twisted.logger import Logger

from clawgw.channels.adapter import Provider
from clawgw.channels.inbox import Inbox
from clawgw.channels.messages import Inbound, Press
from clawgw.channels.outbox import Courier
from clawgw.channels.policy import silence
from clawgw.channels.settings import TOKEN_VARIABLES, AccountSettings
from clawgw.channels.supervisor import AccountStatus, Supervisor
from clawgw.store import channels as table
from clawgw.store.database import Database

DEFAULT_ACCOUNT = "default"

AccountId = tuple[str, str]
"""Channel and account."""

CLOSE_SECONDS = 10.0

FETCHES = 4
"""Files that are fetched at a time."""

OnPress = Callable[["Account", Press], Awaitable[str]]


class Surroundings(NamedTuple):
    """What every account is given.

    Attributes:
        directory: where accounts keep files of their own.
        in_thread: runs a blocking function in the thread pool.
        on_press: what a press of a button does.
        changed: told when an account's status has changed.
    """

    reactor: Any
    database: Database
    inbox: Inbox
    directory: Path
    in_thread: Callable[..., Deferred[Any]]
    environ: Mapping[str, str]
    on_press: OnPress
    changed: Callable[[], None]
    now_ms: Callable[[], int]


class Account:
    """One account; it is the `Host` of its adapter.

    Args:
        name: the account's name, `default` where the configuration gives none.
    """

    def __init__(
        self, provider: Provider, name: str, settings: AccountSettings, around: Surroundings
    ) -> None:
        self.provider = provider
        self.channel = provider.id
        self.name = name
        self.settings = settings
        self.policy = settings.policy()
        self.shown_qr: str | None = None  # by a login that is going on
        self.fetches = DeferredSemaphore(FETCHES)
        self.status = AccountStatus()
        self.reactor = around.reactor
        self.directory = around.directory / provider.id / name
        self.in_thread = around.in_thread
        self.environ = _environ_of(name, around.environ)
        self.log: Logger = _AccountLog(f"{provider.id} ({name})")
        self._around = around
        self.missing = settings.configured(self.environ)
        self.adapter = provider.make(name, settings, self)
        self._supervisor = Supervisor(
            around.reactor, self.adapter, self.status, self._changed, around.now_ms, self.log
        )
        self.courier = Courier(
            around.reactor, around.database, self.adapter, self._sent, around.now_ms
        )
        self.courier.recover()  # before anything new is queued behind it
        self.begun = False
        self._over = False
        self._undelivered = ""

    @property
    def id(self) -> AccountId:
        """Channel and account."""
        return self.channel, self.name

    # Life

    async def start(self) -> None:
        """Connect."""
        self.begun = True
        if self.missing is not None:
            self.status.last_error = self.missing
            self.log.warn("not started: {why}", why=self.missing)
            return
        self.warn(silence(self.policy) or "")
        await self.in_thread(_make_directory, self.directory)
        self.restart()

    def restart(self) -> None:
        """Connect again after something that no waiting mends."""
        if not self._over:
            self._supervisor.start()

    async def stop(self, seconds: float) -> None:
        """Disconnect for good, and give what is being sent so many seconds."""
        self._over = True
        await self.courier.stop(seconds)
        await self._supervisor.stop()
        closing = Deferred.fromCoroutine(self.adapter.close())
        try:
            await closing.addTimeout(CLOSE_SECONDS, self.reactor)
        except TimeoutError:
            self.log.error("did not let go within {seconds:g} s", seconds=CLOSE_SECONDS)

    async def log_out(self) -> bool:
        """Give up the login, and disconnect; what is to be sent waits. Whether there was one.

        Raises:
            LoginProblem, Fault, SendError, Unsupported: it could not be given up.
        """
        there_was = await self.adapter.logout()
        await self._supervisor.stop()
        self.status.health = "logged-out"
        self.status.last_error = "logged out"
        self._around.changed()
        return there_was

    def _changed(self) -> None:
        status = self.status
        needs = self.adapter.capabilities.needs_connection
        self.courier.open(status.connected if needs else status.running)
        self._around.changed()

    def _sent(self, problem: str | None) -> None:
        status = self.status
        if problem is not None:
            status.warning = self._undelivered = f"a message was not delivered: {problem}"
        else:
            status.last_outbound_at = self._around.now_ms()
            if status.warning == self._undelivered:
                status.warning = None
        self._around.changed()

    # Host

    async def received(
        self, messages: Sequence[Inbound], cursor: Mapping[str, str | None] | None = None
    ) -> None:
        """See `Host.received`."""
        new = await self._around.inbox.receive(self.channel, self.name, messages, cursor)
        if new:
            self.status.last_inbound_at = self._around.now_ms()

    async def cursor(self) -> dict[str, str]:
        """See `Host.cursor`."""
        return self._around.database.read(table.cursor, self.channel, self.name)

    async def remember(self, cursor: Mapping[str, str | None]) -> None:
        """See `Host.remember`."""
        await self._around.database.write(table.set_cursor, self.channel, self.name, cursor)

    async def pressed(self, press: Press) -> str:
        """See `Host.pressed`."""
        return await self._around.on_press(self, press)

    def connected(self, **details: str) -> None:
        """See `Host.connected`."""
        self._supervisor.connected(details)

    def warn(self, message: str) -> None:
        """See `Host.warn`."""
        if message and message != self.status.warning:
            self.log.warn("{why}", why=message)
        self.status.warning = message or None
        self._around.changed()


class _AccountLog(Logger):
    """A log whose lines begin with the channel and the account."""

    def __init__(self, name: str) -> None:
        super().__init__(namespace="clawgw.channels")
        self._name = name

    def emit(self, level: Any, format: str | None = None, **kwargs: Any) -> None:
        """See `Logger.emit`."""
        line = None if format is None else "{account_name}: " + format
        super().emit(level, line, account_name=self._name, **kwargs)


def _environ_of(name: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment as an account sees it: tokens in it are the default account's."""
    if name == DEFAULT_ACCOUNT:
        return environ
    return {key: value for key, value in environ.items() if key not in TOKEN_VARIABLES}


def _make_directory(path: Path) -> None:
    for directory in (path.parent.parent, path.parent, path):
        directory.mkdir(mode=0o700, exist_ok=True)
