"""From envelopes to the inbox: looked up, stored in batches, then acknowledged.

What arrives while a batch is being stored becomes the next batch, so many messages share one commit
and stay in order. An envelope is acknowledged when what it said is on the disk, or when it had
nothing to say. A press of a button is no message: it is acknowledged at once and answered where it
happened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.python.failure import Failure

from clawgw.channels.adapter import Host
from clawgw.channels.messages import Chat, Inbound, Press
from clawgw.channels.presses import outcome
from clawgw.channels.slack.api import Json
from clawgw.channels.slack.directory import Directory
from clawgw.channels.slack.events import (
    Me,
    Picked,
    chat_of,
    command_of,
    message_of,
    note_of,
    pick,
    sender_of,
)
from clawgw.channels.slack.positions import Positions
from clawgw.channels.slack.settings import SlackAccount
from clawgw.channels.slack.socketmode import Envelope

MOST_AT_ONCE = 200
MOST_QUEUED = 2_000
"""More envelopes than this, and the socket is not read until half of them are stored."""


class Answers(Protocol):
    """What the intake needs of the sending side."""

    async def whisper(self, channel: str, user: str, thread: str | None, text: str) -> None:
        """Show a line to one person."""

    async def direct(self, user: str) -> str:
        """The direct conversation with a person."""


class Intake:
    """Takes envelopes and stores what they say.

    Args:
        pause: told whether to stop reading for a while.
    """

    def __init__(
        self,
        host: Host,
        settings: SlackAccount,
        directory: Directory,
        positions: Positions,
        me: Me,
        answers: Answers,
        pause: Callable[[bool], None],
    ) -> None:
        self._host = host
        self._settings = settings
        self._directory = directory
        self._positions = positions
        self._me = me
        self._answers = answers
        self._pause = pause
        self._queue: deque[Envelope] = deque()
        self._arrival: Deferred[None] | None = None

    def take(self, envelope: Envelope) -> None:
        """An envelope came."""
        if envelope.kind == "interactive":
            envelope.acknowledge()
            self._press(envelope.payload)
            return
        self._queue.append(envelope)
        if len(self._queue) > MOST_QUEUED:
            self._pause(True)
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.callback(None)

    async def run(self, first: Deferred[None]) -> None:
        """Store what comes, beginning when `first` has fired; cancelled to stop.

        Raises:
            StoreError: it cannot be stored.
        """
        await first
        while True:
            if not self._queue:
                self._arrival = Deferred()
                await self._arrival
            batch = [self._queue.popleft() for _ in range(min(MOST_AT_ONCE, len(self._queue)))]
            if len(self._queue) <= MOST_QUEUED // 2:
                self._pause(False)
            await self._store(batch)

    async def store(self, found: Sequence[Picked]) -> None:
        """Store messages that were read from a history; raises `StoreError`."""
        await self._hand_over(found)

    async def _store(self, batch: Sequence[Envelope]) -> None:
        found: list[Picked] = []
        commands: list[Inbound] = []
        for envelope in batch:
            if envelope.kind == "slash_commands":
                commands += await self._command(envelope.payload)
                continue
            event = envelope.payload.get("event")
            picked = self._picked(event) if isinstance(event, dict) else None
            if picked is not None:
                found.append(picked)
        await self._hand_over(found, commands)
        for envelope in batch:
            envelope.acknowledge()

    def _picked(self, event: Json) -> Picked | None:
        try:
            return pick(event, self._me)
        except Exception:  # noqa: BLE001 - told again for ever, it would stop all that follow
            self._host.log.failure("an event cannot be understood; it is skipped")
            return None

    async def _hand_over(self, found: Sequence[Picked], more: Sequence[Inbound] = ()) -> None:
        chosen = [one for one in found if self._tells_of(one)]
        written = await gatherResults(
            [Deferred.fromCoroutine(self._message(one)) for one in chosen], consumeErrors=True
        )
        messages = [*(one for one in written if one is not None), *more]
        if messages:
            read = [(one.channel, one.thread, one.ts) for one in chosen if one.kind == "message"]
            await self._host.received(messages, self._positions.read(read))

    def _tells_of(self, picked: Picked) -> bool:
        """Whether the settings let this reaction through; everything else goes on."""
        if "reaction" not in picked.raw:
            return True
        wanted = self._settings.reaction_notifications
        if wanted == "own":
            return bool(picked.raw.get("item_user") == self._me.user)
        if wanted == "allowlist":
            return picked.author.lower() in self._settings.reactors()
        return wanted == "all"

    async def _message(self, picked: Picked) -> Inbound | None:
        """The message in full; None: of another bot, and those are not heard here."""
        conversation = await self._directory.conversation(picked.channel, picked.channel_type)
        author, *_ = await gatherResults(
            [Deferred.fromCoroutine(self._directory.person(one)) for one in picked.people]
            or [Deferred.fromCoroutine(self._directory.person(""))],
            consumeErrors=True,
        )
        try:
            message = message_of(picked, author, conversation, self._me, self._directory.name_of)
        except Exception:  # noqa: BLE001 - the others must not wait for it for ever
            self._host.log.failure("a message cannot be read in full; a note takes its place")
            message = note_of(picked, author, conversation, self._me)
        is_bot = picked.from_bot or author.is_bot
        keys = (message.chat.id, *message.chat.parents)
        return None if is_bot and not self._settings.hears_bots(keys) else message

    async def _command(self, payload: Json) -> list[Inbound]:
        """A slash command; it is answered in the direct conversation, wherever it was typed."""
        user, settings = payload.get("user_id"), self._settings.slash_command
        if not isinstance(user, str) or not settings.enabled:
            return []
        author = await self._directory.person(user)
        chat = Chat(id=await self._answers.direct(user), parents=(self._me.team,))
        now_ms = int(self._host.reactor.seconds() * 1000)
        message = command_of(payload, chat, author, settings.name, now_ms)
        return [] if message is None else [message]

    def _press(self, payload: Json) -> None:
        work = Deferred.fromCoroutine(self._pressed(payload))
        work.addErrback(self._press_failed)

    def _press_failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:  # else it is only the end
            self._host.log.failure("after a press", failure)

    async def _pressed(self, payload: Json) -> None:
        user, channel = _id(payload.get("user")), _id(payload.get("channel"))
        container = _dict(payload.get("container"))
        ts, thread = container.get("message_ts"), container.get("thread_ts")
        actions = payload.get("actions")
        action = _dict(actions[0]) if isinstance(actions, list) and actions else {}
        data = action.get("value")
        if payload.get("type") != "block_actions" or not user or not channel:
            return
        if not isinstance(data, str) or not isinstance(ts, str):
            return
        person = await self._directory.person(user)
        conversation = await self._directory.conversation(channel)
        chat = chat_of(conversation, self._me, thread if isinstance(thread, str) else None)
        press = Press(chat=chat, sender=sender_of(person), message_id=ts, data=data)
        told = await outcome(self._host, press)
        await self._answers.whisper(channel, user, chat.thread, told)


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _id(value: Any) -> str:
    found = _dict(value).get("id")
    return found if isinstance(found, str) else ""
