"""`channels.slack`: what an account of Slack can be told, under OpenClaw's names.

Slack has its own words for who may speak: `dm` for direct messages (and group DMs, which are off by
default) and `channels` for channels, by id, by `#name`, or `*`. A channel listed without `users` is
open to everybody in it. They are translated into the `Policy` all channels share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from msgspec import field

from clawgw.channels.policy import ANYBODY, GroupRule, Policy
from clawgw.channels.settings import AccountSettings, DmSettings, Entry, entries
from clawgw.section import Name, Section

API_ROOT = "https://slack.com/api"
GROUP_DM = "mpim"
"""What rules about all group DMs are listed under; Slack's own word for them."""


class SlackChannel(Section, frozen=True):
    """One entry of `channels`."""

    allow: bool = True
    enabled: bool = True
    require_mention: bool | None = None
    users: tuple[Entry, ...] | None = None
    allow_bots: bool | None = None
    system_prompt: str | None = None


class SlackCommand(Section, frozen=True):
    """`slashCommand`: the command whose text is a message; any other is passed on with its name."""

    enabled: bool = True
    name: Name = "openclaw"


class SlackAccount(AccountSettings, frozen=True):
    """One app in one workspace.

    Attributes:
        bot_token: `xoxb-…`, for the Web API.
        app_token: `xapp-…`, for Socket Mode.
        api_root: where the Web API is; the WebSocket's address comes from its answer.
        allow_bots: whether other bots are heard.
        reaction_notifications: which emoji reactions the agent is told of: none, those to its own
            messages, all, or those of the people in `reaction_allowlist`.
        streaming: whether answers are shown while they are written.
    """

    bot_token: Name | None = None
    app_token: Name | None = None
    mode: Literal["socket"] = "socket"
    api_root: Name = API_ROOT
    dm: DmSettings = field(default_factory=DmSettings)
    channels: dict[str, SlackChannel] = field(default_factory=dict)
    allow_bots: bool = False
    reaction_notifications: Literal["off", "own", "all", "allowlist"] = "own"
    reaction_allowlist: tuple[Entry, ...] = ()
    slash_command: SlackCommand = field(default_factory=SlackCommand)
    streaming: bool = False

    def configured(self, environ: Mapping[str, str]) -> str | None:
        bot, app = self.tokens(environ)
        if not bot or not app:
            key, variable = (
                ("botToken", "SLACK_BOT_TOKEN") if not bot else ("appToken", "SLACK_APP_TOKEN")
            )
            return f"channels.slack.{key} is missing; set it, or {variable} in the environment"
        if bot.startswith("xapp-") or app.startswith("xoxb-"):
            return "channels.slack: botToken begins with xoxb-, appToken with xapp-; not so here"
        return None

    def tokens(self, environ: Mapping[str, str]) -> tuple[str | None, str | None]:
        """The bot's and the app's token; what the configuration lacks, from the environment."""
        return (
            self.bot_token or environ.get("SLACK_BOT_TOKEN"),
            self.app_token or environ.get("SLACK_APP_TOKEN"),
        )

    def streams(self) -> bool:
        return self.streaming

    def policy(self) -> Policy:
        shared = super().policy()
        return replace(
            shared,
            dm=(self.dm.policy or shared.dm) if self.dm.enabled else "disabled",
            allow_from=shared.allow_from | entries(self.dm.allow_from),
            groups=self._rules(shared.groups),
        )

    def hears_bots(self, keys: tuple[str, ...]) -> bool:
        """Whether other bots are heard in a channel that is listed under one of these keys."""
        listed = (self.channels[key].allow_bots for key in keys if key in self.channels)
        return next((allowed for allowed in listed if allowed is not None), self.allow_bots)

    def reactors(self) -> frozenset[str]:
        """Whose reactions are told of, with `reaction_notifications: allowlist`."""
        return entries(self.reaction_allowlist)

    def _rules(self, shared: Mapping[str, GroupRule]) -> dict[str, GroupRule]:
        rules = {**shared, **{key: _rule(one) for key, one in self.channels.items()}}
        if not rules or self.group_policy == "open":
            rules.setdefault(ANYBODY, GroupRule())  # as if nothing were listed
        listed = entries(self.dm.group_channels)
        rules[GROUP_DM] = GroupRule(enabled=self.dm.group_enabled and not listed)
        if self.dm.group_enabled:
            rules |= {str(chat): GroupRule() for chat in self.dm.group_channels}
        return rules


def _rule(channel: SlackChannel) -> GroupRule:
    return GroupRule(
        enabled=channel.allow and channel.enabled,
        require_mention=channel.require_mention,
        allow_from=frozenset({ANYBODY}) if channel.users is None else entries(channel.users),
        system_prompt=channel.system_prompt,
    )


class SlackSettings(SlackAccount, frozen=True):
    """`channels.slack`: one account, or several under `accounts`."""

    accounts: dict[str, SlackAccount] = field(default_factory=dict)
