"""A run's updates as events and as a transcript, with a clock for the gathering."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from clawgw.agents.stream import RunNames, RunStream
from tests.agents.harness import Recorder, text_of

NAMES = RunNames("run-1", "agent:main:main", "main", "session-1", "main")


class Recording(Recorder):
    """Also keeps whether an event may be dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.droppable: list[bool] = []

    def publish(self, name: str, payload: Any, **how: Any) -> None:
        """See `Recorder`."""
        super().publish(name, payload, **how)
        self.droppable.append(bool(how.get("droppable")))


class StreamTestCase(SynchronousTestCase):
    """One run."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.recorder = Recording()
        self.stream = RunStream(
            self.clock, self.recorder, NAMES, lambda: int(self.clock.seconds() * 1000)
        )

    def say(self, text: str) -> None:
        """A piece of the answer."""
        content = {"type": "text", "text": text}
        self.stream.update({"sessionUpdate": "agent_message_chunk", "content": content})

    def think(self, text: str) -> None:
        """A piece of a thought."""
        content = {"type": "text", "text": text}
        self.stream.update({"sessionUpdate": "agent_thought_chunk", "content": content})

    def call(self, call_id: str = "call-1", title: str = "exec", **fields: Any) -> None:
        """A tool call begins."""
        about = {"toolCallId": call_id, "title": title, "rawInput": {"command": "ls"}}
        self.stream.update({"sessionUpdate": "tool_call", **about, **fields})

    def result(
        self, text: str = "crab", call_id: str = "call-1", status: str = "completed"
    ) -> None:
        """A tool call goes on."""
        content = [{"type": "content", "content": {"type": "text", "text": text}}]
        about = {"toolCallId": call_id, "status": status, "content": content}
        self.stream.update({"sessionUpdate": "tool_call_update", **about})

    def deltas(self) -> list[str]:
        return [event["deltaText"] for event in self.recorder.chat("delta")]

    def data(self, stream: str) -> list[dict[str, Any]]:
        """The data of the `agent` events of a stream."""
        return [one["data"] for one in self.recorder.of("agent") if one["stream"] == stream]


class GatheringTests(StreamTestCase):
    """Small pieces go out together."""

    def test_the_first_words_at_once_the_others_in_twentieths_of_a_second(self) -> None:
        self.say("Hello")
        self.clock.advance(0)
        self.assertEqual(self.deltas(), ["Hello"])
        for word in (" from", " the", " crab"):
            self.say(word)
            self.clock.advance(0.01)
        self.assertEqual(self.deltas(), ["Hello"])
        self.clock.advance(0.02)
        self.assertEqual(self.deltas(), ["Hello", " from the crab"])
        self.clock.advance(1)
        self.assertEqual(len(self.deltas()), 2, "nothing new, nothing sent")

    def test_what_events_say(self) -> None:
        self.say("Hello")
        self.clock.advance(0)
        self.say(" crab")
        self.clock.advance(0.05)
        self.assertEqual(
            self.data("assistant"),
            [{"text": "Hello", "delta": "Hello"}, {"text": "Hello crab", "delta": " crab"}],
        )
        last = self.recorder.chat("delta")[-1]
        self.assertEqual(text_of(last["message"]), "Hello crab")
        self.assertEqual(last["message"]["role"], "assistant")
        self.assertEqual(
            {name: last[name] for name in ("runId", "sessionKey", "agentId", "deltaText")},
            {
                "runId": "run-1",
                "sessionKey": "agent:main:main",
                "agentId": "main",
                "deltaText": " crab",
            },
        )

    def test_a_long_answer_is_gathered_longer(self) -> None:
        """Every delta carries the whole text, so their number must not grow with its length."""
        self.say("x" * 100_000)
        self.clock.advance(0)
        self.say("y")
        self.clock.advance(0.4)
        self.assertEqual(len(self.deltas()), 1)
        self.clock.advance(0.11)
        self.assertEqual(self.deltas()[1:], ["y"])

    def test_an_answer_of_many_pieces_costs_what_it_is_long(self) -> None:
        for _ in range(20_000):
            self.say("word ")
            self.clock.advance(0.0005)
        self.clock.advance(10)
        self.assertEqual("".join(self.deltas()), "word " * 20_000)
        sent = sum(len(text_of(one["message"])) for one in self.recorder.chat("delta"))
        self.assertLess(sent, 40 * 100_000)

    def test_thoughts_are_gathered_too(self) -> None:
        for _ in range(20_000):
            self.think("hmm ")
            self.clock.advance(0.0005)
        self.clock.advance(10)
        thoughts = self.data("thinking")
        self.assertEqual("".join(one["delta"] for one in thoughts), "hmm " * 20_000)
        self.assertEqual(thoughts[-1]["text"], "hmm " * 20_000)
        self.assertLess(sum(len(one["text"]) for one in thoughts), 40 * 80_000)

    def test_thoughts_and_words_keep_their_order(self) -> None:
        self.think("a")
        self.say("b")
        self.think("c")
        self.say("d")
        self.clock.advance(1)
        self.assertEqual(
            [(one["stream"], one["data"]["delta"]) for one in self.recorder.of("agent")],
            [("thinking", "a"), ("assistant", "b"), ("thinking", "c"), ("assistant", "d")],
        )

    def test_a_tool_call_does_not_overtake_words(self) -> None:
        self.say("Let me see")
        self.call()
        self.assertEqual(self.recorder.streams(), ["assistant", "tool"])

    def test_empty_pieces_and_unknown_updates_are_nothing(self) -> None:
        for update in (
            {},
            {"sessionUpdate": "agent_message_chunk"},
            {"sessionUpdate": "agent_message_chunk", "content": "text"},
            {"sessionUpdate": "agent_message_chunk", "content": {"type": "text"}},
            {"sessionUpdate": "agent_message_chunk", "content": {"type": "image", "data": "x"}},
            {"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": ""}},
            {"sessionUpdate": "user_message_chunk", "content": {"type": "text", "text": "x"}},
            {"sessionUpdate": "tool_call_update", "toolCallId": "no such call"},
            {"sessionUpdate": "something_new"},
        ):
            self.stream.update(update)
        self.clock.advance(1)
        self.assertEqual(self.recorder.events, [])

    def test_a_link(self) -> None:
        content = {"type": "resource_link", "name": "docs", "uri": "https://x.example"}
        self.stream.update({"sessionUpdate": "agent_message_chunk", "content": content})
        self.assertEqual(self.stream.text, "[docs](https://x.example)")

    def test_a_plan(self) -> None:
        self.stream.update({"sessionUpdate": "plan", "entries": [{"content": "dig"}]})
        self.assertEqual(self.data("plan"), [{"entries": [{"content": "dig"}]}])


class PartTests(StreamTestCase):
    """Text before and after tools is one answer."""

    def test_parts_are_joined_by_an_empty_line(self) -> None:
        self.say("One.")
        self.call()
        self.result()
        self.say("Two")
        self.say(".")
        self.clock.advance(1)
        self.assertEqual(self.stream.text, "One.\n\nTwo.")
        self.assertEqual(self.deltas(), ["One.", "\n\nTwo."])
        self.assertEqual(text_of(self.recorder.chat("delta")[-1]["message"]), "One.\n\nTwo.")
        self.assertEqual(self.data("assistant")[-1], {"text": "Two.", "delta": "Two."})

    def test_deltas_always_add_up(self) -> None:
        for number in range(3):
            self.say(f"Part {number}")
            self.clock.advance(1)
            self.say(" goes on.")
            self.call(f"call-{number}")
            self.result(call_id=f"call-{number}")
        self.say("End.")
        self.clock.advance(1)
        self.assertEqual("".join(self.deltas()), self.stream.text)

    def test_no_break_before_the_first_words(self) -> None:
        self.call()
        self.result()
        self.say("Done.")
        self.clock.advance(1)
        self.assertEqual((self.deltas(), self.stream.text), (["Done."], "Done."))


class ToolTests(StreamTestCase):
    """Tool calls, for those who want to see them."""

    def test_start_update_result(self) -> None:
        self.call()
        self.result("cr", status="in_progress")
        self.result("crab")
        start, update, result = self.data("tool")
        about = {"name": "exec", "toolCallId": "call-1"}
        self.assertEqual(start, {"phase": "start", **about, "args": {"command": "ls"}})
        partial = {"content": [{"type": "text", "text": "cr"}]}
        self.assertEqual(update, {"phase": "update", **about, "partialResult": partial})
        whole = {"content": [{"type": "text", "text": "crab"}]}
        self.assertEqual(result, {"phase": "result", **about, "isError": False, "result": whole})
        self.assertEqual(self.recorder.caps, ["tool-events"] * 3)
        self.assertEqual(self.recorder.droppable, [False, True, False])

    def test_a_failure(self) -> None:
        self.call()
        self.result("no such file", status="failed")
        self.assertTrue(self.data("tool")[-1]["isError"])

    def test_a_call_that_is_done_at_once(self) -> None:
        self.call(status="completed", rawOutput="crab")
        start, result = self.data("tool")
        self.assertEqual((start["phase"], result["phase"]), ("start", "result"))
        self.assertEqual(result["result"]["content"], [{"type": "text", "text": "crab"}])

    def test_what_a_tool_brings(self) -> None:
        self.call()
        content = [
            {"type": "diff", "path": "/a.txt", "newText": "new"},
            {
                "type": "content",
                "content": {"type": "image", "data": "eA==", "mimeType": "image/x"},
            },
            {"type": "terminal", "terminalId": "1"},
            "garbage",
        ]
        self.stream.update(
            {"sessionUpdate": "tool_call_update", "toolCallId": "call-1", "content": content}
        )
        (_, update) = self.data("tool")
        self.assertEqual(
            update["partialResult"]["content"],
            [
                {"type": "text", "text": "/a.txt\nnew"},
                {"type": "image", "data": "eA==", "mimeType": "image/x"},
            ],
        )

    def test_its_name(self) -> None:
        self.call("a", "Reading a file", _meta={"toolName": "read"})
        self.call("b", "Reading a file")
        self.call("c", "", kind="execute")
        self.call("d", "", kind="")
        self.call("e", "x" * 5000)
        names = [one["name"] for one in self.data("tool")]
        self.assertEqual(names[:4], ["read", "Reading a file", "execute", "tool"])
        self.assertLess(len(names[4]), 300)

    def test_a_flood_from_a_tool_is_cut(self) -> None:
        self.call()
        self.result("x" * 1_000_000)
        (block,) = self.data("tool")[-1]["result"]["content"]
        self.assertLess(len(block["text"]), 200_000)


class EndTests(StreamTestCase):
    """How a run ends for those who watch."""

    def test_an_answer(self) -> None:
        self.stream.started(5)
        self.say("Hello")
        self.stream.ended(9, {"role": "assistant", "content": []}, "stop")
        self.assertEqual(self.deltas(), ["Hello"], "what waited goes out first")
        lifecycle = self.data("lifecycle")
        self.assertEqual(
            lifecycle, [{"phase": "start", "startedAt": 5}, {"phase": "end", "endedAt": 9}]
        )
        (final,) = self.recorder.chat("final")
        self.assertEqual(final["stopReason"], "stop")
        self.assertEqual(self.recorder.events[-1][0], "chat")
        self.assertFalse(self.recorder.droppable[-1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_error(self) -> None:
        self.stream.failed(9, "the model is on fire", "unknown", None)
        self.assertEqual(
            self.data("lifecycle"),
            [{"phase": "error", "endedAt": 9, "error": "the model is on fire"}],
        )
        (event,) = self.recorder.chat("error")
        self.assertEqual(event["errorMessage"], "the model is on fire")
        self.assertEqual(event["errorKind"], "unknown")
        self.assertNotIn("message", event)
        old = self.recorder.old[-1][1]
        self.assertEqual(old["errorMessage"], "the model is on fire")
        self.assertNotIn("errorKind", old)

    def test_an_abort(self) -> None:
        message = {"role": "assistant", "content": [{"type": "text", "text": "Hel"}]}
        self.stream.aborted(9, message, "rpc")
        (event,) = self.recorder.chat("aborted")
        self.assertEqual((event["stopReason"], event["message"]), ("rpc", message))
        self.assertEqual(
            self.data("lifecycle"),
            [{"phase": "end", "endedAt": 9, "aborted": True, "stopReason": "rpc"}],
        )

    def test_nothing_the_agent_says_afterwards_counts(self) -> None:
        self.say("Hello")
        self.stream.close()
        count = len(self.recorder.events)
        self.say(" again")
        self.think("hmm")
        self.call()
        self.clock.advance(1)
        self.assertEqual(len(self.recorder.events), count)
        self.assertEqual(self.stream.text, "Hello")

    def test_events_are_numbered_per_run_and_ends_are_never_dropped(self) -> None:
        self.stream.started(1)
        self.say("Hello")
        self.clock.advance(0)
        self.stream.ended(2, {"role": "assistant", "content": []}, "stop")
        agent = self.recorder.of("agent")
        self.assertEqual([one["seq"] for one in agent], [1, 2, 3])
        self.assertEqual(self.recorder.droppable, [False, True, True, False, False])

    def test_version_3_knows_the_key_its_asker_used(self) -> None:
        self.say("Hello")
        self.clock.advance(0)
        for _, old in self.recorder.old:
            self.assertEqual(old["sessionKey"], "main")
            for new in ("agentId", "sessionId", "deltaText"):
                self.assertNotIn(new, old)


class TranscriptTests(StreamTestCase):
    """What is kept."""

    def transcript(self, **closing: Any) -> list[dict[str, Any]]:
        return self.stream.transcript(7, closing or {"stopReason": "stop"})

    def test_a_plain_answer(self) -> None:
        self.say("Hello")
        self.assertEqual(
            self.transcript(stopReason="stop", usage={"input": 1}),
            [
                {
                    "role": "assistant",
                    "content": [{"type": "text", "text": "Hello"}],
                    "timestamp": 7,
                    "stopReason": "stop",
                    "usage": {"input": 1},
                }
            ],
        )

    def test_tools(self) -> None:
        self.think("hmm")
        self.say("Let me see.")
        self.call()
        self.result()
        self.say("A crab.")
        call, result, answer = self.transcript()
        self.assertEqual(
            call["content"],
            [
                {"type": "thinking", "thinking": "hmm"},
                {"type": "text", "text": "Let me see."},
                {
                    "type": "toolCall",
                    "id": "call-1",
                    "name": "exec",
                    "arguments": {"command": "ls"},
                },
            ],
        )
        self.assertEqual(call["stopReason"], "toolUse")
        self.assertEqual(
            result,
            {
                "role": "toolResult",
                "toolCallId": "call-1",
                "toolName": "exec",
                "content": [{"type": "text", "text": "crab"}],
                "isError": False,
                "timestamp": 7,
            },
        )
        self.assertEqual((answer["stopReason"], text_of(answer)), ("stop", "A crab."))

    def test_several_tools_at_once(self) -> None:
        self.call("a")
        self.call("b")
        self.result("two", "b")
        self.result("one", "a", "failed")
        self.say("Done.")
        call, one, two, _ = self.transcript()
        self.assertEqual([block["id"] for block in call["content"]], ["a", "b"])
        self.assertEqual([one["isError"], two["isError"]], [True, False])

    def test_a_tool_that_was_never_done(self) -> None:
        self.call()
        self.stream.close()
        call, result = self.transcript()
        self.assertEqual(call["content"][0]["type"], "toolCall")
        self.assertTrue(result["isError"])

    def test_an_error_has_a_message_of_its_own(self) -> None:
        self.call()
        *_, last = self.transcript(stopReason="error", errorMessage="on fire")
        self.assertEqual((last["content"], last["errorMessage"]), ([], "on fire"))

    def test_no_words_at_all(self) -> None:
        (message,) = self.transcript()
        self.assertEqual((message["role"], message["content"]), ("assistant", []))
