"""A node host on a fake Gateway, over a real socket, with real processes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial import unittest

from clawgw.client_connect import ClientOptions
from clawgw.identity import load_or_create_identity
from clawgw.nodehost.build import build_host
from clawgw.nodehost.capabilities import Machine
from clawgw.nodehost.host import NodeHost
from clawgw.nodehost.settings import NodeSettings
from tests.support.clocked import ClockedReactor
from tests.support.fake_gateway import FakeConnection, FakeGateway

PATIENCE = 60.0


class NodeGateway(FakeGateway):
    """The Gateway's side of nodes: it invokes, and hears results.

    `decision` answers requests for approval; None refuses the node's role, as stock Gateways do.
    """

    def __init__(self) -> None:
        super().__init__(reactor)
        self.results: dict[str, Deferred[dict[str, Any]]] = {}
        self.decision: Any = None
        self.skills: list[str] = []
        self.canvas_url: str | None = None
        self.max_payload = 25 << 20
        self.count = 0
        self.methods = {
            "node.invoke.result": self._result,
            "node.event": lambda connection, frame: connection.answer(frame, {"ok": True}),
            "skills.bins": lambda connection, frame: connection.answer(
                frame, {"bins": self.skills}
            ),
            "node.approval.request": self._approval,
        }

    def hello(self, params: dict[str, Any]) -> dict[str, Any]:
        hello = super().hello(params)
        hello["policy"]["maxPayload"] = self.max_payload
        if self.canvas_url and params["maxProtocol"] >= 4:
            hello["pluginSurfaceUrls"] = {"canvas": self.canvas_url}
        elif self.canvas_url:
            hello["canvasHostUrl"] = self.canvas_url
        return hello

    def ask(
        self, command: str, params: Any = None, *, as_text: bool = True, **more: Any
    ) -> Deferred[dict[str, Any]]:
        """Invoke a command on the node that is connected; fires with the result it sends."""
        self.count += 1
        request = {"id": f"invoke-{self.count}", "nodeId": self.node_id, "command": command}
        if as_text:
            request["paramsJSON"] = json.dumps({} if params is None else params)
        else:
            request["params"] = params
        request.update(more)
        waiting = self.results.setdefault(request["id"], Deferred())
        self.connections[0].event("node.invoke.request", request)
        return waiting

    def cancel(self, invoke_id: str) -> None:
        """Take an invocation back."""
        payload = {"invokeId": invoke_id, "nodeId": self.node_id}
        self.connections[0].event("node.invoke.cancel", payload)

    @property
    def node_id(self) -> str:
        """The id of the device that connected last."""
        return str(self.connects()[-1]["device"]["id"])

    def _result(self, connection: FakeConnection, frame: dict[str, Any]) -> None:
        connection.answer(frame, {"ok": True})
        waiting = self.results.pop(frame["params"]["id"], None)
        if waiting is not None:
            waiting.callback(frame["params"])

    def _approval(self, connection: FakeConnection, frame: dict[str, Any]) -> None:
        if self.decision is None:
            connection.refuse(frame, "INVALID_REQUEST", "unauthorized role: node")
        elif self.decision != "later":
            connection.answer(frame, {"id": "a", "decision": self.decision})


class HostTestCase(unittest.TestCase):
    """`self.gateway`, and a node host started on it with `start_host`."""

    timeout = 120

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="clawgw-node-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.gateway = NodeGateway()
        self.url = self.gateway.listen()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.gateway.stop()))

    async def start_host(
        self,
        *,
        protocol: int = 4,
        machine: Machine | None = None,
        settings: NodeSettings | None = None,
        environ: dict[str, str] | None = None,
        connect: bool = True,
        clocked: ClockedReactor | None = None,
    ) -> NodeHost:
        """A host that is connected; its time is that of `clocked`, if that is given."""
        options = ClientOptions(
            url=self.url,
            token="the-token",
            identity=load_or_create_identity(self.directory / "device.pem"),
            min_protocol=protocol,
            max_protocol=protocol,
        )
        host = await build_host(
            clocked or reactor,
            options,
            self.directory,
            settings or NodeSettings(),
            environ or {**os.environ, "HOME": str(self.directory)},
            machine=machine or Machine(platform="linux"),
        )
        before = len(self.gateway.connects())
        host.startService()
        self.addCleanup(host.stopService)
        if connect:
            await self.eventually(
                lambda: self.gateway.connections and len(self.gateway.connects()) > before
            )
        return host

    def policy(self, **document: Any) -> None:
        """Write the policy file."""
        text = json.dumps({"version": 1, **document})
        (self.directory / "exec-approvals.json").write_text(text)

    def allow_all(self) -> None:
        """A policy that lets everything run."""
        self.policy(defaults={"security": "full", "ask": "off"})

    async def payload(self, command: str, params: Any = None, **more: Any) -> Any:
        """What a command gives; an AssertionError when it fails."""
        result = await self.gateway.ask(command, params, **more)
        self.assertTrue(result["ok"], result.get("error"))
        return json.loads(result["payloadJSON"])

    async def error(self, command: str, params: Any = None, **more: Any) -> dict[str, str]:
        """The error of a command; an AssertionError when it is done."""
        result = await self.gateway.ask(command, params, **more)
        self.assertFalse(result["ok"], result)
        self.assertNotIn("payloadJSON", result)
        return dict(result["error"])

    async def eventually(self, probe: Callable[[], Any], what: str = "") -> Any:
        """What `probe` gives once that is true."""
        deadline = reactor.seconds() + PATIENCE
        while not (found := probe()):
            if reactor.seconds() > deadline:
                raise AssertionError(f"not within {PATIENCE:.0f} s: {what or probe}")
            await deferLater(reactor, 0.02)
        return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return not Path("/proc/self").exists()
    return state != "Z"


def script(path: Path, text: str) -> str:
    """An executable script; its path."""
    path.write_text(text)
    path.chmod(0o755)
    return str(path)
