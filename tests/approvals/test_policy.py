"""What the policy says, without a disk."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from clawgw.approvals import policy, shell
from clawgw.approvals.policy import Action
from clawgw.protocol.approvals import PolicyFile

LS = Action("ls -l", ("/usr/bin/ls",))
RM = Action("rm -rf build", ("/usr/bin/rm",))


def policy_file(**fields: Any) -> PolicyFile:
    """A policy, written as in the file."""
    return msgspec.convert({"version": 1, **fields}, PolicyFile)


def answer(file: PolicyFile, action: Action = LS, agent: str = "main", **asker: Any) -> str:
    """The verdict's word."""
    return policy.decide(file, agent, action, home="/home/anna", **asker).answer


class TableTests(SynchronousTestCase):
    """Every security with every ask, for what is on the list and what is not."""

    def test_table(self) -> None:
        expected = {
            ("deny", "off"): ("deny", "deny"),
            ("deny", "on-miss"): ("deny", "deny"),
            ("deny", "always"): ("deny", "deny"),
            ("allowlist", "off"): ("allow", "deny"),
            ("allowlist", "on-miss"): ("allow", "ask"),
            ("allowlist", "always"): ("ask", "ask"),
            ("full", "off"): ("allow", "allow"),
            ("full", "on-miss"): ("allow", "allow"),
            ("full", "always"): ("ask", "ask"),
        }
        found = {}
        for security, ask in expected:
            file = policy_file(
                defaults={"security": security, "ask": ask},
                agents={"main": {"allowlist": [{"pattern": "/usr/bin/ls"}]}},
            )
            found[security, ask] = (answer(file, LS), answer(file, RM))
        self.assertEqual(found, expected)

    def test_without_a_file(self) -> None:
        """Nothing is allowed unasked, and nothing forbidden."""
        self.assertEqual(answer(policy.EMPTY), "ask")

    def test_the_agents_own_words_come_first(self) -> None:
        """Then those for every agent, then the defaults."""
        file = policy_file(
            defaults={"security": "deny"},
            agents={"*": {"security": "full"}, "main": {"security": "allowlist"}},
        )
        self.assertEqual(answer(file, agent="main"), "ask")
        self.assertEqual(answer(file, agent="other"), "allow")
        self.assertEqual(answer(policy_file(defaults={"security": "deny"})), "deny")

    def test_the_stricter_holds(self) -> None:
        """An asker can be stricter than the policy, never looser."""
        full = policy_file(defaults={"security": "full", "ask": "off"})
        strict = policy_file(defaults={"security": "deny"})
        self.assertEqual(answer(full, security="deny"), "deny")
        self.assertEqual(answer(full, security="allowlist", ask="on-miss"), "ask")
        self.assertEqual(answer(full, ask="always"), "ask")
        self.assertEqual(answer(strict, security="full", ask="off"), "deny")
        self.assertEqual(answer(full, security="anything", ask="whenever"), "allow")


