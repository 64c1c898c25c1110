"""Baileys with nothing around it: what the tests of the simulated server log in with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.channels.whatsapp_server.node_program import NodeProgram, Params
from tests.channels.whatsapp_server.server import WhatsAppServer


class BareClient(NodeProgram):
    """A client of the server, with its credentials in the file `kept_at`."""

    def __init__(self, reactor: Any, server: WhatsAppServer, kept_at: str | Path) -> None:
        super().__init__(reactor, "bare-client")
        self._server = server
        self.kept_at = str(kept_at)

    def launch(self) -> None:
        """Start the process; it does not connect yet."""
        self.run(self.arguments(), self._server.sidecar_environment())

    def arguments(self) -> list[str]:
        """What Node is to run."""
        return ["client.mjs", self._server.url, self.kept_at]

    async def link(self) -> Params:
        """Connect, have the QR scanned, and come back as a linked device that is online."""
        await self.command("connect")
        qr = await self.wait_for("qr")
        await self._server.command("scan", qr=qr["qr"])
        opened = await self.wait_for("open")
        await self._server.wait_for("online")
        await self.wait_for("message", _is_history)  # until then Baileys holds events back
        return opened


def _is_history(told: Params) -> bool:
    return "historySyncNotification" in told["message"].get("protocolMessage", {})
