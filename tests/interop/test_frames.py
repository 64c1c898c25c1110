"""Every frame the Gateway sends in protocol 4, held against the public contract's JSON Schema."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.interop.reference import complaints, install
from tests.support.gateway import GatewayProcess
from tests.support.wire import Client, device

EVENTS = {
    "agent": "AgentEvent",
    "chat": "ChatEvent",
    "tick": "TickEvent",
    "shutdown": "ShutdownEvent",
    "device.pair.requested": "DevicePairRequestedEvent",
    "device.pair.resolved": "DevicePairResolvedEvent",
}
RESULTS = {
    "connect": "HelloOk",
    "agents.list": "AgentsListResult",
    "agent.identity.get": "AgentIdentityResult",
    "models.list": "ModelsListResult",
    "sessions.resolve": "SessionsResolveResult",
    "sessions.delete": "SessionsDeleteResult",
    "device.token.rotate": "DeviceTokenRotateResult",
    "approval.get": "ApprovalGetResult",
    "approval.resolve": "ApprovalResolveResult",
    "approval.history": "ApprovalHistoryResult",
}


class Recorder(Client):
    """A client of protocol 4 that keeps every frame, and what was asked."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.frames: list[dict[str, Any]] = []
        self.asked: dict[str, str] = {}
        super().__init__(*args, protocol=4, **options)

    def post(self, method: str, params: Any = None) -> str:
        request_id = super().post(method, params)
        self.asked[request_id] = method
        return request_id

    def step(self, deadline: float) -> dict[str, Any]:
        frame = super().step(deadline)
        self.frames.append(frame)
        return frame


class EveryFrame(TestCase):
    """One long conversation with everything in it."""

    timeout = 60

    def setUp(self) -> None:
        install()
        self.seen: list[str] = []
        directory = Path(self.mktemp()).absolute()
        self.gateway = GatewayProcess(directory / "gateway")
        self.gateway.start()
        self.addCleanup(self.gateway.kill)
        self.client = Recorder(
            self.gateway.port, identity=device(directory), caps=("tool-events",),
        )  # fmt: skip
        self.addCleanup(self.client.cut)

    def test_fits_the_contract(self) -> None:
        self.converse()
        self.gateway.stop()
        self.client.event("shutdown")
        found = [problem for frame in self.client.frames for problem in self.problems(frame)]
        self.assertEqual(found, [])
        seen = {frame["event"] for frame in self.client.frames if frame["type"] == "event"}
        self.assertLessEqual({"agent", "chat", "presence", "talk.mode", "shutdown"}, seen)

    def converse(self) -> None:
        client = self.client
        for text in ("hello", "USETOOL THINK", "FAIL", "DIE"):
            self.ended(self.send(text))
        for decision in ("allow-once", "deny"):
            run_id = self.send("PERMIT")
            self.decide(decision)
            self.ended(run_id)
        self.send("PERMIT")
        self.question()
        client.request("chat.abort", {"sessionKey": "main"})
        client.event("exec.approval.resolved", lambda one: one["reason"] == "run-aborted")
        self.assertEqual(len(client.request("approval.history")["items"]), 3)
        client.request("approval.history", {"limit": 1})
        run_id = self.send("SLOW")
        client.event("chat", lambda chat: chat["runId"] == run_id and chat["state"] == "delta")
        client.request("chat.abort", {"sessionKey": "main"})
        client.request("chat.inject", {"sessionKey": "main", "message": "A note."})
        client.request("system-event", {"text": "the oven is on"})
        client.event("presence")
        client.request("talk.mode", {"enabled": True})
        twice = client.post("agent", {"message": "hello", "idempotencyKey": str(uuid.uuid4())})
        client.result(twice)
        client.result(twice)
        for method in (
            "health", "status", "system-presence", "agents.list", "agent.identity.get",
            "models.list", "sessions.list", "device.pair.list",
        ):  # fmt: skip
            client.request(method)
        client.request("sessions.resolve", {"key": "main"})
        client.request("sessions.resolve", {"key": "nowhere", "allowMissing": True})
        client.request("sessions.delete", {"key": "nowhere"})
        for method in ("chat.send", "no.such.method", "sessions.resolve"):
            self.assertFalse(client.answer(client.post(method, {}))["ok"])

    def ended(self, run_id: str) -> None:
        """Wait for the end of a run."""
        self.client.event("chat", lambda chat: chat["runId"] == run_id
                          and chat["state"] in ("final", "error"))  # fmt: skip

    def question(self) -> str:
        """The id of the next question."""
        event = self.client.event("exec.approval.requested", lambda one: one["id"] not in self.seen)
        self.seen.append(event["payload"]["id"])
        return self.seen[-1]

    def decide(self, decision: str) -> None:
        """Decide what the agent asks, and look at it before and after."""
        about = {"id": self.question()}
        self.client.request("approval.get", about)
        answer = {**about, "kind": "exec", "decision": decision}
        self.assertTrue(self.client.request("approval.resolve", answer)["applied"])
        self.assertFalse(self.client.request("approval.resolve", answer)["applied"])
        self.client.request("approval.get", about)

    def send(self, text: str) -> str:
        params = {"sessionKey": "main", "message": text, "idempotencyKey": str(uuid.uuid4())}
        return str(self.client.request("chat.send", params)["runId"])

    def problems(self, frame: dict[str, Any]) -> list[str]:
        """What the contract has against a frame and what is in it."""
        payload = frame.get("payload")
        if frame["type"] == "event":
            name = frame["event"]
            found = complaints("EventFrame", frame)
            if name in EVENTS:
                found += complaints(EVENTS[name], payload)
            if name == "presence":
                found += [
                    p for one in payload["presence"] for p in complaints("PresenceEntry", one)
                ]
            return found
        method = self.client.asked[frame["id"]]
        found = complaints("ResponseFrame", frame)
        if not frame["ok"]:
            return found + complaints("ErrorShape", frame["error"])
        if method in RESULTS:
            found += complaints(RESULTS[method], payload)
        if method == "sessions.list":
            found += [p for row in payload["sessions"] for p in complaints("SessionRow", row)]
        if method == "system-presence":
            found += [p for one in payload for p in complaints("PresenceEntry", one)]
        return found
