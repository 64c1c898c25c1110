"""The public reference client as a node, in protocols 3 and 4."""

from __future__ import annotations

import json
from typing import Any

from tests.interop.reference import ReferenceClient
from tests.interop.test_reference_client import TOKEN, ReferenceCase, key

COMMANDS = ["system.which", "system.run"]


class NodeMode(ReferenceCase):
    """It connects, is approved, is asked and answers."""

    def node(self, **options: Any) -> ReferenceClient:
        return self.connected(
            "node", clientName="node-host", clientDisplayName="Reference", mode="node",
            role="node", scopes=[], caps=["system"], commands=COMMANDS, deviceFamily="Linux",
            **options,
        )  # fmt: skip

    def ask(self, operator: ReferenceClient, node: ReferenceClient) -> None:
        (row,) = operator.request("node.list")["nodes"]
        self.assertEqual(row["commands"], sorted(COMMANDS))
        for number in range(3):
            asked = {
                "nodeId": row["nodeId"], "command": "system.which",
                "params": {"bins": [f"bin-{number}"]}, "idempotencyKey": key(),
            }  # fmt: skip
            operator.send(do="request", id=900 + number, method="node.invoke", params=asked)
            request = node.event(
                "node.invoke.request",
                lambda one, wanted=asked: one["idempotencyKey"] == wanted["idempotencyKey"],
            )
            self.assert_contract("NodeInvokeRequestEvent", request)
            (name,) = json.loads(request["paramsJSON"])["bins"]
            result = {
                "id": request["id"], "nodeId": row["nodeId"], "ok": True,
                "payloadJSON": json.dumps({"bins": {name: "/bin"}}),
            }  # fmt: skip
            self.assertEqual(node.request("node.invoke.result", result), {"ok": True})
            reply = operator.wait_for("reply", lambda told, id_=900 + number: told["id"] == id_)
            self.assertEqual(reply["payload"]["payload"], {"bins": {name: "/bin"}})

    def test_protocol_4(self) -> None:
        operator = self.connected("operator")
        node = self.node(minProtocol=4, maxProtocol=4)
        waiting = operator.event("node.pair.requested")
        self.assertEqual(waiting["commands"], COMMANDS)
        operator.request("node.pair.approve", {"requestId": waiting["requestId"]})
        self.assertEqual(node.event("node.pair.resolved")["decision"], "approved")
        self.ask(operator, node)

    def test_protocol_3(self) -> None:
        operator = self.connected("operator")
        node = self.reference("node")
        hello = node.connect(
            self.gateway.ws_url, token=TOKEN, clientName="node-host", mode="node", role="node",
            scopes=[], caps=["system"], commands=COMMANDS, deviceFamily="Linux",
            minProtocol=3, maxProtocol=3,
        )  # fmt: skip
        self.assertEqual(hello["protocol"], 3)
        self.ask(operator, node)
