"""The real sidecar, run by a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clawgw.channels.whatsapp.install import SOURCES
from tests.channels.whatsapp_server.node_program import NodeProgram, Params
from tests.channels.whatsapp_server.server import NUMBER, WhatsAppServer
from tests.support import npm

MAIN = SOURCES / "main.mjs"


def install_sidecar() -> None:
    """Install what the sidecar imports beside its sources, unless it is there; says so.

    Raises:
        AssertionError: npm is missing, or failed.
    """
    npm.install(SOURCES, "the WhatsApp sidecar", "--omit=dev")


class Sidecar(NodeProgram):
    """A sidecar process; what it notifies is in `told`.

    Attributes:
        trusting: whether it takes the simulated server for WhatsApp's.
    """

    trusting = True

    def __init__(self, reactor: Any, server: WhatsAppServer, directory: Path) -> None:
        super().__init__(reactor, "whatsapp-sidecar")
        self._server = server
        self._directory = directory

    async def begin(self, **options: Any) -> Params:
        """Run it and `start` it; the answer."""
        install_sidecar()
        self.run([str(MAIN)], self._server.sidecar_environment() if self.trusting else None)
        params = {"authDir": str(self._directory), "socketUrl": self._server.url, **options}
        answer: Params = await self.command("start", **params)
        return answer

    async def link(self) -> None:
        """Link it by QR and wait until it is online."""
        mark = self._server.mark()
        answer = await self.command("login", kind="qr")
        await self._server.command("scan", qr=answer["qr"])
        await self.open()
        await self._server.wait_for("online", since=mark)

    async def open(self) -> Params:
        """When it is connected."""
        return await self.wait_for("connection", lambda told: told["state"] == "open")

    async def ended(self) -> Params:
        """When the connection is over, and how."""
        return await self.wait_for(
            "connection", lambda told: told["state"] in ("closed", "loggedOut")
        )

    async def heard(self, text: str, since: int = 0) -> Params:
        """A message of that text."""
        return await self.wait_for("message", lambda told: told["text"] == text, since=since)

    async def send(self, number: str, text: str, message_id: str, **more: Any) -> Params:
        """Send a text to a number."""
        to = f"{number}@s.whatsapp.net"
        answer: Params = await self.command("send", to=to, id=message_id, text=text, **more)
        return answer


__all__ = ["MAIN", "NUMBER", "Sidecar", "install_sidecar"]
