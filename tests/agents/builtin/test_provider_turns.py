"""Turns with a provider: the real process, real pipes, a scripted provider on loopback.

A process takes two seconds to be ready, so a test goes through several turns with one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.trial import unittest

from tests.support.ports import hold_port

from .peer import AgentPeer, Json, RpcError, end, start
from .provider import FakeProvider, begin, call, cut, hang, refuse, text, thought

KEY = "very-secret-key-0123456789"
TOOL_SERVER = {
    "name": "tools",
    "command": sys.executable,
    "args": [str(Path(__file__).with_name("tool_server.py"))],
    "env": [{"name": "FOR_THE_TOOLS", "value": "yes"}],
}


class ProviderTestCase(unittest.TestCase):
    """One provider and any number of agent processes, all gone when the test is."""

    timeout = 300

    def provider(self, *script: Any) -> FakeProvider:
        provider = FakeProvider(*script)
        self.addCleanup(provider.stop)
        return provider

    def agent(self, config: Any, key: str | None = KEY, **environ: str) -> AgentPeer:
        if key is not None:
            environ["CLAWGW_AGENT_API_KEY"] = key
        peer = start(config, environ=environ)
        self.addCleanup(end, peer)
        return peer

    async def failed_turn(
        self, peer: AgentPeer, session: str, model: str | None = None
    ) -> RpcError:
        """The error of one prompt; no chat text and no key may come with it."""
        peer.forget()
        meta = {"_meta": {"clawgw": {"model": model}}} if model else {}
        try:
            await peer.prompt(session, "hello", **meta)
        except RpcError as error:
            self.assertEqual(peer.said(), "")
            self.assert_no_key(peer)
            return error
        raise self.failureException("the turn did not fail")

    def assert_no_key(self, peer: AgentPeer) -> None:
        self.assertNotIn(KEY.encode(), peer.everything)
        self.assertNotIn(KEY.encode(), peer.stderr)


class AnswerTests(ProviderTestCase):
    async def test_answers_stream_piece_by_piece_and_the_conversation_is_remembered(self) -> None:
        provider = self.provider(text("Good ", "morning", "!"), text("Ada."))
        peer = self.agent({**provider.config(), "systemPrompt": "You are a parrot."})
        session = await peer.start_session()
        result = await peer.prompt(session, "I am Ada.")
        self.assertEqual(
            [u["content"]["text"] for u in peer.of_kind("agent_message_chunk")],
            ["Good ", "morning", "!"],
        )
        self.assertEqual(result["stopReason"], "end_turn")
        self.assertEqual(result["usage"]["inputTokens"], 11)
        self.assertEqual(result["usage"]["outputTokens"], 7)
        self.assertEqual(result["_meta"]["clawgw"]["model"], "acme/talker-1")
        await peer.prompt(session, "Who am I?")
        self.assertEqual(
            [(m["role"], m["content"]) for m in provider.requests[1]["messages"]],
            [
                ("system", "You are a parrot."),
                ("user", "I am Ada."),
                ("assistant", "Good morning!"),
                ("user", "Who am I?"),
            ],
        )
        self.assertEqual(provider.keys, [f"Bearer {KEY}"] * 2)
        self.assert_no_key(peer)

    async def test_thoughts_limits_attachments_and_another_model(self) -> None:
        provider = self.provider(
            thought("Let me see.", "42"),
            text("half an ans", finish="length"),
            text("I", finish="content_filter"),
            text("A pixel."),
        )
        peer = self.agent(provider.config())
        capabilities = (await peer.request("initialize", protocolVersion=1))["agentCapabilities"]
        self.assertTrue(capabilities["promptCapabilities"]["image"])
        session = await peer.start_session()

        await peer.prompt(session, "hello")
        thoughts = [u["content"]["text"] for u in peer.of_kind("agent_thought_chunk")]
        self.assertEqual((thoughts, peer.said()), (["Let me see."], "42"))

        self.assertEqual((await peer.prompt(session, "go on"))["stopReason"], "max_tokens")
        self.assertEqual((await peer.prompt(session, "go on"))["stopReason"], "refusal")

        result = await peer.request(
            "session/prompt",
            sessionId=session,
            prompt=[
                {"type": "text", "text": "What is this?"},
                {"type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo="},
                {"type": "resource", "resource": {"uri": "file:///note", "text": "buy milk"}},
            ],
            _meta={"clawgw": {"model": "acme/seer-2"}},
        )
        content = provider.requests[-1]["messages"][-1]["content"]
        self.assertEqual(content[1]["image_url"]["url"], "data:image/png;base64,iVBORw0KGgo=")
        self.assertIn("buy milk", content[2]["text"])
        self.assertIn("file:///note", content[2]["text"])
        self.assertEqual([r["model"] for r in provider.requests], ["talker-1"] * 3 + ["seer-2"])
        self.assertEqual(result["_meta"]["clawgw"]["model"], "acme/seer-2")

    async def test_sessions_answer_at_once_and_are_cancelled_one_by_one(self) -> None:
        provider = self.provider(begin("Once upon ", "a time"), text("Quick."), text("The end."))
        peer = self.agent(provider.config())
        slow = await peer.start_session()
        quick = (await peer.request("session/new", cwd="/", mcpServers=[]))["sessionId"]
        peer.notify("session/cancel", sessionId=slow)  # nothing to cancel yet
        peer.notify("session/cancel", sessionId="unknown")
        story = peer.prompt(slow, "A story.")
        await peer.when(lambda: peer.said() == "Once upon a time")
        self.assertEqual((await peer.prompt(quick, "hello"))["stopReason"], "end_turn")
        refused = await self.assertFailure(peer.prompt(slow, "more"), RpcError)
        self.assertIn("still answering", refused.message)

        peer.notify("session/cancel", sessionId=slow)
        self.assertEqual((await story)["stopReason"], "cancelled")
        await provider.gone.get()
        await peer.prompt(slow, "Go on.")
        said = {"role": "assistant", "content": "Once upon a time"}
        self.assertIn(said, provider.requests[-1]["messages"])

        provider.script.append(hang)
        silent = peer.prompt(quick, "hello")
        while len(provider.requests) < 4:
            await peer.request("session/load", sessionId="x", cwd="/", mcpServers=[]).addErrback(
                lambda reason: reason.trap(RpcError)
            )
        peer.notify("session/cancel", sessionId=quick)
        self.assertEqual((await silent)["stopReason"], "cancelled")

        await peer.request("session/close", sessionId=quick)
        gone = await self.assertFailure(peer.prompt(quick, "hello"), RpcError)
        self.assertEqual((gone.code, gone.message), (-32002, "There is no such session."))


class ToolTests(ProviderTestCase):
    async def tool_turn(self, peer: AgentPeer, session: str, *script: Any) -> tuple[Json, Json]:
        """A turn in which the model calls one tool: the call and its result."""
        peer.forget()
        self.fake.script[:] = script
        await peer.prompt(session, "Do it.")
        (started,), (ended,) = peer.of_kind("tool_call"), peer.of_kind("tool_call_update")
        self.assertEqual(started["toolCallId"], ended["toolCallId"])
        return started, ended

    async def test_tools_of_the_session(self) -> None:
        self.fake = self.provider()
        peer = self.agent(self.fake.config(), OPENAI_API_KEY="another-secret-key")
        session = await peer.start_session(mcpServers=[TOOL_SERVER])

        started, ended = await self.tool_turn(
            peer, session, call("add", left=2, right=3), text("Five.")
        )
        self.assertEqual(started["title"], "add")
        self.assertEqual(started["rawInput"], {"left": 2, "right": 3})
        self.assertEqual((started["status"], ended["status"]), ("in_progress", "completed"))
        self.assertEqual(ended["content"][0]["content"]["text"], "the sum is 5")
        self.assertEqual(peer.said(), "Five.")

        _started, ended = await self.tool_turn(peer, session, call("photo"), text("A pixel."))
        images = [c["content"] for c in ended["content"] if c["content"]["type"] == "image"]
        self.assertEqual([i["mimeType"] for i in images], ["image/png"])
        self.assertTrue(images[0]["data"].startswith("iVBOR"))

        _started, ended = await self.tool_turn(peer, session, call("broken"), text("Sorry."))
        self.assertEqual(ended["status"], "failed")
        self.assertIn("out of order", json.dumps(self.fake.requests[-1]["messages"]))

        _started, ended = await self.tool_turn(peer, session, call("environment"), text("Done."))
        names = ended["content"][0]["content"]["text"]
        self.assertIn("FOR_THE_TOOLS", names)
        self.assertNotIn("API_KEY", names)

        # a turn that fails after a tool acted is not forgotten: the action happened
        self.fake.script[:] = [call("add", left=20, right=3), refuse(400, "No.")]
        await self.assertFailure(peer.prompt(session, "20 + 3?"), RpcError)
        self.fake.script[:] = [text("It was 23.")]
        await peer.prompt(session, "What was it?")
        self.assertIn("the sum is 23", json.dumps(self.fake.requests[-1]["messages"]))

    async def test_tool_servers_that_die_that_never_start_and_that_are_two(self) -> None:
        self.fake = self.provider(call("die"), text("Oh."), text("Oh."))
        peer = self.agent(self.fake.config())
        missing = {**TOOL_SERVER, "name": "lamp", "command": "/nowhere/lamp"}
        session = await peer.start_session(mcpServers=[missing])
        error = await self.failed_turn(peer, session)
        self.assertIn("'lamp' (/nowhere/lamp) cannot be started", error.message)
        self.assertEqual(error.data["kind"], "tool_server")

        session = await peer.start_session(mcpServers=[TOOL_SERVER])
        await peer.prompt(session, "Die.").addErrback(lambda reason: reason.trap(RpcError))
        _started, ended = await self.tool_turn(
            peer, session, call("add", left=1, right=1), text("Two.")
        )
        self.assertEqual(ended["content"][0]["content"]["text"], "the sum is 2")

        # two servers may have tools of one name, so theirs come before it
        servers = [{**TOOL_SERVER, "name": name} for name in ("left", "right")]
        session = await peer.start_session(mcpServers=servers)
        started, ended = await self.tool_turn(
            peer, session, call("right_add", left=1, right=1), text("Two.")
        )
        self.assertEqual((started["title"], ended["status"]), ("right_add", "completed"))


class FailureTests(ProviderTestCase):
    async def test_what_a_provider_refuses(self) -> None:
        again = {"x_should_retry": "false"}
        cases = [
            (refuse(401, f"Incorrect API key provided: {KEY}"), "auth", "refused the API key"),
            (refuse(400, f"Header Bearer {KEY} is odd"), "rejected", "Bearer [key] is odd"),
            (refuse(404, "no such model"), "model_not_found", "has no model 'talker-1'"),
            (refuse(429, "slow", retry_after="7", **again), "rate_limit", "wait 7 seconds"),
            (refuse(402, "pay"), "quota", "quota or credit"),
            (refuse(503, "busy", **again), "overloaded", "cannot answer at the moment"),
        ]
        provider = self.provider()
        peer = self.agent(provider.config())
        session = await peer.start_session()
        for step, kind, sentence in cases:
            provider.script[:] = [step, step]
            error = await self.failed_turn(peer, session)
            self.assertEqual(error.data["kind"], kind)
            self.assertIn(sentence, error.message)
            self.assertIn(f"acme at {provider.url}", error.message)

        provider.script[:] = [cut("Once upon")]
        broken = await self.assertFailure(peer.prompt(session, "A story."), RpcError)
        self.assertEqual(broken.data, {"kind": "interrupted", "retryable": True})
        self.assertIn("broke off", broken.message)

        provider.script[:] = [text("Hello.")]
        await peer.prompt(session, "Are you there?")
        self.assertEqual(len(provider.requests[-1]["messages"]), 1)
        self.assert_no_key(peer)

    async def test_what_is_wrong_with_the_settings(self) -> None:
        config = self.provider().config(baseUrl=f"http://127.0.0.1:{hold_port(self)}/v1")
        peer = self.agent(config)
        session = await peer.start_session()
        error = await self.failed_turn(peer, session)
        self.assertIn(f"Cannot reach acme at {provider_url(config)}", error.message)
        self.assertEqual(error.data, {"kind": "unreachable", "retryable": True})
        # the key was given for acme, so other providers have none
        error = await self.failed_turn(peer, session, "openai/gpt-5")
        self.assertIn("No API key for openai", error.message)
        self.assertIn("OPENAI_API_KEY", error.message)
        error = await self.failed_turn(peer, session, "gpt-5")
        self.assertIn("provider/model-name", error.message)
        error = await self.failed_turn(peer, session, "local/nowhere.gguf")
        self.assertIn("no local model 'nowhere.gguf'", error.message)

    async def test_providers_that_are_known_by_name(self) -> None:
        keys = {"NONESUCH_API_KEY": "k" * 20, "GROQ_API_KEY": "g" * 20}
        peer = self.agent(None, key=None, **keys)
        session = await peer.start_session()
        error = await self.failed_turn(peer, session, "nonesuch/x")
        self.assertIn("Unknown provider 'nonesuch'", error.message)
        error = await self.failed_turn(peer, session, "groq/llama")
        self.assertIn("pip install 'pydantic-ai-slim[groq]'", error.message)

    async def test_silent_provider(self) -> None:
        provider = self.provider(hang, hang, hang)
        peer = self.agent(provider.config(timeoutSeconds=1))
        error = await self.failed_turn(peer, await peer.start_session())
        self.assertIn("within 1 seconds", error.message)
        self.assertEqual(error.data, {"kind": "timeout", "retryable": True})


class MemoryTests(ProviderTestCase):
    async def test_conversation_survives_a_kill_and_is_replayed(self) -> None:
        provider = self.provider(call("add", left=2, right=3), text("Five."), text("2 and 3."))
        state = Path(self.mktemp()).resolve()
        config = {**provider.config(), "stateDir": str(state)}
        first = self.agent(config)
        session = await first.start_session(mcpServers=[TOOL_SERVER])
        await first.prompt(session, "2 + 3?")
        await end(first)

        file = state / "agent-sessions" / f"{session}.json"
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertNotIn(KEY, file.read_text())
        self.assertEqual([p.name for p in file.parent.iterdir()], [file.name])

        second = self.agent(config)
        await second.request("initialize", protocolVersion=1)
        for unknown in ("0" * 32, "../agent-sessions/" + session, ""):
            loading = second.request("session/load", sessionId=unknown, cwd="/", mcpServers=[])
            error = await self.assertFailure(loading, RpcError)
            self.assertEqual((error.code, error.message), (-32002, "There is no such session."))
        await second.request("session/load", sessionId=session, cwd="/", mcpServers=[])
        self.assertEqual(
            [update["sessionUpdate"] for update in second.updates],
            ["user_message_chunk", "tool_call", "tool_call_update", "agent_message_chunk"],
        )
        await second.prompt(session, "Of what?")
        sent = json.dumps(provider.requests[-1]["messages"])
        self.assertIn("2 + 3?", sent)
        self.assertIn("the sum is 5", sent)


def provider_url(config: Json) -> str:
    return str(config["provider"]["baseUrl"])
