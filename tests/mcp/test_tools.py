"""Every tool, as a model meets it."""

from __future__ import annotations

import json
import threading
from typing import Any

import mcp_types as types

from tests.mcp.support import LIMIT, PIXEL, Bound, FakeNode, Tools, ToolsTestCase, token_of
from tests.support.wire import Refused

MAIN, SIDE, OTHER = "agent:main:main", "agent:main:side", "agent:other:main"
NODES = {"nodes_list", "nodes_describe", "nodes_invoke"}
CANVAS = {
    "canvas_write", "canvas_read", "canvas_list", "canvas_delete", "canvas_reset",
    "canvas_a2ui_push",
}  # fmt: skip
SESSIONS = {"sessions_list", "sessions_history", "sessions_send"}


class Listing(ToolsTestCase):
    """What is offered."""

    def test_every_tool_that_works_with_a_description_and_a_schema(self) -> None:
        async def work(tools: Tools) -> list[types.Tool]:
            return (await tools.session.list_tools()).tools

        listed = self.with_tools(self.server_of(MAIN), work)
        self.assertEqual({tool.name for tool in listed}, NODES | CANVAS | SESSIONS)
        for tool in listed:
            self.assertGreater(len(tool.description), 40, tool.name)
            self.assertEqual(tool.input_schema["type"], "object", tool.name)
            for name, field in tool.input_schema["properties"].items():
                self.assertTrue(field.get("description"), f"{tool.name}.{name}")

    def test_denied_tools_are_not_listed_and_not_run(self) -> None:
        async def work(tools: Tools) -> None:
            self.assertEqual(await tools.names(), SESSIONS)
            sentence = await tools.failure("canvas_write", path="a.html", content="<p>")
            self.assertEqual(sentence, "There is no tool 'canvas_write' in this session.")

        self.with_tools(self.server_of("agent:plain:main"), work)

    def test_arguments_that_do_not_fit_are_explained_in_a_sentence(self) -> None:
        async def work(tools: Tools) -> None:
            for arguments, says in (
                ({}, "missing required field sessionKey"),
                ({"sessionKey": 7}, "Expected str, got int"),
                ({"sessionKey": MAIN, "limit": 0}, "Expected int >= 1"),
            ):
                sentence = await tools.failure("sessions_history", **arguments)
                self.assertTrue(sentence.startswith("The arguments do not fit: "), sentence)
                self.assertIn(says, sentence)

        self.with_tools(self.server_of(MAIN), work)


