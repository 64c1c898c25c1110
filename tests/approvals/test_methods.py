"""The methods, compared with what the original said."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from twisted.internet.defer import succeed

from clawgw.approvals.book import Resolver
from clawgw.methods import MethodTable, Twice
from clawgw.protocol import approvals as wire
from clawgw.protocol.catalog import method_types
from clawgw.protocol.errors import RequestError
from clawgw.protocol.validate import ParamsDecoder, ParamsRejected
from tests.approvals.desk import DeskTestCase
from tests.protocol import recorded
from tests.support.memory import Caller, client_info

ASKED = {
    "command": "rm -rf build", "cwd": "/srv", "host": "gateway", "security": "allowlist",
    "ask": "on-miss", "agentId": "main", "sessionKey": "agent:main:main", "timeoutMs": 6000,
}  # fmt: skip
ARGV = ["rm", "-rf", "build"]
ASKED_BY_NODE = {
    name: value for name, value in ASKED.items() if name not in ("host", "timeoutMs")
} | {"commandArgv": ARGV}
SCOPED = frozenset({"operator.approvals"})


def plain(value: Any) -> Any:
    """As it goes over the wire."""
    return json.loads(msgspec.json.encode(value))


class MethodsTestCase(DeskTestCase):
    """Calls as the router makes them."""

    def setUp(self) -> None:
        super().setUp()
        self.table = MethodTable()
        self.methods.register(self.table)
        self.caller = Caller(version=4, scopes=SCOPED, client=client_info(id="cli"))

    def decode(self, method: str, params: dict[str, Any]) -> Any:
        return ParamsDecoder(method_types()[method].params).decode(msgspec.json.encode(params))

    async def call(self, method: str, **params: Any) -> Any:
        """The result, or its refusal."""
        found = self.table.find(method)
        found.check(self.caller)
        result = found.handler(self.caller, self.decode(method, params))
        return await result if hasattr(result, "__await__") else result

    def allowed(self, method: str) -> bool:
        """Whether the caller may."""
        try:
            self.table.find(method).check(self.caller)
        except RequestError:
            return False
        return True


class RecordedTests(MethodsTestCase):
    """Fields and their order of events, as recorded."""

    def test_the_flow_of_version_3(self) -> None:
        frames = [line.frame for line in recorded.flow(3, "exec-approval")]
        asked = next(one for one in frames if one.get("event") == "exec.approval.requested")
        ended = next(one for one in frames if one.get("event") == "exec.approval.resolved")
        answers = [one["payload"] for one in frames if one["type"] == "res"]
        self.caller.version = 3
        params = frames[0]["params"]
        waiting = self.start(self.call("exec.approval.request", **params))
        (approval,) = self.book.pending()
        resolved = self.do(
            self.call("exec.approval.resolve", id=approval.id, decision="allow-once")
        )
        ours = [plain(event.v3) for event in self.events.published]
        self.assertSameShape(ours[0], asked["payload"])
        self.assertEqual(ours[0]["request"], asked["payload"]["request"])
        self.assertSameShape(ours[1], ended["payload"])
        self.assertEqual(ours[1]["resolvedBy"], ended["payload"]["resolvedBy"])
        self.assertEqual(plain(resolved), answers[0])
        final = plain(self.successResultOf(waiting))
        self.assertEqual(recorded.missing_fields(final, answers[1]), [])
        self.assertEqual(final["decision"], answers[1]["decision"])
        self.assertEqual(final["expiresAtMs"] - final["createdAtMs"], 6000)

    def test_the_answer_of_version_4(self) -> None:
        (answer,) = (one for one in recorded.answers(4) if one.method == "exec.approval.request")
        waiting = self.start(self.call("exec.approval.request", **ASKED))
        self.clock.advance(7)
        ours = plain(self.successResultOf(waiting))
        self.assertEqual(recorded.missing_fields(ours, answer.payload), [])
        self.assertEqual((ours["decision"], ours["terminalReason"]), ("deny", "timeout"))

    def test_the_policy(self) -> None:
        self.caller.scopes = frozenset({"operator.admin"})
        self.policy('{"version":1,"socket":{"path":"/s"},"defaults":{},"agents":{}}')
        for version in recorded.VERSIONS:
            self.caller.version = version
            ours = plain(self.do(self.call("exec.approvals.get")))
            self.assertSameShape(ours, recorded.response(version, "exec.approvals.get")["payload"])

    def test_the_policy_before_there_is_a_file(self) -> None:
        """Who edits it finds the places to write to."""
        self.caller.scopes = frozenset({"operator.admin"})
        file = plain(self.do(self.call("exec.approvals.get")))["file"]
        self.assertEqual(file, {"version": 1, "defaults": {}, "agents": {}})

    def assertSameShape(self, ours: Any, theirs: Any) -> None:
        self.assertEqual(recorded.missing_fields(ours, theirs), [])
        self.assertEqual(recorded.missing_fields(theirs, ours), [])


class QuestionTests(MethodsTestCase):
    """Asking and deciding."""

    def ask(self, **changes: Any) -> Any:
        return self.start(self.call("exec.approval.request", **(ASKED | changes)))

    def test_two_answers(self) -> None:
        """A version 4 asker hears that it is asked, and then what was decided."""
        twice = self.successResultOf(self.ask(id="q-1", twoPhase=True))
        assert isinstance(twice, Twice)
        self.assertEqual(
            plain(twice.first),
            {
                "status": "accepted", "id": "q-1", "deliveryRoute": "approval-client",
                "createdAtMs": self.clock.now_ms(), "expiresAtMs": self.clock.now_ms() + 6000,
            },
        )  # fmt: skip
        self.do(self.call("exec.approval.resolve", id="q-1", decision="deny"))
        self.assertEqual(self.do(_awaited(twice.final)).decision, "deny")

    def test_wait_from_another_connection(self) -> None:
        self.ask(id="q-1")
        waiting = self.start(self.call("exec.approval.waitDecision", id="q-1"))
        self.do(self.call("exec.approval.resolve", id="q-1", decision="allow-always"))
        self.assertEqual(self.successResultOf(waiting).resolved_by, "cli")
        later = self.do(self.call("exec.approval.waitDecision", id="q-1"))
        self.assertEqual(later.decision, "allow-always")
        self.assertIn("unknown", self.refusal(self.call("exec.approval.waitDecision", id="x")))

    def test_list_and_get(self) -> None:
        self.ask(id="q-1", unavailableDecisions=["allow-always"])
        (item,) = plain(self.do(self.call("exec.approval.list")))
        self.assertEqual(item["request"]["command"], "rm -rf build")
        self.assertEqual(item["approvalKind"], "exec")
        view = plain(self.do(self.call("exec.approval.get", id="q")))
        self.assertEqual(view["commandText"], "rm -rf build")
        self.assertEqual(view["allowedDecisions"], ["allow-once", "deny"])

    def test_who_decided_is_the_name_they_show(self) -> None:
        self.ask(id="q-1")
        self.caller.client = client_info(id="cli", display_name="Anna's phone")
        self.do(self.call("exec.approval.resolve", id="q-1", decision="deny"))
        (event,) = self.events.named("exec.approval.resolved")
        self.assertEqual(event.resolved_by, "Anna's phone")
        words = self.refusal(self.call("exec.approval.resolve", id="q-1", decision="allow-once"))
        self.assertEqual(words, "this approval was already resolved: deny by Anna's phone")

    def test_always_is_remembered(self) -> None:
        self.ask(id="q-1")
        self.do(self.call("exec.approval.resolve", id="q-1", decision="allow-always"))
        again = self.successResultOf(self.ask())
        self.assertEqual((again.decision, again.terminal_reason), ("allow-once", "policy"))
        self.assertEqual(len(self.events.named("exec.approval.requested")), 1)
        self.assertNoResult(self.ask(command="rm -rf other"))
        self.assertNoResult(self.ask(agentId="other"))

    def test_the_policy_comes_first(self) -> None:
        self.policy('{"version":1,"defaults":{"security":"deny"}}')
        denied = self.successResultOf(self.ask())
        self.assertEqual((denied.decision, denied.terminal_reason), ("deny", "policy"))
        self.policy('{"version":1,"defaults":{"security":"full","ask":"off"}}')
        self.assertNoResult(self.ask())  # its own allowlist is stricter
        allowed = self.successResultOf(self.ask(security="full"))
        self.assertEqual(allowed.decision, "allow-once")
        self.assertEqual(len(self.book.pending()), 1)

    def test_a_program_on_the_list_runs_unasked(self) -> None:
        self.policy('{"version":1,"agents":{"main":{"allowlist":[{"pattern":"/**/ls"}]}}}')
        allowed = self.successResultOf(self.ask(command="ls -l | ls"))
        self.assertEqual(allowed.decision, "allow-once")
        entry = json.loads(self.path.read_text())["agents"]["main"]["allowlist"][0]
        self.assertEqual(entry["lastUsedCommand"], "ls -l | ls")
        self.assertNoResult(self.ask(command="ls -l | sh"))

    def test_asked_each_time_it_cannot_be_allowed_for_ever(self) -> None:
        self.ask(id="q-1", ask="always")
        words = self.refusal(self.call("exec.approval.resolve", id="q-1", decision="allow-always"))
        self.assertIn("unavailable", words)

    def test_a_command_for_a_node_is_asked_about_and_remembered_there(self) -> None:
        self.policy('{"version":1,"defaults":{"security":"full","ask":"off"}}')
        before = self.path.read_text()
        plan = {
            "argv": ["rm", "x"], "cwd": "/tmp", "commandText": "rm x", "agentId": None,
            "sessionKey": None,
        }  # fmt: skip
        waiting = self.ask(id="q-1", host="node", nodeId="n-1", systemRunPlan=plan)
        view = self.do(self.call("exec.approval.get", id="q-1"))
        self.assertEqual((view.command_text, view.node_id), ("rm x", "n-1"))
        self.do(self.call("exec.approval.resolve", id="q-1", decision="allow-always"))
        self.assertEqual(self.successResultOf(waiting).decision, "allow-always")
        self.assertEqual(self.path.read_text(), before)

    def test_nobody_to_ask(self) -> None:
        """Who wants an answer at once gets it; who can wait, waits."""
        self.reviewers = False
        nobody = self.successResultOf(self.ask(requireDeliveryRoute=True))
        self.assertEqual((nobody.decision, nobody.terminal_reason), ("deny", "no-route"))
        self.assertNoResult(self.ask())

    def test_an_empty_command_is_no_question(self) -> None:
        self.assertIn("command: ", self.refusal(self.ask(command=" ")))
        params = {key: ASKED[key] for key in ASKED if key != "command"}
        self.assertIn("command: ", self.refusal(self.call("exec.approval.request", **params)))
        self.start(self.call("exec.approval.request", **params, commandArgv=["rm", "a b"]))
        (approval,) = self.book.pending()
        self.assertEqual(approval.request.command, "rm 'a b'")

    def test_a_reviewer_nobody_vouches_for(self) -> None:
        self.ask(id="q-1")
        reviewer = {"channel": "chat", "accountId": "a", "senderId": "s"}
        words = self.refusal(
            self.call("exec.approval.resolve", id="q-1", decision="deny", reviewer=reviewer)
        )
        self.assertIn("reviewer: ", words)


class RightsTests(MethodsTestCase):
    """Who may what."""

    def test_scopes(self) -> None:
        questions = [f"exec.approval.{verb}" for verb in
                     ("request", "resolve", "list", "get", "waitDecision")]  # fmt: skip
        policies = [f"exec.approvals.{verb}" for verb in ("get", "set", "node.get", "node.set")]
        for scopes, may_ask, may_set in (
            ({"operator.read", "operator.write", "operator.pairing"}, False, False),
            ({"operator.approvals"}, True, False),
            ({"operator.admin"}, True, True),
        ):
            self.caller.scopes = frozenset(scopes)
            self.assertEqual({self.allowed(name) for name in questions}, {may_ask})
            self.assertEqual({self.allowed(name) for name in policies}, {may_set})

    def test_a_node_may_ask_about_itself_and_nothing_else(self) -> None:
        self.caller.role, self.caller.scopes, self.caller.device_id = "node", frozenset(), "n-1"
        self.assertEqual(
            [name for name in self.table.names() if self.allowed(name)], ["node.approval.request"]
        )
        waiting = self.start(self.call("node.approval.request", **ASKED_BY_NODE))
        (approval,) = self.book.pending()
        request = approval.request
        self.assertEqual((request.host, request.node_id), ("node", "n-1"))
        self.assertEqual((request.command, request.command_argv), ("rm -rf build", ARGV))
        self.do(self.book.resolve(approval.id, "deny", Resolver("Ann")))
        self.assertEqual(plain(self.successResultOf(waiting))["decision"], "deny")

    def test_what_a_node_says_of_the_run_reaches_who_decides(self) -> None:
        self.caller.role, self.caller.scopes, self.caller.device_id = "node", frozenset(), "n-1"
        more = {"envKeys": ["GIT_DIR", "A"], "unavailableDecisions": ["allow-always"]}
        self.start(self.call("node.approval.request", **ASKED_BY_NODE, **more))
        (event,) = self.events.named("exec.approval.requested")
        told = plain(event)["request"]
        self.assertEqual(told["envKeys"], ["A", "GIT_DIR"])
        self.assertEqual(told["allowedDecisions"], ["allow-once", "deny"])
        refusal = self.refusal(self.book.resolve(event.id, "allow-always", Resolver("Ann")))
        self.assertIn("unavailable", refusal)

    def test_a_node_cannot_ask_about_another(self) -> None:
        self.caller.role, self.caller.scopes, self.caller.device_id = "node", frozenset(), "n-1"
        for name in ("nodeId", "host"):
            with self.assertRaises(ParamsRejected):
                self.decode("node.approval.request", ASKED_BY_NODE | {name: "n-2"})
        refusal = self.refusal(self.call("exec.approval.request", **ASKED))
        self.assertEqual(refusal, "unauthorized role: node")
        self.assertEqual(self.book.pending(), [])

    def test_an_operator_cannot_ask_as_a_node(self) -> None:
        self.caller.scopes = frozenset({"operator.admin"})
        self.assertFalse(self.allowed("node.approval.request"))


class NodePolicyTests(MethodsTestCase):
    """The policies of nodes are theirs; they are passed on."""

    def setUp(self) -> None:
        super().setUp()
        self.caller.scopes = frozenset({"operator.admin"})
        self.asked: list[Any] = []

        def invoke(*what: Any) -> Any:
            self.asked.append(what)
            return succeed({"path": "/n", "exists": True, "hash": "h", "file": {"version": 1}})

        self.methods.invoke_node = invoke

    def test_get_and_set(self) -> None:
        answer = self.do(self.call("exec.approvals.node.get", nodeId="n-1"))
        self.assertEqual(answer["hash"], "h")
        file = {"version": 1, "defaults": {"ask": "off"}}
        self.do(self.call("exec.approvals.node.set", nodeId="n-1", file=file, baseHash="h"))
        self.assertEqual(
            self.asked,
            [
                ("n-1", "system.execApprovals.get", {}),
                ("n-1", "system.execApprovals.set", {"file": file, "baseHash": "h"}),
            ],
        )

    def test_one_kind_of_policy(self) -> None:
        native = {"rules": [{"pattern": "ls *", "action": "allow"}]}
        for params in (
            {},
            {"file": {"version": 1}, "native": native, "baseHash": "h"},
            {"native": native},
        ):
            self.refusal(self.call("exec.approvals.node.set", nodeId="n-1", **params))
        self.do(self.call("exec.approvals.node.set", nodeId="n-1", native=native, baseHash="h"))
        self.assertEqual(len(self.asked), 1)

    def test_without_nodes(self) -> None:
        self.methods.invoke_node = None
        self.assertIn("no nodes", self.refusal(self.call("exec.approvals.node.get", nodeId="n")))


class SecretTests(MethodsTestCase):
    """What a command line may hold is in no repr, which is what logs show."""

    def test_repr(self) -> None:
        params = self.decode("exec.approval.request", {"command": "login --password hush"})
        self.start(self.methods.request(self.caller, params))
        (approval,) = self.book.pending()
        self.assertNotIn("hush", repr(params) + repr(approval.request))
        self.assertIsInstance(approval.request, wire.ExecRequest)


async def _awaited(work: Any) -> Any:
    return await work
