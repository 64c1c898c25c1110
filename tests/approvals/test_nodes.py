"""A run on a node that somebody says was approved."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from clawgw.approvals.book import Resolver
from clawgw.approvals.nodes import NodeApprovals
from clawgw.protocol.nodes import NodeInvokeParams
from tests.approvals.test_methods import MethodsTestCase

RUN: dict[str, Any] = {
    "command": ["rm", "x"], "cwd": "/srv", "agentId": "main", "sessionKey": "agent:main:main",
    "env": {"A": "1"}, "runId": "q-1", "approved": True, "approvalDecision": "allow-once",
    "timeoutMs": 5,
}  # fmt: skip
ASKED: dict[str, Any] = {
    "id": "q-1", "host": "node", "nodeId": "n-1", "command": "rm x", "commandArgv": ["rm", "x"],
    "cwd": "/srv", "agentId": "main", "sessionKey": "agent:main:main", "env": {"A": "1"},
    "timeoutMs": 60_000,
}  # fmt: skip


class GuardTests(MethodsTestCase):
    """What reaches the node, and what does not."""

    def setUp(self) -> None:
        super().setUp()
        self.caller.device_id = "d-1"
        self.approvals = NodeApprovals(self.book, self.clock.now_ms)

    def approve(self, decision: str = "allow-once", **changes: Any) -> None:
        asked = {name: value for name, value in (ASKED | changes).items() if value is not None}
        self.start(self.call("exec.approval.request", **asked))
        self.do(self.book.resolve("q-1", decision, Resolver("Anna")))

    def invoke(self, node: str = "n-1", method: str = "system.run", **changes: Any) -> Any:
        params = NodeInvokeParams(
            node_id=node,
            command=method,
            idempotency_key="k",
            params=Raw(msgspec.json.encode(RUN | changes)),
        )
        return self.approvals.guard(self.caller, None, params)

    def sent(self, **changes: Any) -> Any:
        """What the node gets; None for what was given."""
        raw = self.do(self.invoke(**changes))
        return None if raw is None else msgspec.json.decode(raw)

    def refused(self, **changes: Any) -> str:
        """The code of the refusal."""
        failure = self.failureResultOf(self.start(self.invoke(**changes)))
        code: str = failure.value.shape.details["code"]
        return code

    def test_without_a_claim_it_passes(self) -> None:
        self.assertIsNone(self.sent(approved=False, approvalDecision=None))
        self.assertIsNone(self.sent(method="system.which"))

    def test_once_is_once(self) -> None:
        """And the decision is the person's, whatever the caller says."""
        self.approve()
        self.assertEqual(self.sent(approvalDecision="allow-always"), RUN)
        self.assertEqual(self.refused(), "APPROVAL_ALREADY_USED")
        self.open()  # also after a restart
        self.approvals = NodeApprovals(self.book, self.clock.now_ms)
        self.assertEqual(self.refused(), "APPROVAL_ALREADY_USED")

    def test_always_is_passed_on(self) -> None:
        self.approve("allow-always")
        for _ in range(2):
            self.assertEqual(self.sent()["approvalDecision"], "allow-always")

    def test_nobody_approved(self) -> None:
        self.assertEqual(self.refused(runId=None), "APPROVAL_REQUIRED")
        self.assertEqual(self.refused(), "UNKNOWN_APPROVAL_ID")
        self.start(self.call("exec.approval.request", **ASKED))
        self.assertEqual(self.refused(), "APPROVAL_REQUIRED")
        self.do(self.book.resolve("q-1", "deny", Resolver("Anna")))
        self.assertEqual(self.refused(), "APPROVAL_REQUIRED")

    def test_another_run(self) -> None:
        self.approve()
        for changes in (
            {"command": ["rm", "y"]},
            {"command": ["rm x"]},
            {"command": "rm x"},
            {"cwd": "/"},
            {"env": {"A": "2"}},
            {"env": None},
            {"agentId": "other"},
            {"sessionKey": None},
        ):
            self.assertEqual(self.refused(**changes), "APPROVAL_REQUEST_MISMATCH", changes)
        self.assertEqual(self.refused(node="n-2"), "APPROVAL_NODE_MISMATCH")
        self.caller.device_id = "d-2"
        self.assertEqual(self.refused(), "APPROVAL_DEVICE_MISMATCH")
        self.caller.device_id = "d-1"
        self.clock.advance(61)
        self.assertEqual(self.refused(), "APPROVAL_EXPIRED")

    def test_an_approval_for_this_host_is_none_for_a_node(self) -> None:
        self.approve(host="gateway", nodeId=None)
        self.assertEqual(self.refused(), "UNKNOWN_APPROVAL_ID")

    def test_a_version_3_asker_gives_the_line_only(self) -> None:
        self.approve("allow-always", commandArgv=None, nodeId=None)
        for argv in (["rm", "x"], ["/bin/sh", "-lc", "rm x"]):
            self.assertEqual(self.sent(command=argv)["command"], argv)
        self.assertEqual(
            self.refused(command=["/bin/sh", "-lc", "rm y"]), "APPROVAL_REQUEST_MISMATCH"
        )