class Sessions(ToolsTestCase):
    """Looking into other sessions, and writing to them."""

    def test_list_and_history(self) -> None:
        self.ask(SIDE, "buy oranges")
        self.ask(OTHER, "a secret of the other agent")

        async def work(tools: Tools) -> None:
            rows = json.loads(await tools.text("sessions_list"))
            self.assertEqual({row["sessionKey"] for row in rows}, {MAIN, SIDE})
            own = [row["sessionKey"] for row in rows if row.get("thisSession")]
            self.assertEqual(own, [MAIN])
            found = json.loads(await tools.text("sessions_list", search="oranges"))
            self.assertEqual([row["sessionKey"] for row in found], [SIDE])
            told = await tools.text("sessions_history", sessionKey=SIDE)
            self.assertIn("--- user, ", told)
            self.assertIn("buy oranges", told)
            self.assertIn("echo: buy oranges", told)
            last = await tools.text("sessions_history", sessionKey=SIDE, limit=1)
            self.assertNotIn("--- user", last)
            sentence = await tools.failure("sessions_history", sessionKey="agent:main:nowhere")
            self.assertEqual(sentence, "There is no session agent:main:nowhere.")

        self.with_tools(self.server_of(MAIN), work)

    def test_sessions_of_another_agent_are_out_of_reach(self) -> None:
        self.ask(OTHER, "a secret of the other agent")

        async def work(tools: Tools) -> None:
            for name, arguments in (
                ("sessions_history", {"sessionKey": OTHER}),
                ("sessions_history", {"sessionKey": "agent:other:nowhere"}),
                ("sessions_send", {"sessionKey": OTHER, "message": "hi"}),
            ):
                sentence = await tools.failure(name, **arguments)
                self.assertIn("sessions of its own agent only", sentence)
                self.assertNotIn("secret", sentence)
            self.assertNotIn("secret", await tools.text("sessions_list", search="secret"))

        self.with_tools(self.hold(MAIN), work)

    def test_send_waits_for_the_answer_and_says_where_it_comes_from(self) -> None:
        self.ask(SIDE, "hello")

        async def work(tools: Tools) -> str:
            return await tools.text("sessions_send", sessionKey=SIDE, message="how are you?")

        answer = self.with_tools(self.hold(MAIN), work)
        self.assertTrue(answer.startswith("echo: [This message is from the agent 'main' in its"))
        self.assertTrue(answer.endswith("how are you?"), answer)
        said = self.history(SIDE)
        self.assertIn(f"from the agent 'main' in its session {MAIN}", said)
        self.assertIn("how are you?", said)

    def test_send_without_waiting_and_with_a_limit(self) -> None:
        self.hold(SIDE)

        async def work(tools: Tools) -> None:
            told = await tools.text(
                "sessions_send", sessionKey=SIDE, message="one", timeoutSeconds=0
            )
            self.assertIn("The message is delivered; sessions_history", told)
            told = await tools.text(
                "sessions_send", sessionKey=SIDE, message="two", timeoutSeconds=1
            )
            self.assertIn("no answer after 1 s", told)

        self.with_tools(self.hold(MAIN), work)
        said = self.history(SIDE)
        self.assertLess(said.index("one"), said.index("two"))

    def test_never_to_itself_nor_in_a_circle(self) -> None:
        first = self.hold(MAIN)

        async def begin(tools: Tools) -> None:
            sentence = await tools.failure("sessions_send", sessionKey=MAIN, message="hi")
            self.assertIn("is this session itself", sentence)
            await tools.text("sessions_send", sessionKey=SIDE, message="HOLD", timeoutSeconds=0)

        self.with_tools(first, begin)
        self.wait_for_servers(2)
        self.addCleanup(self.operator.request, "chat.abort", {"sessionKey": SIDE})
        (second,) = self.servers()[-1]

        async def back(tools: Tools) -> str:
            return await tools.failure("sessions_send", sessionKey=MAIN, message="hi")

        self.assertIn("is what asked you, and gets your answer", self.with_tools(second, back))

    def test_not_when_nothing_is_being_answered(self) -> None:
        async def work(tools: Tools) -> str:
            return await tools.failure("sessions_send", sessionKey=SIDE, message="hi")

        self.assertIn("only while you are answering", self.with_tools(self.server_of(MAIN), work))


class Canvas(ToolsTestCase):
    """Files and interfaces."""

    def test_files(self) -> None:
        async def work(tools: Tools) -> None:
            self.assertEqual(await tools.text("canvas_list"), "The canvas is empty.")
            told = await tools.text("canvas_write", path="index.html", content="<p>héllo</p>")
            self.assertIn("Written: index.html, 13 bytes.", told)
            await tools.text("canvas_write", path="img/dot.png", content=PIXEL, encoding="base64")
            self.assertEqual(await tools.text("canvas_read", path="index.html"), "<p>héllo</p>")
            picture = await tools.result("canvas_read", path="img/dot.png")
            (image,) = picture.content
            assert isinstance(image, types.ImageContent)
            self.assertEqual((image.data, image.mime_type), (PIXEL, "image/png"))
            listed = await tools.text("canvas_list")
            self.assertEqual(
                {line.split()[0] for line in listed.splitlines()}, {"index.html", "img/dot.png"}
            )
            await tools.text("canvas_delete", path="img")
            self.assertNotIn("dot.png", await tools.text("canvas_list"))
            self.assertIn("1 file(s) are gone", await tools.text("canvas_reset"))

        self.with_tools(self.server_of(MAIN), work)

    def test_the_file_is_where_the_canvas_is(self) -> None:
        async def work(tools: Tools) -> None:
            await tools.text("canvas_write", path="a/b.txt", content="here")

        self.with_tools(self.server_of(MAIN), work)
        written = self.gateway.state_dir / "canvas" / "a" / "b.txt"
        self.assertEqual(written.read_text(), "here")

    def test_failures_are_sentences(self) -> None:
        async def work(tools: Tools) -> None:
            for path, says in (
                ("../outside.txt", "dot"), ("nothing.txt", "there is no"), (".hidden", "dot"),
            ):  # fmt: skip
                sentence = await tools.failure("canvas_read", path=path)
                self.assertIn(says, sentence)
            sentence = await tools.failure(
                "canvas_write", path="x.png", content="~", encoding="base64"
            )
            self.assertIn("base64", sentence)
            await tools.text("canvas_write", path="x.bin", content="/w==", encoding="base64")
            sentence = await tools.failure("canvas_read", path="x.bin")
            self.assertIn("neither text nor a picture", sentence)
            self.assertIn("Give messages", await tools.failure("canvas_a2ui_push"))

        self.with_tools(self.server_of(MAIN), work)

    def test_a2ui(self) -> None:
        messages: list[dict[str, Any]] = [
            {
                "surfaceUpdate": {
                    "surfaceId": "greeting",
                    "components": [
                        {"id": "root", "component": {"Text": {"text": {"literalString": "Hi"}}}}
                    ],
                }
            },
            {"beginRendering": {"surfaceId": "greeting", "root": "root"}},
        ]

        async def work(tools: Tools) -> None:
            told = await tools.text("canvas_a2ui_push", messages=messages)
            self.assertEqual(told, "Surfaces: greeting. Screens that show them: 0.")
            told = await tools.text("canvas_a2ui_push", reset=True)
            self.assertEqual(told, "Surfaces: none. Screens that show them: 0.")
            sentence = await tools.failure("canvas_a2ui_push", messages=[{"nonsense": {}}])
            self.assertTrue(sentence.startswith("Messages: "), sentence)

        self.with_tools(self.server_of(MAIN), work)


