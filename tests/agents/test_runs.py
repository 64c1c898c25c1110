"""Runs, with real agent processes and a real store."""

from __future__ import annotations

import shlex
import sys
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, gatherResults

from clawgw.agents import answering
from clawgw.agents.acp import AgentUnavailable
from clawgw.protocol.errors import RequestError
from clawgw.store import runs as run_table
from tests.agents.harness import WAIT_SECONDS, RunsTestCase, text_of
from tests.support.clocked import ClockedReactor
from tests.support.gateway import SCRIPTED_AGENT


class AnswerTests(RunsTestCase):
    """A message is answered."""

    async def test_is_streamed_and_kept(self) -> None:
        """Deltas add up to the final text, which is in the transcript with the message."""
        run = await self.ask("hello there crab", "run-1")
        self.assertEqual(run.state, "ok")
        deltas = self.recorder.chat("delta")
        self.assertEqual("".join(one["deltaText"] for one in deltas), "echo: hello there crab")
        (final,) = self.recorder.chat("final")
        self.assertEqual(text_of(final["message"]), "echo: hello there crab")
        self.assertEqual(final["runId"], "run-1")
        self.assertEqual(final["sessionKey"], "agent:main:main")
        user, answer = self.transcript()
        self.assertEqual((user["role"], text_of(user)), ("user", "hello there crab"))
        self.assertEqual((answer["role"], text_of(answer)), ("assistant", "echo: hello there crab"))
        self.assertEqual(answer["usage"], {"input": 3, "output": 5, "totalTokens": 8})
        self.assertEqual(answer["__openclaw"]["seq"], 2)

    async def test_events_come_in_order(self) -> None:
        """Lifecycle around everything, numbers without holes, `final` last."""
        await self.ask("THINK hello", "run-1")
        events = self.recorder.of("agent")
        self.assertEqual([one["seq"] for one in events], list(range(1, len(events) + 1)))
        self.assertEqual(events[0]["data"]["phase"], "start")
        self.assertEqual(events[-1]["data"]["phase"], "end")
        self.assertIn("thinking", self.recorder.streams())
        self.assertEqual(self.recorder.of("chat")[-1]["state"], "final")

    async def test_version_3_sees_the_key_its_asker_used(self) -> None:
        """Version 3 clients compare keys as text; and they know no `deltaText`."""
        await self.ask("hello", "run-1", key="main")
        old = [payload for name, payload in self.recorder.old if name == "chat"]
        self.assertEqual({one["sessionKey"] for one in old}, {"main"})
        self.assertNotIn("deltaText", old[0])
        self.assertNotIn("agentId", old[0])

    async def test_tool_calls(self) -> None:
        """A tool call is shown to those who want it, and is part of the transcript."""
        await self.ask("USETOOL please", "run-1")
        tools = [one["data"] for one in self.recorder.of("agent") if one["stream"] == "tool"]
        self.assertEqual([one["phase"] for one in tools], ["start", "result"])
        self.assertEqual(tools[0]["args"], {"command": "echo crab"})
        self.assertEqual(tools[1]["result"]["content"], [{"type": "text", "text": "crab"}])
        self.assertEqual(self.recorder.caps.count("tool-events"), 2)
        _, call, result, answer = self.transcript()
        self.assertEqual([one["type"] for one in call["content"]], ["text", "toolCall"])
        self.assertEqual((result["role"], result["isError"]), ("toolResult", False))
        self.assertEqual(text_of(answer), "echo: USETOOL please")
        (final,) = self.recorder.chat("final")
        self.assertEqual(text_of(final["message"]), "Let me see.\n\necho: USETOOL please")
        deltas = "".join(one["deltaText"] for one in self.recorder.chat("delta"))
        self.assertEqual(deltas, text_of(final["message"]))

    async def test_one_after_the_other(self) -> None:
        """Messages of one session are answered in their order, one at a time."""
        await self.send("HANG", "first", timeout_ms=0)
        for number in range(5):
            await self.send(f"message {number}", f"run-{number}")
        self.assertEqual(self.runs.counts(), (1, 5))
        await self.runs.abort("agent:main:main", "first")
        await self.runs.wait("run-4", int(WAIT_SECONDS * 1000))
        finals = [text_of(one["message"]) for one in self.recorder.chat("final")]
        self.assertEqual(finals, [f"echo: message {number}" for number in range(5)])

    async def test_sessions_side_by_side(self) -> None:
        """A slow answer in one session does not hold up another."""
        await self.send("SLOW", "slow", key="one")
        quick = await self.ask("hello", "quick", key="two")
        self.assertEqual(quick.state, "ok")
        self.assertEqual(self.runs.counts(), (1, 0))
        in_flight = self.runs.in_flight("agent:main:one")
        assert in_flight is not None
        self.assertEqual(in_flight.run_id, "slow")
        await self.runs.abort("agent:main:one", None)

    async def test_a_permission_is_refused(self) -> None:
        """Nobody can decide yet, so the agent is told no."""
        await self.ask("PERMIT", "run-1")
        (final,) = self.recorder.chat("final")
        self.assertIn('"optionId": "no"', text_of(final["message"]))

    async def test_files(self) -> None:
        """An image reaches the agent; the transcript only names it."""
        from clawgw.agents.prompts import File

        await self.ask("look", "run-1", files=(File("crab.png", "image/png", "iVBORw0="),))
        (final,) = self.recorder.chat("final")
        self.assertEqual(text_of(final["message"]), "echo: look <image>")
        self.assertIn("[attached: crab.png]", text_of(self.transcript()[0]))

    async def test_garbage_is_skipped(self) -> None:
        """A line that is no JSON does not end a turn."""
        run = await self.ask("GARBAGE hello", "run-1")
        self.assertEqual(run.state, "ok")


