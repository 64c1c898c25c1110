"""`channels`: what every account of every channel can be told.

Keys are OpenClaw's. An account is what stands under `channels.<channel>`, or, where there are
several, under `channels.<channel>.accounts.<name>`; what such an account does not say itself, the
channel says for it, but for the secrets, which belong to one account each: those that stand with
the channel are its account `default`'s.

Nobody gets in by default: a stranger who writes gets a pairing code (`dmPolicy: pairing`), and in
groups the bot hears only those the operator has listed (`groupPolicy: allowlist`), when they
mention it (`requireMention`). `open` takes a `"*"` in `allowFrom`, so that it cannot happen by
accident.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from clawgw.channels.policy import DmPolicy, GroupPolicy, GroupRule, Policy
from clawgw.section import Name, Positive, Section

Entry = Annotated[str, Meta(min_length=1)] | int
"""One entry of an allowlist; ids may be written as numbers."""

DEFAULT = "default"
"""The account of a channel that names none."""

SECRETS = frozenset({
    "botToken", "tokenFile", "appToken", "token", "account", "authDir", "webhookUrl",
    "webhookSecret",
})  # fmt: skip
TOKEN_VARIABLES = frozenset(
    {"TELEGRAM_BOT_TOKEN", "DISCORD_BOT_TOKEN", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"}
)
"""Where the default accounts' tokens may come from."""

OWN_KEYS = SECRETS | {"accounts", "name"}
"""What an account does not take over from its channel, unless it is the default one."""


class GroupSettings(Section, frozen=True):
    """One entry of `groups`, by the group's id or `*`."""

    enabled: bool = True
    require_mention: bool | None = None
    allow_from: tuple[Entry, ...] | None = None
    system_prompt: str | None = None


class ExecApprovals(Section, frozen=True):
    """`execApprovals`: who decides in a chat what an agent may run; see `channels.approvals`."""

    enabled: bool = False
    approvers: tuple[Entry, ...] = ()


class DmSettings(Section, frozen=True):
    """`dm` of a channel with servers or workspaces: direct messages, and conversations of several
    people outside of those."""

    enabled: bool = True
    policy: DmPolicy | None = None
    allow_from: tuple[Entry, ...] = ()
    group_enabled: bool = False
    group_channels: tuple[Entry, ...] = ()


class AccountSettings(Section, frozen=True):
    """What all channels have.

    Attributes:
        history_limit: how many unanswered messages of a group the agent is told of when it is
            addressed there.
        media_max_mb: the largest file that is taken in.
        chunk_mode: long answers are cut where they get too long, or at every paragraph.
    """

    enabled: bool = True
    name: Name | None = None
    dm_policy: DmPolicy = "pairing"
    allow_from: tuple[Entry, ...] = ()
    group_policy: GroupPolicy = "allowlist"
    group_allow_from: tuple[Entry, ...] = ()
    groups: dict[str, GroupSettings] = field(default_factory=dict)
    require_mention: bool = True
    history_limit: Annotated[int, Meta(ge=0, le=500)] = 50
    text_chunk_limit: Annotated[int, Meta(ge=128)] | None = None
    chunk_mode: Literal["length", "newline"] = "length"
    media_max_mb: Positive = 20
    exec_approvals: ExecApprovals = ExecApprovals()
    reply_to_mode: Literal["off", "first", "all"] = "off"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(enabled={self.enabled})"  # never a secret

    def configured(self, environ: Mapping[str, str]) -> str | None:
        """What is missing before the account can be started, in a sentence; None: nothing."""
        return None

    def streams(self) -> bool:
        """Whether answers are shown while they are written, where the provider can edit."""
        return False

    def policy(self) -> Policy:
        """Who may speak to this account; a channel with other keys for that overrides it."""
        return Policy(
            dm=self.dm_policy,
            allow_from=entries(self.allow_from),
            group=self.group_policy,
            group_allow_from=entries(self.group_allow_from),
            require_mention=self.require_mention,
            groups={
                key: GroupRule(
                    enabled=group.enabled,
                    require_mention=group.require_mention,
                    allow_from=None if group.allow_from is None else entries(group.allow_from),
                    system_prompt=group.system_prompt,
                )
                for key, group in self.groups.items()
            },
        )


def entries(listed: tuple[Entry, ...]) -> frozenset[str]:
    """An allowlist as it is compared: text, lower case, without a channel's prefix."""
    return frozenset(normal_entry(str(entry)) for entry in listed)


def normal_entry(text: str) -> str:
    """`telegram:123` and `tg:123` as `123`; `@Alice` as `@alice`."""
    bare = text.strip().lower()
    head, colon, rest = bare.partition(":")
    known = ("telegram", "tg", "discord", "slack", "signal", "imessage", "whatsapp", "user")
    return rest.strip() if colon and head in known else bare


def merged_accounts(section: Any) -> Any:
    """A channel's section of the file with every account completed by what the channel says."""
    if not isinstance(section, dict) or not isinstance(section.get("accounts"), dict):
        return section
    all_ = {key: value for key, value in section.items() if key != "accounts"}
    shared = {key: value for key, value in all_.items() if key not in OWN_KEYS}
    return {
        **section,
        "accounts": {
            name: {**(all_ if name == DEFAULT else shared), **own} if isinstance(own, dict) else own
            for name, own in section["accounts"].items()
        },
    }
