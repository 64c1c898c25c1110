"""Approvals in a running Gateway: an agent asks, people decide, processes die."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.trial import unittest

from tests.support.gateway import ROOT, GatewayProcess, scripted_agents
from tests.support.wire import Client, Refused, device

YES, NO = '"optionId": "yes"', '"optionId": "no"'
REQUESTED, RESOLVED = "exec.approval.requested", "exec.approval.resolved"
PATIENCE = 60.0


class GatewayTestCase(unittest.SynchronousTestCase):
    """One Gateway with the scripted agent."""

    timeout_seconds: int | None = None

    def setUp(self) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="clawgw-approvals-"))
        self.addCleanup(shutil.rmtree, self.state, ignore_errors=True)
        config = scripted_agents()
        if self.timeout_seconds is not None:
            config["approvals"] = {"timeoutSeconds": self.timeout_seconds}
        self.gateway = GatewayProcess(self.state, config=config)
        self.gateway.start()
        self.addCleanup(self.gateway.stop)
        self.runs = 0

    def connect(self, name: str = "anna", **options: Any) -> Client:
        """A client with a device of this name."""
        client = Client(
            self.gateway.port, identity=device(self.state, name), **{"protocol": 4, **options}
        )
        self.addCleanup(client.cut)
        return client

    def permit(self, client: Client) -> str:
        """Have the agent ask for permission; returns the run's id."""
        self.runs += 1
        run = f"run-{self.runs}"
        message = {"sessionKey": "main", "message": "PERMIT", "idempotencyKey": run}
        client.request("chat.send", message)
        return run

    def asked(self, client: Client) -> Any:
        """The question the agent asks next."""
        return client.event(REQUESTED, timeout=PATIENCE)["payload"]

    def said(self, client: Client, run: str) -> str:
        """What the agent says it was told."""
        event = client.event(
            "chat", lambda one: one["runId"] == run and one["state"] != "delta", PATIENCE
        )
        return json.dumps(event["payload"].get("message"))

    def decide(self, client: Client, approval: Any, decision: str) -> Any:
        params = {"id": approval["id"], "decision": decision}
        return client.request("exec.approval.resolve", params)

    def assertTold(self, said: str, outcome: str) -> None:
        self.assertIn(outcome, json.loads(said)["content"][0]["text"])


