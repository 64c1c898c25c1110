"""A2UI: what is refused and why, and what a screen that comes later is shown."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.canvas import a2ui
from clawgw.canvas.a2ui import A2uiError, Board, parse_lines
from clawgw.canvas.actions import Allowance, UserAction, describe

MAIN, OTHER = "agent:main:main", "agent:main:other"


def new(kind: str, surface: str = "s", **body: Any) -> dict[str, Any]:
    return {"version": "v0.9", kind: {"surfaceId": surface, **body}}


def old(kind: str, surface: str = "s", **body: Any) -> dict[str, Any]:
    return {kind: {"surfaceId": surface, **body}}


def text(component_id: str, value: str) -> dict[str, Any]:
    return {"id": component_id, "component": "Text", "text": value}


class CheckingTests(SynchronousTestCase):
    def refusal(self, *messages: Any) -> str:
        board = Board()
        board.push([new("createSurface", "kept")], MAIN)
        before = board.messages()
        with self.assertRaises(A2uiError) as caught:
            board.push(list(messages), MAIN)
        self.assertEqual(board.messages(), before)
        return str(caught.exception)

    def test_says_which_message_and_which_field(self) -> None:
        for messages, expected in (
            (["x"], "message 1: expected an object"),
            ([{}], "expected exactly one of"),
            ([{**new("createSurface"), "deleteSurface": {"surfaceId": "s"}}], "exactly one"),
            ([new("createSurface"), {"version": "v0.7", "createSurface": {"surfaceId": "s"}}],
             "message 2: Invalid enum value 'v0.7' - at `$.version`"),
            ([old("beginRendering")], "required field `root`"),
            ([old("beginRendering", root="r", extra=1)], "unknown field `extra`"),
            ([{**old("beginRendering", root="r"), "version": "v0.9"}], "version 0.8"),
            ([old("surfaceUpdate", components=[])], "length >= 1"),
            ([old("surfaceUpdate", components=[{"id": "a", "component": {}}])], "length >= 1"),
            ([old("surfaceUpdate", components=[text("a", "b")])], "Expected `object`"),
            ([new("updateComponents", components=[{"component": "Text"}])], "missing required"),
            ([new("createSurface", surface="")], "length >= 1"),
            ([new("updateComponents", components=[text("a", "b")])], "no surface 's'"),
            ([new("createSurface"), new("updateComponents", components=[{"id": "a"}])],
             "component 'a' is new, so it needs a type"),
            ([], "expected 1 to 1000 messages"),
        ):  # fmt: skip
            self.assertIn(expected, self.refusal(*messages))

    def test_limits(self) -> None:
        many = [text(str(number), "x") for number in range(a2ui.MAX_COMPONENTS + 1)]
        self.assertIn(
            "components",
            self.refusal(new("createSurface"), new("updateComponents", components=many)),
        )
        long = text("a", "x" * a2ui.MAX_SURFACE_BYTES)
        self.assertIn(
            "larger", self.refusal(new("createSurface"), new("updateComponents", components=[long]))
        )
        crowd = [new("createSurface", f"s{number}") for number in range(a2ui.MAX_SURFACES)]
        self.assertIn("more than 64 surfaces", self.refusal(*crowd))
        updates = [new("updateDataModel", path=f"/{n}", value=n) for n in range(999)]
        board = Board()
        board.push([new("createSurface"), *updates], MAIN)
        with self.assertRaises(A2uiError):
            board.push([new("updateDataModel", path=f"/more/{n}", value=n) for n in range(9)], MAIN)

    def test_json_lines(self) -> None:
        self.assertEqual(parse_lines('{"a": 1}\n\n  \r\n{"b": 2}\n'), [{"a": 1}, {"b": 2}])
        with self.assertRaises(A2uiError) as caught:
            parse_lines('{"a": 1}\n{"b": ')
        self.assertIn("line 2: not JSON", str(caught.exception))


class KeepingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.board = Board()

    def test_new_version(self) -> None:
        self.board.push([
            {"version": "v0.9.1", "createSurface": {"surfaceId": "s"}},
            new("updateComponents", components=[text("root", "one"), text("b", "b")]),
            new("updateDataModel", path="/user/name", value="Ada"),
            new("updateComponents", components=[{"id": "root", "text": "two"}]),
        ], MAIN)  # fmt: skip
        self.assertEqual(self.board.messages(), [
            new("createSurface", catalogId=a2ui.CATALOG),
            new("updateComponents", components=[text("root", "two"), text("b", "b")]),
            new("updateDataModel", path="/user/name", value="Ada"),
        ])  # fmt: skip

    def test_old_version(self) -> None:
        row = {"id": "root", "component": {"Text": {"text": {"literalString": "x"}}}}
        contents = [{"key": "name", "valueString": "Ada"}]
        self.board.push([
            old("beginRendering", root="root"),
            old("surfaceUpdate", components=[row]),
            old("dataModelUpdate", contents=contents),
        ], MAIN)  # fmt: skip
        self.assertEqual(self.board.messages(), [
            old("surfaceUpdate", components=[row]),
            old("dataModelUpdate", contents=contents),
            old("beginRendering", root="root"),
        ])  # fmt: skip

    def test_data_updates_replace_what_is_below(self) -> None:
        self.board.push([new("createSurface")], MAIN)
        for path, value in (("/a/b", 1), ("/a/c", 2), ("/ab", 3), ("/a", {}), ("/a/d", 4)):
            self.board.push([new("updateDataModel", path=path, value=value)], MAIN)
        kept = [message["updateDataModel"]["path"] for message in self.board.messages()[1:]]
        self.assertEqual(kept, ["/ab", "/a", "/a/d"])
        self.board.push([new("updateDataModel", value={"x": 1})], MAIN)
        self.assertEqual(len(self.board.messages()), 2)

    def test_creating_again_starts_anew(self) -> None:
        self.board.push(
            [new("createSurface"), new("updateComponents", components=[text("root", "x")])], MAIN
        )
        change = self.board.push([new("createSurface")], MAIN)
        self.assertEqual(change.messages[0], new("deleteSurface"))
        self.assertEqual(len(self.board.messages()), 1)

    def test_another_session_or_version_takes_over(self) -> None:
        self.board.push([old("beginRendering", root="root")], MAIN)
        change = self.board.push([old("beginRendering", root="r2")], OTHER)
        self.assertEqual(change.messages[0], old("deleteSurface"))
        self.assertEqual(self.board.surfaces()["s"].session_key, OTHER)
        with self.assertRaises(A2uiError):  # to change somebody else's surface is a mistake
            self.board.push([new("updateComponents", components=[text("root", "x")])], MAIN)
        self.board.push([new("createSurface")], OTHER)
        self.assertEqual(self.board.surfaces()["s"].version, "v0.9")

    def test_an_agents_tool_leaves_other_sessions_alone(self) -> None:
        self.board.push([new("createSurface")], MAIN)
        before = self.board.messages()
        for message in (new("createSurface"), new("deleteSurface"),
                        old("beginRendering", root="r")):  # fmt: skip
            with self.assertRaises(A2uiError) as caught:
                self.board.push([message], OTHER, takes_over=False)
            self.assertIn("belongs to another session", str(caught.exception))
        self.assertEqual(self.board.messages(), before)
        self.board.push([new("createSurface", "own")], OTHER, takes_over=False)
        self.board.push([new("deleteSurface", "own")], OTHER, takes_over=False)

    def test_deleting(self) -> None:
        self.board.push([new("createSurface"), new("createSurface", "t")], MAIN)
        change = self.board.push([new("deleteSurface")], MAIN)
        self.assertEqual((change.messages, change.gone), ([new("deleteSurface")], ["s"]))
        self.assertEqual(self.board.push([old("deleteSurface", "none")], MAIN).messages, [])

    def test_reset(self) -> None:
        self.board.push([new("createSurface", "a"), new("createSurface", "b")], MAIN)
        self.board.push([new("createSurface", "c")], OTHER)
        self.assertEqual(self.board.reset(OTHER).gone, ["c"])
        self.assertEqual(self.board.reset(MAIN, "a").gone, ["a"])
        self.assertEqual(self.board.reset().messages, [new("deleteSurface", "b")])
        self.assertEqual(len(self.board), 0)

    def test_a_copy_is_changed_not_the_original(self) -> None:
        self.board.push([new("createSurface")], MAIN)
        kept = self.board.surfaces()["s"]
        self.board.push([new("updateComponents", components=[text("root", "x")])], MAIN)
        self.assertEqual(kept.components, {})


class ActionTests(SynchronousTestCase):
    def test_what_the_agent_reads(self) -> None:
        action = UserAction(
            id="12345678", name="submit", surface_id="form", source_component_id="go",
            context={"name": "Grün"}, data_model={"all": 1},
        )  # fmt: skip
        self.assertEqual(
            describe(action).split("\n"),
            ['[Canvas] "submit" on surface "form" (go)', '{"name":"Grün"}',
             'Data model: {"all":1}'],
        )  # fmt: skip

    def test_allowance(self) -> None:
        now = [0]
        allowance = Allowance(2, 1.0, lambda: now[0])
        self.assertEqual([allowance.take() for _ in range(3)], [True, True, False])
        now[0] += 999
        self.assertFalse(allowance.take())
        now[0] += 1
        self.assertEqual([allowance.take() for _ in range(2)], [True, False])
        now[0] += 3_600_000
        self.assertEqual([allowance.take() for _ in range(3)], [True, True, False])
