"""Work that waits for a node that sleeps (version 4).

There are two kinds. An *action* is a command that a phone refused because its app was not on the
screen. The app asks for such actions once it is (`node.pending.pull`), carries them out and says so
(`node.pending.ack`); until then it is told them again. An action waits ten minutes. A *request* is
an operator's wish to hear from a node (`node.pending.enqueue`): its status, or where it is. There
is one of each sort at most. The node takes requests when it wakes (`node.pending.drain`), and then
they are gone; where there is none for its status, it is asked for that all the same.

What is queued is on the disk before anybody is told so, and never twice for one idempotency key.
What does not fit is not queued; nothing is dropped for it. Nothing here wakes a node: the Gateway
has no way of pushing to phones.

An agent's tool gets the phone's refusal and nothing is queued: by the time somebody opens the app,
the agent has long answered. (Behaviour of 2026.9.6, but for what is on the disk.)
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from clawgw.nodes.book import Record
from clawgw.nodes.policy import platform_of
from clawgw.protocol import nodes as wire
from clawgw.protocol.base import given
from clawgw.protocol.errors import RequestError, unavailable
from clawgw.store import node_work as table
from clawgw.store.database import Connection, Database
from clawgw.store.idempotency import LIFETIME_MS
from clawgw.store.node_work import WorkRow

ACTION_MS = 10 * 60 * 1000
REQUEST_MS = 24 * 3600 * 1000
MAX_ACTIONS = 64
DEFAULT_ITEMS = 4

_ON_SCREEN = ("canvas.", "camera.", "screen.", "talk.")
_ASLEEP = "BACKGROUND_UNAVAILABLE"
_BASELINE = "baseline-status"
_RANK = {"high": 0, "normal": 1}


class Action(Struct, frozen=True, tag=True, tag_field="kind"):
    """A command for later. `key` is the idempotency key it came with."""

    command: str
    params_json: str | None
    key: str


class Request(Struct, frozen=True, tag=True, tag_field="kind"):
    """Something an operator wants to hear from a node."""

    type: wire.PendingType
    priority: Literal["normal", "high"]


class Work(Struct, frozen=True):
    """One of either, and how long it stands."""

    id: str
    created_at: int
    expires_at: int
    body: Action | Request


_body = msgspec.json.Decoder(Action | Request)


class PendingWork:
    """What waits, by node.

    Args:
        database: where it is kept.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._waiting: dict[str, dict[str, Work]] = {}
        self._keys: dict[str, tuple[str, int]] = {}
        self._changed: dict[str, int] = {}
        for row in database.read(table.all_work):
            work = Work(row.id, row.created_at, row.expires_at, _body.decode(row.body))
            self._remember(row.node_id, work)
            if row.ended_at is not None:
                del self._waiting[row.node_id][row.id]

    # Actions

    async def after(
        self, record: Record, params: wire.NodeInvokeParams, refusal: RequestError
    ) -> RequestError:
        """What to tell an operator whose command was refused: that it waits, if it can."""
        if not _is_asleep(record, params.command, refusal):
            return refusal
        action_id = await self._defer(params)
        if action_id is None:
            return refusal
        details = given(refusal.shape.details, {})
        return unavailable(
            "node command queued until the app is in the foreground",
            retryable=True,
            code="QUEUED_UNTIL_FOREGROUND",
            queuedActionId=action_id,
            nodeId=params.node_id,
            command=params.command,
            nodeError=details.get("nodeError"),
        )

    def actions(self, node_id: str, commands: Collection[str]) -> list[wire.PendingAction]:
        """What a node is to do now, the oldest first; only `commands`, which it may be asked."""
        return [
            wire.PendingAction(
                id=work.id,
                command=work.body.command,
                params_json=work.body.params_json,
                enqueued_at_ms=work.created_at,
            )
            for work in self._standing(node_id)
            if isinstance(work.body, Action) and work.body.command in commands
        ]

    async def acknowledge(self, node_id: str, ids: list[str]) -> int:
        """A node did these; returns how many actions still wait for it."""
        await self._end(node_id, ids)
        return sum(isinstance(work.body, Action) for work in self._standing(node_id))

    async def _defer(self, params: wire.NodeInvokeParams) -> str | None:
        known = self._keys.get(params.idempotency_key)
        if known is not None and known[1] > self._now_ms() - LIFETIME_MS:
            await self._database.write(_nothing)  # so that the first one is on the disk too
            return known[0]
        standing = self._standing(params.node_id)
        if sum(isinstance(work.body, Action) for work in standing) >= MAX_ACTIONS:
            return None
        raw = given(params.params, None)
        text = None if raw is None else str(memoryview(raw), "utf-8")
        action = Action(params.command, text, params.idempotency_key)
        return (await self._add(params.node_id, action, ACTION_MS)).id

    # Requests

    async def enqueue(self, node_id: str, params: wire.PendingEnqueueParams) -> wire.PendingItem:
        """Ask a node for something when it wakes; the request of this sort that stands already."""
        for work in self._standing(node_id):
            if isinstance(work.body, Request) and work.body.type == params.type:
                await self._database.write(_nothing)
                return _item(work, work.body)
        request = Request(params.type, given(params.priority, "normal"))
        work = await self._add(node_id, request, given(params.expires_in_ms, REQUEST_MS))
        return _item(work, request)

    async def drain(self, node_id: str, limit: int) -> wire.PendingDrained:
        """What a node is asked for, the most urgent first; it is gone then."""
        requests = [
            (work, work.body) for work in self._standing(node_id) if isinstance(work.body, Request)
        ]
        requests.sort(key=lambda one: (_RANK[one[1].priority], one[0].created_at))
        items = [_item(work, body) for work, body in requests]
        await self._end(node_id, [item.id for item in items[:limit]])
        if not any(item.type == "status.request" for item in items):
            items.append(
                wire.PendingItem(
                    id=_BASELINE,
                    type="status.request",
                    priority="default",
                    created_at_ms=self._now_ms(),
                    expires_at_ms=None,
                )
            )
        return wire.PendingDrained(
            node_id=node_id,
            items=items[:limit],
            revision=self.revision(node_id),
            has_more=len(items) > limit,
        )

    def revision(self, node_id: str) -> int:
        """Grows with each change of what waits for a node: the time of the last one."""
        return self._changed.get(node_id, 0)

    # Both

    async def forget(self, node_id: str) -> None:
        """A node is none any more."""
        self._waiting.pop(node_id, None)
        self._changed.pop(node_id, None)
        await self._database.write(table.forget, node_id)

    def _standing(self, node_id: str) -> list[Work]:
        """What has not expired, the oldest first."""
        now = self._now_ms()
        waiting = self._waiting.get(node_id, {})
        for work in [one for one in waiting.values() if one.expires_at <= now]:
            del waiting[work.id]
            self._change(node_id)
        return list(waiting.values())

    async def _add(self, node_id: str, body: Action | Request, lifetime_ms: int) -> Work:
        now = self._now_ms()
        work = Work(str(uuid.uuid4()), now, now + lifetime_ms, body)
        self._remember(node_id, work)
        row = WorkRow(work.id, node_id, now, work.expires_at, msgspec.json.encode(body))
        try:
            await self._database.write(table.add, row, now - LIFETIME_MS)
        except BaseException:
            self._waiting.get(node_id, {}).pop(work.id, None)
            if isinstance(body, Action):
                self._keys.pop(body.key, None)
            raise
        return work

    async def _end(self, node_id: str, ids: list[str]) -> None:
        waiting = self._waiting.get(node_id, {})
        mine = [name for name in ids if name in waiting]
        if not mine:
            return
        for name in mine:
            del waiting[name]
        self._change(node_id)
        await self._database.write(table.end, mine, self._now_ms())

    def _remember(self, node_id: str, work: Work) -> None:
        self._waiting.setdefault(node_id, {})[work.id] = work
        self._change(node_id, work.created_at)
        if isinstance(work.body, Action):
            oldest = work.created_at - LIFETIME_MS
            for key in list(_older(self._keys, oldest)):
                del self._keys[key]
            self._keys[work.body.key] = (work.id, work.created_at)

    def _change(self, node_id: str, at_ms: int | None = None) -> None:
        at = self._now_ms() if at_ms is None else at_ms
        self._changed[node_id] = max(at, self._changed.get(node_id, 0) + 1)


def _nothing(_: Connection) -> None:
    """A write that changes nothing; it comes after those before it."""


def _older(keys: dict[str, tuple[str, int]], oldest: int) -> Iterator[str]:
    """The keys from before a moment; they are in the order of time."""
    for key, (_, at) in keys.items():
        if at >= oldest:
            return
        yield key


def _is_asleep(record: Record, command: str, refusal: RequestError) -> bool:
    """Whether a phone refused a command only because its app is not on the screen."""
    profile = record.profile
    if profile.protocol < 4 or platform_of(profile.platform, profile.device_family) != "ios":
        return False
    error = given(refusal.shape.details, {}).get("nodeError")
    if not command.startswith(_ON_SCREEN) or not isinstance(error, dict):
        return False
    return any(_ASLEEP in str(error.get(name, "")).upper() for name in ("code", "message"))


def _item(work: Work, body: Request) -> wire.PendingItem:
    return wire.PendingItem(
        id=work.id,
        type=body.type,
        priority=body.priority,
        created_at_ms=work.created_at,
        expires_at_ms=work.expires_at,
    )
