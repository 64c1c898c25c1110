"""Which of the Gateway's tools an agent has: the policy, and what each tool may do here.

A tool is allowed unless the configuration says otherwise. `tools.allow`, where it is given, is the
whole list of what agents may use; `tools.deny` takes away from that, whatever allows it. An agent's
own `tools` can only narrow what all agents have. Entries are names of tools or of their groups
(`canvas` or `group:canvas`), without regard to case, and `*` stands for anything.

A tool is a few methods of the Gateway, and the token of a session opens exactly the methods of its
tools. So a denied tool is not only hidden from the agent, it is refused to whoever holds the token.

Names, groups and keys are OpenClaw's where it has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from clawgw.trust.scopes import READ, WRITE

Visibility = Literal["self", "agent", "all"]


class Tool(NamedTuple):
    """What a tool belongs to, and the methods it needs with their scope."""

    group: str
    methods: tuple[str, ...]
    scope: str


TOOLS: dict[str, Tool] = {
    "nodes_list": Tool("nodes", ("node.list",), READ),
    "nodes_describe": Tool("nodes", ("node.describe",), READ),
    "nodes_invoke": Tool("nodes", ("node.invoke",), WRITE),
    "canvas_write": Tool("canvas", ("canvas.files.write",), WRITE),
    "canvas_read": Tool("canvas", ("canvas.files.read",), WRITE),
    "canvas_list": Tool("canvas", ("canvas.files.list",), WRITE),
    "canvas_delete": Tool("canvas", ("canvas.files.delete",), WRITE),
    "canvas_reset": Tool("canvas", ("canvas.files.reset",), WRITE),
    "canvas_a2ui_push": Tool(
        "canvas", ("canvas.a2ui.push", "canvas.a2ui.pushJSONL", "canvas.a2ui.reset"), WRITE
    ),
    "sessions_list": Tool("sessions", ("sessions.list",), READ),
    "sessions_history": Tool("sessions", ("chat.history",), READ),
    "sessions_send": Tool("sessions", ("agent",), WRITE),
    "message_send": Tool("message", ("send",), WRITE),
}

_OTHER_NAMES = {"messaging": "message"}
"""OpenClaw's name of a group, where ours is another."""


@dataclass(frozen=True)
class ToolRules:
    """`tools` of the configuration, or of one agent. `allow` None: everything."""

    allow: Sequence[str] | None = None
    deny: Sequence[str] = ()

    def allows(self, name: str) -> bool:
        """Whether these rules let an agent use a tool."""
        if any(matches(entry, name) for entry in self.deny):
            return False
        return self.allow is None or any(matches(entry, name) for entry in self.allow)


def allowed_tools(*rules: ToolRules) -> tuple[str, ...]:
    """The tools that every one of these rules allows."""
    return tuple(name for name in TOOLS if all(one.allows(name) for one in rules))


def matches(entry: str, name: str) -> bool:
    """Whether an entry of a list means this tool."""
    text = entry.strip().lower()
    group = TOOLS[name].group
    bare = text.removeprefix("group:")
    if _OTHER_NAMES.get(bare, bare) == group:
        return True
    return not text.startswith("group:") and fnmatchcase(name, text)


def meaningless(entries: Iterable[str]) -> list[str]:
    """The entries that mean no tool there is."""
    return [entry for entry in entries if not any(matches(entry, name) for name in TOOLS)]


def methods_of(tools: Iterable[str]) -> frozenset[str]:
    """The methods these tools need."""
    return frozenset(method for name in tools for method in TOOLS[name].methods)


def scopes_of(tools: Iterable[str]) -> tuple[str, ...]:
    """The scopes these tools need."""
    wanted = {TOOLS[name].scope for name in tools}
    return tuple(scope for scope in (READ, WRITE) if scope in wanted)
