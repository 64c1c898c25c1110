"""Tokens of sessions: how the Gateway knows which agent session a tool works for.

When an agent is given a session, its tools get a token. Whoever shows it is bound to that session:
it may call the methods the session's policy names, see the sessions the policy lets it see, and
nothing else. A token is good until the session is reset or deleted, its agent's process ends, or
the Gateway does; whoever is connected with it then is cut off. There is one token per session, and
a new one replaces it.

Tokens are kept in memory only, as hashes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from clawgw.protocol.errors import FORBIDDEN, RequestError
from clawgw.trust.tokens import hash_token
from clawgw.trust.tools import Visibility

MAX_TOKENS = 4096
MAX_TOKEN_CHARS = 128


@dataclass(frozen=True, eq=False)
class BoundSession:
    """What a token stands for.

    Attributes:
        key: the session's full key.
        methods: the methods that may be called.
        scopes: the scopes of a connection made with the token.
        visibility: which sessions may be looked at and written to.
    """

    key: str
    agent_id: str
    methods: frozenset[str] = frozenset()
    scopes: tuple[str, ...] = ()
    visibility: Visibility = "agent"

    def sees(self, key: str, agent_id: str) -> bool:
        """Whether a session, given by its full key and agent, may be looked at."""
        if self.visibility == "all" or key == self.key:
            return True
        return self.visibility == "agent" and agent_id == self.agent_id

    def check(self, key: str, agent_id: str) -> None:
        """Refuse a session that may not be looked at.

        Raises:
            RequestError: the same whether there is such a session or not.
        """
        if not self.sees(key, agent_id):
            reach = "its own session" if self.visibility == "self" else "sessions of its own agent"
            raise forbidden(
                f"this agent may reach {reach} only (tools.sessions.visibility is "
                f"{self.visibility!r})"
            )


def forbidden(message: str) -> RequestError:
    """The refusal of something a session's policy does not give."""
    return RequestError(FORBIDDEN, message, details={"code": "TOOL_POLICY"})


class SessionTokens:
    """All tokens that count.

    Args:
        revoked: told of every token that counts no more, to end what was made with it.
        limit: how many there may be; the oldest goes first.
    """

    def __init__(self, revoked: Callable[[BoundSession], None], limit: int = MAX_TOKENS) -> None:
        self._revoked = revoked
        self._limit = limit
        self._bound: dict[str, BoundSession] = {}

    def __len__(self) -> int:
        return len(self._bound)

    def __repr__(self) -> str:
        return f"<SessionTokens: {len(self)}>"

    def mint(self, bound: BoundSession) -> str:
        """A new token, the only one of its session from now on."""
        self.revoke_session(bound.key)
        token = secrets.token_urlsafe(32)
        self._bound[hash_token(token)] = bound
        while len(self._bound) > self._limit:
            self._revoke(next(iter(self._bound)))
        return token

    def find(self, token: str) -> BoundSession | None:
        """What a token stands for; None for one that does not count."""
        return self._bound.get(hash_token(token)) if len(token) <= MAX_TOKEN_CHARS else None

    def revoke_session(self, key: str) -> None:
        """A session was reset or deleted, or gets another token."""
        self._revoke_where(lambda bound: bound.key == key)

    def revoke_agent(self, agent_id: str) -> None:
        """An agent's process has ended, and its tools with it."""
        self._revoke_where(lambda bound: bound.agent_id == agent_id)

    def _revoke_where(self, is_meant: Callable[[BoundSession], bool]) -> None:
        for hashed in [hashed for hashed, bound in self._bound.items() if is_meant(bound)]:
            self._revoke(hashed)

    def _revoke(self, hashed: str) -> None:
        self._revoked(self._bound.pop(hashed))
