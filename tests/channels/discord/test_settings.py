"""`channels.discord`: who may speak where, as the operator wrote it."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.discord.inbound import sender
from clawgw.channels.discord.objects import Channel, User
from clawgw.channels.discord.places import Place
from clawgw.channels.discord.settings import DiscordSettings, guild_keys
from clawgw.channels.messages import Inbound, Sender
from clawgw.channels.policy import judge

GUILD, GENERAL, HELP, THREAD = "100000000", "200000000", "300000000", "400000000"


def place(channel: str = "general", thread: str | None = None) -> Place:
    ids = {"general": GENERAL, "help": HELP}
    parent = Channel(ids[channel], 0, channel, GUILD)
    if thread is None:
        return Place(parent, None, GUILD, "Friends of Claw")
    return Place(Channel(THREAD, 11, thread, GUILD, parent.id), parent, GUILD, "Friends of Claw")


def settings(**keys: Any) -> DiscordSettings:
    return msgspec.convert(keys, DiscordSettings)


class PolicyTests(SynchronousTestCase):
    def act(
        self, config: DiscordSettings, where: Place, *, who: str = "1", mentioned: bool = True
    ) -> str:
        message = Inbound(
            message_id="1",
            chat=where.chat(),
            sender=Sender(id=who, names=("alice", "@alice")),
            sent_at=0,
            mentioned=mentioned,
        )
        return judge(message, config.policy(), ()).act

    def test_servers_are_closed_by_default(self) -> None:
        self.assertEqual(self.act(settings(), place()), "drop")

    def test_a_listed_server_is_open_to_all_in_it_when_they_mention_the_bot(self) -> None:
        for key in (GUILD, "friends-of-claw", "Friends of Claw", "*"):
            config = settings(guilds={key: {}})
            self.assertEqual(self.act(config, place()), "answer", key)
            self.assertEqual(self.act(config, place(), mentioned=False), "hear", key)
            self.assertEqual(self.act(config, place("help", "a thread")), "answer", key)
        self.assertEqual(self.act(settings(guilds={"999999999": {}}), place()), "drop")

    def test_users_of_a_server(self) -> None:
        for name in ("1", "alice", "@Alice", "<@1>", "user:1", 1):
            config = settings(guilds={GUILD: {"users": [name]}})
            self.assertEqual(self.act(config, place()), "answer", name)
        config = settings(guilds={GUILD: {"users": ["bob"]}})
        self.assertEqual(self.act(config, place()), "drop")

    def test_where_channels_are_listed_all_others_are_closed(self) -> None:
        for key in (HELP, "help", "#help", "channel:help"):
            channels = {key: {"requireMention": False, "systemPrompt": "Be short."}}
            config = settings(guilds={GUILD: {"channels": channels}})
            self.assertEqual(self.act(config, place("help"), mentioned=False), "answer", key)
            inside = place("help", "a thread")
            self.assertEqual(self.act(config, inside, mentioned=False), "answer", key)
            self.assertEqual(self.act(config, place("general")), "drop", key)

    def test_a_channel_says_more_than_its_server_and_than_the_wildcard(self) -> None:
        channels: dict[str, Any] = {"*": {"requireMention": True}, "help": {"allow": False}}
        config = settings(guilds={GUILD: {"requireMention": False, "channels": channels}})
        self.assertEqual(self.act(config, place("general"), mentioned=False), "hear")
        self.assertEqual(self.act(config, place("help")), "drop")
        channels = {"help": {"users": ["1"]}, "general": {}}
        config = settings(guilds={GUILD: {"users": ["2"], "channels": channels}})
        self.assertEqual(self.act(config, place("help")), "answer")
        self.assertEqual(self.act(config, place("general")), "drop")

    def test_open_and_disabled(self) -> None:
        self.assertEqual(self.act(settings(groupPolicy="open"), place()), "answer")
        listed = settings(groupPolicy="open", guilds={"999999999": {}})
        self.assertEqual(self.act(listed, place()), "answer")
        off = settings(groupPolicy="disabled", guilds={GUILD: {}})
        self.assertEqual(self.act(off, place()), "drop")

    def test_direct_messages(self) -> None:
        direct = Place(Channel("500000000", 1))
        self.assertEqual(self.act(settings(), direct), "pair")
        self.assertEqual(self.act(settings(dm={"enabled": False}), direct), "drop")
        self.assertEqual(self.act(settings(dm={"allowFrom": ["1"]}), direct), "answer")
        self.assertEqual(self.act(settings(dm={"policy": "allowlist"}), direct), "drop")
        anybody = settings(dm={"policy": "open", "allowFrom": ["*"]})
        self.assertEqual(self.act(anybody, direct), "answer")
        self.assertEqual(self.act(settings(dmPolicy="disabled"), direct), "drop")

    def test_group_direct_messages(self) -> None:
        group = Place(Channel("600000000", 3, "trip"))
        self.assertEqual(self.act(settings(), group), "drop")
        self.assertEqual(self.act(settings(dm={"groupEnabled": True}), group), "answer")
        some: dict[str, Any] = {"groupEnabled": True, "groupChannels": ["600000000"]}
        self.assertEqual(self.act(settings(dm=some), group), "answer")
        some["groupChannels"] = ["700000000"]
        self.assertEqual(self.act(settings(dm=some), group), "drop")


class NamesakeTests(SynchronousTestCase):
    """Names are chosen at will; none may be taken for somebody else's id."""

    def test_servers(self) -> None:
        for name in ("123456789", "123456789/help", "group-dm", "*", ""):
            self.assertEqual(guild_keys("555", name), ("555",))
        self.assertEqual(guild_keys("555", "Friends of Claw"), ("555", "friends-of-claw"))

    def test_threads(self) -> None:
        general, thread = Channel("1", 0, "general"), Channel("2", 11, "help", parent_id="1")
        keys = Place(thread, general, "555", "Claw").keys
        self.assertIn("555/general", keys)
        self.assertNotIn("555/help", keys)

    def test_people(self) -> None:
        self.assertEqual(sender(User("7", "Alice"), None).names, ("alice", "@alice"))
        self.assertEqual(sender(User("7", "123456789"), None).names, ("@123456789",))
        self.assertEqual(sender(User("7", "alice", bot=True), None).names, ())


class TokenTests(SynchronousTestCase):
    def test_from_the_configuration_else_from_the_environment(self) -> None:
        environ = {"DISCORD_BOT_TOKEN": "Bot from-env"}
        self.assertEqual(settings(token="mine").bot_token(environ), "mine")
        self.assertEqual(settings().bot_token(environ), "from-env")
        self.assertIsNone(settings().configured(environ))
        self.assertIn("channels.discord.token", settings().configured({}) or "")

    def test_the_token_is_shown_nowhere(self) -> None:
        self.assertNotIn("secret", repr(settings(token="secret")))

    def test_unknown_keys_are_refused(self) -> None:
        with self.assertRaises(msgspec.ValidationError):
            settings(tokn="x")
