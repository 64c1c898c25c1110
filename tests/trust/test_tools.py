"""Which tools an agent has."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from clawgw.config import ConfigError, parse_config
from clawgw.trust.tools import TOOLS, ToolRules, allowed_tools, meaningless, methods_of, scopes_of

CANVAS = {name for name, tool in TOOLS.items() if tool.group == "canvas"}


class Policy(SynchronousTestCase):
    """Allowing and denying."""

    def allowed(self, *rules: ToolRules) -> set[str]:
        return set(allowed_tools(*rules))

    def test_everything_unless_told_otherwise(self) -> None:
        self.assertEqual(self.allowed(ToolRules()), set(TOOLS))

    def test_lists(self) -> None:
        table: list[tuple[ToolRules, set[str]]] = [
            (ToolRules(allow=("canvas",)), CANVAS),
            (ToolRules(allow=("group:canvas",)), CANVAS),
            (ToolRules(allow=("Canvas_Write",)), {"canvas_write"}),
            (ToolRules(allow=("nodes_*",)), {"nodes_list", "nodes_describe", "nodes_invoke"}),
            (ToolRules(allow=("*",)), set(TOOLS)),
            (ToolRules(allow=()), set()),
            (ToolRules(deny=("*",)), set()),
            (ToolRules(deny=("canvas",)), set(TOOLS) - CANVAS),
            (ToolRules(allow=("canvas",), deny=("canvas_reset",)), CANVAS - {"canvas_reset"}),
            (ToolRules(allow=("canvas_reset",), deny=("canvas",)), set()),
            (ToolRules(deny=("group:messaging",)), set(TOOLS) - {"message_send"}),
        ]
        for rules, expected in table:
            with self.subTest(rules=rules):
                self.assertEqual(self.allowed(rules), expected)

    def test_an_agent_can_only_have_less(self) -> None:
        shared, own = ToolRules(deny=("nodes",)), ToolRules(allow=("nodes", "canvas_read"))
        self.assertEqual(self.allowed(shared, own), {"canvas_read"})

    def test_what_tools_open(self) -> None:
        self.assertEqual(methods_of(["sessions_list"]), {"sessions.list"})
        self.assertEqual(scopes_of(["sessions_list"]), ("operator.read",))
        self.assertEqual(scopes_of(TOOLS), ("operator.read", "operator.write"))
        self.assertEqual(scopes_of([]), ())

    def test_entries_that_mean_nothing(self) -> None:
        entries = ["canvas", "exec", "group:canvas_write", "group:nodes", "x*", "*_list"]
        self.assertEqual(meaningless(entries), ["exec", "group:canvas_write", "x*"])


class Configuration(SynchronousTestCase):
    """The keys."""

    def test_everything_there_is(self) -> None:
        config = parse_config(
            '{"tools": {"allow": ["canvas"], "deny": ["canvas_reset"], '
            '"sessions": {"visibility": "self"}}, '
            '"agents": {"list": [{"id": "a", "tools": {"deny": ["canvas_write"]}}]}}'
        )
        self.assertEqual(config.tools.allow, ("canvas",))
        self.assertEqual(config.tools.sessions.visibility, "self")
        self.assertEqual(config.agents.list[0].tools.deny, ("canvas_write",))

    def test_a_tool_there_is_not_is_an_error_with_its_path(self) -> None:
        for text, path in (
            ('{"tools": {"deny": ["exec"]}}', "tools.deny"),
            ('{"agents": {"list": [{"id": "a", "tools": {"allow": ["exec"]}}]}}',
             "agents.list[0].tools.allow"),
        ):  # fmt: skip
            error = self.assertRaises(ConfigError, parse_config, text)
            self.assertIn(f"{path}: 'exec' is no tool", str(error))
