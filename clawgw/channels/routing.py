"""Routing: which agent and session a message belongs to.

The agent is that of the most exact binding that fits (a chat, then an enclosing server or
workspace, then an account, then a channel), else the default one. All direct messages share the
agent's main session, unless `session.dmScope` gives each person one. Every group has a session of
its own, and so has every thread or topic in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from clawgw.channels.messages import Chat, Inbound
from clawgw.sessions.keys import MAX_KEY, SessionKeys, SessionName

DmScope = Literal["main", "per-peer", "per-channel-peer", "per-account-channel-peer"]
_LONGEST_ID = 150


@dataclass(frozen=True)
class Match:
    """What a binding is about; None: anything."""

    channel: str
    account: str | None = None
    chat_kind: str | None = None
    chat: str | None = None
    parent: str | None = None

    @property
    def exactness(self) -> int:
        """How much it says."""
        return 8 * bool(self.chat) + 4 * bool(self.parent) + 2 * bool(self.account)

    def fits(self, account: str, channel: str, message: Inbound) -> bool:
        """Whether a message is one of those."""
        chat = message.chat
        if self.channel != channel or self.account not in (None, "*", account):
            return False
        if self.chat_kind not in (None, chat.kind):
            return False
        if self.parent is not None and self.parent not in chat.parents:
            return False
        ids = {chat.id, *chat.parents}
        if chat.kind == "direct":
            ids |= {message.sender.id, *message.sender.names}
        return self.chat is None or self.chat in ids


@dataclass(frozen=True)
class Binding:
    """Messages that belong to an agent."""

    agent_id: str
    match: Match


@dataclass(frozen=True)
class Routes:
    """Finds sessions.

    Attributes:
        keys: how sessions are called.
        bindings: in the order of the configuration; of equally exact ones the first counts.
        dm_scope: who shares a session in direct messages.
    """

    keys: SessionKeys
    bindings: Sequence[Binding] = ()
    dm_scope: DmScope = "main"

    def session(self, channel: str, account: str, message: Inbound) -> SessionName:
        """The session a message belongs to."""
        agent = self.agent(channel, account, message)
        rest = self._rest(channel, account, message)
        if rest is None:
            return self.keys.main(agent)
        return SessionName(f"agent:{agent}:{rest}"[:MAX_KEY], agent)

    def agent(self, channel: str, account: str, message: Inbound) -> str:
        """The agent that answers."""
        fitting = [one for one in self.bindings if one.match.fits(account, channel, message)]
        if not fitting:
            return self.keys.default_agent
        return max(fitting, key=lambda one: one.match.exactness).agent_id

    def _rest(self, channel: str, account: str, message: Inbound) -> str | None:
        chat = message.chat
        if chat.kind == "direct":
            peer = _part(message.sender.id)
            return {
                "main": None,
                "per-peer": f"direct:{peer}",
                "per-channel-peer": f"{channel}:direct:{peer}",
                "per-account-channel-peer": f"{channel}:{account}:direct:{peer}",
            }[self.dm_scope]
        return f"{channel}:{chat.kind}:{_part(chat.id)}{_thread(channel, chat)}"


def _thread(channel: str, chat: Chat) -> str:
    if not chat.thread:
        return ""
    return f":{'topic' if channel == 'telegram' else 'thread'}:{_part(chat.thread)}"


def _part(text: str) -> str:
    """An id as part of a key, which has to be printable and not too long."""
    return "".join(char if char.isprintable() else "_" for char in text.lower())[:_LONGEST_ID]