class Nodes(ToolsTestCase):
    """Devices that lend their commands."""

    def setUp(self) -> None:
        super().setUp()
        answers = {
            "camera.snap": {"format": "png", "base64": PIXEL, "width": 1, "height": 1},
            "camera.clip": {"format": "mp4", "base64": "AAAA" * 1000, "durationMs": 10},
            "location.get": {"lat": 52.5, "lon": 13.4},
            "canvas.snapshot": RuntimeError("the screen is locked"),
        }
        self.node = FakeNode(self.gateway.port, self.directory, answers)
        self.addCleanup(self.node.stop)

    def test_list_describe_and_invoke(self) -> None:
        node = self.node.node_id

        async def work(tools: Tools) -> None:
            (row,) = json.loads(await tools.text("nodes_list"))
            self.assertEqual((row["nodeId"], row["connected"]), (node, True))
            self.assertIn("location.get", row["commands"])
            described = json.loads(await tools.text("nodes_describe", nodeId=node))
            self.assertEqual(described["displayName"], "Phone")
            place = await tools.text(
                "nodes_invoke", nodeId="phone", command="location.get", params={"desired": "coarse"}
            )
            self.assertEqual(json.loads(place), {"lat": 52.5, "lon": 13.4})

        self.with_tools(self.server_of(MAIN), work)
        self.assertEqual(json.loads(self.node.asked[0]["paramsJSON"]), {"desired": "coarse"})

    def test_images_arrive_as_images_and_other_media_by_name(self) -> None:
        async def work(tools: Tools) -> None:
            node = self.node.node_id
            result = await tools.result("nodes_invoke", nodeId=node, command="camera.snap")
            self.assertFalse(result.is_error, result)
            text, image = result.content
            assert isinstance(text, types.TextContent)
            assert isinstance(image, types.ImageContent)
            self.assertEqual((image.data, image.mime_type), (PIXEL, "image/png"))
            self.assertEqual(json.loads(text.text)["width"], 1)
            self.assertNotIn(PIXEL, text.text)

        self.with_tools(self.server_of(MAIN), work)

    def test_failures_are_sentences(self) -> None:
        async def work(tools: Tools) -> None:
            node = self.node.node_id
            for arguments, says in (
                ({"nodeId": node, "command": "canvas.snapshot"}, "screen is locked"),
                ({"nodeId": node, "command": "made.up"}, "made.up"),
                ({"nodeId": "nobody", "command": "location.get"}, "not connected"),
            ):
                sentence = await tools.failure("nodes_invoke", **arguments)
                self.assertIn(says, sentence)
                self.assertNotIn("\n", sentence)

        self.with_tools(self.server_of(MAIN), work)


