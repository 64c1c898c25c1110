"""What a person sent, as the agent gets it."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from clawgw.agents import prompts
from clawgw.agents.acp import AgentUnavailable, Capabilities
from clawgw.agents.prompts import File, Prompt, blocks, files_of, hints
from clawgw.protocol.agents import Attachment
from clawgw.protocol.errors import RequestError

ALL = Capabilities(images=True, audio=True, embedded_context=True)
NOTHING = Capabilities()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


class FileTests(SynchronousTestCase):
    """Attachments, as clients send them."""

    def file(self, **fields: Any) -> File:
        (file,) = files_of([Attachment(**fields)])
        return file

    def refusal(self, *attachments: dict[str, Any]) -> str:
        with self.assertRaises(RequestError) as caught:
            files_of([Attachment(**fields) for fields in attachments])
        self.assertEqual(caught.exception.code, "INVALID_REQUEST")
        return caught.exception.message

    def test_base64(self) -> None:
        content = base64_of(b"crab")
        file = self.file(content=content, mime_type="image/png", file_name="crab.png")
        self.assertEqual(file, File("crab.png", "image/png", content))

    def test_a_data_url_says_its_type(self) -> None:
        content = base64_of(b"crab")
        for given in ({}, {"mime_type": "text/plain"}):
            file = self.file(content=f"data:image/jpeg;base64,{content}", **given)
            self.assertEqual((file.mime_type, file.data), ("image/jpeg", content))
        file = self.file(content=f"data:;base64,{content}", mime_type="text/plain")
        self.assertEqual((file.mime_type, file.data), ("text/plain", content))
        file = self.file(content=f"data:text/plain;charset=utf-8;base64,{content}")
        self.assertEqual(file.mime_type, "text/plain")

    def test_a_data_url_that_is_no_base64(self) -> None:
        self.assertIn("base64", self.refusal({"content": "data:text/plain,crab"}))

    def test_left_out(self) -> None:
        first, second = files_of([Attachment(content="")] * 2)
        self.assertEqual((first.name, second.name), ("attachment-1", "attachment-2"))
        self.assertEqual(first.mime_type, "application/octet-stream")

    def test_names_are_cut(self) -> None:
        file = self.file(content="", file_name="x" * 5000, mime_type="y" * 5000)
        self.assertLess(len(file.name) + len(file.mime_type), 500)

    def test_the_refusal_says_which(self) -> None:
        good = {"content": base64_of(b"crab")}
        for bad in ("***", "abc", "ab\ncd", "data:image/png;base64,***", 7, None, ["x"]):
            self.assertEqual(
                self.refusal(good, {"content": bad}),
                "attachments/1/content: expected base64 text",
            )
        self.assertIn("attachments/0/content", self.refusal({"file_name": "x"}))

    def test_too_large(self) -> None:
        self.patch(prompts, "MAX_ATTACHMENT_BYTES", 12)
        self.assertEqual(self.file(content=base64_of(b"x" * 12)).data, base64_of(b"x" * 12))
        self.assertEqual(
            self.refusal({"content": base64_of(b"x" * 13)}),
            "attachments/0: larger than 12 bytes",
        )


class BlockTests(SynchronousTestCase):
    """ACP content blocks."""

    def block(self, mime_type: str, can: Capabilities = ALL, data: bytes = b"crab") -> Any:
        """The block of a file."""
        (block,) = blocks(Prompt("", (File("a file", mime_type, base64_of(data)),)), can)
        return block

    def refusal(self, mime_type: str, can: Capabilities) -> str:
        with self.assertRaises(AgentUnavailable) as caught:
            self.block(mime_type, can)
        return str(caught.exception)

    def test_text_after_its_context(self) -> None:
        self.assertEqual(
            blocks(Prompt("hello", context="be kind"), NOTHING),
            [{"type": "text", "text": "be kind"}, {"type": "text", "text": "hello"}],
        )

    def test_image_and_audio(self) -> None:
        for kind in ("image", "audio"):
            self.assertEqual(
                self.block(f"{kind}/x"),
                {"type": kind, "mimeType": f"{kind}/x", "data": base64_of(b"crab")},
            )

    def test_text_files_are_text(self) -> None:
        for mime_type in ("text/plain", "text/x-python", "application/json", "application/xml"):
            block = self.block(mime_type, data="Käfer".encode())
            self.assertEqual(block["type"], "resource")
            self.assertEqual(block["resource"]["text"], "Käfer")
            self.assertEqual(block["resource"]["mimeType"], mime_type)
            self.assertNotIn("blob", block["resource"])

    def test_text_of_another_encoding_does_no_harm(self) -> None:
        self.assertEqual(self.block("text/plain", data=b"\xff!")["resource"]["text"], "\ufffd!")

    def test_other_files(self) -> None:
        resource = self.block("application/pdf")["resource"]
        self.assertEqual(resource["blob"], base64_of(b"crab"))
        self.assertNotIn("text", resource)

    def test_what_the_agent_cannot_take_is_said_in_words(self) -> None:
        cases = {
            "image/png": (Capabilities(audio=True, embedded_context=True), "no image attachments"),
            "audio/wav": (Capabilities(images=True, embedded_context=True), "no audio attachments"),
            "text/plain": (Capabilities(images=True, audio=True), "no file attachments"),
        }
        for mime_type, (can, words) in cases.items():
            refusal = self.refusal(mime_type, can)
            self.assertIn(words, refusal)
            self.assertIn("a file", refusal)

    def test_hints(self) -> None:
        self.assertEqual(hints(Prompt("x")), {})
        self.assertEqual(
            hints(Prompt("x", model="a/b", thinking="high")), {"model": "a/b", "thinking": "high"}
        )

    def test_a_stored_prompt_is_the_same_after_a_restart(self) -> None:
        prompt = Prompt("x", (File("a", "text/plain", "eA=="),), "c", "high", "a/b", 0)
        stored = msgspec.json.encode(prompt)
        self.assertEqual(msgspec.json.decode(stored, type=Prompt), prompt)
