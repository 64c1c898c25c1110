"""The generated files: current, well formed, the same in every run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase

from clawgw.protocol import schema, swift
from clawgw.protocol.__main__ import FILES, content, main
from clawgw.protocol.catalog import event_types, method_types
from tests.protocol import recorded
from tests.protocol.processes import python


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and complaint of the command."""
    complaint = io.StringIO()
    with contextlib.redirect_stderr(complaint):
        return main(arguments), complaint.getvalue()


class CommandTests(SynchronousTestCase):
    """`python -m clawgw.protocol`."""

    def test_the_committed_files_are_current(self) -> None:
        for what in FILES:
            self.assertEqual(run(what, "--check"), (0, ""))

    def test_writes_what_check_is_content_with(self) -> None:
        for what in FILES:
            path = self.mktemp()
            self.assertEqual(run(what, path), (0, ""))
            self.assertEqual(run(what, "--check", path), (0, ""))

    def test_an_old_file_is_a_sentence_that_says_what_to_do(self) -> None:
        path = Path(self.mktemp())
        path.write_text("{}", encoding="utf-8")
        for what in FILES:
            code, complaint = run(what, "--check", str(path))
            self.assertEqual(code, 1)
            self.assertEqual(
                complaint,
                f"{path} is not current: run `python -m clawgw.protocol {what} {path}`\n",
            )
        self.assertEqual(path.read_text(encoding="utf-8"), "{}")

    def test_a_missing_file_is_not_current(self) -> None:
        self.assertEqual(run("schema", "--check", self.mktemp())[0], 1)

    def test_a_place_that_cannot_be_written_is_a_sentence(self) -> None:
        path = os.path.join(self.mktemp(), "schema.json")
        code, complaint = run("schema", path)
        self.assertEqual((code, complaint), (1, f"cannot use {path}: No such file or directory\n"))

    def test_every_process_gives_the_same(self) -> None:
        program = "from clawgw.protocol.__main__ import content; print(content('swift'), end='')"
        program += "; print(content('schema'), end='')"
        for seed in ("1", "2"):
            process = python(program, PYTHONHASHSEED=seed)
            self.assertEqual(process.stdout, content("swift") + content("schema"), process.stderr)


class DocumentTests(SynchronousTestCase):
    """The schema document."""

    def setUp(self) -> None:
        self.document = json.loads(content("schema"))

    def test_is_a_schema(self) -> None:
        Draft202012Validator.check_schema(self.document)
        self.assertEqual(self.document["$schema"], schema.DIALECT)

    def test_has_every_method_and_event(self) -> None:
        self.assertEqual(set(self.document["methods"]), set(method_types()))
        self.assertEqual(set(self.document["events"]), set(event_types()))

    def test_every_reference_leads_somewhere(self) -> None:
        for reference in self.references(self.document):
            self.assertIn(reference.removeprefix("#/$defs/"), self.document["$defs"])

    def references(self, part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            part = list(part.values())
        if isinstance(part, list):
            for inner in part:
                yield from self.references(inner)

    def test_takes_the_recorded_frames(self) -> None:
        validator = Draft202012Validator(self.document)
        for version in recorded.VERSIONS:
            for line in recorded.flow(version, "sessions") + recorded.flow(version, "chat.send"):
                self.assertEqual([error.message for error in validator.iter_errors(line.frame)], [])
        self.assertFalse(validator.is_valid({"type": "req", "id": "1"}))
        self.assertFalse(validator.is_valid({"type": "note"}))

    def test_takes_the_recorded_hello(self) -> None:
        """The snapshot's parts are bytes to the decoder; the schema knows what is in them."""
        root = {"$ref": "#/$defs/HelloOk", "$defs": self.document["$defs"]}
        validator = Draft202012Validator(root)
        for version in recorded.VERSIONS:
            hello = recorded.flow(version, "connect")[2].frame["payload"]
            self.assertEqual([error.message for error in validator.iter_errors(hello)], [])
            hello["snapshot"]["presence"][0]["ts"] = "now"
            self.assertFalse(validator.is_valid(hello))

    def test_what_a_client_sends_is_closed(self) -> None:
        definitions = self.document["$defs"]
        self.assertIs(definitions["ChatSendParams"]["additionalProperties"], False)
        self.assertNotIn("additionalProperties", definitions["HelloOk"])

    def test_says_const_where_there_is_no_choice(self) -> None:
        self.assertEqual(
            self.document["$defs"]["RequestFrame"]["properties"]["type"], {"const": "req"}
        )


class SwiftTests(SynchronousTestCase):
    """The Swift models. No compiler is needed: what is looked at is their structure."""

    def setUp(self) -> None:
        self.document = schema.document()
        self.text = swift.generate(self.document)

    def test_follows_from_the_schema_file_alone(self) -> None:
        self.assertEqual(swift.generate(json.loads(schema.render(self.document))), self.text)

    def test_every_definition_is_a_struct(self) -> None:
        structs = re.findall(r"^public struct (\w+): Codable", self.text, re.MULTILINE)
        self.assertEqual(structs, list(self.document["$defs"]))

    def test_every_type_is_declared_once(self) -> None:
        declared = re.findall(r"^public (?:struct|enum) (\w+)", self.text, re.MULTILINE)
        self.assertEqual(len(declared), len(set(declared)))
        known = {*declared, "String", "Int", "Double", "Bool"}
        for type_ in re.findall(r"public let \S+: (.+)$", self.text, re.MULTILINE):
            self.assertLessEqual(set(re.findall(r"\w+", type_)), known, type_)

    def test_braces_and_brackets_are_balanced(self) -> None:
        code = re.sub(r'"[^"\n]*"|//[^\n]*', "", self.text)
        for opening, closing in ("{}", "()", "[]"):
            self.assertEqual(code.count(opening), code.count(closing))

    def test_optional_and_nullable_fields(self) -> None:
        for line in (
            "    public let sessionKey: String\n    public let message: String\n",
            "    public let attachments: [Attachment]?\n",
            "    public let permissions: [String: Bool]?\n",
            "    public let label: String??\n",
            "    public let updatedAt: Int?\n",
            "    public let nextOffset: Int?\n",
            "    public let fastMode: JSONValue??\n",
            "    public let expectedMarkedUnreadAt: Double??\n",
            "    public let version: Int\n",
        ):
            self.assertIn(line, self.text)

    def test_reserved_words_are_quoted(self) -> None:
        self.assertIn("    public let `protocol`: Int\n", self.text)
        self.assertIn('    case `default` = "default"\n', self.text)
        self.assertIn("        self.`protocol` = `protocol`\n", self.text)

    def test_enums_keep_the_words_of_the_wire(self) -> None:
        self.assertIn('    case readOnly = "read-only"\n', self.text)
        self.assertIn('    case chatSend = "chat.send"\n', self.text)
        self.assertIn("    public let queueMode: ChatSendParamsQueueMode?\n", self.text)

    def test_a_struct_with_names_swift_cannot_have(self) -> None:
        document = {
            "methods": {},
            "events": {},
            "discriminator": {"propertyName": "type", "mapping": {}},
            "$defs": {"Odd": {"type": "object", "properties": {"a-b": {"type": "string"}}}},
        }
        text = swift.generate(document)
        self.assertIn("    public let aB: String?\n", text)
        self.assertIn('        case aB = "a-b"\n', text)
