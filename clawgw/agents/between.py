"""Messages from one session to another: an agent's tool calls `agent` in its session's name.

Only the message counts. Where it comes from is written above it here, so that an agent cannot pose
as a person, and nothing else of the request is taken over.

Agents that answer each other could go on for ever. So a message is sent only in the course of a
run, and each run knows by way of which sessions it came about: nobody on that way is written to
again, the way has a length, and one run sends so many messages and no more. The ways are in
memory: after a restart of the Gateway they begin anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from clawgw.protocol.agents import AgentParams, Provenance
from clawgw.protocol.base import given
from clawgw.protocol.chat import InFlightRun
from clawgw.protocol.errors import invalid
from clawgw.sessions.keys import SessionName
from clawgw.trust.session_tokens import BoundSession, forbidden

MAX_WAY = 4
MAX_MESSAGES = 20
MAX_CHARS = 100_000
MAX_REMEMBERED = 4096
TOOL = "sessions_send"


class _Way(NamedTuple):
    """How a run came about. `sent` holds the ids of the runs it asked for itself."""

    sessions: tuple[str, ...]
    sent: set[str]


class SessionMail:
    """Looks at what tools send.

    Args:
        in_flight: the run going on in a session.
    """

    def __init__(self, in_flight: Callable[[str], InFlightRun | None]) -> None:
        self._in_flight = in_flight
        self._ways: dict[str, _Way] = {}

    def checked(
        self, sender: BoundSession, target: SessionName, params: AgentParams
    ) -> AgentParams:
        """The request to carry out in place of a tool's.

        Raises:
            RequestError: it may not be sent; the sentence is for the model.
        """
        if not given(params.session_key, "").strip():
            raise invalid("sessionKey: expected the session to send to")
        sender.check(*target)
        if target.key == sender.key:
            raise invalid("sessionKey: is this session itself; just answer")
        text = params.message.strip()
        if not text or len(text) > MAX_CHARS:
            raise invalid(f"message: expected 1 to {MAX_CHARS} characters")
        self._extend_way(sender.key, target.key, params.idempotency_key)
        return AgentParams(
            message=f"{_origin(sender)}\n\n{text}",
            session_key=target.key,
            idempotency_key=params.idempotency_key,
            input_provenance=Provenance(
                kind="inter_session", source_session_key=sender.key, source_tool=TOOL
            ),
        )

    def _extend_way(self, sender: str, target: str, run_id: str) -> None:
        """Note that the sender's run asks for another one.

        Raises:
            RequestError: it would lead in a circle, or too far.
        """
        run = self._in_flight(sender)
        if run is None:
            raise forbidden("messages to other sessions can be sent only while you are answering")
        way = self._ways.get(run.run_id) or self._remember(run.run_id, ())
        if run_id in way.sent:
            return  # the same request again
        if target in way.sessions:
            raise forbidden(f"{target} is what asked you, and gets your answer; just answer")
        if len(way.sessions) >= MAX_WAY:
            raise forbidden(f"this message came through {MAX_WAY} sessions already; just answer")
        if len(way.sent) >= MAX_MESSAGES:
            raise forbidden(f"at most {MAX_MESSAGES} messages can be sent while answering one")
        way.sent.add(run_id)
        self._remember(run_id, (*way.sessions, sender))

    def _remember(self, run_id: str, sessions: tuple[str, ...]) -> _Way:
        way = self._ways[run_id] = _Way(sessions, set())
        while len(self._ways) > MAX_REMEMBERED:
            del self._ways[next(iter(self._ways))]
        return way


def _origin(sender: BoundSession) -> str:
    return (
        f"[This message is from the agent {sender.agent_id!r} in its session {sender.key}, which "
        "gets your answer.]"
    )
