"""`clawgw approvals`, each command in a process of its own."""

from __future__ import annotations

import json
import time
from typing import Any

from twisted.internet.defer import Deferred

from tests.cli.test_commands import CommandTestCase
from tests.support.cli import start
from tests.support.fake_gateway import FakeConnection


def question(name: str = "q-1", command: str = "rm -rf build") -> dict[str, Any]:
    """As the Gateway lists it."""
    now = int(time.time() * 1000)
    request = {
        "command": command, "cwd": "/srv", "agentId": "main", "sessionKey": "agent:main:x",
        "envKeys": ["GIT_DIR", "LANG"],
    }  # fmt: skip
    return {"id": name, "request": request, "createdAtMs": now, "expiresAtMs": now + 90_000}


class DecidingTests(CommandTestCase):
    """list, allow and deny."""

    async def test_list(self) -> None:
        self.answers("exec.approval.list", [question(command="echo \x1b[31mred")])
        result = await self.run_clawgw("approvals", "list")
        heads, line = result.out.splitlines()
        self.assertEqual(heads.split("\t")[:3], ["ID", "Command", "In"])
        self.assertEqual(line.split("\t")[:3], ["q-1", "echo \ufffd[31mred", "/srv"])
        self.answers("exec.approval.list", [])
        result = await self.run_clawgw("approvals", "list")
        self.assertEqual(result.out, "Nothing waits for a decision.\n")

    async def test_the_only_one(self) -> None:
        self.answers("exec.approval.list", [question()])
        self.answers("exec.approval.resolve", {"ok": True})
        for arguments, decision, words in (
            (["allow"], "allow-once", "Allowed once"),
            (["allow", "--always"], "allow-always", "Always allowed"),
            (["deny", "q"], "deny", "Denied"),
        ):
            result = await self.run_clawgw("approvals", *arguments)
            self.assertEqual((result.code, result.out), (0, f"{words}: rm -rf build\n"))
            self.assertEqual(
                self.gateway.requests("exec.approval.resolve")[-1],
                {"id": "q-1", "decision": decision},
            )

    async def test_several(self) -> None:
        """Nothing is decided without saying which."""
        self.answers("exec.approval.list", [question("q-1"), question("q-2", "make")])
        result = await self.run_clawgw("approvals", "allow")
        self.assertEqual(result.code, 2)
        self.assertIn("q-2", result.out)
        self.assertIn("say which", result.err)
        self.assertEqual(self.gateway.requests("exec.approval.resolve"), [])

    async def test_too_late(self) -> None:
        self.answers("exec.approval.list", [question()])
        self.refuses("exec.approval.resolve", "INVALID_REQUEST", "already resolved: deny by Anna")
        result = await self.run_clawgw("approvals", "allow", "q-1")
        self.assertEqual(result.code, 1)
        self.assertIn("already resolved: deny by Anna", result.err)


class WatchTests(CommandTestCase):
    """watch, in a pipe."""

    async def watched(self, *arguments: str) -> str:
        """What is printed for one question that stands, one that comes, and its end."""
        listed: Deferred[FakeConnection] = Deferred()

        def answer(connection: FakeConnection, frame: dict[str, Any]) -> None:
            connection.answer(frame, [question("q-1")])
            listed.callback(connection)

        self.gateway.methods["exec.approval.list"] = answer
        command = start(["--url", self.url, *arguments, "approvals", "watch"], self.state)
        self.addCleanup(command.stop)
        connection = await listed
        connection.event("exec.approval.requested", question("q-2", "make"))
        ended = {"id": "q-2", "decision": "deny", "resolvedBy": "Anna", "ts": 1, "reason": "user"}
        connection.event("exec.approval.resolved", ended)
        late = {"id": "q-1", "decision": "deny", "resolvedBy": None, "ts": 1, "reason": "timeout"}
        connection.event("exec.approval.resolved", late)
        connection.sendClose()
        result = await command.ended
        self.assertEqual(result.code, 3)
        return result.out

    async def test_text(self) -> None:
        out = await self.watched()
        self.assertIn("rm -rf build", out)
        self.assertIn("/srv", out)
        self.assertIn("GIT_DIR, LANG", out)
        self.assertIn("Denied by Anna: make", out)
        self.assertIn("Denied, nobody decided in time: rm -rf build", out)

    async def test_json(self) -> None:
        lines = [json.loads(line) for line in (await self.watched("--json")).splitlines()]
        self.assertEqual(
            [(line["event"], line["payload"]["id"]) for line in lines],
            [
                ("exec.approval.requested", "q-1"),
                ("exec.approval.requested", "q-2"),
                ("exec.approval.resolved", "q-2"),
                ("exec.approval.resolved", "q-1"),
            ],
        )


class PolicyTests(CommandTestCase):
    """policy show and policy set."""

    async def test_show_and_set(self) -> None:
        file = {"version": 1, "defaults": {"security": "deny"}}
        snapshot = {"path": "/p", "exists": True, "hash": "h", "file": file}
        self.answers("exec.approvals.get", snapshot)
        self.answers("exec.approvals.set", snapshot)
        shown = await self.run_clawgw("approvals", "policy", "show")
        self.assertEqual(shown.json, file)
        done = await self.run_clawgw("approvals", "policy", "set", "-", stdin=shown.out)
        self.assertEqual((done.code, done.out), (0, "The policy is set: /p\n"))
        self.assertEqual(
            self.gateway.requests("exec.approvals.set"), [{"file": file, "baseHash": "h"}]
        )

    async def test_of_a_node(self) -> None:
        self.answers("exec.approvals.node.get", {"file": {"version": 1}, "hash": "h"})
        shown = await self.run_clawgw("approvals", "policy", "show", "--node", "n-1")
        self.assertEqual(shown.json, {"version": 1})
        self.assertEqual(self.gateway.requests("exec.approvals.node.get"), [{"nodeId": "n-1"}])

    async def test_no_json(self) -> None:
        result = await self.run_clawgw("approvals", "policy", "set", "-", stdin="{")
        self.assertEqual(result.code, 2)
        self.assertIn("not JSON", result.err)
