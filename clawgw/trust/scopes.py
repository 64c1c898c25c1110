"""Scopes: what an operator connection may do.

`operator.admin` includes every operator scope; `operator.write` includes reading and talking.
A node has no scopes: it may call the node methods and nothing else. The scope of each method is
declared where the method is registered; the names are the contract's.
"""

from __future__ import annotations

from collections.abc import Iterable

OPERATOR = "operator"
NODE = "node"
ROLES = (OPERATOR, NODE)

READ = "operator.read"
WRITE = "operator.write"
ADMIN = "operator.admin"
APPROVALS = "operator.approvals"
PAIRING = "operator.pairing"
TALK = "operator.talk"

_INCLUDED = {WRITE: frozenset({READ, TALK})}


def covers(granted: Iterable[str], wanted: str) -> bool:
    """Whether these scopes allow what `wanted` asks for."""
    scopes = frozenset(granted)
    if wanted in scopes:
        return True
    if ADMIN in scopes and wanted.startswith("operator."):
        return True
    return any(wanted in _INCLUDED.get(scope, ()) for scope in scopes)


def uncovered(granted: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Those of the wanted scopes that the granted ones do not allow, in their order."""
    scopes = frozenset(granted)
    return [scope for scope in wanted if not covers(scopes, scope)]


def distinct(scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes without repetition, in their order."""
    return tuple(dict.fromkeys(scopes))


def union(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    """Both sets of scopes, without repetition."""
    return distinct((*first, *second))
