"""Whether a command may run: every combination of the policy's words."""

from __future__ import annotations

import itertools

import msgspec
from twisted.trial import unittest

from clawgw.nodehost.policy import (
    Effective,
    PolicyDocument,
    after_answer,
    decide,
    effective,
    without_answer,
)

DENY, ALLOWLIST, FULL = "deny", "allowlist", "full"
OFF, ON_MISS, ALWAYS = "off", "on-miss", "always"

TABLE = {
    # security, ask, listed: what happens
    (DENY, OFF, False): "deny", (DENY, OFF, True): "deny",
    (DENY, ON_MISS, False): "deny", (DENY, ON_MISS, True): "deny",
    (DENY, ALWAYS, False): "deny", (DENY, ALWAYS, True): "deny",
    (ALLOWLIST, OFF, False): "deny", (ALLOWLIST, OFF, True): "run",
    (ALLOWLIST, ON_MISS, False): "ask", (ALLOWLIST, ON_MISS, True): "run",
    (ALLOWLIST, ALWAYS, False): "ask", (ALLOWLIST, ALWAYS, True): "ask",
    (FULL, OFF, False): "run", (FULL, OFF, True): "run",
    (FULL, ON_MISS, False): "run", (FULL, ON_MISS, True): "run",
    (FULL, ALWAYS, False): "ask", (FULL, ALWAYS, True): "ask",
}  # fmt: skip


def document(**fields: object) -> PolicyDocument:
    return msgspec.convert({"version": 1, **fields}, PolicyDocument)


class DecisionTests(unittest.SynchronousTestCase):
    """`decide` and what follows when a person was to be asked."""

    def test_table(self) -> None:
        combinations = itertools.product(
            (DENY, ALLOWLIST, FULL), (OFF, ON_MISS, ALWAYS), (False, True)
        )
        for security, ask, listed in combinations:
            verdict = decide(Effective(security, ask), listed=listed)  # type: ignore[arg-type]
            self.assertEqual(verdict.act, TABLE[security, ask, listed], (security, ask, listed))

    def test_a_denial_says_why(self) -> None:
        self.assertEqual(decide(Effective(DENY), listed=True).reason, "security=deny")
        missed = decide(Effective(ALLOWLIST, OFF), listed=False)
        self.assertEqual(missed.reason, "allowlist-miss")

    def test_answers(self) -> None:
        self.assertEqual(after_answer("allow-once").act, "run")
        self.assertEqual(after_answer("allow-always").act, "run")
        self.assertEqual(after_answer("deny").reason, "user-denied")
        self.assertEqual(after_answer(None).reason, "approval-timeout")

    def test_nobody_to_ask(self) -> None:
        expected = {
            (DENY, False): "deny", (DENY, True): "deny",
            (ALLOWLIST, False): "deny", (ALLOWLIST, True): "run",
            (FULL, False): "run", (FULL, True): "run",
        }  # fmt: skip
        for (fallback, listed), act in expected.items():
            policy = Effective(ask_fallback=fallback)  # type: ignore[arg-type]
            self.assertEqual(without_answer(policy, listed=listed).act, act, (fallback, listed))


class EffectiveTests(unittest.SynchronousTestCase):
    """Which words hold for which agent."""

    def test_a_fresh_node_runs_what_is_listed_and_asks(self) -> None:
        fresh = effective(document(), "main")
        self.assertEqual(fresh, Effective(ALLOWLIST, ON_MISS, DENY, False, ()))

    def test_the_agent_then_every_agent_then_the_defaults(self) -> None:
        policy = document(
            defaults={"security": "full", "ask": "off", "askFallback": "full"},
            agents={"*": {"security": "allowlist", "ask": "always"}, "main": {"ask": "on-miss"}},
        )
        self.assertEqual(effective(policy, "main"), Effective(ALLOWLIST, ON_MISS, FULL))
        self.assertEqual(effective(policy, "other"), Effective(ALLOWLIST, ALWAYS, FULL))

    def test_the_lists_of_the_agent_and_of_everybody(self) -> None:
        policy = document(
            agents={
                "*": {"allowlist": [{"pattern": "/bin/a"}]},
                "main": {"allowlist": [{"pattern": "/bin/b"}]},
                "other": {"allowlist": [{"pattern": "/bin/c"}]},
            }
        )
        self.assertEqual(effective(policy, "main").allowlist, ("/bin/a", "/bin/b"))
        self.assertEqual(effective(policy, "new").allowlist, ("/bin/a",))

    def test_an_entry_with_an_argument_pattern_allows_nothing(self) -> None:
        entry = {"pattern": "/bin/a", "argPattern": "^safe$"}
        policy = document(agents={"main": {"allowlist": [entry]}})
        self.assertEqual(effective(policy, "main").allowlist, ())

    def test_a_word_that_we_do_not_know_is_refused(self) -> None:
        for wrong in (
            {"defaults": {"security": "sometimes"}},
            {"defaults": {"ask": "never"}},
            {"defaults": {"restrict": True}},
            {"agents": {"main": {"allowlist": [{"pattern": "/bin/a", "only": "monday"}]}}},
        ):
            with self.assertRaises(msgspec.ValidationError):
                document(**wrong)
