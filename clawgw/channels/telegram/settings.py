"""`channels.telegram`: what a bot can be told beside what all channels have.

Keys are OpenClaw's. The token of the account `default` may also come from the environment, as
`TELEGRAM_BOT_TOKEN`; the configuration wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from msgspec import Meta, field

from clawgw.channels.policy import GroupRule, Policy
from clawgw.channels.settings import AccountSettings, GroupSettings, entries
from clawgw.section import Name, Port, Section

TOKEN_VARIABLE = "TELEGRAM_BOT_TOKEN"  # noqa: S105 - its name, not a token
API_ROOT = "https://api.telegram.org"

Address = Annotated[str, Meta(pattern="^https?://[^\\s?#]+$")]
HttpsAddress = Annotated[str, Meta(pattern="^https://[^\\s?#]+$")]
UrlPath = Annotated[str, Meta(pattern="^/[^\\s?#]*$")]
Secret = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,256}$")]
Command = Annotated[str, Meta(pattern="^/?[A-Za-z0-9_]{1,32}$")]
Description = Annotated[str, Meta(min_length=1, max_length=256)]


class TelegramGroup(GroupSettings, frozen=True):
    """A group; what is said of a topic, by its number, goes before what is said of the group."""

    topics: dict[str, GroupSettings] = field(default_factory=dict)


class CustomCommand(Section, frozen=True):
    """An entry of the bot's menu of commands."""

    command: Command
    description: Description


class TelegramCommands(Section, frozen=True):
    """`native`: whether the bot's menu has the Gateway's commands; they work without it, too."""

    native: bool | Literal["auto"] = "auto"


class TelegramCapabilities(Section, frozen=True):
    """What may be used of Telegram."""

    inline_buttons: Literal["off", "dm", "group", "all", "allowlist"] = "allowlist"


class TelegramAccount(AccountSettings, frozen=True):
    """A bot.

    Attributes:
        bot_token: from @BotFather.
        token_file: a file that holds it instead.
        api_root: where the Bot API is, for a server of one's own.
        link_preview: whether Telegram shows what a link leads to.
        stream_mode: whether an answer is shown while it is written; `block` is `partial` here.
        reaction_notifications: whether the agent hears of reactions: to the bot's messages or all.
        timeout_seconds: how long a call may take; uploads have longer.
        webhook_url: the public HTTPS address Telegram posts updates to; none: we ask for them.
        webhook_secret: proves that a post is Telegram's; made up at every start if not given.
        webhook_host, webhook_port, webhook_path: where we listen for it.
    """

    bot_token: Name | None = None
    token_file: Name | None = None
    api_root: Address = API_ROOT
    groups: dict[str, TelegramGroup] = field(default_factory=dict)  # type: ignore[assignment]
    capabilities: TelegramCapabilities = field(default_factory=TelegramCapabilities)
    reply_to_mode: Literal["off", "first", "all"] = "first"
    link_preview: bool = True
    stream_mode: Literal["off", "partial", "block"] = "partial"
    reaction_notifications: Literal["off", "own", "all"] = "own"
    commands: TelegramCommands = field(default_factory=TelegramCommands)
    custom_commands: tuple[CustomCommand, ...] = ()
    timeout_seconds: Annotated[int, Meta(ge=1, le=600)] = 30
    webhook_url: HttpsAddress | None = None
    webhook_secret: Secret | None = None
    webhook_host: Name = "127.0.0.1"
    webhook_port: Port = 8787
    webhook_path: UrlPath = "/telegram-webhook"

    def configured(self, environ: Mapping[str, str]) -> str | None:
        """What is missing, in a sentence; None: nothing."""
        if self.bot_token or self.token_file or environ.get(TOKEN_VARIABLE):
            return None
        return (
            "a bot token is missing: set botToken, tokenFile, or the environment variable "
            f"{TOKEN_VARIABLE} (for the default account)"
        )

    def streams(self) -> bool:
        """Whether answers are shown while they are written."""
        return self.stream_mode != "off"

    def policy(self) -> Policy:
        """Who may speak to the bot; a topic takes from its group what it does not say itself."""
        policy = super().policy()
        rules = dict(policy.groups)
        for group_id, group in self.groups.items():
            for topic_id, topic in group.topics.items():
                rules[f"{group_id}:{topic_id}"] = _within(rules[group_id], topic)
        return replace(policy, groups=rules)


class TelegramSettings(TelegramAccount, frozen=True):
    """`channels.telegram`: one bot, or several under `accounts`."""

    accounts: dict[str, TelegramAccount] = field(default_factory=dict)


def _within(group: GroupRule, topic: GroupSettings) -> GroupRule:
    mention, allowed = topic.require_mention, topic.allow_from
    return GroupRule(
        enabled=group.enabled and topic.enabled,
        require_mention=group.require_mention if mention is None else mention,
        allow_from=group.allow_from if allowed is None else entries(allowed),
        system_prompt=topic.system_prompt or group.system_prompt,
    )
