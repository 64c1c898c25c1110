"""Version 4's one view of approvals, open and decided."""

from __future__ import annotations

from typing import Any

from clawgw.approvals.book import Resolver
from clawgw.approvals.snapshots import SnapshotMethods
from tests.approvals.test_methods import ASKED, MethodsTestCase, plain

ANN = Resolver("Ann", "device-ann")


class SnapshotTestCase(MethodsTestCase):
    """With `approval.*` in the table."""

    def setUp(self) -> None:
        super().setUp()
        SnapshotMethods(self.book).register(self.table)

    def ask(self, approval_id: str, **changes: Any) -> Any:
        """A question that stands."""
        return self.start(self.call("exec.approval.request", id=approval_id, **(ASKED | changes)))

    def end(self, approval_id: str, decision: str) -> None:
        self.do(self.book.resolve(approval_id, decision, ANN))
        self.clock.advance(1)

    def shown(self, approval_id: str) -> dict[str, Any]:
        found: dict[str, Any] = plain(self.do(self.call("approval.get", id=approval_id)))
        return found["approval"]  # type: ignore[no-any-return]

    def resolve(self, approval_id: str, decision: str, kind: str = "exec") -> dict[str, Any]:
        answer: dict[str, Any] = plain(
            self.do(self.call("approval.resolve", id=approval_id, kind=kind, decision=decision))
        )
        return answer


class GetTests(SnapshotTestCase):
    """`approval.get`."""

    def test_a_question_that_stands(self) -> None:
        self.ask("a b/c")
        shown = self.shown("a b/c")
        self.assertEqual(shown["status"], "pending")
        self.assertEqual(shown["sourceSessionKey"], "agent:main:main")
        self.assertEqual(shown["urlPath"], "/#approval=a%20b%2Fc")
        about = shown["presentation"]
        self.assertEqual((about["kind"], about["commandText"]), ("exec", "rm -rf build"))
        self.assertEqual(about["allowedDecisions"], ["allow-once", "allow-always", "deny"])
        for name in ("decision", "reason", "resolver", "resolvedAtMs"):
            self.assertNotIn(name, shown)

    def test_a_decision_and_who_made_it(self) -> None:
        self.ask("a")
        self.end("a", "allow-once")
        shown = self.shown("a")
        self.assertEqual(
            [shown[name] for name in ("status", "decision", "reason")],
            ["allowed", "allow-once", "user"],
        )
        self.assertEqual(shown["resolver"], {"kind": "device", "id": "device-ann"})
        self.assertEqual(shown["source"], {"agentId": "main", "sessionKey": "agent:main:main"})

    def test_somebody_in_a_chat_has_no_device(self) -> None:
        self.ask("a")
        self.do(self.book.resolve("a", "deny", Resolver("Bob on Telegram")))
        shown = self.shown("a")
        self.assertEqual((shown["status"], shown["reason"]), ("denied", "user"))
        self.assertNotIn("resolver", shown)

    def test_what_nobody_decided(self) -> None:
        self.ask("late")
        self.clock.advance(7)
        self.ask("gone")
        self.do(self.book.cancel("gone"))
        for name, status, reason in (
            ("late", "expired", "timeout"),
            ("gone", "cancelled", "run-aborted"),
        ):
            shown = self.shown(name)
            self.assertEqual((shown["status"], shown["reason"]), (status, reason))
            self.assertEqual(shown["resolver"], {"kind": "system"})
            self.assertNotIn("decision", shown)

    def test_what_the_policy_answered_was_no_question(self) -> None:
        self.policy('{"version": 1, "defaults": {"security": "deny"}}')
        self.ask("p", security="deny")
        refusal = self.refusal(self.call("approval.get", id="p"))
        self.assertEqual(refusal, "unknown or expired approval id")
        self.assertEqual(self.refusal(self.call("approval.get", id="nothing")), refusal)


class ResolveTests(SnapshotTestCase):
    """`approval.resolve`."""

    def test_a_decision_counts_once(self) -> None:
        waiting = self.ask("a")
        first = self.resolve("a", "deny")
        self.assertEqual((first["applied"], first["approval"]["status"]), (True, "denied"))
        self.assertEqual(plain(self.successResultOf(waiting))["decision"], "deny")
        second = self.resolve("a", "allow-once")
        self.assertEqual((second["applied"], second["approval"]), (False, first["approval"]))

    def test_what_cannot_be(self) -> None:
        self.ask("a")
        for changes, why in (
            ({"id": "b"}, "unknown or expired approval id"),
            ({"kind": "plugin"}, "kind: this approval is of kind exec"),
            ({"reviewer": {"channel": "c", "accountId": "a", "senderId": "s"}}, "reviewer: "),
        ):
            params = {"id": "a", "kind": "exec", "decision": "deny", **changes}
            self.assertIn(why, self.refusal(self.call("approval.resolve", **params)))
        self.assertEqual(len(self.book.pending()), 1)


class HistoryTests(SnapshotTestCase):
    """`approval.history`."""

    def history(self, **params: Any) -> tuple[list[str], str | None]:
        answer = plain(self.do(self.call("approval.history", **params)))
        return [one["id"] for one in answer["items"]], answer.get("nextCursor")

    def test_the_latest_first_page_by_page(self) -> None:
        self.assertEqual(self.history(), ([], None))
        for name in ("a", "b", "c"):
            self.ask(name)
            self.do(self.book.resolve(name, "deny", ANN))  # all in one moment
        self.clock.advance(1)
        self.ask("d")
        self.end("d", "allow-once")
        self.ask("stands")
        self.assertEqual(self.history(), (["d", "c", "b", "a"], None))
        first, cursor = self.history(limit=2)
        self.assertEqual(first, ["d", "c"])
        self.assertEqual(self.history(limit=2, cursor=cursor), (["b", "a"], None))
        self.assertEqual(self.history(kind="plugin"), ([], None))

    def test_a_cursor_that_is_none(self) -> None:
        for cursor in ("x", "1", "1:", "-1:a", "²:a", "9" * 40 + ":a"):
            self.assertIn("cursor: ", self.refusal(self.call("approval.history", cursor=cursor)))

    def test_who_may(self) -> None:
        self.caller.scopes = frozenset({"operator.read", "operator.write", "operator.pairing"})
        for verb in ("get", "resolve", "history"):
            self.assertFalse(self.allowed(f"approval.{verb}"))
