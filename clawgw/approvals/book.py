"""The questions that stand, and what was decided.

A question is stored before anybody hears of it, and its answer before anybody is told. It ends
exactly once: by a person, by its time running out, by the run that asked going away, or by the
Gateway going away. All but the first are a no. The first end counts; whoever comes second is told
who was first. *Always* is written into the policy before it is an answer, so that an answer that
was given is one that holds.

After a restart, what stood then is denied: nobody knows what the asker has done meanwhile. It gets
that answer when it asks again with the same id, or waits for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, cast

import msgspec
from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.events import EventSink
from clawgw.methods import Caller
from clawgw.protocol import approvals as wire
from clawgw.protocol.approvals import Decision, ExecRequest, Reason
from clawgw.protocol.base import given
from clawgw.protocol.errors import RequestError, invalid, unavailable
from clawgw.shield import shielded
from clawgw.store import approvals as table
from clawgw.store.approvals import Approval
from clawgw.store.database import Database

MAX_PENDING = 256
MAX_LIFETIME_MS = 24 * 3600 * 1000
MAX_COMMAND = 16_384
MAX_ID = 256

Remember = Callable[[ExecRequest], Awaitable[None]]
"""Writes into the policy that this may always run; raises `RequestError` when that fails."""


class Resolver(NamedTuple):
    """Who decides: the name that is shown, and the device."""

    name: str | None
    device_id: str | None = None

    @classmethod
    def of(cls, caller: Caller) -> Resolver:
        """The client that calls, by the name people read."""
        return cls(name_of(caller), caller.device_id)


class Asker(NamedTuple):
    """Who asks: the name, the device, and the digest of the environment it is to run in."""

    name: str | None = None
    device_id: str | None = None
    env_digest: str | None = None


NOBODY = Asker()


class _Pending:
    """A question that stands. `claimed`: somebody is about to decide it."""

    def __init__(self, approval: Approval) -> None:
        self.approval = approval
        self.waiting: list[Deferred[Approval]] = []
        self.timer: Any = None
        self.claimed = False


class ApprovalBook:
    """All questions.

    Args:
        reactor: knows when time is up.
        database: where they are kept.
        events: where they are watched.
        remember: makes `allow-always` last.
        now_ms: the time, in milliseconds since the epoch.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        database: Database,
        events: EventSink,
        remember: Remember,
        now_ms: Callable[[], int],
    ) -> None:
        self.on_asked: Callable[[Approval], None] | None = None
        self._reactor = reactor
        self._database = database
        self._events = events
        self._remember = remember
        self._now_ms = now_ms
        self._born_at = now_ms()
        self._pending: dict[str, _Pending] = {}
        self._stopping = False

    # Life

    async def recover(self) -> None:
        """After a start: what stood when the last Gateway ended is denied."""
        ended = await self._database.write(
            table.end_open, "gateway-restart", self._born_at, self._now_ms()
        )
        if ended:
            self.log.info("{count} approvals stood at the restart and are denied", count=ended)

    async def stop(self) -> None:
        """The Gateway goes away: deny what stands, and tell the askers."""
        self._stopping = True
        for pending in list(self._pending.values()):
            if not pending.claimed:
                await self._end(pending, "deny", "gateway-restart")

    # Looking

    def pending(self) -> list[Approval]:
        """The questions that stand, the oldest first."""
        return [one.approval for one in self._pending.values()]

    def find(self, approval_id: str) -> Approval | None:
        """A question that stands or was decided; None if there is none of this id."""
        pending = self._pending.get(approval_id)
        if pending is not None:
            return pending.approval
        approval = self._database.read(table.get, approval_id)
        if approval is not None and approval.decision is None:  # of the Gateway before this one
            return approval._replace(decision="deny", reason="gateway-restart")
        return approval

    def is_open(self, approval_id: str) -> bool:
        """Whether it stands and nobody is deciding it at the moment."""
        pending = self._pending.get(approval_id)
        return pending is not None and not pending.claimed

    async def decided(self, before: tuple[int, str] | None, limit: int) -> list[Approval]:
        """What people were asked and how that ended, the latest first.

        Args:
            before: leaves out what was decided later than this moment, and of those decided just
                then the ones whose ids do not come before this one.
            limit: how many at most.
        """
        return await self._database.read_in_thread(table.decided, before, limit)

    def standing(self, text: str) -> Approval:
        """The question somebody means by an id, or by its unique beginning.

        Raises:
            RequestError: there is none, there are several, or it is decided already.
        """
        exact = self._pending.get(text)
        if exact is not None:
            return exact.approval
        meant = [one for name, one in self._pending.items() if name.startswith(text)]
        if len(meant) > 1:
            raise invalid("id: several approvals begin like this, use the whole id")
        if meant:
            return meant[0].approval
        over = self.find(text)
        raise not_found() if over is None else already_decided(over)

    # Asking

    async def ask(
        self, request: ExecRequest, timeout_ms: int, asker: Asker, approval_id: str | None
    ) -> Approval:
        """Put a question to those who may decide; returns it, standing.

        Asked again with the same id, it is the same question: it is returned as it is now.

        Args:
            timeout_ms: how long it stands.
            approval_id: the asker's own id for it; None for a new one.

        Raises:
            RequestError: the id is used for something else, or too many questions stand.
        """
        known = self._same(request, approval_id)
        if known is not None:
            return known
        self._check_room(request)
        approval = self._new(request, timeout_ms, asker, approval_id)
        pending = self._pending[approval.id] = _Pending(approval)
        try:
            await self._database.write(table.insert, approval)
        except BaseException:
            self._pending.pop(approval.id, None)
            raise
        if pending.claimed:  # while it was written
            return await self.wait(approval.id)
        if self._stopping:
            return await self._end(pending, "deny", "gateway-restart")
        self._arm(pending)
        self._publish_requested(approval)
        return approval

    async def settle(
        self,
        request: ExecRequest,
        decision: Decision,
        reason: Reason,
        asker: Asker,
        approval_id: str | None,
    ) -> Approval:
        """Remember a question that has its answer already; nobody is asked."""
        known = self._same(request, approval_id)
        if known is not None:
            return known
        self._check_size(request)
        now = self._now_ms()
        approval = self._new(request, 0, asker, approval_id)._replace(
            decision=decision, reason=reason, resolved_at=now
        )
        await self._database.write(table.insert, approval)
        return approval

    async def wait(self, approval_id: str) -> Approval:
        """The question once it is decided.

        Raises:
            RequestError: there is none of this id.
        """
        pending = self._pending.get(approval_id)
        if pending is None:
            approval = self.find(approval_id)
            if approval is None:
                raise not_found()
            return approval
        decided: Deferred[Approval] = Deferred()
        pending.waiting.append(decided)
        return await decided

    async def wait_during(self, approval: Approval, over: Deferred[Any] | None) -> Approval:
        """The question once it is decided, or nobody needs an answer any more.

        Args:
            over: fires when the run that asks is over; None where no run is known.
        """
        if approval.decision is not None:
            return approval

        if over is not None:
            over.addBoth(lambda _: self.withdraw(approval))
        return await self.wait(approval.id)

    def withdraw(self, approval: Approval) -> None:
        """Nobody needs an answer any more: the run that asked is over."""
        work = Deferred.fromCoroutine(self.cancel(approval.id, "run-aborted"))
        work.addErrback(lambda failure: self.log.failure("while withdrawing", failure))

    # Deciding

    async def resolve(self, approval_id: str, decision: str, resolver: Resolver) -> Approval:
        """A person decides; returns the question with its answer.

        Raises:
            RequestError: no such decision or question, it is decided already, this decision is
                not to be had for it, or it could not be written down. Then nothing was decided.
        """
        if decision not in ("allow-once", "allow-always", "deny"):
            raise invalid("decision: expected allow-once, allow-always or deny")
        approval = self.standing(approval_id)
        choices: Sequence[str] = given(approval.request.allowed_decisions, [])
        if choices and decision not in choices:
            raise invalid(
                f"decision: {decision} is unavailable for this command",
                reason="APPROVAL_ALLOW_ALWAYS_UNAVAILABLE",
            )
        pending = self._pending[approval.id]
        if pending.claimed:
            raise already_decided(approval)
        return await self._end(pending, cast(Decision, decision), "user", resolver)

    async def cancel(self, approval_id: str, reason: Reason = "run-aborted") -> None:
        """Whoever asked needs no answer any more."""
        pending = self._pending.get(approval_id)
        if pending is not None and not pending.claimed:
            await self._end(pending, "deny", reason)

    async def use(self, approval_id: str) -> bool:
        """What was allowed once begins; False if it had before."""
        return await self._database.write(table.use, approval_id, self._now_ms())

    # Inside

    def _same(self, request: ExecRequest, approval_id: str | None) -> Approval | None:
        known = None if approval_id is None else self.find(approval_id)
        if known is not None and known.request != request:
            raise invalid("id: already used for another approval; use a new one")
        return known

    def _check_room(self, request: ExecRequest) -> None:
        if self._stopping:
            raise unavailable("the Gateway is shutting down", retryable=True)
        if len(self._pending) >= MAX_PENDING:
            raise unavailable("too many approvals wait for a decision", retryable=True)
        self._check_size(request)

    @staticmethod
    def _check_size(request: ExecRequest) -> None:
        if len(request.command) > MAX_COMMAND:
            raise invalid(
                f"command: expected at most {MAX_COMMAND} characters, for a person has to read it"
            )

    def _new(
        self, request: ExecRequest, timeout_ms: int, asker: Asker, approval_id: str | None
    ) -> Approval:
        if approval_id is not None and len(approval_id) > MAX_ID:
            raise invalid(f"id: expected at most {MAX_ID} characters")
        now = self._now_ms()
        return Approval(
            approval_id or str(uuid.uuid4()),
            now,
            now + min(timeout_ms, MAX_LIFETIME_MS),
            request,
            asker.name,
            asker_id=asker.device_id,
            env_digest=asker.env_digest,
        )

    def _arm(self, pending: _Pending) -> None:
        seconds = max(0, pending.approval.expires_at - self._now_ms()) / 1000
        pending.timer = self._reactor.callLater(seconds, self._expire, pending)

    def _expire(self, pending: _Pending) -> None:
        pending.timer = None
        work = Deferred.fromCoroutine(self._end(pending, "deny", "timeout"))
        work.addErrback(lambda failure: self.log.failure("while ending an approval", failure))

    async def _end(
        self,
        pending: _Pending,
        decision: Decision,
        reason: Reason,
        resolver: Resolver | None = None,
    ) -> Approval:
        """Decide a question: claim it, write it down, tell everybody.

        Once it is claimed it comes to its end, also when whoever decides goes away meanwhile.
        """
        pending.claimed = True
        if pending.timer is not None:
            pending.timer.cancel()
            pending.timer = None
        name, device = resolver or Resolver(None)
        decided = pending.approval._replace(
            decision=decision,
            reason=reason,
            resolved_at=self._now_ms(),
            resolved_by=name,
            resolver_id=device,
        )
        return await shielded(Deferred.fromCoroutine(self._conclude(pending, decided)))

    async def _conclude(self, pending: _Pending, decided: Approval) -> Approval:
        """Write a decision down and tell everybody."""
        try:
            if decided.decision == "allow-always":
                await self._remember(decided.request)
            await self._database.write(table.decide, decided)
        except Exception as problem:
            if decided.decision != "deny":
                # A yes that is written nowhere is none.
                pending.claimed = False
                self._arm(pending)
                raise _unwritten(problem) from problem
            self.log.failure("approval {id}: the denial could not be stored", id=decided.id)
        self._pending.pop(decided.id, None)
        self._publish_resolved(decided)
        for waiting in pending.waiting:
            waiting.callback(decided)
        return decided

    def _publish_requested(self, approval: Approval) -> None:
        self._events.publish(
            "exec.approval.requested",
            requested(approval),
            v3=requested(approval._replace(request=plain(approval.request)), kind=False),
        )
        if self.on_asked is not None:
            self.on_asked(approval)

    def _publish_resolved(self, approval: Approval) -> None:
        event = wire.ApprovalResolved(
            id=approval.id,
            decision=approval.decision or "deny",
            resolved_by=approval.resolved_by,
            ts=approval.resolved_at or self._now_ms(),
            reason=approval.reason or UNSET,
            request=approval.request,
        )
        old = msgspec.structs.replace(event, request=UNSET)
        if event.reason == "user":
            old = msgspec.structs.replace(old, reason=UNSET)
        self._events.publish("exec.approval.resolved", event, v3=old)


