"""What is kept of a conversation, and what is sent of it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic_ai.messages import (
    BinaryContent,
    BinaryImage,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from twisted.trial import unittest

from clawgw.agents.builtin.errors import TurnError
from clawgw.agents.builtin.history import SessionStore, StoredSession, bounded, fitting
from clawgw.agents.builtin.local import Engine, LocalModel, estimate, fit, to_chat

Json = dict[str, Any]


def turn(question: str, answer: str) -> list[ModelMessage]:
    return [ModelRequest([UserPromptPart(question)]), ModelResponse([TextPart(answer)])]


def tool_turn(question: str) -> list[ModelMessage]:
    return [
        ModelRequest([UserPromptPart(question)]),
        ModelResponse([ToolCallPart("add", {"left": 1}, "c1")]),
        ModelRequest([ToolReturnPart("add", "x" * 900, "c1")]),
        ModelResponse([TextPart("done")]),
    ]


class StoreTests(unittest.TestCase):
    def store(self) -> tuple[SessionStore, Path]:
        state = Path(self.mktemp()).resolve()
        return SessionStore(str(state)), state / "agent-sessions"

    def test_what_was_stored_comes_back_images_included(self) -> None:
        store, _directory = self.store()
        picture = BinaryImage(b"\x89PNG", media_type="image/png")
        messages = [*tool_turn("a"), ModelRequest([UserPromptPart(["look", picture])])]
        store.save("s1", StoredSession("/home", messages))
        loaded = store.load("s1")
        assert loaded is not None
        self.assertEqual(loaded.cwd, "/home")
        self.assertEqual(loaded.messages, messages)

    def test_failed_write_leaves_the_old_file_and_nothing_else(self) -> None:
        store, directory = self.store()
        store.save("s1", StoredSession("/", turn("a", "b")))
        self.patch(os, "fsync", _raise(OSError("no space")))
        with self.assertRaises(OSError):
            store.save("s1", StoredSession("/", []))
        loaded = store.load("s1")
        assert loaded is not None
        self.assertEqual(len(loaded.messages), 2)
        self.assertEqual([p.name for p in directory.iterdir()], ["s1.json"])

    def test_damaged_files_are_named(self) -> None:
        store, directory = self.store()
        store.save("s1", StoredSession("/", turn("a", "b")))
        file = directory / "s1.json"
        good = file.read_text()
        wrong = {**json.loads(good), "messages": [{"kind": "nonsense"}]}
        for text in (good[:30], "[]", "{}", json.dumps({"format": 9}), json.dumps(wrong)):
            file.write_text(text)
            with self.assertRaises(TurnError) as caught:
                store.load("s1")
            self.assertIn(str(file), caught.exception.sentence)

    def test_ids_are_no_paths(self) -> None:
        store, directory = self.store()
        store.save("s1", StoredSession("/", []))
        (directory.parent / "secret.json").write_text("{}")
        for hostile in ("../secret", "/etc/passwd", "", "s1/", "a" * 200, "s1\0"):
            self.assertIsNone(store.load(hostile))

    def test_without_a_state_directory_nothing_is_kept(self) -> None:
        store = SessionStore(None)
        store.save("s1", StoredSession("/", turn("a", "b")))
        self.assertIsNone(store.load("s1"))


class FittingTests(unittest.TestCase):
    def test_oldest_turns_are_left_out_and_none_is_cut_in_two(self) -> None:
        messages = [*turn("first " * 100, "ok"), *tool_turn("second"), *turn("third", "ok")]
        self.assertEqual(fitting(messages, "now", 10_000), messages)
        self.assertEqual(fitting(messages, "now", 600), messages[2:])
        self.assertEqual(fitting(messages, "now", 100), messages[-2:])
        self.assertEqual(fitting(messages, "now " * 1000, 1000), [])
        self.assertEqual(fitting(messages, "now", None), messages)

    def test_endless_conversation_stays_bounded_at_the_start_of_a_turn(self) -> None:
        kept = bounded(tool_turn("again") * 1001)
        self.assertLessEqual(len(kept), 2000)
        self.assertGreater(len(kept), 1900)
        self.assertEqual(kept[0].parts[0].part_kind, "user-prompt")


class LocalChatTests(unittest.TestCase):
    def test_chat_is_text_and_takes_turns(self) -> None:
        picture = BinaryContent(b"\x89PNG", media_type="image/png")
        messages = [
            ModelResponse([TextPart("left over")]),
            *tool_turn("sum?"),
            ModelRequest([UserPromptPart(["look", picture])]),
            ModelRequest([UserPromptPart("well?")]),
        ]
        self.assertEqual(
            to_chat(messages),
            [
                {"role": "user", "content": "sum?"},
                {"role": "assistant", "content": "done"},
                {
                    "role": "user",
                    "content": "look\n\n[an attachment this model cannot read]\n\nwell?",
                },
            ],
        )

    def test_beginning_of_what_is_sent_stays_the_same_for_several_turns(self) -> None:
        chat = to_chat([message for n in range(30) for message in turn(f"q{n} " * 20, "ok " * 20)])
        room = sum(map(estimate, chat[:20]))
        beginnings = {fit(chat[:length], room)[0]["content"] for length in range(31, 37, 2)}
        self.assertEqual(len(beginnings), 1)
        self.assertLessEqual(sum(map(estimate, fit(chat, room))), room)

    def test_last_message_is_never_left_out(self) -> None:
        chat = to_chat([*turn("a", "b"), ModelRequest([UserPromptPart("c" * 9000)])])
        self.assertEqual(fit(chat, 10), chat[-1:])


class CountingServer:
    """An engine to which every character is a token."""

    def __init__(self, context: int) -> None:
        self.context = context
        self.requests: list[Json] = []

    def handle_chat_completions(self, request: Json, callback: Callable[[Json], bool]) -> None:
        self.requests.append(request)
        tokens = sum(len(message["content"]) for message in request["messages"])
        if tokens + request["max_tokens"] > self.context:
            kind = {"type": "exceed_context_size_error", "n_prompt_tokens": tokens}
            callback({"error": {"code": 400, **kind, "n_ctx": self.context}})
            return
        callback({"choices": [{"delta": {"reasoning_content": "hm"}}]})
        callback({"choices": [{"delta": {"content": "yes"}, "finish_reason": "length"}]})


class OverflowTests(unittest.TestCase):
    def ask(self, server: CountingServer, messages: list[ModelMessage]) -> ModelResponse:
        from pydantic_ai.models import ModelRequestParameters

        model = LocalModel(Engine(server, "counting", server.context), "Be brief.")
        return asyncio.run(model.request(messages, None, ModelRequestParameters()))

    def test_engine_that_counts_more_tokens_gets_fewer_messages(self) -> None:
        server = CountingServer(1200)
        conversation = [message for n in range(40) for message in turn(f"q{n} " * 10, "ok " * 10)]
        conversation.append(ModelRequest([UserPromptPart("and now?")]))
        response = self.ask(server, conversation)
        self.assertEqual([p.part_kind for p in response.parts], ["thinking", "text"])
        self.assertEqual(response.finish_reason, "length")
        self.assertGreater(len(server.requests), 1)
        sent = server.requests[-1]["messages"]
        self.assertEqual(sent[0], {"role": "system", "content": "Be brief."})
        self.assertEqual(sent[-1]["content"], "and now?")
        self.assertGreater(len(sent), 3)

    def test_single_message_that_cannot_fit_is_an_error(self) -> None:
        with self.assertRaises(TurnError) as caught:
            self.ask(CountingServer(900), [ModelRequest([UserPromptPart("x" * 1500)])])
        self.assertIn("too long for the local model, which reads 900 tokens", str(caught.exception))


def _raise(error: Exception) -> Callable[..., None]:
    def raiser(*_args: object) -> None:
        raise error

    return raiser