class ListTests(SynchronousTestCase):
    """What is on the allowlist."""

    def fits(self, pattern: str, path: str) -> bool:
        return policy.fits(pattern, path, "/home/anna")

    def test_patterns(self) -> None:
        self.assertTrue(self.fits("/usr/bin/rg", "/usr/bin/rg"))
        self.assertTrue(self.fits("/usr/bin/*", "/usr/bin/rg"))
        self.assertTrue(self.fits("/usr/BIN/?g", "/usr/bin/rg"))
        self.assertTrue(self.fits("~/Projects/**/bin/rg", "/home/anna/Projects/a/b/bin/rg"))
        self.assertFalse(self.fits("/usr/*", "/usr/bin/rg"))
        self.assertFalse(self.fits("~/bin/*", "/root/bin/rg"))
        self.assertFalse(self.fits("/usr/bin/rg", "/usr/bin/rgx"))
        self.assertFalse(self.fits("/usr/bin/r.", "/usr/bin/rg"))
        self.assertFalse(self.fits("/usr/bin/rg", "/usr/bin/rg\n"))

    def test_a_name_without_a_directory_matches_nothing(self) -> None:
        for pattern in ("rg", "*", "**", ""):
            self.assertFalse(self.fits(pattern, "/usr/bin/rg"), pattern)

    def test_every_program_of_a_line_has_to_be_on_it(self) -> None:
        file = policy_file(agents={"main": {"allowlist": [{"pattern": "/usr/bin/ls"}]}})
        self.assertEqual(answer(file, Action("ls && ls", ("/usr/bin/ls",) * 2)), "allow")
        self.assertEqual(answer(file, Action("ls && rm", ("/usr/bin/ls", "/bin/rm"))), "ask")
        self.assertEqual(answer(file, Action("ls $(rm)", None)), "ask")
        self.assertEqual(answer(file, Action("", ())), "ask")

    def test_lists_are_per_agent(self) -> None:
        file = policy_file(
            agents={
                "main": {"allowlist": [{"pattern": "/usr/bin/ls"}]},
                "*": {"allowlist": [{"pattern": "/usr/bin/rm"}]},
            }
        )
        self.assertEqual([answer(file, one) for one in (LS, RM)], ["allow", "allow"])
        self.assertEqual([answer(file, one, "other") for one in (LS, RM)], ["ask", "allow"])

    def test_always_is_one_command_of_one_agent(self) -> None:
        file = policy.always_allow(policy.EMPTY, "main", "sh -c 'make'", "id-1", 5)
        self.assertEqual(answer(file, Action("sh -c 'make'")), "allow")
        self.assertEqual(answer(file, Action("sh -c 'make' ")), "ask")
        self.assertEqual(answer(file, Action("sh -c 'rm -rf /'", ("/bin/sh",))), "ask")
        self.assertEqual(answer(file, Action("sh -c 'make'"), "other"), "ask")
        again = policy.always_allow(file, "main", "sh -c 'make'", "id-2", 6)
        self.assertEqual(len(again.agents["main"].allowlist), 1)  # type: ignore[index,arg-type,union-attr]

    def test_a_hash_that_is_met_by_accident(self) -> None:
        """The text decides, not the pattern."""
        entry = {"pattern": policy.exact_pattern("rm -rf /"), "commandText": "make"}
        file = policy_file(agents={"main": {"allowlist": [entry]}})
        self.assertEqual(answer(file, Action("rm -rf /")), "ask")

    def test_always_allowed_commands_are_bounded(self) -> None:
        """The one unused for longest goes; what a person wrote stays."""
        file = policy_file(agents={"main": {"allowlist": [{"pattern": "/usr/bin/ls"}]}})
        for number in range(policy.MAX_ALWAYS + 5):
            file = policy.always_allow(file, "main", f"make {number}", f"id-{number}", number)
        self.assertEqual(answer(file, LS), "allow")
        self.assertEqual(answer(file, Action("make 4")), "ask")
        self.assertEqual(answer(file, Action("make 5")), "allow")

    def test_use_is_noted(self) -> None:
        file = policy_file(agents={"main": {"allowlist": [{"pattern": "/usr/bin/*"}]}})
        verdict = policy.decide(file, "main", LS)
        noted = policy.used(file, "main", verdict.hits, LS, 77)
        self.assertEqual(
            msgspec.to_builtins(noted)["agents"]["main"]["allowlist"],
            [
                {
                    "pattern": "/usr/bin/*",
                    "lastUsedAt": 77,
                    "lastUsedCommand": "ls -l",
                    "lastResolvedPath": "/usr/bin/ls",
                }
            ],
        )

    def test_mistakes_are_named_by_their_place(self) -> None:
        file = policy_file(
            defaults={"security": "banana"}, agents={"main": {"askFallback": "ask", "ask": "off"}}
        )
        self.assertEqual(
            policy.mistakes(file),
            [
                "at /defaults/security: expected deny, allowlist or full",
                "at /agents/main/askFallback: expected deny, allowlist or full",
            ],
        )


class ShellTests(SynchronousTestCase):
    """Which programs a line starts."""

    def test_what_can_be_told(self) -> None:
        for line, programs in {
            "ls": ("ls",),
            "ls -l *.py 'a; b' \"c | d\"": ("ls",),
            "ls; cat x && grep y | wc -l || true": ("ls", "cat", "grep", "wc", "true"),
            "./build.sh --fast;": ("./build.sh",),
            "grep '$HOME' x": ("grep",),
        }.items():
            self.assertEqual(shell.programs(line), programs, line)

    def test_what_cannot(self) -> None:
        for line in (
            "", " ", ";", "ls;;", "ls &&", "&& ls", "ls &", "ls > out", "cat < in", "ls $(rm)",
            "ls `rm`", 'ls "$(rm)"', 'ls "`rm`"', "ls $X", "$X", "(ls)", "{ ls; }", "A=1 ls",
            "'rm' x", "r\\m x", "ls\nrm", "ls\rrm", "ls 'open", "eval ls", "exec rm", ". ./x",
            "sudo ls", "/usr/bin/sudo ls", "sh -c ls", "BASH -c ls", "env ls", "xargs rm", "! ls",
            "[ -f x ] && rm x", "ls # x", "ls {a,b}", "*/rm x", "ls\0rm",
            # Builtins that work out what is quoted, or change what the next name means.
            "printf -v PATH /x; ls", "test -v 'a[$(rm x)]'", "read 'a[$(rm x)]'", "cd /x && ./ls",
        ):  # fmt: skip
            self.assertIsNone(shell.programs(line), line)
