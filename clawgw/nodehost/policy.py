"""Whether a command may run: the policy file's words, and the decision they lead to.

The file is the exec-approvals file of the protocol (version 1), so that the stock apps can edit it:
``defaults`` for all agents, ``agents`` for one each (``*`` for every one), and per agent an
allowlist. What is in none of them:

=================  ===========  ==================================================================
``security``       allowlist    ``deny`` nothing runs; ``allowlist`` what is listed; ``full`` all
``ask``            on-miss      a person is asked ``off`` never, ``on-miss`` for what is not
                                listed, ``always``
``askFallback``    deny         like ``security``, for when a person was to be asked and nobody can
``autoAllowSkills`` false       programs that the Gateway's skills need count as listed
=================  ===========  ==================================================================

So a fresh node runs nothing that nobody has allowed, and asks (protocol 3, tools/exec: ``security``
is ``allowlist`` on a node and ``ask`` is ``on-miss`` where unset; tools/exec-approvals:
``askFallback``). A request that expires is a denial.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "AgentPolicy",
    "AllowEntry",
    "Ask",
    "Decision",
    "Effective",
    "PolicyDocument",
    "Security",
    "Verdict",
    "after_answer",
    "decide",
    "effective",
    "without_answer",
]

T = TypeVar("T")

Security = Literal["deny", "allowlist", "full"]
Ask = Literal["off", "on-miss", "always"]
Decision = Literal["allow-once", "allow-always", "deny"]
Time = Annotated[float, Meta(ge=0)]


class _Part(
    Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Base of the parts of the file: closed, because a word we do not know may be a restriction."""


class AllowEntry(_Part, frozen=True):
    """A program that may run. Times in ms since the epoch."""

    pattern: str
    id: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    source: Literal["allow-always"] | UnsetType = UNSET
    command_text: str | UnsetType = UNSET
    arg_pattern: str | UnsetType = UNSET
    last_used_at: Time | UnsetType = UNSET
    last_used_command: str | UnsetType = UNSET
    last_resolved_path: str | UnsetType = UNSET


class Defaults(_Part, frozen=True):
    """What holds for every agent that does not say otherwise."""

    security: Security | UnsetType = UNSET
    ask: Ask | UnsetType = UNSET
    ask_fallback: Security | UnsetType = UNSET
    auto_allow_skills: bool | UnsetType = UNSET


class AgentPolicy(_Part, frozen=True):
    """What holds for one agent."""

    security: Security | UnsetType = UNSET
    ask: Ask | UnsetType = UNSET
    ask_fallback: Security | UnsetType = UNSET
    auto_allow_skills: bool | UnsetType = UNSET
    allowlist: tuple[AllowEntry, ...] | UnsetType = UNSET
    mcp_tools: Any = UNSET  # not ours to use, but to keep


class Socket(_Part, frozen=True):
    """Where a desktop app asks its user; we keep it for that app."""

    path: str | UnsetType = UNSET
    token: str | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"Socket(path={self.path!r})"


class PolicyDocument(_Part, frozen=True):
    """The whole file."""

    version: Literal[1]
    socket: Socket | UnsetType = UNSET
    defaults: Defaults | UnsetType = UNSET
    agents: dict[str, AgentPolicy] | UnsetType = UNSET


@dataclass(frozen=True)
class Effective:
    """What holds for an agent, everything considered. ``allowlist``: the patterns."""

    security: Security = "allowlist"
    ask: Ask = "on-miss"
    ask_fallback: Security = "deny"
    auto_allow_skills: bool = False
    allowlist: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """``run``, ``ask``, or ``deny`` with the reason in the protocol's words."""

    act: Literal["run", "ask", "deny"]
    reason: str = ""


RUN = Verdict("run")


def effective(document: PolicyDocument, agent: str) -> Effective:
    """The policy for an agent: its own words, then those of ``*``, then the defaults."""
    agents = document.agents or {}
    own, every = agents.get(agent, AgentPolicy()), agents.get("*", AgentPolicy())
    common = document.defaults or Defaults()
    fresh = Effective()
    entries = (*(every.allowlist or ()), *(own.allowlist or ()))
    return Effective(
        _first(own.security, every.security, common.security, fresh.security),
        _first(own.ask, every.ask, common.ask, fresh.ask),
        _first(own.ask_fallback, every.ask_fallback, common.ask_fallback, fresh.ask_fallback),
        _first(
            own.auto_allow_skills,
            every.auto_allow_skills,
            common.auto_allow_skills,
            fresh.auto_allow_skills,
        ),
        tuple(entry.pattern for entry in entries if entry.arg_pattern is UNSET),
    )


def decide(policy: Effective, *, listed: bool) -> Verdict:
    """What to do about a command; ``listed``: the allowlist covers all it runs."""
    if policy.security == "deny":
        return Verdict("deny", "security=deny")
    if policy.ask == "always":
        return Verdict("ask")
    if policy.security == "full" or listed:
        return RUN
    return Verdict("ask") if policy.ask == "on-miss" else Verdict("deny", "allowlist-miss")


def after_answer(decision: Decision | None) -> Verdict:
    """What to do after a person was asked; None: nobody decided in time."""
    if decision in ("allow-once", "allow-always"):
        return RUN
    return Verdict("deny", "user-denied" if decision == "deny" else "approval-timeout")


def without_answer(policy: Effective, *, listed: bool) -> Verdict:
    """What to do when a person was to be asked and nobody can be."""
    if policy.ask_fallback == "full" or (policy.ask_fallback == "allowlist" and listed):
        return RUN
    return Verdict("deny", "approval-required")


def _first(*values: T | UnsetType) -> T:
    return next(value for value in values if not isinstance(value, msgspec.UnsetType))
