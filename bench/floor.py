"""The floor: how fast the same load goes with Autobahn alone, which no Gateway on it can beat.

A WebSocket server that looks at a request only as far as it must to answer with a constant. It
knows no schema, no store and no scopes. `python -m bench.floor PORT`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol

CHALLENGE = b'{"type":"event","event":"connect.challenge","payload":{"nonce":"floor","ts":1}}'


class Floor(WebSocketServerProtocol):
    """One client; the factory's `clients` are all of them."""

    def onOpen(self) -> None:
        """Speak first, as a Gateway does."""
        self.sendMessage(CHALLENGE)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Answer; `talk.mode` goes to everybody."""
        frame = json.loads(payload)
        if frame["method"] == "connect":
            self.factory.clients.add(self)
        elif frame["method"] == "talk.mode":
            self.tell_all(frame["params"])
        answer = {"ok": True, "ts": 1, "protocol": 3}
        response = {"type": "res", "id": frame["id"], "ok": True, "payload": answer}
        self.sendMessage(json.dumps(response).encode())

    def tell_all(self, params: Any) -> None:
        """The same bytes to every client."""
        event = {"type": "event", "event": "talk.mode", "payload": params, "seq": 1}
        prepared = self.factory.prepareMessage(json.dumps(event).encode())
        for client in self.factory.clients:
            client.sendPreparedMessage(prepared)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        """One client less."""
        self.factory.clients.discard(self)


def main(port: int) -> None:
    """Serve on loopback until killed."""
    from twisted.internet import reactor

    factory: Any = WebSocketServerFactory()
    factory.clients = set()
    factory.protocol = Floor
    factory.setProtocolOptions(tcpNoDelay=True)
    listening: Any = reactor
    listening.listenTCP(port, factory, interface="127.0.0.1", backlog=1024)
    listening.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
