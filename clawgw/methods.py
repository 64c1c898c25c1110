"""The table of methods: what a method takes, who may call it, and what does it.

Each domain package registers its own in its `methods.py`: name, handler, scope. Parameter and
result types come from `protocol.catalog`. A handler gets the caller and the decoded parameters and
returns the result (a struct, a plain value, or bytes that are JSON already), a coroutine of one,
`Twice` for a method that answers when it has accepted and again when it is done, or `Spliced` for
one whose result may be large.

A tool of an agent is a caller with a `bound_session`. It may call methods that are registered with
`agents=True` and that its session's policy names; a handler that takes a session key, or tells
something of a session, checks it against `caller.bound_session` (see `trust.session_tokens`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from clawgw.protocol.catalog import method_types
from clawgw.protocol.connect import ClientInfo
from clawgw.protocol.errors import RequestError, invalid, missing_scope
from clawgw.protocol.validate import ParamsDecoder
from clawgw.trust import scopes as scope_rules
from clawgw.trust.session_tokens import BoundSession, forbidden


class Caller(Protocol):
    """What a handler may know of the connection that calls."""

    conn_id: str
    version: int
    role: str
    scopes: frozenset[str]
    caps: frozenset[str]
    device_id: str | None
    client: ClientInfo
    address: str
    host: str
    bound_session: BoundSession | None


@dataclass(frozen=True)
class Twice:
    """Two answers to one request: `first` now, what `final` brings at the end."""

    first: Any
    final: Awaitable[Any]


@dataclass(frozen=True)
class Spliced:
    """A result in pieces of JSON, each with a buffer, that are put together only when sent."""

    parts: tuple[Any, ...]


Handler = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Method:
    """One method.

    `scope` None: any operator. `roles`: who may call at all. `agents`: whether agents' tools may.
    """

    name: str
    handler: Handler
    scope: str | None
    roles: frozenset[str]
    decoder: ParamsDecoder[Any]
    agents: bool = False

    def check(self, caller: Caller) -> None:
        """Refuse a caller that may not.

        Raises:
            RequestError: wrong role, a scope is missing, or no method for this agent's tools.
        """
        bound = caller.bound_session
        if bound is not None and not (self.agents and self.name in bound.methods):
            raise forbidden(f"{self.name} is not open to this agent's tools")
        if caller.role not in self.roles:
            raise invalid(f"unauthorized role: {caller.role}")
        scope = self.scope
        if scope is None or scope in caller.scopes or scope_rules.ADMIN in caller.scopes:
            return
        if caller.role == scope_rules.OPERATOR and not scope_rules.covers(caller.scopes, scope):
            raise missing_scope(caller.version, scope, [scope])


class MethodTable:
    """All methods that work."""

    def __init__(self) -> None:
        self._types = method_types()
        self._methods: dict[str, Method] = {}

    def add(
        self,
        name: str,
        handler: Handler,
        *,
        scope: str | None,
        roles: Iterable[str] = (scope_rules.OPERATOR,),
        agents: bool = False,
    ) -> None:
        """Register a method; its types must be in the catalog."""
        decoder: ParamsDecoder[Any] = ParamsDecoder(self._types[name].params)
        self._methods[name] = Method(name, handler, scope, frozenset(roles), decoder, agents)

    def find(self, name: str) -> Method:
        """The method of this name.

        Raises:
            RequestError: there is none.
        """
        method = self._methods.get(name)
        if method is None:
            raise RequestError("INVALID_REQUEST", f"unknown method: {name[:100]}")
        return method

    def names(self) -> list[str]:
        """Every method that works, for `hello-ok.features`."""
        return list(self._methods)

    def names_for(self, bound: BoundSession) -> list[str]:
        """Those that an agent's tools may call."""
        return [name for name, one in self._methods.items() if one.agents and name in bound.methods]
