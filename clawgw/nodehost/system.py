"""``system.*``: run a program, find programs, notify the person at this machine.

``system.run`` decides by what will be run, never by what the caller says about it: the allowlist
sees the resolved files, a person who is asked sees the words of the command, and what is then
started is that very file (see ``allowlist``). A ``rawCommand`` beside the command is not looked at.
Parameters and results are those of protocols 3 and 4 (docs/nodes; recorded traffic).

Where a run belongs to an agent's session (``sessionKey``), its end or denial is also reported there
(``node.event``: ``exec.finished``, ``exec.denied``), as the stock host does.
"""

from __future__ import annotations

import os
import re
import shlex
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from clawgw.client_errors import ClientError, ConnectionLost, GatewayError, RequestTimeout
from clawgw.nodehost.allowlist import Program, can_be_listed, match, programs
from clawgw.nodehost.approvals import Approvals
from clawgw.nodehost.calls import (
    Call,
    CommandError,
    Gateway,
    Handler,
    Params,
    invalid,
    unavailable,
)
from clawgw.nodehost.environment import with_overrides
from clawgw.nodehost.policy import (
    RUN,
    Decision,
    Effective,
    Verdict,
    after_answer,
    decide,
    effective,
    without_answer,
)
from clawgw.nodehost.processes import CannotStart, Finished, Processes
from clawgw.programs import are_harmless, find_program

__all__ = ["SystemCommands"]

OUTPUT_LIMIT = 200_000
"""Bytes of output a result carries, as the stock host."""

EVENT_LIMIT = 20_000
"""Characters of output, the last ones, that a report to the session carries."""

RUNS_AT_ONCE = 16
_LONGEST_SECONDS = 3600.0
_APPROVAL_SECONDS = 120.0
_SKILL_BINS_SECONDS = 5.0
_TRUNCATED = "... (truncated)"

_AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

Argument = Annotated[str, Meta(max_length=131_072)]


class RunParams(Params, frozen=True):
    """``system.run``. ``timeout_ms`` is the program's own limit."""

    command: Annotated[tuple[Argument, ...], Meta(min_length=1, max_length=4096)]
    cwd: str | None = None
    env: dict[str, str] | None = None
    timeout_ms: Annotated[float, Meta(ge=0)] | None = None
    needs_screen_recording: bool | None = None
    agent_id: str | None = None
    session_key: str | None = None
    run_id: str | None = None
    approved: bool | None = None
    approval_decision: str | None = None
    suppress_notify_on_exit: bool | None = None


class WhichParams(Params, frozen=True):
    """``system.which``."""

    bins: Annotated[tuple[Annotated[str, Meta(max_length=255)], ...], Meta(max_length=256)]


class NotifyParams(Params, frozen=True):
    """``system.notify``; one of title and body says something."""

    title: Annotated[str, Meta(max_length=1000)] = ""
    body: Annotated[str, Meta(max_length=10_000)] = ""
    sound: str | None = None
    priority: str | None = None
    delivery: str | None = None