class Approvals(ToolsTestCase):
    """A node that runs a program only if it is told that a person approved it."""

    def setUp(self) -> None:
        super().setUp()
        answers = {"system.run": self.run_program}
        self.node = FakeNode(self.gateway.port, self.directory, answers, platform="linux")
        self.addCleanup(self.node.stop)
        self.ran: list[dict[str, Any]] = []

    def run_program(self, params: dict[str, Any]) -> Any:
        """As a stock node host does."""
        if not (params.get("approved") and params.get("approvalDecision")):
            return RuntimeError("SYSTEM_RUN_DENIED: approval required")
        self.ran.append(params)
        return {"exitCode": 0, "stdout": "done"}

    def decide(self, decision: str) -> threading.Thread:
        """Be the person who is asked, in a thread of its own; `asked` is what was shown."""
        person = self.connect()

        def work() -> None:
            event = person.event("exec.approval.requested", timeout=LIMIT)
            self.asked = event["payload"]["request"]
            params = {"id": event["payload"]["id"], "decision": decision}
            person.request("exec.approval.resolve", params)

        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join, LIMIT)
        return thread

    def arguments(self) -> dict[str, Any]:
        params = {"command": ["uname", "-a"], "agentId": "other", "approved": True}
        return {"nodeId": self.node.node_id, "command": "system.run", "params": params}

    def test_a_person_is_asked_and_the_run_is_made_in_the_sessions_name(self) -> None:
        person = self.decide("allow-once")

        async def work(tools: Tools) -> str:
            return await tools.text("nodes_invoke", **self.arguments())

        self.assertIn("done", self.with_tools(self.server_of(MAIN), work))
        person.join(LIMIT)
        shown = {name: self.asked[name] for name in ("command", "agentId", "sessionKey", "nodeId")}
        self.assertEqual(
            shown,
            {
                "command": "uname -a",
                "agentId": "main",
                "sessionKey": MAIN,
                "nodeId": self.node.node_id,
            },
        )
        (ran,) = self.ran
        self.assertEqual((ran["agentId"], ran["sessionKey"]), ("main", MAIN))
        self.assertEqual(ran["approvalDecision"], "allow-once")

    def test_a_refusal_is_told_and_nothing_runs(self) -> None:
        self.decide("deny")

        async def work(tools: Tools) -> str:
            return await tools.failure("nodes_invoke", **self.arguments())

        sentence = self.with_tools(self.server_of(MAIN), work)
        self.assertEqual(sentence, "A person refused this run; do not ask for it again.")
        self.assertEqual(self.ran, [])

    def test_a_question_ends_with_the_agents_run(self) -> None:
        """Whoever stopped the agent need not also answer what it had asked."""
        person = self.connect()
        tool = Bound(self.gateway.port, token_of(self.hold(MAIN)))
        self.addCleanup(tool.cut)
        person.event("agent", timeout=LIMIT)  # its turn has begun
        waiting = tool.post("node.invoke", {**self.arguments(), "idempotencyKey": "late"})
        asked = person.event("exec.approval.requested", timeout=LIMIT)["payload"]
        person.request("chat.abort", {"sessionKey": MAIN})
        ended = person.event("exec.approval.resolved", timeout=LIMIT)["payload"]
        self.assertEqual((ended["id"], ended["reason"]), (asked["id"], "run-aborted"))
        refusal = self.assertRaises(Refused, tool.result, waiting)
        self.assertIn("the run that asked for this is over", refusal.error["message"])
        self.assertEqual(self.ran, [])

    def test_an_approval_cannot_be_claimed_and_is_asked_for_anew(self) -> None:
        person = self.decide("allow-once")
        token = token_of(self.server_of(MAIN))

        async def work(tools: Tools) -> str:
            return await tools.text("nodes_invoke", **self.arguments())

        self.with_tools(self.servers()[-1][0], work)
        person.join(LIMIT)
        thief = Bound(self.gateway.port, token)
        self.addCleanup(thief.cut)
        used = self.ran[0]["runId"]
        for run_id in (used, "made-up"):
            params = {
                "command": ["uname", "-a"], "runId": run_id, "approved": True,
                "approvalDecision": "allow-always",
            }  # fmt: skip
            asked = {"nodeId": self.node.node_id, "command": "system.run", "params": params}
            person = self.decide("deny")
            refusal = self.assertRaises(
                Refused, thief.request, "node.invoke", {**asked, "idempotencyKey": run_id}
            )
            self.assertIn("a person refused", refusal.error["message"])
            person.join(LIMIT)
        self.assertEqual(len(self.ran), 1)
