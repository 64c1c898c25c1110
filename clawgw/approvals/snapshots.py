"""Approvals as version 4 shows them in one form, open or decided: `approval.get`, `.resolve`,
`.history`.

They are a view of the same book as `exec.approval.*`. What the policy answered was no question to
anybody and is not shown.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

from msgspec import UNSET

from clawgw.approvals.book import ApprovalBook, Resolver, not_found
from clawgw.approvals.desk import ANYTHING
from clawgw.methods import Caller, MethodTable
from clawgw.protocol import approvals as wire
from clawgw.protocol.base import given
from clawgw.protocol.errors import invalid
from clawgw.store.approvals import Approval
from clawgw.trust.scopes import APPROVALS

DEFAULT_LIMIT = 50
EXEC = "exec"
_STATUS: dict[str, Literal["expired", "cancelled"]] = {
    "timeout": "expired",
    "run-aborted": "cancelled",
    "gateway-restart": "cancelled",
}


class SnapshotMethods:
    """The handlers.

    Args:
        book: the questions.
    """

    def __init__(self, book: ApprovalBook) -> None:
        self._book = book

    def register(self, table: MethodTable) -> None:
        """Add them to the table."""
        table.add("approval.get", self.get, scope=APPROVALS)
        table.add("approval.resolve", self.resolve, scope=APPROVALS)
        table.add("approval.history", self.history, scope=APPROVALS)

    def get(self, _: Caller, params: wire.ApprovalGetParams) -> wire.ApprovalFound:
        """A question, open or decided."""
        return wire.ApprovalFound(approval=snapshot(self._asked(params.id)))

    async def resolve(
        self, caller: Caller, params: wire.ApprovalDecideParams
    ) -> wire.ApprovalDecided:
        """Decide, or hear who did."""
        if params.reviewer is not UNSET:
            raise invalid("reviewer: no channel of this Gateway can vouch for somebody who decides")
        if params.kind != EXEC:
            raise invalid(f"kind: this approval is of kind {EXEC}")
        self._asked(params.id)
        applied = self._book.is_open(params.id)
        if applied:
            resolver = Resolver.of(caller)
            approval = await self._book.resolve(params.id, params.decision, resolver)
        else:
            approval = await self._book.wait(params.id)
        return wire.ApprovalDecided(applied=applied, approval=snapshot(approval))

    async def history(self, _: Caller, params: wire.ApprovalHistoryParams) -> wire.ApprovalHistory:
        """What was decided, the latest first."""
        if given(params.kind, EXEC) != EXEC:
            return wire.ApprovalHistory(items=[])
        limit = given(params.limit, DEFAULT_LIMIT)
        before = _place(given(params.cursor, None))
        found = await self._book.decided(before, limit + 1)
        items, more = found[:limit], len(found) > limit
        return wire.ApprovalHistory(
            items=[snapshot(one) for one in items],
            next_cursor=f"{items[-1].resolved_at}:{items[-1].id}" if more else UNSET,
        )

    def _asked(self, approval_id: str) -> Approval:
        approval = self._book.find(approval_id)
        if approval is None or approval.reason == "policy":
            raise not_found()
        return approval


def snapshot(approval: Approval) -> wire.ApprovalSnapshot:
    """A question as version 4 shows it."""
    request = approval.request
    fields: dict[str, Any] = {
        "id": approval.id,
        "url_path": f"/#approval={quote(approval.id, safe='')}",  # of WebChat
        "created_at_ms": approval.created_at,
        "expires_at_ms": approval.expires_at,
        "presentation": wire.ExecPresentation(
            command_text=request.command,
            allowed_decisions=given(request.allowed_decisions, list(ANYTHING)),
            warning_text=request.warning_text,
            host=request.host,
            node_id=request.node_id,
            agent_id=request.agent_id,
            scope=request.scope,
        ),
    }
    if approval.decision is None:
        key = request.session_key or UNSET
        return wire.ApprovalSnapshot(**fields, status="pending", source_session_key=key)
    return wire.ApprovalSnapshot(**fields, **_ending(approval))


def _ending(approval: Approval) -> dict[str, Any]:
    request, reason = approval.request, approval.reason or "user"
    status = "allowed" if approval.allowed else _STATUS.get(reason, "denied")
    return {
        "status": status,
        "resolved_at_ms": approval.resolved_at or approval.expires_at,
        "source": wire.ApprovalSource(
            agent_id=request.agent_id or UNSET, session_key=request.session_key or UNSET
        ),
        "resolver": _resolver(approval.resolver_id, by_a_person=reason == "user"),
        "decision": approval.decision if status in ("allowed", "denied") else UNSET,
        "reason": reason,
    }


def _resolver(device_id: str | None, *, by_a_person: bool) -> Any:
    """Who decided; left out for somebody in a chat, who has no device."""
    if by_a_person:
        return wire.ApprovalResolver(kind="device", id=device_id) if device_id else UNSET
    return wire.ApprovalResolver(kind="system")


def _place(cursor: str | None) -> tuple[int, str] | None:
    """Where the last page ended: when its last item was decided, and its id."""
    if cursor is None:
        return None
    moment, _, approval_id = cursor.partition(":")
    if not (moment.isascii() and moment.isdigit() and len(moment) < 17 and approval_id):
        raise invalid("cursor: expected nextCursor of an earlier answer")
    return int(moment), approval_id
