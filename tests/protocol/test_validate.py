"""Decoding hostile and sloppy input, and the sentences a client reads about it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from clawgw.protocol.agents import AgentParams
from clawgw.protocol.base import MAX_INTEGER, AnyParams, NoParams
from clawgw.protocol.chat import ChatHistoryParams, ChatSendParams
from clawgw.protocol.connect import ConnectParams
from clawgw.protocol.sessions import SessionsPatchParams, SessionsPreviewParams
from clawgw.protocol.validate import MalformedJson, ParamsDecoder, ParamsRejected, explain, problems
from tests.protocol.processes import python

MESSAGE = {"sessionKey": "main", "message": "Hello", "idempotencyKey": "k"}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


class DecodeTests(SynchronousTestCase):
    """Bytes become a typed value, or one of two errors."""

    def setUp(self) -> None:
        self.decoder = ParamsDecoder(ChatSendParams)

    def test_gives_the_typed_value(self) -> None:
        params = self.decoder.decode(encoded(MESSAGE))
        self.assertEqual((params.session_key, params.message), ("main", "Hello"))
        self.assertEqual(self.decoder.decode(msgspec.Raw(encoded(MESSAGE))), params)

    def test_whole_numbers_may_be_written_as_floats(self) -> None:
        for literal, expected in (("1.0", 1), ("1e3", 1000), ("2.5E1", 25), ("-0.0", 0)):
            raw = encoded(MESSAGE)[:-1] + b', "timeoutMs": %b}' % literal.encode()
            timeout = self.decoder.decode(raw).timeout_ms
            self.assertEqual((timeout, type(timeout)), (expected, int))

    def test_numbers_that_are_no_counts_are_refused(self) -> None:
        for literal in ("1.5", "-1", "true", '"1"', "null", "1e300", str(MAX_INTEGER + 1)):
            raw = encoded(MESSAGE)[:-1] + b', "timeoutMs": %b}' % literal.encode()
            self.assertRaises(ParamsRejected, self.decoder.decode, raw)

    def test_the_largest_count_is_kept_exactly(self) -> None:
        raw = encoded({**MESSAGE, "timeoutMs": MAX_INTEGER})
        self.assertEqual(self.decoder.decode(raw).timeout_ms, MAX_INTEGER)

    def test_a_length_counts_characters(self) -> None:
        for letter in ("a", "\N{CRAB}", "é"):
            fits = {**MESSAGE, "sessionKey": letter * 512}
            self.assertEqual(self.decoder.decode(encoded(fits)).session_key, letter * 512)
            long = {**MESSAGE, "sessionKey": letter * 513}
            self.assertRaises(ParamsRejected, self.decoder.decode, encoded(long))

    def test_a_rejection_carries_the_value_and_does_not_show_it(self) -> None:
        rejected = self.assertRaises(
            ParamsRejected, self.decoder.decode, b'{"message": "hunter2", "timeoutMs": 1.0}'
        )
        self.assertEqual(rejected.value, {"message": "hunter2", "timeoutMs": 1})
        self.assertNotIn("hunter2", f"{rejected} {rejected!r}")
        self.assertIsNone(rejected.__cause__)

    def test_what_is_no_json_is_said_in_a_sentence(self) -> None:
        for raw, sentence in (
            (b"", "ends too early"),
            (b'{"message": "x', "ends too early"),
            (b'{"message": "\\ud800"}', "surrogate"),
            (b'{"message": "\\ud800\\ud800"}', "surrogate"),
            (b'{"message": "\xff"}', "not valid UTF-8"),
            (b'{"message": 1, "\xff": 1}', "not valid UTF-8"),
            (b'\xef\xbb\xbf{"message": 1}', "invalid character"),
            (b'{"message": 1}}', "trailing characters"),
            (b'{"message": NaN}', "invalid character"),
            (b"[" * 100_000, "nested too deeply"),
            (b'{"toolBindings": ' + b'{"a": ' * 50_000, "nested too deeply"),
            (b'{"timeoutMs": %b}' % (b"9" * 5000), "too large"),
            (b'{"timeoutMs": 1e999}', "too large"),
            (b'{"toolBindings": {"a": -1e999}}', "too large"),
        ):
            problem = self.assertRaises(MalformedJson, self.decoder.decode, raw)
            self.assertIn(sentence, str(problem))

    def test_values_that_are_no_object_are_rejected(self) -> None:
        for params in (NoParams, AnyParams, ChatSendParams):
            for raw in (b"[]", b"null", b"1", b"1.0", b'"x"', b"true"):
                self.assertRaises(ParamsRejected, ParamsDecoder(params).decode, raw)

    def test_any_params_takes_whatever_object(self) -> None:
        self.assertEqual(ParamsDecoder(AnyParams).decode(b'{"x": [1.5, {}]}'), AnyParams())


class ExplainTests(SynchronousTestCase):
    """Every wrong field by its path, no value, bounded work."""

    def explained(self, params: type[Any], value: Any, limit: int = 8) -> str:
        decoder = ParamsDecoder(params)
        rejected = self.assertRaises(ParamsRejected, decoder.decode, encoded(value))
        return explain("x", decoder.schema, rejected.value, limit).removeprefix(
            "invalid x params: "
        )

    def test_missing_fields_as_the_original_says_it(self) -> None:
        decoder = ParamsDecoder(ChatSendParams)
        self.assertEqual(
            explain("chat.send", decoder.schema, {"sessionKey": "main"}),
            "invalid chat.send params: must have required property 'message'; "
            "must have required property 'idempotencyKey'",
        )

    def test_a_field_by_its_path(self) -> None:
        for field, wrong, sentence in (
            ("attachments", [{}, {"fileName": 3}], "at /attachments/1/fileName: must be string"),
            ("message", 1, "at /message: must be string"),
            ("sessionKey", "", "at /sessionKey: must NOT have fewer than 1 character"),
            ("sessionKey", "k" * 513, "at /sessionKey: must NOT have more than 512 characters"),
            ("timeoutMs", True, "at /timeoutMs: must be integer"),
            ("timeoutMs", -1, "at /timeoutMs: must be >= 0"),
            ("timeoutMs", 2**53, f"at /timeoutMs: must be <= {MAX_INTEGER}"),
            ("deliver", "yes", "at /deliver: must be boolean"),
            (
                "queueMode",
                "x",
                'at /queueMode: must be "collect", "followup", "interrupt" or "steer"',
            ),
            ("fastMode", 1, 'at /fastMode: must be boolean or "auto"'),
            ("expectedLeafEntryId", 1, "at /expectedLeafEntryId: must be string or null"),
            ("expectedToolOverrides", 1, "at /expectedToolOverrides: must be object or null"),
            ("x", 1, "must NOT have unexpected property 'x'"),
        ):
            self.assertEqual(self.explained(ChatSendParams, {**MESSAGE, field: wrong}), sentence)

    def test_bounds_of_lists(self) -> None:
        self.assertEqual(
            self.explained(SessionsPreviewParams, {"keys": []}),
            "at /keys: must NOT have fewer than 1 item",
        )
        self.assertEqual(
            self.explained(ChatHistoryParams, {"sessionKey": "a", "inputRunIds": ["r"] * 51}),
            "at /inputRunIds: must NOT have more than 50 items",
        )

    def test_a_pattern_is_named(self) -> None:
        runs = {"bundleHash": "f" * 63 + "g", "openclawVersion": "1", "protocolFeatures": []}
        client = {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"}
        hello = {"minProtocol": 3, "maxProtocol": 4, "client": client, "workerRuns": runs}
        self.assertEqual(
            self.explained(ConnectParams, hello),
            "at /workerRuns/bundleHash: must match the pattern ^[a-f0-9]{64}$",
        )
        runs["bundleHash"] = "f" * 64 + "\n"
        self.assertIn("more than 64 characters", self.explained(ConnectParams, hello))

    def test_what_is_wrong_inside_the_branch_that_was_meant(self) -> None:
        patch = {"key": "main", "label": "", "toolOverrides": {"skills": {"a/b~c": 1}, "x": 1}}
        self.assertEqual(
            self.explained(SessionsPatchParams, patch),
            "at /label: must NOT have fewer than 1 character; "
            "at /toolOverrides/skills/a~1b~0c: must be boolean; "
            "at /toolOverrides: must NOT have unexpected property 'x'",
        )

    def test_many_choices_are_cut_short(self) -> None:
        client = {"id": "me", "version": "1", "platform": "linux", "mode": "cli"}
        hello = {"minProtocol": 3, "maxProtocol": 4, "client": client}
        sentence = self.explained(ConnectParams, hello)
        self.assertTrue(sentence.startswith('at /client/id: must be one of "clawdbot-android", '))
        self.assertTrue(sentence.endswith(" and 12 more"))

    def test_the_rest_is_counted(self) -> None:
        three = {**MESSAGE, "x1": 1, "x2": 1, "x3": 1}
        self.assertEqual(
            self.explained(ChatSendParams, three, limit=1),
            "must NOT have unexpected property 'x1'; and 2 more",
        )
        hundreds = {**MESSAGE, **{f"x{number}": 1 for number in range(500)}}
        sentence = self.explained(ChatSendParams, hundreds)
        self.assertTrue(sentence.endswith("; and more than 100 more"))
        self.assertEqual(sentence.count("unexpected"), 8)

    def test_no_value_is_shown(self) -> None:
        secret = "hunter2"
        client = {"id": secret, "version": 1, "platform": {secret: 1}, "mode": [secret]}
        auth = {"token": [secret], "password": {"a": secret}}
        hello = {"minProtocol": secret, "maxProtocol": 0, "client": client, "auth": auth}
        sentence = self.explained(ConnectParams, hello, limit=50)
        self.assertIn("at /auth/token: must be string", sentence)
        self.assertNotIn(secret, sentence)

    def test_names_of_fields_are_cut_and_cleaned(self) -> None:
        sentence = self.explained(ChatSendParams, {**MESSAGE, "a\r\n\x1b[31m" + "y" * 9999: 1})
        self.assertLess(len(sentence), 150)
        self.assertTrue(sentence.isprintable())

    def test_a_mistake_far_down_a_list_is_admitted(self) -> None:
        sentence = self.explained(SessionsPreviewParams, {"keys": ["k"] * 101 + [1]})
        self.assertEqual(sentence, "something is wrong beyond the first 100 items of a list")


class HostileValueTests(SynchronousTestCase):
    """Explaining looks at a bounded part of what was sent."""

    class Counting(dict[str, Any]):
        """A mapping that counts how many keys somebody looked at."""

        looked_at = 0

        def __iter__(self) -> Any:
            for key in super().__iter__():
                self.looked_at += 1
                yield key

    def test_a_million_unknown_fields(self) -> None:
        value = self.Counting({f"x{number}": 1 for number in range(1_000_000)})
        found = problems(ParamsDecoder(NoParams).schema, value)
        self.assertEqual(len(found), 9)
        self.assertLess(value.looked_at, 200)

    def test_a_million_wrong_entries_of_a_map(self) -> None:
        class Looked(list[int]):
            count = 0

            def __iter__(self) -> Any:
                for item in super().__iter__():
                    type(self).count += 1
                    yield item

        value = {"keys": Looked(range(1_000_000))}
        found = problems(ParamsDecoder(SessionsPreviewParams).schema, value)
        self.assertEqual(found[0], "at /keys/0: must be string")
        self.assertLess(Looked.count, 200)

    def test_no_text_is_made_of_the_value(self) -> None:
        class Mute(dict[str, Any]):
            def __repr__(self) -> str:
                raise AssertionError("somebody printed the value")

        value = {
            "message": Mute(),
            "attachments": [Mute(type=Mute())],
            "deliver": Mute(),
            "x": Mute(),
        }
        sentences = problems(ParamsDecoder(AgentParams).schema, value)
        self.assertIn("at /attachments/0/type: must be string", sentences)

    def test_depth_costs_nothing(self) -> None:
        deep: Any = 1
        for _ in range(100_000):
            deep = [deep]
        value = {"keys": deep, "limit": deep}
        self.assertEqual(
            problems(ParamsDecoder(SessionsPreviewParams).schema, value),
            ["at /keys/0: must be string", "at /limit: must be integer"],
        )


class ImportTests(SynchronousTestCase):
    """A Gateway whose clients make no mistakes starts without jsonschema."""

    def test_jsonschema_is_imported_when_it_is_needed(self) -> None:
        program = "import sys, clawgw.protocol.validate; print('jsonschema' in sys.modules)"
        self.assertEqual(python(program).stdout, "False\n")
