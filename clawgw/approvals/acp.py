"""An agent's own permission prompt (ACP, `session/request_permission`) as an exec approval.

The agent says what it wants to do and which answers it takes, each of a kind: allow or reject,
once or always. The policy and a person decide as for everything else, and the agent gets the
option of that kind. *Always* is written into the policy here, and told to the agent too where it
offers that, so that it need not ask again.

Nobody is given more than was decided: where *once* was said and the agent only offers *always*,
the answer is no. When the run is over before the answer is there, the question is withdrawn and
the agent is told `cancelled`, as the protocol wants it
(agentclientprotocol.com/protocol/tool-calls).
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeGuard

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.approvals.book import MAX_COMMAND, Asker
from clawgw.approvals.desk import ApprovalDesk
from clawgw.protocol.approvals import Decision, ExecRequest
from clawgw.protocol.errors import RequestError
from clawgw.store.approvals import Approval

GATEWAY_HOST = "gateway"
COMMAND_KINDS = ("execute", "other", None)
"""Kinds of tool calls whose `rawInput.command` is a command line. Elsewhere it is a verb."""

CANCELLED: dict[str, Any] = {"outcome": {"outcome": "cancelled"}}

_ORDER: dict[str, Sequence[str]] = {
    "allow-once": ("allow_once",),
    "allow-always": ("allow_always", "allow_once"),
    "policy": ("allow_once", "allow_always"),
    "deny": ("reject_once", "reject_always"),
}


class AskingRun(NamedTuple):
    """The run in which an agent asks; `over` fires when it has ended."""

    run_id: str
    session_key: str
    over: Deferred[Any]


FindRun = Callable[[str, str], AskingRun | None]
"""The run going on in a session of an agent: the agent's id, and its id for the session."""

Permit = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Asked(NamedTuple):
    """What an agent wants to do."""

    text: str
    is_command: bool
    cwd: str | None


class AcpApprovals:
    """Answers the permission prompts of agents.

    Args:
        desk: where it is decided.
        find_run: whose prompt it is.
        timeout_ms: how long a person has.
    """

    log = Logger()

    def __init__(self, desk: ApprovalDesk, find_run: FindRun, timeout_ms: int) -> None:
        self._desk = desk
        self._find_run = find_run
        self._timeout_ms = timeout_ms

    def of(self, agent_id: str, workspace: str, search_path: str) -> Permit:
        """The answerer for one agent.

        Args:
            workspace: where it works.
            search_path: where its programs are looked for.
        """

        async def permit(params: dict[str, Any]) -> dict[str, Any]:
            return await self._permit(agent_id, workspace, search_path, params)

        return permit

    async def _permit(
        self, agent_id: str, workspace: str, search_path: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        options = _options(params)
        run = self._find_run(agent_id, str(params.get("sessionId")))
        if run is None:
            self.log.warn("agent {agent}: asked for permission outside a run", agent=agent_id)
            return CANCELLED
        asked = what_is_asked(params.get("toolCall"), workspace)
        request = ExecRequest(
            command=asked.text,
            cwd=asked.cwd,
            host=GATEWAY_HOST,
            agent_id=agent_id,
            session_key=run.session_key,
            env_keys=_variables(params.get("toolCall")),
            allowed_decisions=_choices(options),
            run_id=run.run_id,
            tool_call_id=_tool_call_id(params) or UNSET,
        )
        try:
            approval = await self._desk.submit(
                request,
                self._timeout_ms,
                asker=Asker(agent_id),
                is_command=asked.is_command,
                search_path=search_path,
            )
            approval = await self._desk.book.wait_during(approval, run.over)
        except RequestError as refusal:
            self.log.warn("agent {agent}: not allowed: {why}", agent=agent_id, why=refusal.message)
            return _outcome("deny", options)
        if approval.reason == "run-aborted":
            return CANCELLED
        return _outcome(_kind(approval), options)


def what_is_asked(call: Any, workspace: str) -> Asked:
    """What a tool call is going to do: its command line, or its title where there is none."""
    call = call if isinstance(call, dict) else {}
    given = call.get("rawInput")
    given = given if isinstance(given, dict) else {}
    cwd = next(filter(_is_text, (given.get("cwd"), given.get("workdir"))), workspace)
    command = given.get("command") if call.get("kind") in COMMAND_KINDS else None
    if isinstance(command, list) and command and all(isinstance(one, str) for one in command):
        command = shlex.join(command)
    if _is_text(command):
        return Asked(command, True, cwd)
    title = call.get("title")
    text = title if _is_text(title) else f"{call.get('kind') or 'a tool call'} without a title"
    return Asked(_with_places(text, call.get("locations")), False, cwd)


def _variables(call: Any) -> Any:
    """The names of the variables a tool call sets: from a mapping, or ACP's list of pairs."""
    given = call.get("rawInput") if isinstance(call, dict) else None
    env = given.get("env") if isinstance(given, dict) else None
    if isinstance(env, list):
        env = [one.get("name") for one in env if isinstance(one, dict)]
    names = env if isinstance(env, dict | list) else ()
    return sorted({name for name in names if _is_text(name)}) or UNSET


def _with_places(title: str, locations: Any) -> str:
    """The title, with the files it is about where it does not name them."""
    found = locations if isinstance(locations, list) else []
    paths = [one.get("path") for one in found if isinstance(one, dict)]
    unnamed = [path for path in paths if isinstance(path, str) and path and path not in title]
    return "\n".join([title, *dict.fromkeys(unnamed)])[:MAX_COMMAND]


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value.strip())


def _tool_call_id(params: dict[str, Any]) -> str | None:
    call = params.get("toolCall")
    name = call.get("toolCallId") if isinstance(call, dict) else None
    return name if isinstance(name, str) and name else None


def _options(params: dict[str, Any]) -> dict[str, str]:
    """The first option of each kind, by kind."""
    offered = params.get("options")
    found: dict[str, str] = {}
    for option in offered if isinstance(offered, list) else []:
        kind = option.get("kind") if isinstance(option, dict) else None
        name = option.get("optionId") if isinstance(option, dict) else None
        if isinstance(kind, str) and isinstance(name, str):
            found.setdefault(kind, name)
    return found


def _choices(kinds: Iterable[str]) -> list[Decision]:
    """The decisions the agent can be told."""
    offered = set(kinds)
    choices: list[Decision] = []
    if "allow_once" in offered:
        choices.append("allow-once")
    if offered & {"allow_once", "allow_always"}:
        choices.append("allow-always")
    return [*choices, "deny"]


def _kind(approval: Approval) -> str:
    if approval.allowed and approval.reason == "policy":
        return "policy"
    return approval.decision or "deny"


def _outcome(kind: str, options: dict[str, str]) -> dict[str, Any]:
    """The agent's own option for a decision."""
    for name in _ORDER[kind]:
        if name in options:
            return {"outcome": {"outcome": "selected", "optionId": options[name]}}
    return CANCELLED