@dataclass(frozen=True)
class _Run:
    """A run that is asked for, with everything looked up."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = field(repr=False)
    agent: str
    session: str | None
    run_id: str
    quiet: bool
    decided: Decision | None
    """What a person had decided before, by the word of the caller."""
    program: str
    inner: Sequence[Program] | None
    variables: Sequence[str]
    """The names of those the caller wants different."""
    own_limit: float | None
    until: float | None

    @property
    def text(self) -> str:
        return shlex.join(self.argv)

    @property
    def plain_env(self) -> bool:
        return are_harmless(self.variables)

    @property
    def can_be_listed(self) -> bool:
        """Whether *always* would mean what a person reads: these programs, and nothing more."""
        return self.plain_env and bool(self.inner) and all(map(can_be_listed, self.inner or ()))


@dataclass(frozen=True)
class SystemSettings:
    """What this machine's owner has decided about commands.

    ``trust_gateway``: whether ``approved`` in an invocation counts as a person's decision. That is
    right where the Gateway lets nobody else write it: Gateways of protocol 4 see to that, those of
    protocol 3 do not. None goes by the protocol.
    """

    environment: Mapping[str, str] = field(repr=False)
    home: str
    trust_gateway: bool | None = None
    notifier: str | None = None


class SystemCommands:
    """The commands of the family ``system``."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        processes: Processes,
        gateway: Gateway,
        approvals: Approvals,
        settings: SystemSettings,
    ) -> None:
        self._reactor = reactor
        self._processes = processes
        self._gateway = gateway
        self._approvals = approvals
        self._settings = settings
        self._turns = DeferredSemaphore(RUNS_AT_ONCE)

    def handlers(self) -> dict[str, Handler]:
        """The commands of this family."""
        return {
            "system.run": self._run,
            "system.which": self._which,
            "system.notify": self._notify,
        }

    # system.which

    async def _which(self, call: Call) -> Any:
        names = call.read(WhichParams).bins
        return {"bins": await self._in_thread(self._find_all, names)}

    def _find_all(self, names: Sequence[str]) -> dict[str, str]:
        path, home = self._settings.environment["PATH"], self._settings.home
        tidy = [name.strip() for name in names]
        found = {name: find_program(name, path, home) for name in tidy if "/" not in name}
        return {name: place for name, place in found.items() if place is not None}

    # system.run

    async def _run(self, call: Call) -> Any:
        until = None if call.seconds is None else self._reactor.seconds() + call.seconds
        run = await self._in_thread(self._look_up, call.read(RunParams), until)
        try:
            await self._permit(run)
        except CommandError as refusal:
            self._report(run, "exec.denied", reason=str(refusal))
            raise
        await self._turns.acquire()
        try:
            return await self._start(run)
        finally:
            self._turns.release()

    def _look_up(self, params: RunParams, until: float | None) -> _Run:
        """In a thread: everything that touches the file system."""
        if any("\0" in word for word in params.command):
            raise invalid("command: no argument may contain a NUL")
        if params.needs_screen_recording:
            raise unavailable("PERMISSION_MISSING: screenRecording; this is not a desktop app")
        agent = (params.agent_id or "main").strip()
        if not _AGENT.fullmatch(agent):
            raise invalid("agentId: expected letters, digits, - and _")
        cwd = os.path.abspath(os.path.expanduser(params.cwd or self._settings.home))
        if "\0" in cwd or not os.path.isdir(cwd):
            raise invalid(f"cwd: there is no directory {cwd!r}")
        overrides = params.env or {}
        env = with_overrides(self._settings.environment, overrides)
        program = find_program(params.command[0], env["PATH"], cwd)
        if program is None:
            raise invalid(f"command: there is no program {params.command[0]!r}")
        return _Run(
            argv=params.command,
            cwd=cwd,
            env={**env, "PWD": cwd},
            agent=agent,
            session=(params.session_key or "").strip() or None,
            run_id=(params.run_id or "").strip() or str(uuid.uuid4()),
            quiet=bool(params.suppress_notify_on_exit),
            decided=_decided(params) if self._trusts_gateway() else None,
            program=program,
            inner=programs(params.command, env["PATH"], cwd),
            variables=sorted(_changed(overrides, self._settings.environment)),
            own_limit=params.timeout_ms / 1000 if params.timeout_ms else None,
            until=until,
        )

    def _trusts_gateway(self) -> bool:
        said = self._settings.trust_gateway
        return self._gateway.protocol >= 4 if said is None else said

    async def _permit(self, run: _Run) -> None:
        """Return if the command may run.

        :raises CommandError: why not, in the protocol's words.
        """
        snapshot = await self._approvals.snapshot()
        if snapshot.problem is not None:
            self._log.warn("{path}: {problem}", path=snapshot.path, problem=snapshot.problem)
        policy = effective(snapshot.document, run.agent)
        matched = await self._matched(run, policy)
        listed = matched is not None
        verdict = decide(policy, listed=listed)
        if verdict.act == "ask":
            verdict = await self._ask(run, policy, listed)
        self._log.info(
            "{command}: {act} {reason}",
            command=run.program,
            act="runs" if verdict == RUN else "denied",
            reason=verdict.reason,
        )
        if verdict != RUN:
            raise unavailable(_refusal(verdict.reason))
        if matched:
            await self._approvals.used(run.agent, matched, run.text)

    async def _matched(self, run: _Run, policy: Effective) -> Mapping[str, str] | None:
        """Path by pattern of the entries that cover the command; None when they do not."""
        if run.inner is None or not run.plain_env:
            return None
        matched: dict[str, str] = {}
        rest: list[Program] = []
        for program in run.inner:
            pattern = match(program, policy.allowlist)
            if pattern is None:
                rest.append(program)
            else:
                matched[pattern] = program.path or ""
        if rest and policy.security == "allowlist" and policy.auto_allow_skills:
            skills = await self._skill_bins()
            rest = [program for program in rest if not _is_skill(program, skills)]
        return None if rest else matched

    async def _skill_bins(self) -> frozenset[str]:
        try:
            answer = await self._gateway.request("skills.bins", timeout=_SKILL_BINS_SECONDS)
        except ClientError as problem:
            self._log.info("The Gateway did not name its skills: {problem}", problem=problem)
            return frozenset()
        bins = answer.get("bins") if isinstance(answer, dict) else None
        return frozenset(map(str, bins)) if isinstance(bins, list) else frozenset()

    async def _ask(self, run: _Run, policy: Effective, listed: bool) -> Verdict:
        decision = run.decided
        if decision is None:
            seconds = self._left(run, _APPROVAL_SECONDS)
            self._log.info("{command}: asks for approval", command=run.program)
            try:
                decision = await self._answer(run, policy, seconds)
            except RequestTimeout:
                return after_answer(None)
            except GatewayError as problem:
                self._log.info("Nobody can be asked: {problem}", problem=problem)
                return without_answer(policy, listed=listed)
            except ConnectionLost:
                return after_answer(None)
        if decision == "allow-always" and policy.security == "allowlist" and run.can_be_listed:
            paths = [program.path for program in run.inner or () if program.path]
            await self._approvals.allow_always(run.agent, paths, run.text)
        return after_answer(decision)

    async def _answer(self, run: _Run, policy: Effective, seconds: float) -> Decision | None:
        params: dict[str, Any] = {
            "command": run.text,
            "cwd": run.cwd,
            "commandArgv": list(run.argv),
            "security": policy.security,
            "ask": policy.ask,
            "agentId": run.agent,
            "resolvedPath": run.program,
            "timeoutMs": max(1, int(seconds * 1000)),
        }
        if run.session is not None:
            params["sessionKey"] = run.session
        if run.variables:
            params["envKeys"] = list(run.variables)
        if not run.can_be_listed:
            params["unavailableDecisions"] = ["allow-always"]
        answer = await self._gateway.request("node.approval.request", params, timeout=seconds + 5.0)
        if not isinstance(answer, dict) or answer.get("terminalReason", "user") != "user":
            return None  # a denial that nobody made
        decision = answer.get("decision")
        return decision if decision in ("allow-once", "allow-always", "deny") else None

    async def _start(self, run: _Run) -> Any:
        try:
            finished = await self._processes.run(
                run.argv,
                program=run.program,
                env=run.env,
                cwd=run.cwd,
                seconds=self._left(run, run.own_limit or _LONGEST_SECONDS),
                limit=OUTPUT_LIMIT,
            )
        except CannotStart as problem:
            raise unavailable(str(problem)) from None
        except CancelledError:
            self._log.info("{command}: ended, nobody waits for it", command=run.program)
            raise
        self._log.info("{command}: ended, {how}", command=run.program, how=_how(finished))
        result = _result(finished)
        if not run.quiet:
            output = "\n".join(filter(None, [result["stdout"], result["stderr"]])).strip()
            self._report(
                run,
                "exec.finished",
                exitCode=finished.exit_code,
                timedOut=finished.timed_out,
                success=result["success"],
                output=output[-EVENT_LIMIT:],
            )
        return result

    def _left(self, run: _Run, seconds: float) -> float:
        """``seconds``, but a little less than the caller waits, so that it hears of the end."""
        if run.until is None:
            return seconds
        left: float = run.until - self._reactor.seconds()
        return max(0.001, min(seconds, max(left - 0.5, left * 0.9)))

    def _report(self, run: _Run, event: str, **facts: Any) -> None:
        """Tell the agent's session; nothing depends on it."""
        if run.session is None:
            return
        told = {"sessionKey": run.session, "runId": run.run_id, "host": "node", "command": run.text}
        known = {name: value for name, value in facts.items() if value not in (None, "")}
        self._post(event, {**told, **known})

    def _post(self, event: str, payload: dict[str, Any]) -> None:
        text = msgspec.json.encode(payload).decode()

        async def post() -> None:
            try:
                await self._gateway.request("node.event", {"event": event, "payloadJSON": text})
            except ClientError as problem:
                self._log.debug("{event} was not taken: {problem}", event=event, problem=problem)

        Deferred.fromCoroutine(post())

    # system.notify

    async def _notify(self, call: Call) -> Any:
        params = call.read(NotifyParams)
        title, body = params.title.strip(), params.body.strip()
        if not (title or body):
            raise invalid("title or body: expected a text")
        notifier = self._settings.notifier
        if notifier is None:
            raise unavailable("this machine has nothing that shows notifications")
        argv = notification(notifier, title or body, body if title else "", params.priority)
        try:
            finished = await self._processes.run(
                argv, env=self._settings.environment, seconds=10.0, limit=10_000
            )
        except CannotStart as problem:
            raise unavailable(str(problem)) from None
        if finished.exit_code != 0:
            raise unavailable(f"the notification was not shown: {_how(finished)}")
        return {"ok": True}

    def _in_thread(self, action: Any, *args: Any) -> Any:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), action, *args)


