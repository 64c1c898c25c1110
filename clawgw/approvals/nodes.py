"""A run on a node that somebody says was approved: was it, by whom, and is it that run?

A node whose policy asks refuses a `system.run` until it comes with `approved` and
`approvalDecision`. Whoever invokes it could simply say so; the node believes the Gateway. So the
Gateway takes such words only with the id of an approval (`runId`), and only if a person gave it,
to this asker, for this node and this very run: program and arguments, directory, environment,
agent and session. What *allow once* allowed runs once. Anything else is refused before the node
hears of it. (As version 4 Gateways do it, who closed the hole with that.)
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from clawgw.approvals.book import ApprovalBook
from clawgw.approvals.desk import NODE_HOST
from clawgw.methods import Caller
from clawgw.protocol.approvals import ExecRequest
from clawgw.protocol.base import given
from clawgw.protocol.errors import RequestError, invalid
from clawgw.protocol.nodes import NodeInvokeParams
from clawgw.protocol.validate import decode_untyped
from clawgw.store.approvals import Approval

RUN = "system.run"
CLAIMS = ("approved", "approvalDecision", "approvalSource")
_SHELLS = (["/bin/sh", "-lc"], ["/bin/sh", "-c"], ["cmd.exe", "/d", "/s", "/c"])
_canonical = msgspec.json.Encoder(order="deterministic").encode


class NodeApprovals:
    """The guard of `node.invoke`.

    Args:
        book: what was approved.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(self, book: ApprovalBook, now_ms: Callable[[], int]) -> None:
        self._book = book
        self._now_ms = now_ms

    async def guard(self, caller: Caller, _: Any, params: NodeInvokeParams) -> Raw | None:
        """The parameters the node may have; None for those that were given.

        Raises:
            RequestError: they claim an approval that there is not.
        """
        raw = given(params.params, None)
        if params.command != RUN or raw is None:
            return None
        asked = decode_untyped(raw)
        if not isinstance(asked, dict) or not any(asked.get(name) for name in CLAIMS):
            return None
        approval = self._approval(asked, caller, params.node_id)
        if approval.decision == "allow-once" and not await self._book.use(approval.id):
            raise _refused("APPROVAL_ALREADY_USED", "this approval was for one run, which was made")
        plain = {name: value for name, value in asked.items() if name not in CLAIMS}
        return Raw(
            msgspec.json.encode({**plain, "approved": True, "approvalDecision": approval.decision})
        )

    def _approval(self, asked: dict[str, Any], caller: Caller, node_id: str) -> Approval:
        name = asked.get("runId")
        if not isinstance(name, str) or not name:
            raise _refused("APPROVAL_REQUIRED", "approval required; runId is to name it")
        approval = self._book.find(name)
        if approval is None or approval.request.host != NODE_HOST:
            raise _refused("UNKNOWN_APPROVAL_ID", "unknown or expired approval id")
        if not approval.allowed or approval.reason != "user":
            raise _refused("APPROVAL_REQUIRED", "approval required; this one does not allow it")
        if self._now_ms() > approval.expires_at:
            raise _refused("APPROVAL_EXPIRED", "this approval has expired")
        if approval.asker_id is None or approval.asker_id != identity_of(caller):
            raise _refused("APPROVAL_DEVICE_MISMATCH", "this approval was given to another device")
        bound_to = given(approval.request.node_id, None)
        if bound_to is not None and bound_to != node_id:
            raise _refused("APPROVAL_NODE_MISMATCH", "this approval is for another node")
        if not _same_run(approval, asked):
            raise _refused("APPROVAL_REQUEST_MISMATCH", "this approval is for another run")
        return approval


def identity_of(caller: Caller) -> str | None:
    """Who an approval is given to: a device, or the session an agent's tool works for."""
    bound = caller.bound_session
    return caller.device_id if bound is None else f"session {bound.key}"


def env_digest(env: Any) -> str | None:
    """What an environment is recognised by, without keeping its values; None for none."""
    return hashlib.sha256(_canonical(env)).hexdigest() if env else None


def _same_run(approval: Approval, asked: dict[str, Any]) -> bool:
    request = approval.request
    theirs = (asked.get("cwd"), asked.get("agentId"), asked.get("sessionKey"))
    ours = (request.cwd, request.agent_id, request.session_key)
    return (
        tuple(value or None for value in theirs) == tuple(value or None for value in ours)
        and env_digest(asked.get("env")) == approval.env_digest
        and _same_command(request, asked)
    )


def _same_command(request: ExecRequest, asked: dict[str, Any]) -> bool:
    """By its arguments; a version 3 asker gave only the line, as it is or for a shell."""
    argv = asked.get("command")
    if not isinstance(argv, list) or not all(isinstance(one, str) for one in argv):
        return False
    if given(request.command_argv, None) is not None:
        return argv == request.command_argv
    return request.command == shlex.join(argv) or (
        argv[:-1] in _SHELLS and argv[-1] == request.command
    )


def _refused(code: str, words: str) -> RequestError:
    return invalid(words, code=code)
