"""What an agent's tool asks of a node: in its session's name, and approved where that is needed.

A node decides about `system.run` by the agent and the session that ask, and an agent could say it
is another. So both are filled in here, and what the tool says of approvals is left out.

A node that asks by itself does so. One that wants to be told refuses with "approval required";
then the Gateway asks a person, and if that is a yes, the same run goes to the node once more with
it. When the agent's own run is over first, the question is withdrawn, whoever put it, and nothing
runs. (Both ways of stock node hosts: protocol 3 documentation, "Exec approvals".)
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import UNSET, Raw, structs
from twisted.internet.defer import Deferred

from clawgw.approvals.book import ApprovalBook, Asker
from clawgw.approvals.desk import NODE_HOST, ApprovalDesk
from clawgw.approvals.nodes import CLAIMS, RUN, env_digest, identity_of
from clawgw.methods import Caller, Spliced
from clawgw.protocol.approvals import ExecRequest
from clawgw.protocol.base import given
from clawgw.protocol.errors import RequestError, invalid
from clawgw.protocol.nodes import NodeInvokeParams
from clawgw.protocol.validate import MalformedJson, decode_untyped
from clawgw.trust.session_tokens import BoundSession, forbidden

REFUSED = "approval required"
_ANSWERS = {
    "user": "a person refused this run; do not ask for it again",
    "timeout": "this run needs an approval, and nobody answered in time",
    "run-aborted": "the run that asked for this is over",
}

Invoke = Callable[[Caller, NodeInvokeParams], Awaitable[Spliced]]
Run = dict[str, Any]


class ToolRuns:
    """Carries out `node.invoke` for agents' tools.

    Args:
        invoke: the ordinary way.
        desk: where people are asked.
        book: where their answers are.
        timeout_ms: how long they have.
        can_be_asked: whether there is anybody; given the id of the connection that asks.
        over_of: fires when the run going on in a session is over; None where there is none.
    """

    def __init__(
        self,
        invoke: Invoke,
        desk: ApprovalDesk,
        book: ApprovalBook,
        timeout_ms: int,
        can_be_asked: Callable[[str], bool],
        over_of: Callable[[str], Deferred[Any] | None],
    ) -> None:
        self._invoke = invoke
        self._desk = desk
        self._book = book
        self._timeout_ms = timeout_ms
        self._can_be_asked = can_be_asked
        self._over_of = over_of

    async def invoke(
        self, caller: Caller, bound: BoundSession, params: NodeInvokeParams
    ) -> Spliced:
        """Ask a node for something.

        Raises:
            RequestError: see `Invocations.invoke`; or it needs an approval and did not get it.
        """
        params = structs.replace(params, session_key=bound.key)
        if params.command != RUN:
            return await self._invoke(caller, params)
        run = _in_its_name(bound, params)
        over = self._over_of(bound.key)
        try:
            return await self._run(caller, structs.replace(params, params=_raw(run)), over)
        except RequestError as refusal:
            if REFUSED not in refusal.message or not self._can_be_asked(caller.conn_id):
                raise
        told = await self._approved(caller, params.node_id, run, over)
        again = structs.replace(
            params, params=_raw(told), idempotency_key=f"{params.idempotency_key}:approved"
        )
        return await self._run(caller, again, over)

    async def _run(
        self, caller: Caller, params: NodeInvokeParams, over: Deferred[Any] | None
    ) -> Spliced:
        """The run at the node; what the node asks people meanwhile is withdrawn with the session's.

        Raises:
            RequestError: see `Invocations.invoke`.
        """
        going_on = True

        def withdraw(_: Any) -> None:
            for question in self._book.pending() if going_on else ():
                request = question.request
                if request.session_key == params.session_key and given(request.node_id, None):
                    self._book.withdraw(question)

        if over is not None:
            over.addBoth(withdraw)
        try:
            return await self._invoke(caller, params)
        finally:
            going_on = False

    async def _approved(
        self, caller: Caller, node_id: str, run: Run, over: Deferred[Any] | None
    ) -> Run:
        """The run with a person's yes."""
        argv = run.get("command")
        if not isinstance(argv, list) or not all(isinstance(one, str) for one in argv):
            raise invalid("params/command: expected the program and its arguments as strings")
        question = ExecRequest(
            command=shlex.join(argv),
            command_argv=argv,
            cwd=run.get("cwd"),
            host=NODE_HOST,
            agent_id=run["agentId"],
            session_key=run["sessionKey"],
            node_id=node_id,
            env_keys=_names(run.get("env")),
        )
        asker = Asker(run["agentId"], identity_of(caller), env_digest(run.get("env")))
        asked = await self._desk.submit(question, self._timeout_ms, asker=asker)
        answer = await self._book.wait_during(asked, over)
        if not answer.allowed:
            why = _ANSWERS.get(
                answer.reason or "", "this run needs an approval, and did not get it"
            )
            raise forbidden(why)
        return {
            **run,
            "runId": answer.id,
            "approved": True,
            "approvalDecision": answer.decision,
        }


def _in_its_name(bound: BoundSession, params: NodeInvokeParams) -> Run:
    """The parameters of a run as the session's own, without words on approvals."""
    raw = given(params.params, None)
    try:
        asked = {} if raw is None else decode_untyped(raw)
    except MalformedJson as problem:
        raise invalid(f"params: {problem}") from None
    if not isinstance(asked, dict):
        raise invalid("params: expected an object")
    plain = {name: value for name, value in asked.items() if name not in (*CLAIMS, "runId")}
    return {**plain, "agentId": bound.agent_id, "sessionKey": bound.key}


def _names(env: Any) -> Any:
    """What is set for the run, by name: the values may be secret, and decide nothing."""
    return sorted(env) if isinstance(env, dict) and env else UNSET


def _raw(value: Run) -> Raw:
    return Raw(msgspec.json.encode(value))
