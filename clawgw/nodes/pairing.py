"""Approval of what a node lends.

That a device may connect as a node is one decision (`trust.devices`); what it may be asked to do is
another. Since protocol version 4 a node's capabilities, commands and permissions count only once an
operator has approved them, and what it declares later counts up to what was approved. A node that
declares more has one request open, which stays until it is decided or the node declares something
else; it does not expire. Approving commands that run programs needs `operator.admin`.

A version 3 node is not asked (`Record.needs_approval`); its `node.pair.request` and
`node.pair.verify` work by hand, apart from connecting, as they did.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Literal

from msgspec import UNSET, structs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.events import EventSink
from clawgw.nodes.book import NodeBook, Profile, Record, Surface
from clawgw.nodes.policy import scopes_to_approve
from clawgw.protocol import nodes as wire
from clawgw.protocol.base import given
from clawgw.protocol.errors import invalid, missing_scope, unavailable
from clawgw.trust import scopes as scope_rules
from clawgw.trust.tokens import hash_token, new_salt, same_secret

MAX_WAITING = 200
_SHOWN = (
    "display_name", "platform", "version", "device_family", "model_identifier",
    "client_id", "client_mode", "remote_ip",
)  # fmt: skip
"""What requests and approvals show of a node's `Profile`."""


class NodePairing:
    """Requests, and what is decided on them.

    Args:
        book: where they are kept.
        events: where operators hear of them.
        now_ms: the time, in milliseconds since the epoch.
    """

    log = Logger()

    def __init__(self, book: NodeBook, events: EventSink, now_ms: Callable[[], int]) -> None:
        self._book = book
        self._events = events
        self._now_ms = now_ms

    def consider(self, record: Record, *, silent: bool) -> None:
        """A node has connected: does somebody have to approve what it declares?

        Args:
            silent: whether the device was let in without asking anybody.
        """
        if not record.needs_approval:
            return
        declared = record.profile.declared
        waiting = self._book.request_of(record.node_id)
        if declared.within(record.approved or Surface()):
            if waiting is not None:
                self._withdraw(waiting)
            return
        if waiting is not None:
            if _surface(waiting).same(declared):
                return
            self._withdraw(waiting)
        request = self._request(record.node_id, record.profile, declared)
        request = structs.replace(
            request,
            silent=silent if record.approved is None else UNSET,
            is_repair=True if record.approved is not None else UNSET,
        )
        self._book.ask(request).addErrback(
            lambda failure: self.log.failure("while storing a request", failure)
        )
        self._requested(request)

    async def ask_by_hand(self, params: wire.NodePairRequestParams) -> wire.NodePairRequested:
        """`node.pair.request`: the node's open request, or a new one.

        Raises:
            RequestError: too many wait already.
        """
        waiting = self._book.request_of(params.node_id)
        if waiting is not None:
            return wire.NodePairRequested(request=waiting, created=False)
        if len(self._book.requests()) >= MAX_WAITING:
            raise unavailable("too many nodes wait for approval", retryable=True)
        profile = _profile(params)
        surface = Surface(tuple(given(params.caps, [])), tuple(given(params.commands, [])))
        request = structs.replace(
            self._request(params.node_id, profile, surface),
            core_version=params.core_version,
            ui_version=params.ui_version,
            silent=params.silent,
            is_repair=self._book.get(params.node_id) is not None,
        )
        await self._book.ask(request)
        self._requested(request)
        return wire.NodePairRequested(request=request, created=True)

    def listing(self) -> wire.NodePairList:
        """Who waits, the newest first, and who was approved."""
        approved = [record for record in self._book if record.approved is not None]
        approved.sort(key=lambda record: -(record.approved_at or 0))
        return wire.NodePairList(
            pending=self._book.requests()[::-1], paired=[_approved(record) for record in approved]
        )

    async def approve(
        self, request_id: str, scopes: frozenset[str], version: int
    ) -> wire.NodePairApproved:
        """Let a node lend what it asked to.

        Args:
            scopes: the operator's.
            version: the protocol version the operator speaks.

        Raises:
            RequestError: no such request, or its commands need a scope the operator lacks.
        """
        request = self._waiting(request_id)
        required = scopes_to_approve(request.commands)
        missing = scope_rules.uncovered(scopes, required)
        if missing:
            raise missing_scope(version, missing[0], required)
        now = self._now_ms()
        fields: dict[str, object] = {"approved": _surface(request), "approved_at": now}
        if self._book.get(request.node_id) is None:
            fields["profile"] = _profile(request)
        token = new_salt() if version < 4 else None
        if token is not None:
            fields["token_hash"] = hash_token(token)
        await self._book.approve(request, **fields)
        record = self._book.get(request.node_id)
        assert record is not None
        node = structs.replace(_approved(record), token=token or UNSET)
        self._resolved(request, "approved", now)
        return wire.NodePairApproved(request_id=request_id, node=node)

    async def reject(self, request_id: str) -> wire.NodePairRejected:
        """Refuse what a node asked for; what was approved before stays.

        Raises:
            RequestError: no such request.
        """
        request = self._waiting(request_id)
        await self._book.forget(request)
        self._resolved(request, "rejected")
        return wire.NodePairRejected(request_id=request_id, node_id=request.node_id)

    def remove(self, node_id: str) -> Deferred[None]:
        """Take back what was approved for a node; fires when that is on the disk."""
        waiting = self._book.request_of(node_id)
        removed = self._book.remove(node_id)
        if waiting is not None:
            self._resolved(waiting, "expired")
        return removed

    def verify(self, node_id: str, token: str) -> wire.NodePairVerified:
        """Whether this is the token a version 3 approval gave."""
        record = self._book.get(node_id)
        if (
            record is None
            or record.token_hash is None
            or not same_secret(hash_token(token), record.token_hash)
        ):
            return wire.NodePairVerified(ok=False)
        return wire.NodePairVerified(ok=True, node=_approved(record))

    # Inside

    def _waiting(self, request_id: str) -> wire.NodePairRequest:
        request = self._book.request(request_id)
        if request is None:
            raise invalid("unknown requestId")
        return request

    def _withdraw(self, request: wire.NodePairRequest) -> None:
        self._book.forget(request).addErrback(
            lambda failure: self.log.failure("while forgetting a request", failure)
        )
        self._resolved(request, "expired")

    def _request(self, node_id: str, profile: Profile, surface: Surface) -> wire.NodePairRequest:
        return wire.NodePairRequest(
            request_id=str(uuid.uuid4()),
            node_id=node_id,
            ts=self._now_ms(),
            caps=list(surface.caps),
            commands=list(surface.commands),
            permissions=dict(surface.permissions) or UNSET,
            **_shown(profile),
            required_approve_scopes=scopes_to_approve(surface.commands),
        )

    def _requested(self, request: wire.NodePairRequest) -> None:
        self._events.publish("node.pair.requested", request)
        self.log.info(
            "node {node} waits for approval of its commands: clawgw nodes approve {request}",
            node=request.node_id[:12],
            request=request.request_id,
        )

    def _resolved(
        self,
        request: wire.NodePairRequest,
        decision: Literal["approved", "rejected", "expired"],
        at_ms: int | None = None,
    ) -> None:
        event = wire.NodePairResolvedEvent(
            request_id=request.request_id,
            node_id=request.node_id,
            decision=decision,
            ts=self._now_ms() if at_ms is None else at_ms,
        )
        self._events.publish("node.pair.resolved", event)


