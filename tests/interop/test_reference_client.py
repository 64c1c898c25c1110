"""The public reference client of protocol 4, unmodified, against a real Gateway process."""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.interop.reference import (
    ReferenceClient,
    RequestFailed,
    complaints,
    contract_methods,
    install,
)
from tests.protocol import recorded
from tests.support.certificates import make_pair
from tests.support.gateway import GatewayProcess, scripted_agents

TOKEN = "test-token"
AFTER_THE_END = ("final", "error", "aborted")


def key() -> str:
    return str(uuid.uuid4())


class ReferenceCase(TestCase):
    """A Gateway, and reference clients on demand."""

    timeout = 120

    def setUp(self) -> None:
        install()
        self.directory = Path(self.mktemp()).absolute()
        self.gateway = self.make_gateway()
        self.gateway.start()
        self.addCleanup(lambda: self.gateway.kill())

    def make_gateway(self) -> GatewayProcess:
        return GatewayProcess(self.directory / "gateway", token=TOKEN)

    def reference(self, name: str = "device") -> ReferenceClient:
        client = ReferenceClient(self.directory / f"{name}.json")
        self.addCleanup(client.close)
        return client

    def connected(self, name: str = "device", **options: Any) -> ReferenceClient:
        client = self.reference(name)
        client.connect(self.gateway.ws_url, token=TOKEN, **options)
        return client

    def assert_contract(self, definition: str, value: Any) -> None:
        self.assertEqual(complaints(definition, value), [])

    def say(self, client: ReferenceClient, text: str, session: str = "main") -> str:
        params = {"sessionKey": session, "message": text, "idempotencyKey": key()}
        answer = client.request("chat.send", params)
        self.assertEqual(answer["status"], "started")
        return str(answer["runId"])

    def end_of(self, client: ReferenceClient, run_id: str) -> Any:
        """The last `chat` event of a run."""
        return client.event(
            "chat", lambda chat: chat["runId"] == run_id and chat["state"] in AFTER_THE_END
        )

    def assert_refused(self, code: str, client: ReferenceClient, method: str, params: Any) -> Any:
        failed = self.assertRaises(RequestFailed, client.request, method, params)
        self.assertEqual(failed.error["code"], code)
        return failed.error


class Connecting(ReferenceCase):
    """Hello, device tokens, reconnecting."""

    def test_paired_silently_with_all_that_was_asked(self) -> None:
        client = self.reference()
        hello = client.connect(self.gateway.ws_url, token=TOKEN)
        self.assert_contract("HelloOk", hello)
        self.assertEqual(hello["protocol"], 4)
        self.assertEqual(hello["auth"]["role"], "operator")
        self.assertIn("operator.admin", hello["auth"]["scopes"])
        self.assertEqual(client.tokens()["operator"]["token"], hello["auth"]["deviceToken"])
        for entry in hello["snapshot"]["presence"]:
            self.assert_contract("PresenceEntry", entry)

    def test_announces_only_methods_of_the_contracts_and_its_own(self) -> None:
        hello = self.reference().connect(self.gateway.ws_url, token=TOKEN)
        announced = set(hello["features"]["methods"])
        older = recorded.flow(3, "connect")[-1].frame["payload"]["features"]["methods"]
        ours = ("canvas.", "channel.pair.", "node.approval.request")
        own = {name for name in announced if name.startswith(ours)}
        self.assertEqual(announced - own - set(contract_methods()) - set(older), set())

    def test_goes_on_with_its_device_token_when_the_shared_token_is_wrong(self) -> None:
        client = self.connected()
        saved = client.tokens()["operator"]["token"]
        client.close()
        again = self.reference()
        hello = again.connect(self.gateway.ws_url, token="the-wrong-token")
        self.assertEqual(hello["auth"]["deviceToken"], saved)
        self.assertEqual(
            [line["closed"]["code"] for line in again.told if "closed" in line], [1008]
        )
        self.assertTrue(again.request("health")["ok"])

    def test_goes_on_with_its_device_token_alone(self) -> None:
        self.connected().close()
        hello = self.reference().connect(self.gateway.ws_url)
        self.assertIn("operator.admin", hello["auth"]["scopes"])

    def test_a_wrong_token_without_a_device_token_is_the_end(self) -> None:
        client = self.reference()
        client.start(self.gateway.ws_url, token="the-wrong-token")
        paused = client.wait_for("paused")
        self.assertEqual(paused["detailCode"], "AUTH_TOKEN_MISMATCH")
        error = client.wait_for("connectError")
        self.assertIn("unauthorized", error["message"])

    def test_comes_back_after_a_restart_of_the_gateway(self) -> None:
        client = self.connected()
        run_id = self.say(client, "before the restart")
        self.end_of(client, run_id)
        mark = len(client.told)
        self.assertEqual(self.gateway.stop(), 0)
        client.wait_for("event", lambda event: event["event"] == "shutdown", since=mark)
        self.assertEqual(client.wait_for("closed", since=mark)["code"], 1012)
        self.gateway.start()
        hello = client.wait_for("hello", since=mark)
        self.assertEqual(hello["protocol"], 4)
        history = client.request("chat.history", {"sessionKey": "main"})
        texts = [message["content"][0]["text"] for message in history["messages"]]
        self.assertEqual(texts, ["before the restart", "echo: before the restart"])

    def test_comes_back_after_a_sudden_death_of_the_gateway(self) -> None:
        client = self.connected()
        mark = len(client.told)
        self.gateway.kill()
        client.wait_for("closed", since=mark)
        self.gateway.start()
        client.wait_for("hello", since=mark)
        self.assertTrue(client.request("health")["ok"])

    def test_a_node_connects_without_scopes(self) -> None:
        client = self.reference()
        hello = client.connect(
            self.gateway.ws_url, token=TOKEN, role="node", scopes=[], mode="node",
            clientName="node-host", caps=["system"], commands=["system.which"],
            minProtocol=4, maxProtocol=4,
        )  # fmt: skip
        self.assert_contract("HelloOk", hello)
        self.assertEqual((hello["auth"]["role"], hello["auth"]["scopes"]), ("node", []))
        self.assertEqual(hello["snapshot"]["presence"], [])
        self.assert_refused("INVALID_REQUEST", client, "health", {})


