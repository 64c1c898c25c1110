"""Who may speak to the agent through a channel: the decision, without any I/O.

In a direct message: `disabled` nobody; `open` everybody (who is listed, or `*`); `allowlist` those
listed; `pairing` those listed and those an operator approved, and whoever else writes gets a code.

In a group: where `groups` has entries the group has to be one of them; the sender has to be listed
(in the group's `allowFrom`, else in `groupAllowFrom`, else in `allowFrom`) unless the policy is
`open`; and the bot has to be mentioned unless the group says otherwise. What an allowed sender
writes without a mention is kept, so that the agent knows what was talked about when it is
mentioned; what others write is dropped.

An approved stranger is approved for direct messages, not for groups. Messages of the account itself
are never answered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from clawgw.channels.messages import Chat, Inbound, Sender

DmPolicy = Literal["pairing", "allowlist", "open", "disabled"]
GroupPolicy = Literal["open", "allowlist", "disabled"]
ANYBODY = "*"


@dataclass(frozen=True)
class GroupRule:
    """What the operator says of one group; None: what the account says."""

    enabled: bool = True
    require_mention: bool | None = None
    allow_from: frozenset[str] | None = None
    system_prompt: str | None = None


@dataclass(frozen=True)
class Policy:
    """What the operator says of an account. Entries are normalised, see `settings.entries`."""

    dm: DmPolicy = "pairing"
    allow_from: frozenset[str] = frozenset()
    group: GroupPolicy = "allowlist"
    group_allow_from: frozenset[str] = frozenset()
    require_mention: bool = True
    groups: Mapping[str, GroupRule] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What becomes of a message.

    Attributes:
        act: `answer` it; `hear` it, for later; `pair`: tell the stranger a code; `drop` it.
        why: for the log and the store.
        system_prompt: what the operator tells the agent about the group.
    """

    act: Literal["answer", "hear", "pair", "drop"]
    why: str = ""
    system_prompt: str | None = None


def judge(message: Inbound, policy: Policy, approved: Collection[str]) -> Verdict:
    """Decide about a message.

    Args:
        approved: ids of senders that an operator approved for this account.
    """
    if message.own:
        return Verdict("drop", "written by the account itself")
    if message.chat.kind == "direct":
        verdict = _direct(message.sender, policy, approved)
    else:
        verdict = _group(message, policy)
    if message.kind == "notice" and verdict.act in ("answer", "pair"):
        return Verdict("hear" if verdict.act == "answer" else "drop", "nothing to answer")
    return verdict


def may_decide(
    sender: Sender, policy: Policy, approved: Collection[str], chat: Chat | None = None
) -> bool:
    """Whether a sender is the operator's own choice, by name or by approval: not merely `*`.

    Args:
        chat: where; in a group those count too who are listed for it.
    """
    if listed(sender, policy.allow_from) or sender.id in approved:
        return True
    if chat is None or chat.kind == "direct":
        return False
    rule = group_rule(chat, policy)
    own = None if rule is None else rule.allow_from
    return listed(sender, policy.group_allow_from if own is None else own)


def listed(sender: Sender, entries: frozenset[str]) -> bool:
    """Whether an allowlist names the sender."""
    return sender.id.lower() in entries or any(name in entries for name in sender.names)


def is_heard(chat: Chat, policy: Policy) -> bool:
    """Whether anybody at all may count in a chat; if not, nobody need read what is said there."""
    if chat.kind == "direct":
        return policy.dm == "pairing" or (policy.dm != "disabled" and bool(policy.allow_from))
    rule = group_rule(chat, policy)
    if policy.group == "disabled" or (rule is not None and not rule.enabled):
        return False
    if rule is None and policy.groups:
        return False
    allowed, _ = _group_list(rule, policy)
    return allowed is None or bool(allowed)


def silence(policy: Policy) -> str | None:
    """Why no direct message will ever be answered, though none was forbidden; None: some are."""
    if policy.dm not in ("open", "allowlist") or policy.allow_from:
        return None
    everybody = ' (for everybody write "*" there)' if policy.dm == "open" else ""
    return (
        f'dmPolicy is "{policy.dm}" but allowFrom names nobody{everybody}: '
        "no direct message is answered"
    )


def _direct(sender: Sender, policy: Policy, approved: Collection[str]) -> Verdict:
    if policy.dm == "disabled":
        return Verdict("drop", "direct messages are disabled")
    if listed(sender, policy.allow_from):
        return Verdict("answer")
    if policy.dm == "open":
        if ANYBODY in policy.allow_from:
            return Verdict("answer")
        return Verdict("drop", "not in allowFrom")
    if policy.dm == "allowlist":
        return Verdict("drop", "not in allowFrom")
    return Verdict("answer") if sender.id in approved else Verdict("pair", "unknown sender")


def _group(message: Inbound, policy: Policy) -> Verdict:
    if policy.group == "disabled":
        return Verdict("drop", "groups are disabled")
    rule = group_rule(message.chat, policy)
    if rule is not None and not rule.enabled:
        return Verdict("drop", "this group is disabled")
    refusal = _group_refusal(message.sender, rule, policy)
    if refusal is not None:
        return Verdict("drop", refusal)
    needs_mention = policy.require_mention
    if rule is not None and rule.require_mention is not None:
        needs_mention = rule.require_mention
    if needs_mention and not message.mentioned:
        return Verdict("hear", "not mentioned")
    return Verdict("answer", system_prompt=rule.system_prompt if rule else None)


def group_rule(chat: Chat, policy: Policy) -> GroupRule | None:
    """The rule of a group: its thread's, its own, an enclosing one's, or `*`'s."""
    keys = [f"{chat.id}:{chat.thread}"] if chat.thread else []
    for key in (*keys, chat.id, *chat.parents, ANYBODY):
        if key in policy.groups:
            return policy.groups[key]
    return None


def _group_refusal(sender: Sender, rule: GroupRule | None, policy: Policy) -> str | None:
    if rule is None and policy.groups:
        return "this group is not in groups"
    allowed, where = _group_list(rule, policy)
    if allowed is None or ANYBODY in allowed or listed(sender, allowed):
        return None
    return f"not in {where}"


def _group_list(rule: GroupRule | None, policy: Policy) -> tuple[frozenset[str] | None, str]:
    """Who may speak in a group, None for everybody; and where that stands."""
    if rule is not None and rule.allow_from is not None:
        return rule.allow_from, "allowFrom of this group"
    if policy.group == "open":
        return None, ""
    return policy.group_allow_from or policy.allow_from, "groupAllowFrom"
