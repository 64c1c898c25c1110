"""An agent's permission prompt, from its question to its own option."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from twisted.internet.defer import Deferred

from clawgw.approvals.acp import AcpApprovals, AskingRun, what_is_asked
from clawgw.approvals.book import Resolver
from tests.approvals.desk import TIMEOUT_MS, DeskTestCase

KINDS = ("allow_once", "allow_always", "reject_once", "reject_always")
CANCELLED = {"outcome": "cancelled"}


def selected(kind: str) -> dict[str, str]:
    """The answer with the option of a kind; options are named after their kinds here."""
    return {"outcome": "selected", "optionId": f"id-{kind}"}


class PermissionTests(DeskTestCase):
    """One agent, one run."""

    def setUp(self) -> None:
        super().setUp()
        self.run_over: Deferred[Any] = Deferred()
        self.is_running = True

        def find(agent_id: str, agent_session: str) -> AskingRun | None:
            if (agent_id, agent_session, self.is_running) != ("main", "s-1", True):
                return None
            return AskingRun("run-1", "agent:main:main", self.run_over)

        acp = AcpApprovals(self.desk, find, TIMEOUT_MS)
        self.permit = acp.of("main", "/work/place", "/usr/bin:/bin")

    def ask(self, *kinds: str, session: str = "s-1", **call: Any) -> Deferred[Any]:
        options = [{"optionId": f"id-{kind}", "name": kind, "kind": kind} for kind in kinds]
        params = {"sessionId": session, "toolCall": {"toolCallId": "c-1", **call}}
        return self.start(self.permit({**params, "options": options}))

    def run_command(self, command: Any, *kinds: str) -> Deferred[Any]:
        return self.ask(*(kinds or KINDS), kind="execute", rawInput={"command": command})

    def decide(self, decision: str) -> None:
        (approval,) = self.book.pending()
        self.do(self.book.resolve(approval.id, decision, Resolver("Anna")))

    def outcome(self, waiting: Deferred[Any]) -> Any:
        return self.successResultOf(waiting)["outcome"]

    def test_variables_are_shown_by_name(self) -> None:
        """As a mapping, or as the protocol's own list of them."""
        pair = {"name": "GIT_DIR", "value": "secret"}
        for env in ({"GIT_DIR": "secret"}, [pair, {"name": 1}, "x"]):
            self.ask(*KINDS, kind="execute", rawInput={"command": "git log", "env": env})
            *_, approval = self.book.pending()
            self.assertEqual(approval.request.env_keys, ["GIT_DIR"])
        self.run_command("git log")
        *_, approval = self.book.pending()
        self.assertIs(approval.request.env_keys, UNSET)

    def test_what_is_shown(self) -> None:
        self.run_command("make test")
        (approval,) = self.book.pending()
        request = approval.request
        self.assertEqual(
            (request.command, request.cwd, request.agent_id, request.session_key, request.run_id),
            ("make test", "/work/place", "main", "agent:main:main", "run-1"),
        )
        self.assertEqual(approval.expires_at - approval.created_at, TIMEOUT_MS)

    def test_decisions_become_options_of_their_kind(self) -> None:
        for decision, kind in (
            ("allow-once", "allow_once"),
            ("deny", "reject_once"),
            ("allow-always", "allow_always"),
        ):
            waiting = self.run_command("make test")
            self.decide(decision)
            self.assertEqual(self.outcome(waiting), selected(kind))

    def test_always_is_remembered_whatever_the_agent_offers(self) -> None:
        waiting = self.run_command("make test", "allow_once", "reject_once")
        self.decide("allow-always")
        self.assertEqual(self.outcome(waiting), selected("allow_once"))
        again = self.run_command("make test", "allow_once", "reject_once")
        self.assertEqual(self.outcome(again), selected("allow_once"))
        self.assertNoResult(self.run_command("make test; rm x"))

    def test_once_never_becomes_always(self) -> None:
        self.run_command("make test", "allow_always", "reject_once")
        (approval,) = self.book.pending()
        self.assertEqual(approval.request.allowed_decisions, ["allow-always", "deny"])

    def test_ways_to_say_no(self) -> None:
        for kinds, expected in (
            (("allow_once", "reject_always"), selected("reject_always")),
            (("allow_once",), CANCELLED),
            ((), CANCELLED),
        ):
            waiting = self.ask(*kinds, title="Edit x")
            self.decide("deny")
            self.assertEqual(self.outcome(waiting), expected)

    def test_time_running_out(self) -> None:
        waiting = self.run_command("make test")
        self.clock.advance(TIMEOUT_MS / 1000 + 1)
        self.assertEqual(self.outcome(waiting), selected("reject_once"))

    def test_the_end_of_the_run_withdraws_the_question(self) -> None:
        waiting = self.run_command("make test")
        self.run_over.callback(None)
        self.assertEqual(self.outcome(waiting), CANCELLED)
        self.assertEqual(self.book.pending(), [])
        (event,) = self.events.named("exec.approval.resolved")
        self.assertEqual(event.reason, "run-aborted")

    def test_an_answer_just_before_the_end_of_the_run(self) -> None:
        waiting = self.run_command("make test")
        self.decide("allow-once")
        self.run_over.callback(None)
        self.assertEqual(self.outcome(waiting), selected("allow_once"))
        self.assertEqual(len(self.events.named("exec.approval.resolved")), 1)

    def test_outside_a_run_nobody_is_asked(self) -> None:
        self.is_running = False
        self.assertEqual(self.outcome(self.run_command("make test")), CANCELLED)
        self.is_running = True
        self.assertEqual(self.outcome(self.ask("allow_once", session="s-2")), CANCELLED)
        self.assertEqual(self.book.pending(), [])

    def test_the_policy_comes_first(self) -> None:
        self.policy('{"version":1,"defaults":{"security":"full"}}')
        self.assertEqual(self.outcome(self.run_command("rm -rf /")), selected("allow_once"))
        only = self.run_command("rm -rf /", "allow_always", "reject_once")
        self.assertEqual(self.outcome(only), selected("allow_always"))
        self.policy('{"version":1,"defaults":{"security":"deny"}}')
        self.assertEqual(self.outcome(self.run_command("ls")), selected("reject_once"))
        self.policy('{"version":1,"agents":{"main":{"allowlist":[{"pattern":"/**/ls"}]}}}')
        self.assertEqual(self.outcome(self.run_command(["ls", "-l"])), selected("allow_once"))
        self.assertEqual(self.events.published, [])

    def test_a_title_is_no_command(self) -> None:
        """What only says `ls` may do something else: no pattern allows it."""
        self.policy('{"version":1,"agents":{"main":{"allowlist":[{"pattern":"/**/ls"}]}}}')
        self.assertNoResult(self.ask(*KINDS, title="ls -l"))
        self.assertNoResult(self.ask(*KINDS, title="Edit", kind="edit", rawInput={"command": "ls"}))

    def test_too_much_to_read_is_refused(self) -> None:
        self.assertEqual(self.outcome(self.run_command("x" * 20_000)), selected("reject_once"))

    def test_nonsense_gets_an_answer(self) -> None:
        params: Any
        for params in ({}, {"sessionId": 5}, {"sessionId": "s-1", "options": 5, "toolCall": []}):
            waiting = self.start(self.permit(params))
            self.run_over.callback(None)
            self.assertEqual(self.outcome(waiting), CANCELLED)
            self.run_over = Deferred()


class WordingTests(DeskTestCase):
    """What a person reads."""

    def test_what_is_asked(self) -> None:
        for call, text, is_command, cwd in (
            ({"rawInput": {"command": "ls", "cwd": "/x"}}, "ls", True, "/x"),
            ({"kind": "execute", "rawInput": {"command": ["ls", "a b"]}}, "ls 'a b'", True, "/w"),
            ({"kind": "execute", "title": "Run it", "rawInput": {}}, "Run it", False, "/w"),
            ({"kind": "edit", "title": "Edit", "rawInput": {"command": "create"}}, "Edit", False,
             "/w"),
            ({"kind": "edit", "title": "Edit", "locations": [{"path": "/a"}, {"path": "/a"}, 5]},
             "Edit\n/a", False, "/w"),
            ({"kind": "edit", "title": "Edit /a", "locations": [{"path": "/a"}]}, "Edit /a", False,
             "/w"),
            ({"kind": "fetch"}, "fetch without a title", False, "/w"),
            (None, "a tool call without a title", False, "/w"),
        ):  # fmt: skip
            self.assertEqual(what_is_asked(call, "/w"), (text, is_command, cwd))
