"""The policy: may this run, may it not, or does a person decide?

`security` says what is possible at all: `deny` nothing, `allowlist` what is on the list, `full`
everything. `ask` says when a person decides: `off` never, `on-miss` when something is not on the
list, `always` each time. What an agent does not say for itself, `*` says for all agents, then
`defaults`, then the built-in defaults below: the allowlist, and a person for everything else. An
asker may name its own `security` and `ask`; the stricter of both holds.

An allowlist entry is a pattern of paths (`*` within a directory, `**` across, `?` one letter,
letter case ignored), and matches a command line when every program it starts matches some entry.
A pattern without a directory matches nothing. Or it is one command that a person always allowed:
then it matches exactly that command of that agent, and no other, whatever program it starts.
Nothing matches what is to run with variables of its own, unless `programs.are_harmless` says so.

`askFallback` and `autoAllowSkills` are kept in the file for hosts that use them. This Gateway does
not: a question nobody answers is a no, and skills are asked about like everything else.

Names and meanings are those of OpenClaw's `exec-approvals.json`. All of this is pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast, get_args

import msgspec
from msgspec import UNSET

from clawgw.protocol import approvals as wire
from clawgw.protocol.approvals import AllowlistEntry, Ask, PolicyFile, Security
from clawgw.protocol.base import given

SECURITIES: tuple[Security, ...] = get_args(Security)
"""From the strictest to the loosest."""

ASKS: tuple[Ask, ...] = get_args(Ask)
"""From the loosest to the strictest."""

DEFAULTS = wire.ResolvedDefaults(
    security="allowlist", ask="on-miss", ask_fallback="deny", auto_allow_skills=False
)
EMPTY = PolicyFile(version=1)
EVERY_AGENT = "*"
EXACT = "=command:"
"""How the pattern of one always allowed command begins; the rest is the start of its SHA-256."""

MAX_ALWAYS = 500
"""How many always allowed commands an agent may have; the one unused for longest goes."""


class Action(NamedTuple):
    """What somebody wants to do.

    Attributes:
        text: the command line, or the title of something that is none.
        paths: of each program it starts; None where that cannot be told.
        as_usual: whether its environment makes it no other than it seems.
    """

    text: str
    paths: tuple[str, ...] | None = None
    as_usual: bool = True


class Verdict(NamedTuple):
    """`answer` is `allow`, `deny` or `ask`; `hits` are the list's patterns that made it so."""

    answer: str
    ask: Ask
    hits: tuple[str, ...] = ()


def decide(
    file: PolicyFile,
    agent_id: str,
    action: Action,
    security: str | None = None,
    ask: str | None = None,
    *,
    home: str = "/",
) -> Verdict:
    """What the policy says.

    Args:
        home: where patterns that begin with `~/` begin.
        security, ask: the asker's own; words that are none are as if they were not said.
    """
    allowed = _stricter(SECURITIES, setting(file, agent_id, "security"), security, min)
    asking = cast(Ask, _stricter(ASKS, setting(file, agent_id, "ask"), ask, max))
    if allowed == "deny":
        return Verdict("deny", asking)
    if asking == "always":
        return Verdict("ask", asking)
    if allowed == "full":
        return Verdict("allow", asking)
    hits = matches(file, agent_id, action, home)
    if hits is not None:
        return Verdict("allow", asking, hits)
    return Verdict("deny" if asking == "off" else "ask", asking)


def setting(file: PolicyFile, agent_id: str, name: str) -> str:
    """`security`, `ask` or `ask_fallback` of an agent."""
    agents = given(file.agents, {})
    for place in (agents.get(agent_id), agents.get(EVERY_AGENT), given(file.defaults, None)):
        value = UNSET if place is None else getattr(place, name)
        if value is not UNSET:
            return cast(str, value)
    return cast(str, getattr(DEFAULTS, name))


def resolved_defaults(file: PolicyFile) -> wire.ResolvedDefaults:
    """What holds for an agent nobody mentions."""
    said = msgspec.to_builtins(given(file.defaults, wire.PolicyDefaults()))
    return msgspec.convert(msgspec.to_builtins(DEFAULTS) | said, wire.ResolvedDefaults)


def matches(file: PolicyFile, agent_id: str, action: Action, home: str) -> tuple[str, ...] | None:
    """The patterns by which an action is on the list; None if it is not."""
    if not action.as_usual:
        return None
    entries = list(_entries(file, agent_id))
    exact = exact_pattern(action.text)
    if any(is_exact(entry) and _is_command(entry, action.text) for entry in entries):
        return (exact,)
    if not action.paths:
        return None
    patterns = [entry.pattern for entry in entries if not is_exact(entry)]
    hits = [next((one for one in patterns if fits(one, path, home)), None) for path in action.paths]
    return None if None in hits else tuple(hit for hit in hits if hit is not None)


