"""Invocations: asking a node for something, once, and waiting so long and no longer.

The idempotency key is claimed on the disk before the node is asked, so a command is never carried
out twice for one key, whatever happens. The same key with the same parameters waits for the same
result while the command runs, and gets it afterwards, also after a restart, for 24 hours. If the
Gateway was restarted while the node worked, nobody knows what came of it, and the answer says so.

An invocation ends once: with the node's result, at its deadline, or when the node's connection
ends. A result that comes later, or from somebody else, is ignored and logged. A version 4 node is
told when nobody waits any more.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET, Raw
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from clawgw import idempotency
from clawgw.events import SendTo
from clawgw.methods import Caller, Spliced
from clawgw.nodes import results
from clawgw.nodes.policy import ADMIN_COMMANDS
from clawgw.nodes.registry import Live, NodeRegistry
from clawgw.protocol.base import given
from clawgw.protocol.errors import RequestError, invalid, missing_scope, unavailable
from clawgw.protocol.frames import encode
from clawgw.protocol.nodes import (
    NodeFailure,
    NodeInvokeCancelEvent,
    NodeInvokeParams,
    NodeInvokeRequestEvent,
    NodeInvokeResultParams,
)
from clawgw.protocol.validate import MalformedJson, decode_untyped
from clawgw.store import idempotency as claims
from clawgw.store.database import Connection, Database, StoreBusy
from clawgw.store.idempotency import Claim
from clawgw.trust.scopes import ADMIN

METHOD = "node.invoke"
DEFAULT_TIMEOUT_MS = 30_000
MAX_TIMEOUT_MS = 24 * 3600 * 1000
MAX_KEY = 200
MAX_RUNNING = 4096
MAX_PER_NODE = 1024
NOT_CONNECTED = NodeFailure(code="NOT_CONNECTED", message="node not connected")

Guard = Callable[[Caller, Live, NodeInvokeParams], "Awaitable[Raw | None] | Raw | None"]
"""Has a last look at what an operator asks for.

