"""The local model, for real: no key, no network, the GGUF file that is installed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.trial import unittest

from .peer import AgentPeer, RpcError, end, start


class LocalTurnTests(unittest.TestCase):
    timeout = 600

    def agent(self, config: Any = None) -> AgentPeer:
        peer = start(config)
        self.addCleanup(end, peer)
        return peer

    async def test_answers_in_pieces_stops_when_told_and_remembers_after_a_restart(self) -> None:
        state = Path(self.mktemp()).resolve()
        first = self.agent({"stateDir": str(state)})
        session = await first.start_session()
        result = await first.prompt(session, "My name is Ada. Say hello to me.")
        self.assertIn(result["stopReason"], ("end_turn", "max_tokens"))
        self.assertGreater(len(first.of_kind("agent_message_chunk")), 1)
        self.assertGreater(result["usage"]["outputTokens"], 1)
        self.assertEqual(result["_meta"]["clawgw"]["model"], "local/smollm2-135m-instruct")
        greeting = first.said()

        first.forget()
        story = first.prompt(session, "Write a very long story about a dragon and a castle.")
        await first.when(lambda: len(first.updates) >= 5)
        first.notify("session/cancel", sessionId=session)
        self.assertEqual((await story)["stopReason"], "cancelled")
        half = first.said()
        self.assertTrue(half)
        await self.processor_rests(first)
        self.assertEqual(first.said(), half)
        self.assertEqual(self.listening_ports(first), [])
        self.assertEqual(await first.hang_up(), 0)
        self.assertEqual(first.junk, [])

        small = {"model": "local/smollm2-135m-instruct", "provider": {"contextWindow": 768}}
        second = self.agent({"stateDir": str(state), **small})
        await second.request("initialize", protocolVersion=1)
        await second.request("session/load", sessionId=session, cwd="/", mcpServers=[])
        self.assertEqual(
            [(u["sessionUpdate"], u["content"]["text"]) for u in second.updates],
            [
                ("user_message_chunk", "My name is Ada. Say hello to me."),
                ("agent_message_chunk", greeting),
                ("user_message_chunk", "Write a very long story about a dragon and a castle."),
                ("agent_message_chunk", half),
            ],
        )
        again = await second.prompt(session, "Say yes.")
        self.assertGreater(again["usage"]["inputTokens"], result["usage"]["inputTokens"])

        # the engine installs signal handlers of its own; the process must still obey
        second.transport.signalProcess("TERM")
        self.assertEqual(await second.ended, 0)

    async def test_long_conversations_two_sessions_and_messages_that_are_too_long(self) -> None:
        state = Path(self.mktemp()).resolve()
        peer = self.agent({"stateDir": str(state), "provider": None})
        long = await peer.start_session()
        other = (await peer.request("session/new", cwd="/", mcpServers=[]))["sessionId"]
        await peer.prompt(long, "Say yes.")
        self.grow(state / "agent-sessions" / f"{long}.json", turns=40)
        await peer.request("session/close", sessionId=long)
        await peer.request("session/load", sessionId=long, cwd="/", mcpServers=[])
        answers = await gatherResults(
            [peer.prompt(long, "And now?"), peer.prompt(other, "Name three colours.")]
        )
        for answer in answers:
            self.assertIn(answer["stopReason"], ("end_turn", "max_tokens"))
            self.assertGreater(answer["usage"]["outputTokens"], 1)

        # the estimate is far too bold for this one: about a token a character
        refused = await self.assertFailure(peer.prompt(other, "☃ " * 2500), RpcError)
        self.assertEqual(refused.data["kind"], "context")
        self.assertIn("too long for the local model", refused.message)
        self.assertGreater((await peer.prompt(other, "Hello."))["usage"]["outputTokens"], 0)

    async def test_file_that_is_no_model(self) -> None:
        broken = Path(self.mktemp()).resolve()
        broken.write_bytes(b"GGUF, but not really")
        peer = self.agent({"model": f"local/{broken}"})
        session = await peer.start_session()
        error = await self.assertFailure(peer.prompt(session, "hello"), RpcError)
        self.assertEqual(error.data["kind"], "local_model")
        self.assertIn(f"The local model {broken} cannot be loaded", error.message)

    async def processor_rests(self, peer: AgentPeer) -> None:
        """A generation keeps two threads busy; wait until nothing is."""
        stat = Path(f"/proc/{peer.transport.pid}/stat")
        deadline = reactor.seconds() + 5.0  # the story would take longer
        used, before = 0, -100
        while used - before > 2:  # ticks of 10 ms, in a quarter of a second
            self.assertLess(reactor.seconds(), deadline, "it goes on generating")
            await deferLater(reactor, 0.25)
            fields = stat.read_text().rsplit(")", 1)[1].split()
            before, used = used, int(fields[11]) + int(fields[12])

    def listening_ports(self, peer: AgentPeer) -> list[str]:
        """The TCP sockets of a process that listen."""
        sockets = set()
        for fd in Path(f"/proc/{peer.transport.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed in between
                sockets.add(os.readlink(fd))
        listening = "0A"
        return [
            line
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if line.split()[3] == listening and f"socket:[{line.split()[9]}]" in sockets
        ]

    def grow(self, file: Path, turns: int) -> None:
        """Make a stored conversation many times longer than the context."""
        document = json.loads(file.read_text())
        question = json.dumps(document["messages"][0]).replace("Say yes.", "Say yes. " * 60)
        document["messages"] = [json.loads(question), document["messages"][1]] * turns
        file.write_text(json.dumps(document))


class SignalTests(unittest.TestCase):
    timeout = 300

    async def test_asked_to_stop_while_a_model_loads(self) -> None:
        peer = start()
        self.addCleanup(end, peer)
        await peer.request("initialize", protocolVersion=1)
        os.kill(peer.transport.pid, signal.SIGTERM)
        self.assertEqual(await peer.ended, 0)
