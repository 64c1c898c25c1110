"""What an agent is told of `clawgw mcp` when it is given a session.

This is the Gateway's half: it makes the token of the session and says how the server is started.
The token goes in the environment, never among the arguments, which every process can read. The
server's interpreter does not look for modules in its working directory, where an agent writes.

A Gateway without the packages the server needs offers nothing, and its agents work as before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

from clawgw.sessions.keys import SessionName
from clawgw.trust.session_tokens import BoundSession, SessionTokens
from clawgw.trust.tools import ToolRules, Visibility, allowed_tools, methods_of, scopes_of

NAME = "clawgw"
URL_VARIABLE = "CLAWGW_MCP_URL"
TOKEN_VARIABLE = "CLAWGW_MCP_TOKEN"  # noqa: S105 - a name
PIN_VARIABLE = "CLAWGW_MCP_TLS_FINGERPRINT"
SESSION_VARIABLE = "CLAWGW_MCP_SESSION"
COMMAND = (sys.executable, "-P", "-m", "clawgw.cli", "mcp")

# A server gets no other environment than what it is given.
_PASSED_ON = ("PYTHONPATH", "LANG", "LC_ALL", "LC_CTYPE")
_NEEDED = ("mcp", "websockets")


class Endpoint(NamedTuple):
    """Where the server finds the Gateway, on this host. `pin` is the certificate's fingerprint."""

    url: str
    pin: str | None = None


class ToolServers:
    """The tool servers of all sessions (see `agents.acp.SessionServers`).

    Args:
        tokens: where tokens are made.
        endpoint: where the Gateway is, None where agents cannot reach it.
        session_of: the session with an id, None if there is none.
        rules: the rules of an agent's tools: those of all agents, and its own.
        visibility: which sessions tools may reach.
        environ: the Gateway's environment.
    """

    def __init__(
        self,
        tokens: SessionTokens,
        endpoint: Callable[[], Endpoint | None],
        session_of: Callable[[str], SessionName | None],
        rules: Callable[[str], tuple[ToolRules, ...]],
        visibility: Visibility,
        environ: Mapping[str, str],
    ) -> None:
        self._tokens = tokens
        self._endpoint = endpoint
        self._session_of = session_of
        self._rules = rules
        self._visibility = visibility
        self._environ = {name: environ[name] for name in _PASSED_ON if environ.get(name)}

    def servers(self, session_id: str) -> list[dict[str, Any]]:
        """The `mcpServers` of a session that is about to be opened."""
        session, endpoint = self._session_of(session_id), self._endpoint()
        if session is None or endpoint is None:
            return []
        tools = allowed_tools(*self._rules(session.agent_id))
        if not tools:
            return []
        bound = BoundSession(
            session.key, session.agent_id, methods_of(tools), scopes_of(tools), self._visibility
        )
        variables = {
            **self._environ,
            URL_VARIABLE: endpoint.url,
            SESSION_VARIABLE: session.key,
            TOKEN_VARIABLE: self._tokens.mint(bound),
            **({PIN_VARIABLE: endpoint.pin} if endpoint.pin else {}),
        }
        return [
            {
                "name": NAME,
                "command": COMMAND[0],
                "args": list(COMMAND[1:]),
                "env": [{"name": name, "value": value} for name, value in variables.items()],
            }
        ]

    def closed(self, agent_id: str) -> None:
        """An agent's process has ended: so have its servers."""
        self._tokens.revoke_agent(agent_id)


def missing_packages() -> list[str]:
    """The packages the server needs and this installation does not have."""
    return [name for name in _NEEDED if find_spec(name) is None]
