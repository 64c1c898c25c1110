"""The channels put together: accounts, inbox, reception, answers, sending, approvals in chats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.agents.delivery import Wanted
from clawgw.agents.runs import RunManager
from clawgw.approvals.book import ApprovalBook
from clawgw.channels.account import Account, Surroundings
from clawgw.channels.answers import ChannelAnswers
from clawgw.channels.approvals import ChatApprovals
from clawgw.channels.fetching import Fetcher
from clawgw.channels.hub import Hub
from clawgw.channels.inbox import Inbox
from clawgw.channels.media import MediaStore
from clawgw.channels.messages import Press, Target
from clawgw.channels.methods import ChannelMethods, stranger
from clawgw.channels.providers import accounts_of, load
from clawgw.channels.reception import Commands, Reception
from clawgw.channels.routing import Binding, Match, Routes
from clawgw.channels.senders import SenderBook
from clawgw.channels.sending import Dispatch
from clawgw.channels.sources import MediaSources
from clawgw.channels.status import health_of, summary_lines
from clawgw.events import EventSink
from clawgw.methods import MethodTable
from clawgw.sessions.keys import SessionKeys, SessionName
from clawgw.store import inbox as inbox_table
from clawgw.store import outbox as outbox_table
from clawgw.store.approvals import Approval
from clawgw.store.channels import SenderRow
from clawgw.store.database import Connection, Database

if TYPE_CHECKING:
    from clawgw.config import Config


@dataclass(frozen=True)
class Needs:
    """What the channels are given by the rest of the Gateway.

    Attributes:
        roots: the directories whose files may be sent.
        reset: begins a session anew.
        changed: told when a status has changed.
    """

    reactor: Any
    database: Database
    runs: RunManager
    approvals: ApprovalBook
    events: EventSink
    keys: SessionKeys
    state_dir: Path
    roots: Sequence[Path]
    environ: Mapping[str, str]
    in_thread: Callable[..., Deferred[Any]]
    reset: Callable[[SessionName], Awaitable[Any]]
    changed: Callable[[], None]
    now_ms: Callable[[], int]


class Channels:
    """All of it; made once, started and stopped by the service.

    Args:
        config: the configuration at the start.
    """

    log = Logger()

    def __init__(self, config: Config, needs: Needs) -> None:
        self._config = self._latest = config
        self._needs = needs
        reactor, database, now_ms = needs.reactor, needs.database, needs.now_ms
        self.senders = SenderBook(database, now_ms)
        self._media = MediaStore(
            needs.state_dir / "media", needs.in_thread, config.channels.media_days, reactor.seconds
        )
        self._reception = Reception(
            database,
            self._find,
            routes_of(config, needs.keys),
            self.senders,
            needs.runs,
            Fetcher(reactor, self._media, self._find),
            Commands(needs.reset, self._session_status, self._approve),
            self._stranger_asked,
            now_ms,
        )
        self._inbox = Inbox(reactor, database, self._reception, now_ms)
        self.hub = Hub(
            Surroundings(
                reactor,
                database,
                self._inbox,
                needs.state_dir / "channels",
                needs.in_thread,
                needs.environ,
                self._pressed,
                needs.changed,
                now_ms,
            )
        )
        self.dispatch = Dispatch(reactor, database, self.hub, needs.runs.book, now_ms)
        self._answers = ChannelAnswers(reactor, database, self.hub.of_target, self._address, now_ms)
        needs.runs.delivery.answers = self._answers
        self.approvals = ChatApprovals(database, self.hub, needs.approvals, self.dispatch.queue)
        self._sources = MediaSources(
            reactor,
            self._media,
            needs.in_thread,
            (*needs.roots, self._media.directory),
            needs.state_dir,
            allow_private=config.channels.allow_private_media_urls,
        )

    def register(self, table: MethodTable) -> None:
        """Add the methods to the table."""
        needs = self._needs
        ChannelMethods(
            needs.reactor,
            needs.database,
            self.hub,
            self.dispatch,
            self._sources,
            self.senders,
            needs.events,
            needs.keys,
            lambda: accounts_of(self._config.channels),
            needs.now_ms,
        ).register(table)

    async def start(self) -> None:
        """Take up what waits, then connect."""
        await self._media.prepare()
        # What waits has somewhere to go once the accounts are made, and goes before anything new.
        await self._load(self._config)
        self.hub.make(accounts_of(self._config.channels))
        await self._inbox.recover()
        await self.hub.apply(accounts_of(self._config.channels))

    async def follow(self, config: Config) -> None:
        """Do what a changed configuration says."""
        self._latest = config
        await self._load(config)
        if self._latest is not config:
            return  # a later change has come, which does all there is to do
        # From here to the accounts in one go: who reads of an account in the status may use it.
        self._config = config
        self._reception.routes = routes_of(config, self._needs.keys)
        self._media.days = config.channels.media_days
        self._sources.allow_private = config.channels.allow_private_media_urls
        await self.hub.apply(accounts_of(config.channels))

    def asked(self, approval: Approval) -> None:
        """A question has come up; see `ApprovalBook`."""
        self.approvals.asked(approval)

    def health(self) -> dict[str, Any]:
        """`channels` of `health`."""
        return health_of(self.hub, self._needs.now_ms())

    def summary(self) -> list[str]:
        """One line for each account."""
        return summary_lines(self.hub)

    async def sweep(self) -> None:
        """Forget what is of no use any more."""
        now = self._needs.now_ms()

        def change(connection: Connection) -> int:
            inbox_table.prune(connection, now)
            return outbox_table.prune(connection, now)

        given_up = await self._needs.database.write(change)
        if given_up:
            self.log.warn(
                "given up, as they could not be sent for a week: {count} message(s)",
                count=given_up,
            )
        await self.senders.prune()
        await self._media.sweep()

    async def stop(self) -> None:
        """Take nothing more in and disconnect; what waits goes on after the next start."""
        self._inbox.stop()
        await self.hub.stop()
        await self._sources.close()

    async def _load(self, config: Config) -> None:
        """Load the adapters that are configured, beside the reactor."""
        wanted = [one.provider for one in accounts_of(config.channels) if one.settings.enabled]
        await self._needs.in_thread(load, wanted)

    def _find(self, channel: str, account: str) -> Account | None:
        return self.hub.find(channel, account)

    def _address(self, wanted: Wanted) -> Target:
        _, target = self.dispatch.address(
            wanted.channel, wanted.account, wanted.to or "", wanted.thread
        )
        return target

    def _stranger_asked(self, row: SenderRow) -> None:
        self._needs.events.publish("channel.pair.requested", stranger(row))

    async def _pressed(self, account: Account, press: Press) -> str:
        return await self.approvals.pressed(account, press)

    async def _approve(self, account: Account, message: Any, words: tuple[str, ...]) -> str:
        return await self.approvals.command(account, message, words)

    def _session_status(self, name: SessionName) -> str:
        runs = self._needs.runs
        going_on = "answering" if name.key in runs.active_sessions() else "idle"
        session = runs.book.get(name.key)
        count = session.message_count if session else 0
        return f"Agent {name.agent_id}, {going_on}; {count} messages in this conversation."


def routes_of(config: Config, keys: SessionKeys) -> Routes:
    """How messages find their session, by the configuration."""
    bindings = [
        Binding(
            one.agent_id,
            Match(
                channel=one.match.channel,
                account=one.match.account_id,
                chat_kind="direct" if one.match.peer.kind == "dm" else one.match.peer.kind,
                chat=one.match.peer.id,
                parent=one.match.guild_id or one.match.team_id,
            ),
        )
        for one in config.bindings
    ]
    return Routes(keys, bindings, config.session.dm_scope)
