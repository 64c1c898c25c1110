"""The node host: one connection to the Gateway, commands in, results out, for ever.

It connects as role ``node`` with a device key of its own, says what it can do, and waits for an
operator to approve it. The Gateway asks with ``node.invoke.request`` events; each is answered with
one ``node.invoke.result``; ``node.invoke.cancel`` (protocol 4) takes one back. Whatever runs when
the connection is lost is ended: nobody waits for it, and its idempotency key says that it was.

To a Gateway of protocol 4 it also says ``node.presence.alive`` after connecting, which the contract
has for that.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Mapping
from typing import Any, TypeGuard

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from clawgw.client_connect import ClientOptions
from clawgw.client_errors import ClientError, ConnectionLost, ConnectRefused
from clawgw.client_hello import Hello
from clawgw.client_service import ReconnectingGatewayClient
from clawgw.nodehost.calls import Call, Handler, unavailable
from clawgw.nodehost.invocations import Invocation, Invocations, Outcome
from clawgw.nodehost.processes import Processes

__all__ = ["GatewayLink", "NodeHost"]

_RESULT_SECONDS = 30.0
_RENEWAL_SECONDS = 1800.0
_FRAME_BYTES = 25 * 1024 * 1024
_AROUND_RESULT = 64 * 1024
_NEW_ONES = (
    " (what is new among them counts once an operator has approved it: clawgw nodes approve)"
)


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    """``node.invoke.request``; a Gateway may send the parameters as JSON text or as they are."""

    id: str
    node_id: str
    command: str
    params_json: str | None = msgspec.field(default=None, name="paramsJSON")
    params: Any = None
    timeout_ms: float | None = None
    idempotency_key: str | None = None


class _Cancel(msgspec.Struct, frozen=True, rename="camel"):
    invoke_id: str
    node_id: str


def _is_address(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value.startswith(("http://", "https://"))


class GatewayLink:
    """The Gateway as commands see it: the connection of the moment, and what it said of itself."""

    def __init__(self) -> None:
        self.client: ReconnectingGatewayClient | None = None
        self.hello: Hello | None = None
        self._renewed: str | None = None

    def take(self, hello: Hello) -> None:
        """There is a new connection."""
        self.hello, self._renewed = hello, None

    def renewed(self, answer: Any) -> None:
        """The Gateway gave another address of its canvas."""
        urls = answer.get("pluginSurfaceUrls") if isinstance(answer, dict) else None
        found = urls.get("canvas") if isinstance(urls, dict) else None
        if _is_address(found):
            self._renewed = found

    def request(self, method: str, params: Any = None, *, timeout: float = 30.0) -> Awaitable[Any]:
        """As ``GatewayClient.request``."""
        if self.client is None:
            raise ConnectionLost("There is no connection to the Gateway yet.")
        return self.client.request(method, params, timeout=timeout)

    @property
    def protocol(self) -> int:
        """The protocol version of the connection."""
        return 4 if self.hello is None else self.hello.protocol

    @property
    def canvas_url(self) -> str | None:
        """Where the Gateway's canvas host is, if it has one for us."""
        if self._renewed is not None:
            return self._renewed
        hello = {} if self.hello is None else self.hello.payload
        surfaces = hello.get("pluginSurfaceUrls")
        found = surfaces.get("canvas") if isinstance(surfaces, dict) else hello.get("canvasHostUrl")
        return found if _is_address(found) else None

    @property
    def most_bytes(self) -> int:
        """The largest result the Gateway takes, in bytes of JSON."""
        policy = {} if self.hello is None else self.hello.payload.get("policy")
        most = policy.get("maxPayload") if isinstance(policy, dict) else None
        limit = most if isinstance(most, int) and most > 0 else _FRAME_BYTES
        return max(limit - _AROUND_RESULT, limit // 2)


class NodeHost(Service):
    """The node.

    :param options: how to reach the Gateway and what to declare there.
    :param commands: what can be done, by name; those that are not declared are refused.
    :param link: handed to the commands too.
    :param stopping: what is to end with the node, each fires when it is gone.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        options: ClientOptions,
        commands: Mapping[str, Handler],
        link: GatewayLink,
        processes: Processes,
        stopping: tuple[Any, ...] = (),
    ) -> None:
        self._reactor = reactor
        self._options = options
        self._commands = {
            name: commands[name] for name in (options.commands or ()) if name in commands
        }
        self._link = link
        self._processes = processes
        self._stopping = stopping
        self._node_id = options.identity.device_id if options.identity else ""
        self._invocations = Invocations(
            reactor, self._do, self._answer, lambda: self._link.most_bytes
        )
        self._told = ""
        self._renewal = LoopingCall(lambda: Deferred.fromCoroutine(self._renew()))
        self._renewal.clock = reactor
        self._client = link.client = ReconnectingGatewayClient(
            reactor, options, on_connected=self._connected, on_disconnected=self._disconnected
        )
        self._client.subscribe(self._event)

    def startService(self) -> None:
        """Connect, and stay connected."""
        super().startService()  # type: ignore[no-untyped-call]
        self._client.startService()

    async def stop(self) -> None:
        """Disconnect and end everything that runs; returns when it is gone."""
        if not self.running:
            return
        super().stopService()  # type: ignore[no-untyped-call]
        self._end_renewal()
        self._invocations.interrupt()
        ends = [self._client.stopService(), self._processes.stop()]
        ends += [stop() for stop in self._stopping]
        await DeferredList(ends, consumeErrors=True)

    def stopService(self) -> Deferred[None]:
        """As ``stop``."""
        return Deferred.fromCoroutine(self.stop())

    # The connection

    def _connected(self, hello: Hello) -> None:
        self._take_hello(hello)
        self._told = ""
        self._log.info(
            "Connected to the Gateway {version} as node {node}; offering {commands}{note}",
            version=hello.server_version,
            node=self._node_id[:12],
            commands=", ".join(sorted(self._commands)) or "nothing",
            note=_NEW_ONES if hello.protocol >= 4 else "",
        )
        if hello.protocol >= 4:
            alive = msgspec.json.encode(self._alive()).decode()
            self._post("node.event", {"event": "node.presence.alive", "payloadJSON": alive})

        if hello.protocol >= 4 and not self._renewal.running:
            self._renewal.start(_RENEWAL_SECONDS, now=False)

    def _take_hello(self, hello: Hello) -> None:
        self._link.take(hello)

    async def _renew(self) -> None:
        """Have another address of the canvas before the one we have expires."""
        if self._link.canvas_url is None:
            return
        with contextlib.suppress(ClientError):  # then the one we have has to do
            params = {"surface": "canvas"}
            self._link.renewed(await self._link.request("node.pluginSurface.refresh", params))

    def _end_renewal(self) -> None:
        if self._renewal.running:
            self._renewal.stop()

    def _disconnected(self, reason: ClientError) -> None:
        self._end_renewal()
        self._invocations.interrupt()
        text = str(reason)
        advice = getattr(reason, "advice", None)
        if isinstance(reason, ConnectRefused) and reason.needs_pairing:
            text = "Waiting for an operator to approve this node"
            if reason.pairing_request_id:
                text = f"{text}, request {reason.pairing_request_id}"
        if text == self._told:
            return  # said before; it is tried again all the same
        self._told = text
        self._log.warn("{text}. {advice}", text=text.rstrip("."), advice=advice or "Trying again.")

    def _alive(self) -> dict[str, Any]:
        options = self._options
        facts = {
            "trigger": "connect",
            "sentAtMs": int(time.time() * 1000),
            "displayName": options.display_name,
            "version": options.client_version,
            "platform": options.platform,
            "deviceFamily": options.device_family,
        }
        return {name: value for name, value in facts.items() if value}

    # Invocations

    def _event(self, name: str, payload: Any, _seq: int | None) -> None:
        if name == "node.invoke.request":
            self._requested(payload)
        elif name == "node.invoke.cancel":
            self._cancelled(payload)
        elif name == "node.pair.resolved" and isinstance(payload, dict):
            self._log.info("What this node offers is {said}", said=payload.get("decision"))

    def _requested(self, payload: Any) -> None:
        try:
            request = msgspec.convert(payload, _Request)
        except msgspec.ValidationError as problem:
            self._log.warn("Ignored an invocation: {problem}", problem=problem)
            return
        if request.node_id != self._node_id:
            self._log.warn("Ignored an invocation that is meant for another node")
            return
        text = request.params_json
        params = msgspec.json.encode(request.params or {}) if text is None else text.encode()
        limit = request.timeout_ms
        self._invocations.begin(
            Invocation(
                id=request.id,
                command=request.command,
                params=params,
                timeout=limit / 1000 if limit else None,
                key=request.idempotency_key,
            )
        )

    def _cancelled(self, payload: Any) -> None:
        try:
            cancel = msgspec.convert(payload, _Cancel)
        except msgspec.ValidationError as problem:
            self._log.warn("Ignored a cancellation: {problem}", problem=problem)
            return
        if cancel.node_id == self._node_id:
            self._invocations.cancel(cancel.invoke_id)

    async def _do(self, call: Call) -> Any:
        handler = self._commands.get(call.command)
        if handler is None:
            raise unavailable(f"this node does not offer {call.command!r}")
        if self._link.hello is None:
            # An invocation may overtake the news that we are connected.
            self._take_hello(await self._client.when_connected())
        return await handler(call)

    def _answer(self, invoke_id: str, outcome: Outcome) -> None:
        result: dict[str, Any] = {"id": invoke_id, "nodeId": self._node_id, "ok": outcome.ok}
        if outcome.payload is not None:
            result["payloadJSON"] = outcome.payload.decode()
        else:
            result["error"] = {"code": outcome.code, "message": outcome.message}
        self._post("node.invoke.result", result)

    def _post(self, method: str, params: dict[str, Any]) -> None:
        """Tell the Gateway something; that it did not take it is logged."""

        async def post() -> None:
            try:
                await self._client.request(method, params, timeout=_RESULT_SECONDS)
            except ClientError as problem:
                self._log.info("{method}: {problem}", method=method, problem=problem)

        Deferred.fromCoroutine(post())
