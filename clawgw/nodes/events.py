"""What nodes tell of their own accord (`node.event`), and what becomes of it.

`agent.request` and `voice.transcript` are somebody speaking to the agent through the node; they
become runs. `node.presence.alive` and `node.host.stats` are kept with the node. Any other event is
taken, as the original takes it, and noted in the log as far as `clawgw.loglimit` allows.

A version 4 node is told what became of its event; version 3 only that it arrived.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import UNSET, Struct, structs
from twisted.logger import Logger

from clawgw.events import EventSink
from clawgw.nodes.book import NodeBook
from clawgw.nodes.registry import Live
from clawgw.protocol.base import given
from clawgw.protocol.errors import invalid
from clawgw.protocol.nodes import HostStats, HostStatsEvent, NodeEventParams, NodeEventResult

MAX_TEXT = 20_000
_ALIVE = frozenset(
    {"background", "silent_push", "bg_app_refresh", "significant_location", "manual", "connect"}
)


class Request(Struct, frozen=True, rename="camel"):
    """Somebody speaks to the agent: `agent.request` has a `message`, `voice.transcript` a `text`.

    `session_key` is the session meant; empty for the node's own. `key` makes it idempotent.
    """

    message: str = ""
    text: str = ""
    session_key: str = ""
    key: str = ""
    thinking: str | None = None
    timeout_seconds: float | None = None


class Speech(Struct, frozen=True):
    """What is to be said to the agent, `session_key` as a client would write it."""

    session_key: str
    text: str
    key: str
    thinking: str | None
    timeout_ms: int | None


Say = Callable[[Speech], Awaitable[Any]]
"""Begins a run; returns when that is on the disk."""


class NodeEvents:
    """Deals with events of nodes.

    Args:
        book: what is remembered of nodes.
        events: where operators hear of it.
        say: for what is said to the agent.
        now_ms: the time, in milliseconds since the epoch.
    """

    log = Logger()

    def __init__(
        self, book: NodeBook, events: EventSink, say: Say, now_ms: Callable[[], int]
    ) -> None:
        self._book = book
        self._events = events
        self._say = say
        self._now_ms = now_ms

    async def take(self, live: Live, params: NodeEventParams) -> NodeEventResult:
        """One event.

        Raises:
            RequestError: the payload is no JSON, or the message is too long.
        """
        payload = _payload(params)
        reason: str | None = None
        handled = True
        if params.event == "agent.request":
            await self._speak(live, payload, f"node-{live.node_id}")
        elif params.event == "voice.transcript":
            await self._speak(live, payload, "main")
        elif params.event == "node.presence.alive":
            handled, reason = self._alive(live, payload)
        elif params.event == "node.host.stats":
            handled, reason = self._stats(live, payload)
        else:
            handled = False
            if live.lines.admits():
                self.log.info(
                    "node {node} told {event}",
                    node=live.node_id[:12],
                    event=repr(params.event[:60]),
                )
        if live.connection.version < 4:
            return NodeEventResult()
        return NodeEventResult(event=params.event, handled=handled, reason=reason or UNSET)

    async def _speak(self, live: Live, payload: Any, session_key: str) -> None:
        try:
            request = msgspec.convert(payload, Request)
        except msgspec.ValidationError as problem:
            raise invalid(f"node.event payload: {problem}") from None
        text = (request.message or request.text).strip()
        if not text or len(text) > MAX_TEXT:
            raise invalid(f"node.event payload: expected 1 to {MAX_TEXT} characters of text")
        seconds = request.timeout_seconds
        await self._say(
            Speech(
                request.session_key.strip() or session_key,
                text,
                # A key is the node's own, so that it cannot take one of somebody else's.
                f"node:{live.node_id[:16]}:{request.key or uuid.uuid4()}"[:200],
                request.thinking,
                None if seconds is None or seconds <= 0 else int(seconds * 1000),
            )
        )

    def _alive(self, live: Live, payload: Any) -> tuple[bool, str]:
        trigger = payload.get("trigger") if isinstance(payload, dict) else None
        reason = trigger if trigger in _ALIVE else "background"
        self._book.note(live.node_id, last_seen_at=self._now_ms(), last_seen_reason=reason)
        return True, "persisted"

    def _stats(self, live: Live, payload: Any) -> tuple[bool, str]:
        try:
            stats = msgspec.convert(payload, HostStats)
        except msgspec.ValidationError:
            return True, "invalid_payload"
        stats = structs.replace(stats, updated_at_ms=self._now_ms())
        self._book.note(live.node_id, host_stats=stats)
        event = HostStatsEvent(node_id=live.node_id, host_stats=stats)
        self._events.publish("node.hostStats", event, droppable=True)
        return True, "updated"


def _payload(params: NodeEventParams) -> Any:
    text = given(params.payload_json, None)
    if text is None:
        return given(params.payload, None)
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise invalid("node.event payloadJSON: expected JSON in a string") from None
