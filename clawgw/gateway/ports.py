"""Where the Gateway listens: the API with WebChat, the canvas, and a way in for agents' tools."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from clawgw.canvas.host import CanvasHost
from clawgw.gateway.admission import AdmissionCount
from clawgw.gateway.port import SharedPortFactory
from clawgw.gateway.site import load_pages, make_site
from clawgw.gateway.websocket import ApiFactory, Edge
from clawgw.lock import StateLock
from clawgw.mcp.servers import Endpoint, missing_packages
from clawgw.plan import Plan
from clawgw.trust.peers import is_loopback

BACKLOG = 1024


class Ports:
    """The open ports.

    Args:
        tls: the certificate, None for plain connections.

    Attributes:
        port: of the API.
        tools: where agents' tools come in, None for nowhere.
    """

    log = Logger()

    def __init__(self, reactor: Any, plan: Plan, tls: Any) -> None:
        self._reactor = reactor
        self._plan = plan
        self._tls = tls
        self._ports: list[Any] = []
        self._canvas_port = 0
        self.port = 0
        self.tools: Endpoint | None = None

    def listen(self, edge: Edge, ready: Callable[[], bool]) -> None:
        """The API and WebChat.

        Raises:
            CannotListenError: the port is taken.
        """
        pages = load_pages() if self._plan.config.gateway.control_ui.enabled else {}
        secure = self._tls is not None
        api = ApiFactory(edge, AdmissionCount(), secure=secure)
        site = make_site(self._reactor, pages, ready)
        factory = SharedPortFactory(self._reactor, api, site)
        ports = self._listen_everywhere(self._plan.port, factory)
        self._ports.extend(ports)
        self.port = ports[0].getHost().port

    def listen_for_tools(self, edge: Edge) -> None:
        """Where agents' tools come in: the Gateway's own port, if this host's loopback leads there.

        Where it does not, or asks for client certificates, there is another on loopback, which
        lets nobody in but them.
        """
        missing = missing_packages()
        if missing:
            self.log.info(
                "Agents get no tools of the Gateway: {what} is not installed (clawgw[agent])",
                what=" and ".join(missing),
            )
            return
        plan = self._plan
        near = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}  # noqa: S104
        host = near.get(plan.addresses[0], plan.addresses[0])
        pinned = self._tls is not None and plan.config.gateway.tls.client_auth == "pinned"
        if is_loopback(host) and not pinned:
            scheme, pin = ("wss", self._tls.fingerprint) if self._tls else ("ws", None)
            self.tools = Endpoint(f"{scheme}://{host}:{self.port}", pin)
            return
        api = ApiFactory(edge, AdmissionCount(), tools_only=True)
        port = self._reactor.listenTCP(0, api, backlog=BACKLOG, interface="127.0.0.1")
        self._ports.append(port)
        self.tools = Endpoint(f"ws://127.0.0.1:{port.getHost().port}")

    def listen_for_canvas(self, canvas: CanvasHost) -> None:
        """A port of its own; when the default one is taken the Gateway does without.

        Raises:
            CannotListenError: the configured one is taken.
        """
        factory = SharedPortFactory(self._reactor, canvas.pages, canvas.site)
        port = self._plan.canvas_port
        try:
            ports = self._listen_everywhere(port, factory)
        except CannotListenError as problem:
            if self._plan.config.canvas.port is not None:
                raise
            canvas.problem = f"port {port} is taken; set canvas.port to a free one"
            self.log.warn(
                "No canvas: {why} ({what})", why=canvas.problem, what=str(problem.socketError)
            )
            return
        self._ports.extend(ports)
        self._canvas_port = ports[0].getHost().port
        canvas.serving(self._canvas_port)

    def _listen_everywhere(self, port: int, factory: SharedPortFactory) -> list[Any]:
        """The same port on every address of the plan.

        Raises:
            CannotListenError: it is taken on the first of them.
        """
        ports: list[Any] = []
        for address in self._plan.addresses:
            try:
                listening = self._listen_on(address, port, factory)
            except CannotListenError:
                if not ports:
                    raise
                continue  # a host without IPv6 has no ::1
            ports.append(listening)
            port = listening.getHost().port
        return ports

    def _listen_on(self, address: str, port: int, factory: SharedPortFactory) -> Any:
        if self._tls is None:
            return self._reactor.listenTCP(port, factory, backlog=BACKLOG, interface=address)
        return self._reactor.listenSSL(
            port, factory, self._tls.context_factory, backlog=BACKLOG, interface=address
        )

    def announce(self, lock: StateLock, now_ms: int) -> None:
        """Say where we are: to the log, and to programs of this host in the lock file."""
        plan = self._plan
        scheme = "s" if self._tls else ""
        host = "127.0.0.1" if not plan.exposed else plan.addresses[0]
        shown = socket.gethostname() if host == "0.0.0.0" else host  # noqa: S104
        shown = f"[{shown}]" if ":" in shown else shown
        fingerprint = self._tls.fingerprint if self._tls else None
        lock.write(
            pid=os.getpid(),
            url=f"ws{scheme}://{'127.0.0.1' if host == '0.0.0.0' else shown}:{self.port}",  # noqa: S104
            tlsFingerprint=fingerprint,
            startedAt=now_ms,
        )
        self.log.info(
            "WebChat is at http{s}://{host}:{port}/", s=scheme, host=shown, port=self.port
        )
        if self._canvas_port:
            self.log.info(
                "The canvas is at http{s}://{host}:{port}/",
                s=scheme, host=shown, port=self._canvas_port,
            )  # fmt: skip
        self.log.info("{auth}", auth=auth_words(plan))
        self.log.info("State is in {path}", path=str(plan.state_dir))
        if fingerprint:
            self.log.info("TLS fingerprint to pin: {pin}", pin=fingerprint)

    def close(self) -> None:
        """Take no more connections."""
        for port in self._ports:
            port.stopListening()


def auth_words(plan: Plan) -> str:
    """How clients authenticate, for the log."""
    mode = plan.secrets.mode
    if mode != "none":
        return f"Authentication: {mode}, from {plan.secret_source}"
    if plan.exposed:
        return "Authentication: pinned client certificates"
    return (
        "Authentication: none, so any program of this host can connect; "
        "set CLAWGW_GATEWAY_TOKEN to change that"
    )
