"""Nodes for tests: a real client over a socket, and one in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clawgw.identity import DeviceIdentity
from clawgw.protocol.connect import ClientInfo
from tests.support.wire import TIMEOUT, Client, Socket, connect_params, device

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

    def asked(self, seen: int = 0, timeout: float = TIMEOUT) -> dict[str, Any]:
        """The next invocation after `seen` earlier ones."""
        while len(self.payloads("node.invoke.request")) <= seen:
            self.event("node.invoke.request", lambda _: seen == 0, timeout)
            if seen:
                self._one_more(timeout)
        payload: dict[str, Any] = self.payloads("node.invoke.request")[seen]
        return payload

    def _one_more(self, timeout: float) -> None:
        import time

        self.step(time.monotonic() + timeout)

    def answers(self, invocation: dict[str, Any], **result: Any) -> Any:
        """Give a result; returns what the Gateway says to it."""
        params = {"id": invocation["id"], "nodeId": self.node_id, "ok": True, **result}
        return self.request("node.invoke.result", params)
