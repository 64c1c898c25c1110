"""What was said while we were away: Slack tells it again for some minutes only, so it is read.

After a connection stands, the conversations the bot is in are looked through from a little before
the newest message that was stored; what is there already, the inbox knows by its id. Threads are
looked at where they were active. All this has bounds: so far back, so many conversations, so many
pages, so much time. What is beyond them is said in the status, not passed over in silence.

Where the gap begins is stored before any of that, and stays stored until everything has been read:
new messages arrive meanwhile, and neither they nor a crash may hide what is still missing. What
Slack does not answer now is asked again later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.task import deferLater

from clawgw.channels.adapter import Host
from clawgw.channels.slack.api import Json, NotNow, Refused, SlackApi, SlackError
from clawgw.channels.slack.events import (
    Me,
    Picked,
    edit_in_history,
    from_history,
    is_ts,
)
from clawgw.channels.slack.positions import NEWEST, Positions, earlier

OVERLAP_SECONDS = 600.0
"""How far before the newest stored message: Slack repeats an event for about six minutes."""

MOST_AWAY_SECONDS = 24 * 3600.0
MOST_SECONDS = 120.0
AGAIN_SECONDS = 60.0
MOST_ATTEMPTS = 60
MOST_CONVERSATIONS = 200
MOST_PAGES = 10
MOST_THREADS = 20
PAGE = 200
GONE = frozenset({"channel_not_found", "not_in_channel", "is_archived"})
TYPES = "im,mpim,private_channel,public_channel"

Store = Callable[[Sequence[Picked]], Awaitable[None]]


class CatchUp:
    """Reads what was missed.

    Args:
        store: stores messages of one conversation, oldest first.
    """

    def __init__(
        self, host: Host, api: SlackApi, positions: Positions, me: Me, store: Store
    ) -> None:
        self._host = host
        self._reactor = host.reactor
        self._api = api
        self._positions = positions
        self._me = me
        self._store = store
        self._warn = host.warn
        self._log = host.log
        self._until = 0.0
        self._floor = "0"
        self._done: set[str] = set()

    async def run(self, once: Callable[[], None]) -> None:
        """Read everything.

        Args:
            once: told when it was tried for the first time, whether all was read or not.

        Raises:
            StoreError: it cannot be stored.
        """
        now = self._reactor.seconds()
        if self._positions.newest is None:
            await self._host.remember(self._positions.read([]) | {NEWEST: f"{now:.6f}"})
            return
        await self._host.remember(self._positions.open_gap())
        self._floor = f"{now - MOST_AWAY_SECONDS:.6f}"
        for number in range(MOST_ATTEMPTS):
            problem = await self._attempt()
            once()
            if problem is None:
                await self._host.remember(self._positions.close_gap())
                if number:
                    self._warn("")
                return
            self._warn(f"messages sent while it was not running may be missing: {problem}")
            await deferLater(self._reactor, AGAIN_SECONDS)

    async def _attempt(self) -> SlackError | None:
        """Read what has not been read yet; returns what was in the way."""
        self._until = self._reactor.seconds() + MOST_SECONDS
        try:
            for channel in await self._conversations():
                if channel not in self._done:
                    await self._look_through(channel)
                    self._done.add(channel)
        except SlackError as problem:
            return problem
        return None

    async def _look_through(self, channel: str) -> None:
        try:
            await self._conversation(channel)
        except Refused as problem:
            if problem.error in GONE:
                await self._host.remember(self._positions.forget(channel))
            else:
                self._warn(f"a conversation cannot be looked through: {problem}")

    async def _conversations(self) -> list[str]:
        """Those known, the most recent first, then the others the bot is in."""
        found = dict.fromkeys(self._positions.conversations())
        try:
            async for one in self._pages("users.conversations", "channels", types=TYPES):
                if isinstance(one.get("id"), str):
                    found[one["id"]] = None
        except Refused as problem:
            self._warn(f"only known conversations are looked through: {problem}")
        if len(found) > MOST_CONVERSATIONS:
            self._warn(f"only {MOST_CONVERSATIONS} conversations were looked through")
        return list(found)[:MOST_CONVERSATIONS]

    async def _conversation(self, channel: str) -> None:
        read = self._positions.before_gap(channel)
        since = self._since(read)
        found: dict[str, Picked] = {}
        threads = dict.fromkeys(self._positions.threads(channel))
        async for message in self._pages(
            "conversations.history", "messages", channel=channel, oldest=since
        ):
            self._keep(found, message, channel, read)
            if is_ts(message.get("thread_ts")) and message.get("reply_count"):
                threads[message["thread_ts"]] = None
        for thread in list(threads)[-MOST_THREADS:]:
            await self._thread(found, channel, thread)
        if found:
            await self._store(sorted(found.values(), key=lambda one: float(one.ts)))

    async def _thread(self, found: dict[str, Picked], channel: str, thread: str) -> None:
        read = self._positions.before_gap(channel, thread)
        try:
            async for message in self._pages(
                "conversations.replies",
                "messages",
                channel=channel,
                ts=thread,
                oldest=self._since(read),
            ):
                if message.get("ts") != thread:
                    self._keep(found, message, channel, read)
        except Refused as problem:
            self._log.debug("a thread cannot be read: {why}", why=str(problem))

    def _keep(self, found: dict[str, Picked], message: Json, channel: str, read: str) -> None:
        """Note a message, or the edit of one that was read before."""
        picked = from_history(message, channel, self._me)
        if picked is None:
            return
        edit = edit_in_history(picked)
        if edit is not None and float(picked.ts) <= float(read):
            picked = edit
        found[picked.id] = picked

    def _since(self, read: str) -> str:
        return max(earlier(read, OVERLAP_SECONDS), self._floor, key=float)

    async def _pages(self, method: str, key: str, **arguments: Any) -> AsyncIterator[Json]:
        """All entries of a list, page by page."""
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            answer = await self._call(method, limit=PAGE, cursor=cursor, **arguments)
            entries = answer.get(key)
            for entry in entries if isinstance(entries, list) else []:
                if isinstance(entry, dict):
                    yield entry
            more = answer.get("response_metadata")
            cursor = more.get("next_cursor") if isinstance(more, dict) else None
            if not cursor:
                return
        self._warn(f"more was missed than {MOST_PAGES * PAGE} messages; the oldest were left out")

    async def _call(self, method: str, **arguments: Any) -> Json:
        """Ask, and wait when Slack says so, as long as there is time."""
        while True:
            try:
                return await self._api.call(method, **arguments)
            except NotNow as problem:
                wait = problem.retry_after or 1.0
                if self._reactor.seconds() + wait > self._until:
                    raise
                await deferLater(self._reactor, wait, lambda: None)