Returns the parameters to send, None for those that were given; raises RequestError to refuse.
"""

_SELF_APPROVAL = ("approved", "approvalDecision", "approvalSource")


@dataclass(eq=False)
class _Invocation:
    """One that runs.

    Attributes:
        call: what its key is bound to; empty for one without a key.
        live: the node that works on it, as soon as it was asked.
        outcome: how it ended.
    """

    id: str
    node_id: str
    command: str
    key: str
    call: bytes
    deadline_ms: int
    live: Live | None = None
    timer: Any = None
    outcome: NodeInvokeResultParams | RequestError | None = None
    waiting: list[Deferred[NodeInvokeResultParams]] = field(default_factory=list)

    def wait(self) -> Deferred[NodeInvokeResultParams]:
        """Fires with the result."""
        waiter: Deferred[NodeInvokeResultParams] = Deferred()
        self.waiting.append(waiter)
        self.tell()
        return waiter

    def tell(self) -> None:
        """Tell everybody who waits, if it is over."""
        if self.outcome is None:
            return
        waiting, self.waiting = self.waiting, []
        for waiter in waiting:
            if isinstance(self.outcome, RequestError):
                waiter.errback(self.outcome)
            else:
                waiter.callback(self.outcome)


class Invocations:
    """All that run, and what came of those before.

    Args:
        clock: for deadlines.
        database: where keys and results are kept.
        registry: who is connected.
        send: the way to a node.
        now_ms: the time, in milliseconds since the epoch.

    Attributes:
        guard: looks at every `node.invoke` before the node gets it; replaced where approvals are.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        database: Database,
        registry: NodeRegistry,
        send: SendTo,
        now_ms: Callable[[], int],
    ) -> None:
        self.guard: Guard = refuse_self_approval
        self._clock = clock
        self._database = database
        self._registry = registry
        self._send = send
        self._now_ms = now_ms
        self._running: dict[str, _Invocation] = {}
        self._by_key: dict[str, _Invocation] = {}
        registry.on_gone = self._gone

    # Asking

    async def invoke(self, caller: Caller, params: NodeInvokeParams) -> Spliced:
        """`node.invoke`: ask, wait, answer.

        Raises:
            RequestError: the command is not allowed, the node is not there, went away, was too
                slow or could not; the key was used for something else.
        """
        if len(params.idempotency_key) > MAX_KEY:
            raise invalid(f"idempotencyKey: expected at most {MAX_KEY} characters")
        call = idempotency.digest(METHOD, _meaning(params))
        one = self._by_key.get(params.idempotency_key)
        if one is None:
            one = await self._first(caller, params, call)
        elif one.call != call:
            raise idempotency.reused()
        result = await one.wait()
        return results.answer(params.node_id, params.command, result, caller.version)

    async def run(
        self, node_id: str, command: str, params: Any = None, timeout_ms: int = DEFAULT_TIMEOUT_MS
    ) -> Any:
        """Ask a node on the Gateway's own account, without a key; returns its value.

        Args:
            params: anything that can be written as JSON; None for none.

        Raises:
            RequestError: as `invoke` does, in version 4's words.
        """
        self._check(node_id, command, 4)
        one = self._begin(node_id, command, "", b"", timeout_ms)
        try:
            self._dispatch(one, None if params is None else encode(params))
        except RequestError as refusal:
            self._end(one, refusal)
        spliced = results.answer(node_id, command, await one.wait(), 4)
        return msgspec.json.decode(spliced.parts[1])

    async def _first(self, caller: Caller, params: NodeInvokeParams, call: bytes) -> _Invocation:
        """The first call with its key since the start: it may run, or have been before."""
        key, timeout_ms = params.idempotency_key, given(params.timeout_ms, 0) or DEFAULT_TIMEOUT_MS
        one = self._begin(params.node_id, params.command, key, call, timeout_ms)
        try:
            self._check_all(caller, params)
        except RequestError as refusal:
            # The node may have gone since it answered an equal call.
            self._end(one, await self._before(key, call) or refusal)
            return one
        claimed = Deferred.fromCoroutine(self._claimed(caller, params, one))
        claimed.addErrback(lambda failure: self._end(one, _as_refusal(self.log, failure)))
        return one

    async def _claimed(self, caller: Caller, params: NodeInvokeParams, one: _Invocation) -> None:
        """Claim the key, then ask."""
        kept = await self._database.write(self._claim, one.key, one.call)
        if kept is not None:
            self._end(one, _outcome(kept))
            return
        try:
            if one.outcome is None:
                await self._ask(caller, params, one)
        finally:
            if one.live is None:  # nothing was asked: another call may use the key
                self._watch(self._database.write(claims.release, one.key))

    async def _ask(self, caller: Caller, params: NodeInvokeParams, one: _Invocation) -> None:
        """Everything between a claimed key and a node that works."""
        live = self._check_all(caller, params)
        guarded = self.guard(caller, live, params)
        if isinstance(guarded, Awaitable):
            guarded = await guarded
            self._check_all(caller, params)
        raw = guarded if guarded is not None else given(params.params, None)
        if one.outcome is None:
            self._dispatch(one, raw)

    def _check_all(self, caller: Caller, params: NodeInvokeParams) -> Live:
        """The node, if it is there and may be asked by this caller.

        Raises:
            RequestError: neither.
        """
        command = params.command
        if command.startswith("system.execApprovals."):
            raise invalid(
                f"node.invoke does not relay {command}: use exec.approvals.node.get and .set",
                command=command,
            )
        if command in ADMIN_COMMANDS and ADMIN not in caller.scopes:
            raise missing_scope(caller.version, ADMIN, [ADMIN])
        return self._check(params.node_id, command, caller.version)

    def _check(self, node_id: str, command: str, version: int) -> Live:
        live = self._registry.live(node_id)
        if live is None:
            raise results.refusal(NOT_CONNECTED, version, dispatched=False)
        refusal = self._registry.refusal(node_id, command)
        if refusal is not None:
            reason, words = refusal
            message = words if version >= 4 else "node command not allowed"
            raise invalid(message, reason=reason, command=command)
        return live

    # Keys

    def _claim(self, connection: Connection, key: str, call: bytes) -> Claim | None:
        """Inside a write: take the key, or return what there is of an earlier, equal call."""
        now = self._now_ms()
        earlier = idempotency.earlier(connection, key, METHOD, call, now)
        if earlier is None:
            claims.claim(connection, key, METHOD, call, now)
        return earlier

    async def _before(self, key: str, call: bytes) -> NodeInvokeResultParams | RequestError | None:
        """What came of an earlier call with this key; None if there was none. Never raises."""
        try:
            kept = await self._database.read_in_thread(
                idempotency.earlier, key, METHOD, call, self._now_ms()
            )
        except Exception:  # noqa: BLE001 - whatever it is, it is the end of this call
            return _as_refusal(self.log, Failure())
        return None if kept is None else _outcome(kept)

    # Running

    def _begin(
        self, node_id: str, command: str, key: str, call: bytes, timeout_ms: int
    ) -> _Invocation:
        if len(self._running) >= MAX_RUNNING:
            raise unavailable("too many invocations are running", retryable=True)
        timeout_ms = min(timeout_ms, MAX_TIMEOUT_MS)
        deadline = self._now_ms() + timeout_ms
        one = _Invocation(str(uuid.uuid4()), node_id, command, key, call, deadline)
        one.timer = self._clock.callLater(timeout_ms / 1000, self._too_late, one)
        self._running[one.id] = one
        if key:
            self._by_key[key] = one
        return one

    def _dispatch(self, one: _Invocation, params: Any) -> None:
        """Hand it to the node, whose connection may be another than a moment ago.

        Args:
            params: JSON bytes, or None.

        Raises:
            RequestError: the node has gone, or is too busy.
        """
        live = self._registry.live(one.node_id)
        if live is None:
            raise results.refusal(NOT_CONNECTED, 4, dispatched=False)
        if len(live.invokes) >= MAX_PER_NODE:
            raise unavailable("this node has too many invocations running", retryable=True)
        request = NodeInvokeRequestEvent(
            id=one.id,
            node_id=one.node_id,
            command=one.command,
            params_json=UNSET if params is None else str(memoryview(params), "utf-8"),
            timeout_ms=max(1, one.deadline_ms - self._now_ms()),
            idempotency_key=one.key or UNSET,
        )
        one.live = live
        live.invokes.add(one.id)
        self._send(live.connection.conn_id, "node.invoke.request", request)

    def result(self, live: Live, result: NodeInvokeResultParams) -> bool:
        """A node's result; returns whether somebody waited for it."""
        one = self._running.get(result.id)
        if one is None or one.live is not live:
            why = "nobody waits for it" if one is None else "it was not asked for it"
            if live.lines.admits():
                self.log.info(
                    "ignored a result of node {node}: {why}", node=live.node_id[:12], why=why
                )
            return False
        self._end(one, result)
        return True

    def _too_late(self, one: _Invocation) -> None:
        live = one.live
        self._end(one, results.failed(one.id, one.node_id, "TIMEOUT", "node invoke timed out"))
        if live is not None and live.connection.version >= 4:
            cancel = NodeInvokeCancelEvent(invoke_id=one.id, node_id=one.node_id)
            self._send(live.connection.conn_id, "node.invoke.cancel", cancel)

    def _gone(self, live: Live) -> None:
        for invoke_id in list(live.invokes):
            one = self._running[invoke_id]
            message = f"node disconnected ({one.command})"
            self._end(one, results.failed(one.id, one.node_id, "DISCONNECTED", message))

    def _end(self, one: _Invocation, outcome: NodeInvokeResultParams | RequestError) -> None:
        """The end, whichever comes first. A key stays known here until its result is kept."""
        if one.outcome is not None:
            return
        one.outcome = outcome
        if one.timer.active():
            one.timer.cancel()
        del self._running[one.id]
        if one.live is not None:
            one.live.invokes.discard(one.id)
        one.tell()
        if one.key and one.live is not None and not isinstance(outcome, RequestError):
            kept = self._database.write(_settle, one.key, outcome)
            kept.addBoth(self._free, one)
            self._watch(kept)
        else:
            self._free(None, one)

    def _free(self, result: Any, one: _Invocation) -> Any:
        if self._by_key.get(one.key) is one:
            del self._by_key[one.key]
        return result

    def _watch(self, work: Deferred[Any]) -> None:
        work.addErrback(lambda failure: self.log.failure("while keeping a result", failure))