class EndTests(RunsTestCase):
    """Runs that end otherwise, each followed by one that works."""

    async def still_works(self) -> None:
        """Whatever happened, the next message is answered."""
        run = await self.ask("still there", "last")
        self.assertEqual((run.state, run.error), ("ok", None))

    async def fails(self, text: str, words: str, state: str = "error") -> dict[str, Any]:
        """A run fails with these words, in the event, the store and the transcript."""
        await self.send(text, "run-1")
        if state == "timeout":
            await self.until(lambda: self.recorder.chat("delta"))
            self.time_is_up("run-1")
        run = await self.runs.wait("run-1", int(WAIT_SECONDS * 1000))
        assert run is not None
        self.assertEqual(run.state, state)
        self.assertIn(words, run.error or "")
        (event,) = self.recorder.chat("error")
        self.assertIn(words, event["errorMessage"])
        last = self.transcript()[-1]
        self.assertIn(words, last["errorMessage"])
        return last

    def time_is_up(self, run_id: str) -> None:
        """Let the time limit of a run that goes on come now."""
        conclude = self.runs._tasks[run_id].conclude
        (limit,) = (one for one in self.reactor.getDelayedCalls() if one.func == conclude)
        limit.reset(0)

    async def test_the_agent_says_no(self) -> None:
        """An ACP error is the run's error."""
        await self.fails("FAIL", "the model is on fire")
        await self.still_works()

    async def test_the_agent_dies(self) -> None:
        """A crash in mid-turn is told with its exit code; what was said stays."""
        last = await self.fails("DIE", "exit code 7")
        self.assertEqual(text_of(last), "Hello")
        await self.still_works()

    async def test_too_long(self) -> None:
        """A time limit ends the run; the agent is made to end its turn."""
        last = await self.fails("SLOW", "did not finish within 15 s", "timeout")
        self.assertIn("word0", text_of(last))
        await self.still_works()

    async def test_an_agent_that_does_not_end(self) -> None:
        """It is killed, and started again for the next message."""
        await self.fails("HANG", "did not finish within 15 s", "timeout")
        await self.still_works()

    async def test_abort(self) -> None:
        """The run is over at once; the text so far stays."""
        await self.send("SLOW", "run-1", timeout_ms=0)
        await self.until(lambda: self.recorder.chat("delta"))
        ended = await self.runs.abort("agent:main:main", "run-1")
        self.assertEqual(ended, ["run-1"])
        (event,) = self.recorder.chat("aborted")
        self.assertEqual(event["stopReason"], "rpc")
        last = self.transcript()[-1]
        self.assertEqual(last["stopReason"], "rpc")
        self.assertTrue(text_of(last).startswith("word0"))
        count = len(self.recorder.events)
        session = self.book.get("agent:main:main")
        assert session is not None
        self.assertTrue(session.aborted)
        self.assertEqual(await self.runs.abort("agent:main:main", "run-1"), [])
        self.assertEqual(
            [name for name, _ in self.recorder.events[count:] if name in ("chat", "agent")], []
        )
        await self.still_works()

    async def test_abort_while_waiting(self) -> None:
        """A run that waits is taken out of the queue; nobody asks the agent."""
        await self.send("SLOW", "run-1", timeout_ms=0)
        await self.send("hello", "run-2")
        ended = await self.runs.abort("agent:main:main", "run-2")
        self.assertEqual(ended, ["run-2"])
        run = self.database.read(run_table.get, "run-2")
        assert run is not None
        self.assertEqual((run.state, run.started_at), ("aborted", None))
        self.assertEqual(await self.runs.abort("agent:main:main", None), ["run-1"])
        await self.still_works()

    async def test_stubborn(self) -> None:
        """An agent that goes on after a cancel is killed; the next message is not mixed up."""
        await self.send("STUBBORN", "run-1", timeout_ms=0)
        await self.until(lambda: self.recorder.chat("delta"))
        await self.runs.abort("agent:main:main", None)
        await self.still_works()

    async def test_another_session_that_begins_while_it_is_being_killed(self) -> None:
        """It waits for the end of the process too, and gets a new one."""
        agent = self.acp["main"]
        await agent.open_session("one", None)
        agent.kill("it did not end a turn that was cancelled")
        self.assertTrue(await agent.open_session("two", None))

    async def test_nobody_waits_for_a_stubborn_agent(self) -> None:
        """A Gateway that stops waits for runs that are not over, and for nothing else."""
        self.patch(answering, "DRAIN_SECONDS", 600.0)
        await self.send("HANG", "run-1", timeout_ms=0)
        await self.until(lambda: "lifecycle" in self.recorder.streams())
        await self.runs.abort("agent:main:main", "run-1")
        settled = self.runs.settled()
        self.assertEqual(self.runs.counts(), (0, 0))
        self.successResultOf(settled)

    async def test_an_answer_too_much_for_one_event(self) -> None:
        """Thousands of words at once are gathered, and all arrive."""
        run = await self.ask("FLOOD", "run-1", timeout_ms=0)
        self.assertEqual(run.state, "ok")
        deltas = self.recorder.chat("delta")
        self.assertLess(len(deltas), 500)
        self.assertEqual("".join(one["deltaText"] for one in deltas).count("word"), 5000)
        await self.still_works()