def is_exact(entry: AllowlistEntry) -> bool:
    """Whether an entry is one command, not a pattern of paths."""
    return entry.pattern.startswith(EXACT)


def exact_pattern(command: str) -> str:
    """The pattern of one command."""
    return EXACT + hashlib.sha256(command.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def fits(pattern: str, path: str, home: str) -> bool:
    """Whether a pattern of paths takes an absolute path; `~/` begins in the directory `home`."""
    if pattern.startswith("~/"):
        pattern = home + pattern[1:]
    return "/" in pattern and _regex(pattern).fullmatch(path) is not None


def always_allow(
    file: PolicyFile, agent_id: str, command: str, entry_id: str, now_ms: int
) -> PolicyFile:
    """The policy with one more command that this agent may always run."""
    entry = AllowlistEntry(
        id=entry_id,
        pattern=exact_pattern(command),
        source="allow-always",
        command_text=command,
        last_used_at=now_ms,
        last_used_command=command,
    )
    agents = dict(given(file.agents, {}))
    agent = agents.get(agent_id, wire.AgentPolicy())
    others = [
        one
        for one in given(agent.allowlist, [])
        if not (is_exact(one) and one.pattern == entry.pattern)
    ]
    agents[agent_id] = msgspec.structs.replace(agent, allowlist=_bounded([*others, entry]))
    return msgspec.structs.replace(file, agents=agents)


def used(
    file: PolicyFile,
    agent_id: str,
    hits: Sequence[str],
    action: Action,
    now_ms: int,
    home: str = "/",
) -> PolicyFile:
    """The policy with a note of when the entries that allowed an action were used."""
    agents = dict(given(file.agents, {}))
    for name in (agent_id, EVERY_AGENT):
        agent = agents.get(name)
        if agent is not None and agent.allowlist is not UNSET:
            noted = [_noted(one, hits, action, now_ms, home) for one in given(agent.allowlist, [])]
            agents[name] = msgspec.structs.replace(agent, allowlist=noted)
    return msgspec.structs.replace(file, agents=agents)


def mistakes(file: PolicyFile) -> list[str]:
    """What a policy says that means nothing, each with its place."""
    places: list[tuple[str, Any]] = [("defaults", given(file.defaults, None))]
    places += [(f"agents/{name}", agent) for name, agent in given(file.agents, {}).items()]
    words: Mapping[str, Sequence[str]] = {
        "security": SECURITIES,
        "ask": ASKS,
        "ask_fallback": SECURITIES,
    }
    return [
        f"at /{place}/{wire_name}: expected {', '.join(choices[:-1])} or {choices[-1]}"
        for place, said in places
        if said is not None
        for name, choices in words.items()
        for wire_name in [name.replace("_f", "F")]
        if getattr(said, name) is not UNSET and getattr(said, name) not in choices
    ]


def _stricter(order: Sequence[str], ours: str, theirs: str | None, strictest: Any) -> str:
    if theirs not in order:
        return ours
    return cast(str, strictest(ours, theirs, key=order.index))


def _entries(file: PolicyFile, agent_id: str) -> Iterator[AllowlistEntry]:
    agents = given(file.agents, {})
    for name in dict.fromkeys((agent_id, EVERY_AGENT)):
        agent = agents.get(name)
        if agent is not None:
            yield from given(agent.allowlist, [])


def _is_command(entry: AllowlistEntry, text: str) -> bool:
    """The text decides, where it is kept; a short hash alone could be met by accident."""
    if entry.command_text is not UNSET:
        return entry.command_text == text
    return entry.pattern == exact_pattern(text)


def _bounded(entries: list[AllowlistEntry]) -> list[AllowlistEntry]:
    """Without the always allowed commands that are too many; what a person wrote stays."""
    exact = sorted(filter(is_exact, entries), key=lambda one: given(one.last_used_at, 0))
    dropped = {one.pattern for one in exact[: max(0, len(exact) - MAX_ALWAYS)]}
    return [one for one in entries if one.pattern not in dropped]


def _noted(
    entry: AllowlistEntry, hits: Sequence[str], action: Action, now_ms: int, home: str
) -> AllowlistEntry:
    if entry.pattern not in hits:
        return entry
    paths = [path for path in action.paths or () if fits(entry.pattern, path, home)]
    noted = msgspec.structs.replace(entry, last_used_at=now_ms, last_used_command=action.text)
    return msgspec.structs.replace(noted, last_resolved_path=paths[0]) if paths else noted


def _regex(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"(\*\*|\*|\?)", re.sub(r"\*{2,}", "**", pattern))
    meaning = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(one) or re.escape(one) for one in pieces), re.I | re.S)
