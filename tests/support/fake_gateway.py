"""A Gateway made of Autobahn and a dictionary, to hold the client against.

It greets, checks the device's signature as a Gateway does, and answers from a table of methods.
What a test wants to be different it sets on the instance. `frames` keeps all that was received.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from clawgw.trust.signatures import SignedFields, is_signed, raw_public_key

NONCE = "a-nonce"


class FakeConnection(WebSocketServerProtocol):
    """One connection; `gateway` is the FakeGateway."""

    def __init__(self, gateway: FakeGateway) -> None:
        super().__init__()
        self.gateway = gateway
        self.seq = 0
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.gateway.sockets.append(self)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.gateway.sockets.remove(self)
        self.gone.callback(None)

    def onOpen(self) -> None:
        self.gateway.connections.append(self)
        if self.gateway.challenge is not None:
            self.send({"type": "event", "event": "connect.challenge", **self.gateway.challenge})

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        frame = json.loads(payload)
        self.gateway.frames.append(frame)
        if frame["method"] == "connect":
            self.gateway.on_connect(self, frame)
        else:
            self.gateway.on_request(self, frame)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        if self in self.gateway.connections:
            self.gateway.connections.remove(self)

    def send(self, frame: dict[str, Any]) -> None:
        self.sendMessage(json.dumps(frame).encode())

    def answer(self, request: dict[str, Any], payload: Any) -> None:
        self.send({"type": "res", "id": request["id"], "ok": True, "payload": payload})

    def refuse(self, request: dict[str, Any], code: str, message: str, **more: Any) -> None:
        error = {"code": code, "message": message, **more}
        self.send({"type": "res", "id": request["id"], "ok": False, "error": error})

    def event(self, name: str, payload: Any, skip: int = 0) -> None:
        self.seq += 1 + skip
        self.send({"type": "event", "event": name, "payload": payload, "seq": self.seq})


Handler = Callable[[FakeConnection, dict[str, Any]], object]


class FakeGateway:
    """`token` and `device_tokens` let a client in; `methods` answers it."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.frames: list[dict[str, Any]] = []
        self.connections: list[FakeConnection] = []
        self.sockets: list[FakeConnection] = []
        self.methods: dict[str, Handler] = {}
        self.challenge: dict[str, Any] | None = {"payload": {"nonce": NONCE, "ts": 1}}
        self.token: str | None = None
        self.device_tokens: set[str] = set()
        self.issue: str | None = None
        self.tick_interval_ms = 30_000
        self.refusal: dict[str, Any] | None = None
        self.port: Any = None

    def listen(self, context_factory: Any = None) -> str:
        """Listen on a free loopback port; returns the URL."""
        factory = WebSocketServerFactory(reactor=self.reactor)
        factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
        factory.buildProtocol = lambda _: self._build(factory)
        if context_factory is None:
            self.port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            self.port = self.reactor.listenSSL(0, factory, context_factory, interface="127.0.0.1")
        scheme = "ws" if context_factory is None else "wss"
        return f"{scheme}://127.0.0.1:{self.port.getHost().port}"

    async def stop(self) -> None:
        """Stop listening and cut every connection, also one that is only opening or closing."""
        stopping = self.port.stopListening()
        if isinstance(stopping, Deferred):
            await stopping
        for connection in list(self.sockets):
            connection.transport.abortConnection()
            await connection.gone

    def connects(self) -> list[dict[str, Any]]:
        """The parameters of each `connect` so far."""
        return [frame["params"] for frame in self.frames if frame["method"] == "connect"]

    def requests(self, method: str) -> list[dict[str, Any]]:
        """The parameters of each request for a method so far."""
        return [frame["params"] for frame in self.frames if frame["method"] == method]

    def on_connect(self, connection: FakeConnection, frame: dict[str, Any]) -> None:
        refusal = self.refusal or self.judge(frame["params"])
        if refusal is not None:
            connection.refuse(frame, **refusal)
            connection.sendCloseFrame(code=1008, reasonUtf8=refusal["message"].encode())
        else:
            connection.answer(frame, self.hello(frame["params"]))

    def on_request(self, connection: FakeConnection, frame: dict[str, Any]) -> None:
        handler = self.methods.get(frame["method"])
        if handler is None:
            connection.refuse(frame, "INVALID_REQUEST", f"unknown method: {frame['method']}")
        else:
            handler(connection, frame)

    def judge(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """What is wrong with a `connect`, if anything."""
        auth = params.get("auth", {})
        shown = auth.get("token") or auth.get("deviceToken") or auth.get("bootstrapToken") or ""
        if "device" in params and not _signed(params, shown):
            return _refusal("device signature", "DEVICE_AUTH_SIGNATURE_INVALID")
        if self.token is None or shown == self.token or shown in self.device_tokens:
            return None
        if auth.get("deviceToken"):
            return _refusal("device token mismatch", "AUTH_DEVICE_TOKEN_MISMATCH")
        if auth.get("token"):
            return _refusal("gateway token mismatch", "AUTH_TOKEN_MISMATCH")
        return _refusal("gateway token missing", "AUTH_TOKEN_MISSING")

    def hello(self, params: dict[str, Any]) -> dict[str, Any]:
        auth = {"role": params["role"], "scopes": params["scopes"]}
        if self.issue is not None:
            auth["deviceToken"] = self.issue
        return {
            "type": "hello-ok",
            "protocol": params["maxProtocol"],
            "server": {"version": "1.2.3", "connId": "conn"},
            "features": {"methods": sorted(self.methods), "events": []},
            "snapshot": {},
            "auth": auth,
            "policy": {
                "maxPayload": 1 << 20,
                "maxBufferedBytes": 1 << 20,
                "tickIntervalMs": self.tick_interval_ms,
            },
        }

    def _build(self, factory: WebSocketServerFactory) -> FakeConnection:
        connection = FakeConnection(self)
        connection.factory = factory
        return connection


def _refusal(text: str, detail: str) -> dict[str, Any]:
    message = f"unauthorized: {text}"
    return {"code": "INVALID_REQUEST", "message": message, "details": {"code": detail}}


def _signed(params: dict[str, Any], token: str) -> bool:
    device, client = params["device"], params["client"]
    raw = raw_public_key(device["publicKey"])
    fields = SignedFields(
        device_id=device["id"],
        client_id=client["id"],
        client_mode=client["mode"],
        role=params["role"],
        scopes=params["scopes"],
        signed_at_ms=device["signedAt"],
        token=token,
        nonce=NONCE,
        platform=client["platform"],
        device_family=client.get("deviceFamily", ""),
    )
    return raw is not None and is_signed(raw, device["signature"], fields)
