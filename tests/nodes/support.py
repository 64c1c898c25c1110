"""A node for tests: a real client over a socket."""

from __future__ import annotations

from typing import Any

from clawgw.identity import DeviceIdentity
from tests.support.wire import Client, Socket, connect_params

SYSTEM = ("system.which", "system.run", "system.notify")
ABOUT = {
    "id": "node-host",
    "displayName": "Test node",
    "version": "1.0.0",
    "platform": "linux",
    "deviceFamily": "Linux",
    "mode": "node",
    "instanceId": "node-1",
}


class Node(Client):
    """A node that is connected, and does what the test says.

    Args:
        port: the Gateway's.
        identity: its key.
        claims: more fields of `connect`, such as `caps` and `commands`.
    """

    def __init__(
        self,
        port: int,
        identity: DeviceIdentity,
        *,
        protocol: int = 4,
        token: str = "test-token",
        about: dict[str, Any] | None = None,
        **claims: Any,
    ) -> None:
        Socket.__init__(self, port)
        self.events = []
        self._answers = {}
        self._last_id = 0
        self.node_id = identity.device_id
        nonce = self.receive().json["payload"]["nonce"]
        params = connect_params(
            nonce, token=token, identity=identity, protocol=protocol, scopes=(), role="node",
            client={**ABOUT, **(about or {})},
        )  # fmt: skip
        params |= {"caps": ["system"], "commands": list(SYSTEM), "permissions": {}, **claims}
        self.hello = self.request("connect", params)

    def asked(self, key: str) -> dict[str, Any]:
        """The invocation with this idempotency key."""
        frame = self.event("node.invoke.request", lambda one: one["idempotencyKey"] == key)
        assert "seq" not in frame, "a directed event is not counted"
        payload: dict[str, Any] = frame["payload"]
        return payload

    def answers(self, invocation: dict[str, Any], **result: Any) -> Any:
        """Give a result; returns what the Gateway says to it."""
        params = {"id": invocation["id"], "nodeId": self.node_id, "ok": True, **result}
        return self.request("node.invoke.result", params)