def name_of(caller: Caller) -> str:
    """What a client is called where people read it."""
    return given(caller.client.display_name, "") or caller.client.id


def requested(approval: Approval, *, kind: bool = True) -> wire.ApprovalRequested:
    """A question as those who decide see it; `kind` is version 4's."""
    return wire.ApprovalRequested(
        id=approval.id,
        request=approval.request,
        created_at_ms=approval.created_at,
        expires_at_ms=approval.expires_at,
        approval_kind="exec" if kind else UNSET,
    )


def plain(request: ExecRequest) -> ExecRequest:
    """The part of a request that version 3 knows."""
    return ExecRequest(
        command=request.command,
        cwd=request.cwd,
        host=request.host,
        security=request.security,
        ask=request.ask,
        agent_id=request.agent_id,
        resolved_path=request.resolved_path,
        session_key=request.session_key,
    )


def not_found() -> RequestError:
    """There is no such question; version 4 clients know the reason by its name."""
    return invalid("unknown or expired approval id", reason="APPROVAL_NOT_FOUND")


def already_decided(approval: Approval) -> RequestError:
    """Somebody else was first."""
    details: dict[str, Any] = {"reason": "APPROVAL_ALREADY_RESOLVED"}
    if approval.decision is None:
        return invalid("this approval is being decided already", **details)
    words = _WORDS.get(approval.reason or "", "")
    by = f" by {approval.resolved_by}" if approval.resolved_by else words
    details |= {"decision": approval.decision, "resolvedBy": approval.resolved_by}
    return invalid(f"this approval was already resolved: {approval.decision}{by}", **details)


_WORDS = {
    "timeout": ", because nobody decided in time",
    "run-aborted": ", because the run that asked is over",
    "gateway-restart": ", because the Gateway was restarted",
    "policy": ", by the policy",
    "no-route": ", because nobody could be asked",
}


def _unwritten(problem: Exception) -> Exception:
    if isinstance(problem, RequestError):
        return problem
    return unavailable("the decision could not be stored, so nothing was decided", retryable=True)