class NoAgentTests(RunsTestCase):
    """An agent that cannot be started."""

    agents = {  # noqa: RUF012
        "main": [sys.executable, "-u", SCRIPTED_AGENT],
        "absent": ["clawgw-no-such-program"],
        "broken": [sys.executable, "-c", "raise SystemExit(3)"],
    }

    async def test_says_what_is_wrong(self) -> None:
        """The error names the program, or how it ended; other agents work."""
        absent = await self.ask("hello", "run-1", key="agent:absent:main")
        self.assertIn("there is no program 'clawgw-no-such-program'", absent.error or "")
        broken = await self.ask("hello", "run-2", key="agent:broken:main")
        self.assertIn("exit code 3", broken.error or "")
        fine = await self.ask("hello", "run-3")
        self.assertEqual(fine.state, "ok")

    async def test_is_left_alone_when_it_keeps_failing(self) -> None:
        """After a few attempts it is not started for every message, and the error says so."""
        self.patch(self.acp["broken"], "_reactor", ClockedReactor())  # time stands still
        errors = [
            (await self.ask("hello", f"run-{number}", key="agent:broken:main")).error or ""
            for number in range(5)
        ]
        self.assertIn("exit code 3", errors[0])
        self.assertIn("it will be tried again in", errors[4])


class OnceTests(RunsTestCase):
    """The same key never acts twice."""

    async def test_the_same_call_again(self) -> None:
        """While it runs, after it, and after a restart: the same run, one message."""
        first, second = await DeferredList(
            [Deferred.fromCoroutine(self.send("hello", "run-1")) for _ in range(2)]
        )
        self.assertTrue(first[0] and second[0])
        await self.runs.wait("run-1", 20_000)
        again = await self.send("hello", "run-1")
        self.assertEqual(again.run_id, "run-1")
        await self.close()
        self.open()
        again = await self.send("hello", "run-1")
        self.assertEqual(again.state, "ok")
        roles = [message["role"] for message in self.transcript()]
        self.assertEqual(roles, ["user", "assistant"])

    async def test_another_call(self) -> None:
        """The same key with other words is refused, and does nothing."""
        await self.ask("hello", "run-1")
        with self.assertRaises(RequestError) as caught:
            await self.send("other", "run-1")
        self.assertIn("idempotencyKey", caught.exception.message)
        self.assertEqual(len(self.transcript()), 2)


