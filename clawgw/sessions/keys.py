"""Session keys: how a session is named, and whose it is.

A full key is `agent:<agent id>:<rest>`. Clients may say less: the main key (`main`) is the main
session of the default agent, any other short key is a session of that name with the default
agent, or with the agent the request names.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from clawgw.protocol.errors import invalid

MAX_KEY = 512


class SessionName(NamedTuple):
    """A session that is meant."""

    key: str
    agent_id: str


@dataclass(frozen=True)
class SessionKeys:
    """Understands keys as clients write them.

    Attributes:
        default_agent: the agent of those who name none.
        agents: every agent there is.
        main_key: what the main session is called.
    """

    default_agent: str
    agents: Collection[str]
    main_key: str = "main"

    def main(self, agent_id: str | None = None) -> SessionName:
        """The main session of an agent, or of the default one."""
        agent = self._agent(agent_id or self.default_agent)
        return SessionName(f"agent:{agent}:{self.main_key}", agent)

    def parse(self, text: str, agent_id: str | None = None) -> SessionName:
        """The session a client means.

        Raises:
            RequestError: the key is malformed, or names an agent there is not.
        """
        key = text.strip()
        if not key or len(key) > MAX_KEY or not key.isprintable():
            raise invalid(f"sessionKey: expected 1 to {MAX_KEY} printable characters")
        if key.lower().startswith("agent:"):
            return self._full(key, agent_id)
        agent = self._agent(agent_id or self.default_agent)
        rest = self.main_key if key in ("main", self.main_key) else key
        return SessionName(f"agent:{agent}:{rest}", agent)

    def is_main(self, key: str) -> bool:
        """Whether this full key is an agent's main session."""
        return key.split(":", 2)[2:] == [self.main_key]

    def _full(self, key: str, agent_id: str | None) -> SessionName:
        _, agent, *rest = key.split(":", 2)
        if not rest or not rest[0]:
            raise invalid("sessionKey: expected agent:<agent id>:<name>")
        agent = self._agent(agent)
        if agent_id is not None and agent_id.lower() != agent:
            raise invalid(f"sessionKey: is a session of agent {agent!r}, not of agentId")
        name = self.main_key if rest[0] == "main" else rest[0]
        return SessionName(f"agent:{agent}:{name}", agent)

    def _agent(self, agent_id: str) -> str:
        agent = agent_id.strip().lower()
        if agent not in self.agents:
            raise invalid(f"unknown agent id {agent[:64]!r}", code="UNKNOWN_AGENT_ID")
        return agent


def chat_type(key: str) -> str:
    """`group`, `channel` or `direct`, by a full key's form."""
    parts = key.split(":")
    if "group" in parts[2:]:
        return "group"
    return "channel" if "channel" in parts[2:] else "direct"
