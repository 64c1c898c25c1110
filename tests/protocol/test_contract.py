"""Our definitions against the recorded original and the public contract's property names."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from clawgw.protocol import frames, schema
from clawgw.protocol.catalog import event_types, method_types
from clawgw.protocol.validate import ParamsDecoder
from tests.protocol import recorded


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


class RecordedRequestTests(SynchronousTestCase):
    """What the original's clients sent, we take."""

    def test_every_request_is_a_frame(self) -> None:
        for version in recorded.VERSIONS:
            for frame in recorded.requests(version):
                request = frames.decode_request(encoded(frame))
                self.assertEqual((request.id, request.method), (frame["id"], frame["method"]))

    def test_params_are_taken_unless_the_original_refused_them(self) -> None:
        taken = set()
        for version in recorded.VERSIONS:
            refused = {frame["id"] for frame in recorded.errors(version)}
            for frame in recorded.requests(version):
                types = method_types().get(frame["method"])
                if types is None or (frame["id"] in refused and "message" not in frame["params"]):
                    continue
                decoded = ParamsDecoder(types.params).decode(encoded(frame["params"]))
                back = json.loads(msgspec.json.encode(decoded))
                if "AnyParams" not in repr(types.params):
                    self.assertEqual(back, frame["params"])
                taken.add(frame["method"])
        self.assertGreaterEqual(
            taken,
            {"connect", "agent", "chat.send", "chat.history", "chat.abort", "chat.inject"}
            | {f"sessions.{verb}" for verb in ("list", "patch", "preview", "resolve", "reset")},
        )


class RecordedAnswerTests(SynchronousTestCase):
    """What the original's Gateway said, our result and event types can hold."""

    def test_results(self) -> None:
        seen = set()
        for version in recorded.VERSIONS:
            for answer in recorded.answers(version):
                types = method_types().get(answer.method)
                if types is not None:
                    seen.add(answer.method)
                    self.assertHolds((types.result, *types.others), answer.payload, answer.method)
        self.assertGreaterEqual(seen, {"connect", "health", "status", "sessions.list", "agent"})

    def test_events(self) -> None:
        seen = set()
        for version in recorded.VERSIONS:
            for frame in recorded.events(version):
                msgspec.convert(frame, frames.EventFrame)
                seen.add(frame["event"])
                self.assertHolds((event_types()[frame["event"]],), frame["payload"], frame["event"])
        self.assertGreaterEqual(
            seen, {"connect.challenge", "agent", "chat", "health", "presence", "tick"}
        )

    def test_errors(self) -> None:
        for version in recorded.VERSIONS:
            found = [
                msgspec.convert(frame, frames.ResponseFrame) for frame in recorded.errors(version)
            ]
            self.assertEqual({response.ok for response in found}, {False})
            self.assertIn("UNAVAILABLE", {response.error.code for response in found})

    def assertHolds(self, types: tuple[Any, ...], payload: Any, what: str) -> None:
        """One of these types takes the payload."""
        reasons = []
        for type_ in types:
            try:
                msgspec.json.decode(encoded(payload), type=type_)
            except msgspec.ValidationError as problem:
                reasons.append(f"{type_}: {problem}")
            else:
                return
        self.fail(f"{what}: {reasons}: {payload}")


class ContractTests(SynchronousTestCase):
    """Whatever the contract lets a client send, we let it send."""

    def setUp(self) -> None:
        self.document = schema.document()

    def test_every_property_is_known_with_its_types(self) -> None:
        for version, method, ours, theirs in self.compared():
            for path, (_, *types) in theirs.items():
                where = f"v{version} {method} {path}"
                self.assertIn(path, ours, where)
                for type_ in types:
                    self.assertTrue(self.takes(ours[path], type_), f"{where}: {type_}")

    def test_nothing_more_is_required(self) -> None:
        for version, method, ours, theirs in self.compared():
            objects = {""} | {path.rpartition("/")[0] for path in theirs}
            demanded = {
                path
                for path, (required, *_) in ours.items()
                if required and path.rpartition("/")[0] in objects
            }
            promised = {path for path, (required, *_) in theirs.items() if required}
            self.assertEqual(demanded - promised, set(), f"v{version} {method}")

    def test_the_contract_covers_our_methods(self) -> None:
        """Methods of ours, and those whose params the contract leaves undefined, stand alone."""
        compared = {method for _, method, _, _ in self.compared()} - {"*"}
        self.assertEqual(
            {name for name in method_types() if not name.startswith(("canvas.", "channel.pair."))}
            - compared,
            {"health", "status", "system-presence", "system-event"}
            | {"exec.approval.list", "exec.approval.waitDecision", "node.runnerInventory.update"}
            | {"node.approval.request", "plugin.surface.refresh", "node.pluginSurface.refresh"},
        )

    def compared(self) -> list[tuple[int, str, dict[str, list[Any]], dict[str, list[Any]]]]:
        found = []
        for version in recorded.VERSIONS:
            for method, theirs in recorded.contract(version).items():
                if method == "*":
                    params = {"$ref": "#/$defs/RequestFrame"}
                else:
                    params = self.document["methods"][method]["params"]
                found.append((version, method, self.properties(params), theirs))
        return found

    def properties(self, described: dict[str, Any], path: str = "") -> dict[str, list[Any]]:
        """Our schema in the form of the contract's list."""
        described = self.resolved(described)
        found: dict[str, list[Any]] = {}
        for branch in described.get("anyOf", ()):
            found |= self.properties(branch, path)
        for name, value in described.get("properties", {}).items():
            below = f"{path}/{name}".lstrip("/")
            found[below] = [name in described.get("required", ()), *self.types(value)]
            found |= self.properties(value, below)
        for mark, keyword in (("[]", "items"), ("/*", "additionalProperties")):
            inner = described.get(keyword)
            if isinstance(inner, dict):
                found[path + mark] = [False, *self.types(inner)]
                found |= self.properties(inner, path + mark)
        return found

    def types(self, described: dict[str, Any]) -> list[str]:
        described = self.resolved(described)
        if "anyOf" in described:
            return [type_ for branch in described["anyOf"] for type_ in self.types(branch)]
        choices = described.get("enum", [described["const"]] if "const" in described else [])
        return [json.dumps(choice) for choice in choices] or [described.get("type", "any")]

    def resolved(self, described: dict[str, Any]) -> dict[str, Any]:
        reference = described.get("$ref")
        return self.document["$defs"][reference.rpartition("/")[2]] if reference else described

    @staticmethod
    def takes(ours: list[Any], theirs: str) -> bool:
        """Whether one of our types takes all of theirs."""
        wider = {theirs, "any"}
        if theirs.startswith('"'):
            wider.add("string")
        if theirs == "integer":
            wider.add("number")
        return not wider.isdisjoint(ours[1:])


class MissingFieldsTests(SynchronousTestCase):
    """The comparison that tests of whole answers use."""

    def test_names_what_is_not_there(self) -> None:
        theirs = {"a": 1, "list": [{"x": 1}, {"y": {"z": 1}}], "more": [1]}
        ours = {"a": 2, "b": 3, "list": [{"y": {}}], "more": []}
        self.assertEqual(
            recorded.missing_fields(ours, theirs), ["list[]/x", "list[]/y/z", "more[]"]
        )

    def test_nothing_is_missing_from_itself(self) -> None:
        hello = recorded.flow(4, "connect")[2].frame
        self.assertEqual(recorded.missing_fields(hello, hello), [])
        self.assertEqual(recorded.missing_fields({}, {"a": 1}), ["a"])
