"""Methods of agents: `agent`, `agent.wait`, `agents.list`, `agent.identity.get`, `models.list`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from clawgw.agents.between import SessionMail
from clawgw.agents.delivery import Wanted
from clawgw.agents.prompts import Prompt, files_of
from clawgw.agents.roster import Roster
from clawgw.agents.runs import RunManager
from clawgw.methods import Caller, MethodTable, Twice
from clawgw.protocol import agents as wire
from clawgw.protocol.base import given
from clawgw.protocol.errors import RequestError, invalid
from clawgw.sessions.book import SessionBook
from clawgw.sessions.keys import SessionName
from clawgw.trust.scopes import READ, WRITE

DEFAULT_WAIT_MS = 30_000
MAX_WAIT_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class AgentMethods:
    """The handlers."""

    roster: Roster
    runs: RunManager
    book: SessionBook
    in_thread: Callable[..., Awaitable[Any]]
    mail: SessionMail

    def register(self, table: MethodTable) -> None:
        """Add them to the table."""
        table.add("agent", self.agent, scope=WRITE, agents=True)
        table.add("agent.wait", self.wait, scope=WRITE)
        table.add("agents.list", self.agents_list, scope=READ)
        table.add("agent.identity.get", self.identity, scope=READ)
        table.add("models.list", self.models_list, scope=READ)

    async def agent(self, caller: Caller, params: wire.AgentParams) -> Twice:
        """Run one turn; answers when accepted and when over."""
        name, requested = self._session(params)
        if caller.bound_session is not None:
            params = self.mail.checked(caller.bound_session, name, params)
        delivery = self._delivery(params, name) if given(params.deliver, False) else None
        attached = given(params.attachments, [])
        prompt = Prompt(
            text=params.message,
            files=await self.in_thread(files_of, attached) if attached else (),
            context=given(params.extra_system_prompt, None),
            thinking=given(params.thinking, None),
            model=_model(params),
            timeout_ms=None if params.timeout is UNSET else given(params.timeout, 0) * 1000,
        )
        run = await self.runs.accept(
            "agent", params, name, requested, prompt, params.idempotency_key, delivery
        )
        first = wire.AgentAccepted(
            run_id=run.run_id,
            accepted_at=run.accepted_at,
            session_key=UNSET if caller.version < 4 else run.session_key,
            agent_id=UNSET if caller.version < 4 else run.agent_id,
        )
        return Twice(first, self.runs.final(run.run_id))

    def _delivery(self, params: wire.AgentParams, name: SessionName) -> bytes | None:
        """Where the answer goes beside the transcript."""
        channel = given(params.reply_channel, "") or given(params.channel, "")
        wanted = Wanted(
            channel=channel if channel not in ("", "last") else None,
            account=given(params.reply_account_id, "") or given(params.account_id, "") or None,
            to=given(params.reply_to, "") or given(params.to, "") or None,
            thread=given(params.thread_id, "") or None,
        )
        try:
            return self.runs.delivery.place(name, wanted)
        except RequestError:
            if given(params.best_effort_deliver, False):
                return None
            raise

    def _session(self, params: wire.AgentParams) -> tuple[SessionName, str]:
        """The session a turn belongs to, and what its asker called it."""
        keys = self.book.keys
        agent_id = given(params.agent_id, None)
        key = given(params.session_key, "").strip()
        session_id = given(params.session_id, "")
        if key:
            return keys.parse(key, agent_id), key
        if session_id:
            found = self.book.get_by_id(session_id)
            if found is None:
                raise invalid("sessionId: there is no such session")
            return SessionName(found.key, found.agent_id), found.key
        name = keys.main(agent_id)
        return name, name.key

    async def wait(self, _: Caller, params: wire.AgentWaitParams) -> wire.AgentWaitResult:
        """Wait for the end of a run."""
        timeout_ms = min(given(params.timeout_ms, DEFAULT_WAIT_MS), MAX_WAIT_MS)
        run = await self.runs.wait(params.run_id, timeout_ms)
        if run is None:
            raise invalid("runId: there is no such run")
        status: Any = {"ok": "ok", "error": "error", "aborted": "error"}.get(run.state, "timeout")
        error = "the run was aborted" if run.state == "aborted" else run.error
        return wire.AgentWaitResult(
            run_id=run.run_id,
            status=status,
            started_at=run.started_at or UNSET,
            ended_at=run.ended_at or UNSET,
            error=error or UNSET,
        )

    def agents_list(self, caller: Caller, _: Any) -> wire.AgentsList:
        """The agents there are."""
        new = caller.version >= 4
        return wire.AgentsList(
            default_id=self.roster.default_id,
            main_key=self.book.keys.main_key,
            agents=self.roster.summaries(),
            ownership=("sole" if len(self.roster.ids) == 1 else "explicit") if new else UNSET,
            selection_required=False if new else UNSET,
        )

    def identity(self, _: Caller, params: wire.AgentIdentityParams) -> wire.AgentIdentity:
        """How an agent shows itself."""
        key = given(params.session_key, "").strip()
        agent_id = given(params.agent_id, None)
        keys = self.book.keys
        name = keys.parse(key, agent_id) if key else keys.main(agent_id)
        return self.roster.identity(name.agent_id)

    def models_list(self, _: Caller, params: wire.ModelsListParams) -> wire.ModelsList:
        """The models the configuration names."""
        return wire.ModelsList(models=self.roster.models())


def _model(params: wire.AgentParams) -> str | None:
    model = given(params.model, "").strip()
    provider = given(params.provider, "").strip()
    if model and provider and "/" not in model:
        return f"{provider}/{model}"
    if model and "/" not in model:
        raise invalid("model: expected provider/model")
    return model or None
