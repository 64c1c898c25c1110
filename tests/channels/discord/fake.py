"""A fake Discord on loopback: REST, CDN and Gateway, written from Discord's documentation.

A test starts it, points an account's `apiRoot` at `api_root`, speaks as a person with `say`,
`ask` and `press`, and looks at what the bot said with `sent`. What may go wrong is set at
`rest` (single requests), `gateway` (connections, sessions) and here (doubles, order).

Nothing of it depends on our adapter, and it survives the Gateway's end: a test can kill the one
and keep the other.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.web.http import HTTPChannel
from twisted.web.server import Site

from tests.channels.discord.gateway import Gateway
from tests.channels.discord.rest import Rest
from tests.channels.discord.world import (
    JSON,
    Channel,
    Guild,
    Interaction,
    User,
    World,
    member_of,
)

BUTTON, ACTION_ROW = 2, 1


class FakeDiscord:
    """All of it.

    Attributes:
        world: what exists; make people and places with it.
        rest, gateway: the two servers, with their faults.
        doubles: dispatch each further message this many times more.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.world = World(reactor)
        self.rest = Rest(reactor, self.world)
        self.gateway = Gateway(reactor, self.world)
        self.doubles = 0
        self._held: list[tuple[Channel, JSON]] | None = None
        self._ports: list[Any] = []
        self._channels: set[Any] = set()

    @property
    def api_root(self) -> str:
        """What `channels.discord.apiRoot` is to say."""
        return self.world.file_root + "/api"

    @property
    def token(self) -> str:
        return self.world.token

    def start(self) -> None:
        """Listen on free ports of loopback."""
        site = Site(self.rest)
        site.protocol = self._http_channel
        site.log = lambda request: None  # tokens are in paths
        web = self._reactor.listenTCP(0, site, interface="127.0.0.1")
        socket = self._reactor.listenTCP(0, self.gateway, interface="127.0.0.1")
        self._ports = [web, socket]
        self.world.file_root = f"http://127.0.0.1:{web.getHost().port}"
        self.gateway.base = f"ws://127.0.0.1:{socket.getHost().port}"
        self.rest.gateway_url = self.gateway.base

    async def stop(self) -> None:
        """Close everything."""
        await gatherResults([maybeDeferred(port.stopListening) for port in self._ports])
        self.gateway.cut()
        for channel in list(self._channels):
            if channel.transport:
                channel.transport.abortConnection()
        await self._gone()

    def _gone(self) -> Deferred[None]:
        """Fires when no connection is left."""
        done: Deferred[None] = Deferred()

        def look() -> None:
            if self.gateway.connections or self._channels:
                self._reactor.callLater(0.01, look)
            else:
                done.callback(None)

        look()
        return done

    def _http_channel(self) -> HTTPChannel:
        fake = self

        class Watched(HTTPChannel):
            def connectionMade(self) -> None:
                fake._channels.add(self)
                super().connectionMade()

            def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
                fake._channels.discard(self)
                super().connectionLost(reason)

        return Watched()

    def cut(self) -> None:
        """Tear every connection there is, REST and Gateway."""
        self.gateway.cut()
        for channel in list(self._channels):
            if channel.transport:
                channel.transport.abortConnection()

    # What people do

    def say(
        self,
        user: User,
        where: Channel | None = None,
        text: str = "",
        *,
        files: tuple[tuple[str, str, bytes], ...] = (),
        reply_to: str | None = None,
        **more: Any,
    ) -> str:
        """A person writes: to the bot itself, or in a channel; returns the message's id.

        Args:
            files: name, MIME type and content of each attachment.
            more: fields of the message object, such as `poll` or `sticker_items`.
        """
        channel = where or self.world.dm(user)
        attached = [self.world.attach(channel, *file) for file in files]
        body: JSON = {"content": text, "attachments": attached}
        if reply_to:
            body["message_reference"] = {"message_id": reply_to}
        message = self.world.message(channel, user, body, **more)
        if reply_to and message.get("referenced_message"):
            message["mentions"].append(message["referenced_message"]["author"])
        self.world.post(channel, message, quiet=True)
        self._announce(channel, message)
        return str(message["id"])

    def change(self, channel: Channel, message_id: str, text: str) -> None:
        """A person edits a message."""
        message = self.world.find(channel, message_id)
        assert message is not None
        message["content"] = text
        message["edited_timestamp"] = datetime.now(UTC).isoformat()
        self.world.announce("MESSAGE_UPDATE", channel, message)

    def ask(self, user: User, where: Channel | None = None, /, **options: Any) -> Interaction:
        """A person uses `/ask`.

        Raises:
            AssertionError: the bot has no such command, or it has not these options.
        """
        command = next((c for c in self.world.commands if c["name"] == "ask"), None)
        assert command is not None, "no command /ask was registered"
        known = {option["name"] for option in command.get("options") or []}
        assert set(options) <= known, f"/ask has only {known}"
        data = {
            "id": command["id"],
            "name": "ask",
            "type": 1,
            "options": [{"name": n, "type": 3, "value": v} for n, v in options.items()],
        }
        return self._interact(user, where or self.world.dm(user), 2, data, None)

    def press(self, user: User, message: JSON, label: str) -> Interaction:
        """A person presses a button of a message.

        Raises:
            AssertionError: there is no such button.
        """
        buttons = [b for row in message["components"] for b in row.get("components", [])]
        button = next((b for b in buttons if b.get("label") == label), None)
        assert button is not None, f"no button {label} in {buttons}"
        data = {"custom_id": button["custom_id"], "component_type": BUTTON}
        return self._interact(user, self.world.channels[message["channel_id"]], 3, data, message)

    def react(self, user: User, channel: Channel, message_id: str, emoji: str) -> None:
        """A person reacts to a message."""
        message = self.world.find(channel, message_id)
        assert message is not None
        intent = 1 << 10 if channel.guild else 1 << 13
        where = {"guild_id": channel.guild, "member": member_of(user)} if channel.guild else {}
        self.world.dispatch(
            "MESSAGE_REACTION_ADD",
            {
                "user_id": user.id,
                "channel_id": channel.id,
                "message_id": message_id,
                "message_author_id": message["author"]["id"],
                "emoji": {"id": None, "name": emoji},
                "burst": False,
                "type": 0,
                **where,
            },
            intent,
        )

    def _interact(
        self, user: User, channel: Channel, kind: int, data: JSON, source: JSON | None
    ) -> Interaction:
        interaction = Interaction(
            self.world.snowflake(),
            "aW50ZXJhY3Rpb246" + self.world.secret(),
            self._reactor.seconds(),
            channel,
            user,
            data,
            source,
        )
        self.world.interactions[interaction.id] = interaction
        payload: JSON = {
            "id": interaction.id,
            "application_id": self.world.application_id,
            "type": kind,
            "token": interaction.token,
            "version": 1,
            "channel_id": channel.id,
            "channel": channel.json(),
            "data": data,
            "entitlements": [],
            "locale": "en-US",
            "attachment_size_limit": 10_485_760,
        }
        if channel.guild:
            payload |= {"guild_id": channel.guild, "member": member_of(user)}
        else:
            payload["user"] = user.json()
        if source:
            payload["message"] = source
        self.world.dispatch("INTERACTION_CREATE", payload)
        return interaction

    # Doubles and order

    def hold(self) -> None:
        """Keep further messages back, until `release`."""
        self._held = []

    def release(self, *, backwards: bool = False) -> None:
        """Dispatch what was kept back, perhaps in the wrong order."""
        held, self._held = self._held or [], None
        for channel, message in reversed(held) if backwards else held:
            self._announce(channel, message)

    def _announce(self, channel: Channel, message: JSON) -> None:
        if self._held is not None:
            self._held.append((channel, message))
            return
        for _ in range(1 + self.doubles):
            self.world.announce("MESSAGE_CREATE", channel, message)

    # What the bot did

    def sent(self, where: Channel | None = None) -> list[JSON]:
        """The messages of the bot, in one channel or in all, in the order they were made."""
        channels = [where] if where else list(self.world.channels.values())
        mine = [
            message
            for channel in channels
            for message in channel.messages
            if message["author"]["id"] == self.world.bot.id
        ]
        return sorted(mine, key=lambda message: int(message["id"]))

    def texts(self, where: Channel | None = None) -> list[str]:
        """What the bot said."""
        return [message["content"] for message in self.sent(where)]

    def doubled(self) -> list[str]:
        """Texts that the bot said more than once in the same channel."""
        seen: set[tuple[str, str]] = set()
        twice = []
        for message in self.sent():
            key = (message["channel_id"], message["content"])
            if key in seen:
                twice.append(message["content"])
            seen.add(key)
        return twice

    def complaints(self) -> list[str]:
        """Everything the client did that Discord would not like."""
        return [*self.rest.complaints, *self.gateway.complaints]

    def leaks(self, text: str) -> bool:
        """Whether a text contains the token or an interaction's token."""
        tokens = [self.token, *(i.token for i in self.world.interactions.values())]
        return any(re.search(re.escape(token), text) for token in tokens)


def make_guild(fake: FakeDiscord) -> tuple[Guild, Channel, Channel]:
    """A server with a channel and a thread in it."""
    guild = fake.world.guild("home")
    general = fake.world.channel(guild, "general")
    return guild, general, fake.world.channel(guild, "plans", general)