class DecisionTests(GatewayTestCase):
    """Every way a question ends."""

    def test_allowed(self) -> None:
        """Both versions hear of it, and who decided; the agent goes on."""
        client, old = self.connect(), self.connect("bob", protocol=3)
        run = self.permit(client)
        approval = self.asked(client)
        self.assertEqual(approval["request"]["command"], "rm -rf /")
        self.assertEqual(approval["request"]["cwd"], str(self.state / "workspaces" / "main"))
        self.assertEqual(approval["request"]["runId"], run)
        self.assertEqual(self.asked(old)["id"], approval["id"])
        self.assertEqual(self.decide(old, approval, "allow-once"), {"ok": True})
        for one in (client, old):
            ended = one.event(RESOLVED)["payload"]
            self.assertEqual((ended["decision"], ended["resolvedBy"]), ("allow-once", "cli"))
        self.assertTold(self.said(client, run), YES)
        client.events.clear()
        again = self.permit(client)
        self.decide(client, self.asked(client), "deny")
        self.assertTold(self.said(client, again), NO)

    def test_always(self) -> None:
        """It is in the policy, for the owner's eyes, and holds after a restart."""
        client = self.connect()
        run = self.permit(client)
        self.decide(client, self.asked(client), "allow-always")
        self.assertTold(self.said(client, run), YES)
        path = self.state / "exec-approvals.json"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        (entry,) = json.loads(path.read_text())["agents"]["main"]["allowlist"]
        self.assertEqual((entry["commandText"], entry["source"]), ("rm -rf /", "allow-always"))
        self.gateway.kill()
        self.gateway.start()
        client = self.connect()
        run = self.permit(client)
        self.assertTold(self.said(client, run), YES)
        self.assertEqual(client.payloads(REQUESTED), [])

    def test_two_at_once(self) -> None:
        """One of them counts; the other is told that it does not, and by whom."""
        anna = self.connect("anna", client={"id": "cli", "displayName": "Anna"})
        bob = self.connect("bob", client={"id": "cli", "displayName": "Bob"})
        run = self.permit(anna)
        approval = self.asked(anna)
        params = {"id": approval["id"]}
        asked = [
            anna.post("exec.approval.resolve", {**params, "decision": "allow-once"}),
            bob.post("exec.approval.resolve", {**params, "decision": "deny"}),
        ]
        answers = [anna.answer(asked[0]), bob.answer(asked[1])]
        self.assertEqual(sorted(one["ok"] for one in answers), [False, True])
        (refused,) = (one["error"] for one in answers if not one["ok"])
        self.assertEqual(refused["details"]["reason"], "APPROVAL_ALREADY_RESOLVED")
        ended = anna.event(RESOLVED)["payload"]
        self.assertEqual(ended["resolvedBy"], "Anna" if answers[0]["ok"] else "Bob")
        self.assertTold(self.said(anna, run), YES if answers[0]["ok"] else NO)
        self.assertEqual(len(anna.payloads(RESOLVED)), 1)

    def test_the_run_is_aborted(self) -> None:
        """The question is gone, and nobody can allow it any more."""
        client = self.connect()
        run = self.permit(client)
        approval = self.asked(client)
        client.request("chat.abort", {"sessionKey": "main", "runId": run})
        ended = client.event(RESOLVED)["payload"]
        self.assertEqual((ended["decision"], ended["reason"]), ("deny", "run-aborted"))
        self.assertEqual(client.request("exec.approval.list"), [])
        with self.assertRaises(Refused) as caught:
            self.decide(client, approval, "allow-once")
        self.assertIn("the run that asked is over", str(caught.exception))

    def test_the_policy_answers(self) -> None:
        """What is denied or allowed by the policy asks nobody."""
        client = self.connect()
        for security, told in (("deny", NO), ("full", YES)):
            read = client.request("exec.approvals.get")
            params = {"file": {"version": 1, "defaults": {"security": security}}}
            if read["exists"]:
                params["baseHash"] = read["hash"]
            written = client.request("exec.approvals.set", params)
            self.assertNotEqual(written["hash"], read["hash"])
            self.assertEqual(written["resolvedDefaults"]["security"], security)
            self.assertTold(self.said(client, self.permit(client)), told)
        self.assertEqual(client.payloads(REQUESTED), [])

    def test_without_the_scope(self) -> None:
        """Such a client hears of no question, sees none, decides none."""
        anna = self.connect()
        reader = self.connect("reader", scopes=("operator.read", "operator.write"))
        self.assertFalse([one for one in reader.hello["features"]["events"] if "approval" in one])
        run = self.permit(anna)
        approval = self.asked(anna)
        for method, params in (
            ("exec.approval.list", {}),
            ("exec.approval.get", {"id": approval["id"]}),
            ("exec.approval.waitDecision", {"id": approval["id"]}),
            ("exec.approval.request", {"command": "ls"}),
            ("exec.approval.resolve", {"id": approval["id"], "decision": "allow-once"}),
            ("exec.approvals.get", {}),
        ):
            with self.assertRaises(Refused) as caught:
                reader.request(method, params)
            self.assertEqual(caught.exception.code, "FORBIDDEN", method)
        self.decide(anna, approval, "deny")
        self.assertTold(self.said(reader, run), NO)
        self.assertEqual(reader.payloads(REQUESTED) + reader.payloads(RESOLVED), [])


class ExpiryTests(GatewayTestCase):
    """With a second to decide."""

    timeout_seconds = 1

    def test_expired(self) -> None:
        """Nobody decides, also because nobody may: the agent is told no."""
        client = self.connect()
        run = self.permit(client)
        approval = self.asked(client)
        self.assertEqual(approval["expiresAtMs"] - approval["createdAtMs"], 1000)
        self.assertTold(self.said(client, run), NO)
        ended = client.event(RESOLVED)["payload"]
        self.assertEqual(
            (ended["decision"], ended["resolvedBy"], ended["reason"]), ("deny", None, "timeout")
        )
        writer = self.connect("writer", scopes=("operator.read", "operator.write"))
        client.cut()
        self.assertTold(self.said(writer, self.permit(writer)), NO)


