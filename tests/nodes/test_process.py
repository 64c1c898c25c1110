"""Nodes against a real Gateway process, over sockets, in the recorded shapes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.nodes.support import Node
from tests.protocol import recorded
from tests.support.gateway import ROOT, GatewayProcess, scripted_agents
from tests.support.wire import Client, Refused, device

OF_NODES = {
    "node.invoke.result", "node.invoke.progress", "node.event", "node.approval.request",
    "node.pluginTools.update", "node.skills.update", "node.runnerInventory.update",
    "node.pending.drain", "node.pending.pull", "node.pending.ack", "skills.bins",
    "node.pluginSurface.refresh",
}  # fmt: skip
"""Every method a node may call."""


def key() -> str:
    return str(uuid.uuid4())


class ProcessTestCase(TestCase):
    """A Gateway, operators and nodes on demand."""

    timeout = 240
    config: dict[str, Any] = {}  # noqa: RUF012 - replaced, not changed

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.gateway = GatewayProcess(
            self.directory / "state", config={**scripted_agents(), **self.config}
        )
        self.gateway.start()
        self.addCleanup(lambda: self.gateway.kill())

    def operator(self, protocol: int = 4) -> Client:
        client = Client(
            self.gateway.port, identity=device(self.directory, "operator"), protocol=protocol
        )
        self.addCleanup(client.cut)
        return client

    def node(self, name: str = "node", protocol: int = 4, **claims: Any) -> Node:
        node = Node(self.gateway.port, device(self.directory, name), protocol=protocol, **claims)
        self.addCleanup(node.cut)
        return node

    def approve(self, operator: Client, node: Node) -> Any:
        asked = operator.event("node.pair.requested", lambda one: one["nodeId"] == node.node_id)
        request_id = asked["payload"]["requestId"]
        return operator.request("node.pair.approve", {"requestId": request_id})

    def refused(self, work: Any, *args: Any) -> dict[str, Any]:
        error: dict[str, Any] = self.assertRaises(Refused, work, *args).error
        return error


def recorded_answers(version: int, method: str) -> list[dict[str, Any]]:
    """The recorded answers to a method, good and bad."""
    lines = recorded.flow(version, "node-connect") + recorded.flow(version, "node-invoke")
    ids = {line.frame["id"] for line in lines if line.frame.get("method") == method}
    return [line.frame for line in lines if line.frame["type"] == "res" and line.frame["id"] in ids]


class RecordedFlowTests(ProcessTestCase):
    """What was recorded of the original, done again with us: nothing recorded is missing."""

    def test_version_3(self) -> None:
        operator, node = self.operator(3), self.node(protocol=3)
        self.assertEqual(operator.request("node.pair.list"), {"pending": [], "paired": []})
        self.flow(3, operator, node)

    def test_version_4(self) -> None:
        operator, node = self.operator(), self.node()
        self.assertIs(operator.event("node.pair.requested")["payload"]["silent"], True)
        approved = self.approve(operator, node)
        (theirs,) = recorded_answers(4, "node.pair.approve")
        self.assertEqual(recorded.missing_fields(approved, theirs["payload"]), [])
        resolved = node.event("node.pair.resolved")
        self.assertNotIn("seq", resolved)
        self.assertEqual(operator.event("node.pair.resolved")["payload"], resolved["payload"])
        self.flow(4, operator, node)

    def flow(self, version: int, operator: Client, node: Node) -> None:
        connected, away = recorded_answers(version, "node.list")
        self.assertShape(operator.request("node.list"), connected)
        about = {"nodeId": node.node_id}
        (described,) = recorded_answers(version, "node.describe")
        self.assertShape(operator.request("node.describe", about), described)
        well, refused, lost = recorded_answers(version, "node.invoke")
        which = {**about, "command": "system.which", "timeoutMs": 60_000}
        first = key()
        waiting = operator.post(
            "node.invoke", {**which, "params": {"bins": ["sh"]}, "idempotencyKey": first}
        )
        asked = node.asked(first)
        self.assertEqual(json.loads(asked["paramsJSON"]), {"bins": ["sh"]})
        self.assertEqual(node.answers(asked, payloadJSON='{"bins":{"sh":"/bin/sh"}}'), {"ok": True})
        answer = operator.result(waiting)
        self.assertEqual({**answer, "nodeId": ""}, {**well["payload"], "nodeId": ""})
        snap = {**about, "command": "camera.snap", "params": {}, "idempotencyKey": key()}
        error = self.refused(operator.request, "node.invoke", snap)
        self.assertEqual(error["details"], refused["error"]["details"])
        self.assertEqual(error["code"], refused["error"]["code"])
        said = node.request(
            "node.event", {"event": "agent.request", "payloadJSON": '{"message":"hi"}'}
        )
        self.assertTrue(said["ok"])
        chat = operator.event("chat", lambda one: node.node_id in one["sessionKey"])
        self.assertTrue(chat["payload"]["runId"].startswith("node:"))
        self.assertEqual(node.request("skills.bins"), {"bins": []})
        (wrong,) = recorded_answers(version, "sessions.list")
        self.assertEqual(self.refused(node.request, "sessions.list"), wrong["error"])
        renamed = operator.request("node.rename", {**about, "displayName": "Renamed"})
        self.assertEqual(renamed, {**about, "displayName": "Renamed"})
        second = key()
        waiting = operator.post("node.invoke", {**which, "params": {}, "idempotencyKey": second})
        node.asked(second)
        node.cut()
        error = self.refused(operator.result, waiting)
        self.assertEqual(error["code"], lost["error"]["code"])
        self.assertIn(lost["error"]["message"].removeprefix("Error: "), error["message"])
        self.assertEqual(recorded.missing_fields(error, lost["error"]), [])
        listing = operator.request("node.list")
        self.assertShape(listing, away)
        self.assertEqual(listing["nodes"][0]["displayName"], "Renamed")
        self.assertFalse(listing["nodes"][0]["connected"])

    def assertShape(self, ours: Any, theirs: dict[str, Any]) -> None:
        self.assertEqual(recorded.missing_fields(ours, theirs["payload"]), [])


class RoleTests(ProcessTestCase):
    """Nodes call the methods of nodes, operators those of operators."""

    def test_neither_may_call_the_others(self) -> None:
        operator, node = self.operator(), self.node()
        methods = set(operator.hello["features"]["methods"])
        self.assertGreater(methods, OF_NODES | {"exec.approval.request"})
        for method in methods - OF_NODES - {"connect"}:
            error = self.refused(node.request, method, {})
            self.assertEqual(error["message"], "unauthorized role: node", method)
        for method in OF_NODES:
            error = self.refused(operator.request, method, {})
            self.assertEqual(error["message"], "unauthorized role: operator", method)

    def test_a_node_hears_nothing_of_others(self) -> None:
        operator, node, other = self.operator(), self.node(), self.node("other")
        self.approve(operator, other)
        one = key()
        waiting = operator.post(
            "node.invoke",
            {"nodeId": other.node_id, "command": "system.which", "idempotencyKey": one},
        )
        other.answers(other.asked(one))
        operator.result(waiting)
        node.request("skills.bins")
        heard = {frame["event"] for frame in node.events}
        self.assertEqual(heard - {"tick"}, set())

    def test_a_reader_cannot_invoke_and_a_stranger_cannot_see(self) -> None:
        node = self.node()
        for scopes, method, params in [
            (("operator.read",), "node.invoke",
             {"nodeId": node.node_id, "command": "system.which", "idempotencyKey": "k"}),
            (("operator.write",), "node.pair.approve", {"requestId": "x"}),
            (("operator.pairing",), "node.list", {}),
        ]:  # fmt: skip
            client = Client(
                self.gateway.port,
                identity=device(self.directory, method),
                protocol=4,
                scopes=scopes,
            )
            self.addCleanup(client.cut)
            self.assertEqual(self.refused(client.request, method, params)["code"], "FORBIDDEN")


class RemovedTests(ProcessTestCase):
    """`node.pair.remove`, and what is left of a device that is an operator too."""

    def test_the_node_goes_and_the_operator_stays(self) -> None:
        operator, node = self.operator(), self.node("operator")
        self.approve(operator, node)
        waiting = operator.post(
            "node.invoke",
            {"nodeId": node.node_id, "command": "system.which", "idempotencyKey": "k"},
        )
        node.asked("k")
        removed = operator.request("node.pair.remove", {"nodeId": node.node_id})
        self.assertEqual(removed, {"nodeId": node.node_id})
        error = self.refused(operator.result, waiting)
        self.assertEqual(error["details"]["nodeError"]["code"], "DISCONNECTED")
        (paired,) = operator.request("device.pair.list")["paired"]
        self.assertEqual(paired["roles"], ["operator"])
        self.gateway.kill()
        self.gateway.start()
        operator = self.operator()
        self.assertEqual(operator.request("node.list")["nodes"], [])
        self.assertEqual(operator.request("node.pair.list"), {"pending": [], "paired": []})
        error = self.refused(operator.request, "node.pair.remove", {"nodeId": node.node_id})
        self.assertEqual(error["message"], "unknown nodeId")


class SleepingTests(ProcessTestCase):
    """An app that is not on the screen, and what it is told when it is."""

    config = {"gateway": {"nodes": {"allowCommands": ["camera.snap"]}}}  # noqa: RUF012

    def test_a_photo_is_taken_later_also_after_a_sudden_end(self) -> None:
        phone = {"platform": "ios", "deviceFamily": "iPhone"}
        operator = self.operator()
        node = self.node(about=phone, commands=["camera.snap"])
        self.approve(operator, node)
        about = {"nodeId": node.node_id}
        snap = {**about, "command": "camera.snap", "params": {"a": 1}, "idempotencyKey": "k"}
        waiting = operator.post("node.invoke", snap)
        asleep = {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "not on the screen"}
        node.answers(node.asked("k"), ok=False, error=asleep)
        error = self.refused(operator.result, waiting)
        self.assertEqual(error["details"]["code"], "QUEUED_UNTIL_FOREGROUND")
        self.assertEqual(error["details"]["nodeError"], asleep)
        operator.request("node.pending.enqueue", {**about, "type": "location.request"})
        self.gateway.kill()
        self.gateway.start()
        operator = self.operator()
        node = self.node(about=phone, commands=["camera.snap"])
        (action,) = node.request("node.pending.pull")["actions"]
        self.assertEqual(action["id"], error["details"]["queuedActionId"])
        self.assertEqual(action["command"], "camera.snap")
        self.assertEqual(json.loads(action["paramsJSON"]), {"a": 1})
        acked = node.request("node.pending.ack", {"ids": [action["id"], "other"]})
        self.assertEqual(acked["remainingCount"], 0)
        drained = node.request("node.pending.drain")["items"]
        self.assertEqual([item["type"] for item in drained],
                         ["location.request", "status.request"])  # fmt: skip
        self.refused(operator.request, "node.invoke", snap)
        self.assertEqual(node.request("node.pending.pull")["actions"], [])
        self.assertEqual(node.payloads("node.invoke.request"), [])


class LongLivedTests(ProcessTestCase):
    """Restarts, large results, presence, what a node publishes."""

    config = {"gateway": {"nodes": {"allowCommands": ["camera.snap"], "denyCommands": ["x.y"]}}}  # noqa: RUF012

    def test_killed_in_mid_invoke(self) -> None:
        operator, node = self.operator(), self.node()
        self.approve(operator, node)
        done, lost = key(), key()
        ask = {"nodeId": node.node_id, "command": "system.run", "params": {"command": ["true"]}}
        waiting = operator.post("node.invoke", {**ask, "idempotencyKey": done})
        node.answers(node.asked(done), payloadJSON='{"exitCode":0}')
        answer = operator.result(waiting)
        operator.request(
            "node.rename", {"nodeId": node.node_id, "displayName": "N"}
        )  # a later write
        operator.post("node.invoke", {**ask, "idempotencyKey": lost})
        node.asked(lost)
        self.gateway.kill()
        self.gateway.start()
        operator, node = self.operator(), self.node()
        again = operator.request("node.invoke", {**ask, "idempotencyKey": done})
        self.assertEqual(again, answer)
        error = self.refused(operator.request, "node.invoke", {**ask, "idempotencyKey": lost})
        self.assertEqual(error["details"]["code"], "OUTCOME_UNKNOWN")
        self.assertEqual(node.payloads("node.invoke.request"), [])

    def test_a_photo_of_five_megabytes(self) -> None:
        operator, node = self.operator(), self.node(commands=["camera.snap"])
        self.approve(operator, node)
        photo = json.dumps({"format": "jpg", "base64": "A" * (5 << 20)})
        for fields in ({"payloadJSON": photo}, {"payload": json.loads(photo)}):
            one = key()
            ask = {"nodeId": node.node_id, "command": "camera.snap", "idempotencyKey": one}
            waiting = operator.post("node.invoke", ask)
            self.assertEqual(node.answers(node.asked(one), **fields), {"ok": True})
            self.assertEqual(operator.result(waiting, 60)["payload"], json.loads(photo))
            self.assertEqual(operator.request("node.invoke", ask, 60)["payload"], json.loads(photo))

    def test_operator_and_node_are_one_row(self) -> None:
        identity = device(self.directory, "both")
        operator = Client(
            self.gateway.port, identity=identity, protocol=4,
            client={"id": "openclaw-macos", "mode": "ui"},
        )  # fmt: skip
        self.addCleanup(operator.cut)
        node = self.node("both")
        (row,) = operator.request("node.list")["nodes"]
        self.assertEqual(row["nodeId"], node.node_id)
        mine = [
            entry
            for entry in operator.request("system-presence")
            if entry.get("deviceId") == node.node_id
        ]
        self.assertEqual([entry["roles"] for entry in mine], [["node", "operator"]])

    def test_what_a_version_4_host_publishes(self) -> None:
        operator, node = self.operator(), self.node()
        self.approve(operator, node)
        tool = {"pluginId": "p", "name": "t", "description": "d"}
        tools = [{**tool, "command": "system.which"}, {**tool, "name": "u", "command": "evil.do"}]
        kept = node.request("node.pluginTools.update", {"tools": tools})
        self.assertEqual(kept, {"nodeId": node.node_id, "tools": tools[:1]})
        self.assertEqual(node.request("node.skills.update", {"skills": []})["skills"], [])
        drained = node.request("node.pending.drain")
        self.assertEqual([item["id"] for item in drained["items"]], ["baseline-status"])
        self.assertEqual(node.request("node.pending.pull")["actions"], [])
        self.assertEqual(node.request("node.pending.ack", {"ids": ["a"]})["ackedIds"], ["a"])
        self.assertTrue(node.request("node.runnerInventory.update", {"protocolFeatures": []}))
        surface = node.request("node.pluginSurface.refresh", {"surface": "canvas"})
        self.assertIn("/__openclaw__/cap/", surface["pluginSurfaceUrls"]["canvas"])
        stats = {"cpuCount": 2, "memoryTotalBytes": 9, "memoryFreeBytes": 3}
        told = node.request("node.event", {"event": "node.host.stats", "payload": stats})
        self.assertEqual((told["handled"], told["reason"]), (True, "updated"))
        heard = operator.event("node.hostStats")["payload"]
        self.assertEqual(heard["hostStats"] | stats, heard["hostStats"])
        wrong = node.request("node.event", {"event": "node.host.stats", "payload": {"cpuCount": 0}})
        self.assertEqual(wrong["reason"], "invalid_payload")
        alive = {"trigger": "silent_push"}
        node.request(
            "node.event", {"event": "node.presence.alive", "payloadJSON": json.dumps(alive)}
        )
        (row,) = operator.request("node.list")["nodes"]
        self.assertEqual(row["nodePluginTools"], tools[:1])
        self.assertEqual(row["hostStats"]["cpuCount"], 2)
        self.assertEqual(row["lastSeenReason"], "silent_push")

    def test_a_node_that_connects_anew_replaces_the_old_connection(self) -> None:
        operator, old = self.operator(), self.node()
        self.approve(operator, old)
        self.node()
        self.assertIn("replaced", str(old.ending()))


class CommandLineTests(ProcessTestCase):
    """`clawgw nodes …`, as a person uses it."""

    def clawgw(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [
                sys.executable, "-m", "clawgw.cli", "--url", self.gateway.ws_url,
                "--state-dir", str(self.directory / "cli"), "nodes", *arguments,
            ],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "CLAWGW_GATEWAY_TOKEN": "test-token", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def test_from_pending_to_invoked(self) -> None:
        self.assertEqual(self.clawgw("list"), (0, "There are no nodes.\n"))
        node = self.node(commands=["system.which"])
        code, out = self.clawgw("pending")
        self.assertEqual(code, 0)
        self.assertIn("system.which", out)
        self.assertEqual(self.clawgw("approve"), (0, "Approved Test node: system.which.\n"))
        self.assertEqual(self.clawgw("approve"), (0, "No node waits for approval.\n"))
        self.assertEqual(
            self.clawgw("rename", node.node_id[:10], "Desk"), (0, "Renamed to Desk.\n")
        )
        code, out = self.clawgw("describe", "desk")
        self.assertIn("Commands:     system.which", out)
        code, out = self.clawgw("invoke", "nobody", "system.which")
        self.assertEqual(code, 2)
        self.assertIn("there is no such node", out)
        code, out = self.clawgw("invoke", "Desk", "system.run")
        self.assertEqual(code, 1)
        self.assertIn('has no command "system.run"', out)
        with subprocess.Popen(
            [
                sys.executable, "-m", "clawgw.cli", "--url", self.gateway.ws_url,
                "--state-dir", str(self.directory / "cli"), "nodes", "invoke", "Desk",
                "system.which", '{"bins": ["sh"]}', "--key", "cli-key",
            ],
            stdout=subprocess.PIPE, text=True,
            env={**os.environ, "CLAWGW_GATEWAY_TOKEN": "test-token", "PYTHONPATH": str(ROOT)},
        ) as process:  # fmt: skip
            node.answers(node.asked("cli-key"), payloadJSON='{"bins":{"sh":"/bin/sh"}}')
            printed, _ = process.communicate(timeout=60)
        self.assertEqual(json.loads(printed), {"bins": {"sh": "/bin/sh"}})
        code, out = self.clawgw("list")
        self.assertIn("Desk", out)
        self.assertEqual(self.clawgw("remove", "Desk"), (0, "Removed.\n"))
        self.assertIn("removed", str(node.ending()))
        self.assertEqual(self.clawgw("list"), (0, "There are no nodes.\n"))
