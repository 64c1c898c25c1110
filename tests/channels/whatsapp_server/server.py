"""A simulated WhatsApp: its Web server, the phone of the account, the phones of contacts.

Baileys talks to it as to the real one, over a real WebSocket, with the encryption of the connection
and of every message. The account's number is `NUMBER`. The server is a process of its own, so what
it knows survives whatever happens to the Gateway.

The certificates of the real server are signed by WhatsApp; those of this one are not, so a program
that shall believe them is started with a module of ours loaded first (`trust.mjs`), and with our
certificate for the files. `sidecar_environment()` says both as environment variables.

Commands, besides those that have a method here (see `main.mjs` for all):

- `scan(qr=…)`: the phone scans a QR; `enterCode(code=…)`: or its user enters a pairing code.
- `incoming(**{"from": number, "text": …})`: a contact writes; see `incoming.mjs` for groups, files,
  and any other message.
- `delivered()`: what phones have shown, in order, with doubles counted.
- `fault(kind=…, count=…)`, `calm(kind=…)`: what shall go wrong; see `faults.mjs`.
- `cut()`, `disconnect(code=…)`, `replace()`, `logout()`, `garbage()`: to what is connected.

What it tells: `registering`, `codeAwaited`, `paired`, `pairingFailed`, `login`, `refusedLogin`,
`online`, `closed`, `unlinked`, `message` (shown on a phone), `copy`, `ownCopy`, `unreadable`,
`refused`, `lostMessage`, `ignored` (in silence), `receipt`, `acked`, `presence`, `chatstate`,
`preKeys`, `peerMessage`; and `unknownQuery`, `unknownStanza`, `problem` where it was asked for what
it does not know, or failed.
"""

from __future__ import annotations

import shutil
import tempfile
from typing import Any, Self

from tests.channels.whatsapp_server.node_program import HERE, NodeProgram, Params
from tests.support import npm
from tests.support.certificates import make_pair

NUMBER = "4915100000001"
TRUST = HERE / "trust.mjs"


def install() -> None:
    """Install what it imports, unless it is there already.

    Raises:
        AssertionError: npm is missing, or failed.
    """
    npm.install(HERE, "Baileys for the WhatsApp tests")


class WhatsAppServer(NodeProgram):
    """The server, running.

    Attributes:
        url: where its WebSocket is, for Baileys' `waWebSocketUrl`.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor, "whatsapp-server")
        self.url = ""
        self._directory = tempfile.mkdtemp(prefix="whatsapp-server-")
        self._certificate = make_pair(self._directory, "media")

    @classmethod
    async def start(cls, reactor: Any) -> Self:
        """Install what it needs, if that is not there, and start it.

        Raises:
            AssertionError: npm or Node is missing, npm failed, or it does not come up.
        """
        install()
        server = cls(reactor)
        pair = server._certificate
        server.run(["main.mjs", NUMBER, pair.key_path, pair.cert_path])
        ready = await server.wait_for("ready")
        server.url = f"ws://127.0.0.1:{ready['port']}/ws/chat"
        return server

    def sidecar_environment(self) -> dict[str, str]:
        """What makes a Node program with Baileys trust this server."""
        return {
            "NODE_OPTIONS": f"--import={TRUST.as_uri()}",
            "NODE_EXTRA_CA_CERTS": self._certificate.cert_path,
        }

    async def delivered(self, number_or_group: str | None = None) -> list[Params]:
        """What phones have shown, in order: of one chat, or all."""
        answer = await self.command("delivered")
        return [one for one in answer["messages"] if number_or_group in (None, one["chat"])]

    async def incoming(self, sender: str, text: str | None = None, **more: Any) -> str:
        """Somebody writes; the id of the message."""
        params = {"from": sender, **more}
        if text is not None:
            params["text"] = text
        return str((await self.command("incoming", **params))["id"])

    def complaints(self) -> list[Params]:
        """What it was asked and does not know, and what failed in it; nothing if all is well."""
        names = ("problem", "unknownQuery", "unknownStanza")
        return [told.params for told in self.told if told.name in names]

    async def close(self) -> None:
        """Stop it and remove its files."""
        await self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)