def notification(notifier: str, title: str, body: str, priority: str | None) -> list[str]:
    """The command line that shows a notification; no part of the text can become an option."""
    if Path(notifier).name == "osascript":
        script = (
            "on run argv",
            "display notification (item 2 of argv) with title (item 1 of argv)",
            "end run",
        )
        lines = [word for line in script for word in ("-e", line)]
        return [notifier, *lines, "--", title, body]
    urgency = {"passive": "low", "timeSensitive": "critical"}.get(priority or "", "normal")
    return [notifier, f"--urgency={urgency}", "--app-name=clawgw", "--", title, body]


def _result(finished: Finished) -> dict[str, Any]:
    stdout = finished.stdout.decode("utf-8", "replace")
    stderr = finished.stderr.decode("utf-8", "replace")
    if finished.truncated:
        # Readers that know no flag see it in the text, as the stock host puts it.
        if stderr.strip():
            stderr = f"{stderr}\n{_TRUNCATED}"
        else:
            stdout = f"{stdout}\n{_TRUNCATED}"
    return {
        "exitCode": finished.exit_code,
        "timedOut": finished.timed_out,
        "success": finished.exit_code == 0 and not finished.timed_out,
        "stdout": stdout,
        "stderr": stderr,
        "error": None,
        "truncated": finished.truncated,
    }


def _how(finished: Finished) -> str:
    if finished.timed_out:
        return "its time was up"
    if finished.exit_code is None:
        return f"by signal {finished.signal}"
    return f"exit code {finished.exit_code}"


def _refusal(reason: str) -> str:
    """A denial as stock clients know it (protocol 3)."""
    if reason == "security=deny":
        return "SYSTEM_RUN_DISABLED: security=deny"
    words = {
        "allowlist-miss": "allowlist miss",
        "approval-required": "approval required",
        "approval-timeout": "approval timed out",
        "user-denied": "user denied",
    }
    return f"SYSTEM_RUN_DENIED: {words[reason]}"


def _changed(overrides: Mapping[str, str], base: Mapping[str, str]) -> list[str]:
    return [name for name, value in overrides.items() if base.get(name) != value]


def _decided(params: RunParams) -> Decision | None:
    if params.approval_decision == "allow-always":
        return "allow-always"
    if params.approval_decision == "allow-once" or params.approved:
        return "allow-once"
    return None


def _is_skill(program: Program, skills: frozenset[str]) -> bool:
    """Whether it is a program of that name from PATH, not some file somebody put somewhere."""
    return "/" not in program.name and program.name in skills and program.path is not None
