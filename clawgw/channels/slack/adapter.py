"""One Slack app in one workspace: receives by Socket Mode, sends by the Web API.

`chat.postMessage` takes no id of ours that would keep a repeated call from posting twice. So every
message carries the part's key as metadata, which people do not see, and `find` looks for it in the
history when nobody knows whether an attempt arrived.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.python.failure import Failure

from clawgw.channels.adapter import (
    Adapter,
    Capabilities,
    Fatal,
    Fault,
    Host,
    SendLater,
    SendRefused,
    SendUnknown,
    Unsupported,
)
from clawgw.channels.format import Format
from clawgw.channels.http import Http
from clawgw.channels.messages import Media, Part, Target
from clawgw.channels.slack.api import (
    CALL_SECONDS,
    BadToken,
    Json,
    NotNow,
    Refused,
    SlackApi,
    SlackError,
    Unknown,
    as_fault,
)
from clawgw.channels.slack.blocks import blocks_of
from clawgw.channels.slack.catchup import CatchUp
from clawgw.channels.slack.directory import ASK_SECONDS, Directory
from clawgw.channels.slack.events import Me
from clawgw.channels.slack.files import Files
from clawgw.channels.slack.intake import Intake
from clawgw.channels.slack.positions import Positions
from clawgw.channels.slack.settings import SlackAccount
from clawgw.channels.slack.socketmode import SocketMode

METADATA = "clawgw_part"
FIND_PAGES = 5
FIND_PAGE = 200
TOKEN_PAUSE = 60.0
MOST_DIRECT = 1_000
IN_ORDER_SECONDS = 2.0
"""So long new messages wait for those that were missed, to be stored after them; less than the
three seconds after which Slack sends them again."""

_CONVERSATION = re.compile(r"[CDG][A-Z0-9]{2,}")
_PERSON = re.compile(r"[UW][A-Z0-9]{2,}")
_THREAD = re.compile(r"\d+\.\d+", re.ASCII)
_A_TS = "such as 1700000000.123456"
_NO_THREAD = frozenset({"cannot_reply_to_message", "thread_not_found", "invalid_thread_ts"})
_NOT_EDITABLE = frozenset(
    {"message_not_found", "cant_update_message", "edit_window_closed", "msg_too_long"}
)


class SlackAdapter(Adapter[SlackAccount]):
    """See the module."""

    channel = "slack"
    capabilities = Capabilities(
        format=Format.SLACK,
        text_limit=4_000,
        caption_limit=4_000,
        finds=True,
        edits=True,
        edit_seconds=2.0,
        buttons=True,
    )

    def __init__(self, account: str, settings: SlackAccount, host: Host) -> None:
        super().__init__(account, settings, host)
        environ = host.environ if account == "default" else {}
        self._missing = settings.configured(environ)
        bot, app = settings.tokens(environ)
        root = settings.api_root
        self._http = Http(host.reactor, "Slack")
        self._bot = SlackApi(self._http, root, bot or "")
        self._app = SlackApi(self._http, root, app or "")
        self._files = Files(host, self._http, self._bot, root)
        self._directory = Directory(self._bot, host.reactor.seconds)
        self._direct: dict[str, str] = {}
        self._stop: Callable[[], None] = lambda: None
        self._fatal: Fault | None = None

    # Receiving

    async def run(self) -> None:
        if self._missing:
            raise Fatal(self._missing)
        self._fatal = None
        identity = await self._identity()
        me = _me(identity)
        positions = Positions(await self.host.cursor())
        greeted: Deferred[None] = Deferred()
        in_order: Deferred[None] = Deferred()

        def connected() -> None:
            name = str(identity.get("user") or me.user)
            team = str(identity.get("team") or me.team)
            self.host.connected(name=f"@{name} ({team})", id=me.user, mode="socket")
            greeted.callback(None)

        socket = SocketMode(self.host.reactor, self._app, self.host.warn, self.host.log)
        intake = Intake(
            self.host, self.settings, self._directory, positions, me, self, socket.pause
        )
        catch_up = CatchUp(self.host, self._bot, positions, me, intake.store)
        await self._together(
            socket.run(intake.take, connected),
            intake.run(in_order),
            self._catch_up(catch_up, greeted, in_order),
        )

    async def _catch_up(
        self, catch_up: CatchUp, greeted: Deferred[None], in_order: Deferred[None]
    ) -> None:
        """Read what was missed; what is new waits for that, but not for long."""
        await greeted
        timer = self.host.reactor.callLater(IN_ORDER_SECONDS, in_order.callback, None)

        def go_on() -> None:
            if timer.active():
                timer.cancel()
                in_order.callback(None)

        try:
            await catch_up.run(go_on)
        finally:
            go_on()

    async def _together(self, *works: Coroutine[Any, Any, None]) -> None:
        """Do all of them until one fails or this is cancelled; when it returns, all have ended."""
        problems: list[BaseException] = []
        parts = [Deferred.fromCoroutine(work) for work in works]
        stopping = False

        def stop() -> None:
            nonlocal stopping
            if not stopping:  # a second time would cancel their cleaning up
                stopping = True
                for part in parts:
                    part.cancel()

        def failed(failure: Failure) -> None:
            assert failure.value is not None
            problems.append(failure.value)
            stop()

        self._stop = stop
        ended = DeferredList([part.addErrback(failed) for part in parts])
        waiting: Deferred[None] = Deferred()
        ended.addCallback(lambda _: waiting.callback(None))
        try:
            await waiting
        except CancelledError:
            stop()
            await ended
            raise
        for problem in (self._fatal, *problems):
            if problem is not None:
                raise problem

    async def _identity(self) -> Json:
        """Who we are.

        Raises:
            Fault, Fatal
        """
        try:
            return await self._bot.call("auth.test")
        except SlackError as problem:
            raise as_fault(problem, "botToken") from None

    async def close(self) -> None:
        """See `Adapter.close`: the connections, and whatever is under way on them."""
        await self._http.close()

    async def probe(self) -> dict[str, Any]:
        if self._missing:
            raise Fatal(self._missing)
        found = await self._identity()
        return {
            "ok": True,
            "bot": {"id": found.get("user_id"), "name": found.get("user")},
            "team": {"id": found.get("team_id"), "name": found.get("team")},
        }

    async def check(self) -> dict[str, Any]:
        """See `Adapter.check`: both tokens. The address Slack gives is used by nobody."""
        found = await self.probe()
        host = self.host
        await SocketMode(host.reactor, self._app, host.warn, host.log).address()
        return found

    async def fetch(self, media: Media, path: Path, max_bytes: int) -> Media:
        async with self._outcome(reading=True):
            return await self._files.fetch(media, path, max_bytes)

    # Sending

    def address(self, text: str) -> tuple[str, str | None]:
        chat = text.strip()
        for prefix in ("slack:", "channel:", "user:", "group:"):
            chat = chat.removeprefix(prefix)
        chat, _, thread = chat.partition(":")
        chat = chat.strip("<>@") if chat.startswith("<@") else chat
        is_id = _CONVERSATION.fullmatch(chat) or _PERSON.fullmatch(chat)
        if not (is_id or re.fullmatch(r"#[^\s#]+", chat)):
            raise ValueError(
                f"{text!r} is no Slack address; expected channel:C…, user:U… or #name "
                "(an id is in the channel's or the person's details in Slack)"
            )
        if thread and not _THREAD.fullmatch(thread):
            raise ValueError(f"{thread!r} is no thread; expected a ts, {_A_TS}")
        return chat, thread or None

    async def reach(self, chat: str) -> str:
        async with self._outcome(reading=True):
            if _PERSON.fullmatch(chat):
                return await self._open(chat)
            if chat.startswith("#"):
                return await self._named(chat[1:])
            return chat

    async def send(self, target: Target, part: Part) -> str:
        if target.thread and not _THREAD.fullmatch(target.thread):
            raise SendRefused(f"expected a thread's ts, {_A_TS}")
        thread = target.thread or part.reply_to
        async with self._outcome():
            if part.media is not None:
                return await self._files.share(target.chat, thread, part, part.media)
            if part.edit is not None:
                try:
                    return await self._update(target.chat, part.edit, part)
                except Refused as problem:
                    if problem.error not in _NOT_EDITABLE:
                        raise
            return await self._post(target.chat, thread, part)

    async def edit(self, target: Target, message_id: str, part: Part) -> None:
        async with self._outcome():
            await self._update(target.chat, message_id, part)

    async def find(self, target: Target, part: Part) -> str | None:
        async with self._outcome(reading=True):
            if part.media is not None:
                return await self._files.shared(target.chat, part)
            thread = target.thread or part.reply_to
            try:
                found = await self._posted(target.chat, thread, part.key)
                if found is None and thread:  # outside of it, if Slack did not know the thread
                    found = await self._posted(target.chat, None, part.key)
            except BadToken:
                raise
            except Refused as problem:  # the history is not ours to read, say
                raise Unsupported(str(problem)) from None
            return found

    async def whisper(self, channel: str, user: str, thread: str | None, text: str) -> None:
        """Show a line to one person; best effort."""
        try:
            await self._bot.call(
                "chat.postEphemeral", channel=channel, user=user, thread_ts=thread, text=text
            )
        except SlackError as problem:
            self.host.log.info("a press could not be answered: {why}", why=str(problem))

    async def direct(self, user: str) -> str:
        """The direct conversation with a person, or the person where it cannot be opened."""
        try:
            return await self._open(user, ASK_SECONDS)
        except SlackError as problem:
            self.host.log.info("no direct conversation: {why}", why=str(problem))
            return user

    async def _post(self, chat: str, thread: str | None, part: Part) -> str:
        content = _content(part)
        try:
            answer = await self._bot.call(
                "chat.postMessage", channel=chat, thread_ts=thread, **content
            )
        except Refused as problem:
            if thread is not None and problem.error in _NO_THREAD:
                return await self._post(chat, None, part)
            if problem.error == "invalid_blocks" and content.pop("blocks", None):
                answer = await self._bot.call(
                    "chat.postMessage", channel=chat, thread_ts=thread, **content
                )
            else:
                raise
        return _ts(answer)

    async def _update(self, chat: str, ts: str, part: Part) -> str:
        content = {"blocks": [], **_content(part)}  # none would leave the old ones
        return _ts(await self._bot.call("chat.update", channel=chat, ts=ts, **content))

    async def _posted(self, chat: str, thread: str | None, key: str) -> str | None:
        """The message that carries this key, among the newest ones."""
        method = "conversations.replies" if thread else "conversations.history"
        cursor: str | None = None
        for _ in range(FIND_PAGES):
            try:
                answer = await self._bot.call(
                    method, channel=chat, ts=thread, limit=FIND_PAGE, cursor=cursor,
                    include_all_metadata=True,
                )  # fmt: skip
            except Refused as problem:
                if problem.error in _NO_THREAD:
                    return None
                raise
            for message in answer.get("messages") or ():
                if _key_of(message) == key:
                    return str(message.get("ts"))
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return None
        raise Unsupported("so much has been written since that nobody can tell")

    async def _open(self, user: str, seconds: float = CALL_SECONDS) -> str:
        if user not in self._direct:
            answer = await self._bot.call("conversations.open", seconds=seconds, users=user)
            opened = answer.get("channel")
            found = opened.get("id") if isinstance(opened, dict) else None
            if not isinstance(found, str):
                raise Unknown("Slack's answer names no conversation (conversations.open)")
            if len(self._direct) >= MOST_DIRECT:
                self._direct.clear()
            self._direct[user] = found
        return self._direct[user]

    async def _named(self, name: str) -> str:
        cursor: str | None = None
        while True:
            answer = await self._bot.call(
                "users.conversations", types="public_channel,private_channel", limit=FIND_PAGE,
                exclude_archived=True, cursor=cursor,
            )  # fmt: skip
            for channel in answer.get("channels") or ():
                if channel.get("name") == name:
                    return str(channel["id"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                raise SendRefused(f"the bot is in no channel #{name}; invite it there")

    @asynccontextmanager
    async def _outcome(self, *, reading: bool = False) -> AsyncIterator[None]:
        """What Slack's answers mean for the outbox.

        Args:
            reading: nothing is changed by it, so that it can always be tried again.
        """
        if self._missing:
            raise SendLater(self._missing, TOKEN_PAUSE, account_wide=True)
        try:
            yield
        except BadToken as problem:
            self._fatal = as_fault(problem, "botToken")
            self._stop()
            raise SendLater(str(problem), TOKEN_PAUSE, account_wide=True) from None
        except NotNow as problem:
            raise SendLater(str(problem), problem.retry_after) from None
        except Unknown as problem:
            raise SendLater(str(problem)) if reading else SendUnknown(str(problem)) from None
        except Refused as problem:
            raise SendRefused(str(problem)) from None
        except OSError as problem:
            raise SendLater(f"the file cannot be written: {problem.strerror}") from None


def _content(part: Part) -> Json:
    """What a message says; the key travels along where people do not see it."""
    content: Json = {
        "text": part.text,
        "metadata": {"event_type": METADATA, "event_payload": {"key": part.key}},
    }
    blocks = blocks_of(part.text, part.buttons)
    return content if blocks is None else {**content, "blocks": blocks}


def _key_of(message: Any) -> Any:
    metadata = message.get("metadata") if isinstance(message, dict) else None
    if not isinstance(metadata, dict) or metadata.get("event_type") != METADATA:
        return None
    payload = metadata.get("event_payload")
    return payload.get("key") if isinstance(payload, dict) else None


def _ts(answer: Json) -> str:
    ts = answer.get("ts")
    if not isinstance(ts, str):
        raise Unknown("Slack's answer names no message")
    return ts


def _me(identity: Json) -> Me:
    user = identity.get("user_id")
    if not isinstance(user, str) or not user:
        raise Fault("Slack did not say who the bot is")
    return Me(user, str(identity.get("bot_id") or ""), str(identity.get("team_id") or ""))