class Pinning(ReferenceCase):
    """The client's own check of the certificate."""

    def make_gateway(self) -> GatewayProcess:
        self.directory.mkdir(parents=True)
        self.pair = make_pair(self.directory, "gateway")
        tls = {"enabled": True, "certPath": self.pair.cert_path, "keyPath": self.pair.key_path}
        config = {**scripted_agents(), "gateway": {"tls": tls}}
        return GatewayProcess(self.directory / "gateway", token=TOKEN, config=config)

    def test_the_right_pin_connects(self) -> None:
        client = self.reference()
        hello = client.connect(
            self.gateway.ws_url, token=TOKEN, tlsFingerprint=self.pair.fingerprint
        )
        self.assert_contract("HelloOk", hello)
        self.assertTrue(client.request("health")["ok"])

    def test_another_pin_does_not(self) -> None:
        other = make_pair(self.directory, "other")
        client = self.reference()
        client.start(self.gateway.ws_url, token=TOKEN, tlsFingerprint=other.fingerprint)
        error = client.wait_for("connectError")
        self.assertIn("fingerprint mismatch", error["message"])
        self.assertFalse(any("hello" in line for line in client.told))


class Methods(ReferenceCase):
    """Every method of the core, as the client sees it."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.connected(caps=["tool-events"])

    def ask(self, method: str, params: Any = None) -> Any:
        return self.client.request(method, params)

    def test_health_status_presence(self) -> None:
        self.assertTrue(self.ask("health")["ok"])
        status = self.ask("status")
        self.assertEqual(status["sessions"]["count"], 0)
        for entry in self.ask("system-presence"):
            self.assert_contract("PresenceEntry", entry)

    def test_a_system_event_is_seen_by_everybody(self) -> None:
        self.assertEqual(self.ask("system-event", {"text": "the oven is on"}), {"ok": True})
        seen = self.client.event(
            "presence",
            lambda payload: any(e.get("text") == "the oven is on" for e in payload["presence"]),
        )
        for entry in seen["presence"]:
            self.assert_contract("PresenceEntry", entry)

    def test_talk_mode_reaches_the_others(self) -> None:
        other = self.connected("other")
        self.ask("talk.mode", {"enabled": True, "phase": "listening"})
        self.assertTrue(other.event("talk.mode")["enabled"])

    def test_agents_and_models(self) -> None:
        self.assert_contract("AgentsListResult", self.ask("agents.list"))
        identity = self.ask("agent.identity.get", {"sessionKey": "main"})
        self.assert_contract("AgentIdentityResult", identity)
        self.assertEqual(identity["agentId"], "main")
        self.assert_contract("ModelsListResult", self.ask("models.list"))

    def test_agent_answers_twice(self) -> None:
        params = {"message": "hello", "idempotencyKey": key()}
        first, final = self.client.request_twice("agent", params)
        self.assertEqual(first["status"], "accepted")
        self.assertEqual((final["status"], final["runId"]), ("ok", first["runId"]))
        self.assertEqual(final["result"]["payloads"][0]["text"], "echo: hello")
        waited = self.ask("agent.wait", {"runId": first["runId"]})
        self.assertEqual(waited["status"], "ok")

    def test_a_failing_agent(self) -> None:
        params = {"message": "FAIL", "idempotencyKey": key()}
        run_id = params["idempotencyKey"]
        failed = self.assertRaises(RequestFailed, self.client.request_twice, "agent", params)
        self.assertEqual(failed.error["code"], "UNAVAILABLE")
        self.assertIn("the model is on fire", failed.error["message"])
        end = self.end_of(self.client, run_id)
        self.assert_contract("ChatEvent", end)
        self.assertEqual((end["state"], end["errorMessage"]), ("error", "the model is on fire"))
        waited = self.ask("agent.wait", {"runId": run_id})
        self.assertEqual((waited["status"], waited["error"]), ("error", "the model is on fire"))

    def test_an_answer_streams_and_adds_up(self) -> None:
        run_id = self.say(self.client, "one two three four five six seven eight nine ten USETOOL")
        end = self.end_of(self.client, run_id)
        text = end["message"]["content"][0]["text"]
        chats = [event["payload"] for event in self.client.events("chat")]
        deltas = [chat for chat in chats if chat["state"] == "delta"]
        self.assertGreater(len(deltas), 1)
        self.assertEqual("".join(chat["deltaText"] for chat in deltas), text)
        self.assertEqual(deltas[-1]["message"]["content"][0]["text"], text)
        for chat in chats:
            self.assert_contract("ChatEvent", chat)
        tools = [
            e["payload"] for e in self.client.events("agent") if e["payload"]["stream"] == "tool"
        ]
        self.assertEqual([tool["data"]["phase"] for tool in tools], ["start", "result"])
        for event in self.client.events("agent"):
            self.assert_contract("AgentEvent", event["payload"])

    def test_events_are_counted_without_holes(self) -> None:
        for text in ("one", "two"):
            self.end_of(self.client, self.say(self.client, text))
        counts = [event["seq"] for event in self.client.events() if "seq" in event]
        self.assertGreater(len(counts), 10)
        self.assertTrue(all(b == a + 1 for a, b in itertools.pairwise(counts)), counts)
        self.assertFalse(any("gap" in line for line in self.client.told))

    def test_an_answer_is_stopped(self) -> None:
        run_id = self.say(self.client, "SLOW")
        self.client.event("chat", lambda chat: chat["state"] == "delta")
        stopped = self.ask("chat.abort", {"sessionKey": "main", "runId": run_id})
        self.assertEqual((stopped["aborted"], stopped["runIds"]), (True, [run_id]))
        end = self.end_of(self.client, run_id)
        self.assert_contract("ChatEvent", end)
        self.assertEqual(end["state"], "aborted")
        again = self.ask("chat.abort", {"sessionKey": "main", "runId": run_id})
        self.assertEqual((again["aborted"], again["runIds"]), (False, []))

    def test_history_and_a_note(self) -> None:
        self.end_of(self.client, self.say(self.client, "hello"))
        note = {"sessionKey": "main", "message": "A note.", "label": "note"}
        message_id = self.ask("chat.inject", note)["messageId"]
        injected = self.client.event("chat", lambda chat: chat["runId"].startswith("inject-"))
        self.assert_contract("ChatEvent", injected)
        page = self.ask("chat.history", {"sessionKey": "main", "limit": 10})
        self.assertEqual(
            [(m["role"], m["content"][0]["text"]) for m in page["messages"]],
            [("user", "hello"), ("assistant", "echo: hello"), ("assistant", "[note]\n\nA note.")],
        )
        self.assertEqual(page["messages"][-1]["__openclaw"]["id"], message_id)
        since = self.ask("chat.history", {"sessionKey": "main", "cursor": page["deltaCursor"]})
        self.assert_contract("ChatHistoryCursorResult", since)
        self.assertEqual(since["messages"], [])

    def test_sessions_from_first_to_last(self) -> None:
        self.end_of(self.client, self.say(self.client, "about crabs", "work"))
        listed = self.ask(
            "sessions.list", {"includeDerivedTitles": True, "includeLastMessage": True}
        )
        for row in listed["sessions"]:
            self.assert_contract("SessionRow", row)
        row = listed["sessions"][0]
        full = "agent:main:work"
        self.assertEqual(
            (row["key"], row["derivedTitle"], row["lastMessagePreview"]),
            (full, "about crabs", "echo: about crabs"),
        )
        preview = self.ask("sessions.preview", {"keys": ["work", "nowhere"]})["previews"]
        self.assertEqual([one["status"] for one in preview], ["ok", "missing"])
        resolved = self.ask("sessions.resolve", {"key": "work"})
        self.assert_contract("SessionsResolveResult", resolved)
        missing = self.ask("sessions.resolve", {"key": "nowhere", "allowMissing": True})
        self.assert_contract("SessionsResolveResult", missing)
        patched = self.ask("sessions.patch", {"key": "work", "label": "Crabs"})
        self.assertEqual(patched["entry"]["label"], "Crabs")
        by_label = self.ask("sessions.resolve", {"label": "Crabs"})
        self.assertEqual(by_label["key"], full)
        self.assertTrue(self.ask("sessions.compact", {"key": "work", "maxLines": 1})["ok"])
        reset = self.ask("sessions.reset", {"key": "work"})
        self.assertNotEqual(reset["entry"]["sessionId"], row["sessionId"])
        deleted = self.ask("sessions.delete", {"key": "work"})
        self.assert_contract("SessionsDeleteResult", deleted)
        self.assertTrue(deleted["deleted"])
        self.assertEqual(self.ask("sessions.list")["count"], 0)

    def test_a_device_that_asks_for_more_is_approved_or_rejected(self) -> None:
        self.connected("phone", scopes=["operator.read"]).close()
        for decision in ("reject", "approve"):
            phone = self.reference("phone")
            mark = len(self.client.told)
            # with its device token alone, even a local device has to wait for an operator
            phone.start(self.gateway.ws_url, scopes=["operator.write"])
            requested = self.client.wait_for(
                "event", lambda event: event["event"] == "device.pair.requested", since=mark
            )["payload"]
            self.assert_contract("DevicePairRequestedEvent", requested)
            self.assertEqual(phone.wait_for("paused")["detailCode"], "PAIRING_REQUIRED")
            phone.close()
            request_id = requested["requestId"]
            pending = self.ask("device.pair.list")["pending"]
            self.assertEqual([one["requestId"] for one in pending], [request_id])
            decided = self.ask(f"device.pair.{decision}", {"requestId": request_id})
            self.assertEqual(decided["requestId"], request_id)
            resolved = self.client.wait_for(
                "event", lambda event: event["event"] == "device.pair.resolved", since=mark
            )["payload"]
            self.assert_contract("DevicePairResolvedEvent", resolved)
            self.assertTrue(resolved["decision"].startswith(decision))
            self.assertEqual(self.ask("device.pair.list")["pending"], [])
        hello = self.reference("phone").connect(self.gateway.ws_url, scopes=["operator.write"])
        self.assertEqual(hello["auth"]["scopes"], ["operator.write"])

    def test_a_token_is_rotated_and_revoked(self) -> None:
        phone = self.connected("phone")
        old = phone.tokens()["operator"]["token"]
        paired = self.ask("device.pair.list")["paired"]
        kept = phone.kept_at.read_text()
        device_id = next(one["deviceId"] for one in paired if one["deviceId"] in kept)
        phone.close()
        named = {"deviceId": device_id, "role": "operator"}
        rotated = self.ask("device.token.rotate", named)
        self.assert_contract("DeviceTokenRotateResult", rotated)
        self.assertNotEqual(rotated.get("token"), old)
        stale = self.reference("phone")
        stale.start(self.gateway.ws_url)
        self.assertEqual(
            stale.wait_for("connectError")["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH"
        )
        stale.close()  # it drops the token around the time it tells of the error
        self.assertEqual(stale.tokens(), {})
        self.assertIn("revokedAtMs", self.ask("device.token.revoke", named))

    def test_what_does_not_fit_is_explained(self) -> None:
        error = self.assert_refused(
            "INVALID_REQUEST", self.client, "chat.send", {"sessionKey": "x"}
        )
        self.assertIn("message", error["message"])
        self.assertIn("idempotencyKey", error["message"])
        self.assert_refused("INVALID_REQUEST", self.client, "no.such.method", {})

    def test_a_missing_scope_is_forbidden(self) -> None:
        reader = self.connected("reader", scopes=["operator.read"])
        params = {"sessionKey": "main", "message": "hello", "idempotencyKey": key()}
        error = self.assert_refused("FORBIDDEN", reader, "chat.send", params)
        self.assert_contract("MissingScopeErrorDetails", error["details"])