class RestartTests(GatewayTestCase):
    """The Gateway goes away while a question stands."""

    def ask(self, client: Client) -> str:
        params = {"id": "q-1", "command": "rm -rf build", "timeoutMs": 600_000}
        asked = client.post("exec.approval.request", params)
        self.assertEqual(self.asked(client)["id"], "q-1")
        return asked

    def test_stopped(self) -> None:
        """The asker is told before the line is cut."""
        client = self.connect()
        asked = self.ask(client)
        self.gateway.stop()
        answer = client.result(asked)
        self.assertEqual(
            (answer["decision"], answer["terminalReason"]), ("deny", "gateway-restart")
        )

    def test_killed(self) -> None:
        """The asker is told when it asks again, or waits; nobody can allow it any more."""
        client = self.connect()
        self.ask(client)
        run = self.permit(client)
        client.event(REQUESTED, lambda one: one["id"] != "q-1")
        self.gateway.kill()
        self.gateway.start()
        client = self.connect()
        waited = client.request("exec.approval.waitDecision", {"id": "q-1"})
        params = {"id": "q-1", "command": "rm -rf build", "timeoutMs": 600_000}
        again = client.request("exec.approval.request", params)
        for answer in (waited, again):
            self.assertEqual(
                (answer["decision"], answer["terminalReason"]), ("deny", "gateway-restart")
            )
        with self.assertRaises(Refused) as caught:
            self.decide(client, {"id": "q-1"}, "allow-once")
        self.assertIn("the Gateway was restarted", str(caught.exception))
        self.assertEqual(client.request("exec.approval.list"), [])
        ended = client.request("agent.wait", {"runId": run, "timeoutMs": 10_000})
        self.assertEqual(ended["status"], "error")


class TerminalTests(GatewayTestCase):
    """`clawgw approvals watch` for a person at a terminal."""

    def setUp(self) -> None:
        super().setUp()
        self.screen, terminal = pty.openpty()
        self.addCleanup(os.close, self.screen)
        env = {
            **os.environ,
            "CLAWGW_STATE_DIR": str(self.state),
            "CLAWGW_GATEWAY_TOKEN": "test-token",
            "PYTHONPATH": str(ROOT),
        }
        argv = [sys.executable, "-m", "clawgw.cli", "approvals", "watch"]
        self.command = subprocess.Popen(
            argv, stdin=terminal, stdout=terminal, stderr=terminal, env=env
        )
        os.close(terminal)
        self.addCleanup(self.command.wait)
        self.addCleanup(self.command.kill)

    def wait_for(self, words: str) -> None:
        """Read the screen until it says so."""
        seen, deadline = b"", time.monotonic() + PATIENCE
        while words.encode() not in seen:
            left = max(0, deadline - time.monotonic())
            readable, _, _ = select.select([self.screen], [], [], left)
            self.assertTrue(readable, f"no {words!r} in {seen!r}")
            seen += os.read(self.screen, 4096)

    def test_a_person_decides(self) -> None:
        """A wrong key asks again; the right one decides; Ctrl-C ends it."""
        client = self.connect()
        params = {"id": "q-1", "command": "rm -rf build", "cwd": "/srv", "timeoutMs": 600_000}
        asked = client.post("exec.approval.request", params)
        self.wait_for("leave it: ")
        os.write(self.screen, b"what?\n")
        self.wait_for("leave it: ")
        os.write(self.screen, b"a\n")
        self.wait_for("Allowed once by cli: rm -rf build")
        self.assertEqual(client.result(asked)["decision"], "allow-once")
        self.command.send_signal(signal.SIGINT)
        self.assertEqual(self.command.wait(PATIENCE), 130)
