"""`channels.discord`: what an account of Discord can be told, under OpenClaw's names.

Discord has its own words for who may speak: `dm` for direct messages, `guilds` for servers and
their channels. A server is named by its id, by its name as a slug (`friends-of-claw`), or `*`; a
channel likewise, with a leading `#` or without. A listed server or channel without `users` is open
to everybody in it; a server with `channels` is closed but for those. All of it is translated into
the `Policy` that all channels share, under keys that `keys_of` gives a message's place too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Literal

from msgspec import Meta, field

from clawgw.channels.policy import ANYBODY, GroupRule, Policy
from clawgw.channels.settings import AccountSettings, DmSettings, Entry, normal_entry
from clawgw.section import Name, Section

API_ROOT = "https://discord.com/api"
TOKEN_VARIABLE = "DISCORD_BOT_TOKEN"  # noqa: S105 - its name
GROUP_DM = "group-dm"
"""What rules about all group DMs are listed under."""

Days = Annotated[int, Meta(ge=0, le=14)]


class DiscordChannel(Section, frozen=True):
    """One entry of a server's `channels`; its threads go by it."""

    allow: bool = True
    enabled: bool = True
    require_mention: bool | None = None
    users: tuple[Entry, ...] | None = None
    system_prompt: str | None = None


class DiscordGuild(Section, frozen=True):
    """One entry of `guilds`.

    Attributes:
        slug: another name for it, for people.
        reaction_notifications: which reactions the agent is told of: none, those to its own
            messages, or all.
    """

    slug: str | None = None
    require_mention: bool | None = None
    users: tuple[Entry, ...] | None = None
    channels: dict[str, DiscordChannel] | None = None
    reaction_notifications: Literal["off", "own", "all"] = "own"


class DiscordCommands(Section, frozen=True):
    """`commands`: whether `/ask` is registered with Discord."""

    native: bool | Literal["auto"] = "auto"


class DiscordAccount(AccountSettings, frozen=True):
    """One bot.

    Attributes:
        token: the bot's token.
        api_root: where the API is; the WebSocket's address comes from its answer.
        allow_bots: whether other bots and webhooks are heard.
        streaming: whether answers are shown while they are written.
        catch_up_days: when Discord has given up the session, messages of the last so many days
            are read from the channels' history; 0: none are.
    """

    token: Name | None = None
    api_root: Name = API_ROOT
    dm: DmSettings = field(default_factory=DmSettings)
    guilds: dict[str, DiscordGuild] = field(default_factory=dict)
    commands: DiscordCommands = field(default_factory=DiscordCommands)
    allow_bots: bool = False
    streaming: bool = False
    catch_up_days: Days = 1

    def configured(self, environ: Mapping[str, str]) -> str | None:
        if self.bot_token(environ):
            return None
        return (
            "channels.discord.token is missing; set it to the bot's token, "
            f"or {TOKEN_VARIABLE} in the environment"
        )

    def bot_token(self, environ: Mapping[str, str]) -> str:
        """The token; what the configuration lacks, from the environment; empty for none."""
        token = (self.token or environ.get(TOKEN_VARIABLE) or "").strip()
        return token.removeprefix("Bot ").strip()

    def streams(self) -> bool:
        return self.streaming

    def policy(self) -> Policy:
        shared = super().policy()
        return replace(
            shared,
            dm=(self.dm.policy or shared.dm) if self.dm.enabled else "disabled",
            allow_from=shared.allow_from | _people(self.dm.allow_from),
            groups=self._rules(shared.groups),
        )

    def reactions(self, guild_keys: tuple[str, ...]) -> Literal["off", "own", "all"]:
        """Which reactions are told of in a server that has these keys."""
        for key, guild in self.guilds.items():
            if _guild_key(key) in guild_keys or key == ANYBODY:
                return guild.reaction_notifications
        return "own"

    def _rules(self, shared: Mapping[str, GroupRule]) -> dict[str, GroupRule]:
        rules = dict(shared)
        for name, guild in self.guilds.items():
            rules |= _guild_rules(_guild_key(name), guild)
        if rules and self.group_policy == "open":
            rules.setdefault(ANYBODY, GroupRule())
        if self.dm.group_enabled and (rules or self.group_policy != "open"):
            rules |= _group_dm_rules(self.dm)
        return rules


class DiscordSettings(DiscordAccount, frozen=True):
    """`channels.discord`: one bot, or several under `accounts`."""

    accounts: dict[str, DiscordAccount] = field(default_factory=dict)


def slug(name: str) -> str:
    """A server's or channel's name as configurations have it: `#Plans & Co` is `plans-&-co`."""
    return re.sub(r"\s+", "-", name.strip().lower().removeprefix("#"))


def guild_keys(guild_id: str, guild_name: str) -> tuple[str, ...]:
    """What a server may be listed under, the most exact first.

    Anybody can call a server anything: a name that reads like another's id, or like a key of
    another kind, counts for nothing.
    """
    name = slug(guild_name)
    is_taken = name.isdecimal() or "/" in name or name in (ANYBODY, GROUP_DM)
    return (guild_id,) if is_taken or not name else (guild_id, name)


def channel_keys(guild: tuple[str, ...], channel_id: str, name: str) -> Iterator[str]:
    """What a channel of a server may be listed under, the most exact first."""
    yield channel_id
    for guild_key in (*guild, ANYBODY):
        if name:
            yield f"{guild_key}/{slug(name)}"


def _guild_key(name: str) -> str:
    return ANYBODY if name == ANYBODY else slug(name)


def _guild_rules(guild_key: str, guild: DiscordGuild) -> dict[str, GroupRule]:
    everywhere = DiscordChannel(require_mention=guild.require_mention, users=guild.users)
    if guild.channels is None:
        return {guild_key: _rule(everywhere)}
    rules = {guild_key: GroupRule(enabled=False)}
    for name, channel in guild.channels.items():
        rule = _rule(channel, everywhere)
        if name == ANYBODY:
            rules[guild_key] = rule
        else:
            bare = slug(name.removeprefix("channel:"))
            rules[bare if bare.isdecimal() else f"{guild_key}/{bare}"] = rule
    return rules


def _rule(channel: DiscordChannel, default: DiscordChannel | None = None) -> GroupRule:
    default = default or channel
    mention = channel.require_mention
    users = default.users if channel.users is None else channel.users
    return GroupRule(
        enabled=channel.allow and channel.enabled,
        require_mention=default.require_mention if mention is None else mention,
        allow_from=frozenset({ANYBODY}) if users is None else _people(users),
        system_prompt=channel.system_prompt,
    )


def _group_dm_rules(dm: DmSettings) -> dict[str, GroupRule]:
    everybody = GroupRule(allow_from=frozenset({ANYBODY}))
    if not dm.group_channels:
        return {GROUP_DM: everybody}
    listed = {normal_entry(str(entry)).removeprefix("channel:") for entry in dm.group_channels}
    return {GROUP_DM: GroupRule(enabled=False), **dict.fromkeys(listed, everybody)}


def _people(listed: tuple[Entry, ...]) -> frozenset[str]:
    """An allowlist; a mention as Discord writes it (`<@123>`) stands for the id in it."""
    return frozenset(re.sub(r"^<@!?(\d+)>$", r"\1", normal_entry(str(one))) for one in listed)
