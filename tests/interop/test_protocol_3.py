"""Protocol 3 as its stock clients speak it, frame by frame, beside recordings of the original.

Whatever the recorded Gateway answered and pushed, ours does too: of every recorded response and
event no field is missing, except those named in `LEFT_OUT` with the reason.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.protocol import recorded
from tests.support.gateway import GatewayProcess, scripted_agents
from tests.support.wire import Client, Refused, device

LEFT_OUT = {
    # There is no canvas host; clients look for the URL and do without.
    "connect": {"payload/canvasHostUrl", "payload/snapshot/presence[]/ip"},
    # The Gateway does not tell its own address; clients show it when it is there.
    "system-presence": {"payload[]/ip"},
    # ACP agents do not count what came from a cache.
    "agent": {
        "payload/result/meta/agentMeta/usage/cacheRead",
        "payload/result/meta/agentMeta/usage/cacheWrite",
    },
    # Where a session's answers are delivered: there are no channels but WebChat, and no list of a
    # stock client shows it. `systemSent` is bookkeeping of the original's prompts.
    # What goes without saying is left out of rows: "no", and the model that `defaults` name.
    "sessions.list": {
        "payload/sessions[]/origin",
        "payload/sessions[]/deliveryContext",
        "payload/sessions[]/systemSent",
        "payload/sessions[]/abortedLastRun",
        "payload/sessions[]/modelProvider",
        "payload/sessions[]/model",
        "payload/sessions[]/contextTokens",
    },
    # Nothing has been set yet: the file is empty. Its socket is the original's own affair.
    "exec.approvals.get": {
        "payload/file/socket",
        "payload/file/defaults",
        "payload/file/agents",
    },
    # There are no nodes: the error is of the same code, without their details.
    "node.invoke": {"error/details"},
}


def kind_of(event: dict[str, Any]) -> tuple[str, ...]:
    """Events of one kind have the same fields."""
    payload = event["payload"]
    if event["event"] == "agent":
        return ("agent", payload["stream"], payload["data"].get("phase", ""))
    if event["event"] == "chat":
        return ("chat", payload["state"])
    return (event["event"],)


def by_kind(events: Iterable[dict[str, Any]]) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    kinds = defaultdict(list)
    for event in events:
        kinds[kind_of(event)].append(event)
    return dict(kinds)


def with_model() -> dict[str, Any]:
    """The scripted agent, said to run a model whose size is known, as in the recordings."""
    config = scripted_agents()
    config["agents"]["list"][0]["model"] = {"primary": "local/scripted"}
    model = {"id": "scripted", "contextWindow": 128000}
    provider = {"api": "openai-completions", "baseUrl": "http://127.0.0.1:1", "models": [model]}
    config["models"] = {"providers": {"local": provider}}
    return config


class Protocol3Case(TestCase):
    """A Gateway, and a client of protocol 3."""

    timeout = 60

    def setUp(self) -> None:
        directory = Path(self.mktemp()).absolute()
        self.gateway = GatewayProcess(directory / "gateway", config=with_model())
        self.gateway.start()
        self.addCleanup(self.gateway.kill)
        self.identity = device(directory)
        self.client = self.connect()

    def connect(self, **options: Any) -> Client:
        client = Client(self.gateway.port, identity=self.identity, protocol=3, **options)
        self.addCleanup(client.cut)
        return client

    def ask(self, method: str, params: Any = None) -> dict[str, Any]:
        """The response frame."""
        return self.client.answer(self.client.post(method, params))

    def assert_like(self, method: str, ours: Any, theirs: Any) -> None:
        """Nothing is missing but what is left out on purpose."""
        missing = set(recorded.missing_fields(ours, theirs))
        self.assertEqual(missing - LEFT_OUT.get(method, set()), set(), method)

    def run_to_end(self, method: str, params: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        """A run: the response frames, and the events until its end."""
        asked = {"sessionKey": "main", "idempotencyKey": str(uuid.uuid4()), **params}
        run_id, before = asked["idempotencyKey"], len(self.client.events)
        request = self.client.post(method, asked)
        frames = [self.client.answer(request)]
        self.client.event(
            "chat",
            lambda chat: chat["runId"] == run_id and chat["state"] in ("final", "error", "aborted"),
        )
        if method == "agent":
            frames.append(self.client.answer(request))
        return frames, self.client.events[before:]


class Responses(Protocol3Case):
    """What is asked is answered with every recorded field."""

    def test_hello(self) -> None:
        theirs = [line.frame for line in recorded.flow(3, "connect") if line.sender == "gateway"]
        hello = next(frame for frame in theirs if frame["type"] == "res")
        self.assert_like("connect", {**hello, "payload": self.client.hello}, hello)
        self.assertEqual(self.client.hello["protocol"], 3)

    def test_every_recorded_method(self) -> None:
        for method in recorded.names(3, ".json"):
            params = {"enabled": True, "phase": "listening"} if method == "talk.mode" else {}
            self.assert_like(method, self.ask(method, params), recorded.response(3, method))

    def test_recorded_conversations_of_sessions_and_errors(self) -> None:
        self.run_to_end("agent", {"message": "Say hello again.", "sessionKey": "agent:main:main"})
        for name in ("chat.history", "chat.inject", "sessions", "errors"):
            request: dict[str, Any] = {}
            for line in recorded.flow(3, name):
                if line.sender == "client":
                    request = line.frame
                elif line.frame["type"] == "res":
                    ours = self.ask(request["method"], request["params"])
                    self.assertEqual(ours["ok"], line.frame["ok"], ours)
                    self.assert_like(request["method"], ours, line.frame)

    def test_a_missing_scope_is_an_invalid_request(self) -> None:
        reader = Client(
            self.gateway.port,
            identity=device(self.gateway.state_dir, "reader"),
            protocol=3,
            scopes=("operator.read",),
        )
        self.addCleanup(reader.cut)
        params = {"sessionKey": "main", "message": "hello", "idempotencyKey": "k"}
        refused = self.assertRaises(Refused, reader.request, "chat.send", params)
        self.assertEqual(refused.error["code"], "INVALID_REQUEST")
        self.assertEqual(refused.error["message"], "missing scope: operator.write")

    def test_the_device_token_is_of_use_in_place_of_the_token(self) -> None:
        token = self.client.hello["auth"]["deviceToken"]
        again = self.connect(token=token)
        self.assertEqual(again.hello["auth"]["deviceToken"], token)
        self.assertTrue(again.request("health")["ok"])


class Events(Protocol3Case):
    """What is pushed has every recorded field."""

    def assert_events_like(self, flow: str, ours: list[dict[str, Any]]) -> None:
        theirs = by_kind(
            line.frame for line in recorded.flow(3, flow) if line.frame["type"] == "event"
        )
        seen = by_kind(ours)
        for kind, events in theirs.items():
            self.assertIn(kind, seen)
            self.assert_like(" ".join(kind), seen[kind], events)

    def test_of_a_chat(self) -> None:
        frames, events = self.run_to_end("chat.send", {"message": "Say hello."})
        self.assert_events_like("chat.send", events)
        self.assertEqual(frames[0]["payload"]["status"], "started")

    def test_of_a_chat_with_a_tool(self) -> None:
        client = self.client = self.connect(caps=("tool-events",))
        _, events = self.run_to_end("chat.send", {"message": "USETOOL please"})
        self.assert_events_like("chat.send-tool", events)
        phases = [payload["data"]["phase"] for payload in client.payloads("agent")
                  if payload["stream"] == "tool"]  # fmt: skip
        self.assertEqual(phases, ["start", "result"])

    def test_tools_are_not_shown_to_those_who_did_not_ask(self) -> None:
        _, events = self.run_to_end("chat.send", {"message": "USETOOL please"})
        self.assertNotIn("tool", {kind[1] for kind in by_kind(events) if kind[0] == "agent"})

    def test_of_an_agent_run(self) -> None:
        frames, events = self.run_to_end("agent", {"message": "hello"})
        self.assert_events_like("agent", events)
        theirs = [line.frame for line in recorded.flow(3, "agent") if line.frame["type"] == "res"]
        for ours, original in zip(frames, theirs, strict=True):
            self.assert_like("agent", ours, original)

    def test_of_an_abort(self) -> None:
        run_id = str(uuid.uuid4())
        asked = {"sessionKey": "main", "message": "SLOW", "idempotencyKey": run_id}
        self.client.request("chat.send", asked)
        self.client.event("chat", lambda chat: chat["state"] == "delta")
        stopped = self.ask("chat.abort", {"sessionKey": "main", "runId": run_id})
        self.client.event("chat", lambda chat: chat["state"] == "aborted")
        self.assert_events_like("chat.abort", self.client.events)
        theirs = recorded.flow(3, "chat.abort")[-1].frame
        self.assert_like("chat.abort", stopped, theirs)
        self.assertEqual(stopped["payload"]["runIds"], [run_id])

    def test_events_of_later_protocols_stay_away(self) -> None:
        self.run_to_end("chat.send", {"message": "hello"})
        for frame in self.client.events:
            self.assertNotEqual(frame["event"], "sessions.changed")
            if frame["event"] == "chat":
                self.assertNotIn("deltaText", frame["payload"])
                self.assertNotIn("agentId", frame["payload"])

    def test_the_session_key_is_the_one_the_asker_wrote(self) -> None:
        for key in ("main", "agent:main:main", "notes"):
            _, events = self.run_to_end("chat.send", {"message": "hello", "sessionKey": key})
            keys = {e["payload"]["sessionKey"] for e in events if e["event"] in ("agent", "chat")}
            self.assertEqual(keys, {key})
        newer = Client(self.gateway.port, identity=self.identity, protocol=4)
        self.addCleanup(newer.cut)
        self.run_to_end("chat.send", {"message": "hello", "sessionKey": "notes"})
        seen = newer.event("chat", lambda chat: chat["state"] == "final")
        self.assertEqual(seen["payload"]["sessionKey"], "agent:main:notes")