def _surface(request: wire.NodePairRequest) -> Surface:
    return Surface(
        tuple(request.caps), tuple(request.commands), dict(given(request.permissions, {}))
    )


def _profile(said: wire.NodePairRequest | wire.NodePairRequestParams) -> Profile:
    """What a request says of its node; one made by hand names no client."""
    return Profile(**{name: given(getattr(said, name, UNSET), "") for name in _SHOWN})


def _shown(profile: Profile) -> dict[str, Any]:
    """What a node said of itself, as fields of its request or its approval."""
    return {name: getattr(profile, name) or UNSET for name in _SHOWN}


def _approved(record: Record) -> wire.ApprovedNode:
    approved = record.approved or Surface()
    shown = _shown(record.profile)
    if record.name:
        shown["display_name"] = record.name
    return wire.ApprovedNode(
        node_id=record.node_id,
        created_at_ms=record.created_at,
        approved_at_ms=record.approved_at or record.created_at,
        caps=list(approved.caps),
        commands=list(approved.commands),
        permissions=dict(approved.permissions) or UNSET,
        **shown,
        last_connected_at_ms=UNSET
        if record.last_connected_at is None
        else record.last_connected_at,
        last_seen_at_ms=UNSET if record.last_seen_at is None else record.last_seen_at,
        last_seen_reason=record.last_seen_reason or UNSET,
    )
