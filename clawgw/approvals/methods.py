"""Methods of approvals: `exec.approvals.*` for the policy, `exec.approval.*` for questions.

Who changes the policy decides about everything to come, so that takes `operator.admin`; asking and
deciding takes `operator.approvals` (the scopes of the contract). A node may call none of these. It
has `node.approval.request`, by which it asks about what it is told to run on its own machine.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
from msgspec import UNSET

from clawgw.approvals import policy
from clawgw.approvals.book import ApprovalBook, Asker, Resolver, name_of, requested
from clawgw.approvals.desk import ANYTHING, NODE_HOST, ApprovalDesk
from clawgw.approvals.file import Loaded, PolicyStore, PolicyUnusable, shown, unusable
from clawgw.approvals.nodes import env_digest
from clawgw.methods import Caller, MethodTable, Twice
from clawgw.protocol import approvals as wire
from clawgw.protocol.base import given
from clawgw.protocol.errors import invalid, unavailable
from clawgw.store.approvals import Approval
from clawgw.trust.scopes import ADMIN, APPROVALS, NODE

NODE_GET = "system.execApprovals.get"
NODE_SET = "system.execApprovals.set"

InvokeNode = Callable[[str, str, dict[str, Any]], Awaitable[Any]]
"""Has a node do a command: node id, command, parameters; gives what it answers, or JSON of it."""


class ApprovalMethods:
    """The handlers.

    Args:
        store: the policy.
        desk: where questions are asked.
        timeout_ms: how long a question stands whose asker does not say.
        can_be_asked: whether anybody who may decide is connected, other than this connection.
        invoke_node: for the policies of nodes; None where there are no nodes.
    """

    def __init__(
        self,
        store: PolicyStore,
        desk: ApprovalDesk,
        timeout_ms: int,
        can_be_asked: Callable[[str], bool],
        invoke_node: InvokeNode | None = None,
    ) -> None:
        self._store = store
        self._desk = desk
        self._timeout_ms = timeout_ms
        self._can_be_asked = can_be_asked
        self.invoke_node = invoke_node

    @property
    def _book(self) -> ApprovalBook:
        return self._desk.book

    def register(self, table: MethodTable) -> None:
        """Add them to the table."""
        table.add("exec.approvals.get", self.policy_get, scope=ADMIN)
        table.add("exec.approvals.set", self.policy_set, scope=ADMIN)
        table.add("exec.approvals.node.get", self.node_get, scope=ADMIN)
        table.add("exec.approvals.node.set", self.node_set, scope=ADMIN)
        table.add("exec.approval.request", self.request, scope=APPROVALS)
        table.add("exec.approval.waitDecision", self.wait, scope=APPROVALS)
        table.add("exec.approval.resolve", self.resolve, scope=APPROVALS)
        table.add("exec.approval.get", self.get, scope=APPROVALS)
        table.add("exec.approval.list", self.list, scope=APPROVALS)
        table.add("node.approval.request", self.node_request, scope=None, roles=(NODE,))

    # The policy

    async def policy_get(self, caller: Caller, _: Any) -> wire.PolicySnapshot:
        """The policy of this host."""
        try:
            return self._snapshot(await self._store.read(), caller.version)
        except PolicyUnusable as problem:
            raise unusable(problem) from None

    async def policy_set(self, caller: Caller, params: wire.PolicySetParams) -> wire.PolicySnapshot:
        """Put another in its place."""
        try:
            written = await self._store.replace(params.file, given(params.base_hash, None))
        except PolicyUnusable as problem:
            raise unusable(problem) from None
        return self._snapshot(written, caller.version)

    async def node_get(self, _: Caller, params: wire.NodePolicyGetParams) -> Any:
        """The policy of a node, as it tells it."""
        return await self._node(params.node_id, NODE_GET, {})

    async def node_set(self, _: Caller, params: wire.NodePolicySetParams) -> Any:
        """Give a node another policy; it checks the hash itself."""
        if (params.file is UNSET) == (params.native is UNSET):
            raise invalid("file: expected either file, or native with baseHash")
        if params.native is not UNSET and params.base_hash is UNSET:
            raise invalid("baseHash: needed with native")
        sent = cast(dict[str, Any], msgspec.to_builtins(params))
        node_id = sent.pop("nodeId")
        return await self._node(node_id, NODE_SET, sent)

    async def _node(self, node_id: str, command: str, params: dict[str, Any]) -> Any:
        if self.invoke_node is None:
            raise unavailable("this Gateway has no nodes")
        return await self.invoke_node(node_id, command, params)

    def _snapshot(self, loaded: Loaded, version: int) -> wire.PolicySnapshot:
        return wire.PolicySnapshot(
            path=str(self._store.path),
            exists=loaded.exists,
            hash=loaded.hash,
            file=shown(loaded.file),
            resolved_defaults=policy.resolved_defaults(loaded.file) if version >= 4 else UNSET,
        )

    # Questions

    async def request(self, caller: Caller, params: wire.ApprovalRequestParams) -> Any:
        """May this run? Answers when that is decided; with `twoPhase` also when it is asked."""
        approval_id = given(params.id, None)
        asker = Asker(name_of(caller), caller.device_id, env_digest(given(params.env, None)))
        question = _question(params)
        if given(params.require_delivery_route, False) and not self._can_be_asked(caller.conn_id):
            nobody = await self._book.settle(question, "deny", "no-route", asker, approval_id)
            return _result(nobody)
        approval = await self._desk.submit(
            question,
            given(params.timeout_ms, self._timeout_ms),
            asker=asker,
            approval_id=approval_id,
        )
        if approval.decision is not None:
            return _result(approval)
        if given(params.two_phase, False):
            return Twice(self._accepted(approval, caller), self._decided(approval.id))
        return await self._decided(approval.id)

    async def node_request(
        self, caller: Caller, params: wire.NodeApprovalRequestParams
    ) -> wire.ApprovalResult:
        """May this run on the node that asks? Answers when that is decided."""
        approval = await self._desk.submit(
            _node_question(caller, params),
            given(params.timeout_ms, self._timeout_ms),
            asker=Asker(name_of(caller), caller.device_id),
        )
        return await self._decided(approval.id)

    async def wait(self, _: Caller, params: wire.ApprovalWaitParams) -> wire.ApprovalResult:
        """The decision, once there is one; at once where there is one already."""
        return await self._decided(params.id)

    async def resolve(self, caller: Caller, params: wire.ApprovalResolveParams) -> wire.ApprovalOk:
        """Decide."""
        if params.reviewer is not UNSET:
            raise invalid("reviewer: no channel of this Gateway can vouch for somebody who decides")
        await self._book.resolve(params.id, params.decision, Resolver.of(caller))
        return wire.ApprovalOk()

    def get(self, _: Caller, params: wire.ApprovalIdParams) -> wire.ApprovalView:
        """A question that stands."""
        approval = self._book.standing(params.id)
        request = approval.request
        return wire.ApprovalView(
            id=approval.id,
            command_text=request.command,
            command_preview=None,
            allowed_decisions=given(request.allowed_decisions, list(ANYTHING)),
            host=request.host,
            node_id=given(request.node_id, None),
            agent_id=request.agent_id,
            expires_at_ms=approval.expires_at,
        )

    def list(self, _: Caller, __: Any) -> list[wire.ApprovalRequested]:
        """The questions that stand, the oldest first."""
        return [requested(approval) for approval in self._book.pending()]

    async def _decided(self, approval_id: str) -> wire.ApprovalResult:
        return _result(await self._book.wait(approval_id))

    def _accepted(self, approval: Approval, caller: Caller) -> wire.ApprovalAccepted:
        return wire.ApprovalAccepted(
            id=approval.id,
            created_at_ms=approval.created_at,
            expires_at_ms=approval.expires_at,
            delivery_route="approval-client" if self._can_be_asked(caller.conn_id) else "none",
        )


def _result(approval: Approval) -> wire.ApprovalResult:
    by_a_person = approval.reason == "user"
    return wire.ApprovalResult(
        id=approval.id,
        decision=approval.decision,
        created_at_ms=approval.created_at,
        expires_at_ms=approval.expires_at,
        resolved_by=approval.resolved_by if by_a_person else UNSET,
        terminal_reason=UNSET if by_a_person else approval.reason or UNSET,
    )


def _question(params: wire.ApprovalRequestParams) -> wire.ExecRequest:
    """What is asked, with the words of the plan where there is one: that is what will run."""
    plan = given(params.system_run_plan, None)
    argv = given(params.command_argv, None)
    command = given(params.command, "") or (shlex.join(argv) if argv else "")
    cwd, agent, key = (
        given(one, None) for one in (params.cwd, params.agent_id, params.session_key)
    )
    if plan is not None:
        command, argv = plan.command_text, plan.argv
        cwd, agent, key = plan.cwd or cwd, plan.agent_id or agent, plan.session_key or key
    if not command.strip():
        raise invalid("command: expected what is to run")
    host = given(params.host, None)
    extras = {
        name: value
        for name in _PASSED_ON
        if (value := getattr(params, name)) is not UNSET and value is not None
    }
    return wire.ExecRequest(
        command=command,
        cwd=cwd,
        host=host,
        security=given(params.security, None),
        ask=given(params.ask, None),
        agent_id=agent,
        resolved_path=given(params.resolved_path, None),
        session_key=key,
        command_argv=argv or UNSET,
        env_keys=sorted(given(params.env, {})) or UNSET,
        allowed_decisions=_decisions(params),
        **extras,
    )


def _node_question(caller: Caller, params: wire.NodeApprovalRequestParams) -> wire.ExecRequest:
    """What a node asks is about itself: which node it is, its connection says."""
    if not params.command.strip():
        raise invalid("command: expected what is to run")
    return wire.ExecRequest(
        command=params.command,
        cwd=given(params.cwd, None),
        host=NODE_HOST,
        security=given(params.security, None),
        ask=given(params.ask, None),
        agent_id=given(params.agent_id, None),
        resolved_path=given(params.resolved_path, None),
        session_key=given(params.session_key, None),
        node_id=caller.device_id or UNSET,
        command_argv=params.command_argv or UNSET,
        env_keys=sorted(given(params.env_keys, [])) or UNSET,
        allowed_decisions=_decisions(params),
    )


def _decisions(
    params: wire.ApprovalRequestParams | wire.NodeApprovalRequestParams,
) -> list[wire.Decision]:
    unavailable_ones = given(params.unavailable_decisions, [])
    return [one for one in ANYTHING if one not in unavailable_ones]


_PASSED_ON = (
    "node_id",
    "command_spans",
    "warning_text",
    "system_run_plan",
    "scope",
    "session_id",
    "run_id",
    "tool_call_id",
    "turn_source_channel",
    "turn_source_to",
    "turn_source_account_id",
    "turn_source_thread_id",
)
