"""One bot at Discord.

`run` is one connection to the Gateway; the session outlives it: where it stands is in the cursor,
stored with the messages, and a restart resumes it. Sending needs no connection. Discord recognises
the nonce of a message for some minutes, so that one whose answer was lost is simply sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from clawgw.channels.adapter import (
    Adapter,
    Capabilities,
    Fatal,
    Fault,
    Host,
)
from clawgw.channels.discord.api import UNKNOWN_MESSAGE, Api, Refused, Throttled, file_part
from clawgw.channels.discord.conversation import Conversation, Ending
from clawgw.channels.discord.events import Events, load_me
from clawgw.channels.discord.feed import Feed, load_session
from clawgw.channels.discord.files import fetch_file
from clawgw.channels.discord.interactions import ASK, INTERACTION, Interactions
from clawgw.channels.discord.outbound import (
    REMEMBERED_SECONDS,
    TEXT_LIMIT,
    UPLOAD_BYTES,
    address_of,
    body_of,
    edit_of,
    sending,
)
from clawgw.channels.discord.places import Places
from clawgw.channels.discord.protocol import Frame, Session
from clawgw.channels.discord.settings import DiscordAccount
from clawgw.channels.format import Format
from clawgw.channels.http import HttpError
from clawgw.channels.messages import Inbound, Media, Part, Target
from clawgw.channels.websocket import SocketUnreachable

CONTENT_FLAGS = 1 << 18 | 1 << 19  # may see the content of messages
IDENTIFY_SECONDS = 5.0
LONGEST_PAUSE = 300.0
MOST_FAILED_RESUMES = 3
MOST_CONVERSATIONS = 1000


class DiscordAdapter(Adapter[DiscordAccount]):
    """See `Adapter`."""

    channel = "discord"
    capabilities = Capabilities(
        format=Format.DISCORD,
        text_limit=TEXT_LIMIT,
        caption_limit=TEXT_LIMIT,
        client_ids=True,
        client_ids_seconds=REMEMBERED_SECONDS,
        edits=True,
        edit_seconds=1.5,
        typing_seconds=8.0,
        buttons=True,
        polls=True,
        max_media_bytes=UPLOAD_BYTES,
    )

    def __init__(self, account: str, settings: DiscordAccount, host: Host) -> None:
        super().__init__(account, settings, host)
        self._api = Api(host.reactor, settings.api_root, self._token)
        self._places = Places(self._api)
        self._interactions = Interactions(host, self._api, self._places, settings.policy())
        self._refusals = 0
        self._failed_resumes = 0
        self._elsewhere = False
        self._registering: Deferred[None] | None = None
        self._conversations: dict[str, str] = {}

    def _token(self) -> str:
        return self.settings.bot_token(self.host.environ)

    # Receiving

    async def run(self) -> None:
        saved = await self.host.cursor()
        session = load_session(saved) if load_me(saved) else None
        try:
            await self._converse(await self._where(session), session, saved)
        except SocketUnreachable as problem:
            self._elsewhere = not self._elsewhere
            raise Fault(str(problem)) from None
        except (Refused, Throttled, HttpError) as problem:
            raise _fault(problem) from None

    async def _where(self, session: Session | None) -> str:
        """The address to connect to: the session's own, unless that did not work last time."""
        if session is not None and not self._elsewhere:
            return self._checked(session.url)
        answer = await self._api.gateway()
        limit = answer.get("session_start_limit")
        if session is None and isinstance(limit, dict) and limit.get("remaining") == 0:
            wait = limit.get("reset_after")
            seconds = wait / 1000 if isinstance(wait, int | float) else 3600.0
            raise Fault("Discord lets this bot begin no more sessions for now", seconds)
        return self._checked(str(answer.get("url")))

    def _checked(self, url: str) -> str:
        """The token goes there: not unencrypted, unless the API itself is not encrypted."""
        if urlsplit(url).scheme != "wss" and urlsplit(self.settings.api_root).scheme == "https":
            raise Fault("Discord named an address of its Gateway that is not encrypted")
        return url

    async def _converse(self, url: str, session: Session | None, saved: dict[str, str]) -> None:
        events = Events(
            self.settings, self.host, self._api, self._places, saved, lambda: self._begun(events)
        )

        def on_dispatch(frame: Frame) -> None:
            if frame.t == INTERACTION:
                self._interactions.begin(frame, events.me.id if events.me else "")
            feed.put(frame)

        async def read(frame: Frame) -> AsyncIterator[Inbound]:
            # Whoever asked is stored before the session is said to be further.
            await self._interactions.over(frame)
            async for inbound in events.read(frame):
                yield inbound

        conversation = Conversation(self.host.reactor, self._token(), session, on_dispatch)
        feed = events.feed = Feed(
            self.host, read, session, conversation.fail, conversation.pause, conversation.resume
        )
        try:
            ending = await conversation.run(url)
            await feed.drain()
        finally:
            await feed.stop()
            self._interactions.give_up()
            if self._registering is not None:
                self._registering.cancel()
        await self._judge(ending)

    async def _judge(self, ending: Ending) -> None:
        """Connect again at once, later, or not: by returning, `Fault` or `Fatal`."""
        why = ending.meaning
        if ending.begun:
            self._refusals = self._failed_resumes = 0
        elif why.then == "resume" and load_session(await self.host.cursor()):
            self._failed_resumes += 1
            if self._failed_resumes >= MOST_FAILED_RESUMES:
                self._failed_resumes = 0
                await self.host.remember({"session": None})
        if why.then == "stop":
            raise Fatal(why.why)
        if why.then == "new":
            refused = not ending.begun and not load_session(await self.host.cursor())
            await self.host.remember({"session": None})
            if refused:  # Discord lets a bot begin once in five seconds, and so many times a day
                self._refusals += 1
                pause = min(LONGEST_PAUSE, IDENTIFY_SECONDS * 2 ** min(self._refusals - 1, 10))
                raise Fault("Discord did not let us begin a session", pause)
            return
        if not ending.asked:
            raise Fault(why.why)

    # A session stands

    def _begun(self, events: Events) -> None:
        self._elsewhere = False
        me = events.me
        self.host.connected(**({"name": me.name, "id": me.id} if me else {}))
        if me is not None and self._registering is None:
            self._registering = Deferred.fromCoroutine(self._register(me.application))
            self._registering.addBoth(self._registered)

    def _registered(self, result: Any) -> None:
        self._registering = None
        if isinstance(result, Failure) and result.check(CancelledError) is None:
            problem = result.value
            if result.check(Refused, Throttled, HttpError) is None:
                self.host.log.failure("while registering /ask", result)
            self.host.warn(f"the command /ask could not be registered: {problem}")

    async def _register(self, application: str) -> None:
        """Tell Discord of `/ask`, if it was not told of exactly that before."""
        commands = [] if self.settings.commands.native is False else [ASK]
        told = hashlib.sha256(msgspec.json.encode([application, commands])).hexdigest()[:16]
        before = (await self.host.cursor()).get("commands")
        if before == told or (before is None and not commands):
            return
        await self._api.set_commands(application, commands)
        await self.host.remember({"commands": told})

    # Sending

    def address(self, text: str) -> tuple[str, str | None]:
        return address_of(text), None

    async def reach(self, chat: str) -> str:
        person = chat.removeprefix("user:")
        if person == chat:
            return chat
        if person not in self._conversations:
            with sending():
                conversation = await self._api.open_dm(person)
            if len(self._conversations) >= MOST_CONVERSATIONS:
                self._conversations.clear()
            self._conversations[person] = conversation
        return self._conversations[person]

    async def send(self, target: Target, part: Part) -> str:
        with sending():
            if part.edit is not None:
                try:
                    await self._api.edit(target.chat, part.edit, edit_of(part))
                    return part.edit
                except Refused as problem:
                    if problem.code != UNKNOWN_MESSAGE:
                        raise
            media = part.media
            file = file_part(media.path, media.name, media.mime_type) if media else None
            return await self._api.create(target.chat, body_of(part), file)

    async def edit(self, target: Target, message_id: str, part: Part) -> None:
        with sending():
            await self._api.edit(target.chat, message_id, edit_of(part))

    async def close(self) -> None:
        await self._api.close()

    async def typing(self, target: Target) -> None:
        with sending():
            await self._api.typing(target.chat)

    # Files

    async def fetch(self, media: Media, path: Any, max_bytes: int) -> Media:
        return await fetch_file(self._api, media, path, max_bytes)

    # Who are we

    async def probe(self) -> dict[str, Any]:
        try:
            me = await self._api.me()
            application = await self._api.application()
        except (Refused, Throttled, HttpError) as problem:
            raise _fault(problem) from None
        flags = application.get("flags")
        content = bool(flags & CONTENT_FLAGS) if isinstance(flags, int) else None
        return {
            "bot": {"id": str(me.get("id")), "username": str(me.get("username"))},
            "application": {"id": str(application.get("id")), "messageContent": content},
        }


def _fault(problem: Exception) -> Fault:
    if isinstance(problem, Refused):
        if problem.status == 401 and not problem.foreign:
            return Fatal(
                "Discord does not accept the bot's token; set channels.discord.token to the one "
                "on the application's page at Discord (Bot, Reset Token)"
            )
        return Fault(f"Discord answered with status {problem.status}: {problem}")
    return Fault(str(problem), getattr(problem, "retry_after", None))