def _settle(connection: Connection, key: str, result: NodeInvokeResultParams) -> None:
    # Written out here, on the writer's thread: it may have megabytes.
    claims.settle(connection, key, results.to_store(result))


def _outcome(kept: Claim) -> NodeInvokeResultParams | RequestError:
    """What an earlier, equal call brought."""
    if kept.result is not None:
        return results.from_store(kept.result)
    return unavailable(
        "the Gateway was restarted while the node worked on this, so whether it did it is unknown; "
        "to ask again, use a new idempotencyKey",
        retryable=False,
        code="OUTCOME_UNKNOWN",
    )


def _as_refusal(log: Logger, failure: Failure) -> RequestError:
    if isinstance(failure.value, RequestError):
        return failure.value
    if isinstance(failure.value, StoreBusy):
        return unavailable("the store is behind, try again", retryable=True)
    log.failure("while invoking", failure)
    return unavailable("node.invoke failed inside the Gateway; its log says why")


def _meaning(params: NodeInvokeParams) -> Any:
    """What a call asks for, however it was written; how long to wait is no part of it."""
    raw = given(params.params, None)
    try:
        return [params.node_id, params.command, None if raw is None else decode_untyped(raw)]
    except MalformedJson as problem:
        raise invalid(f"invalid node.invoke params: /params: {problem}") from None


def refuse_self_approval(_: Caller, __: Live, params: NodeInvokeParams) -> None:
    """Whoever asks for a program to be run cannot say that it was approved.

    Raises:
        RequestError: it says so.
    """
    raw = given(params.params, None)
    if params.command != "system.run" or raw is None:
        return
    value = decode_untyped(raw)
    if isinstance(value, dict) and any(value.get(name) for name in _SELF_APPROVAL):
        raise invalid("approval required", code="APPROVAL_REQUIRED")