class RestartTests(RunsTestCase):
    """What a crash leaves is taken up."""

    async def crash(self) -> None:
        """End everything without telling the runs."""
        for agent in self.acp.values():
            agent.kill("the test ends it")
        self.runs.stop()
        self.runs._database = self.runs._answering._database = _Deaf()  # type: ignore[assignment]
        await self.until(lambda: all(agent._process is None for agent in self.acp.values()))
        self.database.close()
        self.open()
        await self.runs.recover()

    async def test_waiting_runs_go_on(self) -> None:
        """The one that had begun ends with an error; the one that waited is answered."""
        await self.send("SLOW", "run-1")
        await self.send("hello", "run-2")
        await self.until(lambda: self.recorder.chat("delta"))
        await self.crash()
        second = await self.runs.wait("run-2", 20_000)
        assert second is not None
        self.assertEqual(second.state, "ok")
        first = await self.runs.wait("run-1", 0)
        assert first is not None
        self.assertEqual(first.state, "error")
        self.assertIn("restarted", first.error or "")
        texts = [text_of(one) or one.get("errorMessage") for one in self.transcript()]
        self.assertEqual(texts[:2], ["SLOW", "hello"])
        self.assertIn("echo: hello", texts)


class LoadTests(RunsTestCase):
    """An agent that can load sessions goes on after a restart."""

    environ = {  # noqa: RUF012
        "PATH": "/usr/local/bin:/usr/bin:/bin", "SCRIPTED_AGENT_LOADS": "1",
    }  # fmt: skip

    async def test_goes_on(self) -> None:
        """The same session is loaded, and its replay is shown to nobody."""
        await self.ask("first", "run-1")
        await self.close()
        self.open()
        await self.ask("REMEMBER", "run-2")
        (final,) = self.recorder.chat("final")
        self.assertEqual(text_of(final["message"]), '["loaded"]')

    async def test_begins_anew_after_a_reset(self) -> None:
        """A reset session is a new one for the agent too."""
        await self.ask("first", "run-1")
        old = self.book.get("agent:main:main")
        assert old is not None
        await self.book.reset(old.key, old.agent_id)
        self.acp["main"].forget_session(old.session_id)
        await self.ask("REMEMBER", "run-2")
        final = self.recorder.chat("final")[-1]
        self.assertEqual(text_of(final["message"]), "[]")
        self.assertEqual(len(self.transcript()), 2)


class IdleTests(RunsTestCase):
    """A process nobody needs is stopped."""

    idle_seconds = 0.2

    async def test_is_stopped_and_started(self) -> None:
        """After a while unused it ends; the next message starts it."""
        await self.ask("hello", "run-1")
        await self.until(lambda: self.acp["main"]._process is None)
        run = await self.ask("hello", "run-2")
        self.assertEqual(run.state, "ok")


class GoingTests(RunsTestCase):
    """A process that is about to end, and takes a moment for it, when the next message comes."""

    agents: dict[str, list[str]] = {  # noqa: RUF012
        "main": ["/bin/sh", "-c", shlex.join([sys.executable, "-u", SCRIPTED_AGENT]) + "; sleep 1"]
    }

    async def are_answered(self, *keys: str) -> None:
        """Messages to these sessions are answered, by a process that begins when that has ended."""
        runs = await gatherResults(
            [Deferred.fromCoroutine(self.ask("hello", f"run-{key}", key)) for key in keys]
        )
        self.assertEqual([(run.state, run.error) for run in runs], [("ok", None)] * len(keys))

    async def test_because_nobody_needed_it(self) -> None:
        """The message waits for the end, and so does one to another session."""
        await self.ask("hello", "run-1")
        agent = self.acp["main"]
        await self.until(lambda: agent._idle_call is not None)
        agent._idle_call.cancel()
        agent._idle()
        await self.are_answered("main", "other")

    async def test_when_the_gateway_stops_nothing_is_started_any_more(self) -> None:
        """Whoever waits for the end hears that."""
        agent = self.acp["main"]
        await agent.open_session("s", None)
        agent._idle()
        waiting = Deferred.fromCoroutine(agent.open_session("s", None))
        await agent.stop()
        with self.assertRaisesRegex(AgentUnavailable, "shutting down"):
            await waiting


class _Deaf:
    """A store that takes nothing more: what a killed process can still write."""

    def write(self, *_: Any, **__: Any) -> Deferred[Any]:
        """Never done."""
        return Deferred()

    def read(self, *_: Any, **__: Any) -> None:
        """Nothing there."""
